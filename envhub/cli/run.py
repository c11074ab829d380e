"""`envhub run`: measure a random policy in one environment."""

import math
import time

import typer
from rich.console import RenderableType

from envhub import hub
from envhub._random_policy import Rollout
from envhub.cli._answer import answer, is_interrupted
from envhub.cli._drawing import say, say_spread, sheet, watched
from envhub.cli._facts import Facts
from envhub.cli._options import AsJson, EnvId, NumEnvs, Options, Seed, Steps, parse


def run(
    env_id: EnvId,
    *,
    steps: Steps = 1000,
    num_envs: NumEnvs = 16,
    seed: Seed = 0,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Run a random policy in one environment, and measure it."""
    options = parse(option or [])

    def measure() -> Facts:
        env, params = hub.make(env_id, **options)
        rollout = Rollout(env, params, steps=steps, num_envs=num_envs, seed=seed)
        interrupted = is_interrupted(lambda: roll_out(rollout, env_id, as_json))
        return {"id": env_id, "seed": seed, "interrupted": interrupted, **rollout.report()}

    if answer(measure, _draw_run, as_json)["interrupted"]:
        raise typer.Exit(130)


def _draw_run(facts: Facts) -> RenderableType:
    ended = f"{facts['terminated']} by termination, {facts['truncated']} by truncation"
    return sheet(
        {
            "id": facts["id"],
            "steps": f"{facts['steps']} in each of {facts['num_envs']}"
            + (" (interrupted)" if facts["interrupted"] else ""),
            "episodes": f"{facts['episodes']} finished: {ended}",
            "return": say_spread(facts["return"]),
            "length": say_spread(facts["length"]),
            "compile s": say(facts["compile_seconds"]),
            "steps/s": say(facts["steps_per_second"]),
        }
    )


def roll_out(rollout: Rollout, title: str, as_json: bool, most_seconds: float = math.inf) -> None:
    """Run the policy to the end, until Ctrl-C, or until this time has passed."""
    began = time.perf_counter()
    with watched(rollout.steps, title, as_json) as report:
        for taken in rollout:
            report(taken)
            if time.perf_counter() - began > most_seconds:
                break
