"""`envhub.wrap`: environments that somebody else made, under the contract."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from envhub.export import to_gymnasium
from envhub.testing import probes
from envhub.testing.second_process import SecondProcess
from envhub.testing.subject import Subject
from envhub.wrappers import AutoReset

from .devices import EXAMINED
from .packages import needed

LENGTH = 12


def of_gymnax() -> Any:
    return needed("gymnax").make("CartPole-v1")[0]


def of_gymnasium(env_id: str = "CartPole-v1", **options: Any) -> Any:
    gymnasium = needed("gymnasium")
    return gymnasium.make(env_id, **options)


def of_brax(name: str = "fast", **options: Any) -> Any:
    envs = needed("brax.envs")
    return envs.get_environment(name, **options)


def of_pufferlib() -> Any:
    """A class: one object is one live game."""
    if registry.get("pufferlib").installed() is None:
        pytest.skip(reason="pufferlib is not installed")
    registry.get("pufferlib").load()
    from .quirks.puffer_envs import Walkers

    return Walkers


def mine_of_gymnasium() -> Any:
    """A class that Gymnasium has not registered."""
    gymnasium = needed("gymnasium")

    class Line(gymnasium.Env):  # type: ignore[misc]
        observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            super().reset(seed=seed)
            self.place = self.np_random.uniform(-1, 1, 1).astype(np.float32)
            return self.place, {}

        def step(self, action: Any) -> Any:
            self.place = self.place + np.float32(2 * action - 1)
            return self.place, 1.0, bool(abs(self.place[0]) > 3), False, {}

    return Line


def mine_of_gymnax() -> Any:
    """One whose name gymnax does not know, and which it does not draw."""
    own = type(of_gymnax())

    class Pole(own):  # type: ignore[misc, valid-type]
        @property
        def name(self) -> str:
            return "Pole"

    return Pole()


def mine_of_brax() -> Any:
    """A wrapper of one's own around one of brax's."""
    base = needed("brax.envs.base")

    class Doubled(base.Wrapper):  # type: ignore[misc]
        def step(self, state: Any, action: Any) -> Any:
            after = self.env.step(state, action)
            return after.replace(reward=2 * after.reward)

    return Doubled(of_brax())


def of_jumanji() -> Any:
    return needed("jumanji").make("Maze-v0")


def of_navix() -> Any:
    return needed("navix").make("Navix-Empty-5x5-v0")


def of_craftax(auto_reset: bool = False) -> Any:
    module = needed("craftax.craftax_env")
    name = "Craftax-Classic-Symbolic-v1"
    return module.make_craftax_env_from_name(name, auto_reset=auto_reset)


def of_dm_env() -> Any:
    needed("dm_env")
    from tests.host.fall import Fall

    return Fall


OBJECTS: dict[str, Callable[[], Any]] = {
    "gymnax": of_gymnax,
    "gymnasium": of_gymnasium,
    "functional": lambda: of_gymnasium("phys2d/CartPole-v1"),
    "brax": of_brax,
    "pufferlib": of_pufferlib,
    "dm_env": of_dm_env,
    "mine of gymnasium": mine_of_gymnasium,
    "mine of gymnax": mine_of_gymnax,
    "mine of brax": mine_of_brax,
}


def make(which: str) -> Any:
    """Also in another process."""
    return envhub.wrap(OBJECTS[which]())


def episode(env: Any, params: Any) -> Any:
    """What a few steps show."""
    obs, state = env.reset(jax.random.key(3), params)
    sample = env.action_space(params).sample
    results = []
    for key in jax.random.split(jax.random.key(4), LENGTH):
        result = env.step(key, state, sample(key), params)
        state = result.state
        results.append(result._replace(state=None))
    return obs, results


def same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("which", "env_id", "options"),
    [
        ("gymnax", "gymnax::CartPole-v1", {}),
        ("gymnasium", "gymnasium::CartPole-v1", {}),
        ("functional", "gymnasium::phys2d/CartPole-v1", {}),
        ("brax", "brax::fast", {}),
        pytest.param("hopper", "brax::hopper", {"backend": "spring"}, marks=pytest.mark.full),
        ("pufferlib", "pufferlib::tests.quirks.puffer_envs:Walkers", {"num_envs": 7}),
    ],
)
def test_it_is_the_same_environment_by_make(
    which: str, env_id: str, options: dict[str, Any]
) -> None:
    obj = of_brax("hopper", **options) if which == "hopper" else OBJECTS[which]()
    env, params = envhub.wrap(obj)
    other, other_params = envhub.make(env_id, **options)
    assert env.capabilities == other.capabilities
    assert jax.tree.structure(params) == jax.tree.structure(other_params)
    assert env.observation_space(params) == other.observation_space(other_params)
    assert env.action_space(params) == other.action_space(other_params)
    same(episode(env, params), episode(other, other_params))
    if which != "pufferlib":
        assert env.spec.id == env_id
    assert env.spec.version == other.spec.version
    assert env.num_agents == env.spec.num_agents == other.num_agents


@pytest.mark.parametrize(
    ("make_one", "env_id", "name"),
    [
        pytest.param(of_jumanji, "jumanji::Maze-v0", "Maze-v0", marks=pytest.mark.full),
        (of_navix, "navix::Navix-Empty-5x5-v0", "Room"),  # navix keeps no name in it
        pytest.param(
            lambda: of_craftax(auto_reset=True),
            "craftax::Craftax-Classic-Symbolic-v1",
            "Craftax-Classic-Symbolic-v1",
            marks=pytest.mark.full,
        ),
    ],
)
def test_the_objects_of_the_native_suites(make_one: Any, env_id: str, name: str) -> None:
    obj = make_one()
    env, params = envhub.wrap(obj)
    other, other_params = envhub.make(env_id)
    assert env.unwrapped is obj
    assert env.spec.name == name
    assert env.capabilities == other.capabilities
    assert env.episode_limit(params) == other.episode_limit(other_params)
    assert env.observation_space(params) == other.observation_space(other_params)
    same(episode(env, params), episode(other, other_params))


def test_a_parallel_environment_of_pettingzoo() -> None:
    pettingzoo = needed("pettingzoo")
    if registry.get("pufferlib").installed() is None:
        pytest.skip(reason="pufferlib is not installed, whose emulation plays it")
    from gymnasium import spaces

    class Two(pettingzoo.ParallelEnv):  # type: ignore[misc]
        """Each agent sees where it is, and is paid what it does, for five steps."""

        possible_agents = ("left", "right")
        metadata = {"name": "two"}  # noqa: RUF012
        render_mode = None

        def observation_space(self, agent: str) -> Any:
            return spaces.Box(-9, 9, (2,), np.float32)

        def action_space(self, agent: str) -> Any:
            return spaces.Discrete(3)

        def reset(self, seed: Any = None, options: Any = None) -> Any:
            self.agents, self.time = list(self.possible_agents), 0
            generator = np.random.default_rng(seed)
            self.places = {
                each: generator.uniform(-1, 1, 2).astype(np.float32) for each in self.agents
            }
            return self.places, {each: {} for each in self.agents}

        def step(self, actions: Any) -> Any:
            self.time += 1
            self.places = {
                each: self.places[each] + np.float32(actions[each] - 1) for each in self.agents
            }
            rewards = {each: float(actions[each]) for each in self.agents}
            ends = dict.fromkeys(self.agents, self.time == 5)
            return self.places, rewards, dict.fromkeys(ends, False), ends, {e: {} for e in ends}

    env, params = envhub.wrap(Two)
    assert (env.num_agents, env.spec.id) == (2, "pufferlib::Two")
    assert env.capabilities.reproducible
    trajectory = envhub.rollout(env, params, None, jax.random.key(0), 5)
    np.testing.assert_array_equal(trajectory.reward, trajectory.action.reshape(5, 2))
    assert trajectory.obs.shape == (5, 2, 2)
    moved = trajectory.obs[1:] - trajectory.obs[:-1]
    np.testing.assert_allclose(moved, (trajectory.reward[:-1, :, None] - 1) * np.ones(2), atol=1e-6)
    np.testing.assert_array_equal(trajectory.truncated[:, 0], [False] * 4 + [True])
    assert not trajectory.terminated.any()


@pytest.mark.parametrize("last_discount", [0.0, 0.9])
def test_an_episode_of_dm_env(last_discount: float) -> None:
    fall = of_dm_env()
    env, params = envhub.wrap(lambda: fall(last_discount=last_discount))
    assert env.spec.id == "dm_env::Fall"
    assert env.capabilities.reproducible
    places, row = env.observation_space(params)["places"], env.observation_space(params)["row"]
    assert places[0] == envhub.spaces.Box(-np.inf, np.inf, (), np.float64)
    assert row == envhub.spaces.Box(0, 255, (), np.uint8)
    seen = envhub.rollout(env, params, None, jax.random.key(1), 5)
    own = fall(last_discount=last_discount)
    step = own.reset()
    for turn in range(4):
        np.testing.assert_array_equal(seen.obs["places"][0][turn], np.float32(1))
        assert seen.obs["places"][1][turn] == step.observation["places"][1]
        action = jax.tree.map(lambda leaf, turn=turn: np.asarray(leaf[turn]), seen.action)
        action = {"push": np.int64(action["push"]), "forces": [np.float64(action["forces"][0])]}
        step = own.step(action)
        np.testing.assert_allclose(seen.reward[turn], step.reward, rtol=1e-6)
        np.testing.assert_allclose(seen.info["discount"][turn], step.discount)
        assert seen.terminated[turn] == (step.last() and step.discount == 0)
        assert seen.truncated[turn] == (step.last() and step.discount != 0)
    assert step.last()


def test_an_environment_of_dm_env_that_draws_is_not_reproducible() -> None:
    fall, rng = of_dm_env(), np.random.default_rng(0)
    env, _ = envhub.wrap(fall(lambda: int(rng.integers(4))))
    assert not env.capabilities.reproducible
    assert "tried" in env.capabilities.why("reproducible")
    assert not env.capabilities.vmap_safe


def test_what_is_no_time_step_of_dm_env_is_named() -> None:
    fall = of_dm_env()

    class StartsLate(fall):  # type: ignore[misc, valid-type]
        def reset(self) -> Any:
            return super().reset()._replace(step_type=1)

    class StartsAgain(fall):  # type: ignore[misc, valid-type]
        def step(self, action: Any) -> Any:
            return super().reset()

    refuse(StartsLate, "its reset must return the first dm_env.TimeStep")
    env, params = envhub.wrap(StartsAgain)
    with pytest.raises(errors.HostEnvError, match=r"its step must return a later dm_env\.TimeStep"):
        envhub.rollout(env, params, None, jax.random.key(0), 1)


def test_the_specs_of_an_export_are_its_spaces_again() -> None:
    from envhub.export import to_dm_env
    from envhub.host.dm_env import space_of

    for env_id in ("gymnax::CartPole-v1", "gymnax::Pendulum-v1", "gymnasium::Blackjack-v1"):
        env, params = envhub.make(env_id)
        exported = to_dm_env(env, params, seed=0)
        assert space_of(exported.action_spec()) == env.action_space(params)
        assert space_of(exported.observation_spec()) == env.observation_space(params)


def test_dm_env_has_no_names_and_no_text() -> None:
    dm_env, fall = needed("dm_env"), of_dm_env()

    class Says(fall):  # type: ignore[misc, valid-type]
        def observation_spec(self) -> Any:
            return dm_env.specs.StringArray(())

    refuse(Says(), "dm_env cannot take.*StringArray.*numbers")
    with pytest.raises(errors.UnknownEnvError, match=r"without names.*envhub\.wrap"):
        envhub.make("dm_env::Fall")
    with pytest.raises(errors.DuplicateSuiteError, match="taken"):
        envhub.register("dm_env", "mine:SUITE")


@pytest.fixture(scope="module")
def other_process() -> Iterator[SecondProcess]:
    process = SecondProcess()
    yield process
    process.close()


# A suite's own claim what they claim by `make`, which the conformance tests examine.
OWN = ("gymnax", "gymnasium", "functional", "brax")


@pytest.mark.parametrize(
    "which", [pytest.param(each, marks=[pytest.mark.full] * (each in OWN)) for each in OBJECTS]
)
@pytest.mark.slow
def test_what_it_claims_is_true(which: str, other_process: SecondProcess) -> None:
    recipe = {"call": "tests.test_wrap:make", "kwargs": {"which": which}}
    subject = Subject(*make(which), recipe, other_process)
    claims = subject.env.capabilities
    flags = set(EXAMINED)
    if not claims.jax_native and jax.__version_info__ < (0, 5):
        flags.discard("multi_device")  # jax 0.4.35 waits for ever there, now and then
    found = probes.examine(subject, flags)
    wrong = {
        flag: finding.detail or "it has it"
        for flag, finding in found.items()
        if finding.holds != getattr(claims, flag) and "not known" not in claims.why(flag)
    }
    assert not wrong
    assert subject.env.spec


def test_the_object_is_left_alone() -> None:
    obj = of_gymnasium(render_mode="rgb_array", max_episode_steps=3, sutton_barto_reward=True)
    env, params = envhub.wrap(obj)
    assert env.unwrapped is obj
    with pytest.raises(Exception, match="reset"):
        obj.step(0)
    _, state = env.reset(jax.random.key(0), params)
    results = []
    for _ in range(3):
        results.append(env.step(jax.random.key(0), state, 0, params))
        state = results[-1].state
    assert [bool(result.truncated) for result in results] == [False, False, True]
    assert results[0].reward == 0
    assert env.render(state).dtype == np.uint8


def test_wrappers_of_gymnasiums_are_made_anew() -> None:
    gymnasium = needed("gymnasium")
    obj = gymnasium.wrappers.FlattenObservation(of_gymnasium("FrozenLake-v1"))
    env, params = envhub.wrap(obj)
    assert not env.capabilities.forkable
    key = jax.random.key(0)
    obs, state = env.reset(key, params)
    expected, _ = obj.reset(seed=envhub.host_seed(key))
    for step in range(5):
        np.testing.assert_array_equal(obs, expected)
        obs, state, reward, *_ = env.step(key, state, step % 4, params)
        expected, expected_reward, *_ = obj.step(step % 4)
        assert reward == expected_reward


def test_a_function_is_called_for_each_episode() -> None:
    line = mine_of_gymnasium()
    env, _ = envhub.wrap(line)
    assert isinstance(env.unwrapped, line)
    assert env.spec.id == "gymnasium::Line"
    keys = jax.random.split(jax.random.key(0), 3)
    obs, state = jax.vmap(env.reset)(keys)
    for key, one in zip(keys, obs, strict=True):
        np.testing.assert_array_equal(one, line().reset(seed=envhub.host_seed(key))[0])
    after = jax.vmap(env.step, in_axes=(0, 0, None))(keys, state, 1).obs
    np.testing.assert_array_equal(after, obs + 1)


def refuse(obj: Any, match: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=match):
        envhub.wrap(obj)


def test_what_it_does_not_take() -> None:
    refuse(object(), r"a gymnasium\.Env, .*; got <object")
    refuse(lambda: 3, r"envhub\.wrap takes .*; got 3 of <function .*none of these interfaces")
    refuse(envhub.make("gymnax::CartPole-v1")[0], "under the contract already")
    refuse(object(), "none of these interfaces")
    gymnasium = needed("gymnasium")
    batch = gymnasium.make_vec("CartPole-v1", num_envs=2)
    refuse(batch, "It is a batch")
    refuse(lambda: batch, "It is a batch")


def test_what_it_refuses_of_jumanji_gets_the_true_reason() -> None:
    wrappers = needed("jumanji.wrappers")
    refuse(wrappers.AutoResetWrapper(of_jumanji()), "AutoResetWrapper resets")
    with pytest.raises(errors.UnavailableEnvError, match=r"written in JAX.*inside"):
        envhub.wrap(wrappers.JumanjiToDMEnvWrapper(of_jumanji()))


def test_agents_that_act_in_turn_are_refused() -> None:
    utils = needed("pettingzoo.utils")

    class Turns(utils.env.AECEnv):  # type: ignore[misc]
        """One of PettingZoo whose agents act one after another."""

        possible_agents = ("left",)

    refuse(Turns(), "act in turn.*aec_to_parallel")


def test_what_is_played_by_a_suite_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    pettingzoo = needed("pettingzoo")
    monkeypatch.setattr(type(registry.get("pufferlib")), "installed", lambda suite: None)

    class Agents(pettingzoo.ParallelEnv):  # type: ignore[misc]
        """Agents that act together."""

    refuse(Agents(), r"'pufferlib' plays it\. Run: pip install")


@pytest.mark.parametrize("kind", [mine_of_gymnasium, of_pufferlib])
def test_one_live_environment_plays_one_episode_at_a_time(kind: Any) -> None:
    obj = kind()()
    env, params = envhub.wrap(obj)
    assert env.unwrapped is obj
    for flag in ("vmap_safe", "isolated_reset", "multi_device"):
        assert not getattr(env.capabilities, flag)
    for flag in ("vmap_safe", "isolated_reset"):  # jax 0.4.35 has another reason for the third
        assert "one live environment" in env.capabilities.why(flag)
    first, before = env.reset(jax.random.key(0), params)
    again, state = env.reset(jax.random.key(0), params)
    np.testing.assert_array_equal(first, again)
    ones = np.ones(env.num_agents, np.int32) if env.num_agents > 1 else np.int32(1)
    moved = env.step(jax.random.key(1), state, ones, params).obs
    assert not np.array_equal(moved, again)
    with pytest.raises(errors.StaleStateError):
        env.step(jax.random.key(1), before, ones, params)
    with pytest.raises(errors.StaleStateError, match="wrap a function"):
        jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 2))


def test_another_episode_follows_of_one_live_environment() -> None:
    env, params = envhub.wrap(mine_of_gymnasium()())
    ends = envhub.rollout(AutoReset(env), params, None, jax.random.key(0), 60).done
    assert ends.sum() > 1


def test_what_cannot_be_made_again_is_told_to_come_as_a_function() -> None:
    gymnasium = needed("gymnasium")

    class Mute(gymnasium.Wrapper):  # type: ignore[misc]
        """Not a `RecordConstructorArgs`."""

    refuse(Mute(of_gymnasium()), "cannot be made again")
    one = mine_of_gymnasium()()
    refuse(lambda: one, r"one live environment.*lambda")


def test_what_resets_by_itself_is_refused() -> None:
    logged = needed("gymnax.wrappers.purerl")
    refuse(logged.LogWrapper(of_gymnax()), "Remove the wrappers of other")
    env = of_brax()
    training = needed("brax.envs.wrappers.training")
    refuse(training.AutoResetWrapper(env), "AutoResetWrapper")
    refuse(training.VmapWrapper(training.EpisodeWrapper(env, 9, 1)), "VmapWrapper")


def test_what_is_written_in_jax_is_kept_out_of_callbacks() -> None:
    gymnasium = needed("gymnasium")
    theirs = needed("gymnax.wrappers.gym")
    refuse(to_gymnasium(*envhub.make("gymnax::CartPole-v1")), "was exported from an environment")
    with pytest.raises(errors.UnavailableEnvError, match="written in JAX"):
        envhub.wrap(lambda: theirs.GymnaxToGymWrapper(of_gymnax()))
    refuse(gymnasium.wrappers.FlattenObservation(of_gymnasium("phys2d/CartPole-v1")), "unwrapped")


def test_make_and_wrap_say_the_same_of_what_is_written_in_jax() -> None:
    """An export, and what shows NumPy and holds something else."""
    gymnasium = needed("gymnasium")

    class HidesJax(mine_of_gymnasium()):  # type: ignore[misc]
        def reset(self, **keywords: Any) -> Any:
            self.hidden = jax.numpy.zeros(2)
            return super().reset(**keywords)

    export = to_gymnasium(*envhub.make("gymnax::CartPole-v1"))
    for entry_point in (lambda **_: export, HidesJax):
        gymnasium.register("TestsOwnJax-v0", entry_point)
        try:
            with pytest.raises(errors.UnavailableEnvError, match="written in JAX"):
                envhub.make("gymnasium::TestsOwnJax-v0")
        finally:
            gymnasium.registry.pop("TestsOwnJax-v0")
    with pytest.raises(errors.UnavailableEnvError, match="written in JAX"):
        envhub.wrap(HidesJax)


def test_a_functional_environment_of_ones_own() -> None:
    core = of_gymnasium("phys2d/CartPole-v1").unwrapped.func_env
    shell = needed("gymnasium.envs.functional_jax_env").FunctionalJaxEnv(core)
    env, params = envhub.wrap(shell)
    assert env.spec.id == "gymnasium::FunctionalJaxEnv"
    assert env.capabilities.jax_native
    assert env.capabilities.has_env_params
    same(episode(env, params), episode(*envhub.make("gymnasium::phys2d/CartPole-v1")))


def test_a_suite_that_was_not_imported_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*given: Any) -> Any:
        raise AssertionError("it was asked")

    obj = of_gymnasium()
    for name in ("brax", "gymnax"):
        suite = registry.get(name)
        monkeypatch.delitem(sys.modules, suite.module, raising=False)
        monkeypatch.setattr(type(suite), "adopt", asked)
    assert envhub.wrap(obj)[0].spec.suite == "gymnasium"


# Workers.


def worked_with(obj: Any, **how: Any) -> list[np.ndarray[Any, Any]]:
    """What is seen of the first steps of four episodes."""
    env, params = envhub.wrap(obj, **how)
    keys = jax.random.split(jax.random.key(0), 4)
    try:
        _, states = jax.vmap(env.reset, (0, None))(keys, params)
        step = jax.vmap(lambda key, state: env.step(key, state, env.action_space().sample(key)))
        seen = []
        for _ in range(3):
            result = step(keys, states)
            states = result.state
            seen += jax.tree.leaves((result.obs, result.reward, result.terminated))
    finally:
        env.close()
    return [np.asarray(leaf) for leaf in seen]


@pytest.mark.parametrize(
    ("workers", "obj"),
    [
        ("process", of_gymnasium),
        ("thread", mine_of_gymnasium),
        pytest.param("process", of_pufferlib, marks=pytest.mark.full),
        pytest.param("ray", of_gymnasium, marks=pytest.mark.full),
        pytest.param("ray", mine_of_gymnasium, marks=pytest.mark.full),
        pytest.param("ray", of_dm_env, marks=pytest.mark.full),
    ],
)
def test_what_is_wrapped_runs_in_workers(workers: str, obj: Any) -> None:
    made = obj()
    if workers == "ray":
        needed("ray")
    expected = worked_with(made)
    found = worked_with(made, workers=workers, num_workers=2)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_no_worker_can_make_is_refused() -> None:
    kind = mine_of_gymnasium()
    with pytest.raises(errors.InvalidOptionError, match=r"cannot be pickled.*workers='thread'"):
        envhub.wrap(kind, workers="process", num_workers=1)
    for workers in ("thread", "process"):
        with pytest.raises(errors.InvalidOptionError, match=r"one live environment.*a function"):
            envhub.wrap(kind(), workers=workers, num_workers=2)
    with pytest.raises(errors.InvalidOptionError, match="workers must be left out"):
        envhub.wrap(of_gymnax(), workers="thread")
