"""Every reinforcement-learning environment suite behind one line.

    env, params = envhub.make("gymnax::CartPole-v1")

Importing this imports no suite; `make` imports the one that it needs.
"""

from envhub import errors, spaces
from envhub.capabilities import Capabilities
from envhub.environment import Environment, EnvSpec, StepResult
from envhub.fleet import make_multi, make_multi_vec
from envhub.hub import capabilities, list_envs, make, make_vec, require
from envhub.multi import MultiEnv
from envhub.registry import register, suites, unregister
from envhub.rollout import Trajectory, rollout
from envhub.seeding import host_seed
from envhub.suite import Gap, Suite
from envhub.vector import VectorEnv
from envhub.wrapper import Wrapper
from envhub.wrapping import wrap

__version__ = "0.1.0"

__all__ = [
    "Capabilities",
    "EnvSpec",
    "Environment",
    "Gap",
    "MultiEnv",
    "StepResult",
    "Suite",
    "Trajectory",
    "VectorEnv",
    "Wrapper",
    "capabilities",
    "errors",
    "host_seed",
    "list_envs",
    "make",
    "make_multi",
    "make_multi_vec",
    "make_vec",
    "register",
    "require",
    "rollout",
    "spaces",
    "suites",
    "unregister",
    "wrap",
]
