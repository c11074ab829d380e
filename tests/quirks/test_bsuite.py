"""What is peculiar to bsuite."""

from __future__ import annotations

import copy
import gzip
import struct
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from envhub.adapters.bsuite import suite as adapter
from envhub.adapters.bsuite.instances import BsuiteInstance

import envhub
from envhub import errors, registry
from tests.packages import needed

bsuite = needed("bsuite")
sweep, datasets = needed("bsuite.sweep"), needed("bsuite.utils.datasets")
KEY = jax.random.key(0)
RUNNING = [name for name in adapter.EXPERIMENTS if not name.startswith("mnist")]


def renewed(bsuite_id: str, seed: int) -> Any:
    """bsuite's own environment, fresh, with generators that a seed decides."""
    own = bsuite.load(bsuite_id.partition("/")[0], sweep.SETTINGS[bsuite_id])
    inner = getattr(own, "raw_env", own)
    if "_rng" in vars(inner):
        vars(inner)["_rng"] = np.random.RandomState(seed)
    if inner is not own:
        vars(own)["_rng"] = np.random.RandomState([seed, 1])
    return own


def test_the_names_are_those_of_the_sweep() -> None:
    suite = registry.get("bsuite")
    assert list(suite.known_names()) == list(suite.live_names()) == list(sweep.SWEEP)
    assert len(sweep.SWEEP) == 468


@pytest.mark.parametrize("name", RUNNING)
def test_whole_episodes_are_those_of_bsuite_bit_for_bit(name: str) -> None:
    """The first and the last setting of an experiment, whose instance plays others in between."""
    for bsuite_id in (f"{name}/0", f"{name}/{adapter.EXPERIMENTS[name] - 1}"):
        instance = BsuiteInstance(bsuite_id)
        for seed in (3, 2**31 - 1, 3):
            own = renewed(bsuite_id, seed)
            assert (instance.reset(seed) == own.reset().observation).all()
            rng, steps = np.random.default_rng(seed), 0
            while True:
                action = int(rng.integers(own.action_spec().num_values))
                step, wanted = instance.step(action), own.step(action)
                steps += 1
                assert (step.obs == wanted.observation).all()
                assert step.obs.dtype == wanted.observation.dtype
                assert step.reward == wanted.reward
                assert step.info == {"discount": wanted.discount, **own.bsuite_info()}
                assert (step.terminated or step.truncated) == wanted.last()
                if wanted.last():
                    break
            assert step.truncated == (steps == instance.episode_limit)


def push_to_the_goal(obs: Any) -> int:
    return 2 if obs[0, 1] >= 0 else 0


def wait(obs: Any) -> int:
    return 1


def balance(obs: Any) -> int:
    return 2 if obs[0, 2] + 0.3 * obs[0, 4] + 0.1 * obs[0, 0] + 0.2 * obs[0, 1] > 0 else 0


@pytest.mark.parametrize(
    ("bsuite_id", "policy", "steps"),
    [
        ("cartpole/0", balance, 1001),
        ("cartpole_noise/7", balance, 1001),
        ("cartpole_scale/3", balance, 1001),
        ("cartpole_swingup/0", wait, 1001),
        ("mountain_car/0", wait, 1000),
        ("mountain_car_noise/0", wait, 1000),
        ("mountain_car_scale/0", wait, 1000),
    ],
)
def test_a_time_limit_truncates_where_the_discount_of_bsuite_is_0(
    bsuite_id: str, policy: Any, steps: int
) -> None:
    instance = BsuiteInstance(bsuite_id)
    assert instance.episode_limit == steps
    obs = instance.reset(0)
    for _ in range(steps):
        step = instance.step(policy(obs))
        obs = step.obs
        assert not step.terminated
    assert (step.truncated, step.info["discount"]) == (True, 0)


@pytest.mark.parametrize(
    ("bsuite_id", "policy"),
    [("cartpole/0", wait), ("cartpole_swingup/0", lambda obs: 2), ("mountain_car/0", None)],
)
def test_an_end_at_the_limit_is_a_termination_too(bsuite_id: str, policy: Any) -> None:
    """A limit that is as long as the episode changes its flags and nothing else."""
    policy = policy or push_to_the_goal
    free = BsuiteInstance(bsuite_id)
    obs, steps = free.reset(1), 0
    while True:
        step = free.step(policy(obs))
        obs, steps = step.obs, steps + 1
        if step.terminated:
            break
    assert not step.truncated
    for limit, is_over in ((steps, True), (steps - 1, False)):
        instance = BsuiteInstance(bsuite_id, limit)
        obs = instance.reset(1)
        for _ in range(limit):
            step = instance.step(policy(obs))
            obs = step.obs
        assert (step.terminated, step.truncated) == (is_over, True)


@pytest.mark.parametrize("bsuite_id", ["catch/0", "discounting_chain/0", "memory_len/22"])
def test_what_ends_by_itself_has_no_limit(bsuite_id: str) -> None:
    env, params = envhub.make(f"bsuite::{bsuite_id}")
    assert env.episode_limit(params) is None
    with pytest.raises(errors.InvalidOptionError, match="max_episode_steps"):
        envhub.make(f"bsuite::{bsuite_id}", max_episode_steps=5)


def test_a_limit_that_would_take_minutes_to_count_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match="at most 10000000, got 1000000000"):
        envhub.make("bsuite::cartpole/0", max_episode_steps=10**9)


@pytest.mark.parametrize("limit", [1, 2, 999, 1000, 1001, 3000])
@pytest.mark.parametrize("name", ["cartpole", "cartpole_swingup", "mountain_car"])
def test_a_limit_is_a_number_of_steps_and_the_time_a_part_of_it(name: str, limit: int) -> None:
    instance = BsuiteInstance(f"{name}/0", limit)
    assert instance.episode_limit == limit
    instance.reset(0)
    step = instance.step(1)
    assert step.obs[0, 5 if "cart" in name else 2] == pytest.approx(1 / limit, rel=1)


@pytest.mark.parametrize("limit", [0, -1, 2.5, True])
def test_a_limit_that_is_no_number_of_steps_is_refused(limit: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match="max_episode_steps must be a positive"):
        envhub.make("bsuite::cartpole/0", max_episode_steps=limit)


@pytest.mark.parametrize("keyword", ["seed", "mapping_seed"])
def test_keywords_of_bsuite_are_refused_with_what_to_give_instead(keyword: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=r"jax\.random\.key|another id"):
        envhub.make("bsuite::bandit/0", **{keyword: 1})


def test_each_id_of_a_bandit_has_its_own_arms_and_keeps_them() -> None:
    def rewards(bsuite_id: str, seed: int) -> list[float]:
        instance, found = BsuiteInstance(bsuite_id), []
        for arm in range(11):
            instance.reset(seed)
            found.append(instance.step(arm).reward)
        return found

    assert sorted(rewards("bandit/0", 0)) == list(np.linspace(0, 1, 11))
    assert rewards("bandit/0", 0) == rewards("bandit/0", 1) != rewards("bandit/1", 0)


def test_noise_is_not_made_of_the_numbers_that_decide_the_start() -> None:
    """bsuite gives both generators one seed, where it is given one."""
    instance = BsuiteInstance("cartpole_noise/0")
    start = instance.reset(5)[0, 0] * 3
    both = np.random.RandomState(5)
    assert start == pytest.approx(both.uniform(-0.05, 0.05))
    noise = instance.step(1).reward - 1
    assert noise == pytest.approx(0.1 * np.random.RandomState([5, 1]).randn())
    assert noise != pytest.approx(0.1 * np.random.RandomState(5).randn())


@pytest.mark.parametrize("name", ["cartpole", "cartpole_swingup"])
def test_a_copy_starts_an_episode_from_its_own_generator(name: str) -> None:
    """bsuite's functions that draw a start are those of the original."""
    original = BsuiteInstance(f"{name}/0")
    wanted = original.reset(1)
    other = copy.deepcopy(original)
    for _ in range(3):
        assert (other.reset(1) == wanted).all()
        original.reset(2)


def test_the_score_of_bsuite_is_the_sum_over_episodes() -> None:
    """`info` has what bsuite logs, of this episode alone."""
    instance, own = BsuiteInstance("catch/0"), renewed("catch/0", 0)
    lost = []
    for seed in range(20):
        instance.reset(seed)
        vars(own)["_rng"].seed(seed)
        own.reset()
        step = own.step(1)
        given = instance.step(1)
        while not step.last():
            step, given = own.step(1), instance.step(1)
        lost.append(given.info["total_regret"])
    assert {0.0, 2.0} == set(lost)
    assert sum(lost) == own.bsuite_info()["total_regret"]


def test_mnist_is_a_gap_until_somebody_has_fetched_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With files of four images, which are read once for all environments."""
    monkeypatch.setattr(adapter, "MNIST", tmp_path)
    with pytest.raises(errors.UnavailableEnvError, match="needs_network") as refused:
        envhub.make("bsuite::mnist/0")
    assert "datasets.load_mnist()" in str(refused.value)
    images = np.arange(4 * 28 * 28, dtype=np.uint8).tobytes()
    for name in adapter.FILES:
        with gzip.open(tmp_path / name, "wb") as file:
            if "labels" in name:
                file.write(struct.pack(">II", 0, 4) + bytes(range(4)))
            else:
                file.write(struct.pack(">IIII", 0, 4, 28, 28) + images)
    read = []

    def load(directory: str = str(tmp_path)) -> Any:
        read.append(directory)
        return own_load(directory)

    own_load = getattr(datasets.load_mnist, "__wrapped__", datasets.load_mnist)
    monkeypatch.setattr(datasets, "load_mnist", load)
    env, params = envhub.make("bsuite::mnist_noise/0", forkable=True)
    obs, state = env.reset(KEY, params)
    assert (obs.shape, obs.dtype) == ((28, 28), np.float32)
    assert -0.51 < obs.min() < obs.max() < 0.5  # bsuite reads bytes as if they had a sign
    result = env.step(KEY, state, 3, params)
    assert (bool(result.terminated), bool(result.truncated)) == (True, False)
    assert len(read) == 1
