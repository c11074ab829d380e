"""Values cross without being bent: what fits is cast, and what does not is refused."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from envhub.host.outcomes import Outcomes, Stacked
from envhub.host.protocol import Protocol
from envhub.host.sampling import sample
from envhub.host.values import Actions, Observations, Values
from envhub.wrappers import ClipAction, RescaleAction
from tests.host.broken import Odd

KEY = jax.random.key(0)
ODD, ILLEGAL = "gymnasium::tests.host.broken:Odd-v0", "gymnasium::tests.host.broken:Illegal-v0"
LATER = 60  # steps: after all that `make` tries out


def after(quiet: Any, odd: Any) -> list[Any]:
    """A script that turns odd when nobody tries anything out any more."""
    return [quiet] * LATER + [odd]


def last_of(**script: Any) -> Any:
    env, _ = envhub.make(ODD, **script)
    _, state = env.reset(KEY)
    for _ in range(LATER):
        result = env.step(KEY, state, 0)
        state = result.state
    return result


IMAGE = gymnasium.spaces.Box(0, 255, (2,), np.uint8)
BYTE = gymnasium.spaces.Box(-128, 127, (2,), np.int8)
WIDE = gymnasium.spaces.Box(-(2**63), 2**63 - 1, (2,), np.int64)
FLOATS = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)


@pytest.mark.parametrize(
    ("space", "obs", "message"),
    [
        (IMAGE, np.array([0.0, 0.5], np.float32), r"0\.5, which uint8\[2\]"),
        (BYTE, np.array([0, 300.5]), r"300\.5, which int8\[2\]"),
        (IMAGE, np.array([0, 256]), r"256, which uint8\[2\]"),
        (IMAGE, np.array([0, -1]), r"-1, which uint8\[2\]"),
        (IMAGE, np.array([0, np.nan]), r"nan, which uint8\[2\]"),
        (WIDE, np.array([0, 2**33 + 1]), r"8589934593, which int32\[2\]"),
        (FLOATS, np.array([0, 1e39]), r"1e\+39, which float32\[2\]"),
        (FLOATS, np.zeros(2, complex), r"complex128\[2\]"),
        (FLOATS, ["a", "b"], "'a'"),
    ],
)
def test_what_the_space_cannot_hold_is_refused_when_it_first_comes(
    space: Any, obs: Any, message: str
) -> None:
    with pytest.raises(errors.HostEnvError, match=message):
        last_of(space=space, obs=after(np.zeros(2, space.dtype), obs))
    with pytest.raises(errors.UnavailableEnvError, match=message):
        envhub.make(ODD, space=space, obs=[np.zeros(2, space.dtype), obs])


@pytest.mark.parametrize(
    ("space", "obs"),
    [
        (FLOATS, np.array([3, 4])),
        (FLOATS, np.array([0.1, 0.2])),
        (FLOATS, [1.5, 2.5]),
        (FLOATS, np.array([np.inf, -np.inf])),
        (IMAGE, np.array([3.0, 255.0])),
        (BYTE, np.array([-128, 127])),
    ],
)
def test_what_it_can_hold_is_cast(space: Any, obs: Any) -> None:
    result = last_of(space=space, obs=after(np.zeros(2, space.dtype), obs))
    np.testing.assert_array_equal(result.obs, np.asarray(obs).astype(space.dtype))
    assert result.obs.dtype == space.dtype


def test_integers_that_fit_nothing_are_refused_when_it_is_made() -> None:
    for space in (
        gymnasium.spaces.Box(0, 2**40, (2,), np.int64),
        gymnasium.spaces.Discrete(2**40),
    ):
        with pytest.raises(errors.UnavailableEnvError, match=r"Odd-v0: .*32 bits"):
            envhub.make(ODD, space=space, obs=[np.zeros(space.shape, np.int64)])


class Passive(Odd):
    """Takes actions that hold nothing."""

    action_space = gymnasium.spaces.Dict({})


def test_actions_that_hold_nothing_are_refused_when_it_is_made() -> None:
    with pytest.raises(errors.UnavailableEnvError, match=r"no array.*Discrete\(1\)"):
        envhub.wrap(Passive)


def test_an_array_of_one_number_is_taken_for_it() -> None:
    assert last_of(reward=after(1.0, np.array([2.5]))).reward == 2.5
    env, _ = envhub.make(ODD, reward=[np.array([0.5])])
    states = jax.vmap(env.reset)(jax.random.split(KEY, 3))[1]
    result = jax.vmap(lambda state: env.step(KEY, state, 0))(states)
    np.testing.assert_array_equal(result.reward, [0.5] * 3)


class Listed(Odd):
    """Its rewards and flags have the shape (1,), but for one in three."""

    def step(self, action: Any) -> Any:
        obs, reward, *_ = super().step(action)
        if action == 0:
            return obs, reward, False, False, {}
        return obs, np.array([reward]), np.array([False]), np.array([action == 2]), {}

    action_space = gymnasium.spaces.Discrete(3)


@pytest.mark.parametrize("workers", ["serial", "thread"])
def test_flags_of_one_element_are_taken_alone_and_in_a_batch(workers: str) -> None:
    gymnasium.register("TestsOwnListed-v0", Listed)
    try:
        env, _ = envhub.make("gymnasium::TestsOwnListed-v0", workers=workers)
    finally:
        gymnasium.registry.pop("TestsOwnListed-v0")
    step = jax.vmap(lambda state, action: env.step(KEY, state, action))
    for actions in ([1, 1, 2], [0, 1, 2], [1, 0, 2]):
        states = jax.vmap(env.reset)(jax.random.split(KEY, 3))[1]
        result = step(states, jnp.array(actions))
        np.testing.assert_array_equal(result.truncated, [False, False, True])
        np.testing.assert_array_equal(result.reward, [1] * 3)
        assert not result.terminated.any()
    alone = env.step(KEY, env.reset(KEY)[1], 2)
    assert (alone.reward, alone.terminated, alone.truncated) == (1, False, True)


@pytest.mark.parametrize(
    ("first", "then", "wanted"),
    [
        ({"a": 0, "b": 1}, {"b": 2}, -(2**31)),  # the least integer: it was always there
        ({"a": 0.5}, {}, np.nan),
        ({"a": True}, {}, False),
        ({"a": 1.0}, {"a": None}, np.nan),
        ({"a": 2**40}, {"a": 2**41}, np.float32(2**41)),
        ({"a": np.int8(3)}, {"a": 100}, 100),
    ],
)
def test_entries_of_info_come_and_go(first: Any, then: Any, wanted: Any) -> None:
    np.testing.assert_equal(np.asarray(last_of(info=after(first, then)).info["a"]), wanted)


def test_what_comes_and_goes_at_first_is_nan_where_it_is_not() -> None:
    result = last_of(info=[{}, {"a": 1}, {}, *after({"a": 2}, {})])
    assert result.info["a"] == 2
    assert result.info["a"].dtype == jnp.float32
    assert np.isnan(last_of(info=[{}, {"a": 1}, {}]).info["a"])


@pytest.mark.parametrize(
    ("first", "value"),
    [(0, 10.059), (0, 2**33), (0, {}), (0, "text"), (0, np.zeros(3)), (False, 0.5)],
)
def test_an_entry_that_its_type_cannot_hold_is_refused(first: Any, value: Any) -> None:
    with pytest.raises(errors.HostEnvError, match=r"info\['a'\]"):
        last_of(info=after({"a": first}, {"a": value}))


def test_entries_in_columns_are_split_as_those_of_lanes_are() -> None:
    flags, lives = [False] * 3, np.int32([5, 4, 3])
    outcomes = Outcomes([0, 1, 2], [0.0] * 3, flags, flags, {"lives": lives}, ())
    np.testing.assert_equal(outcomes.some([2, 0]).infos, {"lives": np.int32([3, 5])})
    by_lane = outcomes._replace(infos=[{"lives": each} for each in lives])
    assert by_lane.some([2, 0]).infos == [{"lives": 3}, {"lives": 5}]


def test_an_entry_takes_the_wider_of_what_is_seen_first() -> None:
    assert last_of(info=[{"a": 0}, {"a": False}, {"a": 10.059}]).info["a"] == np.float32(10.059)
    assert last_of(info=[{"a": False}, {"a": 7}]).info["a"] == 7


def test_a_bound_that_was_rounded_is_the_bound() -> None:
    actions = Actions(spaces.Box(np.full(2, -0.7), np.full(2, 0.1), (2,), np.float64))
    rounded = np.array([[-0.7, 0.1]], np.float32)
    ((read,),) = actions.read([rounded])
    np.testing.assert_array_equal(read, [np.float32(-0.7), 0.1])
    with pytest.raises(errors.InvalidActionError, match="outside"):
        actions.read([rounded * np.float32(1.0001)])


class Switches(Odd):
    action_space = gymnasium.spaces.MultiBinary(2)


@pytest.mark.parametrize("action", [np.array([257, 0]), jnp.uint32([0, 2**32 - 255])])
def test_an_integer_outside_is_not_cut_to_an_action(action: Any) -> None:
    """257 as int8 would be 1."""
    env, _ = envhub.wrap(Switches)
    _, state = env.reset(KEY)
    with pytest.raises(errors.InvalidActionError, match="outside"):
        env.step(KEY, state, action)
    with pytest.raises(jax.errors.JaxRuntimeError, match="outside"):
        jax.block_until_ready(jax.jit(env.step)(KEY, state, action))
    assert env.counts.steps == 0


class Pushed(Odd):
    """Insists on its actions, which are float64."""

    action_space = gymnasium.spaces.Box(-0.7, 0.1, (2,), np.float64)

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        return (np.asarray(action, np.float32), *super().step(action)[1:])


def test_wrappers_of_actions_reach_bounds_that_were_rounded() -> None:
    gymnasium.register("TestsOwnPushed-v0", Pushed)
    try:
        envs = [
            envhub.make("gymnasium::TestsOwnPushed-v0", wrappers=wrappers)[0]
            for wrappers in ([], [ClipAction], [RescaleAction])
        ]
    finally:
        gymnasium.registry.pop("TestsOwnPushed-v0")
    for env, action in zip(
        envs, (envs[0].action_space().high, [5.0, 5.0], [1.0, 1.0]), strict=True
    ):
        result = env.step(KEY, env.reset(KEY)[1], jnp.array(action, jnp.float32))
        np.testing.assert_array_equal(result.obs, np.float32([0.1, 0.1]))


@pytest.mark.parametrize("says", ["info", "method", ""])
def test_an_environment_that_refuses_illegal_moves_is_made(says: str) -> None:
    env, _ = envhub.make(ILLEGAL, says=says)
    _, state = env.reset(KEY)
    with pytest.raises(errors.HostEnvError, match="0 is illegal"):
        env.step(KEY, state, 0)
    _, state = env.reset(KEY)
    result = env.step(KEY, state, 1)
    assert (set(result.info) >= {"count"}) == bool(says), "respecting the mask it saw five steps"


def test_an_environment_whose_legal_actions_have_parts_is_made() -> None:
    env, _ = envhub.make("gymnasium::tests.host.broken:Paired-v0")
    first = {
        "move": jnp.zeros(2, int),
        "tools": (jnp.int8([1, 0, 0, 0, 0, 0]),),
        "force": jnp.ones(1),
    }
    assert "count" in env.step(KEY, env.reset(KEY)[1], first).info, "five steps were tried"


NVEC = ([0, 0, 1, 0], [1, 0, 0])
EQUAL = [[0, 1, 0], [0, 0, 1]]
PARTS = spaces.Dict(
    {
        "a": spaces.Discrete(9, start=3),
        "b": spaces.Tuple([spaces.MultiBinary(3), spaces.Discrete(9)]),
    }
)


@pytest.mark.parametrize(
    ("space", "mask", "legal"),
    [
        (spaces.Discrete(5, start=-1), [0, 0, 0, 0, 1], 3),
        (spaces.MultiDiscrete([4, 3]), tuple(map(np.int8, NVEC)), [2, 0]),
        (spaces.MultiDiscrete([4, 3]), np.concatenate(NVEC).astype(bool), [2, 0]),
        (spaces.MultiDiscrete([4, 3], start=[5, -9]), list(NVEC), [7, -9]),
        (spaces.MultiDiscrete([3, 3]), np.array(EQUAL), [1, 2]),
        (spaces.MultiDiscrete([[4, 3], [3, 3]]), (NVEC, EQUAL), [[2, 0], [1, 2]]),
        (spaces.MultiDiscrete([4, 3]), np.eye(12)[7].reshape(4, 3), [2, 1]),
        (
            spaces.MultiDiscrete([2, 3, 2], start=[1, 0, 0]),
            np.eye(12)[11].reshape(2, 3, 2),
            [2, 2, 1],
        ),
        (spaces.MultiDiscrete([2, 2]), np.array([[1, 0], [1, 1]]), [0, 0]),  # in both readings
        (spaces.MultiDiscrete([2, 2]), np.array([[0, 0], [0, 1]]), [1, 1]),
        (spaces.MultiBinary((2, 9)), np.eye(2, 9, dtype=np.int8), np.eye(2, 9)),
    ],
    ids=str,
)
def test_a_mask_of_each_form_is_respected(space: Any, mask: Any, legal: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        alone = sample(space, rng, mask)
        (inside,) = sample(spaces.Tuple([space]), rng, (mask,))
        for action in (alone, inside):
            np.testing.assert_array_equal(action, legal)
            assert space.contains(action)


def test_a_mask_of_combinations_allows_each_of_them() -> None:
    rng, mask = np.random.default_rng(0), np.array([[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    drawn = {tuple(sample(spaces.MultiDiscrete([3, 4]), rng, mask)) for _ in range(50)}
    assert drawn == {(0, 1), (1, 3), (2, 0)}


def test_a_part_without_a_mask_is_drawn_freely() -> None:
    rng = np.random.default_rng(0)
    mask = {"b": (np.int8([1, 2, 0]), None)}
    drawn = [sample(PARTS, rng, mask) for _ in range(200)]
    assert {each["a"] for each in drawn} == set(range(3, 12))
    assert {each["b"][1] for each in drawn} == set(range(9))
    assert {tuple(each["b"][0].tolist()) for each in drawn} == {(1, 0, 0), (1, 1, 0)}
    half = [sample(spaces.MultiDiscrete([2, 3]), rng, (None, [0, 1, 0])) for _ in range(50)]
    assert {tuple(each.tolist()) for each in half} == {(0, 1), (1, 1)}


@pytest.mark.parametrize("mask", [7, "left", {}, [], [0, 0], [[1], [1, 0]], [None], np.zeros(7)])
@pytest.mark.parametrize(
    "space", [spaces.Discrete(4), spaces.MultiDiscrete([4, 3]), spaces.MultiBinary(3), PARTS]
)
def test_a_mask_that_cannot_be_used_is_ignored(space: Any, mask: Any) -> None:
    with_mask, without = (sample(space, np.random.default_rng(0), each) for each in (mask, None))
    assert jax.tree.all(jax.tree.map(np.array_equal, with_mask, without))


def test_observations_of_many_lanes_come_stacked_or_lane_by_lane() -> None:
    space = spaces.Dict({"b": spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 1, (2,))])})
    parts = np.arange(3), np.arange(6.0).reshape(3, 2) / 6
    stacked = Stacked({"b": parts}, 3)
    lanes = [{"b": pair} for pair in zip(*parts, strict=True)]
    observations = Observations(space)
    for batch, wanted in ((stacked, lanes), (stacked[[2, 0]], [lanes[2], lanes[0]])):
        pairs = zip(observations.columns(batch), observations.columns(wanted), strict=True)
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
    for wrong in (Stacked({"b": parts}, 2), Stacked({"c": parts}, 3), Stacked({"b": parts[:1]}, 3)):
        with pytest.raises(ValueError, match="observation"):
            observations.columns(wrong)


@pytest.mark.parametrize("is_stacked", [False, True])
@pytest.mark.parametrize("bad", [[], [0], [6], [2, 3, 5], list(range(7))])
def test_the_lanes_that_do_not_fit_are_found(bad: list[int], is_stacked: bool) -> None:
    """A value of float64 that float32 cannot hold is one that does not fit."""
    obs = np.arange(7.0)
    obs[bad] = 1e99
    space = spaces.Dict({"x": spaces.Box(-np.inf, np.inf, ())})
    leaves = Observations(space)
    protocol = Protocol([], leaves.forms, [], (), 0, 0)
    values = Values(protocol, Actions(spaces.Discrete(2)), leaves, None)
    given: Any = Stacked({"x": obs}, 7) if is_stacked else [{"x": each} for each in obs]
    outcomes = Outcomes(given, np.ones(7), np.zeros(7, bool), np.zeros(7, bool), {}, ())
    lanes, columns, failures = values.columns_of_each(outcomes._replace(lanes=range(10, 17)))
    assert sorted(failures) == [10 + lane for lane in bad]
    assert lanes == [10 + lane for lane in range(7) if lane not in bad]
    if lanes:
        np.testing.assert_array_equal(columns["obs.0"], np.delete(obs, bad).astype(np.float32))
