"""An export that steps an instance by itself: failures, ends, copies, and seeds."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.export import to_gymnasium
from envhub.export.seeds import seed_of_reset
from tests.packages import needed
from tests.presses import Presses

gymnasium = needed("gymnasium")

CARTPOLE, LAKE = "gymnasium::CartPole-v1", "gymnasium::FrozenLake-v1"


class Moody(gymnasium.Env):  # type: ignore[misc]
    """Counts its steps and writes one array again and again; what it does next is in `moods`."""

    observation_space = gymnasium.spaces.Box(0, 99, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    render_mode = "rgb_array"
    moods: list[Any] = []  # noqa: RUF012 (of all instances)
    closed: list[Any] = []  # noqa: RUF012
    seen = np.zeros(1, np.float32)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.seen = np.zeros(1, np.float32)
        return self.seen, {}

    def step(self, action: Any) -> Any:
        self.seen += 1
        result = (self.seen, 0.1, bool(self.seen[0] >= 9), False, {"count": int(self.seen[0])})
        return self.moods.pop()(result) if self.moods else result

    def render(self) -> Any:
        return np.full((2, 2, 3), self.seen[0], np.uint8)

    def close(self) -> None:
        self.closed.append(self)


@pytest.fixture
def moody() -> Iterator[Any]:
    env, _ = envhub.wrap(Moody)
    exported = to_gymnasium(env, render_mode="rgb_array")
    exported.reset(seed=0)
    Moody.closed.clear()
    yield exported
    Moody.moods.clear()
    exported.close()


def raising(error: BaseException) -> Callable[[Any], Any]:
    def mood(_: Any) -> Any:
        raise error

    return mood


@pytest.mark.parametrize(
    ("mood", "raised", "words"),
    [
        (raising(OSError("the sea")), errors.HostEnvError, r"Moody.*action 1: OSError: the sea"),
        (raising(SystemExit(3)), errors.HostEnvError, "SystemExit: 3"),
        (raising(KeyboardInterrupt()), KeyboardInterrupt, None),
        (lambda step: step[:4], errors.HostEnvError, "five values"),
        (
            lambda step: (np.zeros(2), *step[1:]),
            errors.HostEnvError,
            r"observation is float64\[2\]",
        ),
        (lambda step: (step[0], {}, *step[2:]), errors.HostEnvError, "reward"),
        (lambda step: (step[0], 1e300, *step[2:]), errors.HostEnvError, "reward is 1e"),
        (lambda step: (*step[:2], "no", *step[3:]), errors.HostEnvError, "terminated"),
        (lambda step: (*step[:4], 0), errors.HostEnvError, "info must be a dict"),
    ],
)
def test_what_goes_wrong_is_named_and_a_reset_is_needed(
    mood: Any, raised: Any, words: str | None, moody: Any
) -> None:
    moody.step(1)
    Moody.moods.append(mood)
    with pytest.raises(raised, match=words):
        moody.step(1)
    assert len(Moody.closed) == 1, "its state is unknown"
    with pytest.raises(errors.StaleStateError, match=r"did not finish\. Call reset\."):
        moody.step(1)
    with pytest.raises(errors.StaleStateError, match="did not finish"):
        moody.render()
    assert moody.reset(seed=0)[0] == 0
    assert moody.step(1)[0] == 1


def test_an_action_that_does_not_fit_moves_nothing(moody: Any) -> None:
    for action in (2, -1, 0.0, True, [1], "left", np.int64(5)):
        with pytest.raises(errors.InvalidActionError):
            moody.step(action)
    assert moody.step(np.uint8(1))[0] == 1
    pendulum = to_gymnasium(*envhub.make("gymnasium::Pendulum-v1"), seed=0)
    first, _ = pendulum.reset(seed=0)
    for wrong in (np.float32([2.1]), np.float64([np.nan]), np.zeros(2, np.float32), 0.5):
        with pytest.raises(errors.InvalidActionError):
            pendulum.step(wrong)
    above = np.nextafter(np.float32([2]), np.float32(3))  # as much as float32 rounds
    other = to_gymnasium(*envhub.make("gymnasium::Pendulum-v1"), seed=0)
    np.testing.assert_array_equal(other.reset(seed=0)[0], first)
    np.testing.assert_array_equal(pendulum.step(above)[0], other.step(np.float64([2]))[0])


def test_results_are_new_arrays_of_what_jax_would_hold(moody: Any) -> None:
    one = moody.step(0)
    two = moody.step(0)
    assert (one[0], two[0]) == (1, 2), "though the environment writes its array again"
    assert one[1] == float(np.float32(0.1))
    assert (type(one[4]["count"]), one[4]["count"].dtype) == (np.ndarray, np.int32)
    two[0][:] = 50
    assert moody.render()[0, 0, 0] == 2
    assert moody.step(0)[0] == 3


def test_an_episode_that_ended_stays_as_it_is(moody: Any) -> None:
    for _ in range(9):
        last = moody.step(0)
    assert last[2]
    last[0][:] = 50
    again = moody.step(0)
    assert (again[0], again[1], again[2], again[3], again[4]["count"]) == (9, 0.0, True, False, 0)
    assert moody.render()[0, 0, 0] == 9
    copied = copy.deepcopy(moody)
    assert copied.step(0)[0] == 9


def test_a_copy_without_a_state_says_so(moody: Any) -> None:
    moody.step(0)
    for other in (copy.deepcopy(moody), pickle.loads(pickle.dumps(moody))):
        with pytest.raises(errors.StaleStateError, match=r"cannot be saved\. Call reset\."):
            other.step(0)
        assert other.reset(seed=3)[0] == 0
        assert other.step(0)[0] == 1
        assert moody.render()[0, 0, 0] == 1
    assert moody.step(0)[0] == 2


def test_what_is_closed_is_closed_once_and_stays_so(moody: Any) -> None:
    inside = moody.driver.env
    inside.close()
    assert len(Moody.closed) >= 1
    assert len(set(map(id, Moody.closed))) == len(Moody.closed)
    for call in (lambda: moody.step(0), moody.reset, moody.render):
        with pytest.raises(errors.StaleStateError, match="closed"):
            call()


def test_a_state_is_a_value_where_it_can_be_saved() -> None:
    env, params = envhub.make(CARTPOLE, gravity=4.5)
    export = to_gymnasium(env, params, seed=0)
    export.reset(seed=1)
    export.step(1)
    result = env.step(jax.random.key(0), export.driver.state, 0, params)
    before = env.counts
    shown = export.step(0)
    np.testing.assert_array_equal(result.obs, shown[0])
    assert env.counts == before, "of the pool"
    other = pickle.loads(pickle.dumps(export))
    np.testing.assert_array_equal(other.step(1)[0], export.step(1)[0])


def test_an_instance_for_a_copy_that_cannot_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export = to_gymnasium(*envhub.make(CARTPOLE), seed=0)
    export.reset(seed=1)
    other = copy.deepcopy(export)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no more windows")

    with monkeypatch.context() as patched:
        patched.setattr(type(export.driver.env.unwrapped), "__init__", fail)
        with pytest.raises(errors.HostEnvError, match=r"CartPole-v1: OSError: no more windows"):
            other.step(1)
    np.testing.assert_array_equal(other.step(1)[0], export.step(1)[0])


def test_seeds_are_those_of_jax() -> None:
    rng = np.random.default_rng(0)
    for data in rng.integers(2**32, size=(20, 2), dtype=np.uint32):
        key = jax.random.split(jax.random.wrap_key_data(jnp.asarray(data)))[1]
        assert seed_of_reset(data) == envhub.host_seed(key)
    data = np.uint32([0, 7])
    with jax.threefry_partitionable(not jax.config.jax_threefry_partitionable):
        assert seed_of_reset(data) == envhub.host_seed(jax.random.split(jax.random.key(7))[1])


def test_gymnasiums_generator_is_that_of_the_seed() -> None:
    export, own = to_gymnasium(*envhub.make(LAKE)), gymnasium.make("FrozenLake-v1").unwrapped
    for env in (export, own):
        env.reset(seed=11)
        assert env.np_random_seed == 11
    assert export.np_random.integers(2**40) == gymnasium.utils.seeding.np_random(11)[0].integers(
        2**40
    )
    with pytest.raises(gymnasium.error.Error, match="greater or equal to zero"):
        export.reset(seed=-1)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_is_one_wherever_it_comes() -> None:
    export = to_gymnasium(*envhub.make(CARTPOLE), seed=0)
    first, _ = export.reset(seed=5)
    rng = np.random.default_rng(0)
    for _ in range(10):
        with pytest.raises(KeyboardInterrupt), Presses(rng.uniform(0, 0.01)):
            play_for_ever(export)
        np.testing.assert_array_equal(export.reset(seed=5)[0], first)
        export.step(1)


def play_for_ever(export: Any) -> None:
    while True:
        export.reset()
        for _ in range(5):
            export.step(0)
