"""Some elements of observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envhub import spaces
from envhub.environment import Environment
from envhub.wrappers._observation import ElementsObservation, mapped
from envhub.wrappers._options import check_different


class MaskObservation(ElementsObservation):
    """Shows some elements of an array, which has no others then: a partially observed task.

    Without its velocities a control task needs a memory. The positions are `keep=[0, 2]` of
    CartPole, `keep=[0, 1]` of Pendulum, `keep=[0]` of MountainCar and `keep=[0, 1, 2, 3]` of
    Acrobot.

    The other axes and the dtype stay. The last observation of an episode, `info["final_obs"]`
    too, is changed like any other.

    Args:
        env: the environment.
        keep: indices of the last axis, in the order in which they are shown, or a bool for each of
            its elements.

    Raises:
        InvalidOptionError: as `ElementsObservation`, and if observations are not arrays.

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
