"""What is peculiar to popgym."""

from __future__ import annotations

import gymnasium
import jax
import numpy as np
import pytest
from envhub.adapters.gymnasium.suite import SUITE as GYMNASIUM
from envhub.adapters.plugins.table import OF_POPGYM

import envhub
from envhub import errors, registry
from tests.packages import needed

popgym = needed("popgym")
KEY = jax.random.key(0)


def test_the_names_are_those_that_the_package_registers() -> None:
    suite = registry.get("popgym")
    assert sorted(suite.live_names()) == sorted(suite.known_names())
    assert len(set(suite.families().values())) == 14


def test_what_it_draws_is_what_is_claimed() -> None:
    suite = registry.get("popgym")
    drawn = []
    for name in suite.known_names():
        instance = GYMNASIUM.instances(f"popgym:{name}", {})()
        if instance.claims["renderable"] is True:
            drawn.append(name)
        instance.close()
    claimed = [each for each in suite.known_names() if suite.draws(each) is True]
    assert drawn == claimed == [each for each in claimed if "OnlyC" in each or "OnlyP" in each]


def test_a_branch_of_a_memory_game_goes_its_own_way() -> None:
    env, params = envhub.make("popgym::popgym-ConcentrationEasy-v0", forkable=True)
    _, state = env.reset(KEY, params)
    first, second = (env.step(KEY, state, card, params) for card in (0, 1))
    again = env.step(KEY, state, 0, params)
    assert (np.asarray(first.obs) == again.obs).all()
    assert (np.asarray(first.obs) != second.obs).any()


@pytest.mark.parametrize("task", ["CountRecall", "PositionOnlyCartPole"])
def test_a_keyword_that_popgym_would_drop_is_refused_by_name(task: str) -> None:
    name = f"popgym-{task}Hard-v0"
    with pytest.raises(errors.InvalidOptionError, match="max_episode_length"):
        envhub.make(f"popgym::{name}", max_episode_length=5)
    assert gymnasium.make(name, max_episode_length=5, disable_env_checker=True)  # says nothing


def test_the_keywords_that_popgym_gives_on_have_their_effect() -> None:
    short, params = envhub.make("popgym::popgym-PositionOnlyCartPoleEasy-v0", max_episode_length=3)
    _, state = short.reset(KEY, params)
    for step in range(3):
        result = short.step(KEY, state, step % 2, params)
        state = result.state
    assert result.truncated
    for name, keywords in OF_POPGYM.items():
        for each in keywords:
            envhub.make(f"popgym::{name}", **{each: 1})


def test_a_labyrinth_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(errors.MissingDependencyError, match="pip install mazelib"):
        envhub.make("popgym::popgym-LabyrinthEscapeEasy-v0")
