"""`HostSuite`: a suite on the CPU of one `Instance` and some lines; what it can do is found out."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from envhub.host import HostSuite, Instance, InstanceStep
from envhub.params import named_params

KEY = jax.random.key(0)


class Walk(Instance):
    """A walk on a line, for 200 steps."""

    observation_space = spaces.Box(-999, 999, (), np.int32)
    action_space = spaces.Discrete(2)

    def __init__(self, stride: int = 1) -> None:
        self.stride, self.place, self.steps = stride, 0, 0

    def reset(self, seed: int) -> Any:
        self.place, self.steps = seed % 3, 0
        return np.int32(self.place)

    def step(self, action: Any) -> InstanceStep:
        self.steps += 1
        self.place += self.stride if action else -self.stride
        return InstanceStep(np.int32(self.place), 1.0, False, self.steps >= 200, {})


class Saved(Walk):
    def save(self) -> bytes:
        return np.array([self.place, self.steps]).tobytes()

    def restore(self, saved: bytes, obs: Any) -> None:
        self.place, self.steps = np.frombuffer(saved, int).tolist()


class Forgetful(Saved):
    """Its snapshots lack how tired it is, which matters from step 60 on."""

    tired = 0

    def reset(self, seed: int) -> Any:
        self.tired = 0
        return super().reset(seed)

    def step(self, action: Any) -> InstanceStep:
        self.tired += 1
        step = super().step(action)
        return step._replace(reward=0.5) if self.tired >= 60 else step


class Strict(Saved):
    """Refuses what is not legal, left and right by turns; and says so, unless it is silent."""

    def __init__(self, silent: bool = False) -> None:
        super().__init__()
        self.silent = silent

    def step(self, action: Any) -> InstanceStep:
        if action != self.steps % 2:
            raise ValueError(f"{action} is illegal")
        return super().step(action)

    def action_mask(self) -> Any:
        return None if self.silent else np.arange(2) == self.steps % 2


class Refuses(Walk):
    """Takes no action at all."""

    def step(self, action: Any) -> InstanceStep:
        raise ValueError("not today")


class StrictAndForgetful(Strict, Forgetful):
    """What its snapshots lack is seen by legal moves alone."""


class Everything(Saved):
    """With params, a picture and two agents."""

    observation_space = spaces.Box(-999, 999, (2,), np.int32)
    action_space = spaces.MultiDiscrete([2, 2])
    num_agents = 2

    def __init__(self, stride: int = 1) -> None:
        super().__init__(stride)
        self.default_params = named_params("Everything", ("stride",), [float(stride)])

    def reset(self, seed: int) -> Any:
        return np.full(2, super().reset(seed))

    def step(self, action: Any) -> InstanceStep:
        _, reward, terminated, truncated, info = super().step(action[0])
        both = np.full(2, self.place, np.int32)
        return InstanceStep(
            both, np.full(2, reward), np.full(2, terminated), np.full(2, truncated), info
        )  # type: ignore[arg-type]

    def set_params(self, values: Any) -> None:
        self.stride = int(values[0])

    def render(self) -> Any:
        return np.full((64, 64, 3), self.steps, np.uint8)


class Plain(Saved):
    """With params that are no dataclass."""

    default_params: ClassVar[Any] = {"stride": np.float32(1)}

    def set_params(self, values: Any) -> None:
        self.stride = int(values[0])


class Walks(HostSuite):
    name, title, example = "hostwalks", "walks on a line", "Walk"
    module = distribution = "numpy"
    supported = ">=1"

    def known_names(self) -> list[str]:
        return ["Walk", "Saved", "Forgetful", "Strict", "StrictAndForgetful", "Everything",
                "Refuses", "Plain"]  # fmt: skip

    def instances(self, name: str, options: Any) -> Callable[[], Instance]:
        return functools.partial(globals()[name], **options)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    envhub.register("hostwalks", Walks())
    yield
    envhub.unregister("hostwalks")


def test_its_options_are_those_of_the_constructor() -> None:
    names = sorted(Walks().known_names())
    assert envhub.list_envs("hostwalks") == [f"hostwalks::{name}" for name in names]
    env, params = envhub.make("hostwalks::Walk", stride=3, max_instances=4)
    assert params is None
    obs, state = env.reset(KEY)
    assert env.step(KEY, state, 1).obs - obs == 3
    with pytest.raises(errors.InvalidOptionError, match="'stride'"):
        envhub.make("hostwalks::Walk", strid=3)


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("Walk", set()),
        ("Saved", {"forkable", "checkpointable"}),
        ("Everything", {"forkable", "checkpointable", "renderable", "has_env_params"}),
    ],
)
def test_what_an_instance_has_methods_for_it_can(name: str, has: set[str]) -> None:
    before = envhub.capabilities(f"hostwalks::{name}")
    assert "not known before it is made" in before.why("forkable")
    caps = envhub.make(f"hostwalks::{name}")[0].capabilities
    decided = ("forkable", "checkpointable", "renderable", "has_env_params")
    assert {flag for flag in decided if getattr(caps, flag)} == has
    assert caps.reproducible
    assert caps.vmap_safe
    assert caps.isolated_reset


def test_params_agents_and_pictures() -> None:
    env, params = envhub.make("hostwalks::Everything")
    assert env.num_agents == 2
    obs, state = env.reset(KEY, params)
    after = env.step(KEY, state, np.ones(2, np.int32), params.replace(stride=5.0))
    np.testing.assert_array_equal(after.obs - obs, [5, 5])
    again = env.step(KEY, state, np.ones(2, np.int32), params.replace(stride=5.0))  # a fork
    np.testing.assert_array_equal(again.obs, after.obs)
    assert again.terminated.shape == again.truncated.shape == (2,)
    assert (env.render(after.state, params) == 1).all()


def test_params_are_any_pytree() -> None:
    env, params = envhub.make("hostwalks::Plain", forkable=False)
    obs, state = env.reset(KEY, params)
    assert env.step(KEY, state, 1, {"stride": jnp.float32(5)}).obs - obs == 5
    with pytest.raises(errors.InvalidOptionError, match="does not take 'gait'"):
        envhub.make("hostwalks::Plain", gait=2.0)


def test_what_is_forgotten_by_a_snapshot_and_matters_late_is_found() -> None:
    env, _ = envhub.make("hostwalks::Forgetful")
    assert "did not continue the same way" in env.capabilities.why("forkable")
    assert not env.capabilities.checkpointable
    assert env.capabilities.reproducible
    _, state = env.reset(KEY)
    assert state.snapshot is None
    with pytest.raises(errors.MissingCapabilityError, match="did not continue the same way"):
        envhub.make("hostwalks::Forgetful", snapshots="saved")
    by_replay = envhub.make("hostwalks::Forgetful", forkable=True)[0].capabilities
    assert by_replay.how("forkable").startswith("by replay")


def test_another_class_of_the_same_name_is_proved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert envhub.make("hostwalks::Saved")[0].capabilities.forkable
    monkeypatch.setitem(globals(), "Saved", Forgetful)  # as when its cell is edited and runs again
    env, _ = envhub.make("hostwalks::Saved")
    assert "did not continue the same way" in env.capabilities.why("forkable")


def test_one_that_refuses_illegal_moves_is_proved_forkable() -> None:
    env, _ = envhub.make("hostwalks::Strict")
    assert env.capabilities.forkable
    _, state = env.reset(KEY)
    assert env.step(KEY, env.step(KEY, state, 0).state, 1).reward == 1


def test_where_nobody_says_what_is_legal_forkable_is_not_known() -> None:
    env, _ = envhub.make("hostwalks::Strict", silent=True)
    assert re.search("raised ValueError: . is illegal", env.capabilities.why("forkable"))
    with pytest.raises(errors.MissingCapabilityError, match="is illegal"):
        envhub.make("hostwalks::Strict", silent=True, forkable=True)


def test_exceptions_show_nothing_of_what_the_seed_decides() -> None:
    assert envhub.make("hostwalks::Strict", silent=True)[0].capabilities.reproducible
    caps = envhub.make("hostwalks::Refuses")[0].capabilities
    assert not caps.reproducible
    assert "no step came through: ValueError" in caps.why("reproducible")


def test_the_proof_of_forkable_makes_legal_moves() -> None:
    env, _ = envhub.make("hostwalks::StrictAndForgetful")
    assert "did not continue the same way" in env.capabilities.why("forkable")


def test_a_claim_of_the_suite_that_does_not_hold_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Walks, "claims", lambda *_: {"forkable": True})
    assert envhub.capabilities("hostwalks::Forgetful").forkable
    with pytest.raises(errors.MissingCapabilityError, match="did not continue the same way"):
        envhub.make("hostwalks::Forgetful", stride=2)
    assert envhub.make("hostwalks::Saved", stride=2)[0].capabilities.forkable
