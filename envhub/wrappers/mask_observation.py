"""Selected elements of observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envhub import spaces
from envhub.environment import Environment
from envhub.wrappers._observation import ElementsObservation, mapped
from envhub.wrappers._options import check_different


class MaskObservation(ElementsObservation):
    """Keeps only some elements of an array, which makes a partially observed task.

    Without velocities, a control task needs a memory. The positions are `keep=[0, 2]` in
    CartPole, `keep=[0, 1]` in Pendulum, `keep=[0]` in MountainCar and `keep=[0, 1, 2, 3]` in
    Acrobot.

    The other axes and the dtype are unchanged. The final observation of an episode, also in
    `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment.
        keep: the indices to keep on the last axis, in the new order, or a bool for each of its
            elements.

    Raises:
        InvalidOptionError: the errors of `ElementsObservation`; and if observations are not arrays.

    Examples:
        >>> wrappers = [MaskObservation(keep=[0, 2])]
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=wrappers)
        >>> env.observation_space().shape
        (2,)
    """

    checks = {"keep": check_different}  # noqa: RUF012

    def __init__(self, env: Environment, keep: Sequence[int] | Sequence[bool]) -> None:
        super().__init__(env, keep)

    def observation(self, obs: Any) -> Any:
        return obs[..., self.elements]

    def observation_space(self, params: Any = None) -> spaces.Space:
        return mapped(self.box(params), self.observation)
