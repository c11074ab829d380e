"""Every reinforcement-learning environment suite behind one line.

    env, params = envhub.make("gymnax::CartPole-v1")

Importing this imports no suite; `make` imports the one that it needs.
"""

from envhub import errors, spaces
from envhub.capabilities import Capabilities
from envhub.environment import Environment, EnvSpec, StepResult
from envhub.hub import capabilities, list_envs, make, require
from envhub.registry import register, suites, unregister
from envhub.seeding import host_seed
from envhub.suite import Gap, Suite

__version__ = "0.1.0"

__all__ = [
    "Capabilities",
    "EnvSpec",
    "Environment",
    "Gap",
    "StepResult",
    "Suite",
    "capabilities",
    "errors",
    "host_seed",
    "list_envs",
    "make",
    "register",
    "require",
    "spaces",
    "suites",
    "unregister",
]
