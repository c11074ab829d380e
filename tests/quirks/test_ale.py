"""What is peculiar to ALE."""

from __future__ import annotations

import dataclasses
import functools
import gc
import inspect
import os
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from envhub.adapters.ale import facts, settings
from envhub.adapters.ale.games import PreprocessedInstance, RawInstance
from envhub.adapters.ale.vector import VectorFleet

import envhub
from envhub import errors, registry
from envhub.host import InstanceStep

from ..processes import fresh

SUITE = registry.get("ale")
with_its_own = pytest.mark.skipif(
    not registry.get("gymnasium").at_least("1.1"),
    reason="ale-py's own environments need gymnasium 1.1",
)

# One of each kind: a paddle, a tall screen, many actions and lives, an extra chip in the cartridge.
GAMES = ("breakout", "adventure", "ms_pacman", "pitfall2")


def instance(name: str, is_forkable: bool = True, **options: Any) -> Any:
    """One emulator as the adapter makes it, without the bridge."""
    from ale_py import roms

    game, chosen = facts.game_of(name), settings.settings_of(settings.kind_of(name), options)
    kind = RawInstance if isinstance(chosen, settings.Raw) else PreprocessedInstance
    rom = str(roms.get_rom_path(game))
    return kind(rom, chosen, is_forkable=is_forkable, is_leaky=game in facts.LEAKY)


def fleet(name: str, **options: Any) -> Any:
    """Emulators of the vector engine, without the bridge."""
    example = instance(name, is_forkable=False, **options)
    return VectorFleet(example, is_steady=facts.game_of(name) in facts.STEADY)


def lanes(outcomes: Any) -> list[Any]:
    """What the lanes of a step show, as `shown` has it of an instance."""
    assert not outcomes.failures
    names, entries = outcomes.infos.keys(), zip(*outcomes.infos.values(), strict=True)
    infos = [dict(zip(names, lane, strict=True)) for lane in entries]
    columns = outcomes.obs, outcomes.rewards, outcomes.terminated, outcomes.truncated, infos
    return [shown(InstanceStep(*lane)) for lane in zip(*columns, strict=True)]


def shown(step: Any) -> Any:
    return step.obs.tobytes(), *step[1:4], tuple(step.info.values())


def play(one: Any, actions: Any) -> list[Any]:
    """What the steps of an instance show, until its episode ends."""
    seen = []
    for action in actions:
        step = one.step(int(action))
        seen.append((*shown(step), one.render().tobytes()))
        if step.terminated or step.truncated:
            break
    return seen


def test_the_table_holds_the_games_that_one_player_can_play() -> None:
    for_two = {"combat", "joust", "maze_craze", "warlords"}
    from ale_py import roms

    assert sorted(facts.GAMES) == sorted({*roms.get_all_rom_ids()} - for_two)
    assert set(facts.LEAKY) <= set(facts.GAMES)


@with_its_own
def test_names_of_v5_are_those_that_gymnasium_registers() -> None:
    import ale_py
    import gymnasium

    gymnasium.register_envs(ale_py)
    ids = {each for each in gymnasium.registry if each.startswith("ALE/")}
    assert ids == {f"ALE/{name}-v5" for name in facts.GAME_OF}
    kwargs = dict(gymnasium.spec("ALE/TicTacToe3D-v5").kwargs)
    assert kwargs.pop("game") == "tic_tac_toe_3d"
    assert {name: getattr(settings.Raw(), name) for name in kwargs} == kwargs


ASKS = """
import envhub

for ask in (envhub.make, envhub.capabilities):
    try:
        ask("gymnasium::ALE/Pong-v5")
    except envhub.errors.UnknownEnvError as error:
        print("refused:", "'ale::pong'" in str(error))
import ale_py

print(envhub.capabilities("gymnasium::ALE/Pong-v5").jax_native)
print(envhub.make("gymnasium::ALE/Pong-v5")[0].observation_space().shape)
"""


@with_its_own
@pytest.mark.slow
def test_gymnasium_has_its_names_from_when_it_is_imported() -> None:
    """In a process of its own, where nothing has imported it."""
    told = fresh(ASKS).stdout
    assert told.splitlines()[-4:] == ["refused: True", "refused: True", "False", "(210, 160, 3)"]


@with_its_own
def test_defaults_are_those_of_the_vector_environment() -> None:
    from ale_py import vector_env as vector

    theirs = inspect.signature(vector.AtariVectorEnv).parameters
    for name, value in dataclasses.asdict(settings.Preprocessed()).items():
        assert theirs[name].default == value, name


def test_three_names_of_one_game() -> None:
    assert [SUITE.resolve(name) for name in ("ms_pacman", "MsPacman", "ALE/MsPacman-v5")] == [
        "ms_pacman", "ms_pacman", "ALE/MsPacman-v5",
    ]  # fmt: skip
    for name in ("ms-pacman", "ALE/MsPacman-v4", "ALE/ms_pacman-v5", "combat"):
        with pytest.raises(errors.UnknownEnvError):
            SUITE.resolve(name)


@pytest.mark.parametrize(
    ("game", "options"),
    [
        *[(game, {}) for game in GAMES],
        ("carnival", {"grayscale": False, "frameskip": 3, "stack_num": 2}),
        (
            "breakout",
            {"frameskip": 1, "img_height": 100, "img_width": 80, "reward_clipping": False},
        ),
        ("seaquest", {"episodic_life": True, "img_height": 105, "img_width": 80}),
        ("seaquest", {"full_action_space": True, "img_height": 70, "img_width": 40}),
        ("pong", {"maxpool": False, "img_height": 210, "img_width": 160}),
        ("pong", {"max_num_frames_per_episode": 50, "frameskip": 7}),
    ],
)
@with_its_own
def test_preprocessing_is_that_of_the_vector_environment_to_the_bit(
    game: str, options: Any
) -> None:
    """The ends of episodes too, where its last observation shows older frames."""
    from ale_py import vector_env as vector

    options = {"noop_max": 0, "use_fire_reset": False, **options}
    theirs, ours = vector.AtariVectorEnv(game, 1, **options), instance(game, **options)
    obs, _ = theirs.reset(seed=0)
    np.testing.assert_array_equal(ours.reset(0), obs[0])
    rng = np.random.default_rng(0)
    for _ in range(300):
        action = rng.integers(len(ours.actions), dtype=np.int32)
        obs, reward, terminated, truncated, info = theirs.step(np.array([action]))
        step = ours.step(int(action))
        np.testing.assert_array_equal(step.obs, obs[0])
        assert step[1:4] == (reward[0], terminated[0], truncated[0])
        # Theirs goes on counting over resets.
        assert all(step.info[name] == info[name][0] for name in ("lives", "episode_frame_number"))
        if step.terminated or step.truncated:
            break


@pytest.mark.parametrize(
    ("options", "theirs"),
    [
        ({"episodic_life": True}, {"terminal_on_life_loss": True}),
        (
            {"grayscale": False, "frameskip": 8, "img_width": 60, "img_height": 70},
            {"grayscale_obs": False, "frame_skip": 8, "screen_size": (60, 70)},
        ),
    ],
)
@with_its_own
def test_preprocessing_is_gymnasiums_to_the_bit(options: Any, theirs: Any) -> None:
    """What docs/wrappers.md gives for `AtariPreprocessing`, through the end of a life or a game."""
    import ale_py
    import gymnasium

    gymnasium.register_envs(ale_py)
    raw = gymnasium.make("ALE/Breakout-v5", frameskip=1, repeat_action_probability=0.0)
    env = gymnasium.wrappers.AtariPreprocessing(raw, noop_max=0, **theirs)
    plain = {"noop_max": 0, "use_fire_reset": False, "stack_num": 1, "reward_clipping": False}
    ours, rng, ends = instance("breakout", **plain, **options), np.random.default_rng(0), 0
    np.testing.assert_array_equal(ours.reset(0)[0], env.reset(seed=0)[0])
    for _ in range(300):
        action = int(rng.integers(4))
        step, (obs, *others, _) = ours.step(action), env.step(action)
        np.testing.assert_array_equal(step.obs[0], obs)
        assert list(step[1:4]) == others
        if step.terminated:
            ends += 1
            np.testing.assert_array_equal(ours.reset(0)[0], env.reset(seed=0)[0])
    assert ends


@pytest.mark.parametrize(
    ("game", "options"),
    [
        ("breakout", {}),
        ("adventure", {"obs_type": "ram"}),
        ("pong", {"obs_type": "grayscale", "mode": 1, "difficulty": 3}),
        ("ms_pacman", {"full_action_space": True, "max_num_frames_per_episode": 200}),
    ],
)
@with_its_own
def test_v5_is_ales_own_environment(game: str, options: Any) -> None:
    from ale_py import env as env_module

    limit = {"max_num_frames_per_episode": 108_000}
    quiet = {"repeat_action_probability": 0.0}  # the two draw from different generators
    theirs = env_module.AtariEnv(game, **limit | quiet | options)
    env, _ = envhub.make(f"ale::ALE/{facts.pascal_case(game)}-v5", **quiet | options)
    obs, _ = theirs.reset(seed=1)
    ours, state = env.reset(jax.random.key(0))
    np.testing.assert_array_equal(ours, obs)
    assert env.action_space().n == theirs.action_space.n
    step = jax.jit(env.step)
    for action in np.random.default_rng(0).integers(env.action_space().n, size=200):
        result = step(jax.random.key(0), state, jnp.int32(action))
        obs, reward, terminated, truncated, info = theirs.step(action)
        np.testing.assert_array_equal(result.obs, obs)
        assert (result.reward, result.terminated, result.truncated) == (
            reward, terminated, truncated,
        )  # fmt: skip
        assert {name: int(value) for name, value in result.info.items()} == info
        state = result.state
        if terminated or truncated:
            break
    else:
        assert "max_num_frames_per_episode" not in options


def test_the_last_frames_of_the_limit_are_played() -> None:
    """Truncated in the middle of a step, and not called terminated."""
    one = instance("pong", max_num_frames_per_episode=10, noop_max=1)
    one.reset(0)
    steps = [one.step(0) for _ in range(3)]
    assert [step.truncated for step in steps] == [False, False, True]
    assert not steps[-1].terminated
    assert steps[-1].info["episode_frame_number"] - steps[0].info["episode_frame_number"] == 6


@pytest.mark.parametrize("game", ["breakout", "montezuma_revenge", "klax"])
def test_a_snapshot_continues_in_an_instance_of_another_history(game: str) -> None:
    options = {"repeat_action_probability": 0.25}
    one, other = instance(game, **options), instance(game, **options)
    rng = np.random.default_rng(0)
    other.reset(9)
    for seed, skipped in enumerate((0, 1, 30, 60)):
        play(other, [1, 0, 2] * seed)
        obs = one.reset(seed)
        for action in rng.integers(len(one.actions), size=skipped):
            obs = one.step(int(action)).obs
        saved, picture = one.save(), one.render()
        assert len(saved) < 2048  # without the text of ALE's generator
        actions = rng.integers(len(one.actions), size=200)
        expected = play(one, actions)
        assert len(expected) > 30
        for _ in range(2):
            other.restore(saved, obs)
            np.testing.assert_array_equal(other.render(), picture)
        assert play(other, actions) == expected


def test_a_seed_decides_the_episode_and_nothing_else_does() -> None:
    fresh, used = instance("breakout"), instance("breakout")
    for seed in (5, 3):
        used.reset(seed)
        used.set_params(np.array([4, 1, 0.5], np.float32))
        play(used, [2, 3] * 20)
        used.reset(seed)
        play(used, [2, 3] * 20)
    sticky = np.array([0, 0, 0.5], np.float32)
    episodes = []
    for one in (fresh, used):
        one.set_params(sticky)
        first = one.reset(7)
        episodes.append((first.tobytes(), play(one, [1, 2, 3] * 20)))
    assert episodes[0] == episodes[1]
    starts = {fresh.reset(seed).tobytes() for seed in range(20)}
    assert len(starts) > 3


def test_games_that_do_not_round_trip_are_never_restored() -> None:
    """They start by loading the ROM, in every instance alike."""
    for game in facts.LEAKY:
        with pytest.raises(errors.MissingCapabilityError, match="739"):
            envhub.make(f"ale::{game}", snapshots="saved")
        assert not envhub.capabilities(f"ale::{game}").forkable
        by_replay = envhub.capabilities(f"ale::{game}", forkable=True)
        assert by_replay.how("forkable").startswith("by replay")
    one, other = (instance("tetris", is_forkable=False) for _ in range(2))
    one.reset(1)
    play(one, [1, 2, 3] * 30)
    assert one.reset(2).tobytes() == other.reset(2).tobytes()
    assert play(one, [1, 2, 3] * 20) == play(other, [1, 2, 3] * 20)


@functools.cache
def pong() -> Any:
    return envhub.make("ale::pong", forkable=True)


def test_one_state_stepped_twice() -> None:
    env, params = pong()
    _, state = env.reset(jax.random.key(0), params)
    step = jax.jit(lambda state, action: env.step_env(jax.random.key(1), state, action, params))
    for action in (2, 3, 2):
        state = step(state, action).state
    once = step(state, 2)
    elsewhere = step(step(state, 3).state, 3)
    again = step(step(state, 2).state, 3)
    twice = step(state, 2)
    assert (once.obs == twice.obs).all()
    assert once.info == twice.info
    assert (step(once.state, 3).obs == again.obs).all()
    assert (elsewhere.obs != again.obs).any()


def test_an_action_outside_the_space_never_reaches_the_emulator() -> None:
    env, params = pong()
    _, state = env.reset(jax.random.key(0), params)
    for action in (-1, 6):
        with pytest.raises(errors.InvalidActionError):
            env.step(jax.random.key(1), state, jnp.int32(action), params)
    env.step(jax.random.key(1), state, jnp.int32(5), params)


def test_modes_and_difficulties_are_chosen_at_a_reset() -> None:
    """The nearest of those that the game has, also in lanes of one call."""
    options = {"noop_max": 1, "use_fire_reset": False}
    env, params = envhub.make("ale::breakout", engine="python", **options)
    modes = jnp.array([0, 1, 12, 12])  # Breakout has every fourth
    lanes = jax.vmap(lambda mode: params.replace(mode=mode))(modes)
    obs, _ = jax.vmap(env.reset, in_axes=(None, 0))(jax.random.key(0), lanes)
    assert (obs[0] == obs[1]).all()
    assert (obs[2] == obs[3]).all()
    assert (obs[0] != obs[2]).any()
    chosen, chosen_params = envhub.make("ale::breakout", mode=12, **options)
    assert chosen_params.mode == 12
    assert (chosen.reset(jax.random.key(0))[0] == obs[2]).all()


def test_an_action_sticks_with_its_probability() -> None:
    one = instance("breakout", frameskip=1, noop_max=1, use_fire_reset=False)
    one.set_params(np.array([0, 0, 0.25], np.float32))
    one.reset(0)
    played = []
    for index in range(1000):
        if one.step(2 + index % 2).terminated:
            one.reset(index)
        played.append(one.last)
    changed = np.mean(np.diff(played) != 0)
    # A frame plays its own action, p = 3/4, or what the last frame did, which is the other one
    # unless that stuck as well: the chance of a change is 3/4 of 1 - 1/4 + 1/16 - ...
    assert 0.55 < changed < 0.65


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "envpool"},
        {"engine": "vector", "mode": 1},
        {"engine": "vector", "workers": "thread"},
        {"mode": 5000},
        {"difficulty": 9},
        {"frameskip": 0},
        {"noop_max": 1.5},
        {"grayscale": 1},
        {"repeat_action_probability": 1.5},
        {"img_height": 300},
        {"obs_type": "rgb"},
        {"continuous": True},
    ],
)
def test_values_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(errors.InvalidOptionError):
        envhub.make("ale::pong", **options)


def test_a_picture_is_the_screen_in_colour() -> None:
    env, params = pong()
    _, state = env.reset(jax.random.key(3), params)
    picture = np.asarray(env.render(state))
    assert picture.shape == (210, 160, 3)
    assert picture.dtype == np.uint8
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 3
    later = env.step_env(jax.random.key(3), state, jnp.int32(2), params).state
    np.testing.assert_array_equal(env.render(state), picture)  # restored, and drawn again
    assert (np.asarray(env.render(later)) != picture).any()


# The vector engine.


@pytest.mark.parametrize(
    ("game", "options"),
    [
        ("breakout", {}),
        ("seaquest", {"episodic_life": True, "full_action_space": True}),  # not a steady one
        ("backgammon", {"grayscale": False}),  # no NOOP among its actions
        ("pong", {"max_num_frames_per_episode": 20, "frameskip": 3}),  # the no-ops reach the limit
        ("lost_luggage", {"img_width": 80}),  # actions with FIRE are no legal ones
        ("kung_fu_master", {"noop_max": 0, "use_fire_reset": False, "maxpool": False}),
    ],
)
@pytest.mark.slow
def test_both_engines_play_the_same_episodes_to_the_bit(game: str, options: Any) -> None:
    """Of the same seeds, in engines that were used before or were not, until past the end."""
    one, several = instance(game, is_forkable=False, **options), fleet(game, **options)
    rng, lengths = np.random.default_rng(0), set()
    for seed in range(5):
        number = seed % 2
        several.grow(seed == 1)
        assert one.reset(seed).tobytes() == several.reset([number], [seed]).obs[0].tobytes()
        for length in range(300):
            action = int(rng.integers(len(one.actions)))
            step = one.step(action)
            assert lanes(several.step([number], [action])) == [shown(step)], (seed, length)
            if step.terminated or step.truncated:
                lengths.add(length)
                break
    assert lengths or game not in ("breakout", "pong")
    several.close()


def test_some_emulators_are_stepped_while_the_others_wait() -> None:
    ones, several = [instance("pong", is_forkable=False) for _ in range(3)], fleet("pong")
    several.grow(2)
    several.reset([2, 0, 1], [2, 0, 1])
    for seed, one in enumerate(ones):
        one.reset(seed)
    for round_, numbers in enumerate([[0, 2], [1], [2, 1, 0], [2], [0, 1]] * 4):
        actions = [(round_ + number) % 6 for number in numbers]
        expected = [shown(ones[n].step(a)) for n, a in zip(numbers, actions, strict=True)]
        assert lanes(several.step(numbers, actions)) == expected
    several.close()


def test_the_state_after_a_steady_reset_is_always_the_same() -> None:
    """But for the count of all frames, and a generator that only resets draw from."""
    for game in ("pong", "ms_pacman", "space_invaders"):
        one = instance(game, is_forkable=False)
        one.load(one.mode, one.difficulty)
        states = []
        for seed in range(20):
            state = one.emulator.cloneState().serialize()
            states.append((state[:8], state[12:68], state[state.index(b"M6502") :]))
            play(one, np.random.default_rng(seed).integers(len(one.actions), size=20))
            one.emulator.reset_game()
        assert states.count(states[0]) == 20, game
    assert set(facts.STEADY) <= set(facts.GAMES)


@pytest.mark.parametrize("game", ["pong", "krull"])
def test_sticky_actions_of_the_vector_engine_come_from_the_seed(game: str) -> None:
    several = fleet(game, repeat_action_probability=0.5, noop_max=10)
    several.grow(1)
    episodes = {}
    for numbers, seeds in (([0], [7]), ([1, 0], [7, 8]), ([0, 1], [7, 8])):
        obs = several.reset(numbers, seeds).obs
        actions = np.random.default_rng(0).integers(6, size=60).tolist()
        steps = [lanes(several.step(numbers, [action] * len(numbers))) for action in actions]
        for lane, seed in enumerate(seeds):
            episode = obs[lane].tobytes(), [step[lane] for step in steps]
            assert episodes.setdefault(seed, episode) == episode
    assert episodes[7] != episodes[8]
    several.close()


def test_the_engine_is_chosen_by_what_is_asked_for() -> None:
    def flags(name: str = "pong", **options: Any) -> tuple[bool, bool, bool]:
        found = envhub.capabilities(f"ale::{name}", **options)
        return found.forkable, found.has_env_params, found.renderable

    vector, python = (False, False, False), (True, True, True)
    assert flags() == flags(engine="vector") == flags(forkable=False) == vector
    assert flags(forkable=True) == flags(engine="python") == flags("ALE/Pong-v5") == python
    assert flags(mode=1) == flags(difficulty=1) == flags(workers="thread") == python
    assert flags(engine="python", forkable=False) == (False, True, True)
    assert envhub.capabilities("ale::pong").reproducible
    for flag in ("forkable", "has_env_params", "renderable", "checkpointable"):
        assert "engine='python'" in envhub.capabilities("ale::pong").why(flag)
    with pytest.raises(errors.MissingCapabilityError, match="engine='python'"):
        envhub.make("ale::pong", engine="vector", forkable=True)
    with pytest.raises(errors.InvalidOptionError, match="'vector' and 'python'"):
        envhub.capabilities("ale::pong", engine="envpool")
    with pytest.raises(errors.InvalidOptionError, match="engine='python'"):
        envhub.make("ale::ALE/Pong-v5", engine="vector")


@functools.cache
def vector_pong() -> Any:
    return envhub.make("ale::pong", noop_max=9)


def test_an_evaluation_in_the_middle_does_not_disturb_the_vector_engine() -> None:
    env, params = vector_pong()
    assert params is None
    batch = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
    keys = jax.random.split(jax.random.key(0), 3)

    def train(evaluate: bool) -> Any:
        reset, step = batch
        _, state = reset(keys)
        shown = []
        for action in (2, 3, 2, 5, 0, 3):
            result = step(keys, state, jnp.full(3, action))
            state = result.state
            shown.append(np.asarray(result.obs))
            if evaluate:
                _, other = env.reset(jax.random.key(action))
                for _ in range(3):
                    other = env.step(jax.random.key(1), other, jnp.int32(4)).state
        return np.array(shown)

    np.testing.assert_array_equal(train(evaluate=False), train(evaluate=True))


def test_an_action_outside_the_space_does_not_hang_the_vector_engine() -> None:
    """ALE's own environment waits for ever."""
    env, _ = vector_pong()
    _, state = env.reset(jax.random.key(0))
    for action in (-1, 6, 2**31 - 1):
        with pytest.raises(errors.InvalidActionError):
            env.step(jax.random.key(1), state, jnp.int32(action))
    after = env.step(jax.random.key(1), state, jnp.int32(5)).state
    with pytest.raises(errors.StaleStateError, match="forkable=True"):
        env.step(jax.random.key(1), state, jnp.int32(4))
    env.step(jax.random.key(1), after, jnp.int32(4))


def threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def others_are_gone(before: set[str]) -> bool:
    """A thread that was joined stays in /proc for a moment."""
    for _ in range(100):
        if threads() <= before:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
@pytest.mark.parametrize("how", ["closed", "forgotten", "closed while it loads"])
@pytest.mark.slow
def test_no_thread_of_the_vector_engine_is_left(how: str) -> None:
    several, before = fleet("krull", max_num_frames_per_episode=8), threads()
    several.grow(2)
    several.reset([0, 1, 2], [1, 2, 3])
    assert len(threads() - before) > 3
    if how != "forgotten":
        if how == "closed while it loads":
            several.step([0, 1], [0, 0])
            assert several.step([0, 1], [0, 0]).truncated.all()
        several.close()
        several.close()
        assert others_are_gone(before)
    del several
    gc.collect()
    assert others_are_gone(before)


def test_an_interrupted_call_is_told_and_its_emulators_are_replaced() -> None:
    several, one = fleet("pong"), instance("pong", is_forkable=False)
    several.grow(1)
    several.reset([0, 1], [1, 2])

    class Interrupted:
        def send(self, *given: Any) -> None:
            raise KeyboardInterrupt

    several.engines[1] = Interrupted()
    outcomes = several.step([0, 1], [0, 0])
    assert [*outcomes.lanes] == []
    assert [type(error) for error in outcomes.failures.values()] == [KeyboardInterrupt] * 2
    obs = several.reset([1, 0], [3, 3]).obs
    assert obs[0].tobytes() == obs[1].tobytes() == one.reset(3).tobytes()
    expected = shown(one.step(2))
    assert lanes(several.step([0, 1], [2, 2])) == [expected, expected]
    several.close()
