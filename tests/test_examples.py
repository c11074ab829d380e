"""The examples run in their short form, and what they show is so."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envhub import registry

from .conftest import REPOSITORY
from .packages import needed

EXAMPLES = REPOSITORY / "examples"


def example(name: str, *needs: str) -> dict[str, Any]:
    """What the script defines; what it needs besides envhub is not installed everywhere."""
    skip_without("matplotlib", *needs)
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def skip_without(*packages: str) -> None:
    for package in packages:
        needed(package)


def run(script: dict[str, Any], tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """What the short form returns, after it has drawn its figure."""
    out = tmp_path / "figure.svg"
    found: dict[str, Any] = script["main"]([*arguments, "--short", "--out", str(out)])
    assert "</svg>" in out.read_text(encoding="utf-8")
    return found


@pytest.mark.parametrize(
    "env_id",
    ["gymnax::CartPole-v1", pytest.param("gymnasium::CartPole-v1", marks=pytest.mark.full)],
)
@pytest.mark.slow
def test_ppo_learns_from_every_seed(env_id: str, tmp_path: Path) -> None:
    curves = run(example("ppo", "flax", "optax"), tmp_path, env_id)
    returns = np.array(curves["returns"])
    assert returns.shape == (4, 4)
    assert (returns[:, 0] < 60).all()
    assert (returns[:, -1] > 100).all()
    assert len(set(returns[:, -1])) == 4, "each seed is another"
    np.testing.assert_array_equal(curves["rewards"], 1)


@pytest.mark.full
@pytest.mark.parametrize(
    ("env_id", "least"),
    [("jaxmarl::MPE_simple_spread_v3", 2), ("jumanji::LevelBasedForaging-v0", 0.05)],
)
def test_several_agents_learn_by_one_program(env_id: str, least: float, tmp_path: Path) -> None:
    skip_without(env_id.partition("::")[0])
    curves = run(example("ippo", "flax", "optax"), tmp_path, env_id)
    returns = np.array(curves["returns"])
    assert returns.shape == (2, 4)
    assert (returns[:, -1] > returns[:, 0] + least).all()
    assert len(set(returns[:, -1])) == 2, "each seed is another"


@pytest.mark.full
@pytest.mark.parametrize(
    "env_id",
    [
        "minigrid::MiniGrid-Empty-Random-5x5-v0",
        "xminigrid::MiniGrid-EmptyRandom-5x5",
        "navix::Navix-Empty-Random-5x5-v0",
    ],
)
def test_a_policy_with_a_memory_learns_by_one_program(env_id: str, tmp_path: Path) -> None:
    skip_without(env_id.partition("::")[0])
    curves = run(example("recurrent_ppo", "flax", "optax"), tmp_path, env_id)
    returns = np.array(curves["returns"])
    assert returns.shape == (3, 4)
    assert (returns[:, -1] > np.maximum(returns[:, 0] + 0.1, 0.85)).all(), returns
    assert len(set(returns[:, -1])) == 3, "each seed is another"


def test_a_program_for_grids_refuses_what_is_none() -> None:
    with pytest.raises(SystemExit, match="must show a grid of small numbers"):
        example("recurrent_ppo", "flax", "optax")["main"](["gymnax::CartPole-v1"])


def test_agents_of_different_spaces_are_refused_by_the_program_for_equal_ones() -> None:
    skip_without("jaxmarl")
    with pytest.raises(SystemExit, match="must show each of several agents a vector"):
        example("ippo", "flax", "optax")["main"](["jaxmarl::MPE_simple_crypto_v3"])


@pytest.mark.full
def test_ppo_plays_pong(tmp_path: Path) -> None:
    """It does not learn anything in so few steps; it loses points, with each seed others."""
    curves = run(example("ppo", "flax", "optax"), tmp_path, "ale::pong")
    rewards = np.array(curves["rewards"])
    assert rewards.shape == (4, 1)
    assert (rewards < 0).all()
    assert len(np.unique(rewards)) > 1


@pytest.mark.full
def test_ppo_plays_levels_that_were_held_out(tmp_path: Path) -> None:
    """A level of Coinrun gives 10, or nothing; so few steps teach nothing."""
    needed("envpool")
    if gap := registry.get("envpool").gap("CoinrunEasy-v0", {}):
        pytest.skip(reason=gap.reason)
    arguments = ("envpool::CoinrunEasy-v0", "-o", "num_levels=2", "--held-out", "start_level=9")
    found = run(example("ppo", "flax", "optax"), tmp_path, *arguments)
    for name in ("trained", "held_out"):
        assert len(found[name]) == 4
        assert all(0 <= score <= 10 for score in found[name])
    assert found["trained"] != found["held_out"]


@pytest.mark.full
def test_rejax_learns_from_every_seed(tmp_path: Path) -> None:
    returns = np.array(run(example("rejax_ppo", "rejax"), tmp_path)["returns"])
    assert (returns[:, 0] < 60).all()
    assert (returns[:, 1:].max(1) > 90).all()


@pytest.mark.full
def test_agents_learn_to_connect_through_pettingzoo(tmp_path: Path) -> None:
    found = run(example("pettingzoo_connector", "pettingzoo"), tmp_path)
    assert found["episodes"] == [10, 20, 30, 40]
    first, *_, last = found["returns"]
    assert first < 0 < last < 1


@pytest.mark.full
def test_tree_search_balances_the_pole_and_returns_the_ball(tmp_path: Path) -> None:
    games = run(example("tree_search", "mctx"), tmp_path)
    totals = {
        name: shown["reward"].sum() for game in games.values() for name, shown in game.items()
    }
    assert totals["search"] == 0, totals
    assert totals["staying"] == -1
    assert games["pole"]["search"]["reward"].sum() == 100
    assert totals["by chance"] < 60


@pytest.mark.full
def test_search_by_replay_lands_better_than_its_rollout_policy(tmp_path: Path) -> None:
    returns = {
        name: shown["returns"].mean()
        for name, shown in run(example("land_by_search", "mctx"), tmp_path).items()
    }
    assert returns["search"] > 0 > returns["braking only"] + 100, returns


def test_the_algorithm_is_chosen_by_what_the_environment_can_do() -> None:
    choose = example("choose_algorithm")["choose"]
    chosen, lacks = choose("gymnasium::LunarLander-v3")
    assert chosen.name == "population under vmap"
    assert list(lacks["search from any state"]) == ["forkable"]
    assert "Box2D" in lacks["search from any state"]["forkable"]
    assert choose("ale::pong")[0].name == "population under vmap"
    assert choose("ale::pong", forkable=True)[0].name == "search from any state"
    assert choose("gymnax::Pendulum-v1")[0].name == "search from any state"
    assert choose("brax::hopper")[0].name == "gradient through the steps"


@pytest.mark.full
def test_each_algorithm_is_better_than_chance_where_it_was_chosen(tmp_path: Path) -> None:
    rows = run(example("choose_algorithm"), tmp_path)["rows"]
    played = {row["chosen"]: row["return"] - row["by_chance"] for row in rows if "return" in row}
    assert len(played) == 3, "each was chosen once"
    assert min(played.values()) > 50, played


@pytest.mark.slow
def test_a_game_goes_on_in_another_process(tmp_path: Path) -> None:
    played = run(example("checkpoint_atari"), tmp_path)
    here, there = played["here"], played["there"]
    assert here["process"] != there["process"]
    np.testing.assert_array_equal(here["frame"], there["frame"])
    np.testing.assert_array_equal(here["reward"], there["reward"])
    assert len(np.unique(here["frame"], axis=0)) > len(here["frame"]) // 2, "little moves"
    assert here["reward"].any()


def test_every_example_is_listed_with_its_command_and_its_figure() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for script in EXAMPLES.glob("[!_]*.py"):
        assert f"python examples/{script.name}" in listed
        assert re.search(rf"\]\(\.\./docs/figures/{script.stem}\w*\.(svg|png)\)", listed), script
    for figure in re.findall(r"\]\((\.\./docs/figures/[^)]+)\)", listed):
        assert (EXAMPLES / figure).is_file(), figure
