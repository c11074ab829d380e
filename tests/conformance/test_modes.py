"""JAX's modes: an environment of each suite works in them, see `docs/contract.md`, section 2."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import envhub
from envhub import errors, registry
from tests.devices import NUM_DEVICES, why_not
from tests.wide import wide_numbers

from .stacks import BASES, CATALOG

MODES = {
    "disable_jit": jax.disable_jit,
    "debug_key_reuse": lambda: jax.debug_key_reuse(True),
    "numpy_rank_promotion": lambda: jax.numpy_rank_promotion("raise"),
    "transfer_guard": lambda: jax.transfer_guard("disallow"),
    "rbg": lambda: jax.default_prng_impl("rbg"),
}
# The default run examines one in JAX and one on the host.
CHEAP = ("gymnax", "gymnasium")
SUITES = [
    pytest.param(suite, marks=() if suite in CHEAP else pytest.mark.full)
    for suite in registry.BUILTIN
    if registry.get(suite).installed()
]
KEY = jax.random.key(0)
LANES = 2


def programs(keys: Any, suite: str) -> list[Any]:
    """What one environment, a batch and a rollout show."""
    name, options = BASES[suite]
    env_id = f"{suite}::{name}"
    env, params = envhub.make(env_id, **options)
    obs, state = env.reset(keys[0])
    one = env.step(keys[2], state, env.action_space(params).sample(keys[1]), params)
    venv, _ = envhub.make_vec(env_id, LANES, **options)
    _, states = venv.reset(keys[3])
    many = venv.step(keys[5], states, venv.action_space().sample(keys[4]))
    shown = [obs, one.obs, one.reward, many.obs, many.info]
    if suite != "craftax":  # whose step takes long to compile once more; the scan is the hub's own
        trajectory = envhub.rollout(venv, None, None, keys[6], 2)
        shown += [trajectory.obs, trajectory.reward]
    return jax.tree.leaves(jax.device_get(shown))


@functools.cache
def in_no_mode(suite: str) -> list[Any]:
    """What the programs of each mode are compared with."""
    return programs(list(jax.random.split(KEY, 7)), suite)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.slow
def test_what_is_shown_is_the_same_in_every_mode(suite: str, mode: str) -> None:
    expected = in_no_mode(suite)
    with contextlib.nullcontext() if mode == "transfer_guard" else MODES[mode]():
        keys = list(jax.random.split(jax.random.key(0), 7))
    with MODES[mode]():
        found = programs(keys, suite)
    for ours, other in zip(expected, found, strict=True):
        assert (ours.shape, ours.dtype) == (other.shape, other.dtype)
        if mode != "rbg":  # another generator
            np.testing.assert_allclose(ours, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("suite", SUITES)
def test_a_program_of_the_callers_is_checked_for_keys_used_twice(suite: str) -> None:
    """Whatever the suite does with its own: a call is one use of the key that it is given."""
    name, options = BASES[suite]
    venv, _ = envhub.make_vec(f"{suite}::{name}", LANES, **options)

    def program(key: Any, is_reused: bool) -> Any:
        first, second, third, fourth, fifth = jax.random.split(key, 5)
        actions = venv.action_space().sample(second)
        _, states = venv.reset(first)
        once = venv.step(first if is_reused else third, states, actions)
        other = venv.step(fourth, states, actions)  # from the very same states
        chosen = jax.tree.map(functools.partial(jnp.where, True), once.state, other.state)
        return envhub.rollout(venv, None, None, fifth, 2, state=(once.obs, chosen)).obs

    with jax.debug_key_reuse(True):
        jax.jit(functools.partial(program, is_reused=False)).trace(KEY)
        with pytest.raises(jax.errors.KeyReuseError):
            jax.jit(functools.partial(program, is_reused=True)).trace(KEY)


@pytest.mark.parametrize("mode", ["same_step", "next_step"])
def test_an_automatic_reset_uses_no_key_twice(mode: Any) -> None:
    """Its own code, which the check looks into where the hub does not call it."""
    env, params = envhub.make("gymnax::CartPole-v1", autoreset=mode)
    with jax.debug_key_reuse(True):
        _, state = jax.jit(env.reset_env)(jax.random.key(0), params)
        jax.jit(jax.vmap(env.step_env, in_axes=(0, None, None, None)))(
            jax.random.split(jax.random.key(1)), state, 1, params
        )


def test_what_the_check_of_keys_does_not_look_into_has_its_derivatives() -> None:
    env, params = envhub.make("gymnasium::phys2d/Pendulum-v0")
    _, state = env.reset(KEY, params)

    def shown(action: Any, key: Any) -> Any:
        return env.step(key, state, action, params).obs.sum()

    action = jnp.ones(1)
    for derivative in (jax.grad(shown), jax.hessian(shown), jax.jacfwd(shown)):
        expected = jax.jit(derivative)(action, KEY)
        with jax.debug_key_reuse(True):
            np.testing.assert_allclose(jax.jit(derivative)(action, jax.random.key(0)), expected)


@pytest.mark.parametrize("mode", [None, "same_step", "next_step"])
def test_a_batch_of_any_size_is_exported(mode: Any) -> None:
    env, _ = envhub.make("gymnax::CartPole-v1", autoreset=mode, max_steps_in_episode=2)
    number = export.symbolic_shape("n")[0]

    def step(keys: Any, states: Any, actions: Any) -> Any:
        result = jax.vmap(env.step)(jax.random.wrap_key_data(keys), states, actions)
        return result.obs, result.state

    keys = jax.random.split(KEY, 5)
    given = jax.random.key_data(keys), jax.vmap(env.reset)(keys)[1], jnp.ones(5, int)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((number, *leaf.shape[1:]), leaf.dtype), given
    )
    exported = export.export(jax.jit(step))(*shapes)
    for _ in range(3):
        found, expected = exported.call(*given), jax.jit(step)(*given)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), found, expected)
        given = (given[0], expected[1], given[2])


@pytest.mark.parametrize("mode", [None, "same_step"])
@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_takes_a_batch_of_any_size_or_is_refused(suite: str, mode: Any) -> None:
    """Traced with a symbolic size; what is on the host is refused by the export itself."""
    name, options = BASES[suite]
    env, _ = envhub.make(f"{suite}::{name}", autoreset=mode, **options)
    if not env.capabilities.jax_native:
        with pytest.raises(errors.HostEnvError, match=f"{suite}::{name} cannot be exported"):
            export.export(jax.jit(env.reset))(KEY)
        return
    number = export.symbolic_shape("n")[0]
    keys = jax.eval_shape(lambda: jax.random.split(KEY, 5))
    given = (
        keys,
        *(
            jax.eval_shape(jax.vmap(function), keys)
            for function in (lambda key: env.reset(key)[1], env.action_space().sample)
        ),
    )
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((number, *leaf.shape[1:]), leaf.dtype), given
    )
    result = jax.eval_shape(jax.vmap(env.step), *shapes)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(result)} == {number}


explicit_axes = pytest.mark.skipif(
    NUM_DEVICES < 2 or not hasattr(jax, "set_mesh"),
    reason=why_not(2) if NUM_DEVICES < 2 else "this jax has no explicit axes",
)


def explicit_mesh() -> tuple[Any, Any]:
    """A mesh of two devices whose axis is explicit, and what is split over it."""
    sharding: Any = jax.sharding
    kind, spec = sharding.AxisType.Explicit, sharding.PartitionSpec("lanes")
    mesh = jax.make_mesh((2,), ("lanes",), axis_types=(kind,), devices=jax.devices()[:2])
    return mesh, sharding.NamedSharding(mesh, spec)


@explicit_axes
@pytest.mark.parametrize("mode", [None, "same_step", "next_step"])
def test_a_batch_that_explicit_axes_split_is_reset_where_episodes_end(mode: Any) -> None:
    mesh, place = explicit_mesh()
    env, _ = envhub.make("gymnax::CartPole-v1", autoreset=mode, max_steps_in_episode=2)
    keys = jax.random.split(KEY, 4)
    states, actions = jax.vmap(env.reset)(keys)[1], jnp.ones(4, int)
    step = jax.jit(jax.vmap(env.step))
    with jax.set_mesh(mesh):
        split = [jax.device_put(tree, place) for tree in (keys, states, actions)]
    for _ in range(3):
        expected = step(keys, states, actions)
        with jax.set_mesh(mesh):
            found = step(*split)
            split[1] = jax.device_put(found.state, place)
        states = expected.state
        np.testing.assert_allclose(found.obs, expected.obs, rtol=1e-6)
        assert found.obs.sharding.spec[0] == "lanes"


SPLIT = ("gymnax", "brax")  # jax 0.10 cannot split the others: see `_inputs.check_split`


@explicit_axes
@pytest.mark.parametrize("mode", [None, "same_step"])
@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(suite, marks=() if suite in (*CHEAP, "jumanji") else pytest.mark.full)
        for suite in registry.BUILTIN
        if registry.get(suite).installed()
    ],
)
def test_explicit_axes_split_an_environment_or_are_refused(suite: str, mode: Any) -> None:
    """Traced: what JAX refuses, it refuses there."""
    mesh, place = explicit_mesh()
    name, options = BASES[suite]
    env, _ = envhub.make(f"{suite}::{name}", autoreset=mode, **options)
    venv, _ = envhub.make_vec(f"{suite}::{name}", 4, autoreset=mode, mesh=mesh, **options)
    keys = jax.random.split(KEY, 4)
    states = jax.eval_shape(jax.vmap(env.reset), keys)[1]
    given = keys, states, jax.eval_shape(jax.vmap(env.action_space().sample), keys)
    split = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), given
    )
    native = env.capabilities.jax_native
    refusal = errors.MissingCapabilityError if native else errors.HostEnvError
    for method, arguments in ((env.reset, split[:1]), (env.step, split)):
        refused = ""
        try:
            with jax.set_mesh(mesh):
                obs, *_ = jax.eval_shape(jax.vmap(method), *arguments)
        except refusal as error:
            refused = str(error)
        if suite in SPLIT:
            assert not refused
        elif refused or not native:
            assert f"{suite}::{name}" in refused
            assert "make_vec(…, mesh=mesh)" in refused
        if not refused:
            assert {leaf.sharding.spec[0] for leaf in jax.tree.leaves(obs)} == {"lanes"}
    # What the refusal advises:
    _, states = jax.eval_shape(venv.reset, KEY)
    result = jax.eval_shape(venv.step, KEY, states, jax.eval_shape(venv.action_space().sample, KEY))
    assert {leaf.sharding.spec[0] for leaf in jax.tree.leaves(result.obs)} == {"lanes"}


BROKEN_IN_X64 = ("craftax", "navix")  # and jumanji's Maze-v0 of `BASES`
IN_X64 = {**BASES, "jumanji": ("Snake-v1", {})}


@pytest.mark.parametrize("suite", SUITES)
def test_wrappers_keep_their_dtypes_in_x64_mode(suite: str) -> None:
    """Traced, of all wrappers; what does not survive the mode itself is refused."""
    narrow = dtypes_under_wrappers(suite)
    assert len(narrow) >= 20
    with wide_numbers():
        if suite in BROKEN_IN_X64:
            with pytest.raises(errors.UnavailableEnvError, match="x64"):
                dtypes_under_wrappers(suite)
        else:
            assert dtypes_under_wrappers(suite) == narrow


def dtypes_under_wrappers(suite: str) -> dict[str, Any]:
    """By the name of a wrapper those of what a step shows, and of what it adds to `info`."""
    name, options = IN_X64[suite]
    env, _ = envhub.make(f"{suite}::{name}", **options)
    plain, found = step_shapes(env), {}
    for wrapper, wrap in CATALOG.items():
        made: Any = wrap
        with contextlib.suppress(errors.InvalidOptionError):
            result = step_shapes(made(env))
            own = {key: value for key, value in result.info.items() if key not in plain.info}
            shown = result.obs, result.reward, result.terminated, result.truncated, own
            found[wrapper] = jax.tree.map(lambda leaf: leaf.dtype, shown)
    return found


def step_shapes(env: envhub.Environment) -> Any:
    action = jax.eval_shape(env.action_space().sample, KEY)
    return jax.eval_shape(env.step, KEY, env.reset_shapes[1], action)
