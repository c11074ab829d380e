"""What is peculiar to kinetix."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from tests.packages import needed

from ..processes import fresh

own, saving = needed("kinetix.environment"), needed("kinetix.util.saving")
KEY, AIM = jax.random.key(0), "kinetix::s/h4_thrust_aim"
SUITE = registry.get("kinetix")
LARGE = {"static_env_params": own.static_env_params_from_size("l")}


def test_every_level_of_the_package_is_listed() -> None:
    folder = Path(saving.BASE_DIR)
    files = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*.json")]
    assert sorted(map(str, files)) == sorted(SUITE.known_names()) == sorted(SUITE.live_names())


@pytest.mark.parametrize(
    "name",
    [
        "s/h0_weak_thrust",
        pytest.param("m/h14_thrustblock", marks=pytest.mark.full),
        pytest.param("l/h4_cartpole", marks=pytest.mark.full),
    ],
)
def test_whole_episodes_are_its_own(name: str) -> None:
    """With the action that does nothing, random actions, and a limit in between."""
    env, default = envhub.make(f"kinetix::{name}")
    level, sizes, own_params = saving.load_from_json_file(name)
    kinds = own.ActionType.CONTINUOUS, own.ObservationType.SYMBOLIC_FLAT
    its = own.make_kinetix_env(*kinds, None, own_params, sizes, auto_reset=False)
    draw = env.action_space().sample
    ends = set()
    for limit, is_random in ((256, False), (256, True), (7, True)):
        params = default.replace(max_timesteps=limit)
        limited = own_params.replace(max_timesteps=limit)
        obs, state = env.reset(KEY, params)
        seen = its.reset(KEY, limited, level)
        for step in range(limit):
            jax.tree.map(np.testing.assert_array_equal, (obs, state), seen)
            action = draw(jax.random.key(step)) if is_random else jnp.zeros(6)
            obs, state, reward, terminated, truncated, info = env.step(KEY, state, action, params)
            *seen, its_reward, its_done, its_info = its.step(KEY, seen[1], action, limited)
            np.testing.assert_array_equal(reward, its_reward)
            assert (terminated | truncated) == its_done
            assert truncated == (step + 1 == limit)
            jax.tree.map(np.testing.assert_array_equal, info, its_info)
            seen = tuple(seen)
            if its_done:
                break
        jax.tree.map(np.testing.assert_array_equal, (obs, state), seen)
        assert float(state.last_distance) == -1
        ends.add((bool(terminated), bool(truncated)))
    assert (False, True) in ends
    if name == "s/h0_weak_thrust":
        assert (True, False) in ends


def test_what_touches_red_ends_with_a_punishment() -> None:
    """In the step of the limit, both flags are true; the other step has the same reward."""
    env, params = envhub.make("kinetix::s/h0_weak_thrust", dense_reward_scale=0.0)
    _, state = env.reset(KEY, params)
    step = jax.jit(env.step)
    for _ in range(256):
        result = step(KEY, state, jnp.zeros(6), params)
        if result.terminated:
            break
        state = result.state
    assert result.reward == -1
    assert not result.truncated
    both = step(KEY, state, jnp.zeros(6), params.replace(max_timesteps=result.state.timestep))
    assert both.terminated
    assert both.truncated
    assert both.reward == -1


@pytest.mark.parametrize("kind", ["symbolic_flat_padded", "symbolic_entity", "pixels"])
def test_observations_are_its_own_and_lie_in_their_space(kind: str) -> None:
    env, params = envhub.make(AIM, observation_type=kind)
    obs, state = env.reset(KEY, params)
    assert env.observation_space().contains(obs)
    seen = env.unwrapped.get_obs(state)
    its = dict(vars(seen)) if isinstance(obs, dict) else seen
    # XLA rounds the colours of a compiled reset in another way than those of single operations.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    jax.tree.map(close, obs, its)


def test_actions_of_each_type() -> None:
    kinds = ("continuous", "multi_discrete", "discrete")
    made = {kind: envhub.make(AIM, action_type=kind)[0] for kind in kinds}
    assert made["continuous"].action_space() == envhub.spaces.Box(-1.0, 1.0, (6,), np.float32)
    motors_and_thrusters = envhub.spaces.MultiDiscrete([3, 3, 3, 3, 2, 2])
    assert made["multi_discrete"].action_space() == motors_and_thrusters
    assert made["discrete"].action_space() == envhub.spaces.Discrete(11)


def test_levels_of_all_sizes_fit_one_batch() -> None:
    """With the sizes of the largest."""
    names = ("s/h4_thrust_aim", "m/h0_unicycle", "l/h4_cartpole")
    each = [envhub.make(f"kinetix::{name}", **LARGE) for name in names]
    env = each[0][0]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(params for _, params in each))
    obs, states = jax.vmap(env.reset, in_axes=(None, 0))(KEY, batch)
    for lane, (alone, default) in enumerate(each):
        lane_obs, lane_state = jax.tree.map(lambda leaf, at=lane: leaf[at], (obs, states))
        expected_obs, expected_state = alone.reset(KEY, default)
        np.testing.assert_array_equal(lane_obs, expected_obs)
        jax.tree.map(np.testing.assert_array_equal, lane_state, expected_state)


def test_a_level_of_another_size_is_refused() -> None:
    env, params = envhub.make(AIM)
    _, large = envhub.make("kinetix::l/h4_cartpole")
    with pytest.raises(errors.InvalidParamsError, match=r"level\.polygon\.position"):
        env.reset(KEY, params.replace(level=large.level))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"action_type": "pink"}, "action_type must be one of continuous, .*'pink'"),
        ({"observation_type": "blind"}, "observation_type must be one of .*'blind'"),
        ({"static_env_params": 3}, r'static_env_params_from_size\("l"\)'),
        (
            {"static_env_params": own.static_env_params_from_size("s")},
            "needs num_polygons=12, num_circles=4, num_joints=6, num_thrusters=2",
        ),
    ],
)
def test_an_option_that_does_not_fit_is_refused(wrong: Any, reason: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=reason):
        envhub.make("kinetix::l/h4_cartpole", **wrong)


def test_wrap_takes_an_environment_that_draws_its_levels() -> None:
    level, sizes, own_params = saving.load_from_json_file("s/h4_thrust_aim")
    kinds = own.ActionType.DISCRETE, own.ObservationType.SYMBOLIC_FLAT
    first = level.gravity[1]

    def drawn(key: jax.Array) -> Any:
        return level.replace(gravity=level.gravity.at[1].set(first * jax.random.uniform(key)))

    its = own.make_kinetix_env(*kinds, drawn, own_params, sizes)
    env, params = envhub.wrap(its)
    assert params.level is None
    assert env.action_space() == envhub.spaces.Discrete(11)
    obs, state = env.reset(KEY, params)
    jax.tree.map(np.testing.assert_array_equal, (obs, state), its.reset(KEY, own_params))
    other, _ = env.reset(jax.random.key(1), params)
    assert (obs != other).any()


def test_wrap_refuses_an_environment_without_a_level() -> None:
    kinds = own.ActionType.DISCRETE, own.ObservationType.SYMBOLIC_FLAT
    with pytest.raises(errors.InvalidOptionError, match="reset_fn=lambda key: level"):
        envhub.wrap(own.make_kinetix_env(*kinds, None, own.EnvParams(), own.StaticEnvParams()))


def test_the_picture_is_the_right_way_up() -> None:
    env, params = envhub.make(AIM)
    picture = env.render(env.reset(KEY, params)[1], params)
    assert picture.shape == (500, 500, 3)
    assert (picture[0, 0] == 255).all()
    assert (picture[-1] != 255).any(axis=-1).all()  # the floor


def test_nothing_is_printed_or_written(tmp_path: Path) -> None:
    """grain's warning of jax 0.9 makes absl give Python's root logger a handler."""
    program = (
        "import logging, jax, envhub; "
        f"env, params = envhub.make({AIM!r}); "
        "env.render(env.reset(jax.random.key(0), params)[1], params); "
        "assert logging.root.handlers == [], logging.root.handlers"
    )
    # jaxlib 0.9.0 itself prints which features a program of the cache was compiled with.
    own = {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}
    done = fresh(program, cwd=tmp_path, timeout=300, env=own)
    assert (done.stdout, done.stderr) == ("", "")
    assert not list(tmp_path.iterdir())
