"""Random actions of the hub keep to what an observation says is legal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import spaces
from envhub._random_action import RandomAction
from envhub._random_policy import Rollout
from envhub._speed import Speed
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.testing import episodes
from envhub.testing.trial import Trial

KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 200)


class Corridor(Environment):
    """An illegal action ends it; what is legal changes from step to step; ten steps are the end."""

    def __init__(self, kind: str = "one") -> None:
        super().__init__(None, None, Capabilities.native())
        self.kind = kind
        self.num_agents = 2 if kind == "leading" else 1

    def action_space(self, params: Any = None) -> spaces.Space:
        return {
            "one": spaces.Discrete(4, start=1),
            "leading": spaces.MultiDiscrete([4, 4], start=[1, 1]),
            "by_name": spaces.Dict({"a": spaces.Discrete(4, start=1), "b": spaces.Discrete(4)}),
        }[self.kind]

    def observation_space(self, params: Any = None) -> spaces.Space:
        mask = spaces.Box(0, 1, (4,), np.int8)
        one = spaces.Dict({"action_mask": mask, "time": spaces.Box(0, 10, (), np.int32)})
        if self.kind == "by_name":
            return spaces.Dict({"a": one, "b": spaces.Box(0, 10, (), np.int32)})
        return spaces.batch(one, 2) if self.kind == "leading" else one

    def _mask(self, state: Any) -> Any:
        return (jnp.arange(4) % 3 == state % 3).astype(jnp.int8)

    def _seen(self, state: Any) -> Any:
        one = {"action_mask": self._mask(state), "time": state}
        if self.kind == "by_name":
            return {"a": one, "b": state}
        return jax.tree.map(lambda x: jnp.stack([x, x]), one) if self.kind == "leading" else one

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        return self._seen(jnp.int32(0)), jnp.int32(0)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        action = action["a"] if self.kind == "by_name" else action
        illegal = self._mask(state)[action - 1] == 0
        after = jnp.minimum(state + 1, 10)
        ended = jnp.broadcast_to(after == 10, illegal.shape)
        reward = jnp.where(illegal, -1.0, 0.0)
        return StepResult(self._seen(after), after, reward, illegal, ended & ~illegal, {})


@pytest.fixture(params=["one", "leading", "by_name"])
def env(request: pytest.FixtureRequest) -> Corridor:
    return Corridor(request.param)


def test_rollouts_keep_to_the_mask(env: Corridor) -> None:
    alone = envhub.rollout(env, None, None, KEY, 10)
    batch = envhub.rollout(envhub.VectorEnv(env, 8), None, None, KEY, 10)
    fleet = envhub.rollout(envhub.MultiEnv({"z": env, "a": env}), None, None, KEY, 10)
    for ended in (alone.terminated, batch.terminated, fleet.terminated["z"]):
        assert not ended.any()
    assert len(np.unique(jax.tree.leaves(batch.action)[0])) == 4


def test_the_measured_policies_keep_to_the_mask(env: Corridor) -> None:
    policy = Rollout(env, None, steps=40, num_envs=4, seed=0)
    list(policy)
    report = policy.report()
    assert (report["episodes"], report["terminated"]) == (16, 0)
    batch = envhub.VectorEnv(envhub.wrappers.AutoReset(env), 2)
    speed = Speed(batch, None, steps=100, repeats=1, seed=0)
    list(speed)
    measured = speed.report()
    assert measured is not None
    assert measured["episodes"] == 2 * 10 * env.num_agents


def test_checks_and_probes_keep_to_the_mask(env: Corridor) -> None:
    trial = Trial(env, None)
    assert not any(result.terminated.any() for result in trial.path)
    played = episodes.follow(trial, None, episodes.program_of(trial), 50)
    assert played.ended.any()
    assert not (played.terminated & played.alive).any()


def drawn(space: Any, mask: Any) -> np.ndarray:
    return np.asarray(jax.vmap(lambda key: space.sample(key, mask))(KEYS))


def test_a_mask_of_discrete_allows_its_values_alike() -> None:
    values, counts = np.unique(
        drawn(spaces.Discrete(5, start=-2), [0, 1, 0, 1, 7]), return_counts=True
    )
    assert values.tolist() == [-1, 1, 2]
    assert counts.min() > 40


@pytest.mark.parametrize(
    ("nvec", "mask", "legal"),
    [
        ([3, 3], np.array([[1, 0, 0], [0, 1, 1]]), {(0, 1), (0, 2)}),
        ([2, 3], ([0, 1], [1, 0, 1]), {(1, 0), (1, 2)}),
        ([2, 3], np.array([[0, 0, 1], [1, 0, 0]]), {(0, 2), (1, 0)}),
        ([2, 2], np.array([[0, 1], [1, 0]]), {(1, 0)}),  # rows, not combinations
    ],
)
def test_a_mask_of_multi_discrete_is_of_rows_or_combinations(
    nvec: list[int], mask: Any, legal: set[Any]
) -> None:
    space = spaces.MultiDiscrete(nvec, np.int16)
    samples = drawn(space, mask)
    assert samples.dtype == np.int16
    assert set(map(tuple, samples.tolist())) == legal


def test_masks_of_the_other_spaces() -> None:
    assert set(map(tuple, drawn(spaces.MultiBinary(3), [0, 1, 2]).tolist())) == {
        (0, 1, 0),
        (0, 1, 1),
    }
    both = spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 1)])
    assert both.sample(KEY, ([0, 0, 1], None))[0] == 2
    named = spaces.Dict({"b": spaces.Discrete(3), "a": spaces.Discrete(9)})
    assert named.sample(KEY, {"b": [0, 1, 0], "a": None})["b"] == 1
    assert set(drawn(spaces.Discrete(3), [0, 0, 0]).tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("space", "mask"),
    [
        (spaces.Discrete(3), [1, 1]),
        (spaces.MultiDiscrete([2, 3]), [[1, 1], [1, 1]]),
        (spaces.MultiDiscrete([2, 3]), np.ones(5)),
        (spaces.MultiBinary(2), [1]),
        (spaces.Box(0, 1), 1),
        (spaces.Dict({"a": spaces.Discrete(2)}), {"b": [1, 1]}),
        (spaces.Tuple([spaces.Discrete(2)]), []),
    ],
)
def test_a_mask_of_another_form_is_refused(space: Any, mask: Any) -> None:
    with pytest.raises(ValueError, match="mask"):
        space.sample(KEY, mask)


def test_what_does_not_say_what_is_legal_draws_as_before() -> None:
    space = spaces.Discrete(4)
    for obs in (jnp.zeros(3), {"action_mask": jnp.ones((3, 4))}, {"grid": jnp.ones(4)}):
        assert RandomAction(space)(KEY, obs) == space.sample(KEY)
    lanes: Callable[..., Any] = RandomAction(space, 3)
    assert (lanes(KEY, jnp.zeros((3, 2))) == spaces.batch(space, 3).sample(KEY)).all()
