"""Snapshots by replay: what is proved, what is refused, and what a state of them holds."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from envhub.host import forking, replay, walks
from envhub.host.copies import Copies
from envhub.host.environment import HostState
from envhub.host.logs import Log, LogForm
from envhub.host.trials import Trial

from ..packages import needed
from . import awkward
from .test_mctx import planner

KEY = jax.random.key(0)
LANDER = "gymnasium::LunarLander-v3"


def proved(make: Callable[[], Any], **options: Any) -> tuple[replay.Replaying, replay.Replay]:
    """What is found out about the instances of a function, as plain as Gymnasium has them."""
    registry.get("gymnasium").load()
    from envhub.adapters.gymnasium.instances import GymnasiumInstance

    def construct() -> GymnasiumInstance:
        return GymnasiumInstance(make())

    name = f"{make!r}"
    return forking.by_replay(name, name, Trial(name, None), construct, construct(), options)


def walk(env: Any, state: Any, actions: Any) -> tuple[Any, Any]:
    """The state after these actions, and what they showed."""
    shown = []
    for action in actions:
        result = env.step(KEY, state, action)
        state = result.state
        shown.append(jax.tree.map(np.asarray, result._replace(state=None)))
    return state, shown


def assert_same(one: Any, other: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize(
    ("make", "mode", "copies"),
    [
        (awkward.Drift, replay.Mode(), "pickle"),
        (awkward.Holds, replay.Mode(), "deepcopy"),
        (awkward.Rebuilt, replay.Mode(), None),
        (lambda: awkward.Forgets(awkward.Drift()), replay.Mode(), None),
        (awkward.Remembers, replay.Mode(is_fresh=True), "pickle"),
        (awkward.Wears, replay.Mode(is_fresh=True), "pickle"),
        (awkward.Global, replay.Mode(has_generators=True), "pickle"),
    ],
    ids=[
        "plain",
        "a function",
        "a new one",
        "a limit that is forgotten",
        "memories",
        "wear",
        "global draws",
    ],
)
def test_it_is_found_out_what_makes_replays_exact(
    make: Any, mode: replay.Mode, copies: str | None
) -> None:
    by, one = proved(make)
    assert (by.mode, by.copies.kind) == (mode, copies)
    assert str(mode) in by.note
    assert f"{one.size:,} bytes" in by.note


def test_a_simulator_that_all_share_is_refused() -> None:
    with pytest.raises(errors.MissingCapabilityError, match="with an instance made for each") as at:
        proved(awkward.Shared)
    assert str(at.value).startswith(f"{awkward.Shared!r}: a state that was saved")


def test_a_proof_without_room_for_copies_says_nothing_about_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(walks, "ENOUGH", 0.2)
    make = functools.partial(awkward.Drift)
    assert proved(make, replay_cache=0)[0].copies.kind is None
    assert proved(make)[0].copies.kind == "pickle"


@pytest.mark.slow
def test_a_bipedal_walker_needs_an_instance_for_each_episode() -> None:
    by, _ = proved(functools.partial(gymnasium.make, "BipedalWalker-v3"))
    assert by.mode.is_fresh
    assert by.copies.kind is None, "EzPickle makes a new one"


@pytest.fixture(scope="module")
def lander() -> Any:
    return envhub.make(LANDER, forkable=True, max_instances=2)[0]


def test_a_lander_is_forked_and_keeps_the_contract(lander: Any) -> None:
    caps = lander.capabilities
    assert caps.forkable
    assert caps.checkpointable
    assert caps == envhub.capabilities(LANDER, forkable=True)
    for said in (caps, envhub.capabilities(LANDER, forkable=True)):
        assert said.how("forkable").startswith("by replay: a restore resets")
    assert not envhub.capabilities(LANDER).forkable
    assert "forkable=True" in envhub.capabilities(LANDER).why("forkable")
    _, state = lander.reset(KEY)
    assert state.snapshot.shape == (28 + 1008 + 32,)  # a header, the log and the observation
    middle, _ = walk(lander, state, [2] * 30)
    one = walk(lander, middle, [0, 1, 2, 3, 2])[1]
    walk(lander, state, [3] * 20)
    walk(lander, state, [1] * 20)
    assert_same(walk(lander, middle, [0, 1, 2, 3, 2])[1], one)


def test_the_log_is_data_and_what_is_none_is_refused(lander: Any) -> None:
    form = lander._pool._values.snapshots  # noqa: SLF001 (the hash is anybody's to compute)
    _, state = lander.reset(KEY)
    handle = np.array(state.handle)
    handle[1] += 1  # no instance is in it
    for saved, why in [
        (pickle.dumps(print).ljust(1008, b"."), "no log"),
        (b"\0\0\0\0\1\0\0\0\7".ljust(1008, b"\0"), "cannot be replayed"),
    ]:
        obs, goes_on = np.array(form.obs(np.array(state.snapshot)[None])), np.zeros(1, bool)
        row = form.pack([saved], obs, goes_on, goes_on)
        forged = HostState(jnp.asarray(handle), jnp.asarray(row[0]))
        with pytest.raises(errors.InvalidStateError, match=why):
            lander.step(KEY, forged, 0)
    assert lander.step(KEY, state, 0).obs.shape == (8,)


def test_replays_of_cartpole_are_what_its_snapshots_are() -> None:
    """With params that change within the episode, which are a part of the log."""
    saved, params = envhub.make("gymnasium::CartPole-v1", max_instances=2)
    replayed, _ = envhub.make("gymnasium::CartPole-v1", snapshots="replay", max_instances=2)
    assert saved.capabilities.how("forkable").startswith("by saving")

    def play(env: Any) -> Any:
        shown = []
        heavy = params.replace(masspole=np.float32(0.5))
        _, state = env.reset(KEY, params)
        for number in range(6):
            state = env.step(KEY, state, 1, heavy if number in (2, 3) else params).state
        for seed in range(1, 4):  # which take the instances
            env.reset(jax.random.key(seed), heavy)
        for given in (params, heavy):
            result = env.step(KEY, state, 0, given)
            shown.append(result._replace(state=None))
        return shown

    assert_same(play(replayed), play(saved))


@pytest.mark.parametrize("steps", [None, 3])
def test_an_episode_that_outgrows_its_log_says_so_by_name(steps: int | None) -> None:
    registry.get("gymnasium").load()
    gymnasium.register("Bends-v0", awkward.Bends)
    try:
        env, _ = envhub.make("gymnasium::Bends-v0", forkable=True, replay_steps=steps)
        _, state = env.reset(KEY)
        room = steps or forking.STEPS
        assert state.snapshot.shape == (28 + 8 + 16 * room + 4,)
        if steps:
            state, _ = walk(env, state, np.full((3, 2), 0.1, np.float32))
            with pytest.raises(errors.HostEnvError, match=r"outgrown its log.*replay_steps=6 "):
                env.step(KEY, state, np.zeros(2, np.float32))
            longer, _ = envhub.make("gymnasium::Bends-v0", forkable=True, replay_steps=6)
            walk(longer, longer.reset(KEY)[1], np.full((4, 2), 0.1, np.float32))
        with pytest.raises(errors.MissingCapabilityError, match="snapshot_size=320008"):
            envhub.make("gymnasium::Bends-v0", forkable=True, replay_steps=20_000)
    finally:
        del gymnasium.registry["Bends-v0"]


def test_a_restored_state_is_compared_with_what_it_showed(monkeypatch: pytest.MonkeyPatch) -> None:
    env, _ = envhub.wrap(awkward.Drift, forkable=True)
    _, state = env.reset(KEY)
    state, _ = walk(env, state, [0, 1])
    other = HostState(state.handle + jnp.uint32([0, 1, 0]), state.snapshot)
    monkeypatch.setattr(awkward.Drift, "drawn", lambda self: 0.25)
    env.reset(jax.random.key(1))
    with pytest.raises(errors.HostEnvError, match="led to another observation"):
        env.step(KEY, other, 1)
    assert env.step(KEY, state, 1).obs.shape == (1,)


def test_a_snapshot_is_for_the_same_wrappers() -> None:
    double, triple, again = (
        envhub.wrap(lambda factor=factor: awkward.Scaled(awkward.Drift(), factor), forkable=True)[0]
        for factor in (2.0, 3.0, 2.0)
    )
    _, state = double.reset(KEY)
    state = double.step(KEY, state, 1).state
    with pytest.raises(errors.InvalidStateError, match="another environment"):
        triple.step(KEY, state, 1)
    assert_same(again.step(KEY, state, 1).reward, double.step(KEY, state, 1).reward)


@pytest.mark.parametrize(
    "workers",
    ["thread", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("process", "ray"))],
)
def test_workers_replay_the_same_bits(workers: str, lander: Any) -> None:
    if workers == "ray":
        needed("ray")
    other, _ = envhub.make(LANDER, forkable=True, max_instances=2, workers=workers, num_workers=2)

    def play(env: Any) -> Any:
        step = jax.jit(jax.vmap(env.step, in_axes=(None, 0, 0)))
        _, start = jax.vmap(env.reset)(jax.random.split(KEY, 3))  # of which two have an instance
        states = start
        for number in range(6):
            states = step(KEY, states, jnp.array([2, number % 4, 0])).state
        again = step(KEY, start, jnp.array([1, 1, 1]))
        return [step(KEY, states, jnp.full(3, 2)).obs, again.obs, again.reward]

    assert_same(play(other), play(lander))
    other.close()


def test_an_environment_is_also_known_by_what_it_was_made_with() -> None:
    """Otherwise a proof of one would be that of another, and so would a snapshot."""
    light, heavy, drawn = (
        envhub.wrap(lambda pull=pull: awkward.Pulled(pull), forkable=True)[0]
        for pull in (1.0, 2.0, None)
    )
    _, state = light.reset(KEY)
    with pytest.raises(errors.InvalidStateError, match="another environment"):
        heavy.step(KEY, state, 1)
    assert str(replay.Mode(has_generators=True)) in drawn.capabilities.how("forkable")
    assert str(replay.Mode(has_generators=True)) not in heavy.capabilities.how("forkable")


def _times(reward: float, factor: float) -> float:
    return reward * factor


def _recursive(factor: float) -> Callable[[float], float]:
    def bounded(reward: float) -> float:
        return bounded(reward - 1) if reward > 9 else reward * factor

    return bounded


@pytest.mark.parametrize(
    "function",
    [
        _recursive,
        lambda factor: lambda reward: reward * factor,
        lambda factor: lambda reward, by=factor: reward * by,
        lambda factor: functools.partial(_times, factor=factor),
    ],
    ids=["itself", "a cell", "a default", "a partial"],
)
def test_functions_are_told_apart_by_what_they_hold(function: Any) -> None:
    registry.get("gymnasium").load()
    from envhub.adapters.gymnasium.identity import description_of

    one, other, again = (
        description_of(gymnasium.wrappers.TransformReward(awkward.Drift(), function(factor)))
        for factor in (1.0, 2.0, 1.0)
    )
    assert one == again != other


SPACES = {
    "start": (envhub.spaces.Discrete(3, start=-1), 1, -1),
    "many": (envhub.spaces.Discrete(70_000), 4, 69_999),
    "some": (envhub.spaces.Discrete(300), 2, 299),
    "multi": (envhub.spaces.MultiDiscrete([3, 300]), 4, np.array([2, 299], np.int32)),
    "box": (envhub.spaces.Box(-1, 1, (3,), np.float64), 24, np.array([0.1, -0.7, 1.0])),
    "nested": (
        envhub.spaces.Dict(
            {"a": envhub.spaces.Discrete(2), "b": envhub.spaces.Box(0, 9, (2,), np.int32)}
        ),
        3,
        {"a": 1, "b": np.array([0, 9], np.int32)},
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_an_action_comes_out_of_a_log_as_it_went_in(name: str) -> None:
    space, width, action = SPACES[name]
    form = LogForm(space, 1, 5)
    assert form.width == width
    log = Log(7, [(0, b"abcd"), (1, b"efgh")], bytearray(form.encode(action) * 2), 2)
    packed = form.pack(log)
    assert len(packed) == form.size
    again = form.unpack(packed)
    assert again == log
    one, other = form.decode(again, 0)
    assert jax.tree.map(type, one) == jax.tree.map(type, action)
    assert_same(one, action)
    assert_same(other, action)
    with pytest.raises(errors.InvalidStateError):
        form.unpack(packed[:-1])


def log_of(seed: int, *actions: int) -> Log:
    return Log(seed, [], bytearray(actions), len(actions))


def test_the_copies_used_least_recently_go_first_and_all_stay_in_the_process() -> None:
    copies = Copies(3 * 1100)
    for number in range(3):
        copies.put(log_of(0, *[1] * number), np.full(900, number, np.uint8))
    assert copies.nearest(log_of(0, 1, 1, 0))[0] == 2  # type: ignore[index]
    assert copies.nearest(log_of(0, 0))[0] == 0  # type: ignore[index]
    copies.put(log_of(0, 0, 0, 0), np.zeros(900, np.uint8))
    assert len(copies) == 3
    count, found = copies.nearest(log_of(0, 1, 0)) or (0, None)
    assert (count, found[0]) == (0, 0), "the one of one step went"
    assert copies.nearest(log_of(1, 1, 1)) is None, "of another seed"
    copies.put(log_of(0, 2), np.zeros(10_000, np.uint8))
    assert copies.nearest(log_of(0, 2))[0] == 0, "larger than all of them may be"  # type: ignore[index]
    assert not len(pickle.loads(pickle.dumps(copies)))


def test_copies_of_what_grows_are_measured_again() -> None:
    copies, live, taken = Copies(2**20), [np.zeros(1000, np.uint8)], 300
    copies.switch("deepcopy")
    for count in range(3, taken):
        live.append(np.zeros(1000, np.uint8))
        copies.put(log_of(0, *[0] * count), live)
    held = [1000 * (count - 1) for count in range(taken - len(copies), taken)]
    assert held
    assert sum(held) < 2 * copies.limit, "an estimate, which at worst is half of it"


class Counting(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Counts the steps of all instances."""

    steps = 0

    def step(self, action: Any) -> Any:
        Counting.steps += 1
        return self.env.step(action)


@pytest.mark.full
def test_a_search_in_minigrid_replays_few_steps() -> None:
    wrappers = needed("minigrid.wrappers")

    def door_key() -> Any:
        return Counting(wrappers.ImgObsWrapper(gymnasium.make("MiniGrid-DoorKey-8x8-v0")))

    env, _ = envhub.wrap(door_key, forkable=True)
    assert "Copies of instances" in env.capabilities.how("forkable")
    plan = jax.jit(planner(env, lambda *_: jnp.float32(0), discount=0.99, num_simulations=32))
    obs, state = jax.vmap(env.reset)(KEY[None])

    @jax.jit
    def turn(state: Any, action: Any) -> Any:
        result = jax.vmap(env.step, in_axes=(None, 0, 0))(KEY, state, action)
        return result.state, result.obs

    state, seen = jax.lax.scan(turn, state, jnp.arange(100)[:, None] % 2)
    obs = seen[-1]
    counts = []
    for number in range(4):
        before = Counting.steps
        action = plan(jax.random.key(number), obs, state).action
        action.block_until_ready()
        counts.append(Counting.steps - before - 32)  # without those of the search itself
        state, obs = turn(state, action)
    # The first search replays the steps that led to the first root, of which there is no copy.
    assert max(counts[1:]) <= 60, counts
