"""Observations with the previous action."""

from __future__ import annotations

from typing import Any

from envhub import spaces
from envhub.environment import StepResult
from envhub.wrappers._added_observation import AddedObservation


class AddActionToObservation(AddedObservation):
    """Adds the last action to the observation: a `Dict` of `obs`, `action` and `start`.

    `action` is the action as this wrapper received it. After the reset it is the action nearest to
    zero, and `start`, bool[], is true. With `AddRewardToObservation`, in either order, all entries
    are in one `Dict`. The state is that of the inner environment.

    The final observation of an episode has the action that ended the episode; the next episode
    begins with the action nearest to zero.

    Raises:
        InvalidOptionError: if the observation already has the action; and the errors of
            `InsideAutoReset`.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[AddActionToObservation])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> int(env.step(jax.random.key(1), state, 1, params).obs["action"])
        1
    """

    name = "action"

    def added_space(self, params: Any) -> spaces.Space:
        return self.env.action_space(params)

    def added(self, action: Any, result: StepResult) -> Any:
        return action
