"""Whatever is given as an id or a keyword: an environment, or an error of envhub."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import envhub
from envhub import registry
from envhub.errors import EnvHubError

KNOWN = [
    f"{suite}::{name}" for suite in envhub.suites() for name in registry.get(suite).known_names()
]
FIELDS = [
    "gravity", "max_steps_in_episode", "rows", "columns", "num_bits", "use_visual_obs", "max_steps",
    "penalty_coeff", "gamma", "observation_fn", "max_timesteps", "fractal_noise_angles",
    "static_env_params", "episode_length", "backend", "action_repeat", "n_frames", "sys",
    "transition_gradients", "self", "name", "options", "params", "key",
]  # fmt: skip
# The cheap ones to construct: what is fuzzed are the keywords.
CONSTRUCTED = [
    "gymnax::CartPole-v1",
    "gymnax::Catch-bsuite",
    "gymnax::FourRooms-misc",
    "navix::Navix-Empty-5x5-v0",
    "craftax::Craftax-Classic-Symbolic-v1",
    "brax::fast",
    "brax::swimmer",
]

near_ids = st.builds(
    lambda known, cut, tail: known[:cut] + tail,
    st.sampled_from(KNOWN),
    st.integers(0, 40),
    st.sampled_from(["", "::", "-v0", "x", "\0", "…"]),
)
anything = st.one_of(st.text(), near_ids, st.none(), st.integers(), st.binary())
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 60),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["spring", "mjx", "rgb", "categorical"]),
)
values = st.one_of(scalars, st.lists(scalars, max_size=4), st.just(object()), st.just(print))
# An integer that a constructor takes for a size may honestly allocate gigabytes.
SIZES = {"rows", "columns", "num_bits", "n_frames", "action_repeat"}


def test_a_run_can_be_repeated(pytestconfig: pytest.Config) -> None:
    assert settings().derandomize or pytestconfig.getoption("--hypothesis-seed") is not None


@settings(max_examples=300, deadline=None)
@given(anything)
@example("gymnax::CartPole-v1")
@example("::")
@example("gymnax::gymnax::")
@example("gymnasium:::")
@example("gymnasium::.:x")
@example("gymnasium::a..b:x")
@example("gymnasium::json:")
@example("gymnasium::json: ")
@example("gymnasium::json:CartPole-v99")
@example("pufferlib:::")
@example("pufferlib::.:x")
@example("pufferlib::json:")
def test_ids(env_id: object) -> None:
    with contextlib.suppress(EnvHubError):
        assert isinstance(envhub.capabilities(env_id), envhub.Capabilities)  # type: ignore[arg-type]
    if env_id not in KNOWN:  # making one is for the conformance suite
        with contextlib.suppress(EnvHubError):
            envhub.make(env_id)  # type: ignore[arg-type]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(CONSTRUCTED), st.dictionaries(st.sampled_from(FIELDS), values, max_size=2))
def test_keywords(env_id: str, options: dict[str, object]) -> None:
    for name in SIZES & set(options):
        value = options[name]
        if isinstance(value, (int, float)) and abs(value) > 60:
            options[name] = 60
    with contextlib.suppress(EnvHubError):
        env, params = envhub.make(env_id, **options)
        assert env.default_params is params


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=8), st.one_of(st.booleans(), st.none()))
def test_flags(flag: str, value: object) -> None:
    with contextlib.suppress(EnvHubError):
        envhub.list_envs("craftax", **{flag: value})  # type: ignore[arg-type]
    with contextlib.suppress(EnvHubError):
        envhub.require("brax::hopper", flag)
