"""`envhub render`: draw one episode as a video or image."""

import enum
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer
from rich.console import RenderableType

from envhub import hub, video
from envhub._progress import Progress
from envhub._random_action import RandomAction
from envhub.cli._answer import answer
from envhub.cli._drawing import say, sheet, watched
from envhub.cli._facts import Facts
from envhub.cli._options import MOST, AsJson, EnvId, Options, Seed, check_folder, parse
from envhub.environment import Environment

Out = Annotated[
    Path,
    typer.Option(dir_okay=False, help="The file: .mp4, .gif, or .png for only the first frame."),
]
Fps = Annotated[
    float | None, typer.Option(min=0.1, help="Frames per second; by default the environment's.")
]


class PolicyName(enum.StrEnum):
    """The policies that choose actions."""

    random = "random"


def render(
    env_id: EnvId,
    *,
    out: Out,
    policy: Annotated[
        PolicyName, typer.Option(help="The policy that chooses actions.")
    ] = PolicyName.random,
    steps: Annotated[int, typer.Option(min=1, max=MOST, help="Maximum number of steps.")] = 500,
    seed: Seed = 0,
    fps: Fps = None,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Draw one episode, and write it as a video or image."""
    options = parse(option or [])
    check_folder(out)

    def draw() -> Facts:
        file_format = out.suffix.lower().removeprefix(".")
        video.require(file_format)  # now, and not after an episode
        env, params = hub.make(env_id, **options)
        rate = fps or getattr(env.unwrapped, "metadata", {}).get("render_fps") or 30.0
        with watched(steps, "drawing", as_json) as report:
            is_picture = file_format == "png"
            frames, facts = _film(env, params, steps, seed, is_picture, report)
        video.write(out, frames, rate)
        facts |= {"path": str(out), "frames": len(frames), "fps": rate}
        return {"id": env_id, "policy": policy.value, "seed": seed, **facts}

    answer(draw, _draw_render, as_json)


def _film(
    env: Environment, params: Any, steps: int, seed: int, is_picture: bool, report: Progress
) -> tuple[list[np.ndarray], Facts]:
    """Return the frames of one episode, or only the first, and the facts of the episode."""
    choose = RandomAction.of(env, params)
    key, reset_key = jax.random.split(jax.random.key(seed))
    obs, state = env.reset(reset_key, params)
    frames = [env.render(state, params)]
    total: Any = 0.0
    for taken in range(1, steps + 1):
        key, action_key, step_key = jax.random.split(key, 3)
        action = choose(action_key, obs)
        obs, state, reward, terminated, truncated, _ = env.step(step_key, state, action, params)
        total = total + np.asarray(reward, np.float64)
        if not is_picture:
            frames.append(env.render(state, params))
        report(taken)
        if np.all(terminated | truncated):
            break
    ends = {"terminated": np.asarray(terminated), "truncated": np.asarray(truncated)}
    return frames, {"steps": taken, "return": total, **ends}


def _draw_render(facts: Facts) -> RenderableType:
    ends = [name for name in ("terminated", "truncated") if np.any(facts[name])]
    return sheet(
        {
            "id": facts["id"],
            "path": facts["path"],
            "frames": f"{facts['frames']}, {say(facts['fps'])} a second",
            "steps": f"{facts['steps']}, {' and '.join(ends) or 'not the whole episode'}",
            "return": ", ".join(map(say, np.ravel(facts["return"]))),
        }
    )
