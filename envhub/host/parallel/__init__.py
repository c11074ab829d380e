"""Fleets that run instances in parallel: in threads, processes or actors. `make_fleet` makes them.

A fleet consists of parts (`fleet`). Each part has a worker (`parts`), which answers requests
(`serving`): a thread (`threads`), a process (`processes`), or an actor of Ray (`actors` here, and
`hosted` on its node). The latter two are sent `messages`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from envhub.host.fleet import Fleet, SerialFleet
from envhub.host.instance import Instance
from envhub.host.parallel.fleet import ParallelFleet
from envhub.host.parallel.parts import number_of_workers
from envhub.host.parallel.processes import process_part
from envhub.host.parallel.threads import thread_part


def make_fleet(
    construct: Callable[[], Instance],
    first: Instance,
    options: Mapping[str, Any],
    *,
    saves: bool,
    info: Sequence[str],
    env_id: str = "",
    packages: Sequence[str] = (),
) -> Fleet:
    """Return the fleet for the options `workers`, `num_workers`, `ray_options` and `timeout`.

    Args:
        construct: a function that makes one instance.
        first: the first instance.
        options: the keywords of `make`, which were checked.
        saves: whether to save each instance after each reset and step.
        info: the names of the entries of `info` that the environment keeps.
        env_id: the id of the environment, for the names of actors.
        packages: the distributions whose versions must be the same on every node.

    Raises:
        InvalidOptionError: if the workers are no threads and `construct` cannot be pickled.
        MissingDependencyError: if the workers are actors, and Ray is absent.
    """
    kind = options.get("workers") or "serial"
    if kind == "ray":
        # Workers that are processes import this module too, and need nothing of that one.
        from envhub.host.parallel.actors import actor_parts

        parts = actor_parts(
            construct, options, env_id=env_id, packages=packages, saves=saves, info=info
        )
        return ParallelFleet(parts, first, is_lazy=True)
    count, timeout = number_of_workers(options, _usable_cpus()), options.get("timeout")
    if kind == "serial" and timeout is None:
        return SerialFleet(construct, first, saves=saves)
    if kind == "process":
        parts = [process_part(construct, saves, info, timeout) for _ in range(count)]
        return ParallelFleet(parts, first)
    # A serial fleet with a timeout runs in one thread, so that the caller can stop waiting.
    firsts = [first, *[None] * (count - 1 if kind == "thread" else 0)]
    return ParallelFleet([thread_part(construct, each, saves, timeout) for each in firsts])


def _usable_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
