"""Params for suites that have no params of their own."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, dataclass_transform

import numpy as np

__all__ = ["params_dataclass"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def params_dataclass(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass that is a pytree and has `replace(**changes)`.

    Examples:
        >>> @params_dataclass
        ... class WalkParams:
        ...     goal: float = 3.0
        >>> WalkParams().replace(goal=4.0)
        WalkParams(goal=4.0)
    """
    made = dataclasses.dataclass(frozen=True)(cls)
    made.replace = _replace  # type: ignore[attr-defined]
    if _is_worker and "jax" not in sys.modules:
        _waiting.append(made)
    else:
        _register(made)
    return made


def _register(made: Any) -> None:
    """Make a dataclass a pytree."""
    import jax

    from envhub import _flax

    names = [field.name for field in dataclasses.fields(made)]
    jax.tree_util.register_dataclass(made, data_fields=names, meta_fields=[])
    _flax.accept_kind(made)


_is_worker = False
_waiting: list[Any] = []  # the classes that a worker made


def wait_with_jax() -> None:
    """Import no JAX for new classes from now on, as a worker that never flattens them wants it."""
    global _is_worker  # noqa: PLW0603
    _is_worker = True


def register_waiting() -> None:
    """Make pytrees of the classes that wait: what the worker imported needs JAX after all."""
    while _waiting:
        _register(_waiting.pop())


Rule = tuple[set[str], Callable[[Any], Any]]
"""The fields from which another field is computed, and its formula."""


def computed(rules: Mapping[str, Rule], params: Any, changed: set[str]) -> dict[str, Any]:
    """Return the new values of the fields whose rules depend on changed fields."""
    return {name: formula(params) for name, (of, formula) in rules.items() if of & changed}


def named_params(name: str, fields: Sequence[str], values: Sequence[Any]) -> Any:
    """Make params of a new class, in which each field is a float32 number or array.

    Examples:
        >>> params = named_params("Walk", ["goal", "wind"], [3.0, 0.5])
        >>> params.replace(wind=1.0)
        WalkParams(goal=..., wind=1.0)
    """
    made = _named_class(name, tuple(fields))
    return made(*[np.float32(value) for value in values])


@functools.cache  # JAX tells pytrees apart by their class
def _named_class(name: str, fields: tuple[str, ...]) -> Any:
    def reduce(self: Any) -> tuple[Any, ...]:
        return _restored, (name, fields, tuple(getattr(self, field) for field in fields))

    namespace = {"__annotations__": dict.fromkeys(fields, Any), "__reduce__": reduce}
    return params_dataclass(type(f"{name}Params", (), namespace))


def _restored(name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return _named_class(name, fields)(*values)


def _replace(self: Any, **changes: Any) -> Any:
    """Return a copy with some fields changed."""
    return dataclasses.replace(self, **changes)
