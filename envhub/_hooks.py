"""Checks of the results of an author's `reset_env` and `step_env`, at trace time.

A mistake raises a `ContractError` that names the hook, instead of a later error of JAX.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub import _inputs
from envhub._result import StepResult
from envhub.errors import ContractError, brief

FIELDS = ", ".join(StepResult._fields)


def check_reset(env: Any, returned: Any) -> tuple[Any, Any]:
    """Return the observation and the state that `reset_env` returned.

    Raises:
        ContractError: if it returned something else.
    """
    hook = _name(env, "reset_env")
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise ContractError(
            f"{hook} must return a tuple (obs, state), and returned {_of(returned)}."
        )
    obs, state = returned
    _inputs.check_arrays(
        f"{hook} returned an observation that JAX cannot hold: obs", obs, ContractError
    )
    vars(env)["_obs_of_reset"] = _form(obs)
    return obs, state


def check_step(env: Any, returned: Any, state: Any) -> StepResult:
    """Return the result that `step_env` returned from a state.

    Raises:
        ContractError: if it is not a `StepResult`, or its observation or state differs in structure
            or shape from those of a reset.
        InvalidStateError: if the cause is that the caller gave a state of another environment.
    """
    hook = _name(env, "step_env")
    if not isinstance(returned, StepResult):
        raise ContractError(
            f"{hook} must return an envhub.StepResult({FIELDS}), and returned {_of(returned)}."
        )
    if not isinstance(returned.info, dict):
        raise ContractError(
            f"{hook} must return a dict as info, and returned {brief(returned.info)}."
        )
    shown = {"obs": returned.obs, "info": returned.info}
    _inputs.check_arrays(f"{hook} returned what JAX cannot hold: ", shown, ContractError)
    _check_scalars(env, hook, returned)
    expected = vars(env).get("_obs_of_reset")
    if expected and _form(returned.obs) != expected:
        raise ContractError(
            f"{hook} returned an observation of another structure or shape than reset_env: "
            f"{_shown(_form(returned.obs))} instead of {_shown(expected)}."
        )
    if _form(returned.state) != _form(state):
        _inputs.check_state(env, state, env.reset_shapes[1])
        raise ContractError(
            f"{hook} returned a state of another structure or shape than reset_env: "
            f"{_shown(_form(returned.state))} instead of {_shown(_form(state))}."
        )
    return returned


def _check_scalars(env: Any, hook: str, result: StepResult) -> None:
    agents = env.num_agents
    wanted = "a number" if agents == 1 else f"an array of {agents} numbers, one for each agent"
    for name in ("reward", "terminated", "truncated"):
        value = getattr(result, name)
        _inputs.check_arrays(f"{hook} returned what JAX cannot hold: {name}", value, ContractError)
        if value is None or jnp.size(value) != agents:
            raise ContractError(
                f"{hook} must return {wanted} as {name}, and returned {_of(value)}."
            )


def _name(env: Any, hook: str) -> str:
    return f"{type(env).__name__}.{hook}"


def _of(returned: Any) -> str:
    """Describe the returned value in a few words."""
    if type(returned) is tuple:
        return f"a tuple of {len(returned)}"
    shape = getattr(returned, "shape", None)
    return brief(returned) if shape is None else f"an array of the shape {shape}"


def _form(tree: Any) -> tuple[Any, list[tuple[int, ...]]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [jnp.shape(leaf) for leaf in leaves]


def _shown(form: tuple[Any, list[tuple[int, ...]]]) -> str:
    structure, shapes = form
    return brief(jax.tree.unflatten(structure, shapes))
