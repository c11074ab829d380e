"""Thin bindings: what the conformance suite has to be told about each suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import envhub
from envhub import registry

Transition = tuple[Any, Any, Any, Any, Any]  # obs, the suite's state, reward, done, info


@dataclasses.dataclass(frozen=True)
class Case:
    """One environment to examine."""

    suite: str
    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def id(self) -> str:
        return f"{self.suite}::{self.name}"

    @property
    def recipe(self) -> dict[str, Any]:
        return {"id": self.id, "kwargs": dict(self.options)}

    def __str__(self) -> str:
        return ",".join([self.id, *(f"{key}={value}" for key, value in self.options)])


@dataclasses.dataclass(frozen=True)
class Binding:
    """What differs between the suites, in the eyes of a test.

    Attributes:
        sample: names and options that stand for the suite in the default run.
        limit: the field of the params that holds the episode limit.
        direct: from the suite's own object, its reset and its step that never resets, as
            functions of (key, params) and (key, state, action, params).
        own_state: the suite's state inside the hub's.
        own_done: the flags that the suite's own `done` stands for.
        variants: options that make an environment of its own of every name, the suite's default
            first.
    """

    sample: tuple[tuple[str, dict[str, Any]], ...]
    limit: str
    direct: Callable[[Any], tuple[Callable[..., Any], Callable[..., Any]]]
    own_state: Callable[[Any], Any] = lambda state: state
    own_done: Callable[[Any], Any] = lambda result: result.done
    variants: tuple[dict[str, Any], ...] = ({},)


def _of_gymnax(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    return env.reset_env, env.step_env


def _of_navix(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        timestep = env.reset(key)
        return timestep.observation, timestep

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = env._step(state, action)
        return after.observation, after, after.reward, after.is_done(), after.info

    return reset, step


def _of_brax(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        state = env.reset(key)
        return state.obs, state

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = env.step(state, action)
        return after.obs, after, after.reward, after.done, {**after.metrics, **after.info}

    return reset, step


GYMNAX_1 = registry.get("gymnax").at_least("1.0")
BACKENDS = ("generalized", "spring", "positional", "mjx")

BINDINGS = {
    "gymnax": Binding(
        sample=(
            ("CartPole-v1", {}),
            ("Pendulum-v1", {"transition_gradients": True} if GYMNAX_1 else {}),
            ("Breakout-MinAtar", {}),
            ("Catch-bsuite", {}),
            ("MemoryChain-bsuite", {}),
            ("MetaMaze-misc", {}),
            ("GaussianBandit-misc", {}),
        ),
        limit="max_steps_in_episode",
        direct=_of_gymnax,
        # gymnax 0.0.9 merges the time limit into it.
        own_done=lambda result: result.terminated if GYMNAX_1 else result.done,
    ),
    "navix": Binding(
        sample=(
            ("Navix-Empty-5x5-v0", {}),
            ("Navix-DoorKey-5x5-v0", {}),
            ("Navix-Dynamic-Obstacles-5x5-v0", {}),
            ("Navix-KeyCorridorS3R1-v0", {"observation_fn": "categorical"}),
        ),
        limit="max_steps",
        direct=_of_navix,
    ),
    "craftax": Binding(
        sample=(("Craftax-Classic-Symbolic-v1", {}),), limit="max_timesteps", direct=_of_gymnax
    ),
    "brax": Binding(
        sample=(
            ("inverted_pendulum", {"backend": "generalized"}),
            ("inverted_pendulum", {"backend": "mjx"}),
            ("fast", {"backend": "spring"}),
        ),
        limit="episode_length",
        direct=_of_brax,
        own_state=lambda state: state.env,
        own_done=lambda result: result.terminated,
        variants=tuple({"backend": backend} for backend in BACKENDS),
    ),
}


def sample_cases() -> Iterator[Case]:
    for suite, binding in BINDINGS.items():
        for name, options in binding.sample:
            yield Case(suite, name, tuple(options.items()))


def every_case(all_variants: bool) -> Iterator[Case]:
    """The sample, and every id of every suite: in its first variant, or in all of them.

    One name of every suite, the first of its sample, is there in all of them anyway.
    """
    seen = set()
    for case in sample_cases():
        seen.add(case)
        yield case
    for suite, binding in BINDINGS.items():
        for env_id in envhub.list_envs(suite):
            name = env_id.partition("::")[2]
            all_of_it = all_variants or name == binding.sample[0][0]
            for options in binding.variants if all_of_it else binding.variants[:1]:
                case = Case(suite, name, tuple(options.items()))
                if case not in seen:
                    yield case


def gap_of(case: Case) -> envhub.Gap | None:
    return registry.get(case.suite).gap(case.name, dict(case.options))
