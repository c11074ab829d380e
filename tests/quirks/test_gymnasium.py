"""What is peculiar to Gymnasium: its registry, CartPoles stepped together, and what is in JAX."""

from __future__ import annotations

import functools
import random
import re
import types
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from envhub.adapters.gymnasium.facts import FUNCTIONAL
from gymnasium.envs.classic_control import CartPoleEnv

import envhub
from envhub import errors
from envhub.host.pools import FORKABLE_INSTANCES

KEY = jax.random.key(0)


def truncations(env: Any, steps: int, action: int = 0) -> list[bool]:
    _, state = env.reset(KEY)
    seen = []
    for _ in range(steps):
        result = env.step(KEY, state, action)
        state = result.state
        seen.append(bool(result.truncated))
    return seen


@pytest.mark.parametrize("name", FUNCTIONAL.split())
def test_an_episode_is_that_of_gymnasium_make(name: str) -> None:
    """Its `FunctionalJaxEnv` splits the keys of the calls off the seed's."""
    own = gymnasium.make(name, max_episode_steps=6)
    env, params = envhub.make(f"gymnasium::{name}", max_episode_steps=6)
    own.action_space.seed(0)
    key, rest = jax.random.split(jax.random.PRNGKey(3))
    own_obs, _ = own.reset(seed=3)
    obs, state = env.reset(key, params)
    np.testing.assert_allclose(obs, own_obs, rtol=1e-5, atol=1e-6)
    for _ in range(6):
        key, rest = jax.random.split(rest)
        action = own.action_space.sample()
        own_obs, *own_rest, own_info = own.step(action)
        result = env.step(key, state, action, params)
        state = result.state
        np.testing.assert_allclose(result.obs, own_obs, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(result.reward, own_rest[0], rtol=1e-5)
        assert [result.terminated, result.truncated] == own_rest[1:]
        assert result.info == own_info == {}


def test_the_limit_is_that_of_the_id_or_the_option() -> None:
    pendulum, cards = "gymnasium::phys2d/Pendulum-v0", "gymnasium::tabular/Blackjack-v0"
    limits = [
        envhub.make(env_id, max_episode_steps=limit)[0].max_episode_steps  # type: ignore[attr-defined]
        for env_id in (pendulum, cards)
        for limit in (None, 10, -1)
    ]
    assert limits == [200, 10, None, None, 10, None]
    assert truncations(envhub.make(cards, max_episode_steps=2)[0], 3) == [False, True, True]
    assert truncations(envhub.make(cards)[0], 3) == [False] * 3


@pytest.mark.parametrize(
    "options",
    [
        {"max_episode_steps": 0},
        {"max_episode_steps": 2.5},
        {"max_episode_steps": True},
        {"forkable": True},
        {"render_mode": "rgb_array"},
    ],
    ids=str,
)
def test_options_that_nobody_takes(options: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidOptionError, match=next(iter(options))):
        envhub.make("gymnasium::phys2d/CartPole-v1", **options)


def test_the_constructors_options_pass_through() -> None:
    env, params = envhub.make(
        "gymnasium::phys2d/Pendulum-v0", options={"options": {"max_torque": 0.0}}, g=9.0
    )
    assert params.g == 9.0
    _, state = env.reset(KEY)
    ends = [env.step(KEY, state, jnp.array([torque])).obs for torque in (-2.0, 2.0)]
    np.testing.assert_array_equal(*ends)


def test_the_rules_of_blackjack_are_params() -> None:
    """Gymnasium asks them with Python's `if`: here they differ by lane, in one program."""
    env, params = envhub.make("gymnasium::tabular/Blackjack-v0")
    natural, book = jnp.array([False, True, True]), jnp.array([False, False, True])
    lanes = jax.vmap(lambda natural, book: params.replace(natural=natural, sutton_and_barto=book))

    def stick(key: Any, params: Any) -> Any:
        obs, state = env.reset(key, params)
        return obs, env.step(key, state, 0, params).reward

    over_keys = jax.vmap(stick, in_axes=(0, None))
    keys = jax.random.split(jax.random.key(1), 500)
    obs, rewards = jax.jit(jax.vmap(over_keys, in_axes=(None, 0)))(keys, lanes(natural, book))
    plain, pays_more, by_the_book = rewards
    is_natural = np.asarray(obs[0, :, 0]) == 21
    assert is_natural.any()
    np.testing.assert_array_equal(pays_more, np.where(is_natural & (plain == 1), 1.5, plain))
    assert set(np.asarray(plain)) == {-1.0, 0.0, 1.0}
    assert (by_the_book >= plain).all()
    np.testing.assert_array_equal(by_the_book[~is_natural], plain[~is_natural])


@pytest.mark.parametrize(
    ("name", "size"), [("phys2d/Pendulum-v0", (500, 500)), ("phys2d/CartPole-v1", (300, 300))]
)
def test_the_screen_is_as_large_as_the_picture(name: str, size: tuple[int, int]) -> None:
    options = {} if size == (500, 500) else {"screen_width": 300, "screen_height": 300}
    env, params = envhub.make(f"gymnasium::{name}", **options)
    frame = env.render(env.reset(KEY)[1], params)
    assert frame.shape == (*size, 3)
    assert (frame[[0, -1]] == 255).all(), "white to the edges"


def test_an_environment_in_jax_that_is_not_gymnasiums_is_refused() -> None:
    """It would deadlock behind a callback."""
    entry_point = "gymnasium.envs.phys2d.cartpole:CartPoleJaxEnv"
    gymnasium.register("SomebodysJax-v0", entry_point)
    try:
        with pytest.raises(errors.UnavailableEnvError, match="written in JAX"):
            envhub.make("gymnasium::SomebodysJax-v0")
    finally:
        del gymnasium.registry["SomebodysJax-v0"]


@pytest.mark.parametrize("forkable", [True, False])
@pytest.mark.parametrize(
    ("options", "gravity"),
    [
        ({}, [9.8] * 8),
        ({"max_episode_steps": 9, "sutton_barto_reward": True}, [9.8, 3.0, 30.0, 9.8, 9.0]),
    ],
)
def test_cartpoles_stepped_together_are_those_stepped_one_by_one(
    forkable: bool, options: Any, gravity: list[float]
) -> None:
    def episodes(**workers: Any) -> Any:
        env, params = envhub.make(
            "gymnasium::CartPole-v1",
            forkable=forkable,
            autoreset="same_step",
            **options,
            **workers,
        )
        gravities = params.replace(gravity=jnp.array(gravity))
        lanes = params.replace(**dict.fromkeys(vars(params))).replace(gravity=0)

        def run(key: Any, params: Any) -> Any:
            _, state = env.reset(key, params)

            def body(state: Any, key: Any) -> Any:
                result = env.step(key, state, env.action_space().sample(key), params)
                return result.state, result._replace(state=getattr(state, "snapshot", None))

            return jax.lax.scan(body, state, jax.random.split(key, 100))[1]

        keys = jax.random.split(KEY, len(gravity))
        played = jax.jit(jax.vmap(run, in_axes=(0, lanes)))(keys, gravities)
        return jax.block_until_ready(played)  # while the environment is there: jax does not wait

    together, one_by_one = episodes(), episodes(workers="serial")
    assert together.done.sum() > 10
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(one_by_one), strict=True):
        np.testing.assert_array_equal(a, b)


class Counting(gymnasium.Env):  # type: ignore[misc,type-arg]
    """Counts to a goal."""

    observation_space = gymnasium.spaces.Box(0, 99, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, goal: int = 3) -> None:
        self.goal, self.count = goal, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.count += 1
        obs = np.full(1, self.count, np.float32)
        return obs, 1.0, self.count >= self.goal, False, {}


def counting(goal: int = 3) -> Counting:
    return Counting(goal)


def counting_with_any_keyword(**keywords: Any) -> Counting:
    return Counting(**keywords)


@pytest.fixture
def register() -> Iterator[Callable[..., str]]:
    """Registers an entry point with Gymnasium, and gives envhub's id."""
    registered = []

    def register_one(entry_point: Any, name: str = "Somebody/Counting-v3", **spec: Any) -> str:
        gymnasium.register(name, entry_point, **spec)
        registered.append(name)
        return f"gymnasium::{name}"

    yield register_one
    for name in registered:
        del gymnasium.registry[name]


def length(env: Any) -> int:
    """How many steps an episode takes."""
    _, state = env.reset(KEY)
    for number in range(1, 10):
        result = env.step(KEY, state, 0)
        state = result.state
        if result.done:
            return number
    raise AssertionError("it does not end")


@pytest.mark.parametrize(
    "entry_point",
    [
        Counting,
        lambda goal=3: Counting(goal),
        counting,
        counting_with_any_keyword,
        functools.partial(counting),
        f"{__name__}:Counting",
        f"{__name__}:counting_with_any_keyword",
    ],
    ids=["class", "lambda", "function", "**keywords", "partial", "text", "text of a function"],
)
def test_whatever_gymnasium_makes_of_an_entry_point(
    entry_point: Any, register: Callable[..., str]
) -> None:
    env_id = register(entry_point)
    assert env_id in envhub.list_envs("gymnasium")
    assert not envhub.capabilities(env_id).jax_native
    assert length(envhub.make(env_id)[0]) == 3
    assert length(envhub.make(env_id, goal=5)[0]) == 5
    assert length(envhub.wrap(gymnasium.make(env_id.partition("::")[2], goal=4))[0]) == 4
    with pytest.raises(errors.InvalidOptionError, match="gaol"):
        envhub.make(env_id, gaol=5)
    members = {"short": (env_id, {"goal": 1}), "long": (env_id, {"goal": 5})}
    fleet, _ = envhub.make_multi(members)
    assert {name: length(member) for name, member in fleet.envs.items()} == {"short": 1, "long": 5}


def test_keywords_of_the_registration_and_its_limit(register: Callable[..., str]) -> None:
    env_id = register(counting, kwargs={"goal": 6}, max_episode_steps=4)
    assert truncations(envhub.make(env_id)[0], 4) == [False, False, False, True]
    assert length(envhub.make(env_id, goal=2)[0]) == 2


def test_a_name_without_a_version_is_the_newest(register: Callable[..., str]) -> None:
    """As for `gymnasium.make`."""
    register(lambda: Counting(2), "Somebody/Counting-v2")
    register(lambda: Counting(7), "Somebody/Counting-v10")
    register(lambda: Counting(4), "Somebody/Unversioned")
    env, _ = envhub.make("gymnasium::Somebody/Counting")
    assert env.spec is not None
    assert env.spec.name == "Somebody/Counting-v10"
    assert length(env) == 7
    assert length(envhub.make("gymnasium::Somebody/Unversioned")[0]) == 4


def test_what_gymnasium_no_longer_makes_is_not_listed(register: Callable[..., str]) -> None:
    """And what it makes in batches alone."""
    only_vector = register(None, vector_entry_point=lambda **_: None)
    listed = envhub.list_envs("gymnasium")
    assert only_vector not in listed
    assert "gymnasium::GymV21Environment-v0" not in listed
    for env_id in (only_vector, "gymnasium::GymV21Environment-v0"):
        with pytest.raises(errors.UnknownEnvError, match="list_envs"):
            envhub.make(env_id)


def test_the_noise_of_acrobot_is_part_of_its_states() -> None:
    env, params = envhub.make("gymnasium::Acrobot-v1", params={"torque_noise_max": 5.0})
    _, start = env.reset(KEY, params)
    first = env.step(KEY, start, 2, params)
    second = env.step(KEY, first.state, 2, params)
    quiet = params.replace(torque_noise_max=0.0)  # with which nothing is drawn for a while
    calm = env.step(KEY, env.step(KEY, second.state, 2, quiet).state, 2, quiet)
    again = env.step(KEY, calm.state, 2, params)
    for seed in range(2 * FORKABLE_INSTANCES):  # which use up all instances, and draw
        _, other = env.reset(jax.random.key(seed), params)
        env.step(KEY, other, 1, params)
    for state, step in ((start, first), (first.state, second), (calm.state, again)):
        np.testing.assert_array_equal(env.step(KEY, state, 2, params).obs, step.obs)
    assert np.any(env.step(KEY, start, 2, quiet).obs != first.obs)


@pytest.mark.parametrize("name", ["CartPole-v1", "phys2d/CartPole-v1"])
def test_what_is_computed_from_other_params_follows_them(name: str) -> None:
    """A heavy cart is pushed as one whose total mass is given too."""
    heavy, params = envhub.make(f"gymnasium::{name}", masscart=10.0)
    light, _ = envhub.make(f"gymnasium::{name}")
    after = [
        env.step(KEY, env.reset(KEY)[1], 1).obs[1] - env.reset(KEY)[0][1] for env in (light, heavy)
    ]
    assert after[0] > 5 * after[1] > 0
    if name != "CartPole-v1":
        assert params.total_mass == 10.0 + params.masspole


# What it is, and not what it is called.


class Straight(CartPoleEnv):  # type: ignore[misc]
    """Ends at another angle, for another reward."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.theta_threshold_radians *= 3

    def step(self, action: Any) -> Any:
        obs, _, *rest = super().step(action)
        return (obs, -1.0, *rest)


def straight(**keywords: Any) -> Straight:
    return Straight(**keywords)


class PendulumEnv(Counting):
    """Merely called so."""


@pytest.fixture
def registered_otherwise() -> Iterator[Callable[..., None]]:
    """Registers something else under an id of Gymnasium's, for a while."""
    before = dict(gymnasium.registry)

    def register_again(name: str, entry_point: Any, **spec: Any) -> None:
        gymnasium.registry.pop(name, None)
        gymnasium.register(name, entry_point, **spec)

    yield register_again
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


def played(env: Any, actions: Any) -> tuple[list[Any], list[float]]:
    """Observations and rewards of an episode."""
    obs, state = env.reset(KEY)
    seen, rewards = [np.asarray(obs)], []
    for action in actions:
        result = env.step(KEY, state, action)
        state = result.state
        seen.append(np.asarray(result.obs))
        rewards.append(float(result.reward))
        if result.done:
            break
    return seen, rewards


def played_by_gymnasium(env: Any, actions: Any) -> tuple[list[Any], list[float]]:
    seen, rewards = [env.reset(seed=envhub.host_seed(KEY))[0]], []
    for action in actions:
        obs, reward, terminated, truncated, _ = env.step(action)
        seen.append(np.asarray(obs, np.float32))
        rewards.append(float(reward))
        if terminated or truncated:
            break
    return seen, rewards


def assert_theirs(name: str, how: str, actions: Any) -> Any:
    """An id plays what `gymnasium.make` plays under it; gives the environment."""
    obj = gymnasium.make(name)
    env, _ = envhub.make(f"gymnasium::{name}") if how == "make" else envhub.wrap(obj)
    for mine, theirs in zip(
        played(env, actions), played_by_gymnasium(gymnasium.make(name), actions), strict=True
    ):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    return env


@pytest.mark.parametrize("how", ["make", "wrap"])
@pytest.mark.parametrize(
    "entry_point",
    [Straight, straight, f"{__name__}:Straight"],
    ids=["class", "function", "text"],
)
def test_an_edited_cartpole_under_gymnasiums_id_is_played_as_it_is(
    how: str, entry_point: Any, registered_otherwise: Callable[..., None]
) -> None:
    registered_otherwise("CartPole-v1", entry_point, max_episode_steps=500)
    assert not envhub.capabilities("gymnasium::CartPole-v1").forkable
    env = assert_theirs("CartPole-v1", how, [0] * 30)
    assert played(env, [0] * 30)[1][0] == -1
    assert not env.capabilities.forkable
    assert env.default_params is None
    venv, _ = envhub.make_vec("gymnasium::CartPole-v1", 2)  # no fleet of Gymnasium's own
    _, state = venv.reset(KEY)
    assert (venv.step(KEY, state, jnp.zeros(2, jnp.int32)).reward == -1).all()


@pytest.mark.parametrize("how", ["make", "wrap"])
def test_under_another_name_of_the_class_it_steps(
    how: str, registered_otherwise: Callable[..., None]
) -> None:
    registered_otherwise("Straight-v0", Straight, max_episode_steps=20)
    assert_theirs("Straight-v0", how, [0, 1] * 15)


@pytest.mark.parametrize("how", ["make", "wrap"])
@pytest.mark.parametrize("name", ["Pendulum-v7", "Hopper-v6", "Taxi-v9", "CartPole-v7"])
def test_a_prefix_of_a_name_says_nothing(
    name: str, how: str, registered_otherwise: Callable[..., None]
) -> None:
    registered_otherwise(name, Counting)
    assert not envhub.capabilities(f"gymnasium::{name}").forkable
    assert not assert_theirs(name, how, [0] * 5).capabilities.forkable


@pytest.mark.parametrize("how", ["make", "wrap"])
def test_the_name_of_a_class_says_nothing(
    how: str, registered_otherwise: Callable[..., None]
) -> None:
    for name in ("Mine-v0", "Pendulum-v1"):
        registered_otherwise(name, PendulumEnv)
        env = assert_theirs(name, how, [0] * 5)
        assert env.default_params is None


def test_gymnasiums_class_under_another_id_is_gymnasiums(
    registered_otherwise: Callable[..., None],
) -> None:
    registered_otherwise(
        "Slow-v0", "gymnasium.envs.classic_control:CartPoleEnv", max_episode_steps=9
    )
    env = assert_theirs("Slow-v0", "make", [0, 1] * 9)
    assert env.capabilities.forkable
    assert env.capabilities.has_env_params
    assert env.default_params.gravity == np.float32(9.8)


@pytest.mark.parametrize("how", ["make", "wrap"])
def test_what_a_function_does_to_gymnasiums_class_is_kept(
    how: str, registered_otherwise: Callable[..., None]
) -> None:
    def weak(**keywords: Any) -> Any:
        env = CartPoleEnv(**keywords)
        env.force_mag, env.x_threshold = 1.0, 0.01
        return env

    registered_otherwise("CartPole-v1", weak)
    env = assert_theirs("CartPole-v1", how, [0] * 30)
    assert env.default_params.force_mag == 1
    assert len(played(env, [0] * 30)[1]) < 8


def test_a_replaced_method_of_gymnasiums_class_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    own = CartPoleEnv.step
    monkeypatch.setattr(CartPoleEnv, "step", lambda self, action: own(self, 1 - action))
    assert not assert_theirs("CartPole-v1", "make", [0] * 9).capabilities.forkable


def test_wrappers_of_a_registration_are_kept(registered_otherwise: Callable[..., None]) -> None:
    wrapped = gymnasium.wrappers.FlattenObservation.wrapper_spec()
    registered_otherwise("CartPole-v1", CartPoleEnv, additional_wrappers=(wrapped,))
    assert not assert_theirs("CartPole-v1", "make", [0] * 9).capabilities.forkable


def change_force(env: Any) -> None:
    env.unwrapped.force_mag = 1.0


def change_limit(env: Any) -> None:
    env._max_episode_steps = 3  # noqa: SLF001 (as people change it)


def change_method(env: Any) -> None:
    env.unwrapped.step = lambda action: None


def add_attribute(env: Any) -> None:
    env.unwrapped.bonus = 3


class Wind:
    """Its class is all that there is."""


class Ball:
    """Has no `__dict__`."""

    __slots__ = ("__mass", "never_set")

    def __init__(self, mass: float) -> None:
        self.__mass = mass

    def change(self) -> None:
        self.__mass += 1


class Table(Counting):
    """Has objects, in containers too."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.wind, self.bonus = Counting(), functools.partial(pow, 2)
        self.goals = [Counting(3), Counting(4)]
        self.double, self.ball = times(2), Ball(2)
        self.chain: Any = None
        for _ in range(50):
            self.chain = types.SimpleNamespace(inner=self.chain, table=self, weight=1)


def times(factor: int) -> Callable[[int], int]:
    return lambda value: factor * value


def end_of(link: Any) -> Any:
    while link.inner is not None:
        link = link.inner
    return link


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda env: setattr(env, "wind", Wind()), r"Table\.wind is .*Wind.* and not .*Counting"),
        (lambda env: setattr(env, "other", Wind()), r"Table\.other is .*Wind"),
        (lambda env: setattr(env, "bonus", functools.partial(pow, 3)), r"bonus\.args is \(3,\)"),
        (lambda env: setattr(env.goals[1], "goal", 9), r"Table\.goals\[1\]\.goal is 9 and not 4"),
        (lambda env: env.goals.append(Counting()), r"Table\.goals is .*3.* and not .*2"),
        (lambda env: setattr(env, "double", times(3)), r"Table\.double is"),
        (lambda env: setattr(end_of(env.chain), "weight", 2), r"inner\.weight is 2 and not 1"),
        (lambda env: env.ball.change(), r"Table\.ball\._Ball__mass is 3 and not 2"),
    ],
)
def test_changed_objects_of_an_environment_are_refused(
    change: Callable[[Any], None], told: str, register: Callable[..., str]
) -> None:
    name = register(Table).partition("::")[2]
    obj = gymnasium.make(name)
    envhub.wrap(obj)
    change(obj.unwrapped)
    with pytest.raises(errors.InvalidOptionError, match=told):
        envhub.wrap(obj)


@pytest.mark.parametrize("prefix", ["CartPole-v", "Taxi-v"])
def test_a_picture_is_no_change(prefix: str) -> None:
    name = max(name for name in gymnasium.registry if name.startswith(prefix))
    obj = gymnasium.make(name, render_mode="rgb_array")
    obj.reset(seed=0)
    obj.step(0)
    obj.render()
    envhub.wrap(obj)


@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (change_force, r"CartPoleEnv\.force_mag is 1\.0 and not 10\.0"),
        (change_limit, r"TimeLimit\._max_episode_steps is 3"),
        (change_method, r"CartPoleEnv\.step is"),
        (add_attribute, r"CartPoleEnv\.bonus is 3"),
    ],
)
def test_an_object_that_was_changed_by_hand_is_refused(
    change: Callable[[Any], None], told: str, is_used: bool
) -> None:
    obj = gymnasium.make("CartPole-v1")
    if is_used:
        played_by_gymnasium(obj, [0] * 30)
    envhub.wrap(obj)
    change(obj)
    with pytest.raises(errors.InvalidOptionError, match=told) as caught:
        envhub.wrap(obj)
    assert "envhub.wrap(lambda" in str(caught.value)


def test_changed_physics_of_mujoco_are_refused() -> None:
    pytest.importorskip("mujoco", reason="mujoco is not installed")
    obj = gymnasium.make("InvertedPendulum-v5")
    obj.reset(seed=0)
    obj.step(obj.action_space.sample())
    assert envhub.wrap(obj)[0].capabilities.forkable
    obj.unwrapped.model.opt.gravity[2] = -1
    with pytest.raises(errors.InvalidOptionError, match="model"):
        envhub.wrap(obj)


def test_what_was_changed_by_hand_comes_as_a_function() -> None:
    def weak() -> Any:
        env = gymnasium.make("CartPole-v1")
        env.unwrapped.force_mag = 1.0
        return env

    env, _ = envhub.wrap(weak)
    theirs = played_by_gymnasium(weak(), [0, 1] * 15)
    for mine, own in zip(played(env, [0, 1] * 15)[0], theirs[0], strict=True):
        np.testing.assert_array_equal(mine, own)


# What is tried out of an environment of which nobody knows.

OF_EPISODES = ("reproducible", "vmap_safe", "isolated_reset", "multi_device")
SIMULATOR = {"place": 0.0}


class Noisy(Counting):
    """Draws from NumPy's generator of the process."""

    def reset(self, **keywords: Any) -> Any:
        obs, info = super().reset(**keywords)
        return obs + np.float32(np.random.rand()), info


class Aging(Counting):
    """Counts its episodes."""

    episodes = 0

    def reset(self, **keywords: Any) -> Any:
        self.episodes += 1
        return super().reset(**keywords)

    def step(self, action: Any) -> Any:
        obs, _, *rest = super().step(action)
        return (obs, float(self.episodes), *rest)


class Shared(Counting):
    """Has one simulator for all of the module, which a reset starts anew."""

    def reset(self, **keywords: Any) -> Any:
        SIMULATOR["place"] = 0.0
        return super().reset(**keywords)

    def step(self, action: Any) -> Any:
        SIMULATOR["place"] += 1.0
        return (np.full(1, SIMULATOR["place"], np.float32), *super().step(action)[1:])


class Lending(Counting):
    """Shows one array of all its instances, which each writes to."""

    shown = np.zeros(1, np.float32)

    def reset(self, **keywords: Any) -> Any:
        obs, info = super().reset(**keywords)
        self.start = self.np_random.random()
        return self._shown(obs), info

    def step(self, action: Any) -> Any:
        obs, *others = super().step(action)
        return (self._shown(obs), *others)

    def _shown(self, obs: Any) -> Any:
        self.shown[:] = obs + self.start
        return self.shown


class Drawn(Counting):
    """Has a picture."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, goal: int = 3, render_mode: str | None = None) -> None:
        super().__init__(goal)
        self.render_mode = render_mode

    def render(self) -> Any:
        return np.full((8, 8, 3), self.count, np.uint8)


def denied(env: Any) -> set[str]:
    """The reasons why flags that are tried out are false."""
    caps = env.capabilities
    if jax.__version_info__ < (0, 5):
        assert not caps.multi_device
    assert len({getattr(caps, flag) for flag in OF_EPISODES[:3]}) == 1
    return {caps.why(flag) for flag in OF_EPISODES[:3]}


@pytest.mark.parametrize("how", ["make", "wrap", "wrap a function"])
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Counting, ""),
        (Noisy, "another observation at step 0 in the instance that played it before"),
        (Aging, "another reward at step 1 in the instance that played it before"),
        (Shared, "another observation at step .* while another instance played"),
        (Lending, "another observation at step 0 while another instance played"),
    ],
)
def test_the_seed_is_tried_out(kind: Any, why: str, how: str, register: Callable[..., str]) -> None:
    env_id = register(kind, max_episode_steps=15, kwargs={"goal": 40})
    before = envhub.capabilities(env_id)
    assert {before.why(flag) for flag in (*OF_EPISODES[:3], "renderable")} == {
        "not known before it is made: envhub.make finds out."
    }
    with pytest.raises(errors.MissingCapabilityError, match="not known before it is made"):
        envhub.require(env_id, "reproducible")
    name = env_id.partition("::")[2]
    if how == "make":
        env, _ = envhub.make(env_id)
    else:
        env, _ = envhub.wrap(gymnasium.make(name) if how == "wrap" else lambda: kind(40))
    (told,) = denied(env)
    if why:
        assert re.search(why, told)
    else:
        assert told == ""
        envhub.require(env, *OF_EPISODES[:3])


def test_a_map_for_each_instance() -> None:
    options = {"desc": None, "map_name": None}
    env, _ = envhub.make("gymnasium::FrozenLake-v1", **options)
    (told,) = denied(env)
    assert "map of its own" in told
    assert not env.capabilities.forkable
    assert env.capabilities == envhub.capabilities("gymnasium::FrozenLake-v1", **options)
    assert envhub.make("gymnasium::FrozenLake-v1")[0].capabilities.reproducible
    (told,) = denied(envhub.wrap(lambda: gymnasium.make("FrozenLake-v1", **options))[0])
    assert "map of its own" in told  # which the trial misses where two maps are alike at the start


def test_statistics_that_go_on_over_episodes() -> None:
    obj = gymnasium.wrappers.NormalizeObservation(gymnasium.make("CartPole-v1"))
    (told,) = denied(envhub.wrap(obj)[0])
    assert "another observation at step 0" in told


def test_what_its_spec_says_is_not_deterministic(register: Callable[..., str]) -> None:
    env_id = register(Counting, nondeterministic=True)
    for env, _ in (envhub.make(env_id), envhub.wrap(gymnasium.make(env_id.partition("::")[2]))):
        assert denied(env) == {"its spec says that it is not deterministic."}
    own = register(CartPoleEnv, "Own-v0", nondeterministic=True)
    for caps in (envhub.capabilities(own), envhub.make(own)[0].capabilities):
        assert caps.forkable
        assert caps.why("reproducible") == "its spec says that it is not deterministic."


def test_a_picture_of_a_third_partys_is_claimed_when_it_is_made(
    register: Callable[..., str],
) -> None:
    env_id = register(Drawn)
    assert "not known before" in envhub.capabilities(env_id).why("renderable")
    env, params = envhub.make(env_id)
    assert env.capabilities.renderable
    _, state = env.reset(KEY)
    assert env.render(state, params).shape == (8, 8, 3)
    env, _ = envhub.make(env_id, render_mode=None)
    assert "render_mode=None" in env.capabilities.why("renderable")
    by_function = register(functools.partial(Drawn), "Function-v0")
    made = gymnasium.make(by_function.partition("::")[2], render_mode="rgb_array")
    for env, params in (envhub.make(by_function, render_mode="rgb_array"), envhub.wrap(made)):
        assert env.render(env.reset(KEY)[1], params).shape == (8, 8, 3)
    env, _ = envhub.make(register(Counting, "Blank-v0"))
    assert "has no render_mode" in env.capabilities.why("renderable")


def test_trying_out_takes_no_random_number_of_the_process(register: Callable[..., str]) -> None:
    env_id = register(Counting)
    before = random.getstate(), np.random.get_state()[1].copy()
    envhub.make(env_id)
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


def test_a_lunar_lander_that_can_be_drawn_is_stepped_without_sparks() -> None:
    """Its steps are Gymnasium's own, drawn or not, and its picture is without the sparks."""
    env, _ = envhub.make("gymnasium::LunarLander-v3", forkable=False)
    seed = envhub.host_seed(KEY)
    drawn, plain = (gymnasium.make("LunarLander-v3", render_mode=m) for m in ("rgb_array", None))
    obs, state = env.reset(KEY)
    for other in (drawn, plain):
        np.testing.assert_array_equal(obs, other.reset(seed=seed)[0])
    for action in [0] * 3 + [2] * 20:
        result = env.step(KEY, state, action)
        state = result.state
        for other in (drawn, plain):
            own, reward, *_ = other.step(action)
            np.testing.assert_array_equal(result.obs, own)
            assert result.reward == np.float32(reward)
        if action == 0:
            np.testing.assert_array_equal(env.render(state), drawn.render())
    assert drawn.unwrapped.particles
    assert not env.unwrapped.particles
    env.render(state)
