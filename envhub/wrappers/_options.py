"""Checks of the options of wrappers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError, brief


def refuse_turns(env: Environment, name: str) -> None:
    """Refuse a game of turns.

    Raises:
        InvalidOptionError: naming the wrapper.
    """
    if env.turn_based:
        raise InvalidOptionError(
            f"{name} joins successive steps, and in {env} these belong to different players. "
            "Remember what each player saw in your own loop, by obs['current_player']."
        )


def or_none(check: Callable[[str, Any], object]) -> Callable[[str, Any], None]:
    """A check that lets `None` pass."""

    def check_unless_none(name: str, value: Any) -> None:
        if value is not None:
            check(name, value)

    return check_unless_none


def check_flag(name: str, value: Any) -> None:
    """Refuse a value that is not a bool.

    Raises:
        InvalidOptionError: naming the option.
    """
    if not isinstance(value, bool | np.bool_):
        raise InvalidOptionError(f"{name} must be True or False, got {brief(value)}.")


def check_count(name: str, value: Any, at_least: int = 1) -> None:
    """Refuse a value that is not an integer or is too small.

    Raises:
        InvalidOptionError: naming the option.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or not at_least <= value <= np.iinfo(np.int32).max:
        raise InvalidOptionError(
            f"{name} must be a 32-bit integer of at least {at_least}, got {brief(value)}."
        )


def check_different(name: str, value: Any) -> None:
    """Refuse a value that is neither a list of different indices nor a mask with a true element.

    Raises:
        InvalidOptionError: naming the option.
    """
    try:
        chosen = np.asarray(value)
    except ValueError:  # its parts have several lengths
        chosen = np.empty(0)
    is_mask = chosen.dtype == np.bool_
    is_fitting = chosen.any() if is_mask else 0 < len(np.unique(chosen)) == chosen.size
    if chosen.ndim != 1 or chosen.dtype.kind not in "biu" or not is_fitting:
        raise InvalidOptionError(
            f"{name} must be a list of different indices, or of bools with at least one True, got "
            f"{brief(value)}."
        )


def check_text(name: str, value: Any) -> None:
    """Refuse a value that is not a string.

    Raises:
        InvalidOptionError: naming the option.
    """
    if not isinstance(value, str):
        raise InvalidOptionError(f"{name} must be a text, got {brief(value)}.")


def check_bins(name: str, value: Any) -> None:
    """Refuse a value that is neither a positive integer nor a list of positive integers.

    Raises:
        InvalidOptionError: naming the option.
    """
    try:
        counts = np.asarray(value)
    except ValueError:  # its parts have several lengths
        counts = np.empty(0)
    if counts.dtype.kind not in "iu" or not counts.size or (counts < 1).any():
        raise InvalidOptionError(
            f"{name} must be a positive integer, or several of them, got {value!r}."
        )


def check_function(name: str, value: Any) -> None:
    """Refuse a value that cannot be called.

    Raises:
        InvalidOptionError: naming the option.
    """
    if not callable(value):
        raise InvalidOptionError(f"{name} must be a function, got {brief(value)}.")


def check_space(name: str, value: Any) -> None:
    """Refuse a value that is neither a space nor `None`.

    Raises:
        InvalidOptionError: naming the option.
    """
    if value is not None and not isinstance(value, spaces.Space):
        raise InvalidOptionError(f"{name} must be a space of envhub.spaces, got {brief(value)}.")


def to_float(name: str, value: Any) -> float:
    """Convert a real number to a float that float32 can hold; infinity is allowed.

    Raises:
        InvalidOptionError: naming the option.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating)
    try:
        number = float(value) if is_number and not isinstance(value, bool) else math.nan
    except OverflowError:  # an int beyond floats
        number = math.nan
    is_cut = math.isfinite(number) and abs(number) > float(np.finfo(np.float32).max)
    if math.isnan(number) or is_cut:
        raise InvalidOptionError(f"{name} must be a 32-bit number, got {brief(value)}.")
    return number


def check_number(name: str, value: Any) -> None:
    """Refuse a value that is not a finite number.

    Raises:
        InvalidOptionError: naming the option.
    """
    if not math.isfinite(to_float(name, value)):
        raise InvalidOptionError(f"{name} must be a finite number, got {brief(value)}.")


def check_positive(name: str, value: Any) -> None:
    """Refuse a value that is not a finite number above 0.

    Raises:
        InvalidOptionError: naming the option.
    """
    if not 0 < to_float(name, value) < math.inf:
        raise InvalidOptionError(f"{name} must be a positive number, got {brief(value)}.")


def check_discount(name: str, value: Any) -> None:
    """Refuse a value that is not a number from 0 to 1.

    Raises:
        InvalidOptionError: naming the option.
    """
    if not 0 <= to_float(name, value) <= 1:
        raise InvalidOptionError(f"{name} must be between 0 and 1, got {brief(value)}.")


def check_order(names: tuple[str, str], bounds: tuple[float, float]) -> None:
    """Refuse a lower bound that is not below the upper one.

    Raises:
        InvalidOptionError: naming both options.
    """
    (low_name, high_name), (low, high) = names, bounds
    if not low < high:
        raise InvalidOptionError(f"{low_name}={low!r} must be below {high_name}={high!r}.")


def check_probability(name: str, value: Any) -> None:
    """Refuse a value that is not a probability below 1.

    Raises:
        InvalidOptionError: naming the option.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not (is_number and 0 <= value < 1):
        raise InvalidOptionError(f"{name} must be at least 0 and below 1, got {brief(value)}.")
