"""What is peculiar to popgym."""

from __future__ import annotations

import jax
import numpy as np
from envhub.adapters.gymnasium.suite import SUITE as GYMNASIUM

import envhub
from envhub import registry
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
