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

    def __repr__(self) -> str:
        holder: Any = getattr(self, "driver", self)
        return f"<{type(self).__name__}{holder.env!r}>"

    def __copy__(self) -> Any:
        return copy.deepcopy(self)  # which shares the environment, and nothing that moves


def _empty(class_of: Callable[[], type]) -> Any:
    return object.__new__(class_of())


class WithSpec:
    """What has a `driver`, and a `spec` of Gymnasium's that tells the limit of its episodes.

    Gymnasium gives what it has made a spec of its own, which does not know the limit.
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
