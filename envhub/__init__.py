"""One JAX interface for every reinforcement-learning environment suite.

    env, params = envhub.make("gymnax::CartPole-v1")

Importing `envhub` imports no suite; `make` imports the suite that it needs.
"""

from typing import TYPE_CHECKING

from envhub import _distribution, _forks, _moved  # noqa: F401 (`_forks` counts from here)
from envhub._lazy import lazy

if TYPE_CHECKING:
    from envhub import errors, spaces, video, wrappers
    from envhub._adoption import wrap
    from envhub._checkpoints import pack_state, unpack_state
    from envhub._evaluation import Evaluation, evaluate
    from envhub._seeding import host_seed
    from envhub.environment import Environment, StepResult
    from envhub.flags import Capabilities
    from envhub.hub import capabilities, list_envs, make, make_vec, require
    from envhub.multi._environment import MultiEnv
    from envhub.multi._make import make_multi, make_multi_vec
    from envhub.registry import register, suites, unregister
    from envhub.spec import EnvSpec, WrapperSpec
    from envhub.suite import Gap, Suite
    from envhub.trajectories import Trajectory, rollout
    from envhub.vector import VectorEnv
    from envhub.wrappers._base import Wrapper

__version__ = "0.1.0"
_distribution.warn_of_stranger()

__all__ = [
    "Capabilities",
    "EnvSpec",
    "Environment",
    "Evaluation",
    "Gap",
    "MultiEnv",
    "StepResult",
    "Suite",
    "Trajectory",
    "VectorEnv",
    "Wrapper",
    "WrapperSpec",
    "capabilities",
    "errors",
    "evaluate",
    "host_seed",
    "list_envs",
    "make",
    "make_multi",
    "make_multi_vec",
    "make_vec",
    "pack_state",
    "register",
    "require",
    "rollout",
    "spaces",
    "suites",
    "unpack_state",
    "unregister",
    "video",
    "wrap",
    "wrappers",
]

__getattr__ = lazy(
    __name__,
    {
        "envhub._adoption": "wrap",
        "envhub._checkpoints": "pack_state unpack_state",
        "envhub._evaluation": "Evaluation evaluate",
        "envhub._seeding": "host_seed",
        "envhub.environment": "Environment StepResult",
        "envhub.flags": "Capabilities",
        "envhub.hub": "capabilities list_envs make make_vec require",
        "envhub.multi._environment": "MultiEnv",
        "envhub.multi._make": "make_multi make_multi_vec",
        "envhub.registry": "register suites unregister",
        "envhub.spec": "EnvSpec WrapperSpec",
        "envhub.suite": "Gap Suite",
        "envhub.trajectories": "Trajectory rollout",
        "envhub.vector": "VectorEnv",
        "envhub.wrappers._base": "Wrapper",
    },
)
_moved.install()


def __dir__() -> list[str]:
    return sorted(__all__)
