"""Snapshots that were damaged or forged: none is restored."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.host.environment import HostState
from envhub.host.snapshot import DIGEST, FINGERPRINT, HEADER, LENGTH, SnapshotForm
from envhub.host.values import Observations
from envhub.testing import check_id

KEY = jax.random.key(0)
SECRET, OTHER = b"a secret of sixteen bytes", b"and another of as many bytes"
IDS = ["gymnasium::CartPole-v1", "gymnasium::Hopper-v5", "ale::pong", "pufferlib::CartPole-v1"]
ELSEWHERE = np.array([0, 1, 2], np.uint32)  # a handle of another process

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Saved:
    """A state in the middle of an episode.

    Attributes:
        env: the environment.
        row: the snapshot.
        form: that of the snapshots of this environment.
        others: snapshots of other environments.
    """

    env: envhub.Environment
    row: Array
    form: SnapshotForm
    others: list[Array]

    def go_on(self, row: Any) -> Any:
        """A step from a snapshot."""
        action = self.env.action_space().sample(KEY)
        return self.env.step(KEY, HostState(ELSEWHERE, row), action)


def made(env_id: str, **options: Any) -> tuple[envhub.Environment, Array]:
    """An environment, and the snapshot of a state after three steps."""
    env, params = envhub.make(env_id, forkable=True, **options)
    _, state = env.reset(KEY, params)
    for key in jax.random.split(KEY, 3):
        state = env.step(key, state, env.action_space(params).sample(key), params).state
    return env, np.array(state.snapshot)


def form_of(env: envhub.Environment, row: Array, key: bytes = b"") -> SnapshotForm:
    observations = Observations(env.observation_space())
    obs_size, frames = observations.num_bytes, observations.num_frames
    saved_size = len(row) - HEADER - (obs_size + 3) // 4 * 4
    form = SnapshotForm(saved_size, obs_size, row.view(np.uint32)[FINGERPRINT], key, frames)
    assert form.size == len(row)
    return form


@pytest.fixture(scope="module", params=IDS)
def saved(request: pytest.FixtureRequest) -> Iterator[Saved]:
    env, row = made(request.param)
    others = []
    for other_id in IDS[:2]:
        if other_id != request.param:
            other, theirs = made(other_id)
            other.close()
            others.append(theirs)
    yield Saved(env, row, form_of(env, row), others)
    env.close()


Others = list[Array]
Mutation = Callable[[Array, np.random.Generator, Others], Array]


def random_bytes(row: Array, rng: np.random.Generator, others: Others) -> Array:
    """One byte or many, anywhere."""
    places = rng.integers(len(row), size=1 + rng.geometric(0.3))
    row[places] ^= rng.integers(1, 256, len(places), dtype=np.uint8)
    return row


def two_bits(row: Array, rng: np.random.Generator, others: Others) -> Array:
    """Most of them the top bits of two words, which the sum of the words did not see."""
    words = row.view(np.uint32)
    bit = np.uint32(1) << np.uint32(rng.choice([31, 31, rng.integers(32)]))
    words[rng.choice(len(words), 2, replace=False)] ^= bit
    return row


def swapped_words(row: Array, rng: np.random.Generator, others: Others) -> Array:
    words = row.view(np.uint32)
    one = rng.integers(len(words))
    different = np.flatnonzero(words != words[one])
    other = rng.choice(different)
    words[[one, other]] = words[[other, one]]
    return row


def another_length(row: Array, rng: np.random.Generator, others: Others) -> Array:
    row.view(np.uint32)[LENGTH] += np.uint32(rng.integers(1, 2**32, dtype=np.uint64))
    return row


def cut(row: Array, rng: np.random.Generator, others: Others) -> Array:
    return row[: rng.integers(len(row))]


def grown(row: Array, rng: np.random.Generator, others: Others) -> Array:
    more = rng.integers(256, size=rng.integers(1, 64), dtype=np.uint8)
    return np.concatenate([row, more * rng.integers(2, dtype=np.uint8)])


def anothers(row: Array, rng: np.random.Generator, others: Others) -> Array:
    """Another environment's, or a part of it in the place of one's own."""
    other = others[rng.integers(len(others))]
    if rng.random() < 0.1:
        return other.copy()
    size, before = min(len(row), len(other)), row.copy()
    while np.array_equal(row, before):
        start, end = np.sort(rng.integers(size + 1, size=2))
        row[start:end] = other[start:end]
    return row


STRUCTURED: list[Mutation] = [two_bits, swapped_words, another_length, cut, grown, anothers]


def number_of_mutations(config: pytest.Config) -> int:
    return 10_000 if config.getoption("full") else 500


def accepted(form: SnapshotForm, rows: Iterator[Array]) -> int:
    """How many are not refused."""
    count = 0
    for row in rows:
        try:
            form.check(row[None])
            count += 1
        except errors.InvalidStateError:
            pass
    return count


def mutants(saved: Saved, kinds: list[Mutation], count: int) -> Iterator[Array]:
    rng = np.random.default_rng(len(saved.row))
    for number in range(count):
        row = kinds[number % len(kinds)](saved.row.copy(), rng, saved.others)
        assert row.tobytes() != saved.row.tobytes()
        yield row


@pytest.mark.parametrize("kinds", [[random_bytes], STRUCTURED], ids=["random", "structured"])
def test_no_damage_passes(kinds: Any, saved: Saved, pytestconfig: pytest.Config) -> None:
    assert accepted(saved.form, iter([saved.row])) == 1
    assert accepted(saved.form, mutants(saved, kinds, number_of_mutations(pytestconfig))) == 0


@pytest.mark.parametrize("kinds", [[random_bytes], STRUCTURED], ids=["random", "structured"])
def test_no_forgery_passes_a_key(kinds: Any, saved: Saved, pytestconfig: pytest.Config) -> None:
    keyed = form_of(saved.env, saved.row, SECRET)

    def hashed_again(row: Array) -> Array:
        """As anybody can do it without a key."""
        if len(row) == saved.form.size:
            row[:DIGEST] = saved.form.digests(row[None])[0]
        elif len(row) > DIGEST:
            digest = hashlib.blake2b(row[DIGEST:].tobytes()).digest()[:DIGEST]
            row[:DIGEST] = np.frombuffer(digest, np.uint8)
        return row

    forged = map(hashed_again, mutants(saved, kinds, number_of_mutations(pytestconfig)))
    assert accepted(keyed, forged) == 0
    assert accepted(keyed, iter([saved.row])) == 0


def test_the_very_step_refuses_what_is_damaged_cut_grown_or_of_another(saved: Saved) -> None:
    rng = np.random.default_rng(0)
    assert np.isfinite(saved.go_on(saved.row).reward).all()
    kinds = (random_bytes, *STRUCTURED)
    bad = [kind(saved.row.copy(), rng, saved.others) for kind in kinds for _ in range(5)]
    bad += [saved.row[:-4], saved.row[:1], np.append(saved.row, np.uint8([0] * 4)), *saved.others]
    for row in bad:
        with pytest.raises(errors.InvalidStateError):
            saved.go_on(row)
    assert np.isfinite(saved.go_on(saved.row).reward).all()


def test_frames_that_are_not_hashed_again_have_the_hashes_that_they_would_get() -> None:
    """Where lanes go on, are reset, change places, become fewer, or were written over since."""
    rng = np.random.default_rng(0)
    film = rng.integers(256, size=(12, 4, 1024), dtype=np.uint8)
    stacks = [film[time : time + 3].swapaxes(0, 1).reshape(4, -1) for time in range(9)]
    stacks[3][1] = 0
    stacks[4] = stacks[4][::-1]
    stacks[6] = stacks[6][:2]
    form, flags = SnapshotForm(8, 3 * 1024, 1, SECRET, 3), np.zeros(4, np.bool_)
    for number, obs in enumerate(stacks):
        one, count = SnapshotForm(8, 3 * 1024, 1, SECRET, 3), len(obs)
        saved = [bytes([number])] * count
        given = obs.copy()
        rows = form.pack(saved, given, flags[:count], flags[:count])
        np.testing.assert_array_equal(rows, one.pack(saved, obs, flags[:count], flags[:count]))
        one.check(rows)
        for place in rng.integers(len(rows[0]), size=50):
            damaged = rows.copy()
            damaged[-1, place] ^= 1
            with pytest.raises(errors.InvalidStateError):
                form.check(damaged)
        rows[:], given[:] = 0, 0


def test_another_environments_snapshot_of_the_same_size_is_named() -> None:
    env, _ = made(IDS[0])
    _, theirs = made(IDS[0], max_episode_steps=7)
    with pytest.raises(errors.InvalidStateError, match="of another environment"):
        env.step(KEY, HostState(ELSEWHERE, theirs), 0)


def test_a_key_takes_its_own_snapshots_and_no_others() -> None:
    """In a batch, rendered and inside `jit` too."""
    env, row = made(IDS[0])
    keyed, keyed_row = made(IDS[0], snapshot_key=SECRET)
    again, _ = made(IDS[0], snapshot_key=SECRET)
    other, _ = made(IDS[0], snapshot_key=OTHER)
    expected = env.step(KEY, HostState(ELSEWHERE, row), 0).obs
    found = again.step(KEY, HostState(ELSEWHERE, keyed_row), 0).obs
    np.testing.assert_array_equal(found, expected)
    for one, snapshot in ((env, keyed_row), (keyed, row), (other, keyed_row)):
        state = HostState(ELSEWHERE, snapshot)
        with pytest.raises(errors.InvalidStateError, match="another snapshot_key"):
            one.step(KEY, state, 0)
        with pytest.raises(errors.InvalidStateError, match="another snapshot_key"):
            one.render(state)
        with pytest.raises(Exception, match="another snapshot_key"):
            jax.jit(one.step)(KEY, state, 0)


@pytest.mark.parametrize("key", [b"short", b"x" * 65, "a text of sixteen or more", 16, b""])
def test_a_key_that_is_none_is_refused(key: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match=r"16 to 64 bytes.*token_bytes") as caught:
        envhub.make(IDS[0], snapshot_key=key)
    assert str(key) not in str(caught.value) or key in (16, b"")


def test_a_key_that_would_protect_nothing_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match=r"no snapshots.*forkable=False"):
        envhub.make(IDS[0], forkable=False, snapshot_key=SECRET)


def test_a_key_is_shown_nowhere() -> None:
    env, _ = envhub.make(IDS[0], snapshot_key=SECRET)
    report = check_id(IDS[0], {"snapshot_key": SECRET}, checks=["renderable"])
    with pytest.raises(errors.InvalidOptionError) as caught:
        envhub.make(IDS[0], snapshot_key=SECRET, gravitty=1)
    assert env.spec is not None
    assert env.spec.kwargs["snapshot_key"] == SECRET  # to make it again
    with pytest.raises(errors.InvalidOptionError, match="<secret>"):
        env.spec.to_json()
    for text in (env.spec, env, report, caught.value):
        assert "sixteen" not in f"{text!r} {text}"
