"""The base of wrappers with a memory of the episode."""

from __future__ import annotations

from typing import Any

from envhub.wrappers._inside_autoreset import InsideAutoReset


class EpisodeWrapper(InsideAutoReset):
    """Remembers something of the episode, in a state whose field `env` is the inner state."""

    reason = "its memory ends with the episode"

    def inner_state(self, state: Any) -> Any:
        return state.env
