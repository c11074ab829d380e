"""What is peculiar to EnvPool."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from envhub.adapters.envpool.facts import EXACT, FAMILIES, STREAM
from envhub.adapters.envpool.fleet import PoolFleet
from envhub.adapters.envpool.names import canonical, family_of

import envhub
from envhub import errors, registry
from envhub.host.protocol import to_leaves
from envhub.host.sampling import sample

from .. import fuzz_envpool
from ..packages import needed

envpool: Any = needed("envpool")
SUITE: Any = registry.get("envpool")
KEY = jax.random.key(0)

# One of each family that is cheap to make, and one of each that is not.
CHEAP = (
    *("CartPole-v1", "LunarLander-v3", "MiniGrid-DoorKey-5x5-v0", "FrozenLake-v1"),
    *("Highway-v0", "Snake-v1", "Play2048-v1"),
)
COSTLY = (
    *("Pong-v5", "Hopper-v5", "WalkerWalk-v1", "MetaWorld/Reach-v3", "FetchReach-v4"),
    *("AlohaHandOver-v1", "myoHandKeyTurnFixed-v0", "D1Basic-v1"),
    *("gfootball/academy_empty_goal_close-v1", "CoinrunHard-v0", "Craftax-Symbolic-v1"),
    *("MarlGrid-1AgentCluttered15x15-v0", "DmcCmuHumanoidGoToTarget-v1"),
    "Mjlab-Cartpole-Balance-v0",
)
MOST, LONGEST = 250, 30_000  # steps that are compared


def recipe(name: str, **options: Any) -> Any:
    return SUITE.recipe(name, options)


def own(name: str, seeds: list[int]) -> Any:
    """EnvPool's own loop."""
    return envpool.make(name, env_type="gymnasium", num_envs=len(seeds), env_seed=seeds)


def leaves(space: Any, obs: Any) -> list[Any]:
    return to_leaves(space, getattr(obs, "tree", obs))


def same(space: Any, seen: Any, pool: Any, obs: Any) -> None:
    """Compare observations; EnvPool's own loop cuts those of some families into a dict."""
    found = leaves(space, seen)
    if not (layout := getattr(pool.spec, "_layout", ())):
        return np.testing.assert_equal(found, leaves(space, obs))
    for name, shape, *kind, offset, size in layout:
        cut = found[kind[0] if kind else 0][:, offset : offset + size]
        np.testing.assert_equal(cut.reshape(len(cut), *shape), obs[name])
    return None


def part(info: Any, name: str) -> Any:
    """An entry of EnvPool's `info`, where names with points are dicts in dicts."""
    for each in name.split("."):
        info = info[each]
    return info


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ViZDoom leaves a file in the working directory."""
    monkeypatch.chdir(tmp_path)


def needs(name: str) -> None:
    if name not in SUITE.known_names():
        pytest.skip(reason=f"EnvPool {SUITE.installed()} has no {name}")
    if gap := SUITE.gap(name, {}):
        pytest.skip(reason=gap.reason)


@pytest.mark.parametrize(
    "name", [*CHEAP, *(pytest.param(name, marks=pytest.mark.full) for name in COSTLY)]
)
@pytest.mark.parametrize("seeding", [EXACT, STREAM])
@pytest.mark.filterwarnings("ignore::UserWarning")  # of spaces that Gymnasium finds odd
def test_episodes_are_envpools_own_bit_for_bit(
    name: str, seeding: str, pytestconfig: pytest.Config
) -> None:
    """Three lanes until each ended: observations, rewards, flags, all of `info`, the next start.

    Without `--full`, long episodes are not played to their end.
    """
    needs(name)
    made = recipe(name)
    space, action_space = made.reader.observation_space, made.reader.action_space
    fleet = PoolFleet(made, is_exact=seeding == EXACT)
    fleet.grow(2)
    alive, seeds = np.arange(3, dtype=np.int32), [3, 1, 2]
    seen = fleet.reset(alive, seeds).obs
    if seeding == STREAM:
        rng = np.random.default_rng(seeds[0])
        seeds = rng.integers(2**31, size=3).tolist()
    theirs = own(name, seeds)
    obs, _ = theirs.reset()
    rng = np.random.default_rng(0)
    same(space, seen, theirs, obs)
    masks: Any = [None] * 3
    for _ in range(LONGEST if pytestconfig.getoption("full") else MOST):
        if isinstance(obs, dict) and "action_mask" in obs:
            masks = obs["action_mask"]
        chosen = [sample(action_space, rng, masks[lane]) for lane in range(len(alive))]
        actions = np.stack(chosen)
        outcomes = fleet.step(alive, actions)
        given = np.ascontiguousarray(actions, made.reader.action_dtype)
        obs, reward, terminated, truncated, info = theirs.step(given, alive)
        same(space, outcomes.obs, theirs, obs)
        np.testing.assert_equal(outcomes.rewards, reward.astype(np.float32))
        ended = outcomes.terminated | outcomes.truncated
        if made.family == "gfootball":  # where EnvPool's own limit is one step late
            truncated = outcomes.truncated
            assert (outcomes.infos["elapsed_step"][truncated] == made.limit).all()
        np.testing.assert_equal(ended, terminated | truncated)
        np.testing.assert_equal(outcomes.terminated[~truncated], terminated[~truncated])
        for entry, column in outcomes.infos.items():
            np.testing.assert_equal(column, part(info, entry))
        alive, obs = alive[~ended], jax.tree.map(lambda leaf, going=~ended: leaf[going], obs)
        if not len(alive):
            break
    assert not (len(alive) and pytestconfig.getoption("full")), "no end"
    if seeding == STREAM:
        obs, _ = theirs.reset()
        same(space, fleet.reset(np.arange(3), seeds).obs, theirs, obs)
    fleet.close()


@pytest.mark.parametrize("seeding", [EXACT, STREAM])
@pytest.mark.parametrize(
    "name",
    [
        *("MarlGrid-3AgentCluttered11x11-v0", "IntersectionMultiAgent-v1", "TicTacToe-v1"),
        pytest.param("DmcSoccerBoxhead-v1", marks=pytest.mark.full),
    ],
)
def test_several_agents_play_as_in_a_pool_of_one(name: str, seeding: str) -> None:
    """Three lanes, in another order in each step, until each ended."""
    needs(name)
    made = recipe(name)
    reader, agents = made.reader, made.reader.agents
    fleet, rng = PoolFleet(made, is_exact=seeding == EXACT), np.random.default_rng(0)
    fleet.grow(2)
    seeds = [3, 1, 2]
    obs = fleet.reset(np.arange(3), seeds).obs
    if seeding == STREAM:
        seeds = np.random.default_rng(seeds[0]).integers(2**31, size=3).tolist()
    theirs = [own(name, [seed]) for seed in seeds]
    raw = [answer(pool, "_reset", np.zeros(1, np.int32)) for pool in theirs]
    same_as_seen(made, obs, raw)
    alive = np.arange(3)
    for _ in range(200):
        order = rng.permutation(alive)
        masks = [raw[number].get("info:legal_action_mask", [None])[0] for number in order]
        actions = np.stack([sample(reader.action_space, rng, mask) for mask in masks])
        outcomes = fleet.step(order, actions)
        for lane, number in enumerate(order):
            whose = np.zeros(reader.actors, np.int32)
            chosen = actions[lane].astype(reader.action_dtype)
            given = [whose[:1], whose, chosen.reshape(len(whose), *chosen.shape[1:])]
            raw[number] = now = answer(theirs[number], "_send", given)
            np.testing.assert_equal(outcomes.rewards[lane], now["reward"])
            ended = outcomes.terminated[lane] | outcomes.truncated[lane]
            np.testing.assert_equal(ended, np.repeat(now["done"], agents))
            for entry in reader.infos[:-1]:
                seen = np.squeeze(outcomes.infos[entry][lane])
                np.testing.assert_equal(seen, np.squeeze(now[f"info:{entry}"]))
        same_as_seen(made, outcomes.obs, [raw[number] for number in order])
        alive = order[~(outcomes.terminated | outcomes.truncated).all(-1)]
        if not len(alive):
            break
    assert not len(alive) or name.startswith("DmcSoccer")  # of 1,800 steps
    fleet.close()


def answer(pool: Any, call: str, given: Any) -> dict[str, Any]:
    """What one environment sends after a raw call, by name."""
    getattr(pool, call)(given)
    names = pool.spec._state_keys  # noqa: SLF001 (the raw calls)
    return dict(zip(names, pool._recv(), strict=True))  # noqa: SLF001 (the raw calls)


def same_as_seen(made: Any, obs: Any, raw: list[dict[str, Any]]) -> None:
    """Compare observations of several agents, of lanes that were stepped one by one."""
    sent = made.reader.stacked([list(each.values()) for each in raw])
    seen = leaves(made.reader.observation_space, obs)
    np.testing.assert_equal(seen, leaves(made.reader.observation_space, made.reader.obs(sent)))


@pytest.mark.parametrize(
    ("name", "of_pgx"),
    [
        ("TicTacToe-v1", "tic_tac_toe"),
        ("ConnectFour-v1", "connect_four"),
        ("Othello-v1", "othello"),
    ],
)
def test_a_game_of_turns_is_that_of_pgx(name: str, of_pgx: str) -> None:
    """The same moves until the end; who begins is drawn, so the players may be swapped."""
    needed("pgx")
    env, params = envhub.make(f"envpool::{name}", seeding=EXACT)
    other, _ = envhub.make(f"pgx::{of_pgx}")
    assert env.turn_based
    assert (env.num_agents, env.observation_agents) == (2, "none")
    obs, state = env.reset(KEY, params)
    theirs, their_state = other.reset(KEY)
    step, their_step = jax.jit(env.step), jax.jit(other.step)
    swap = slice(None, None, 1 if obs["current_player"] == theirs["current_player"] else -1)
    rng = np.random.default_rng(0)
    for _ in range(100):
        for entry in ("observation", "action_mask"):
            np.testing.assert_equal(np.asarray(obs[entry]), np.asarray(theirs[entry]))
        action = int(rng.choice(np.flatnonzero(obs["action_mask"])))
        result = step(KEY, state, action, params)
        expected = their_step(KEY, their_state, action)
        np.testing.assert_equal(np.asarray(result.reward), np.asarray(expected.reward)[swap])
        np.testing.assert_equal(np.asarray(result.terminated), np.asarray(expected.terminated))
        if result.done.all():
            break
        obs, state, theirs, their_state = result.obs, result.state, expected.obs, expected.state
    assert result.done.all()
    assert result.obs["action_mask"].all()
    env.close()


def test_a_game_of_turns_is_forked_by_replay() -> None:
    env, _ = envhub.make("envpool::TicTacToe-v1", forkable=True)
    assert (env.turn_based, env.num_agents) == (True, 2)
    assert env.capabilities.how("forkable").startswith("by replay")
    _, state = env.reset(jax.random.key(0))
    moves = [env.step(jax.random.key(1), state, move) for move in (0, 8, 0)]
    assert moves[0].obs["action_mask"].tolist() == moves[2].obs["action_mask"].tolist()
    assert not moves[1].obs["action_mask"][8]
    env.close()


def test_several_agents_go_through_the_hub() -> None:
    name = "envpool::MarlGrid-3AgentCluttered11x11-v0"
    needs(name.partition("::")[2])
    forked, _ = envhub.make(name, forkable=True)
    assert forked.capabilities.how("forkable").startswith("by replay")
    forked.close()
    env, params = envhub.make_vec(name, 2)
    assert (env.num_agents, env.observation_agents) == (3, "leading")
    trajectory = envhub.rollout(env, None, params, jax.random.key(1), num_steps=101)
    ends = np.zeros((101, 2, 3), bool)
    ends[99] = True
    np.testing.assert_equal(np.asarray(trajectory.truncated), ends)
    env.close()


def test_lanes_in_several_pools_are_as_alone() -> None:
    """Each of them was reset at another time, and some steps are of some lanes, in any order."""
    made = recipe("CartPole-v1")
    fleet, rng = PoolFleet(made, is_exact=True), np.random.default_rng(0)
    alone = [PoolFleet(made, is_exact=True) for _ in range(5)]
    fleet.grow(4)
    for first in ([0, 3], [1], [2, 4]):
        obs = fleet.reset(np.array(first), first).obs
        for row, number in zip(obs, first, strict=True):
            np.testing.assert_equal(row, alone[number].reset([0], [number]).obs[0])
    for _ in range(8):
        numbers = rng.permutation(5)[: rng.integers(1, 6)]
        actions = rng.integers(2, size=len(numbers))
        outcomes = fleet.step(numbers, actions)
        for lane, number in enumerate(numbers):
            expected = alone[number].step([0], actions[lane : lane + 1])
            np.testing.assert_equal(outcomes.obs[lane], expected.obs[0])
            assert outcomes.infos["elapsed_step"][lane] == expected.infos["elapsed_step"][0]


@pytest.mark.parametrize("name", ["CartPole-v1", "LunarLander-v3"])
def test_a_termination_at_the_limit_is_one(name: str) -> None:
    """EnvPool calls it a truncation alone."""

    def episode(limit: int | None) -> tuple[int, bool, bool]:
        options = {} if limit is None else {"max_episode_steps": limit}
        fleet = PoolFleet(recipe(name, **options), is_exact=True)
        fleet.reset(np.arange(1), [0])
        for steps in range(1, MOST):
            outcomes = fleet.step(np.arange(1), np.array([0]))
            flags = bool(outcomes.terminated[0]), bool(outcomes.truncated[0])
            if any(flags):
                return steps, *flags
        raise AssertionError("no end")

    length, *flags = episode(None)
    assert flags == [True, False]
    assert episode(length) == (length, True, True)
    assert episode(length - 1) == (length - 1, False, True)
    assert episode(length + 1) == (length, True, False)


def test_the_limit_of_minigrid_is_in_its_reward_and_a_goal_on_it_is_a_termination() -> None:
    """Turn, turn back, and walk to the goal of an empty room."""
    walk = [*[2] * 2, 1, *[2] * 2]
    for limit, flags in ((5, (True, True)), (6, (True, False))):
        made = recipe("MiniGrid-Empty-5x5-v0", max_episode_steps=limit)
        fleet = PoolFleet(made, is_exact=True)
        fleet.reset(np.arange(1), [0])
        for action in walk:
            outcomes = fleet.step(np.arange(1), np.array([action]))
        assert (bool(outcomes.terminated[0]), bool(outcomes.truncated[0])) == flags
        assert outcomes.rewards[0] == pytest.approx(1 - 0.9 * 5 / limit)


def test_a_stream_repeats_with_the_program_and_not_with_the_key() -> None:
    def program() -> list[Any]:
        env, params = envhub.make("envpool::CartPole-v1", seeding=STREAM)
        starts = [env.reset(jax.random.key(0), params)[0] for _ in range(2)]
        env.close()
        return list(map(np.asarray, starts))

    one, other = program()
    again = program()
    assert not np.array_equal(one, other)
    np.testing.assert_equal(again, [one, other])
    why = envhub.capabilities("envpool::CartPole-v1", seeding=STREAM).why("reproducible")
    assert "seeding='exact'" in why
    assert envhub.capabilities("envpool::CartPole-v1", seeding=EXACT).reproducible


@pytest.mark.parametrize("name", ["CartPole-v1", "MiniGrid-DoorKey-5x5-v0"])
@pytest.mark.slow
def test_a_seed_makes_a_program_of_streams_repeatable_in_one_process(name: str) -> None:
    """Whatever the keys of resets are: actions and their number decide what follows."""

    def program(seed: int, key: int) -> Any:
        made, params = envhub.make_vec(f"envpool::{name}", 4, seeding=STREAM, seed=seed)
        trajectory = envhub.rollout(made, None, params, jax.random.key(key), num_steps=300)
        starts = made.reset(jax.random.key(key), params)[0]
        made.close()
        return jax.tree.map(
            np.asarray, (trajectory.obs, trajectory.reward, trajectory.done, starts)
        )

    def start(seed: int, key: int) -> Any:
        made, params = envhub.make_vec(f"envpool::{name}", 4, seeding=STREAM, seed=seed)
        obs, _ = made.reset(jax.random.key(key), params)
        made.close()
        return list(map(np.asarray, jax.tree.leaves(obs)))

    one = program(3, 0)
    assert one[2].any()
    np.testing.assert_equal(program(3, 0), one)
    np.testing.assert_equal(start(3, 0), start(3, 1))
    assert not all(map(np.array_equal, start(3, 0), start(4, 0)))


def test_every_name_of_the_installed_version_is_known() -> None:
    known = canonical(SUITE.installed())
    assert set(known) == set(envpool.list_all_envs())
    assert set(known.values()) == set(SUITE.known_names()) == set(SUITE.live_names())
    assert {family_of(name) for name in known} <= set(FAMILIES)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("phys2d/CartPole-v1", "CartPole-v1"),
        ("MyoSuite/myoHandKeyTurnFixed-v0", "myoHandKeyTurnFixed-v0"),
        ("LunarLander-v2", "LunarLander-v3"),
        ("MetaWorld/Reach-v3", "MetaWorld/Reach-v3"),
    ],
)
def test_an_alias_is_accepted(alias: str, name: str) -> None:
    assert SUITE.resolve(alias) == name


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(errors.UnknownEnvError, match="Did you mean 'Pong-v5'"):
        envhub.make("envpool::Pongg-v5")


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("Pong-v5", {"img_height": 0}, "an integer from 8 to 1024, got 0"),
        ("Pong-v5", {"img_width": 84.0}, "got 84.0"),
        ("Pong-v5", {"repeat_action_probability": float("nan")}, "from 0 to 1, got nan"),
        ("Pong-v5", {"episodic_life": 1}, "True or False, got 1"),
        ("CartPole-v1", {"num_threads": -1}, "from 0 to 256, got -1"),
        ("CartPole-v1", {"num_threads": 10_000}, "got 10000"),
        ("CartPole-v1", {"max_episode_steps": 0}, "got 0"),
        ("CartPole-v1", {"max_episode_steps": 2**40}, "got 1099511627776"),
        ("CartPole-v1", {"max_episode_steps": True}, "got True"),
        ("CartPole-v1", {"seeding": "drawn"}, "'exact' or 'stream', got 'drawn'"),
        ("CartPole-v1", {"seeding": "stream", "workers": "thread"}, "a pool of its own"),
        ("CartPole-v1", {"seeding": "stream", "forkable": True}, "a pool of its own"),
        ("CartPole-v1", {"seeding": "exact", "seed": 1}, "is for seeding='stream'"),
        ("CartPole-v1", {"seeding": "stream", "seed": -1}, "got -1"),
        ("CartPole-v1", {"num_envs": 3}, "num_envs"),
        ("CartPole-v1", {"env_seed": [3]}, "env_seed"),
        ("MiniGrid-Empty-5x5-v0", {"size": 1}, "size"),
        ("Highway-v0", {"max_episode_steps": 41}, "at most 40"),
    ],
)
def test_what_envpool_would_not_survive_does_not_reach_it(
    name: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(errors.InvalidOptionError, match=told):
        envhub.make(f"envpool::{name}", **options)


def test_no_thread_and_no_pool_is_left() -> None:
    def threads() -> set[str]:
        return set(os.listdir("/proc/self/task"))

    before, fleet = threads(), PoolFleet(recipe("CartPole-v1", num_threads=2), is_exact=True)
    fleet.grow(7)
    for seed in range(60):
        numbers = np.arange(8)[seed % 3 :: 2]
        fleet.reset(numbers, [seed] * len(numbers))
        assert 0 < len(threads() - before) <= 16
    fleet.close()
    assert threads() <= before


def test_a_second_thread_in_a_pool_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """EnvPool would wait for ever; through the hub, threads take turns."""
    made, refused = recipe("CartPole-v1"), []
    pool = made.make([0])
    finish = pool.finish
    monkeypatch.setattr(made, "make", lambda _: pool)
    fleet = PoolFleet(made, is_exact=False)
    fleet.reset([0], [0])

    def intrude() -> None:
        for call in (lambda: fleet.step([0], [1]), lambda: fleet.reset([0], [0])):
            with pytest.raises(errors.HostEnvError, match="two threads"):
                call()
            refused.append(True)

    def finish_late() -> Any:  # the other thread comes in the middle of a step
        other = threading.Thread(target=intrude)
        other.start()
        other.join(20)
        return finish()

    monkeypatch.setattr(pool, "finish", finish_late)
    assert len(fleet.step([0], [1]).obs) == 1
    assert refused == [True, True]
    monkeypatch.setattr(pool, "finish", finish)
    assert len(fleet.step([0], [0]).obs) == 1
    fleet.close()


def test_several_threads_take_turns() -> None:
    """Two of them in one pool at once would be refused."""
    env, params = envhub.make("envpool::CartPole-v1", seeding=EXACT)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    _, state = reset(jax.random.key(1), params)
    expected = np.asarray(step(jax.random.key(0), state, 1, params).obs)
    found: list[Any] = []

    def work() -> None:
        for _ in range(20):
            _, state = reset(jax.random.key(1), params)
            found.append(np.asarray(step(jax.random.key(0), state, 1, params).obs))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 60
    np.testing.assert_equal(np.stack(found), np.broadcast_to(expected, (60, 4)))
    env.close()


def test_workers_are_instances_with_exact_seeds() -> None:
    env, params = envhub.make("envpool::CartPole-v1", workers="thread", num_workers=2)
    assert env.capabilities.reproducible
    obs, _ = env.reset(jax.random.key(4), params)
    env.close()
    fleet = PoolFleet(recipe("CartPole-v1"), is_exact=True)
    expected = fleet.reset([0], [envhub.host_seed(jax.random.key(4))]).obs[0]
    np.testing.assert_equal(np.asarray(obs), expected)


def test_states_are_forked_by_replay() -> None:
    env, params = envhub.make("envpool::CartPole-v1", forkable=True)
    key = jax.random.key(0)
    _, state = env.reset(key, params)
    one, other, again = (env.step(key, state, action, params) for action in (0, 1, 0))
    np.testing.assert_equal(np.asarray(one.obs), np.asarray(again.obs))
    assert not np.array_equal(one.obs, other.obs)
    env.close()
    with pytest.raises(errors.MissingCapabilityError, match="46 MB"):
        envhub.make("envpool::gfootball/academy_empty_goal-v1", forkable=True)


@pytest.mark.parametrize("name", ["CartPole-v1", "MiniGrid-Empty-5x5-v0"])
def test_random_calls_are_answered_or_refused(name: str) -> None:
    answered, refused = fuzz_envpool.play(name, 40, 0)
    assert answered > 10
    assert refused > 5


@pytest.mark.full
@pytest.mark.parametrize("name", [*CHEAP, *COSTLY])
def test_many_random_calls_do_not_end_the_process(name: str) -> None:
    needs(name)
    command = [sys.executable, "-m", "tests.fuzz_envpool", "1", "150", name]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    _, answered, refused = done.stdout.split()
    assert int(answered) + int(refused) == 150
    assert min(int(answered), int(refused)) > 10


IN_A_FORK = """
import os
import jax
import envhub
from envhub import errors

env, params = envhub.make("envpool::CartPole-v1")
_, state = env.reset(jax.random.key(0), params)
child = os.fork()
if not child:
    from envhub.adapters.envpool.fleet import PoolFleet
    try:
        env._pool.serve(None, {}, {}, 1)
    except errors.ForkedProcessError:
        os._exit(7)  # EnvPool ends an interpreter that ends otherwise by a segmentation fault
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
env.step(jax.random.key(0), state, 0, params)
"""


@pytest.mark.full
def test_a_fork_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_FORK],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["7"]
