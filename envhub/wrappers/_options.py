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


def check_number(name: str, value: Any) -> None:
    """Refuse what is no real number; infinity is one.

    Raises:
        InvalidOptionError: naming the option.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating)
    try:
        is_real = is_number and not isinstance(value, bool) and not math.isnan(value)
    except OverflowError:  # an int beyond floats
        is_real = False
    if not is_real:
        raise InvalidOptionError(f"{name} is a number, got {brief(value)}.")
