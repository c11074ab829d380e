"""The environments of `bridge.py`, and how to play each of them without the hub."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub import registry


class Kind(NamedTuple):
    """One environment, and how to play it without the hub.

    Attributes:
        id: what `envhub.make` is given.
        own: the library's vector environment, from the number of environments.
        choose: the actions, from a NumPy generator and the observations; under them no episode
            ends within a run.
        same_seeds: whether a seed gives both sides the same episode.
    """

    id: str
    own: Callable[..., Any]
    choose: Callable[[np.random.Generator, Any], Any]
    same_seeds: bool


def gymnasiums(name: str) -> Callable[[int], Any]:
    def make(num_envs: int) -> Any:
        import gymnasium

        return gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(name)] * num_envs)

    return make


class VectorisedCartPole:
    """Gymnasium's `CartPoleVectorEnv`, each environment starting by a seed of its own."""

    def __init__(self, num_envs: int) -> None:
        import gymnasium

        self._env = gymnasium.make_vec("CartPole-v1", num_envs, vectorization_mode=VECTORISED)
        self._one = gymnasium.make("CartPole-v1").unwrapped
        self.step = self._env.step

    def reset(self, seed: Any) -> Any:
        self._env.reset()
        starts = []
        for each in seed:
            self._one.reset(seed=each)
            starts.append(self._one.state)
        self._env.unwrapped.state = np.stack(starts, axis=1)
        return np.float32(starts), {}


class DmEnvLoop:
    """Environments of dm_env, which has no vector environment: a loop steps them.

    Args:
        envs: the environments.
        generator: gives the generator of one, to seed it.
        joined: makes one of their observations.
    """

    def __init__(
        self,
        envs: Sequence[Any],
        generator: Callable[[Any], np.random.RandomState],
        joined: Callable[[Any], Any],
    ) -> None:
        self._envs, self._generator, self._joined = envs, generator, joined

    def reset(self, seed: Any) -> Any:
        for env, each in zip(self._envs, seed, strict=True):
            self._generator(env).seed(each)
        return self._joined([env.reset().observation for env in self._envs]), {}

    def step(self, actions: Any) -> Any:
        steps = [env.step(action) for env, action in zip(self._envs, actions, strict=True)]
        rewards = np.array([step.reward for step in steps])
        ends = np.array([step.last() for step in steps])
        return self._joined([step.observation for step in steps]), rewards, ends, ends, {}


def control_loop(domain: str, task: str, num_envs: int) -> DmEnvLoop:
    suite = registry.get("dm_control").load("suite")
    envs = [suite.load(domain, task) for _ in range(num_envs)]
    return DmEnvLoop(envs, lambda env: env.task.random, _stacked)


def bsuite_loop(name: str, num_envs: int) -> DmEnvLoop:
    bsuite, settings = registry.get("bsuite").load(), registry.get("bsuite").load("sweep").SETTINGS
    envs = [bsuite.load(name.partition("/")[0], settings[name]) for _ in range(num_envs)]
    return DmEnvLoop(envs, lambda env: vars(env)["_rng"], np.stack)


def _stacked(observations: Any) -> Any:
    return {name: np.stack([each[name] for each in observations]) for name in observations[0]}


def controls(domain: str, task: str, num_actions: int) -> Kind:
    def choose(rng: np.random.Generator, obs: Any) -> Any:
        count = len(next(iter(obs.values())))
        return rng.uniform(-1, 1, (count, num_actions)).astype(np.float32)

    own = functools.partial(control_loop, domain, task)
    return Kind(f"dm_control::{domain}-{task}", own, choose, True)


def ogbenches(name: str) -> Callable[[int], Any]:
    def make(num_envs: int) -> Any:
        registry.get("ogbench").load()  # which registers it
        return gymnasiums(name)(num_envs)

    return make


def ales(**options: Any) -> Callable[[int], Any]:
    def make(num_envs: int) -> Any:
        from ale_py.vector_env import AtariVectorEnv

        return AtariVectorEnv("pong", num_envs, **options)

    return make


def keep_the_pole_up(rng: np.random.Generator, obs: Any) -> Any:
    return (obs[:, 2] + obs[:, 3] > 0).astype(np.int32)


def hardly_move(rng: np.random.Generator, obs: Any) -> Any:
    return rng.uniform(-0.1, 0.1, (len(obs), 3)).astype(np.float32)


def press_anything(rng: np.random.Generator, obs: Any) -> Any:
    return rng.integers(0, 6, len(obs), dtype=np.int32)


def press_anything_of_three(rng: np.random.Generator, obs: Any) -> Any:
    return rng.integers(0, 3, len(obs), dtype=np.int32)


def move_the_legs(rng: np.random.Generator, obs: Any) -> Any:
    return rng.uniform(-1, 1, (len(obs), 8)).astype(np.float32)


VECTORISED = "vector_entry_point"
CARTPOLE = Kind("gymnasium::CartPole-v1", gymnasiums("CartPole-v1"), keep_the_pole_up, True)
CARTPOLE_VECTORISED = CARTPOLE._replace(own=VectorisedCartPole)
ACROBOT = Kind("gymnasium::Acrobot-v1", gymnasiums("Acrobot-v1"), press_anything_of_three, True)
HOPPER = Kind("gymnasium::Hopper-v5", gymnasiums("Hopper-v5"), hardly_move, True)
# A seed decides how many frames are idled away at the start, and each side draws them by its own.
PONG = Kind("ale::pong", ales(), press_anything, False)
PONG_ON_ONE_CORE = PONG._replace(own=ales(num_threads=1))
SWINGUP, HUMANOID = controls("cartpole", "swingup", 1), controls("humanoid", "run", 21)
MOUNTAIN_CAR = Kind(
    "bsuite::mountain_car/0",
    functools.partial(bsuite_loop, "mountain_car/0"),
    press_anything_of_three,
    True,
)
# A seed of OGBench's own decides no episode.
ANT = "antmaze-large-singletask-v0"
ANTMAZE = Kind(f"ogbench::{ANT}", ogbenches(ANT), move_the_legs, False)
