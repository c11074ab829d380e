"""Games of turns, of pgx: one player acts in each step, and each has an observation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub import spaces
from envhub.host.outcomes import Stacked

from .specs import Array, Reader, acted, space_of

OBS, MASK, PLAYER = "obs", "info:legal_action_mask", "info:current_player"


class TurnReader(Reader):
    """Reads what a pool of a game of turns sends: what the player sees whose turn it is."""

    def __init__(self, spec: Any, agents: int) -> None:
        super().__init__(spec, agents)
        forms = dict(zip(spec._state_keys, spec._state_spec, strict=True))
        self.actors = 1
        self.action_space = acted(spec)
        self.observation_space = spaces.Dict(
            {
                "observation": space_of(forms[OBS]),
                "action_mask": space_of(forms[MASK]),
                "current_player": spaces.Discrete(agents),
            }
        )
        self.leave_out(MASK, PLAYER)

    def obs(self, sent: Sequence[Array]) -> Stacked:
        players, ended = self.column(sent, PLAYER), self.column(sent, "done")
        seen = {
            "observation": self.column(sent, OBS)[np.arange(len(players)), players],
            "action_mask": self.column(sent, MASK) | ended[:, None],
            "current_player": players,
        }
        return Stacked(seen, len(players))


def reader_of(spec: Any) -> Reader:
    """Return what reads the pools of this spec of EnvPool's."""
    agents = spec.config.max_num_players
    is_of_turns = agents > 1 and {MASK, PLAYER} <= {*spec._state_keys}
    return (TurnReader if is_of_turns else Reader)(spec, agents)
