"""`envhub tour`: one environment of every suite, compared."""

import itertools

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from envhub import hub, registry
from envhub._random_policy import Rollout
from envhub.cli._answer import answer
from envhub.cli._drawing import mark, say
from envhub.cli._facts import Facts, error_facts
from envhub.cli._options import AsJson, NumEnvs, Steps
from envhub.cli.run import roll_out
from envhub.flags import FLAGS


def tour(steps: Steps = 1000, num_envs: NumEnvs = 16, as_json: AsJson = False) -> None:
    """Run one environment of every suite, and compare them."""

    def visit_all() -> Facts:
        return {"stops": [_visit(name, steps, num_envs, as_json) for name in registry.suites()]}

    facts = answer(visit_all, _draw_tour, as_json)
    states = {stop["state"] for stop in facts["stops"]}
    if "failed" in states or "ran" not in states:
        raise typer.Exit(1)


def _visit(name: str, steps: int, num_envs: int, as_json: bool) -> Facts:
    """One stop of the tour; `state` is "ran", "missing" or "failed"."""
    keys = ("id", "version", "capabilities", "measured", "command", "error")
    stop: Facts = {"suite": name, "state": "failed", **dict.fromkeys(keys)}
    try:
        suite = registry.get(name)
        env_id, version = f"{name}::{suite.example}", suite.installed()
        stop |= {"id": env_id, "version": version, "command": suite.install_command}
        if version is None:
            return {**stop, "state": "missing"}
        env, params = hub.make(env_id)
        rollout = Rollout(env, params, steps=steps, num_envs=num_envs, seed=0)
        roll_out(rollout, env_id, as_json)
    except Exception as error:  # whatever a suite raises, the tour goes on
        return {**stop, "error": error_facts(error)}
    flags = env.capabilities.as_dict()
    return {**stop, "state": "ran", "capabilities": flags, "measured": rollout.report()}


def _draw_tour(facts: Facts) -> RenderableType:
    stops = facts["stops"]
    table = Table(box=None, pad_edge=False)
    for title in ["", *(stop["suite"] for stop in stops)]:
        table.add_column(title, overflow="fold")
    labels = ["environment", "version", "", *FLAGS, "episodes", "mean return", "steps/s"]
    for row in itertools.zip_longest(labels, *map(_column, stops), fillvalue=""):
        table.add_row(*row)
    notes = []
    for stop in stops:
        if stop["state"] == "missing":
            notes.append(f"{stop['suite']} is missing. Run: {stop['command']}")
        if stop["state"] == "failed":
            error = stop["error"]
            notes.append(f"{stop['suite']} failed with {error['type']}: {error['message']}")
    return Group(table, *notes)


def _column(stop: Facts) -> list[str]:
    """The cells of one suite in the table of the tour, from the top."""
    _, _, name = (stop["id"] or "").partition("::")
    head = [name, stop["version"] or "", stop["state"]]
    if stop["state"] != "ran":
        return head
    measured = stop["measured"]
    numbers = [measured["episodes"], measured["return"]["mean"], measured["steps_per_second"]]
    return [*head, *map(mark, stop["capabilities"].values()), *map(say, numbers)]
