"""What is peculiar to xminigrid."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from tests.packages import needed

needed("xminigrid")
constants, types = needed("xminigrid.core.constants"), needed("xminigrid.types")
goals, rules = needed("xminigrid.core.goals"), needed("xminigrid.core.rules")
benchmarks = needed("xminigrid.benchmarks")
KEY, XLAND = jax.random.key(0), "xminigrid::XLand-MiniGrid-R1-9x9"
COLORS = constants.Colors.RED, constants.Colors.GREEN, constants.Colors.BLUE
TILES = jnp.stack([constants.TILES_REGISTRY[constants.Tiles.BALL, color] for color in COLORS])
# In each, the agent has to go to the ball, which has another color.
RULESETS = types.RuleSet(
    goal=jnp.stack([goals.AgentNearGoal(tile=tile).encode() for tile in TILES]),
    rules=jnp.stack([rules.EmptyRule().encode()[None]] * 3),
    init_tiles=jnp.stack([TILES, jnp.zeros_like(TILES)], 1),  # and an empty one
)


def test_rulesets_and_limits_are_batched_params() -> None:
    env, params = envhub.make(XLAND, ruleset=jax.tree.map(lambda leaf: leaf[0], RULESETS))
    batch = params.replace(ruleset=RULESETS, max_steps=jnp.int32([1, 2, 3]))

    @jax.vmap
    def play(params):  # type: ignore[no-untyped-def]
        def step(state, _):  # type: ignore[no-untyped-def]
            result = env.step(KEY, state, 1, params)
            return result.state, result.truncated

        _, state = env.reset(KEY, params)
        return state.state.grid, jax.lax.scan(step, state, length=3)[1]

    grids, truncated = play(batch)
    for grid, tile in zip(grids, TILES, strict=True):
        assert (grid == tile).all(-1).sum() == 1
    np.testing.assert_array_equal(truncated, np.triu(np.ones((3, 3), bool)))


def test_an_even_view_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match="odd number from 3; got 4"):
        envhub.make("xminigrid::MiniGrid-Empty-5x5", view_size=4)
    env, _ = envhub.make("xminigrid::MiniGrid-Empty-5x5", view_size=np.int64(5))
    assert env.observation_space().shape == (5, 5, 2)


@pytest.mark.parametrize("ruleset", ["trivial-21k", None])
def test_what_is_no_ruleset_is_refused_before_it_is_used(ruleset: Any) -> None:
    with pytest.raises(
        errors.InvalidOptionError, match=r"must be an xminigrid\.types\.RuleSet.*benchmark="
    ):
        envhub.make("xminigrid::XLand-MiniGrid-R1-9x9", ruleset=ruleset)


class TestBenchmarks:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XLAND_MINIGRID_DATA", str(tmp_path))
        return tmp_path

    def test_one_that_is_absent_is_a_gap_with_the_command_that_fetches_it(self) -> None:
        gap = envhub.registry.get("xminigrid").gap(
            "XLand-MiniGrid-R1-9x9", {"benchmark": "small-1m"}
        )
        assert gap is not None
        assert gap.kind == "needs_network"
        with pytest.raises(errors.UnavailableEnvError, match="needs_network") as refusal:
            envhub.make(XLAND, benchmark="small-1m")
        advised = re.search(r"python -c (.*)\)$", str(refusal.value))
        assert advised is not None
        code = shlex.split(advised[1])[0]
        asked: list[tuple[str, str]] = []
        with pytest.MonkeyPatch.context() as patch:  # all but the network
            patch.setattr(benchmarks, "_download_from_hf", lambda *given: asked.append(given))
            with pytest.raises(FileNotFoundError):
                exec(code, {})
        assert asked == [(benchmarks.HF_REPO_ID, benchmarks.NAME2HFFILENAME["small-1m"])]

    def test_each_reset_draws_a_ruleset_of_it(self, folder: Path) -> None:
        content = {
            "goals": RULESETS.goal,
            "rules": RULESETS.rules,
            "init_tiles": RULESETS.init_tiles,
            "num_rules": jnp.ones(3, jnp.int32),
        }
        benchmarks.save_bz2_pickle(content, str(folder / benchmarks.NAME2HFFILENAME["trivial-21k"]))
        env, params = envhub.make(XLAND, benchmark="trivial-21k")
        reset = jax.jit(jax.vmap(env.reset, (0, None)))
        _, states = reset(jax.random.split(KEY, 32), params)
        drawn = {tuple(goal) for goal in np.asarray(states.state.goal_encoding).tolist()}
        assert drawn == {tuple(goal) for goal in np.asarray(RULESETS.goal).tolist()}
        first = jax.tree.map(lambda leaf: leaf[jnp.zeros(3, int)], params.benchmark)
        _, states = reset(jax.random.split(KEY, 32), params.replace(benchmark=first))
        assert (states.state.goal_encoding == RULESETS.goal[0]).all()

    def test_an_unknown_one_is_refused_with_the_names(self) -> None:
        with pytest.raises(errors.InvalidOptionError, match="trivial-21k"):
            envhub.make(XLAND, benchmark="trivial-21")

    def test_the_files_are_those_where_xminigrid_puts_them(self) -> None:
        from envhub.adapters.xminigrid import BENCHMARKS

        assert benchmarks.NAME2HFFILENAME == BENCHMARKS
