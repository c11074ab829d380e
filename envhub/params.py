"""Params for suites that have none of their own."""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def params_dataclass(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass that is a pytree and has `replace(**changes)`."""
    made = dataclasses.dataclass(frozen=True)(cls)
    made.replace = _replace  # type: ignore[attr-defined]
    names = [field.name for field in dataclasses.fields(made)]  # type: ignore[arg-type]
    jax.tree_util.register_dataclass(made, data_fields=names, meta_fields=[])
    return made


def _replace(self: Any, **changes: Any) -> Any:
    """A copy with some fields changed."""
    return dataclasses.replace(self, **changes)
