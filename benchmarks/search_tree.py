"""What a large search tree takes: each of its nodes holds a state, with its snapshot.

One root of `ale::pong` is searched by mctx until the tree has as many nodes as were asked for. The
memory is what the process has more than before the search, at most, while the tree is returned.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import mctx
from _timing import machine

import envhub

WANTED_MB = 500.0


def memory(field: str) -> float:
    """The megabytes that Linux says of this process."""
    with open("/proc/self/status", encoding="utf-8") as status:
        (line,) = [line for line in status if line.startswith(field)]
    return int(line.split()[1]) / 1024


def planner(env: Any, nodes: int) -> Any:
    no_preference = jnp.zeros((1, env.action_space().n))

    def imagine(_: Any, key: Any, actions: Any, states: Any) -> Any:
        result = jax.vmap(env.step, in_axes=(None, 0, 0))(key, states, actions)
        output = mctx.RecurrentFnOutput(  # type: ignore[call-arg]
            reward=result.reward,
            discount=jnp.where(result.done, 0.0, 0.99),
            prior_logits=no_preference,
            value=jnp.zeros(1),
        )
        return output, result.state

    def plan(key: Any, states: Any) -> Any:
        root = mctx.RootFnOutput(  # type: ignore[call-arg]
            prior_logits=no_preference, value=jnp.zeros(1), embedding=states
        )
        return mctx.muzero_policy(None, key, root, imagine, nodes - 1).search_tree

    return plan


def measure(nodes: int) -> dict[str, Any]:
    env, _ = envhub.make("ale::pong", forkable=True)
    _, states = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 1))
    plan = jax.jit(planner(env, nodes)).lower(jax.random.key(1), states).compile()
    before, start = memory("VmRSS"), time.process_time()
    jax.block_until_ready(plan(jax.random.key(1), states))
    more = memory("VmHWM") - before
    return {
        "nodes": nodes,
        "snapshot_bytes": states.snapshot.nbytes,
        "mb": more,
        "cpu_ms_a_node": (time.process_time() - start) / nodes * 1e3,
        "wanted_mb": WANTED_MB,
        "met": more <= WANTED_MB * max(1.0, nodes / 10_000),
        "machine": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=10_000)
    print(json.dumps(measure(parser.parse_args().nodes), indent=2))


if __name__ == "__main__":
    main()
