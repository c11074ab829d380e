"""`envhub tour`: compare one environment of every suite."""

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from envhub import hub, registry
from envhub._random_policy import Rollout
from envhub.cli._answer import answer
from envhub.cli._drawing import flag_rows, marks, say
from envhub.cli._facts import Facts, error_facts, needs_facts
from envhub.cli._options import AsJson, NumEnvs, Steps
from envhub.cli.run import roll_out

LONGEST = 5.0  # seconds at a stop, after which it takes no further steps


def tour(steps: Steps = 1000, num_envs: NumEnvs = 16, as_json: AsJson = False) -> None:
    """Run one environment of every suite for some seconds, and compare them."""

    def visit_all() -> Facts:
        return {"stops": [_visit(name, steps, num_envs, as_json) for name in registry.suites()]}

    facts = answer(visit_all, _draw_tour, as_json)
    states = {stop["state"] for stop in facts["stops"]}
    if "failed" in states or "ran" not in states:
        raise typer.Exit(1)


def _visit(name: str, steps: int, num_envs: int, as_json: bool) -> Facts:
    """One stop of the tour; `state` is "ran", "missing" or "failed"."""
    keys = ("id", "version", "capabilities", "needs", "measured", "command", "error")
    stop: Facts = {"suite": name, "state": "failed", **dict.fromkeys(keys)}
    try:
        suite = registry.get(name)
        env_id, version = f"{name}::{suite.example}", suite.installed()
        stop |= {"id": env_id, "version": version, "command": suite.install_command}
        if version is None:
            return {**stop, "state": "missing"}
        env, params = hub.make(env_id)
        rollout = Rollout(env, params, steps=steps, num_envs=num_envs, seed=0)
        roll_out(rollout, env_id, as_json, LONGEST)
    except Exception as error:  # whatever a suite raises, the tour goes on
        return {**stop, "error": error_facts(error)}
    needs = needs_facts(suite, suite.example)
    flags = env.capabilities.as_dict()
    ran = {"capabilities": flags, "needs": needs, "measured": rollout.report()}
    return {**stop, "state": "ran", **ran}


def _draw_tour(facts: Facts) -> RenderableType:
    stops = facts["stops"]
    table = Table(box=None, pad_edge=False)
    for title in ("suite", "version", "environment"):
        table.add_column(title, overflow="fold")
    for title in ("episodes", "return", "steps/s"):
        table.add_column(title, justify="right", no_wrap=True)
    ran, notes = [], []
    for stop in stops:
        name = (stop["id"] or "").partition("::")[2]
        head = [stop["suite"], stop["version"] or "", name]
        if stop["state"] == "ran":
            table.add_row(*head, *_numbers(stop["measured"]))
            ran.append((stop["suite"], marks(stop["capabilities"], stop["needs"]), ""))
        elif stop["state"] == "missing":
            table.add_row(stop["suite"], "", "not installed", style="dim")
            notes.append(f"{stop['suite']} is not installed: {stop['command']}")
        else:
            table.add_row(*head, "failed")
            error = stop["error"]
            notes.append(f"{stop['suite']} failed with {error['type']}: {error['message']}")
    flags = ["", *flag_rows(ran), "✓ yes, · no, ○ with an option: envhub info ID says which"]
    return Group(table, *(flags if ran else []), *notes)


def _numbers(measured: Facts) -> list[str]:
    numbers = (measured["episodes"], measured["return"]["mean"], measured["steps_per_second"])
    return [*map(say, numbers)]
