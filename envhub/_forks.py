"""Refuse work in processes that were forked while JAX was running, because JAX would hang there.

A fork copies the memory of a process and none of its threads, and JAX computes in threads.
"""

from __future__ import annotations

import os
import sys

from envhub.errors import ForkedProcessError

SPAWN = (
    "Start processes with spawn: multiprocessing.get_context('spawn'), "
    "gymnasium.vector.AsyncVectorEnv(…, context='spawn'), SubprocVecEnv(…, start_method='spawn')."
)

generation = 0
"""The number of forks between the process that imported envhub and this process."""

_is_stuck = False


def refuse_after_fork() -> None:
    """Raise an error if JAX would hang in this process.

    Raises:
        ForkedProcessError: if this process was forked while JAX was running.
    """
    if _is_stuck:
        raise ForkedProcessError(
            f"process {os.getpid()} was forked while JAX was running, so JAX would hang "
            f"in it. {SPAWN}"
        )


def _note_fork() -> None:
    global generation, _is_stuck  # noqa: PLW0603 (they are facts about the process)
    generation += 1
    _is_stuck = _is_stuck or jax_runs()


def jax_runs() -> bool:
    """Tell whether JAX has started its backends, and with them its threads.

    JAX (0.4 to 0.11) has no public function for this that does not start them.
    """
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bool(getattr(bridge, "_backends", True))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
