"""Copies of what is exported, here and in other processes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar


class Copied:
    """An export that is copied and pickled where it stands, and goes on from there by itself.

    Its class is made when another library is there to subclass, so pickle does not find it: the
    attribute `class_of` is a function at the top level of a module that gives it.
    """

    class_of: ClassVar[Callable[[], type]]

    def __reduce__(self) -> tuple[Any, ...]:
        return _empty, (type(self).class_of,), vars(self)

    def __copy__(self) -> Any:
        return copy.deepcopy(self)  # which shares the environment, and nothing that moves


def _empty(class_of: Callable[[], type]) -> Any:
    return object.__new__(class_of())
