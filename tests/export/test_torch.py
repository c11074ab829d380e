"""`to_gymnasium_vec(…, array="torch")`: PyTorch's tensors are the device's own arrays."""

from __future__ import annotations

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.export import to_gymnasium_vec
from envhub.export.exchange import exchange_of
from tests.devices import needs_devices
from tests.packages import needed
from tests.test_forks import in_a_fork

torch = needed("torch")
needed("gymnasium")
NUM = 3


def made(env_id: str, array: Any = "torch") -> Any:
    venv, params = envhub.make_vec(env_id, NUM, autoreset="next_step")
    return to_gymnasium_vec(venv, params, seed=0, array=array)


def pointers(tree: Any) -> list[int]:
    """Where the leaves lie in memory."""
    leaves = jax.tree.leaves(tree)
    if isinstance(leaves[0], jax.Array):
        return [leaf.unsafe_buffer_pointer() for leaf in leaves]
    if isinstance(leaves[0], np.ndarray):
        return [leaf.ctypes.data for leaf in leaves]
    return [leaf.data_ptr() for leaf in leaves]


def test_nothing_is_copied() -> None:
    exchange: Any = exchange_of("torch")
    tree = {
        "float": jnp.arange(6.0).reshape(2, 3),
        "int": jnp.arange(4),
        "bool": jnp.arange(4) > 1,
        "byte": jnp.arange(4, dtype=jnp.uint8),
    }
    tensors = exchange.outwards(tree)
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
    assert pointers(tensors) == pointers(tree)
    back = exchange.inwards(tensors)
    assert pointers(back) == pointers(tree)
    for name, array in tree.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name].numpy(), array)
    action = torch.randn(64, 3, requires_grad=True)
    assert pointers(exchange.inwards(action)) == pointers(action)


def test_actions_of_numpy_are_taken() -> None:
    """TorchRL makes them of its tensors, unless it is told not to."""
    one, other = made("gymnax::Pendulum-v1"), made("gymnax::Pendulum-v1")
    action = np.linspace(-1, 1, NUM)[:, None]
    for env in (one, other):
        env.reset(seed=0)
    found, expected = one.step(action), other.step(torch.from_numpy(action).float())
    assert all(torch.equal(a, b) for a, b in zip(found[:4], expected[:4], strict=True))


def test_what_cannot_be_shared_is_copied() -> None:
    exchange: Any = exchange_of("torch")
    long, strided = torch.arange(3), torch.arange(6.0)[::2]
    assert jnp.asarray(exchange.inwards(long)).dtype == np.int32
    for tensor in (long, strided):
        np.testing.assert_array_equal(exchange.inwards(tensor), tensor.numpy())
    half = torch.ones(3, dtype=torch.bfloat16)  # which NumPy has not
    assert exchange.inwards(half).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "env_id", ["gymnax::Pendulum-v1", "gymnax::CartPole-v1", "gymnasium::FrozenLake-v1"]
)
def test_an_episode_in_tensors_is_the_one_in_arrays(env_id: str) -> None:
    tensors, arrays = made(env_id), made(env_id, "jax")
    shown, expected = tensors.reset(seed=1), arrays.reset(seed=1)
    tensors.action_space.seed(0)
    for _ in range(12):
        leaves = jax.tree.leaves(shown)
        assert all(isinstance(leaf, torch.Tensor) for leaf in leaves)
        for one, other in zip(leaves, jax.tree.leaves(expected), strict=True):
            assert str(one.dtype).endswith(str(other.dtype))
            np.testing.assert_array_equal(one.numpy(), other)
        action = tensors.action_space.sample()
        shown = tensors.step(torch.from_numpy(action))
        expected = arrays.step(jnp.asarray(action))


def test_tensors_may_be_written_to() -> None:
    touched, untouched = made("gymnax::Pendulum-v1"), made("gymnax::Pendulum-v1")
    obs, _ = touched.reset(seed=1)
    untouched.reset(seed=1)
    action = torch.ones(NUM, 1)
    for _ in range(3):
        obs[:] = np.nan
        obs, reward, terminated, truncated, info = touched.step(action)
        action[:] = np.nan  # it was read
        expected = untouched.step(torch.ones(NUM, 1))
        assert torch.equal(obs, expected[0])
        for each in (reward, terminated, truncated, *jax.tree.leaves(info)):
            each[:] = 1
        action[:] = 1
    held = set(pointers(touched.driver.state) + pointers([touched.driver.obs]))
    assert not held & set(pointers([obs, reward, info]))


def test_an_action_that_does_not_fit_is_an_error() -> None:
    env = made("gymnax::Pendulum-v1")
    env.reset()
    for wrong in (torch.zeros(NUM, 2), torch.zeros(NUM, 1, dtype=torch.complex64), np.zeros(3)):
        with pytest.raises(errors.InvalidActionError):
            env.step(wrong)
    env.step(torch.zeros(NUM, 1))


@pytest.mark.parametrize("array", ["torch", "jax"])
@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_it_travels_and_a_fork_is_told_to_spawn(array: Any) -> None:
    env, action = made("gymnax::Pendulum-v1", array), np.zeros((NUM, 1), np.float32)
    env.reset()
    again = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(again.step(action)[0], env.step(action)[0])
    for call in (env.reset, lambda: env.step(action), lambda: env.step(torch.zeros(NUM, 1))):
        assert "spawn" in in_a_fork(call)


@needs_devices(2)
def test_several_devices_have_no_tensor() -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("devices",))
    venv, params = envhub.make_vec("gymnax::Pendulum-v1", 2, mesh=mesh)
    with pytest.raises(errors.InvalidOptionError, match="mesh"):
        to_gymnasium_vec(venv, params, array="torch")
