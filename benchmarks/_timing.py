"""Two programs timed in turn, so that what else the machine does meanwhile touches both."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

LEAST_SECONDS = 0.2
"""Shorter runs are repeated, still in turn, until a pair takes as long; their times are added."""


def nothing() -> None:
    """Prepare nothing."""


class Program(NamedTuple):
    """What is timed, from what `prepare` gives, which is not."""

    run: Callable[[Any], Any]
    prepare: Callable[[], Any] = nothing


def time_in_turn(
    programs: tuple[Program, Program], repeats: int, least: float = LEAST_SECONDS
) -> Any:
    """Seconds by pair, program and clock (wall, CPU); the order within a pair alternates."""
    runs = math.ceil(least / min(seconds(program)[0] for program in programs))
    pairs = np.zeros((repeats, 2, 2))
    for turn in range(runs * repeats):
        for which in (0, 1) if turn % 2 else (1, 0):
            pairs[turn // runs, which] += seconds(programs[which])
    return pairs / runs


def seconds(program: Program) -> Any:
    """Of one run, by wall clock and of the CPU."""
    prepared = jax.block_until_ready(program.prepare())
    begin = np.array([time.perf_counter(), time.process_time()])
    jax.block_until_ready(program.run(prepared))
    return np.array([time.perf_counter(), time.process_time()]) - begin


def ratio(times: Any) -> dict[str, float]:
    """The speed of the first program over that of the second, of seconds by pair and program."""
    ratios = times[:, 1] / times[:, 0]
    return {
        "median": float(np.median(ratios)),
        "min": float(ratios.min()),
        "max": float(ratios.max()),
    }


def comparison(pairs: Any, names: tuple[str, str], steps: int) -> dict[str, Any]:
    """Ratios by both clocks, and speeds, of what `time_in_turn` gives for so many steps a run."""
    return {
        "ratio": ratio(pairs[..., 0]),
        "cpu_ratio": ratio(pairs[..., 1]),
        "steps_per_second": {
            name: steps / float(np.median(pairs[:, which, 0])) for which, name in enumerate(names)
        },
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
