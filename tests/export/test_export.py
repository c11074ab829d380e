"""What all exports share: imports, refusals, and the way of arrays to the host."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, export, registry
from envhub.export import (
    brax,
    dm_env,
    gymnasium,
    gymnasium_vec,
    gymnax,
    pettingzoo,
    sb3,
    stoa,
    torchrl,
)
from envhub.export.packing import pack, unpacker

from ..processes import fresh

OF_ONE = [export.to_gymnasium, export.to_gymnax, export.to_dm_env, export.to_brax, export.to_stoa]

OF_BATCHES = {"gymnasium_vec", "sb3", "torchrl"}
# What is imported, and what is installed.
OF_NO_SUITE = {
    "dm_env": ("dm_env", "dm-env"),
    "pettingzoo": ("pettingzoo", "pettingzoo"),
    "sb3": ("stable_baselines3", "stable-baselines3"),
    "stoa": ("stoa", "stoa-env"),
    "torchrl": ("torchrl", "torchrl"),
}


def test_importing_it_imports_no_other_library() -> None:
    code = "import json, sys, envhub.export; print(json.dumps(sorted(sys.modules)))"
    done = fresh(code)
    modules = set(json.loads(done.stdout))
    assert "envhub.export.brax" in modules
    suites = {registry.get(name).module for name in registry.BUILTIN}
    assert not modules & (suites | {"flax"} | {package for package, _ in OF_NO_SUITE.values()})


@pytest.mark.parametrize(
    ("module", "suite", "env_id"),
    [
        (gymnasium, "gymnasium", "gymnax::CartPole-v1"),
        (gymnasium_vec, "gymnasium", "gymnax::CartPole-v1"),
        (gymnax, "gymnax", "gymnasium::CartPole-v1"),
        (brax, "brax", "gymnax::Pendulum-v1"),
        (dm_env, None, "gymnax::CartPole-v1"),
        (pettingzoo, None, "jumanji::LevelBasedForaging-v0"),
        (sb3, None, "gymnax::CartPole-v1"),
        (stoa, None, "gymnax::CartPole-v1"),
        (torchrl, None, "gymnax::CartPole-v1"),
    ],
)
def test_a_missing_package_is_named_with_the_command(
    module: Any, suite: str | None, env_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = module.__name__.rpartition(".")[2]
    made = envhub.make_vec(env_id, 2) if name in OF_BATCHES else envhub.make(env_id)
    if suite:
        monkeypatch.setattr(type(registry.get(suite)), "installed", lambda self: None)
        command = rf'pip install "envhub-rl\[{suite}\]"'
    else:
        package, distribution = OF_NO_SUITE[name]
        monkeypatch.setitem(sys.modules, package, None)
        command = f"pip install {distribution}"
    for made_once in vars(module).values():  # the class, which was made where the package is
        if hasattr(made_once, "cache_clear"):
            made_once.cache_clear()
    with pytest.raises(errors.MissingDependencyError, match=command):
        getattr(export, f"to_{name}")(*made)


@pytest.mark.parametrize("convert", OF_ONE)
def test_what_has_no_form_elsewhere_is_refused(
    convert: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.InvalidOptionError, match="to_gymnasium_vec"):
        convert(*envhub.make_vec("gymnax::Pendulum-v1", 2))
    with pytest.raises(errors.InvalidOptionError, match="AutoReset"):
        convert(*envhub.make("gymnax::Pendulum-v1", autoreset="same_step"))
    env, params = envhub.make("gymnax::Pendulum-v1")
    monkeypatch.setattr(env, "num_agents", 2)
    with pytest.raises(errors.InvalidOptionError, match=r"has 2\."):
        convert(env, params)


def test_packed_arrays_come_back() -> None:
    tree = {
        "flag": jnp.array([True, False, True]),
        "byte": jnp.arange(5, dtype=jnp.uint8),
        "half": jnp.float16(1.5),
        "pair": (jnp.arange(6.0).reshape(2, 3), jnp.int32(-7)),
        "none": jnp.zeros((0, 2), jnp.int16),
        "large": jnp.arange(5000, dtype=jnp.int16),
    }
    packed = jax.jit(pack)(tree)
    assert [array.dtype for array in packed] == [np.int16, np.uint8]
    back = unpacker(jax.eval_shape(lambda: tree))(packed)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(tree), strict=True):
        assert type(one) is np.ndarray
        assert one.flags.writeable
        assert one.flags.aligned
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
