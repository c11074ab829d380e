"""What wrappers share that would do the wrong thing around an `AutoReset`."""

from __future__ import annotations

from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.flags import Capabilities
from envhub.wrappers._base import Wrapper
from envhub.wrappers.autoreset import AutoReset


class InsideAutoReset(Wrapper):
    """Belongs inside of `AutoReset`, if there is one.

    Attributes:
        reason: why, for the error.

    Raises:
        InvalidOptionError: if the environment resets automatically inside of this wrapper.
    """

    reason: str

    def __init__(self, env: Environment, capabilities: Capabilities | None = None) -> None:
        super().__init__(env, capabilities)
        if self.find(AutoReset):
            name = type(self).__name__
            raise InvalidOptionError(
                f"put {name} inside of AutoReset, for {self.reason}: wrappers=[{name}, AutoReset]."
            )
