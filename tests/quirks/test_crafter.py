"""What is peculiar to crafter."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
from envhub.adapters.crafter.instances import CrafterInstance, InOrder
from envhub.adapters.crafter.suite import REWARDS

import envhub
from envhub import errors
from tests.packages import needed

crafter = needed("crafter")
KEY = jax.random.key(0)
SMALL: dict[str, Any] = {"area": (24, 24), "size": (27, 27)}
NAME = "crafter::CrafterReward-v1"


def episode(instance: CrafterInstance, seed: int, steps: int = 500) -> Iterator[bytes]:
    """What each step of random actions shows."""
    yield instance.reset(seed).tobytes()
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        step = instance.step(int(rng.integers(17)))
        yield step.obs.tobytes() + bytes([step.terminated])
        if step.terminated:
            return


def test_a_seed_decides_whole_episodes() -> None:
    """Two instances by turns show what one showed alone."""
    one, other = (CrafterInstance(**SMALL) for _ in range(2))
    alone = list(episode(one, 2))
    assert len(alone) > 100
    beside = zip(episode(other, 2), episode(one, 9), strict=False)
    assert all(now == before for (now, _), before in zip(beside, alone, strict=False))


def test_creatures_in_an_order_that_the_seed_does_not_decide_change_episodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the addresses in crafter's own sets, which differ from process to process."""
    one, other = (CrafterInstance(**SMALL) for _ in range(2))
    addresses = random.Random(0)

    def by_address(creatures: InOrder) -> Iterator[Any]:
        return iter(addresses.sample([*creatures.keys()], len(creatures)))

    monkeypatch.setattr(InOrder, "__iter__", by_address)
    assert any([*episode(one, seed)] != [*episode(other, seed)] for seed in range(8))


def test_four_values_are_five() -> None:
    """The player of a small world starves, and a limit cuts the episode before."""
    env, params = envhub.make(NAME, length=3, **SMALL)
    assert env.observation_space(params).shape == (27, 27, 3)
    _, state = env.reset(KEY, params)
    for _ in range(3):
        result = env.step(KEY, state, 0, params)
        state = result.state
    assert (bool(result.terminated), bool(result.truncated)) == (False, True)
    assert result.info["inventory.health"] == 9
    instance = CrafterInstance(**SMALL)
    instance.reset(0)
    vars(instance.env)["_player"].inventory.update(health=1, food=0, drink=0, energy=0)
    step = instance.step(0)
    while not step.terminated:
        step = instance.step(0)
    assert (step.info["discount"], step.truncated) == (0, False)


def test_only_one_of_the_two_gives_the_reward() -> None:
    for name, is_given in REWARDS.items():
        instance = CrafterInstance(reward=is_given, **SMALL)
        instance.reset(0)
        vars(instance.env)["_player"].achievements["collect_sapling"] = 1
        step = instance.step(0)
        assert (step.reward, step.info["reward"]) == (float(is_given), 1.0), name


def test_a_picture_at_night_changes_no_episode() -> None:
    shown = []
    for is_drawn in (False, True):
        instance = CrafterInstance(**SMALL)
        instance.reset(0)
        vars(instance.env)["_step"] = 210  # where it is dark
        for _ in range(3):
            step = instance.step(0)
            if is_drawn:
                assert instance.render().shape == (576, 576, 3)
        shown.append(step.obs)
    assert vars(instance.env)["_world"].daylight < 0.5
    assert (shown[0] == shown[1]).all()


@pytest.mark.slow
def test_without_a_length_no_step_truncates() -> None:
    env, params = envhub.make(NAME, length=None, forkable=True, **SMALL)
    _, state = env.reset(KEY, params)
    result = env.step(KEY, state, 0, params)
    assert (bool(result.terminated), bool(result.truncated)) == (False, False)
    short, _ = envhub.make(NAME, length=20, forkable=True, **SMALL)
    assert short.reset(KEY)[1].snapshot.size < state.snapshot.size - 9000  # of its log


@pytest.mark.parametrize("length", [0, -1, 2.5])
def test_a_length_that_crafter_would_take_for_none_or_for_the_first_step_is_refused(
    length: Any,
) -> None:
    with pytest.raises(errors.InvalidOptionError, match="length must be a positive integer"):
        envhub.make(NAME, length=length)
