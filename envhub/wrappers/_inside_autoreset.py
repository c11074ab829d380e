"""The base of wrappers that would be wrong around an `AutoReset`."""

from __future__ import annotations

from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.flags import Capabilities
from envhub.wrappers._base import Wrapper, arranged, layers_of
from envhub.wrappers.autoreset import AutoReset, name_of


class InsideAutoReset(Wrapper):
    """Belongs inside `AutoReset`, if there is one.

    Attributes:
        reason: the reason, for the error.

    Raises:
        InvalidOptionError: if there is an `AutoReset` inside this wrapper.
    """

    reason: str

    def __init__(self, env: Environment, capabilities: Capabilities | None = None) -> None:
        super().__init__(env, capabilities)
        if self.find(AutoReset):
            layers = layers_of(env)
            place = next(n for n, layer in enumerate(layers) if isinstance(layer, AutoReset))
            names = [name_of(layer) for layer in [*layers[:place], self, *layers[place:]]]
            raise InvalidOptionError(
                f"put {type(self).__name__} inside AutoReset, because {self.reason}: "
                f"{arranged(names)}."
            )
