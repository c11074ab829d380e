"""What wrappers with a memory of the episode share."""

from __future__ import annotations

from typing import Any

from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrapper import Wrapper
from envhub.wrappers.autoreset import AutoReset


class EpisodeWrapper(Wrapper):
    """Remembers something of the episode, in a state whose field `env` is the inner state.

    Raises:
        InvalidOptionError: if the environment resets automatically inside of this wrapper, which
            would carry its memory into the next episode.
    """

    def __init__(self, env: Environment, **options: Any) -> None:
        super().__init__(env, **options)
        if self.find(AutoReset):
            name = type(self).__name__
            raise InvalidOptionError(
                f"put {name} inside of AutoReset, for its memory ends with the episode: "
                f"wrappers=[{name}, AutoReset]."
            )

    def inner_state(self, state: Any) -> Any:
        return state.env
