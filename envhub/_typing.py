"""The type variables of the public classes.

Each has the default `Any`, so that mypy's strict mode accepts `Environment` or `Space` without
arguments. `typing` has such defaults since Python 3.13. Type checkers have the stubs of
`typing_extensions`, so it is not needed at run time.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Element_co = TypeVar("Element_co", covariant=True, default=Any)
    Obs = TypeVar("Obs", default=Any)
    State = TypeVar("State", default=Any)
    Params = TypeVar("Params", default=Any)
else:
    from typing import TypeVar

    Element_co = TypeVar("Element_co", covariant=True)
    Obs, State, Params = TypeVar("Obs"), TypeVar("State"), TypeVar("Params")
