"""What ALE's emulator is never given, because it would crash on it: consoles of another form."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.host.environment import HostState
from envhub.host.snapshot import DIGEST, HEADER, LENGTH
from tests.packages import needed

ale_py = needed("ale_py")

KEY = jax.random.key(0)
ELSEWHERE = np.array([0, 1, 2], np.uint32)
GAMES = ["pong", "elevator_action", "jamesbond", "pitfall2", "klax"]  # a cartridge each


def emulator(game: str) -> Any:
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    one = ale_py.ALEInterface()
    one.setFloat("repeat_action_probability", 0.0)
    one.setInt("random_seed", 0)
    one.loadROM(str(ale_py.roms.get_rom_path(game)))
    return one


@pytest.mark.parametrize("game", GAMES)
def test_what_the_emulator_saves_has_the_form(game: str) -> None:
    from envhub.adapters.ale.consoles import Console

    one, rng = emulator(game), np.random.default_rng(0)
    console, actions = Console(one.cloneState().serialize()), one.getMinimalActionSet()
    for _ in range(50):
        for _ in range(10):
            one.act(actions[rng.integers(len(actions))])
        if one.game_over():
            one.reset_game()
        state = one.cloneState()
        saved = state.serialize()
        assert console.lengthen(console.shorten(saved)) == saved
        given = state.getCurrentMode(), state.getDifficulty()
        assert console.check(saved + bytes(-len(saved) % 256)) == given


def put(console: bytes, place: int, number: int) -> bytes:
    return console[:place] + struct.pack("<I", number) + console[place + 4 :]


def behind(console: bytes, name: bytes) -> int:
    return console.index(name) + len(name)


def test_a_generator_that_is_kept_has_its_length_and_digits() -> None:
    from envhub.adapters.ale.consoles import Console

    saved = emulator("pong").cloneState().serialize()
    console, place = Console(saved), behind(saved, b"System") + 4
    console.check(saved)
    for bad in (put(saved, place, 0x7FFFFFFF), put(saved, place + 4, 0x2D2D2D2D)):
        with pytest.raises(errors.InvalidStateError, match="generator"):
            console.check(console.lengthen(console.shorten(bad)))


FORGERIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda console: b"", "console of this game"),
    "cut": (lambda console: console[:500], "cut"),
    "longer than it says": (lambda console: console + b"x" * 200, "something follows"),
    "a length of 2 GB": (lambda console: put(console, 24, 0x7FFFFFFF), "cut"),
    "a negative length": (lambda console: put(console, 24, 0xFFFFFFFF), "cut"),
    "another ROM": (lambda console: console[:32] + b"0" * 32 + console[64:], "another ROM"),
    "no System": (lambda console: console.replace(b"System", b"Sistem"), "console of this game"),
    "a generator of 2 GB": (
        lambda console: put(console, behind(console, b"System") + 4, 0x7FFFFFFF), "cut",
    ),
    "another memory": (lambda console: put(console, behind(console, b"M6532"), 4096), "size"),
    "another device": (lambda console: console.replace(b"TIASound", b"TIASouND"), "name"),
    "half a flag": (
        lambda console: console[:-100].replace(b"\xd2\xba\xd1\xba", b"\xd2\xba\xd1\x00")
        + console[-100:], "flag",
    ),
    "another mode": (lambda console: put(console, 16, 99), "mode"),
}  # fmt: skip


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[envhub.Environment, np.ndarray[Any, Any]]]:
    """Of a raw game: the counters and the frames since take 14 bytes, the generator 37."""
    env, params = envhub.make("ale::ALE/Pong-v5", forkable=True)
    _, state = env.reset(KEY, params)
    yield env, np.array(env.step(KEY, state, 0, params).state.snapshot)
    env.close()


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_console_is_refused_before_the_emulator_sees_it(
    name: str, played: tuple[envhub.Environment, np.ndarray[Any, Any]]
) -> None:
    """With a good hash, as anybody can compute it who has no key to respect."""
    forge, why = FORGERIES[name]
    env, row = played
    length = int(row.view(np.uint32)[LENGTH])
    saved = row[HEADER : HEADER + length].tobytes()
    start = saved.index(b"System") - 4 - 36 - 28
    console = saved[start:]
    forged = saved[:start] + forge(console)
    assert forged != saved
    new = row.copy()
    room = len(saved) + 64
    forged = forged[:room]
    new[HEADER : HEADER + max(length, len(forged))] = 0
    new[HEADER : HEADER + len(forged)] = np.frombuffer(forged, np.uint8)
    new.view(np.uint32)[LENGTH] = len(forged)
    new[:DIGEST] = np.frombuffer(hashlib.blake2b(new[DIGEST:]).digest()[:DIGEST], np.uint8)
    with pytest.raises(errors.InvalidStateError, match=why):
        env.step(KEY, HostState(ELSEWHERE, new), 0)
    assert np.isfinite(env.step(KEY, HostState(ELSEWHERE, row), 0).reward)
