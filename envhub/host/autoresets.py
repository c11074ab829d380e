"""Answer steps and resets in one call, for an automatic reset.

NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envhub.host.pool import EVERYONE, Answer, Pool
from envhub.host.protocol import IS_RESET, TERMINATED, TRUNCATED, Columns, rows_of
from envhub.host.values import stretch


def step_then_reset(pool: Pool, inputs: Columns, outputs: Columns, size: int) -> None:
    """Advance states, and start a new episode in each lane whose episode ended.

    Such a lane outputs the new episode, and its last observation as the final observation. Nobody
    may read the final observation of another lane.
    """
    pool.step(inputs, outputs, size)
    ended = outputs[TERMINATED] | outputs[TRUNCATED]
    if ended.ndim > 1:  # of several agents
        ended = ended.reshape(size, -1).all(-1)
    lanes = np.flatnonzero(ended)
    for final, obs in zip(pool.protocol.final_obs, pool.protocol.obs, strict=True):
        # `jax_debug_nans` reads the floats of all lanes where `jit` is disabled.
        rows = EVERYONE if outputs[final].dtype.kind == "f" else lanes
        outputs[final][rows] = outputs[obs][rows]
    if len(lanes) and not pool.restart(inputs, outputs, lanes):
        _on_lanes(pool, Pool.reset, inputs, outputs, lanes, size)


def step_or_reset(pool: Pool, inputs: Columns, outputs: Columns, size: int) -> None:
    """Start new episodes in the lanes that `IS_RESET` marks, and advance the other lanes."""
    is_reset = stretch(inputs[IS_RESET], size)
    lanes = np.flatnonzero(is_reset)
    _on_lanes(pool, Pool.step, inputs, outputs, np.flatnonzero(~is_reset), size)
    for name in (*pool.protocol.of_the_step, TERMINATED, TRUNCATED):
        outputs[name][lanes] = 0
    _on_lanes(pool, Pool.reset, inputs, outputs, lanes, size)


def _on_lanes(
    pool: Pool, answer: Answer, inputs: Columns, outputs: Columns, lanes: Any, size: int
) -> None:
    """Answer these lanes of a call of this size."""
    if len(lanes) == size:
        answer(pool, inputs, outputs, size)
    elif len(lanes):
        some = {name: rows_of(column, lanes) for name, column in inputs.items()}
        protocol = pool.protocol
        forms = protocol.after_reset if answer is Pool.reset else protocol.after_step
        part = {name: np.empty((len(lanes), *shape), t) for name, (shape, t) in forms.items()}
        answer(pool, some, part, len(lanes))
        for name, column in part.items():
            outputs[name][lanes] = column
