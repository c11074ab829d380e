"""Fleets of different environments: `make_multi` and `make_multi_vec`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from envhub.multi._environment import MultiEnv
from envhub.wrappers import RescaleAction, TimeLimit

from .packages import needed

KEY, LENGTH = jax.random.key(0), 60
POLE, PENDULUM, HOST = "gymnax::CartPole-v1", "gymnax::Pendulum-v1", "gymnasium::CartPole-v1"
MEMBERS: dict[str, Any] = {
    "pole": POLE,
    "on host": HOST,
    "pendulum": PENDULUM,
    "heavy": (POLE, {"gravity": 20.0}),
    "short": (HOST, {"length": 0.2}),
}
GROUPS = (("pole", "heavy"), ("on host", "short"), ("pendulum",))


def same(one: Any, other: Any, tolerance: float = 0) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance)


def sample(fleet: MultiEnv, key: Any) -> dict[str, Any]:
    return {name: space.sample(key) for name, space in fleet.action_spaces.items()}


def host_environment(env: Any) -> Any:
    return env.env if hasattr(env, "env") else env


def keys_of(fleet: MultiEnv, key: Any) -> dict[str, Any]:
    return dict(zip(fleet.names, jax.random.split(key, len(fleet)), strict=True))


@pytest.fixture(scope="module")
def fleet() -> MultiEnv:
    return envhub.make_multi(MEMBERS, autoreset="same_step")[0]


def play_fleet(fleet: MultiEnv) -> Any:
    """An episode after another, in one compiled program."""

    def body(states: Any, key: Any) -> Any:
        result = fleet.step(key, states, sample(fleet, key))
        return result.state, (result.obs, result.reward, result.done, result.info)

    def run(key: Any) -> Any:
        obs, states = fleet.reset(key)
        return obs, jax.lax.scan(body, states, jax.random.split(key, LENGTH))[1]

    return run


@pytest.fixture(scope="module")
def played(fleet: MultiEnv) -> Any:
    return jax.jit(play_fleet(fleet))(KEY)


def play_alone(fleet: MultiEnv, name: str, env: Any, params: Any) -> Any:
    """What `play_fleet` shows of one member, by an environment of its own."""

    def body(state: Any, key: Any) -> Any:
        action = sample(fleet, key)[name]
        result = env.step(keys_of(fleet, key)[name], state, action, params)
        return result.state, (result.obs, result.reward, result.done, result.info)

    def run(key: Any) -> Any:
        obs, state = env.reset(keys_of(fleet, key)[name], params)
        return obs, jax.lax.scan(body, state, jax.random.split(key, LENGTH))[1]

    return run


@pytest.mark.parametrize("name", MEMBERS)
def test_a_fleet_does_what_its_members_do_alone(fleet: MultiEnv, played: Any, name: str) -> None:
    """Over the ends of episodes, and bit for bit but where XLA rounds otherwise under `vmap`."""
    entry = MEMBERS[name]
    env_id, options = (entry, {}) if isinstance(entry, str) else entry
    alone, params = envhub.make(env_id, autoreset="same_step", **options)
    same(params, fleet.default_params[name])
    obs, shown = played
    own_obs, own_shown = jax.jit(play_alone(fleet, name, alone, params))(KEY)
    same(own_obs, obs[name])
    tolerance = 1e-4 if name in GROUPS[0] else 0
    same(own_shown, tuple(field[name] for field in shown), tolerance)
    assert name == "pendulum" or shown[2][name].any()


def test_outside_of_jit_it_is_the_same(fleet: MultiEnv, played: Any) -> None:
    obs, states = fleet.reset(KEY)
    expected_obs, (stepped, reward, done, info) = played
    same(obs, expected_obs)
    assert list(obs) == list(MEMBERS) == list(fleet.names)
    for place, key in enumerate(jax.random.split(KEY, LENGTH)[:3]):
        result = fleet.step(key, states, sample(fleet, key))
        states = result.state
        fields = (result.obs, result.reward, result.done, result.info)
        expected = (stepped, reward, done, info)
        same(fields, jax.tree.map(lambda leaf, place=place: leaf[place], expected), 1e-6)
    assert isinstance(result, envhub.StepResult)
    assert list(result.reward) == list(fleet.names)


def test_members_that_are_alike_are_a_group(fleet: MultiEnv) -> None:
    assert fleet.groups == GROUPS
    assert fleet.envs["pole"] is fleet.envs["heavy"]
    assert fleet.default_params["heavy"].gravity == 20
    assert len(fleet) == 5


def test_a_group_is_one_call(fleet: MultiEnv) -> None:
    host = host_environment(fleet.envs["on host"])
    before = host.counts
    _, states = fleet.reset(KEY)
    fleet.step(KEY, states, sample(fleet, KEY))
    after = host.counts
    assert after.calls - before.calls == 2
    assert after.resets - before.resets == 2
    assert after.steps - before.steps == 2  # a transition is one step


def test_the_native_members_are_one_compiled_call(caplog: pytest.LogCaptureFixture) -> None:
    fleet, _ = envhub.make_multi({"pole": POLE, "pendulum": PENDULUM, "twin": PENDULUM})
    actions = sample(fleet, KEY)
    assert len(compiled(caplog, lambda: fleet.reset(KEY))) == 1
    _, states = fleet.reset(KEY)
    assert len(compiled(caplog, lambda: fleet.step(KEY, states, actions))) == 1
    assert compiled(caplog, lambda: fleet.step(KEY, states, actions)) == []


def compiled(caplog: pytest.LogCaptureFixture, function: Callable[[], Any]) -> list[str]:
    """What JAX compiled in a call."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.DEBUG):
        function()
    return [text for text in caplog.messages if text.startswith("Compiling")]


def test_options_that_differ_make_different_environments() -> None:
    fleet, _ = envhub.make_multi(
        {
            "one": PENDULUM,
            "limited": (PENDULUM, {"wrappers": [TimeLimit(max_episode_steps=9)]}),
            "next": (PENDULUM, {"autoreset": "next_step"}),
        }
    )
    assert len(fleet.groups) == 3
    # A wrapper may have looked at the default params.
    strong = (PENDULUM, {"max_torque": 4.0})
    fleet, _ = envhub.make_multi(
        {"a": PENDULUM, "b": strong, "c": PENDULUM}, wrappers=[RescaleAction]
    )
    assert fleet.groups == (("a", "c"), ("b",))
    fleet, _ = envhub.make_multi({"a": PENDULUM, "b": strong})
    assert fleet.groups == (("a", "b"),)
    assert fleet.action_spaces["b"] == spaces.Box(-4, 4, (1,))


def test_after_compiling_nothing_is_compiled(caplog: pytest.LogCaptureFixture) -> None:
    pole, on_host = envhub.make(POLE)[0], envhub.make(HOST)[0]
    batch = envhub.make_vec(HOST, 2)[0]
    twins = {"pole": pole, "other pole": pole, "on host": on_host, "other on host": on_host}
    fleet = MultiEnv({"batch": batch, **twins, "cards": envhub.make("gymnasium::Blackjack-v1")[0]})
    params = fleet.default_params
    assert fleet.groups == (
        ("batch",),
        *[(name, f"other {name}") for name in ("pole", "on host")],
        ("cards",),
    )
    seconds = fleet.compile(progress=False)
    assert list(seconds.alone) == list(fleet.names)
    assert min(seconds.alone.values()) > 0
    assert seconds.together > 0
    actions, keys = sample(fleet, KEY), keys_of(fleet, KEY)

    def use() -> None:
        _, states = fleet.reset(KEY, params)
        result = fleet.step(KEY, states, actions, params)
        fleet.step(KEY, result.state, actions)
        for name in fleet.names:
            _, state = fleet.reset_at(name, keys[name])
            state = fleet.step_at(name, keys[name], state, actions[name]).state
            fleet.step_at(name, keys[name], state, actions[name], params[name])

    assert compiled(caplog, use) == []


@pytest.mark.parametrize("has_rich", [True, False])
def test_compiling_shows_its_progress_on_stderr(
    has_rich: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if has_rich:
        needed("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    fleet, _ = envhub.make_multi({"the [red] one": POLE})
    fleet.compile(progress=False)
    assert capfd.readouterr() == ("", "")
    fleet.compile()
    out, err = capfd.readouterr()
    assert out == ""
    assert ("100%" if has_rich else "compiling the [red] one: 0 of 2\ncompiling all") in err


def test_one_member_alone(fleet: MultiEnv) -> None:
    key = keys_of(fleet, KEY)["heavy"]
    obs, state = fleet.reset_at("heavy", key)
    same(obs, fleet.reset(KEY)[0]["heavy"])
    action = jnp.int32(1)
    heavy = fleet.step_at("heavy", key, state, action)
    light = fleet.step_at("heavy", key, state, action, fleet.default_params["pole"])
    assert not np.array_equal(heavy.obs, light.obs)
    with pytest.raises(errors.UnknownEnvError, match="Did you mean 'pole'"):
        fleet.reset_at("bole", KEY)


def test_params_by_name(fleet: MultiEnv) -> None:
    moved = dict(fleet.default_params)
    moved["pole"] = moved["pole"].replace(gravity=20.0)
    moved["heavy"] = None  # its default
    _, states = fleet.reset(KEY, moved)
    states["heavy"] = states["pole"]
    actions = sample(fleet, KEY)
    result = fleet.step(KEY, states, actions, moved)
    same(result.obs["pole"], result.obs["heavy"])
    assert not np.array_equal(result.obs["pole"], fleet.step(KEY, states, actions).obs["pole"])


def test_a_fleet_under_vmap() -> None:
    fleet, _ = envhub.make_multi({"pendulum": PENDULUM, "on host": HOST})

    def run(key: Any) -> Any:
        _, states = fleet.reset(key)
        return fleet.step(key, states, sample(fleet, key))._replace(state=None)

    keys = jax.random.split(KEY, 2)
    both = jax.jit(jax.vmap(run))(keys)
    same(jax.tree.map(lambda leaf: leaf[1], both), run(keys[1]), 1e-6)
    same(jax.vmap(run)(keys), both, 1e-6)


# Batches


def test_a_fleet_of_batches() -> None:
    counts = {"pole": 2, "on host": 3, "twin": 2}
    fleet, params = envhub.make_multi_vec({"pole": POLE, "on host": HOST, "twin": POLE}, counts)
    assert fleet.groups == (("pole", "twin"), ("on host",))
    obs, states = fleet.reset(KEY, params)
    actions = sample(fleet, KEY)
    result = fleet.step(KEY, states, actions, params)
    for name, key in keys_of(fleet, KEY).items():
        batch, own = envhub.make_vec(HOST if name == "on host" else POLE, counts[name])
        own_obs, state = batch.reset(key, own)
        same(own_obs, obs[name])
        stepped = batch.step(key, state, actions[name], own)
        same((stepped.obs, stepped.reward), (result.obs[name], result.reward[name]))
        assert fleet.observation_spaces[name] == batch.observation_space()
        assert fleet.single_action_spaces[name] == batch.single_action_space()
    assert fleet.shapes.observation == dict.fromkeys(fleet.names, (4,))
    assert fleet.pad_observations(obs)["on host"].shape == (3, 4)
    assert set(result.info["pole"]) >= {"final_obs"}


def test_batches_with_params_of_each_environment() -> None:
    fleet, params = envhub.make_multi_vec(
        {"pole": POLE, "heavy": (POLE, {"gravity": 20.0})}, 2, batched_params=True
    )
    np.testing.assert_array_equal(params["heavy"].gravity, [20, 20])
    _, states = fleet.reset(KEY, params)
    actions = {name: jnp.ones(2, jnp.int32) for name in fleet.names}
    ones = fleet.step(KEY, states, actions, params).obs["pole"]
    params["pole"] = params["pole"].replace(gravity=jnp.array([9.8, 99.0]))
    others = fleet.step(KEY, states, actions, params).obs["pole"]
    np.testing.assert_array_equal(ones[0], others[0])
    assert not np.array_equal(ones[1], others[1])
    assert fleet.observation_spaces["heavy"].shape == (2, 4)


# What a shared network needs


def test_sizes_are_gymnasiums() -> None:
    gymnasium = needed("gymnasium")
    fleet, _ = envhub.make_multi(
        {
            "nested": "gymnasium::tests.host.broken:Nested-v0",
            "cards": "gymnasium::Blackjack-v1",
            "pole": POLE,
            "pendulum": PENDULUM,
        }
    )
    assert fleet.shapes.observation["nested"] == {"a": (2, 2), "b": ((), (4,))}
    assert fleet.shapes.action["nested"] == {"go": (), "turn": (2,)}
    assert fleet.dtypes.observation["nested"]["a"] == np.uint8
    assert fleet.dtypes.action["pole"] == np.int32
    both = fleet.single_observation_spaces, fleet.single_action_spaces
    for sizes, members in zip(fleet.sizes, both, strict=True):
        for name, space in members.items():
            assert sizes[name] == gymnasium.spaces.flatdim(spaces.to_gymnasium(space))
            assert type(sizes[name]) is int
    assert fleet.pad_dims() == (45, 9)
    assert fleet.pad_dims().action == 9
    obs, _ = fleet.reset(KEY)
    padded = fleet.pad_observations(obs)
    assert jnp.stack(list(padded.values())).dtype == jnp.float32
    for name, space in fleet.observation_spaces.items():
        value = jax.tree.map(np.asarray, obs[name])
        flat = gymnasium.spaces.flatten(spaces.to_gymnasium(space), value)
        np.testing.assert_array_equal(padded[name][: len(flat)], flat)
        assert not padded[name][len(flat) :].any()
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), obs)
    same(fleet.pad_observations(batch)["nested"][1], padded["nested"])


# What goes wrong


def test_an_error_of_a_member_on_the_host_is_its_own() -> None:
    broken = ("gymnasium::tests.host.broken:Broken-v0", {"fault": "raise"})
    fleet, _ = envhub.make_multi({"pole": POLE, "fine": HOST, "broken": broken})
    actions = {name: jnp.int32(0) for name in fleet.names}
    _, states = fleet.reset(KEY)
    for _ in range(6):
        states = fleet.step(KEY, states, actions).state
    with pytest.raises(errors.HostEnvError, match="the seventh step") as caught:
        fleet.step(KEY, states, actions)
    assert caught.value.__notes__ == ["In the fleet: broken."]
    _, states["broken"] = fleet.reset_at("broken", KEY)
    assert fleet.step(KEY, states, actions).obs["broken"][0] == 1


def test_what_does_not_fit_is_refused_before_anything_is_stepped(fleet: MultiEnv) -> None:
    host = host_environment(fleet.envs["on host"])
    _, states = fleet.reset(KEY)
    actions, params = sample(fleet, KEY), fleet.default_params
    less = {name: action for name, action in actions.items() if name != "short"}
    before = host.counts.steps
    for error, match, arguments in [
        (errors.InvalidActionError, "no entry for 'short'", (states, less)),
        (errors.InvalidActionError, "'polo'.*Did you mean 'pole'", (states, actions | {"polo": 1})),
        (errors.InvalidActionError, "a dict by name", (states, 0)),
        (errors.InvalidActionError, "shape", (states, actions | {"short": jnp.zeros(2, int)})),
        (errors.InvalidActionError, "32 bits", (states, actions | {"short": np.int64(2**32 + 1)})),
        (
            errors.InvalidActionError,
            "action of 'short' is 'up'",
            (states, actions | {"short": "up"}),
        ),
        (errors.InvalidStateError, "no entry for", ({}, actions)),
        (errors.InvalidStateError, "not made by", (states | {"pendulum": 1}, actions)),
        (
            errors.InvalidStateError,
            "different structures",
            (states | {"short": states["pole"]}, actions),
        ),
        (errors.InvalidParamsError, "no entry for", (states, actions, {"pole": None})),
        (errors.InvalidParamsError, "do not fit", (states, actions, params | {"pendulum": 3})),
    ]:
        with pytest.raises(error, match=match):
            fleet.step(KEY, *arguments)
    with pytest.raises(errors.InvalidKeyError):
        fleet.reset(jax.random.split(KEY, 5))
    assert host.counts.steps == before


@pytest.mark.parametrize(
    ("envs", "match"),
    [
        ({}, "at least one"),
        ([], "at least one"),
        (POLE, "a list of ids"),
        ([POLE, PENDULUM, POLE], "occurs twice"),
        ({"a": 3}, "a fleet must be a dict"),
        ({"a": (POLE, 3)}, "a fleet must be a dict"),
        ({3: POLE}, "must map names"),
        ({"a": (POLE, {"gravitas": 1})}, "does not take 'gravitas'"),
        ({"a": POLE, "b": (POLE, {"gravity": "big"})}, "does not fit the default"),
    ],
)
def test_fleets_that_make_no_sense(envs: Any, match: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=match):
        envhub.make_multi(envs)


def test_a_keyword_of_fleets_that_nobody_knows_is_answered_as_by_make() -> None:
    wrong: Any = {"wrapers": []}
    with pytest.raises(errors.InvalidOptionError, match="Did you mean 'wrappers'"):
        envhub.make_multi({"a": POLE}, **wrong)
    gravity: Any = {"gravity": 5.0}
    with pytest.raises(errors.InvalidOptionError, match="beside its id"):
        envhub.make_multi_vec({"a": POLE}, 2, **gravity)
    _, params = envhub.make_multi_vec({"a": (POLE, gravity)}, 2)
    assert params["a"].gravity == 5


@pytest.mark.parametrize("num_envs", [0, True, 2.0, {"a": 2}, {"a": 2, "b": 1, "c": 3}])
def test_batches_have_positive_numbers_by_name(num_envs: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match="num_envs"):
        envhub.make_multi_vec({"a": POLE, "b": PENDULUM}, num_envs)


def test_an_error_of_make_names_the_member() -> None:
    with pytest.raises(errors.UnknownEnvError) as caught:
        envhub.make_multi({"a": POLE, "b": "gymnax::CartPole-v9"})
    assert caught.value.__notes__ == ["In the fleet: b."]


def test_a_list_names_its_members() -> None:
    fleet, params = envhub.make_multi([POLE, (PENDULUM, {"max_speed": 3.0})])
    assert list(params) == list(fleet.names) == [POLE, PENDULUM]
    assert params[PENDULUM].max_speed == 3


def test_closing_closes_all() -> None:
    fleet, _ = envhub.make_multi({"a": HOST, "b": (HOST, {"max_episode_steps": 3})})
    for _ in range(2):
        fleet.close()
    for name in fleet.names:
        with pytest.raises(Exception, match="closed"):
            fleet.reset_at(name, KEY)
