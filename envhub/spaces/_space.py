"""The base class of spaces: read-only and compared by value."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic

import numpy as np

from envhub._typing import Element_co
from envhub.spaces._late import is_array, jax


class Space(abc.ABC, Generic[Element_co]):
    """A set of values that can be sampled and tested for membership.

    Spaces are read-only and hashable. They are equal if they have the same class and equal
    attributes. Type checkers read `Space[Element]` as a space with elements of this type.

    Attributes:
        shape: the shape of the elements; `None` for a `Dict` or `Tuple`, as in Gymnasium.
        dtype: the dtype of the elements; `None` for a `Dict` or `Tuple`.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> space = env.observation_space(params)
        >>> isinstance(space, Space), space.shape, space.dtype
        (True, (4,), dtype('float32'))
    """

    # To a type checker `| Any` is "or None, which nobody needs to look for".
    shape: tuple[int, ...] | Any = None
    dtype: np.dtype[Any] | Any = None

    _parameters: ClassVar[tuple[str, ...]]  # the constructor's, each an attribute too
    _key: tuple[Any, ...]

    @abc.abstractmethod
    def sample(self, key: jax.Array, mask: Any = None) -> Element_co:
        """Draws a random element. Its JAX arrays are not weakly typed.

        Args:
            key: A JAX random key, typed or legacy (uint32[2]).
            mask: Which elements may be drawn; `None` for all. The forms are Gymnasium's, and
                the arrays may be traced. Of a `Discrete`, an array of shape (n,) that is not 0
                where a value may be drawn. Of a `MultiDiscrete`, a sequence of such arrays, one for
                each dimension; or one array of them, of the shape of `nvec` and one axis more; or
                an array of the shape `nvec` with an entry for each combination. An array that may
                be either has a row for each dimension. Of a `MultiBinary`, an array of its shape:
                0 and 1 are those values, and 2 is either. Of a `Dict` a dict of masks, and of
                a `Tuple` a sequence of masks, each of which may be `None`. Where a mask leaves
                nothing to draw, every value may be drawn.

        Raises:
            ValueError: If x64 mode is off and no element fits in 32 bits, or the mask does not have
                such a form.
        """

    @abc.abstractmethod
    def contains(self, x: Any) -> jax.Array:
        """Tells whether a value is an element, as a bool[] array. It never raises.

        JAX and NumPy arrays must have the dtype of the space, or the dtype that JAX uses for it
        while x64 mode is off. An element of shape () may also be a Python or NumPy scalar of any
        precision: an int for integers, an int or float for floats, a bool for bools.

        Args:
            x: Any value. Arrays in it may be traced.
        """

    def _repr_html_(self) -> str:
        """Returns a table with a row for each array, for notebooks."""
        from envhub._display import table

        return table(_rows("", self))

    def _freeze(self, **attributes: Any) -> None:
        """Sets the attributes, which then never change, and the key for comparisons."""
        self.__dict__.update(attributes, _key=tuple(map(_hashable, attributes.values())))

    def __setattr__(self, name: str, value: Any = None) -> None:
        raise AttributeError(f"{type(self).__name__} is read-only: cannot change {name!r}")

    __delattr__ = __setattr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and (type(self), self._key) == (type(other), other._key)

    def __hash__(self) -> int:
        return hash((type(self), self._key))

    def __reduce__(self) -> tuple[Any, ...]:  # the default makes copies with writable arrays
        return type(self), tuple(getattr(self, name) for name in self._parameters)


def _rows(path: str, space: Any) -> Iterator[tuple[str, str]]:
    if space.shape is None:
        children = space.items() if isinstance(space, Mapping) else enumerate(space)
        for name, child in children:
            yield from _rows(f"{path}[{name!r}]", child)
    else:
        yield path, repr(space)


def _hashable(value: Any) -> Any:
    if is_array(value):
        return "traced", id(value)
    if not isinstance(value, np.ndarray):
        return value
    return (value + value.dtype.type(0)).tobytes()  # the same for -0.0 and 0.0
