"""Several agents: their names, their order, and observations by name."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import spaces, wrappers
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidActionError, InvalidOptionError
from envhub.flags import Capabilities
from envhub.testing import Trial, check_env
from envhub.testing.checks import step_returns_the_documented_types
from envhub.testing.comparison import Refuted

KEY = jax.random.key(0)
NAMES = ("eve", "alice", "bob")  # not in the order in which JAX sorts them
NOTHING = Capabilities.native(
    differentiable="actions are discrete.", has_env_params="it has none.", renderable="it is not."
)
SIZES = {"eve": 2, "alice": 3, "bob": 4}


class Crypto(Environment):
    """Three agents of different spaces; eve dies in the second step, and the end is the tenth.

    Each is rewarded with its action and ten times its place, and dead eve with nothing.
    """

    def __init__(self) -> None:
        super().__init__(None, None, NOTHING)
        self.num_agents, self.agents, self.observation_agents = 3, NAMES, "by_name"

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Dict({name: spaces.Box(0, 10, (size,)) for name, size in SIZES.items()})

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Dict({name: spaces.Discrete(size) for name, size in SIZES.items()})

    def _seen(self, state: Any) -> dict[str, Any]:
        return {name: jnp.full(size, state, jnp.float32) for name, size in SIZES.items()}

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        return self._seen(0), jnp.int32(0)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        after = jnp.minimum(state + 1, 10)
        rewards = {name: action[name] + 10.0 * place for place, name in enumerate(NAMES)}
        rewards["eve"] = jnp.where(state >= 2, 0.0, rewards["eve"])
        terminated = jnp.array([after >= 2, after >= 10, after >= 10])
        rewards = self.stack_agents(rewards)
        return StepResult(self._seen(after), after, rewards, terminated, terminated & False, {})


ACTIONS = {"alice": 2, "bob": 3, "eve": 1}


def test_rewards_and_flags_are_in_the_order_of_the_agents_and_by_name() -> None:
    env = Crypto()
    obs, state = env.reset(KEY)
    result = env.step(KEY, state, ACTIONS)
    assert (result.reward.tolist(), result.reward.dtype) == ([1.0, 12.0, 23.0], np.float32)
    assert list(obs) != list(NAMES)  # so a place in it is no agent's
    rewards = env.by_agent(result.reward)
    assert rewards == {"eve": 1.0, "alice": 12.0, "bob": 23.0}
    assert list(rewards) == list(NAMES)
    assert (
        env.stack_agents({name: rewards[name] for name in sorted(rewards)}) == result.reward
    ).all()
    with pytest.raises(
        InvalidOptionError, match="has the agents eve, alice, bob; got values of eve"
    ):
        env.stack_agents({"eve": 1.0})


@pytest.mark.full
def test_check_env_passes() -> None:
    report = check_env(Crypto(), None)
    assert not report.failures, report


def test_the_checks_find_an_agent_that_comes_back() -> None:
    class Risen(Crypto):
        def step_env(self, *given: Any) -> StepResult:
            result = super().step_env(*given)
            return result._replace(terminated=result.terminated & (result.state != 4))

    step_returns_the_documented_types(Trial(Crypto(), None))
    with pytest.raises(Refuted, match="not done any more"):
        step_returns_the_documented_types(Trial(Risen(), None))


def test_one_agent_that_is_done_does_not_end_the_episode() -> None:
    env = wrappers.AutoReset(wrappers.RecordEpisodeStatistics(wrappers.TimeLimit(Crypto(), 5)))
    trajectory = envhub.rollout(env, None, lambda key, obs: ACTIONS, KEY, 6)
    flags = env.unwrapped, trajectory.terminated[:, 0], trajectory.truncated
    assert flags[1].tolist() == [False, True, True, True, True, False]
    assert flags[2][3].tolist() == [False, False, False]
    assert flags[2][4].tolist() == [False, True, True]  # it had terminated
    assert trajectory.info["episode"]["r"][4].tolist() == [2.0, 60.0, 115.0]
    assert trajectory.info["final_obs"]["bob"][4].tolist() == [5.0] * 4
    assert trajectory.obs["bob"][5].tolist() == [0.0] * 4


def test_wrappers_batches_and_fleets_keep_the_names() -> None:
    env = Crypto()
    batch = envhub.VectorEnv(env, 2)
    fleet = envhub.MultiEnv({"crypto": env})
    frames: Any = wrappers.FrameStackObservation(env, 3)
    for each in (frames, wrappers.NormalizeObservation(wrappers.AutoReset(frames)), batch):
        assert (each.agents, each.observation_agents, each.turn_based) == (NAMES, "by_name", False)
    assert (fleet.agents, fleet.observation_agents) == ({"crypto": NAMES}, {"crypto": "by_name"})
    assert fleet.turn_based == {"crypto": False}
    assert frames.observation_space()["bob"].shape == (3, 4)
    assert frames.reset(KEY)[0]["eve"].shape == (3, 2)
    actions = jax.tree.map(lambda each: jnp.array([each, 0]), ACTIONS)
    result = batch.step(KEY, batch.reset(KEY)[1], actions)
    assert batch.by_agent(result.reward)["bob"].tolist() == [23.0, 20.0]
    assert (batch.stack_agents(batch.by_agent(result.reward)) == result.reward).all()


def test_what_changes_one_observation_changes_that_of_each_agent() -> None:
    both = wrappers.AddRewardToObservation(wrappers.AddActionToObservation(Crypto()))
    timed = wrappers.TimeAwareObservation(both, flatten=False)
    flat = wrappers.FlattenObservation(timed)
    start, state = timed.reset(KEY)
    seen = timed.step(KEY, state, ACTIONS).obs
    assert timed.observation_space().contains(start)
    assert timed.observation_space().contains(seen)
    for name, reward in {"eve": 1.0, "alice": 12.0, "bob": 23.0}.items():
        assert set(seen[name]) == {"obs", "start", "action", "reward", "time"}
        assert (start[name]["start"], seen[name]["start"]) == (True, False)
        assert (start[name]["action"], seen[name]["action"]) == (0, ACTIONS[name])
        assert (start[name]["reward"], seen[name]["reward"]) == (0.0, reward)
        assert (start[name]["time"].tolist(), seen[name]["time"].tolist()) == ([0], [1])
        # One-hot action, observation, reward, start and time.
        hot = np.eye(SIZES[name])[ACTIONS[name]].tolist()
        rows = flat.step(KEY, state, ACTIONS).obs
        assert rows[name].tolist() == [*hot, *[1.0] * SIZES[name], reward, 0.0, 1.0]
    assert flat.observation_space().contains(rows)
    alone = wrappers.TimeAwareObservation(Crypto())
    assert alone.step(KEY, alone.reset(KEY)[1], ACTIONS).obs["eve"].tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(InvalidOptionError, match="already shows 'action'"):
        wrappers.AddActionToObservation(both)
    with pytest.raises(InvalidOptionError, match="dict_time_key='reward' is already in use"):
        wrappers.TimeAwareObservation(both, flatten=False, dict_time_key="reward")


def test_values_that_are_not_of_the_agents_are_refused() -> None:
    env = Crypto()
    obs = env.reset(KEY)[0]
    by_name = env.by_agent(obs)
    assert list(by_name) == list(NAMES)
    assert all((by_name[name] == obs[name]).all() for name in NAMES)
    for values in (jnp.zeros(7), jnp.zeros((8, 3)), {"a": jnp.zeros(3), "b": jnp.zeros(())}):
        with pytest.raises(InvalidOptionError, match=r"3 agents; got an array of .*batch.*axis 1"):
            env.by_agent(values)
    assert env.by_agent(jnp.zeros((8, 3)), axis=1)["eve"].shape == (8,)  # as the error says
    assert env.by_agent(jnp.zeros((8, 3)), axis=-1)["eve"].shape == (8,)


class Masked(Crypto):
    """Action 0 is legal at even times only, and all others always are."""

    def observation_space(self, params: Any = None) -> spaces.Space:
        inside: Any = super().observation_space(params)
        mask = {name: spaces.Box(False, True, (size,), np.bool_) for name, size in SIZES.items()}
        return spaces.Dict(
            {
                name: spaces.Dict({"observation": inside[name], "action_mask": mask[name]})
                for name in NAMES
            }
        )

    def _seen(self, state: Any) -> dict[str, Any]:
        inside = super()._seen(state)
        masks = {
            name: jnp.ones(size, bool).at[0].set(state % 2 == 0) for name, size in SIZES.items()
        }
        return {n: {"observation": inside[n], "action_mask": masks[n]} for n in NAMES}


@pytest.mark.parametrize(
    "wrapper",
    [
        wrappers.AddRewardToObservation,
        wrappers.AddActionToObservation,
        wrappers.DelayObservation(delay=2),
        wrappers.FrameStackObservation(stack_size=3),
    ],
)
def test_a_mask_is_that_of_the_next_action_behind_every_wrapper(wrapper: Any) -> None:
    env = wrapper(Masked())
    obs, state = env.reset(KEY)
    for time in range(3):
        assert env.observation_space().contains(obs)
        for name, size in SIZES.items():
            expected = [time % 2 == 0, *[True] * (size - 1)]
            assert obs[name]["action_mask"].tolist() == expected
            assert "action_mask" not in obs[name].get("obs", {})
        obs, state, *_ = env.step(KEY, state, ACTIONS)
    chosen = [
        envhub.rollout(env, None, None, key, 2).action["bob"][1].tolist()
        for key in jax.random.split(KEY, 9)
    ]
    assert 0 not in chosen
    assert len(set(chosen)) > 1


def test_parts_are_kept_of_each_agent() -> None:
    env: Any = wrappers.FilterObservation(Masked(), ["observation"])
    obs, state = env.reset(KEY)
    kept = {name: ["observation"] for name in NAMES}
    for each in (obs, env.step(KEY, state, ACTIONS).obs):
        assert {name: list(each[name]) for name in NAMES} == kept
        assert env.observation_space().contains(each)
    with pytest.raises(InvalidOptionError, match=r"some of .*'observation'.*got .*'eve'"):
        wrappers.FilterObservation(Masked(), ["eve"])


def test_wrappers_of_arrays_name_the_one_that_takes_all_agents() -> None:
    with pytest.raises(InvalidOptionError, match="TransformObservation takes a function of the"):
        wrappers.NoisyObservation(Crypto(), 0.1)
    halved = wrappers.TransformObservation(
        Crypto(), lambda by_name: {n: by_name[n] / 2 for n in NAMES}
    )
    assert halved.step(KEY, halved.reset(KEY)[1], ACTIONS).obs["bob"].tolist() == [0.5] * 4


def test_actions_of_another_form_are_told_in_plain_words() -> None:
    env = Crypto()
    for actions, said in (
        ([1, 1, 1], r"\[int32\[\], .*expected a dict with the entries \['alice'.*got a list"),
        ({"eve": 1, "bob": jnp.zeros(2)}, r"'bob': float32\[2\].*got \['bob', 'eve'\]"),
    ):
        with pytest.raises(InvalidActionError, match=said):
            env.step(KEY, env.reset(KEY)[1], actions)


def test_a_missing_action_of_an_agent_is_refused() -> None:
    env = Crypto()
    with pytest.raises(InvalidActionError):
        env.step(KEY, env.reset(KEY)[1], {"eve": 1, "bob": 1})


def test_the_spec_names_agents_on_the_leading_axis() -> None:
    env, _ = envhub.make("jumanji::LevelBasedForaging-v0")
    assert env.agents == env.spec.agents == ("agent_0", "agent_1")
    assert (env.observation_agents, env.turn_based) == ("leading", False)
    assert envhub.EnvSpec.from_json(env.spec.to_json()) == env.spec
    one, _ = envhub.make("gymnax::CartPole-v1")
    assert (one.agents, one.spec.agents, one.observation_agents) == (("agent_0",), (), "none")
    assert one.by_agent(jnp.float32(1)) == {"agent_0": 1.0}
    assert one.stack_agents({"agent_0": 1.0}) == 1.0
