"""A state saved in the middle of an episode, and the rest of the episode in another process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub.host.environment import HostState
from envhub.testing.second_process import SecondProcess

KEY = jax.random.key(0)
REST = 60  # steps; with the last of the first two episodes, and of what the state latches then

# Actions by the number of the step, under which no start is over before the middle.
EPISODES: dict[str, tuple[Callable[[Any], Any], int]] = {
    "gymnasium::CartPole-v1": (lambda step: step % 2, 15),
    "gymnasium::Hopper-v5": (lambda step: 0.3 * jnp.sin(step + jnp.arange(3.0)), 30),
    "ale::pong": (lambda step: step // 4 % 6, 100),
    "gymnasium::LunarLander-v3": (lambda step: 2 - 2 * (step % 2), 30),  # by replay
}


def play(env_id: str, state: Any, first: int, last: int) -> Any:
    """The state after these steps, and what they showed; without a state from a reset."""
    env, params = envhub.make(env_id, forkable=True)
    act, _ = EPISODES[env_id]

    def body(state: Any, step: Any) -> Any:
        result = env.step(KEY, state, act(step), params)
        return result.state, result._replace(state=None)

    @jax.jit
    def run(state: Any) -> Any:
        return jax.lax.scan(body, state, jnp.arange(first, last))

    return run(env.reset(KEY, params)[1] if state is None else state)


def finish(env_id: str, saved: str, finished: str) -> None:
    """In the other process, which has not seen the start: the rest of an episode."""
    with np.load(saved, allow_pickle=False) as arrays:
        state = HostState(**arrays)
    middle = EPISODES[env_id][1]
    np.savez(finished, *jax.tree.leaves(play(env_id, state, middle, middle + REST)[1]))


@pytest.fixture(scope="module")
def other_process() -> Iterator[SecondProcess]:
    process = SecondProcess()
    yield process
    process.close()


@pytest.mark.parametrize("env_id", EPISODES)
@pytest.mark.slow
def test_an_episode_is_finished_in_another_process(
    env_id: str, other_process: SecondProcess, tmp_path: Path
) -> None:
    middle = EPISODES[env_id][1]
    state, seen = play(env_id, None, 0, middle)
    assert not seen.done.any()
    saved, finished = str(tmp_path / "saved.npz"), str(tmp_path / "finished.npz")
    np.savez(saved, **state._asdict())
    place = "tests.host.test_checkpoint:finish"
    other_process.call(place, env_id=env_id, saved=saved, finished=finished)
    whole = play(env_id, None, 0, middle + REST)[1]
    with np.load(finished) as arrays:
        rest = [arrays[name] for name in arrays.files]
    for mine, other in zip(jax.tree.leaves(whole), rest, strict=True):
        np.testing.assert_array_equal(mine[middle:], other)
