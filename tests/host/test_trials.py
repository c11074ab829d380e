"""What `make` and `wrap` try out: it ends, and what calls JAX is refused, however it hides it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from envhub.host import HostSuite, Instance, InstanceStep, proof, repeats
from envhub.host.parallel import parts

KEY = jax.random.key(0)
SECONDS = 0.3
double = jax.jit(lambda x: 2 * x)


class Plain(gymnasium.Env[Any, Any]):
    """Counts the steps of an episode, and does something at one of them, or before."""

    observation_space = gymnasium.spaces.Box(-1e6, 1e6, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    made = 0

    def __init__(self, where: Any = None, what: Callable[[], Any] = lambda: None) -> None:
        self.where, self.what = where, what
        Plain.made += 1
        self._do_if("constructor" if Plain.made > 1 else "first constructor")

    def _do_if(self, place: Any) -> None:
        if place == self.where:
            self.what()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        self._do_if("reset")
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        self._do_if(self.steps)
        return np.full(1, self.steps, np.float32), 0.0, self.steps >= 15, False, {}


@pytest.fixture(params=["make", "wrap", "wrap its object"])
def take(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Each way to have an environment, as a function."""
    monkeypatch.setattr(Plain, "made", 0)

    def by_make(*given: Any, **options: Any) -> Any:
        gymnasium.register("TestsOwnTrial-v0", lambda: Plain(*given))
        try:
            return envhub.make("gymnasium::TestsOwnTrial-v0", **options)
        finally:
            gymnasium.registry.pop("TestsOwnTrial-v0")

    def by_wrap(*given: Any, **options: Any) -> Any:
        return envhub.wrap(lambda: Plain(*given), **options)

    def by_object(*given: Any, **options: Any) -> Any:
        return envhub.wrap(Plain(*given), **options)

    return {"make": by_make, "wrap": by_wrap}.get(request.param, by_object)


# JAX.

CALLS: dict[str, Callable[[], Any]] = {
    "a program that was compiled before": lambda: np.asarray(double(np.ones(2, np.float32))),
    "an operation": lambda: float(jax.numpy.sin(0.5)),
    "a transfer": lambda: np.asarray(jax.device_put(np.ones(2))),
    "random bits": lambda: np.asarray(jax.random.uniform(jax.random.key(1))),
}


def and_hides_it(call: Callable[[], Any]) -> None:
    with contextlib.suppress(BaseException):
        call()


@pytest.mark.parametrize(("where", "what"), list(zip(["reset", 1, 12, 1], CALLS, strict=True)))
def test_what_calls_jax_is_refused_by_make_and_wrap(what: str, where: Any, take: Any) -> None:
    """It shows no array of JAX, and holds none."""
    call = CALLS[what]
    call()  # so that it is compiled
    for given in (call, lambda: and_hides_it(call)):
        with pytest.raises(errors.UnavailableEnvError, match=r"written in JAX.*NumPy"):
            take(where, given)


def test_so_is_what_calls_it_when_another_instance_is_made() -> None:
    Plain.made = 0
    with pytest.raises(errors.UnavailableEnvError, match="making another one calls JAX"):
        envhub.wrap(lambda: Plain("constructor", CALLS["an operation"]))


def test_what_does_without_or_prepares_itself_with_jax_is_taken(take: Any) -> None:
    for where, what in (
        ("first constructor", CALLS["an operation"]),
        (3, lambda: jax.tree.map(np.sin, {"a": np.ones(2)})),
    ):
        Plain.made = 0
        env, params = take(where, what)
        assert env.step(KEY, env.reset(KEY, params)[1], 0, params).obs == 1


def test_who_measures_is_not_disturbed(take: Any) -> None:
    seen: list[str] = []

    def look(frame: Any, event: str, _: Any) -> None:
        seen.append(frame.f_code.co_name)

    sys.setprofile(look)
    try:
        take()
        assert sys.getprofile() is look
    finally:
        sys.setprofile(None)
    assert "step" in seen


# Time.


def hang() -> None:
    time.sleep(1e6)


@pytest.mark.parametrize("where", ["reset", 1, 12])
def test_the_timeout_is_that_of_what_is_tried_too(where: Any, take: Any) -> None:
    began = time.monotonic()
    doing = "a reset" if where == "reset" else "a step"
    with pytest.raises(errors.HostEnvError, match=rf"{doing} did not end.*timeout=0\.3 s"):
        take(where, hang, timeout=SECONDS)
    assert time.monotonic() - began < 20


def test_so_it_is_of_a_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "STARTING", 0.1)
    for where, doing in (("first constructor", "making it"), ("constructor", "another one")):
        Plain.made = 0
        with pytest.raises(errors.HostEnvError, match=rf"{doing} did not end"):
            envhub.wrap(lambda place=where: Plain(place, hang), timeout=SECONDS)


def test_a_timeout_of_wrap_is_that_of_its_calls(take: Any) -> None:
    stuck: list[Any] = []
    env, params = take(1, lambda: stuck and hang(), timeout=SECONDS)
    _, state = env.reset(KEY, params)
    stuck.append(True)
    with pytest.raises(errors.HostEnvError, match=r"did not answer within timeout=0\.3 s"):
        env.step(KEY, state, 0, params)
    stuck.clear()
    if env.capabilities.isolated_reset:  # there are others
        _, state = env.reset(KEY, params)
        assert env.step(KEY, state, 0, params).obs == 1
    else:
        with pytest.raises(errors.HostEnvError, match="Give a function that makes one"):
            env.reset(KEY, params)
    env.close()


def test_an_environment_with_a_timeout_is_made_again_with_it() -> None:
    env, _ = envhub.wrap(gymnasium.make("CartPole-v1"), timeout=9)
    assert env.spec.make()[0].spec.options == env.spec.options == {"timeout": 9}


def test_a_timeout_is_for_the_host() -> None:
    native, _ = envhub.make("gymnax::CartPole-v1")
    with pytest.raises(errors.InvalidOptionError, match="timeout must be left out"):
        envhub.wrap(native.unwrapped, timeout=1)
    with pytest.raises(errors.InvalidOptionError, match="timeout must be a positive number"):
        envhub.wrap(Plain, timeout=-1)


class Slow(Instance):
    """Each step takes some milliseconds."""

    observation_space = spaces.Box(-999, 999, (), np.int32)
    action_space = spaces.Discrete(2)

    def reset(self, seed: int) -> Any:
        self.count = 0
        return np.int32(0)

    def step(self, action: Any) -> InstanceStep:
        time.sleep(0.004)
        self.count += 1
        return InstanceStep(np.int32(self.count), 0.0, False, False, {})

    def save(self) -> bytes:
        return self.count.to_bytes(8, "little")

    def restore(self, saved: bytes, obs: Any) -> None:
        self.count = int.from_bytes(saved, "little")


class Slows(HostSuite):
    name, title, example = "hostslows", "slow ones", "Slow"
    module = distribution = "numpy"
    supported = ">=1"

    def known_names(self) -> list[str]:
        return ["Slow"]

    def instances(self, name: str, options: Any) -> Callable[[], Instance]:
        return Slow


@pytest.fixture
def slows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(proof, "_proved", {})
    envhub.register("hostslows", Slows())
    yield
    envhub.unregister("hostslows")


@pytest.mark.usefixtures("slows")
@pytest.mark.slow
def test_what_is_not_found_out_in_time_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "BUDGET", 0.2)
    env, _ = envhub.make("hostslows::Slow")
    why = env.capabilities.why("forkable")
    assert not env.capabilities.forkable
    assert not env.capabilities.checkpointable
    assert "not found out in" in why
    assert "forkable=True" in why
    assert env.capabilities.reproducible
    assert envhub.make("hostslows::Slow", forkable=True)[0].capabilities.forkable, "it took longer"
    monkeypatch.setattr(repeats, "BUDGET", 0.1)
    caps = envhub.make("hostslows::Slow")[0].capabilities
    for flag in ("reproducible", "vmap_safe", "isolated_reset", "multi_device"):
        assert not getattr(caps, flag)
        assert "not found out in" in caps.why(flag)
