"""What options of wrappers must be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from envhub import spaces
from envhub.errors import InvalidOptionError, brief


def check_function(name: str, value: Any) -> None:
    """Refuse what cannot be called.

    Raises:
        InvalidOptionError: naming the option.
    """
    if not callable(value):
        raise InvalidOptionError(f"{name} is a function, got {brief(value)}.")


def check_space(name: str, value: Any) -> None:
    """Refuse what is neither a space nor `None`.

    Raises:
        InvalidOptionError: naming the option.
    """
    if value is not None and not isinstance(value, spaces.Space):
        raise InvalidOptionError(f"{name} is a space of envhub.spaces, got {brief(value)}.")


def to_float(name: str, value: Any) -> float:
    """A real number as a float that float32 can hold; infinity is one.

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
        raise InvalidOptionError(f"{name} is a number of 32 bits, got {brief(value)}.")
    return number


def check_probability(name: str, value: Any) -> None:
    """Refuse what is no probability, or is certainty.

    Raises:
        InvalidOptionError: naming the option.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not (is_number and 0 <= value < 1):
        raise InvalidOptionError(f"{name} is at least 0 and below 1, got {brief(value)}.")
