"""Environments are values: copied, pickled, compared, described and made again."""

from __future__ import annotations

import concurrent.futures
import copy
import functools
import logging
import multiprocessing
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, registry, spaces, wrappers
from envhub.export import to_brax, to_dm_env, to_gymnasium, to_gymnasium_vec, to_gymnax
from envhub.wrappers._statistics import Statistics

KEY = jax.random.key(0)  # a typed one, which some states keep
CARTPOLE = "gymnax::CartPole-v1"

EVERY_SUITE = {
    "ale": ("ale::pong", {"forkable": True, "noop_max": 0}),
    "brax": ("brax::fast", {"episode_length": 20}),
    "craftax": ("craftax::Craftax-Classic-Symbolic-v1", {"max_timesteps": 20}),
    "gymnasium": ("gymnasium::Hopper-v5", {"max_episode_steps": 20}),
    "gymnax": (CARTPOLE, {"gravity": 9.0}),
    "jumanji": ("jumanji::Snake-v1", {"time_limit": 20, "num_rows": 6}),
    "navix": ("navix::Navix-Empty-5x5-v0", {"max_steps": 20}),
    "pufferlib": ("pufferlib::CartPole-v1", {}),
}
of_every_suite = pytest.mark.parametrize(
    "suite",
    [pytest.param(name, marks=[pytest.mark.full] * (name == "craftax")) for name in EVERY_SUITE],
)


@functools.cache
def made(suite: str) -> tuple[envhub.Environment, Any]:
    if registry.get(suite).installed() is None:
        pytest.skip(reason=f"{suite} is not installed")
    env_id, options = EVERY_SUITE[suite]
    return envhub.make(env_id, wrappers=[wrappers.RecordEpisodeStatistics], **options)


@functools.cache
def started(suite: str) -> tuple[Any, Any]:
    """A state, and an action there."""
    env, params = made(suite)
    return env.reset(KEY, params)[1], env.action_space(params).sample(KEY)


def plain(tree: Any) -> list[Any]:
    """The leaves as NumPy arrays, of keys their data."""

    def data(leaf: Any) -> Any:
        is_key = jnp.issubdtype(getattr(leaf, "dtype", bool), jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    return list(map(data, jax.tree.leaves(tree)))


def same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(plain(one), plain(other), strict=True):
        np.testing.assert_array_equal(a, b)


def seen(result: envhub.StepResult) -> Any:
    """What a step shows; the state on the host names another instance."""
    return result._replace(state=None)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        yield pool


def go_on(env: Any, params: Any, state: Any, action: Any) -> tuple[Any, Any]:
    """In the other process."""
    result = env.step(KEY, state, action, params)
    again, _ = env.spec.make()
    is_native = env.capabilities.jax_native
    assert (env == again, hash(env) == hash(again)) == (is_native, is_native)
    return env.spec, jax.device_get(seen(result))


@of_every_suite
@pytest.mark.slow
def test_an_environment_goes_on_in_another_process(
    suite: str, elsewhere: concurrent.futures.ProcessPoolExecutor
) -> None:
    (env, params), (state, action) = made(suite), started(suite)
    assert env.capabilities.checkpointable
    spec, found = elsewhere.submit(go_on, env, params, state, action).result()
    assert spec == env.spec
    same(found, seen(env.step(KEY, state, action, params)))


def reset_of(env: Any, key: Any, params: Any) -> Any:
    return jax.device_get(env.reset(key, params)[0])


def test_what_has_no_snapshots_begins_anew_elsewhere(
    elsewhere: concurrent.futures.ProcessPoolExecutor,
) -> None:
    env, params = envhub.make("gymnasium::CartPole-v1", forkable=False)
    obs, state = env.reset(KEY, params)
    same(elsewhere.submit(reset_of, env, KEY, params).result(), obs)
    with pytest.raises(errors.StaleStateError, match="in another process"):
        elsewhere.submit(go_on, env, params, state, 1).result()


@of_every_suite
@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle"])
def test_everything_of_a_suite_can_be_pickled(suite: str, pickler: str) -> None:
    module = pytest.importorskip(pickler, reason=f"{pickler} is not installed")
    (env, params), (state, _) = made(suite), started(suite)
    for value in (params, state):
        same(module.loads(module.dumps(value)), value)
    assert module.loads(module.dumps(env.spec)) == env.spec
    other = module.loads(module.dumps(env))
    assert (other == env) == env.capabilities.jax_native
    assert str(other) == str(env)
    same(other.default_params, env.default_params)


@of_every_suite
def test_flax_keeps_states_and_params(suite: str) -> None:
    serialization = pytest.importorskip("flax.serialization", reason="flax is not installed")
    (env, params), (state, action) = made(suite), started(suite)
    for value in (params, state):
        same(serialization.from_bytes(value, serialization.to_bytes(value)), value)
    kept = serialization.from_bytes(state, serialization.to_bytes(state))
    same(seen(env.step(KEY, kept, action, params)), seen(env.step(KEY, state, action, params)))


def flax_after_envhub() -> list[str]:
    """In a fresh process: flax is imported when states are there already."""
    import sys

    env, params = envhub.make("gymnasium::CartPole-v1", wrappers=[FRAMES])
    _, state = env.reset(KEY, params)
    before = [name for name in sys.modules if name.split(".")[0] == "flax"]
    from flax import serialization

    for value in (params, state):
        same(serialization.from_bytes(value, serialization.to_bytes(value)), value)
    return before


def test_flax_may_be_imported_afterwards() -> None:
    pytest.importorskip("flax", reason="flax is not installed")
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert pool.submit(flax_after_envhub).result() == []


@of_every_suite
def test_a_copy_is_the_environment(suite: str) -> None:
    env, _ = made(suite)
    assert copy.copy(env) is env
    assert copy.deepcopy({"env": env})["env"] is env
    assert copy.deepcopy(env.spec) == env.spec == copy.copy(env.spec)


# Functions that pickle finds by their names.


def mask(obs: Any, state: Any, params: Any) -> Any:
    return jnp.ones(2, bool)


def halve(value: Any) -> Any:
    return value / 2


def every_third(episode: int) -> bool:
    return episode % 3 == 0


RGB = ("navix::Navix-Empty-5x5-v0", {"observation_fn": "rgb"})
PENDULUM = ("gymnax::Pendulum-v1", {})
POLE = (CARTPOLE, {})
FRAMES = wrappers.FrameStackObservation(stack_size=3)
TIME = wrappers.TimeAwareObservation(flatten=False)
STACKS: dict[str, tuple[Any, list[Any]]] = {
    "ActionMask": (POLE, [wrappers.ActionMask(mask_fn=mask)]),
    "AddActionToObservation": (POLE, [wrappers.AddActionToObservation]),
    "AddRewardToObservation": (POLE, [wrappers.AddRewardToObservation]),
    "AutoReset": (POLE, [wrappers.AutoReset(mode="next_step")]),
    "ClipAction": (PENDULUM, [wrappers.ClipAction]),
    "ClipReward": (POLE, [wrappers.ClipReward(min_reward=-0.5, max_reward=0.5)]),
    "DelayObservation": (POLE, [wrappers.DelayObservation(delay=2)]),
    "DiscretizeAction": (PENDULUM, [wrappers.DiscretizeAction(bins=3)]),
    "DiscretizeObservation": (PENDULUM, [wrappers.DiscretizeObservation(bins=3)]),
    "DtypeObservation": (POLE, [wrappers.DtypeObservation(dtype=np.float16)]),
    "EpisodeDiscount": (POLE, [wrappers.EpisodeDiscount]),
    "EpisodicLife": (("ale::breakout", {"engine": "python"}), [wrappers.EpisodicLife]),
    "FilterObservation": (POLE, [TIME, wrappers.FilterObservation(filter_keys=["obs"])]),
    "FireReset": (POLE, [wrappers.FireReset(fire_action=0)]),
    "FlattenAction": (("jumanji::Minesweeper-v0", {}), [wrappers.FlattenAction]),
    "FlattenObservation": (POLE, [wrappers.FlattenObservation]),
    "FlickeringObservation": (POLE, [wrappers.FlickeringObservation(probability=0.1)]),
    "FrameStackObservation": (POLE, [FRAMES]),
    "GrayscaleObservation": (RGB, [wrappers.GrayscaleObservation]),
    "MaskObservation": (POLE, [wrappers.MaskObservation(keep=np.array([0, 1]))]),
    "MaxAndSkipObservation": (POLE, [wrappers.MaxAndSkipObservation(skip=2)]),
    "NoisyObservation": (POLE, [wrappers.NoisyObservation(scale=0.1)]),
    "NormalizeObservation": (
        POLE,
        [
            wrappers.NormalizeObservation(
                statistics=Statistics(
                    np.zeros(4, np.float32), np.ones(4, np.float32), np.float32(1)
                )
            )
        ],
    ),
    "NormalizeReward": (POLE, [wrappers.NormalizeReward]),
    "PeriodicObservation": (POLE, [wrappers.PeriodicObservation(angles=[0])]),
    "RecordEpisodeStatistics": (POLE, [wrappers.RecordEpisodeStatistics]),
    "RepeatAction": (POLE, [wrappers.RepeatAction(num_repeats=2)]),
    "RescaleAction": (PENDULUM, [wrappers.RescaleAction]),
    "RescaleObservation": (
        ("gymnax::MountainCar-v0", {}),
        [wrappers.RescaleObservation(min_obs=-1.0, max_obs=1.0)],
    ),
    "ReshapeObservation": (POLE, [wrappers.ReshapeObservation(shape=(2, 2))]),
    "ResizeObservation": (RGB, [wrappers.ResizeObservation(shape=(21, 21))]),
    "ScaleReward": (POLE, [wrappers.ScaleReward(scale=0.5)]),
    "StickyAction": (POLE, [wrappers.StickyAction(repeat_action_probability=0.25)]),
    "TimeAwareObservation": (POLE, [TIME]),
    "TimeLimit": (POLE, [wrappers.TimeLimit(max_episode_steps=9)]),
    "ToFloat": (RGB, [wrappers.ToFloat]),
    "TransformAction": (PENDULUM, [wrappers.TransformAction(func=halve)]),
    "TransformObservation": (
        POLE,
        [wrappers.TransformObservation(func=halve, observation_space=spaces.Box(-9, 9, (4,)))],
    ),
    "TransformReward": (POLE, [wrappers.TransformReward(func=halve)]),
}


def test_every_wrapper_is_examined() -> None:
    assert {*STACKS, "RecordVideo"} == set(wrappers.__all__)


@pytest.mark.parametrize("name", STACKS)
def test_a_wrapped_environment_is_made_again(name: str) -> None:
    (env_id, options), stack = STACKS[name]
    try:
        env, _ = envhub.make(env_id, wrappers=stack, **options)
    except errors.MissingDependencyError as error:
        pytest.skip(reason=str(error))
    is_native = env.capabilities.jax_native
    again, _ = env.spec.make()
    text = env.spec.to_json()
    assert envhub.EnvSpec.from_json(text) == env.spec
    for other in (again, pickle.loads(pickle.dumps(env))):
        assert (other == env) == is_native
        assert other.spec == env.spec
        assert str(other) == str(env)
        assert name in str(env)
    different, _ = envhub.make(env_id, wrappers=[*stack, wrappers.EpisodeDiscount], **options)
    assert different != env
    assert different.spec != env.spec


def test_a_recorder_is_made_again(tmp_path: Any) -> None:
    pytest.importorskip("av", reason="av is not installed")
    folder = tmp_path / "videos"
    record = wrappers.RecordVideo(video_folder=folder, episode_trigger=every_third)
    env, _ = envhub.make("gymnasium::CartPole-v1", wrappers=[record])
    other = pickle.loads(pickle.dumps(env))
    assert other.spec == env.spec == envhub.EnvSpec.from_json(env.spec.to_json())
    assert other.episode_trigger(3)
    assert other != env


def test_wrapped_by_hand_is_wrapped_by_make() -> None:
    inside, _ = envhub.make(CARTPOLE)
    by_hand = wrappers.AutoReset(wrappers.TimeLimit(inside, 5))
    made, _ = envhub.make(
        CARTPOLE, wrappers=[wrappers.TimeLimit(max_episode_steps=5)], autoreset="same_step"
    )
    assert by_hand == made
    assert by_hand != wrappers.AutoReset(wrappers.TimeLimit(inside, 6))
    assert by_hand.spec.make()[0] == made
    assert by_hand.spec.recreatable


# --- What cannot travel


def test_what_cannot_travel_says_so_and_names_the_fix() -> None:
    gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")
    inside, _ = envhub.make(CARTPOLE)
    env = wrappers.TransformReward(inside, lambda reward: reward / 2)
    with pytest.raises(errors.UnpicklableError, match=r"func=.*top level of a module"):
        pickle.dumps(env)
    for spec in (env.spec, env.spec.wrappers[0]):
        with pytest.raises(errors.UnpicklableError, match=r"func.*top level of a module"):
            pickle.dumps(spec)
        assert cloudpickle.loads(cloudpickle.dumps(spec)).__class__ is spec.__class__
        assert copy.deepcopy(spec) is copy.copy(spec) is spec
    with pytest.raises(errors.InvalidOptionError, match=r"func=.*top level of a module"):
        env.spec.to_json()
    other = cloudpickle.loads(cloudpickle.dumps(env))  # which takes functions by their code
    result = other.step(KEY, other.reset(KEY)[1], 0)
    assert result.reward == 0.5
    live = gymnasium.make("CartPole-v1").unwrapped
    live.spec = None
    one, _ = envhub.wrap(live)
    with pytest.raises(errors.UnpicklableError, match=r"envhub\.wrap a function that makes it"):
        pickle.dumps(one)
    with pytest.raises(errors.InvalidOptionError, match=r"envhub\.wrap a function that makes it"):
        one.spec.make()
    with pytest.raises(errors.UnpicklableError, match="top level of a module"):
        pickle.dumps(envhub.wrap(lambda: gymnasium.make("CartPole-v1"))[0])


def pole_of_gymnasium() -> Any:
    import gymnasium

    return gymnasium.make("CartPole-v1", max_episode_steps=9)


@pytest.mark.slow
def test_what_was_wrapped_travels(elsewhere: concurrent.futures.ProcessPoolExecutor) -> None:
    gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    gymnax = pytest.importorskip("gymnax", reason="gymnax is not installed")
    given = [
        pole_of_gymnasium,
        gymnasium.make("CartPole-v1", max_episode_steps=9),
        gymnasium.wrappers.TransformReward(gymnasium.make("CartPole-v1"), halve),
        gymnax.make("CartPole-v1")[0],
    ]
    for obj in given:
        env, params = envhub.wrap(obj)
        env = wrappers.TimeLimit(env, 5)
        obs = elsewhere.submit(reset_of, env, KEY, params).result()
        same(obs, env.reset(KEY, params)[0])
        again, again_params = env.spec.make()
        assert again.spec == env.spec
        same(again_params, params)
    obj = given[-1]
    assert envhub.wrap(obj)[0] == envhub.wrap(obj)[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: wrappers.TimeLimit(max_episode_step=5), "Did you mean 'max_episode_steps'"),
        (wrappers.TimeLimit, "is missing a required argument: 'max_episode_steps'"),
    ],
)
def test_the_names_of_options_are_checked_without_an_environment(make: Any, message: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=message):
        make()


# --- Equality


def compiled(caplog: pytest.LogCaptureFixture, function: Callable[[], Any]) -> list[str]:
    """What JAX compiled in a call."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.DEBUG):
        jax.block_until_ready(function())
    messages = [record.getMessage() for record in caplog.records]
    return [each for each in messages if each.startswith("Finished XLA compilation of")]


def play(env_id: str, **options: Any) -> Any:
    env, params = envhub.make(env_id, **options)
    _, state = env.reset(KEY, params)
    result = env.step(KEY, state, 0, params)
    trajectory = envhub.rollout(env, params, None, KEY, 3)
    return result.obs, trajectory.obs


def test_the_second_make_of_an_environment_compiles_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = {"gravity": 8.5, "wrappers": [wrappers.TimeLimit(max_episode_steps=5)]}
    assert compiled(caplog, lambda: play(CARTPOLE, **options))
    assert compiled(caplog, lambda: play(CARTPOLE, **options)) == []
    assert compiled(
        caplog, lambda: play(CARTPOLE, wrappers=[wrappers.TimeLimit(max_episode_steps=6)])
    )


@of_every_suite
def test_the_second_make_of_every_native_suite_compiles_nothing(
    suite: str, caplog: pytest.LogCaptureFixture
) -> None:
    (env, params), (state, action) = made(suite), started(suite)
    if not env.capabilities.jax_native:
        assert env != made.__wrapped__(suite)[0]  # it is equal to itself alone
        return
    jax.block_until_ready(env.step(KEY, state, action, params).obs)

    def again() -> Any:
        other, its_params = made.__wrapped__(suite)
        assert other is not env
        _, other_state = other.reset(KEY, its_params)
        return other.step(KEY, other_state, action, its_params).obs

    assert compiled(caplog, again) == []


def play_many() -> Any:
    venv, params = envhub.make_vec(CARTPOLE, 3, gravity=8.25)
    _, state = venv.reset(KEY, params)
    fleet, _ = envhub.make_multi({"a": CARTPOLE, "b": "gymnax::Pendulum-v1"})
    obs, _ = fleet.reset(KEY)
    export = to_gymnasium(*envhub.make(CARTPOLE, gravity=8.25), seed=1)
    export.reset()
    return obs, venv.step(KEY, state, jnp.zeros(3, int), params).obs, export.step(0)[1]


def test_batches_fleets_and_exports_share_too(caplog: pytest.LogCaptureFixture) -> None:
    assert compiled(caplog, play_many)
    assert compiled(caplog, play_many) == []


def test_equal_environments_are_equal() -> None:
    one, other = (envhub.make(CARTPOLE)[0] for _ in range(2))
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    longer, _ = envhub.make(CARTPOLE, max_steps_in_episode=501)
    assert longer != one
    assert one != "gymnax::CartPole-v1"
    assert wrappers.ScaleReward(one, scale=1) != wrappers.ScaleReward(one, scale=1.0)
    assert envhub.VectorEnv(one, 3) == envhub.VectorEnv(other, 3) != envhub.VectorEnv(one, 4)
    made = [envhub.make_multi({"a": CARTPOLE, "b": "gymnax::Pendulum-v1"})[0] for _ in range(2)]
    assert made[0] == made[1]
    assert hash(made[0]) == hash(made[1])
    other.default_params = other.default_params.replace(gravity=1.0)
    assert one != other
    assert pickle.loads(pickle.dumps(other)).default_params.gravity == 1.0


def test_an_environment_on_the_host_is_equal_to_itself_alone() -> None:
    one, other = (envhub.make("gymnasium::CartPole-v1")[0] for _ in range(2))
    assert one == one  # noqa: PLR0124
    assert one != other
    assert wrappers.TimeLimit(one, 5) == wrappers.TimeLimit(one, 5) != wrappers.TimeLimit(other, 5)


def test_they_are_static_arguments() -> None:
    traced = []

    @functools.partial(jax.jit, static_argnums=0)
    def reset(env: envhub.Environment, key: Any) -> Any:
        traced.append(env)
        return env.reset(key)[0]

    one, other = (envhub.make(CARTPOLE)[0] for _ in range(2))
    same(reset(one, KEY), reset(other, KEY))
    assert len(traced) == 1
    reset(wrappers.TimeLimit(one, 5), KEY)
    assert len(traced) == 2


# --- Batches, fleets and exports


def test_batches_and_fleets_travel(elsewhere: concurrent.futures.ProcessPoolExecutor) -> None:
    venv, params = envhub.make_vec(CARTPOLE, 4, gravity=9.0, batched_params=True)
    assert pickle.loads(pickle.dumps(venv)) == venv
    same(elsewhere.submit(reset_of, venv, KEY, params).result(), venv.reset(KEY, params)[0])
    if len(jax.devices()) > 1:
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("devices",))
        split, params = envhub.make_vec(CARTPOLE, 4, mesh=mesh)
        other = pickle.loads(pickle.dumps(split))
        assert other == split
        assert other.sharding == split.sharding
    fleet, params = envhub.make_multi(
        {"a": (CARTPOLE, {"gravity": 9.0}), "b": CARTPOLE, "c": "gymnasium::CartPole-v1"}
    )
    other = pickle.loads(pickle.dumps(fleet))
    assert other.groups == fleet.groups
    same(other.default_params, fleet.default_params)
    same(elsewhere.submit(reset_of, fleet, KEY, params).result(), fleet.reset(KEY, params)[0])
    batches, params = envhub.make_multi_vec([CARTPOLE, "gymnax::Pendulum-v1"], 3)
    assert pickle.loads(pickle.dumps(batches)) == batches == copy.deepcopy(batches)


def export_of(kind: str) -> Any:
    env, params = envhub.make(CARTPOLE, gravity=9.0)
    if kind == "to_gymnasium_vec":
        return to_gymnasium_vec(*envhub.make_vec(CARTPOLE, 3), seed=3)
    if kind == "to_gymnasium_vec, jax":
        return to_gymnasium_vec(*envhub.make_vec(CARTPOLE, 3), seed=3, array="jax")
    if kind == "to_gymnasium":
        return to_gymnasium(env, params, seed=3)
    if kind == "to_dm_env":
        return to_dm_env(env, params, seed=3)
    if kind == "to_gymnax":
        return to_gymnax(env, params)
    return to_brax(envhub.make("gymnax::Pendulum-v1")[0])


def go_on_with(kind: str, export: Any) -> Any:
    """Some steps from where it stands."""
    if kind in ("to_gymnax", "to_brax"):
        state = export.reset(KEY) if kind == "to_brax" else export.reset(KEY)[1]
        action = jnp.zeros(1) if kind == "to_brax" else 0
        step = export.step(*([] if kind == "to_brax" else [KEY]), state, action)
        return jax.device_get(jax.tree.leaves(step))
    action = np.zeros(3, int) if "vec" in kind else 0
    return [jax.device_get(tuple(export.step(action))) for _ in range(3)]


KINDS = ("to_gymnasium", "to_gymnasium_vec", "to_gymnasium_vec, jax", "to_dm_env", "to_gymnax")


@pytest.mark.parametrize("kind", [*KINDS, "to_brax"])
def test_an_export_goes_on_by_itself(
    kind: str, elsewhere: concurrent.futures.ProcessPoolExecutor
) -> None:
    try:
        export = export_of(kind)
    except (errors.MissingDependencyError, errors.UnsupportedVersionError) as error:
        pytest.skip(reason=str(error))
    if kind not in ("to_gymnax", "to_brax"):
        export.reset()
    assert re.match(r"<EnvHub\w+<.*gymnax::", repr(export))
    others = [copy.copy(export), copy.deepcopy(export), pickle.loads(pickle.dumps(export))]
    away = elsewhere.submit(go_on_with, kind, export).result()
    expected = go_on_with(kind, export)
    for found in (away, *(go_on_with(kind, other) for other in others)):
        same(jax.tree.leaves(found), jax.tree.leaves(expected))


def test_gymnasiums_wrappers_around_an_export_can_be_copied() -> None:
    gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    env = gymnasium.wrappers.TimeLimit(to_gymnasium(*envhub.make(CARTPOLE), seed=0), 5)
    env.reset()
    assert env.spec.max_episode_steps == 5
    other = pickle.loads(pickle.dumps(env))
    same(other.step(0)[0], env.step(0)[0])


# --- The spec


def test_a_spec_shows_options_params_and_wrappers() -> None:
    env, _ = envhub.make(
        "gymnax::Catch-bsuite",
        rows=6,
        max_steps_in_episode=4,
        wrappers=[wrappers.TimeLimit(max_episode_steps=3)],
        autoreset="same_step",
    )
    spec = env.spec
    assert (dict(spec.options), dict(spec.params)) == ({"rows": 6}, {"max_steps_in_episode": 4})
    assert [str(wrapper) for wrapper in spec.wrappers] == [
        "TimeLimit(max_episode_steps=3)",
        "AutoReset(mode='same_step')",
    ]
    assert str(env) == (
        "<AutoReset(mode='same_step')<TimeLimit(max_episode_steps=3)"
        "<GymnaxEnvironment gymnax::Catch-bsuite(rows=6, max_steps_in_episode=4)>>>"
    )


def test_what_the_caller_changes_later_changes_no_environment() -> None:
    rows, keys, gravity = ["SG", "FH"], ["obs"], np.array(9.0)
    outer = [
        wrappers.TimeAwareObservation(flatten=False),
        wrappers.FilterObservation(filter_keys=keys),
    ]
    lake, _ = envhub.make("gymnasium::FrozenLake-v1", desc=rows, is_slippery=False)
    nested, _ = envhub.make("gymnax::CartPole-v1", gravity=gravity, wrappers=outer)
    specs = lake.spec.to_json(), nested.spec.to_json()
    rows[0], keys[0] = "SH", "time"
    gravity += 1
    assert (lake.spec.to_json(), nested.spec.to_json()) == specs
    assert nested.default_params.gravity == 9.0
    for key in jax.random.split(KEY, 2):  # a new instance each
        assert lake.step(key, lake.reset(key)[1], 2).reward == 1.0
    assert lake.spec.make()[0].spec.options["desc"] == ["SG", "FH"]
    lake.spec.options["desc"][0] = "SH"
    assert lake.step(KEY, lake.reset(jax.random.key(9))[1], 2).reward == 1.0


def test_functions_among_the_wrappers_are_in_the_spec() -> None:
    env, _ = envhub.make(CARTPOLE, wrappers=[limited])
    assert env.spec.make()[0] == env
    assert env == envhub.make(CARTPOLE, wrappers=[wrappers.TimeLimit(max_episode_steps=4)])[0]


def limited(env: envhub.Environment) -> envhub.Environment:
    return wrappers.TimeLimit(env, 4)


def test_json_keeps_what_the_options_are() -> None:
    values: dict[str, Any] = {
        "numbers": (1, 1.0, True, None, float("inf"), "text"),
        "array": np.arange(6, dtype=np.int8).reshape(2, 3),
        "empty": np.zeros((0, 2), np.float32),
        "scalar": np.float32(0.1),
        "dtype": np.dtype("float16"),
        "class": np.float16,
        "function": halve,
        "nested": {"list": [1, (2, {"a": 3})]},
        "space": spaces.Dict({"a": spaces.Box(0, 1, (2,)), "b": spaces.Discrete(3)}),
        "slice": slice(1, None),
    }
    spec = envhub.EnvSpec("walks::Native-v0", "walks", "Native-v0", options=values)
    found = envhub.EnvSpec.from_json(spec.to_json())
    assert found == spec
    assert found.options["array"].dtype == np.int8
    assert type(found.options["scalar"]) is np.float32
    for bad in ("no json", "[]", '{"id": 3}', '{"id": {"make": "os:system", "of": ["true"]}}'):
        with pytest.raises(errors.InvalidOptionError, match="not the spec"):
            envhub.EnvSpec.from_json(bad)


def test_a_spec_names_the_package_that_ran() -> None:
    if registry.get("ale").installed() is None or registry.get("gymnasium").installed() is None:
        pytest.skip(reason="ale-py or gymnasium is not installed")
    import gymnasium

    env, _ = envhub.make("gymnasium::CartPole-v1")
    assert (env.spec.distribution, env.spec.version) == ("gymnasium", gymnasium.__version__)
    gymnasium.register("SomebodysOwnPole-v0", pole_of_gymnasium_class())
    env, _ = envhub.make("gymnasium::SomebodysOwnPole-v0")
    assert (env.spec.distribution, env.spec.version) == ("tests", "")


def pole_of_gymnasium_class() -> Any:
    from gymnasium.envs.classic_control import CartPoleEnv

    class OwnPole(CartPoleEnv):  # type: ignore[misc]
        """A third party's."""

    return OwnPole


# --- Keywords of `make`


class Asking(envhub.Suite):
    """A suite whose keywords have the names of the hub's."""

    name, title, module, distribution = "asking", "a suite", "jax", "jax"
    supported, example = ">=0.4", "Env-v0"

    def known_names(self) -> list[str]:
        return ["Env-v0"]

    live_names = known_names

    def options(self, name: str) -> list[str]:
        return ["wrappers", "params", "gravity"]

    def capabilities(self, name: str, options: Any) -> envhub.Capabilities:
        return envhub.Capabilities.native(renderable="no.")

    def make(self, name: str, options: Any) -> envhub.Environment:
        env, _ = envhub.make(CARTPOLE)
        env.unwrapped.given = dict(options)
        return env


def test_options_and_params_say_which_is_meant() -> None:
    envhub.register("asking", Asking())
    try:
        env, params = envhub.make(
            "asking::Env-v0", options={"wrappers": 3, "params": 4}, params={"gravity": 5.0}
        )
        assert env.unwrapped.given == {"wrappers": 3, "params": 4}
        assert params.gravity == 5.0
        assert env.spec.make()[1].gravity == 5.0
        env, params = envhub.make("asking::Env-v0", gravity=6.0)
        assert (env.unwrapped.given, params.gravity) == ({"gravity": 6.0}, 9.8)
        assert envhub.capabilities("asking::Env-v0", options={"wrappers": 3})
        with pytest.raises(errors.InvalidOptionError, match=r"options=\{'params': …\}"):
            envhub.make("asking::Env-v0", params=4)
        with pytest.raises(errors.InvalidOptionError, match="does not take 'masscart'"):
            envhub.make("asking::Env-v0", options={"masscart": 4})
        with pytest.raises(errors.InvalidOptionError, match="'gravity' twice"):
            envhub.make("asking::Env-v0", gravity=3, options={"gravity": 4})
    finally:
        envhub.unregister("asking")


@pytest.mark.parametrize(
    ("mistyped", "answer"),
    [
        ("autorest", "'autoreset'"),
        ("wrapers", "'wrappers'"),
        ("num_envs", r"envhub\.make_vec\('gymnax::CartPole-v1', num_envs\)"),
        ("batched_param", "'batched_params'"),
        ("option", "'options'"),
    ],
)
@pytest.mark.slow
def test_a_misspelt_keyword_of_the_hub_is_answered(mistyped: str, answer: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=f"does not take '{mistyped}'.*{answer}"):
        envhub.make(CARTPOLE, **{mistyped: 1})
