"""What `env.render` refuses, and what does not change what it draws."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from envhub._pictures import picture_of
from tests.conformance import bad_environments

KEY = jax.random.key(0)
FRAME = np.arange(192).reshape(8, 8, 3)


@pytest.mark.parametrize("frame", [FRAME, FRAME.astype(np.uint8), FRAME.astype(np.int16)])
def test_a_picture_may_be_written_to(frame: Any) -> None:
    frame.setflags(write=False)
    picture = picture_of("it", lambda: frame)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, frame)
    picture[:] = 0


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (FRAME / 255, "dtype float64"),
        (FRAME > 7, "dtype bool"),
        (FRAME + 100, "values from 100 to 291"),
        (FRAME - 1, "values from -1 to 190"),
        (FRAME[..., 0], r"shape \(8, 8\)"),
        (np.concatenate([FRAME, FRAME[..., :1]], -1), r"shape \(8, 8, 4\)"),
        (None, "dtype object"),
    ],
)
def test_what_is_no_picture_is_refused(frame: Any, why: str) -> None:
    with pytest.raises(errors.RenderError, match=f"it cannot draw this state: TypeError.*{why}"):
        picture_of("it", lambda: frame)


@pytest.fixture(scope="module")
def made() -> Any:
    env, params = bad_environments.make(bad_environments.Honest)
    return env, params, env.reset(KEY, params)[1]


TRACES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "a traced state": lambda env, params, state: jax.jit(lambda s: env.render(s, params))(state),
    "traced params": lambda env, params, state: jax.jit(lambda p: env.render(state, p))(params),
    "a state from outside": lambda env, params, state: jax.jit(lambda: env.render(state, params))(),
    "a batch": lambda env, params, state: jax.vmap(lambda s: env.render(s, params))(
        jax.tree.map(lambda leaf: jnp.stack([leaf]), state)
    ),
}


@pytest.mark.parametrize("what", TRACES)
def test_nothing_is_drawn_in_a_program(made: Any, what: str) -> None:
    with pytest.raises(errors.RenderError, match=r"Honest.*: render draws .*outside jit and vmap"):
        TRACES[what](*made)


@pytest.mark.parametrize("other", ["of a batch", "of another", "nothing"])
def test_a_state_that_is_not_one_of_the_environment_is_not_drawn(made: Any, other: str) -> None:
    env, params, state = made
    states = {
        "of a batch": jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), state),
        "of another": {"time": state["time"]},
        "nothing": None,
    }
    with pytest.raises(errors.InvalidStateError, match="this state was not made by"):
        env.render(states[other], params)


@pytest.mark.skipif(not registry.get("gymnasium").installed(), reason="gymnasium is not installed")
@pytest.mark.parametrize("forkable", [True, False])
def test_the_params_of_a_picture_are_not_those_of_the_next_step(forkable: bool) -> None:
    """Neither of a state that an instance is in, nor of one that comes back from a snapshot."""
    env, params = envhub.make("gymnasium::CartPole-v1", forkable=forkable)
    long = params.replace(length=1.5, force_mag=30.0)
    states = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(KEY, 2), params)[1]
    state = jax.tree.map(lambda leaf: leaf[0], states)
    usual = env.render(state, params)
    drawn = env.render(state, long)
    assert (drawn != usual).any()
    np.testing.assert_array_equal(env.render(state, params), usual)
    env.render(state, long)
    after = env.step(KEY, state, 1, params)
    again, _ = envhub.make("gymnasium::CartPole-v1", forkable=forkable)
    first = again.reset(jax.random.split(KEY, 2)[0], params)[1]
    np.testing.assert_array_equal(after.obs, again.step(KEY, first, 1, params).obs)


@pytest.mark.skipif(not registry.get("gymnasium").installed(), reason="gymnasium is not installed")
@pytest.mark.parametrize("forkable", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_a_step_is_answered_again_after_a_picture_with_other_params(
    forkable: bool, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, params = envhub.make("gymnasium::CartPole-v1", forkable=forkable)
    states = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(KEY, 2), params)[1]
    step = jax.jit(jax.vmap(lambda state: env.step(KEY, state, 1, params)))
    first = step(states)
    drawn = jax.tree.map(lambda leaf: leaf[0], first.state)
    long = params.replace(length=1.5)
    if fails:

        def fail(_: Any) -> Any:
            raise OSError("no colours")

        with monkeypatch.context() as patch:
            patch.setattr(type(env.unwrapped), "render", fail)
            with pytest.raises(errors.EnvHubError, match="no colours"):
                env.render(drawn, long)
    else:
        env.render(drawn, long)
    jax.tree.map(np.testing.assert_array_equal, first, step(states))


@pytest.mark.skipif(not registry.get("jumanji").installed(), reason="jumanji is not installed")
def test_two_threads_draw_one_environment() -> None:
    env, params = envhub.make("jumanji::Snake-v1")
    states = [env.reset(jax.random.key(seed), params)[1] for seed in range(2)]
    wanted = [env.render(state, params) for state in states]
    wrong: list[Any] = []

    def draw(place: int) -> None:
        for _ in range(6):
            try:
                same = np.array_equal(env.render(states[place], params), wanted[place])
            except errors.RenderError as error:
                same, _ = False, wrong.append(error)
            if not same:
                wrong.append(place)

    threads = [threading.Thread(target=draw, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
