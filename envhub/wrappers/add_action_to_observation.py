"""Observations with the action before them."""

from __future__ import annotations

from typing import Any

from envhub import spaces
from envhub.environment import StepResult
from envhub.wrappers._added_observation import AddedObservation


class AddActionToObservation(AddedObservation):
    """Shows the last action too: a `Dict` of `obs`, `action` and `start`.

    `action` is as it was given to this wrapper, and after the reset the action that is nearest to
    zero; `start`, bool[], tells it from an action that was taken. With `AddRewardToObservation`, in
    either order, all of them are in one `Dict`. The state is that of the environment inside.

    In an episode's last observation it is the action that ended the episode; the next episode
    begins with zeros.

    Raises:
        InvalidOptionError: if the action is shown already; and as `InsideAutoReset`.

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
