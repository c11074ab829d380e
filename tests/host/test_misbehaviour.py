"""An instance returns what cannot be taken: it is named, and every other state goes on as if not.

A run plays four lanes of an environment beside a twin that nothing happens to. In one of many ways,
at a random step, in a random lane, an instance misbehaves; after that, every state that is not its
own goes on to the bit as in the twin.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envhub import errors
from tests.host.fickle import FAULTS, NAMES, fault, fickle
from tests.packages import needed

LANES = 4
KEY = jax.random.key(0)
KINDS: dict[str, dict[str, Any]] = {
    "serial": {},
    "thread": {"workers": "thread", "num_workers": 2},
    "process": {"workers": "process", "num_workers": 2},
    "ray": {"workers": "ray", "num_workers": 2, "ray_options": {"num_cpus": 0.1}},
}
KINDS_TO_RUN = ["serial", "thread", "process", pytest.param("ray", marks=pytest.mark.full)]


class Player:
    """An environment with its programs, compiled once.

    `step` advances four lanes in a call of its own, `scan` several times in one program; `one`
    advances one state.
    """

    def __init__(self, **options: Any) -> None:
        self.env = fickle(**options)
        self.reset = jax.jit(jax.vmap(self.env.reset))
        self.one = lambda state, action: self.env.step(KEY, state, action)
        self.lanes = jax.vmap(self.one)
        self.step = jax.jit(self.lanes)

        def body(states: Any, actions: Any) -> Any:
            result = self.lanes(states, actions)
            return result.state, result

        self.scan = jax.jit(functools.partial(jax.lax.scan, body))


class Players(dict[tuple[str, bool], Player]):
    """Players by kind, and by whether they are forkable; each is made when it is asked for."""

    def __missing__(self, key: tuple[str, bool]) -> Player:
        kind, forkable = key
        if kind == "ray":
            needed("ray")
        self[key] = Player(forkable=forkable, **KINDS[kind])
        return self[key]


@pytest.fixture(scope="module")
def players() -> Iterator[Players]:
    made = Players()
    yield made
    for player in made.values():
        player.env.close()


@pytest.fixture(scope="module")
def twins() -> dict[bool, Player]:
    return {forkable: Player(forkable=forkable) for forkable in (True, False)}


def same(one: Any, other: Any) -> None:
    """All that is shown, but the handles, which name instances."""

    def shown(result: Any) -> Any:
        return result.obs, result.reward, result.terminated, result.truncated, result.info

    for leaf, another in zip(
        jax.tree.leaves(shown(one)), jax.tree.leaves(shown(other)), strict=True
    ):
        np.testing.assert_array_equal(leaf, another)


def lane_of(states: Any, lane: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[lane], states)


def misbehave(player: Player, call: Any, name: str) -> None:
    """The call fails, and says whose fault it was."""
    with pytest.raises(BaseException):  # noqa: B017, PT011 (JAX has types of its own)
        jax.block_until_ready(call())
    error = player.env.last_error
    assert FAULTS[name][1] in str(error) or FAULTS[name][1] in repr(error), (name, repr(error))
    if name == "it is interrupted":
        assert isinstance(error, KeyboardInterrupt)
    else:
        assert isinstance(error, errors.HostEnvError), (name, repr(error))
        assert "tests::Fickle: instance" in str(error)
        assert str(int(fault(name))) in str(error), "the action"


def run(player: Player, twin: Player, rng: np.random.Generator, *, forkable: bool) -> None:
    name = NAMES[rng.integers(len(NAMES))]
    lane, place = int(rng.integers(LANES)), int(rng.integers(3))
    keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), LANES + 1)
    actions = rng.integers(-5, 5, (4, LANES, 1)).astype(np.float32)
    states, aside = player.reset(keys[:LANES])[1], player.env.reset(keys[LANES])[1]
    expected, twin_aside = twin.reset(keys[:LANES])[1], twin.env.reset(keys[LANES])[1]
    faulty = actions.copy()
    faulty[place, lane] = fault(name)
    others = np.delete(np.arange(LANES), lane)
    if rng.random() < 0.4:  # in the middle of a program
        misbehave(player, lambda: player.scan(states, faulty), name)
        if forkable:
            same(player.scan(states, actions)[1], twin.scan(expected, actions)[1])
    else:
        through = player.step if rng.random() < 0.7 else player.lanes
        for each in actions[:place]:
            states, expected = player.step(states, each).state, twin.step(expected, each).state
        misbehave(player, lambda: through(states, jnp.asarray(faulty[place])), name)
        wanted = twin.step(expected, actions[place])
        if forkable:
            result = player.step(states, actions[place])
            same(result, wanted)
            same(player.step(result.state, actions[3]), twin.step(wanted.state, actions[3]))
        else:
            for other in others.tolist():
                result = player.one(lane_of(states, other), actions[place, other])
                same(result, jax.tree.map(lambda leaf, o=other: leaf[o], wanted))
                after = player.one(result.state, actions[3, other])
                same(after, twin.one(lane_of(wanted.state, other), actions[3, other]))
            with pytest.raises(errors.StaleStateError):
                player.one(lane_of(states, lane), actions[place, lane])
    # What was not in that call never knew of it.
    same(player.one(aside, actions[3, 0]), twin.one(twin_aside, actions[3, 0]))


@pytest.mark.parametrize("num_runs", [10, pytest.param(334, marks=pytest.mark.full)])
@pytest.mark.parametrize("forkable", [True, False])
@pytest.mark.parametrize("kind", KINDS_TO_RUN)
@pytest.mark.slow
def test_every_other_state_goes_on(
    kind: str, forkable: bool, num_runs: int, players: Any, twins: Any
) -> None:
    rng = np.random.default_rng([list(KINDS).index(kind), forkable, num_runs])
    for _ in range(num_runs):
        run(players[kind, forkable], twins[forkable], rng, forkable=forkable)


@pytest.mark.parametrize("kind", KINDS_TO_RUN)
@pytest.mark.parametrize("name", NAMES)
def test_each_fault_is_named(name: str, kind: str, players: Any) -> None:
    player = players[kind, False]
    _, state = player.env.reset(KEY)
    action = jnp.array([fault(name)])
    misbehave(player, lambda: player.one(state, action), name)
    _, state = player.env.reset(KEY)
    assert player.one(state, jnp.zeros(1)).info["count"] == 1
