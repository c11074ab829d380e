"""Environments on the host that raise, lie or are interrupted, and what is left standing."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.host import transport
from tests.packages import needed

KEY = jax.random.key(0)
BROKEN = "gymnasium::tests.host.broken:Broken-v0"


def six_steps(env: Any) -> Any:
    _, state = env.reset(KEY)
    for _ in range(6):
        result = env.step(KEY, state, 1)
        state = result.state
    return result


def test_an_environment_that_raises_is_named_with_its_state_and_action() -> None:
    env, _ = envhub.make(BROKEN, fault="raise")
    last = six_steps(env)
    with pytest.raises(errors.HostEnvError, match=r"Broken-v0: instance 0, .*action 1: OSError"):
        env.step(KEY, last.state, 1)
    assert isinstance(env.last_error.__cause__, OSError)  # type: ignore[union-attr]
    assert np.array_equal(six_steps(env).obs, [6, 6]), "it is usable"


@pytest.mark.parametrize("workers", [None, "process", pytest.param("ray", marks=pytest.mark.full)])
def test_an_error_of_envhub_that_an_environment_raises_is_named_as_any_other(workers: Any) -> None:
    """It may itself play environments of envhub, and such an error names those."""
    if workers == "ray":
        needed("ray")
    env, _ = envhub.make(BROKEN, fault="raise envhub's", workers=workers)
    last = six_steps(env)
    message = r"Broken-v0: instance 0, .*action 1: InvalidActionError: another environment"
    with pytest.raises(errors.HostEnvError, match=message):
        env.step(KEY, last.state, 1)
    assert isinstance(env.last_error.__cause__, errors.InvalidActionError)  # type: ignore[union-attr]
    assert np.array_equal(six_steps(env).obs, [6, 6]), "it is usable"
    env.close()


def test_a_reset_that_raises_is_named_without_a_state() -> None:
    env, _ = envhub.make(BROKEN, fault="reset")
    with pytest.raises(errors.HostEnvError, match=r"Broken-v0: instance 0: OSError: seed 0 alone"):
        env.reset(KEY)


def test_the_others_of_a_batch_stay_usable() -> None:
    env, _ = envhub.make(BROKEN, fault="raise")
    ahead = six_steps(env).state
    _, fresh = env.reset(KEY)
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), fresh, ahead)
    with pytest.raises(errors.HostEnvError):
        jax.vmap(lambda state: env.step(KEY, state, 1))(states)
    assert np.array_equal(env.step(KEY, fresh, 1).obs, [1, 1])
    with pytest.raises(errors.StaleStateError):
        env.step(KEY, ahead, 0)


@pytest.mark.parametrize(
    ("fault", "message"), [("shape", r"float32\[1\]"), ("dtype", r"complex128\[2\]")]
)
def test_a_wrong_observation_is_an_error(fault: str, message: str) -> None:
    env, _ = envhub.make(BROKEN, fault=fault)
    with pytest.raises(errors.HostEnvError, match=message):
        env.step(KEY, six_steps(env).state, 1)


def test_not_a_number_is_passed_on() -> None:
    env, _ = envhub.make(BROKEN, fault="nan")
    assert np.isnan(env.step(KEY, six_steps(env).state, 1).obs).all()


def test_a_gpu_without_a_cpu_beside_it_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env, _ = envhub.make(BROKEN)
    monkeypatch.setattr(transport, "force_portable", True)

    def unknown(**_: Any) -> Any:
        raise RuntimeError("Unknown backend cpu")

    monkeypatch.setattr(jax, "local_devices", unknown)
    with pytest.raises(errors.HostEnvError, match=r"JAX_PLATFORMS=\w+,cpu"):
        jax.jit(env.reset)(KEY)


def test_an_interrupted_scan_leaves_the_process_usable() -> None:
    env, _ = envhub.make(BROKEN, fault="interrupt")
    _, state = env.reset(KEY)

    @jax.jit
    def scan(state: Any) -> Any:
        return jax.lax.scan(lambda state, _: (env.step(KEY, state, 1).state, None), state, None, 9)

    with pytest.raises(Exception, match="KeyboardInterrupt"):
        jax.block_until_ready(scan(state))
    with pytest.raises(KeyboardInterrupt):
        env.step(KEY, six_steps(env).state, 1)
    assert np.array_equal(six_steps(env).obs, [6, 6])


def test_info_keeps_the_numbers() -> None:
    env, _ = envhub.make(BROKEN, fault="")
    result = six_steps(env)
    assert set(result.info) == {"count"}
    assert result.info["count"] == 6


def test_what_is_no_text_of_its_space_is_refused_with_the_reason() -> None:
    with pytest.raises(errors.EnvHubError, match=r"Text\(5\) must be a string, got"):
        envhub.make("gymnasium::tests.host.broken:Wordy-v0")


def test_text_that_is_too_long_is_an_error_of_its_step() -> None:
    env, _ = envhub.make("gymnasium::tests.host.broken:Talking-v0")
    obs, state = env.reset(KEY)
    assert envhub.spaces.decode_text(obs) == "é"
    assert obs.shape == (10,)
    result = env.step(KEY, state, 0)
    assert envhub.spaces.decode_text(result.obs) == "éééé"
    with pytest.raises(errors.HostEnvError, match="at most 10 bytes"):
        env.step(KEY, result.state, 0)


def test_nested_spaces() -> None:
    env, _ = envhub.make("gymnasium::tests.host.broken:Nested-v0")
    obs, _ = env.reset(KEY)
    assert env.observation_space().contains(obs)

    @jax.jit
    @jax.vmap
    def step(key: Any) -> Any:
        _, state = env.reset(key)
        action = env.action_space().sample(key)
        return action, env.step(key, state, action)

    action, result = step(jax.random.split(KEY, 5))
    np.testing.assert_array_equal(result.obs["b"][0], action["go"] - 3)
    np.testing.assert_array_equal(result.obs["b"][1][:, :2], action["turn"])
    assert result.obs["a"].dtype == jnp.uint8


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(errors.MissingDependencyError, match="nowhere"):
        envhub.make("gymnasium::nowhere:Id-v0")
    with pytest.raises(errors.UnknownEnvError, match="Broken-v0"):
        envhub.make("gymnasium::tests.host.broken:Brokem-v0")


def test_max_episode_steps_and_keywords_pass_through() -> None:
    env, _ = envhub.make("gymnasium::FrozenLake-v1", max_episode_steps=3, is_slippery=False)
    _, state = env.reset(KEY)
    for _ in range(3):
        result = env.step(KEY, state, 0)
        state = result.state
    assert result.truncated
    assert not result.terminated
    with pytest.raises(errors.InvalidOptionError, match="is_slippery"):
        envhub.make("gymnasium::FrozenLake-v1", is_slipery=False)


def test_gaps_say_whose_they_are() -> None:
    assert not any(envhub.capabilities("gymnasium::Pusher-v4").as_dict().values())
    with pytest.raises(errors.UnavailableEnvError):
        envhub.make("gymnasium::Pusher-v4")
