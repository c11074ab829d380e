"""What a process in x64 mode sees of an environment. Dtypes are static: tracing tells them."""

from __future__ import annotations

from typing import Any

import jax

from envhub import hub, registry
from envhub.errors import EnvHubError
from envhub.testing.second_process import make_by_recipe


def examine(recipe: dict[str, Any]) -> dict[str, Any]:
    assert jax.config.jax_enable_x64
    suite, name = hub.parse_id(recipe["id"])
    gap = registry.get(suite).gap(name, recipe["kwargs"])
    seen: dict[str, Any] = {"gap": gap and gap.reason, "error": None}
    try:
        env, params = make_by_recipe(recipe)
    except EnvHubError as error:
        return {**seen, "error": type(error).__name__}
    key, (obs, state) = jax.random.key(0), env.reset_shapes
    action = jax.eval_shape(env.action_space(params).sample, key)
    result = jax.eval_shape(env.step, key, state, action, params)
    return {
        **seen,
        "obs": dtypes(obs),
        "obs_after": dtypes(result.obs),
        "scalars": [str(leaf.dtype) for leaf in result[2:5]],
        "same_state": dtypes(state) == dtypes(result.state),
    }


def dtypes(tree: Any) -> list[str]:
    return [str(leaf.dtype) for leaf in jax.tree.leaves(tree)]
