"""`to_gymnasium_vec`: a batch as a `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.export import to_gymnasium, to_gymnasium_vec
from envhub.wrappers import RecordEpisodeStatistics
from tests.packages import needed

gymnasium = needed("gymnasium")
with_modes = pytest.mark.skipif(
    not hasattr(gymnasium.vector, "AutoresetMode"), reason="gymnasium 1.0 has no autoreset modes"
)
NUM = 3
CART = "gymnax::CartPole-v1"


def made(env_id: str = CART, autoreset: Any = "next_step", **options: Any) -> Any:
    venv, params = envhub.make_vec(env_id, NUM, autoreset=autoreset, **options)
    return to_gymnasium_vec(venv, params, seed=0)


def actions(step: int) -> Any:
    """Such that episodes end at different times."""
    return np.array([0, 1, step % 2])


def form(infos: dict[str, Any]) -> dict[str, Any]:
    return {
        name: form(value) if isinstance(value, dict) else (type(value), value.dtype, value.shape)
        for name, value in infos.items()
    }


@with_modes
@pytest.mark.parametrize("autoreset", ["same_step", "next_step"])
def test_steps_have_the_form_of_gymnasiums_own(autoreset: Any) -> None:
    """By whether an episode ended in the step, and whether one ended before."""

    def forms(venv: Any) -> dict[Any, Any]:
        seen = {}
        _, infos = venv.reset(seed=0)
        assert infos == {}
        before: Any = np.zeros(NUM, bool)
        for step in range(30):
            *arrays, infos = venv.step(actions(step))
            ended = arrays[2] | arrays[3]
            has_info = ~(before if autoreset == "next_step" else ended)
            if "discount" in infos:
                np.testing.assert_array_equal(infos["_discount"], has_info)
                assert not infos["discount"][~has_info].any()
            arrays_form = [(array.dtype, array.shape) for array in arrays]
            seen[ended.any(), before.any()] = arrays_form, form(infos)
            before = ended
        return seen

    one, params = envhub.make(CART)
    mode = gymnasium.vector.AutoresetMode[autoreset.upper()]
    expected = forms(
        gymnasium.vector.SyncVectorEnv(
            [lambda: to_gymnasium(one, params)] * NUM, autoreset_mode=mode
        )
    )
    found = forms(made(autoreset=autoreset))
    both = set(found) & set(expected)
    assert len(both) >= 3
    assert [found[what] for what in both] == [expected[what] for what in both]


@with_modes
def test_the_last_observation_and_info_of_an_episode() -> None:
    venv, params = envhub.make_vec(CART, NUM, wrappers=[RecordEpisodeStatistics])
    env = to_gymnasium_vec(venv, params)
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    assert env.autoreset_mode is env.metadata["autoreset_mode"]
    key, reset_key = jax.random.split(jax.random.key(4))
    expected, state = venv.reset(reset_key, params)
    obs, _ = env.reset(seed=4)
    ends = 0
    for step in range(30):
        np.testing.assert_allclose(obs, expected, 1e-5)
        key, step_key = jax.random.split(key)
        result = venv.step(step_key, state, jnp.asarray(actions(step)), params)
        obs, reward, terminated, _, infos = env.step(actions(step))
        expected, state = result.obs, result.state
        np.testing.assert_array_equal(reward, result.reward)
        np.testing.assert_array_equal(terminated, result.terminated)
        assert "_episode" not in infos  # it is in the last infos alone
        for lane in np.flatnonzero(terminated):
            ends += 1
            last = result.info["final_obs"][lane]
            np.testing.assert_allclose(infos["final_obs"][lane], last, 1e-5)
            final = infos["final_info"]
            assert final["_episode"][lane]
            assert final["episode"]["l"][lane] == result.info["episode"]["l"][lane] >= 8
            assert final["discount"][lane] == 0
        if ended := terminated.any():
            assert [last is None for last in infos["final_obs"]] == list(~terminated)
        assert ("final_obs" in infos) == ("_final_info" in infos) == ended
    assert ends >= 4


@with_modes
def test_the_end_of_an_episode_reads_no_file_of_what_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It took longer than the step itself."""
    env = to_gymnasium_vec(*envhub.make_vec(CART, NUM), seed=0)
    env.reset()
    env.step(np.ones(NUM, int))  # traces, which may read it

    def read(*_: Any) -> Any:
        raise AssertionError("a step reads what is installed")

    monkeypatch.setattr("importlib.metadata.version", read)
    monkeypatch.setattr("importlib.metadata.distribution", read)
    assert any("final_obs" in env.step(np.ones(NUM, int))[-1] for _ in range(12))


def test_spaces_are_batched() -> None:
    env = made("gymnasium::FrozenLake-v1")
    assert isinstance(env, gymnasium.vector.VectorEnv)
    batch = gymnasium.vector.utils.batch_space
    assert env.action_space == batch(env.single_action_space, NUM)
    assert env.observation_space == batch(env.single_observation_space, NUM)
    obs, _ = env.reset()
    assert obs in env.observation_space
    obs = env.step(env.action_space.sample())[0]
    assert obs in env.observation_space
    env.close()


def test_seeds() -> None:
    env = made()
    first, second = env.reset(seed=7)[0], env.reset()[0]
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    np.testing.assert_array_equal(env.reset(seed=7)[0], first)
    np.testing.assert_array_equal(env.reset()[0], second)
    with pytest.raises(errors.InvalidOptionError, match="one integer"):
        env.reset(seed=[1, 2, 3])


def test_it_works_under_gymnasiums_wrappers() -> None:
    wrappers = gymnasium.wrappers.vector
    env = made()
    counted = wrappers.RecordEpisodeStatistics(env)
    scaled = wrappers.TransformReward(counted, lambda reward: 2 * reward)
    normal = wrappers.NormalizeObservation(scaled)
    normal.reset(seed=1)
    returns, lengths = np.zeros(NUM), []
    before: Any = np.zeros(NUM, bool)
    for step in range(40):
        obs, reward, terminated, truncated, infos = normal.step(actions(step))
        returns = np.where(before, 0, returns + reward)
        assert obs.dtype == np.float32
        for lane in np.flatnonzero(terminated | truncated):
            assert infos["_episode"][lane]
            assert 2 * infos["episode"]["r"][lane] == returns[lane]
            lengths.append(infos["episode"]["l"][lane])
        before = terminated | truncated
    assert len(lengths) >= 4
    assert list(counted.length_queue) == lengths
    assert np.abs(normal.obs_rms.mean).max() > 0.01
    listed = wrappers.DictInfoToList(made())
    listed.reset()
    assert [set(info) for info in listed.step(actions(0))[-1]] == [{"discount"}] * NUM


@with_modes
def test_without_autoreset_some_are_reset() -> None:
    env = made(autoreset=None)
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.DISABLED
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.reset(options={"reset_mask": np.ones(NUM, bool)})
    env.reset(seed=0)
    for step in range(60):
        obs, _, terminated, _, infos = env.step(actions(step))
        assert infos["_discount"].all()
        if terminated.any() and not terminated.all():
            break
    after, _ = env.reset(options={"reset_mask": terminated})
    assert np.abs(after[terminated]).max() <= 0.05
    np.testing.assert_array_equal(after[~terminated], obs[~terminated])
    moved, _, ends, _, _ = env.step(actions(0))
    assert not ends[terminated].any()
    assert np.abs(moved - after).max() < 1
    for mask in (np.zeros(NUM, bool), np.ones(NUM), np.ones(2, bool)):
        with pytest.raises(errors.InvalidOptionError, match="reset_mask"):
            env.reset(options={"reset_mask": mask})


def test_actions_are_checked() -> None:
    env = made()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(actions(0))
    env.reset()
    for wrong in (np.zeros(2, int), np.array([0, 1, 2]), np.zeros(NUM)):
        with pytest.raises(errors.InvalidActionError):
            env.step(wrong)


def test_params_of_each() -> None:
    venv, params = envhub.make_vec(CART, NUM, autoreset="next_step", batched_params=True)
    limits = np.array([1, 2, 3])
    env = to_gymnasium_vec(venv, params.replace(max_steps_in_episode=limits))
    env.reset(seed=0)
    truncated = [env.step(actions(0))[3] for _ in range(2)]
    np.testing.assert_array_equal(truncated, [[True, False, False], [False, True, False]])
    assert env.single_observation_space.shape == (4,)


def test_it_draws_each() -> None:
    venv, params = envhub.make_vec("gymnasium::CartPole-v1", 2, autoreset="next_step")
    env = to_gymnasium_vec(venv, params, render_mode="rgb_array")
    env.reset()
    pictures = env.render()
    assert len(pictures) == 2
    assert all(picture.dtype == np.uint8 for picture in pictures)
    with pytest.raises(errors.MissingCapabilityError, match="render_mode"):
        to_gymnasium_vec(venv, params, render_mode="human")


def test_only_next_step_before_gymnasium_1_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(gymnasium.vector, "AutoresetMode", raising=False)
    env = made()
    assert "autoreset_mode" not in env.metadata
    for mode in ("same_step", None):
        with pytest.raises(errors.UnsupportedVersionError, match=r"gymnasium>=1\.1"):
            made(autoreset=mode)


def test_what_is_no_batch_of_single_agents_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    env, params = envhub.make(CART)
    with pytest.raises(errors.InvalidOptionError, match="make_vec"):
        to_gymnasium_vec(env, params)
    venv, params = envhub.make_vec(CART, 2)
    monkeypatch.setattr(venv.env, "num_agents", 2)
    with pytest.raises(errors.InvalidOptionError, match="one agent"):
        to_gymnasium_vec(venv, params)


@pytest.mark.parametrize("autoreset", [pytest.param("same_step", marks=with_modes), "next_step"])
def test_arrays_that_stay_on_the_device(autoreset: Any) -> None:
    venv, params = envhub.make_vec(CART, NUM, autoreset=autoreset)
    env = to_gymnasium_vec(venv, params, array="jax")
    key, reset_key = jax.random.split(jax.random.key(4))
    expected, state = venv.reset(reset_key, params)
    obs, infos = env.reset(seed=4)
    assert infos == {}
    ends = 0
    for step in range(15):
        np.testing.assert_allclose(obs, expected, 1e-5)  # two programs
        key, step_key = jax.random.split(key)
        result = venv.step(step_key, state, jnp.asarray(actions(step)), params)
        shown = env.step(jnp.asarray(actions(step)))
        expected, state = result.obs, result.state
        obs, *others = shown
        ends += int(result.done.sum())
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(shown))
        for one, other in zip(jax.tree.leaves(others), jax.tree.leaves(result[2:]), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, 1e-5)
    assert ends >= 2
    with pytest.raises(errors.InvalidActionError):
        env.step(jnp.zeros(NUM))
    with pytest.raises(errors.InvalidOptionError, match="'torch'"):
        to_gymnasium_vec(venv, params, array="cupy")  # type: ignore[arg-type]


@with_modes
def test_without_autoreset_some_are_reset_on_the_device() -> None:
    venv, params = envhub.make_vec(CART, NUM, autoreset=None)
    env = to_gymnasium_vec(venv, params, array="jax")
    env.reset(seed=0)
    obs = env.step(jnp.asarray(actions(0)))[0]
    mask = np.array([True, False, False])
    after, _ = env.reset(options={"reset_mask": mask})
    assert not np.array_equal(after[0], obs[0])
    np.testing.assert_array_equal(after[1:], obs[1:])
