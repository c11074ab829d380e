"""The observations and actions of each environment, known without its suite: `catalogue.json`.

`python -m tests.catalogue` writes the file, and the tests compare it with what they make.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from envhub import spaces

PLACE = Path(__file__).with_name("catalogue.json")
SMALLEST_IMAGE = 32
"""The least pixels on a side of an image; grids of symbols and of features are smaller."""
CONTINUOUS, DISCRETE, MULTI_DISCRETE, MIXED = (
    "continuous", "discrete", "multi-discrete", "mixed",
)  # fmt: skip


def describe(env: Any, params: Any) -> dict[str, Any]:
    """Return the entry of an environment."""
    observed, acted = env.observation_space(params), env.action_space(params)
    leading = env.num_agents if env.observation_agents == "leading" else 1
    return {
        "observations": str(observed),
        "actions": str(acted),
        "control": control(acted, leading),
        "image": is_image(observed, leading),
        "agents": env.num_agents,
    }


def control(space: spaces.Space, agents: int = 1) -> str:
    """Return `discrete`, `multi-discrete`, `continuous` or `mixed`, for each agent's actions."""
    leaves = _leaves(space)
    counted = {not np.issubdtype(leaf.dtype, np.floating) for leaf in leaves}
    if len(counted) > 1:
        return MIXED
    if counted == {False}:
        return CONTINUOUS
    each = [np.prod(leaf.shape[agents > 1 :], dtype=int) for leaf in leaves]
    return DISCRETE if each == [1] else MULTI_DISCRETE


def is_image(space: spaces.Space, agents: int = 1) -> bool:
    """Tell whether a part of an agent's observation is an image.

    An image is a Box of bytes, or of numbers from 0 to 1, of at least 32 pixels on two sides.
    """
    boxes = [leaf for leaf in _leaves(space) if isinstance(leaf, spaces.Box)]
    return any(_is_picture(box, box.shape[agents > 1 :]) for box in boxes)


def _is_picture(box: spaces.Box, shape: tuple[int, ...]) -> bool:
    is_coloured = box.dtype == np.uint8 or (
        np.issubdtype(box.dtype, np.floating)
        and bool(np.all(np.asarray(box.low) == 0) and np.all(np.asarray(box.high) == 1))
    )
    return is_coloured and sum(side >= SMALLEST_IMAGE for side in shape) >= 2


def _leaves(space: spaces.Space) -> list[Any]:
    if isinstance(space, spaces.Dict):
        return [leaf for each in space.spaces.values() for leaf in _leaves(each)]
    if isinstance(space, spaces.Tuple):
        return [leaf for each in space.spaces for leaf in _leaves(each)]
    return [space]


def dump(known: Mapping[str, Any]) -> str:
    """Return the text of the file, with one environment per line."""
    parts = []
    for suite, facts in sorted(known.items()):
        lines = [
            f"{json.dumps(name)}: {json.dumps(entry, ensure_ascii=False)}"
            for name, entry in facts["environments"].items()
        ]
        body = ",\n".join(lines)
        version = json.dumps(facts["version"])
        parts.append(f'"{suite}": {{"version": {version}, "environments": {{\n{body}\n}}}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


@functools.cache
def _known() -> dict[str, Any]:
    return json.loads(PLACE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def entry(suite: str, name: str) -> dict[str, Any] | None:
    """Return the facts of an environment, with the `version` of its suite; `None` if unknown."""
    facts = _known().get(suite, {"environments": {}})
    found = facts["environments"].get(name)
    return {**found, "version": facts["version"]} if found else None
