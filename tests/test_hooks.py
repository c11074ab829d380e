"""Mistakes in the hooks of an environment are errors of the contract that name the hook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import Capabilities, StepResult, errors, spaces
from envhub.host import HostSuite, Instance, InstanceStep

KEY = jax.random.key(0)
ZERO = jnp.float32(0)


def given(**changed: Any) -> Callable[[Any], StepResult]:
    """A step that is right but for what is changed."""
    right = {"obs": ZERO, "reward": ZERO, "terminated": False, "truncated": False, "info": {}}
    return lambda state: StepResult(**{"state": state, **right, **changed})


def right_reset(key: Any) -> Any:
    return ZERO, ZERO


class Scripted(envhub.Environment):
    """Returns what `unwrapped`, a reset and a step, returns."""

    def reset_env(self, key: jax.Array, params: Any) -> Any:
        return self.unwrapped[0](key)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        return self.unwrapped[1](state)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(-9, 9, (), np.float32)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(2)


def play(reset: Callable[[Any], Any], step: Callable[[Any], Any]) -> StepResult:
    env = Scripted((reset, step), None, Capabilities.native())
    _, state = env.reset(KEY)
    return env.step(KEY, state, 1)


def test_hooks_that_are_right_are_accepted() -> None:
    assert float(play(right_reset, given(reward=True)).reward) == 1.0


@pytest.mark.parametrize(
    ("reset", "told"),
    [
        (lambda key: ZERO, r"tuple \(obs, state\), and returned an array of the shape \(\)"),
        (lambda key: (ZERO, ZERO, {}), "returned a tuple of 3"),
        (lambda key: None, "returned None"),
        (lambda key: ({"text": "x"}, ZERO), r"obs\['text'\] is 'x', which is neither"),
    ],
    ids=["only obs", "three", "nothing", "text"],
)
def test_a_reset_that_returns_something_else_is_named(reset: Any, told: str) -> None:
    with pytest.raises(errors.ContractError, match=r"Scripted\.reset_env .*" + told):
        play(reset, given())


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (lambda state: (ZERO, state, ZERO, False, {}), "StepResult.*returned a tuple of 5"),
        (lambda state: None, "StepResult.*returned None"),
        (lambda state: given()((state, state)), r"a state of another structure.*\(\(\), \(\)\)"),
        (given(state=jnp.zeros(3)), r"a state of another structure or shape.*\(3,\) instead of"),
        (given(obs={"a": ZERO}), "an observation of another structure.*'a'.* instead of"),
        (given(obs=jnp.zeros(3)), r"an observation of another structure or shape.*\(3,\)"),
        (given(info=None), "a dict as info, and returned None"),
        (given(info={"a": "b"}), r"\['info'\]\['a'\] is 'b'"),
        (given(reward=jnp.zeros(3)), r"a number as reward, and returned .* \(3,\)"),
        (given(truncated=None), "a number as truncated, and returned None"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_a_step_that_returns_something_else_is_named(step: Any, told: str) -> None:
    with pytest.raises(errors.ContractError, match=r"Scripted\.step_env .*" + told):
        play(right_reset, step)


def test_a_state_of_another_environment_is_not_the_mistake_of_a_hook() -> None:
    env = Scripted((right_reset, given(state=ZERO)), None, Capabilities.native())
    with pytest.raises(errors.InvalidStateError):
        env.step(KEY, (ZERO, ZERO), 1)


class Right(Instance):
    observation_space = spaces.Box(-9, 9, (), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, seed: int) -> Any:
        return np.float32(0)

    def step(self, action: Any) -> Any:
        return InstanceStep(np.float32(0), 0.0, False, False, {})


class OnlyInfo(Right):
    def reset(self, seed: int) -> Any:
        return np.float32(0), {}


class Four(Right):
    def step(self, action: Any) -> Any:
        return np.float32(0), 0.0, False, {}


class OtherStructure(Right):
    def step(self, action: Any) -> Any:
        return super().step(action)._replace(obs={"a": np.float32(0)})


class NoInfo(Right):
    def step(self, action: Any) -> Any:
        return super().step(action)._replace(info=None)


class Rights(HostSuite):
    name, title, example = "rights", "instances that are right, or not", "Right"
    module = distribution = "numpy"
    supported = ">=1"

    def known_names(self) -> list[str]:
        return [kind.__name__ for kind in (Right, OnlyInfo, Four, OtherStructure, NoInfo)]

    def instances(self, name: str, options: Any) -> Callable[[], Instance]:
        kind: type[Instance] = globals()[name]
        return kind


@pytest.fixture
def rights() -> Iterator[None]:
    envhub.register("rights", Rights())
    yield
    envhub.unregister("rights")


@pytest.mark.usefixtures("rights")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("OnlyInfo", "its reset returned an observation that does not fit"),
        ("Four", "its step returned 4 values"),
        ("OtherStructure", "its step returned an observation that does not fit"),
        ("NoInfo", "its step returned None as info"),
    ],
)
def test_an_instance_that_returns_something_else_is_named(name: str, told: str) -> None:
    with pytest.raises(errors.UnavailableEnvError, match=f"rights::{name}: {told}"):
        envhub.make(f"rights::{name}")


def test_a_reset_of_gymnasium_that_returns_no_info_is_named() -> None:
    class Old(gymnasium.Env[Any, Any]):
        observation_space = action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return 0

    with pytest.raises(errors.EnvHubError, match=r"its reset must return \(obs, info\)"):
        envhub.wrap(Old)
