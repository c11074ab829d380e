"""Instances in parallel, in threads or in processes: all of it behind `make_fleet`.

A fleet is in parts (`fleet`), each with a worker (`parts`), a thread (`threads`) or a process
(`processes`), that answers requests (`serving`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from envhub.host.fleet import Fleet, SerialFleet
from envhub.host.instance import Instance
from envhub.host.parallel.fleet import ParallelFleet
from envhub.host.parallel.processes import process_part
from envhub.host.parallel.threads import thread_part

MOST_WORKERS = 16  # that are started unasked: a process takes a second and 200 MB


def make_fleet(
    construct: Callable[[], Instance],
    first: Instance,
    options: Mapping[str, Any],
    *,
    saves: bool,
    info: Sequence[str],
) -> Fleet:
    """The fleet that the options `workers`, `num_workers` and `timeout` ask for.

    Args:
        construct: makes an instance.
        first: one that is there already.
        options: the keywords of `make`, checked.
        saves: whether to save each instance after each reset and step.
        info: the entries of `info` that are wanted.

    Raises:
        InvalidOptionError: if processes are asked for, and `construct` cannot be sent to them.
    """
    count, timeout = number_of_workers(options), options.get("timeout")
    kind = options.get("workers") or "serial"
    if kind == "serial" and timeout is None:
        return SerialFleet(construct, first, saves=saves)
    if kind == "process":
        parts = [process_part(construct, saves, info, timeout) for _ in range(count)]
        return ParallelFleet(parts, first)
    # One thread does what is serial: without another nobody could stop waiting.
    firsts = [first, *[None] * (count - 1 if kind == "thread" else 0)]
    return ParallelFleet([thread_part(construct, each, saves, timeout) for each in firsts])


def number_of_workers(options: Mapping[str, Any]) -> int:
    """How many workers the options ask for; by default one for each CPU that may be used."""
    usable = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    return options.get("num_workers") or min(len(usable), MOST_WORKERS)
