"""Groups: members of a fleet that are one environment, and so advance in one call."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from envhub.environment import Environment
from envhub.errors import EnvHubError, InvalidActionError, InvalidParamsError, InvalidStateError
from envhub.vector import VectorEnv

Member = Environment | VectorEnv

TAKES = {"reset": ("params",), "step": ("state", "action", "params")}  # after the key
MISFITS: dict[str, type[EnvHubError]] = {
    "state": InvalidStateError,
    "action": InvalidActionError,
    "params": InvalidParamsError,
}


class Group:
    """Members that are one environment, and so advance in one call.

    Args:
        env: the environment, or a batch.
        names: the names of the members.
    """

    def __init__(self, env: Member, names: Sequence[str]) -> None:
        self.env, self.names = env, tuple(names)

    def gather(self, what: str, trees: Mapping[str, Any]) -> Any:
        """Collect the arguments of these members, on a leading axis if there are several."""
        each = [trees[name] for name in self.names]
        if len(each) == 1:
            return each[0]
        try:
            return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
        except (TypeError, ValueError) as error:
            raise MISFITS[what](
                f"{what} of the same environment have different structures: {error}"
            ) from error

    def call(self, method: str, arguments: Sequence[Any]) -> dict[str, Any]:
        """Call a method, and return its results by name."""
        if len(self.names) == 1:
            return {self.names[0]: getattr(self.env, method)(*arguments)}
        # Which tells an error of the host from one of the caller.
        results: dict[str, Any] = one(self.env)._run(self._programs[method], *arguments)
        return results

    @functools.cached_property
    def _programs(self) -> dict[str, Any]:
        return {method: jax.jit(functools.partial(self._map, method)) for method in TAKES}

    def _map(self, method: str, *arguments: Any) -> dict[str, Any]:
        results = jax.vmap(getattr(self.env, method))(*arguments)

        def lane(place: int) -> Any:
            return jax.tree.map(lambda leaf: leaf[place], results)

        return {name: lane(place) for place, name in enumerate(self.names)}


@contextlib.contextmanager
def naming(*names: str) -> Iterator[None]:
    """Add the name of the member to an error."""
    try:
        yield
    except Exception as error:
        error.add_note(f"In the fleet: {', '.join(names)}.")
        raise


def grouped(envs: Mapping[str, Member], params: Mapping[str, Any]) -> list[Group]:
    """Return the groups in the order of their first names."""
    found: dict[Any, list[str]] = {}
    for name, env in envs.items():
        alike = jax.tree.structure(params[name]) if env.capabilities.vmap_safe else name
        found.setdefault((env, alike), []).append(name)
    return [Group(envs[names[0]], names) for names in found.values()]


def one(env: Member) -> Environment:
    return env.env if isinstance(env, VectorEnv) else env


def params_of_one(env: Member, params: Any) -> Any:
    """Return the params that spaces take: those of one environment."""
    if isinstance(env, VectorEnv) and env.batched_params:
        return jax.tree.map(lambda leaf: leaf[0], params)
    return params
