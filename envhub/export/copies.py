"""Copies of exports, in this process and in others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar


class Copied:
    """An export that can be copied and pickled at any time; the copy continues independently.

    Its class is made at run time, when the other library is imported, so pickle cannot find it by
    name. The attribute `class_of` is a module-level function that returns it.
    """

    class_of: ClassVar[Callable[[], type]]

    def __reduce__(self) -> tuple[Any, ...]:
        return _empty, (type(self).class_of,), vars(self)

    def __repr__(self) -> str:
        holder: Any = getattr(self, "driver", self)
        return f"<{type(self).__name__}{holder.env!r}>"

    def __copy__(self) -> Any:
        return copy.deepcopy(self)  # which shares the environment, and nothing that moves


def _empty(class_of: Callable[[], type]) -> Any:
    return object.__new__(class_of())


class WithSpec:
    """An export with a `driver`, and a Gymnasium `spec` that has the episode limit.

    Gymnasium sets its own spec on environments that it made, and this spec lacks the limit.
    """

    driver: Any
    _spec: Any = None

    @property
    def spec(self) -> Any:
        return self._spec

    @spec.setter
    def spec(self, spec: Any) -> None:
        limit = None if spec is None else self.driver.env.episode_limit(self.driver.params)
        if limit is not None:
            spec = copy.copy(spec)
            spec.max_episode_steps = limit
        self._spec = spec
