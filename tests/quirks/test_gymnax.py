"""What is peculiar to gymnax."""

from __future__ import annotations

import functools
import gzip
import re
import shlex
import struct
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from envhub.adapters.gymnax import mnist_files

import envhub
from envhub import errors, registry

SUITE = registry.get("gymnax")
since_1_0 = pytest.mark.skipif(not SUITE.at_least("1.0"), reason="gymnax 0.0.9 cannot do it")


def rollout(env: Any, params: Any, action: int, steps: int) -> list[Any]:
    step = jax.jit(env.step)
    _, state = env.reset(jax.random.key(0), params)
    results = []
    for index in range(steps):
        results.append(step(jax.random.key(index), state, action, params))
        state = results[-1].state
    return results


def test_time_limit_and_termination_are_told_apart_in_both_versions() -> None:
    env, params = envhub.make("gymnax::CartPole-v1", max_steps_in_episode=3)
    flags = [(bool(r.terminated), bool(r.truncated)) for r in rollout(env, params, 0, 3)]
    assert flags == [(False, False), (False, False), (False, True)]
    env, params = envhub.make("gymnax::CartPole-v1")
    falls = rollout(env, params, 0, 12)
    first = next(index for index, result in enumerate(falls) if result.terminated)
    assert not any(result.truncated for result in falls[: first + 1])


def test_both_flags_are_true_where_both_are() -> None:
    env, params = envhub.make("gymnax::DeepSea-bsuite", size=8, max_steps_in_episode=8)
    last = rollout(env, params, 0, 8)[-1]
    assert last.terminated
    assert last.truncated


def test_the_step_after_a_time_limit_goes_on() -> None:
    """A limit that was reached must not be remembered as a termination."""
    env, params = envhub.make("gymnax::Breakout-MinAtar", max_steps_in_episode=2)
    results = rollout(env, params, 0, 2)
    assert results[-1].truncated
    assert not results[-1].terminated


@since_1_0
def test_two_variants_of_a_space_follow_their_options() -> None:
    env, params = envhub.make("gymnax::FourRooms-misc", use_visual_obs=True)
    obs, _ = env.reset(jax.random.key(0), params)
    assert env.observation_space(params).contains(obs)


def test_spaces_follow_the_params() -> None:
    env, params = envhub.make("gymnax::MetaMaze-misc")
    dear = params.replace(reward=1e4, punishment=-1e4, normalize_time=True)
    assert env.observation_space(dear).high[-2] == 1e4
    assert env.observation_space(dear).low[-2] == -1e4
    assert env.observation_space(dear).low[-1] == -1
    assert env.observation_space(params).low[-1] == 0


@pytest.fixture
def mnist_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """gymnax's own loading code, with a folder of this test's instead of a fixed one."""
    from gymnax.utils import load_mnist

    load = functools.partial(load_mnist.load_mnist, directory=str(tmp_path))
    monkeypatch.setattr(load_mnist, "load_mnist", load)
    monkeypatch.setattr("envhub.adapters.gymnax.MNIST", str(tmp_path))
    return tmp_path


def test_mnist_is_a_gap_with_the_command_that_fetches_it_and_make_does_not(
    monkeypatch: pytest.MonkeyPatch, mnist_folder: Path
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("gymnax.utils.load_mnist.urlretrieve", lambda url, to: asked.append(to))
    with pytest.raises(errors.UnavailableEnvError, match="needs_network") as refusal:
        envhub.make("gymnax::MNISTBandit-bsuite")
    assert "gymnax::MNISTBandit-bsuite" in envhub.list_envs("gymnax")
    assert not asked
    advised = re.search(r"python -c (.*)\)$", str(refusal.value))
    assert advised is not None
    with pytest.raises(FileNotFoundError):  # all but the network
        exec(shlex.split(advised[1])[0], {})
    assert sorted(asked) == sorted(mnist_files())


def test_mnist_runs_where_the_images_are(mnist_folder: Path) -> None:
    images = struct.pack(">IIII", 2051, 6, 28, 28) + bytes(range(196)) * 24
    labels = struct.pack(">II", 2049, 6) + bytes(range(6))
    for part in ("train", "t10k"):
        for kind, data in (("images-idx3", images), ("labels-idx1", labels)):
            (mnist_folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(data))
    env, params = envhub.make("gymnax::MNISTBandit-bsuite")
    obs, state = env.reset(jax.random.key(0), params)
    result = env.step(jax.random.key(1), state, 3, params)
    for seen in (obs, result.obs):
        assert env.observation_space(params).contains(seen)
    assert result.terminated


@pytest.mark.skipif(SUITE.at_least("1.0"), reason="gymnax 1.0 repaired SimpleBandit")
def test_simple_bandit_of_0_0_9_is_a_declared_gap() -> None:
    with pytest.raises(errors.UnavailableEnvError, match=r"use 1\.0"):
        envhub.make("gymnax::SimpleBandit-bsuite")


@since_1_0
def test_transition_gradients_reach_the_first_of_several_actions() -> None:
    env, params = envhub.make("gymnax::Pendulum-v1", transition_gradients=True)
    _, state = env.reset(jax.random.key(0), params)

    def reward_after_three(action: Any) -> Any:
        carried = state
        for key in jax.random.split(jax.random.key(1), 3):
            result = env.step(key, carried, action, params)
            carried = result.state
        return result.reward

    gradient = jax.grad(reward_after_three)(jnp.array([0.3]))
    assert np.isfinite(gradient).all()
    assert np.any(gradient)


def test_a_registered_environment_is_found() -> None:
    if not SUITE.at_least("1.0"):
        pytest.skip(reason="gymnax 0.0.9 has no register()")
    import gymnax
    from gymnax.environments.classic_control.cartpole import CartPole

    gymnax.register("TestsOwnPole-v0", CartPole)
    assert "gymnax::TestsOwnPole-v0" in envhub.list_envs("gymnax")
    assert not envhub.capabilities("gymnax::TestsOwnPole-v0").renderable
    env, params = envhub.make("gymnax::TestsOwnPole-v0")
    assert env.reset(jax.random.key(0), params)[0].shape == (4,)
    gymnax.registration._registry.pop("TestsOwnPole-v0")  # noqa: SLF001 (nothing else unregisters)
    gymnax.registered_envs.remove("TestsOwnPole-v0")


def test_what_is_computed_from_other_params_follows_them() -> None:
    _, default = envhub.make("gymnax::CartPole-v1")
    _, params = envhub.make("gymnax::CartPole-v1", masscart=10.0)
    assert params == default.replace(masscart=10.0, total_mass=10.0 + default.masspole)
    _, params = envhub.make("gymnax::CartPole-v1", masspole=0.5, length=2.0)
    assert (params.total_mass, params.polemass_length) == (1.5, 1.0)
    _, params = envhub.make("gymnax::CartPole-v1", masscart=10.0, total_mass=3.0)
    assert params.total_mass == 3.0
    _, params = envhub.make("gymnax::CartPole-v1", gravity=1.0)
    assert params == default.replace(gravity=1.0)
    _, fleet = envhub.make_multi({"heavy": ("gymnax::CartPole-v1", {"masscart": 10.0})})
    assert fleet["heavy"].total_mass == 10.0 + default.masspole
