"""The spaces made of other spaces."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from envhub.spaces._late import jax, jnp
from envhub.spaces._space import Space


class Dict(Space[dict[str, Any]], Mapping[str, Space]):
    """The dicts that hold an element of each inner space; a read-only mapping of these spaces.

    The names are sorted, as JAX sorts the keys of dicts.

    Raises:
        TypeError: If a name is not a string, or a value is not a `Space`.

    Examples:
        >>> space = Dict({"grid": envhub.spaces.Box(0, 1, (2, 2)), "on": envhub.spaces.Discrete(2)})
        >>> sorted(space.sample(jax.random.key(0))), space["on"]
        (['grid', 'on'], Discrete(2))
    """

    _parameters = ("spaces",)
    _items: tuple[tuple[str, Space], ...]

    def __init__(self, spaces: Mapping[str, Space]) -> None:
        spaces = dict(spaces)
        for name, space in spaces.items():
            if not isinstance(name, str) or not isinstance(space, Space):
                raise TypeError(f"a Dict must map strings to spaces, got {name!r}: {space!r}")
        self._freeze(_items=tuple(sorted(spaces.items())))

    @property
    def spaces(self) -> dict[str, Space]:
        """Returns the spaces by name, in a new dict."""
        return dict(self._items)

    def sample(self, key: jax.Array, mask: Any = None) -> dict[str, Any]:
        """Draws a dict of samples, each with its own key (see `Space.sample`)."""
        masks = dict.fromkeys(self) if mask is None else mask
        if not isinstance(masks, Mapping) or set(masks) != set(self):
            raise ValueError(f"a mask of {self} must be a dict with the same names, got {mask}")
        keys = jax.random.split(key, len(self))
        parts = zip(self._items, keys, strict=True)
        return {name: space.sample(k, masks[name]) for (name, space), k in parts}

    def contains(self, x: Any) -> jax.Array:
        """Tells whether `x` is a dict of elements of the spaces (see `Space.contains`)."""
        if not isinstance(x, dict) or x.keys() != self.keys():
            return jnp.asarray(False)
        return jnp.asarray([space.contains(x[name]) for name, space in self._items], bool).all()

    def __getitem__(self, name: str) -> Space:
        return self.spaces[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.spaces)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return _show("Dict", [f"{name!r}: {space}" for name, space in self._items])


class Tuple(Space[tuple[Any, ...]], Sequence[Space]):
    """The tuples that hold an element of each inner space; a read-only sequence of these spaces.

    Raises:
        TypeError: If an element is not a `Space`.

    Examples:
        >>> space = Tuple([envhub.spaces.Discrete(2), envhub.spaces.Box(0, 1, (3,))])
        >>> len(space.sample(jax.random.key(0))), space[1].shape
        (2, (3,))
    """

    _parameters = ("spaces",)
    spaces: tuple[Space, ...]

    def __init__(self, spaces: Iterable[Space]) -> None:
        spaces = tuple(spaces)
        for space in spaces:
            if not isinstance(space, Space):
                raise TypeError(f"a Tuple must be made of spaces, got {space!r}")
        self._freeze(spaces=spaces)

    def sample(self, key: jax.Array, mask: Any = None) -> tuple[Any, ...]:
        """Draws a tuple of samples, each with its own key (see `Space.sample`)."""
        masks = [None] * len(self) if mask is None else mask
        if not isinstance(masks, list | tuple) or len(masks) != len(self):
            raise ValueError(
                f"a mask of {self} must be a sequence of {len(self)} masks, got {mask}"
            )
        keys = jax.random.split(key, len(self))
        parts = zip(self.spaces, keys, masks, strict=True)
        return tuple(space.sample(k, part) for space, k, part in parts)

    def contains(self, x: Any) -> jax.Array:
        """Tells whether `x` is a tuple of elements of the spaces (see `Space.contains`)."""
        if not isinstance(x, tuple) or len(x) != len(self):
            return jnp.asarray(False)
        results = [space.contains(element) for space, element in zip(self.spaces, x, strict=True)]
        return jnp.asarray(results, bool).all()

    @overload
    def __getitem__(self, index: int) -> Space: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Space, ...]: ...

    def __getitem__(self, index: Any) -> Any:
        return self.spaces[index]

    def __len__(self) -> int:
        return len(self.spaces)

    def __repr__(self) -> str:
        return _show("Tuple", list(map(repr, self.spaces)))


def _show(kind: str, parts: list[str]) -> str:
    """Formats parts in one line, or one part per line if that is too long."""
    line = f"{kind}({', '.join(parts)})"
    if len(line) <= 100:
        return line
    return "\n".join([f"{kind}(", *(textwrap.indent(f"{part},", "  ") for part in parts), ")"])
