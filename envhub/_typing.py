"""The type variables of the public classes.

Each stands for `Any` where it is left out, so that mypy's strict mode takes a bare `Environment` or
`Space` too. `typing` has such defaults from Python 3.13 on; those who check types bring the stubs
of `typing_extensions`, and nobody needs it to run.
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
