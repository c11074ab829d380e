"""What is peculiar to craftax."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import envhub
from envhub import registry

from ..processes import fresh

SUITE = registry.get("craftax")
CLASSIC = "craftax::Craftax-Classic-Symbolic-v1"


@pytest.mark.slow
def test_death_terminates_and_a_time_limit_truncates() -> None:
    env, params = envhub.make(CLASSIC, max_timesteps=1)
    _, state = env.reset(jax.random.key(0), params)
    step = jax.jit(env.step)
    cut = step(jax.random.key(1), state, 0, params)
    assert (bool(cut.terminated), bool(cut.truncated)) == (False, True)
    # Dying of hunger is a matter of health, whatever the clock says.
    dying = state.replace(player_health=jnp.zeros_like(state.player_health))
    dead = step(jax.random.key(1), dying, 0, params.replace(max_timesteps=10_000))
    assert (bool(dead.terminated), bool(dead.truncated)) == (True, False)


def test_static_params_make_another_world() -> None:
    env, _ = envhub.make(CLASSIC)
    static = type(env.unwrapped).default_static_params().replace(map_size=(32, 32))
    small, params = envhub.make(CLASSIC, static_env_params=static)
    shapes = jax.eval_shape(small.reset, jax.random.key(0), params)
    assert shapes[1].map.shape == (32, 32)


def test_late_values_lie_in_the_space_of_full_craftax() -> None:
    env, params = envhub.make("craftax::Craftax-Symbolic-v1")
    space = env.observation_space(params)
    late = jnp.zeros(space.shape).at[-1].set(3.0)  # an enchantment, or a level
    assert space.contains(late)
    assert not space.contains(jnp.zeros(space.shape).at[0].set(3.0))


# The first use of full Craftax's pixels takes two minutes; before 1.6 they have another shape.
LATER = [pytest.mark.full] if SUITE.at_least("1.6") else []
NAMES = [
    pytest.param(name, marks=LATER if name == "Craftax-Pixels-v1" else [])
    for name in SUITE.known_names()
]


@pytest.mark.parametrize("name", NAMES)
def test_the_space_has_the_shape_of_the_observation(name: str) -> None:
    env, params = envhub.make(f"craftax::{name}")
    obs, _ = jax.eval_shape(env.unwrapped.reset_env, jax.random.key(0), params)
    assert env.observation_space(params).shape == obs.shape


@pytest.mark.parametrize("name", ["Craftax-Symbolic-v1", "Craftax-Classic-Symbolic-v1"])
@pytest.mark.slow
def test_whoever_lost_more_than_all_health_is_in_the_space(name: str) -> None:
    env, params = envhub.make(f"craftax::{name}")
    space, (obs, state) = env.observation_space(params), env.reset(jax.random.key(0), params)
    health = -3 * jnp.ones_like(state.player_health)
    symbols = SUITE.load("craftax_classic.renderer" if "Classic" in name else "craftax.renderer")
    dead = symbols.render_craftax_symbolic(state.replace(player_health=health))
    assert dead.min() < 0
    assert space.contains(dead.astype(obs.dtype))
    assert not space.contains(obs.at[0].set(-0.3))


@pytest.mark.skipif(not SUITE.at_least("1.6"), reason="craftax <1.6 ships or makes them on import")
def test_textures_go_to_the_users_cache_and_nothing_is_printed(tmp_path: Path) -> None:
    """Small stand-ins for the textures' slow processing, in a process of its own."""
    program = """
import envhub
from envhub import registry
suite = registry.get("craftax")
constants = suite.load("craftax_classic.constants")
constants.TEXTURE_CACHE_FILE = "/nowhere/read-only/texture_cache.pbz2"
constants.load_all_textures_given_size = lambda size: {"full_map_block_textures": size}
constants.load_all_textures.cache_clear()
suite.prepare_textures("craftax_classic")
print(constants.TEXTURE_CACHE_FILE)
"""
    environ = {**__import__("os").environ, "XDG_CACHE_HOME": str(tmp_path)}
    done = fresh(program, env=environ, timeout=300)
    kept = tmp_path / "envhub" / f"craftax-{SUITE.installed()}-craftax_classic.pbz2"
    assert done.stdout.strip() == str(kept)
    assert kept.stat().st_size
    assert list(kept.parent.iterdir()) == [kept]
