"""The environment that callers see of a CPU suite."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._inputs import conform_action
from envhub._seeding import traced_seed
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.host import proof, transport
from envhub.host.crew import Layout
from envhub.host.fleet import Fleet
from envhub.host.instance import Instance
from envhub.host.layout import Actions, Observations, flatten, unflatten
from envhub.host.options import BRIDGE_OPTIONS, check_options
from envhub.host.pool import Call, Pool
from envhub.host.snapshot import Form
from envhub.host.workers import make_fleet


class HostState(NamedTuple):
    """The state of an environment on the host, as a value.

    Attributes:
        handle: uint32[3], which live instance is in this state: slot, generation and pool.
        snapshot: uint8[K], from which any instance continues; `None` where there is none.
    """

    handle: jax.Array
    snapshot: jax.Array | None


class HostEnvironment(Environment):
    """Instances of a CPU library behind the protocol; adapters do not subclass it.

    Args:
        env_id: for errors.
        construct: makes one instance.
        first: the first that it made.
        unwrapped: the suite's own object in `first`.
        observation_space, action_space: of one instance.
        capabilities: what is claimed; forkable states carry snapshots.
        default_params: a pytree of float32 arrays, or `None`.
        options: the keywords of `make`, those of the bridge among them (`BRIDGE_OPTIONS`).
        version: of the suite; a snapshot fits the same id, version, and options of the suite.
        num_agents: how many agents act in it, the leading axis of observations, actions, rewards
            and flags; `None` for one without that axis.
        fleet: what runs the instances, if it is the suite's own; `first` is not one of them then.

    Attributes:
        num_agents: how many agents act.
        info_entries: the entries of `info`: names, shapes and dtypes.

    Raises:
        MissingCapabilityError: if `forkable=True` is asked of what cannot be.
        InvalidOptionError: if an option of the bridge has no sensible value.
    """

    def __init__(
        self,
        env_id: str,
        construct: Callable[[], Instance],
        first: Instance,
        *,
        unwrapped: Any,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        capabilities: Capabilities,
        default_params: Any,
        options: Mapping[str, Any],
        version: str,
        num_agents: int | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        super().__init__(unwrapped, default_params, capabilities)
        self.num_agents = num_agents or 1
        check_options(env_id, options, capabilities)
        own = sorted(item for item in options.items() if item[0] not in BRIDGE_OPTIONS)
        identity = f"{env_id} {version} {own}"
        self._observation_space, self._action_space = observation_space, action_space
        actions = Actions(action_space)
        seen = proof.explore(first, actions)
        observations = Observations(observation_space, seen.obs)
        form = None
        if capabilities.forkable:
            largest = proof.prove_forkable(identity, construct, first, actions, observations)
            size = options.get("snapshot_size") or largest
            form = Form(size, observations.num_bytes, zlib.crc32(identity.encode()))
        self.info_entries = seen.entries
        agents = () if num_agents is None else (num_agents,)
        sizes = map(np.size, jax.tree.leaves(default_params))
        layout = Layout(actions, observations, seen.entries, agents, sum(sizes), form)
        if fleet is None:
            fleet = make_fleet(construct, first, options, saves=capabilities.forkable)
        self._pool = Pool(env_id, fleet, layout, options.get("max_instances"))
        handle: transport.Form = ((3,), np.uint32)
        self._after_step = [handle, *layout.shown]
        self._num_obs = len(observations)
        self._after_reset = self._after_step[: self._num_obs + (2 if form else 1)]

    @property
    def last_error(self) -> BaseException | None:
        """The exception of the last failing call on the host, which JAX hides in a text."""
        return self._pool.error

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        outputs = self._call("reset", [traced_seed(key), *_flat(params)], self._after_reset)
        state = self._take_state(outputs)
        return self._take_obs(outputs), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        outputs = self._call("step", self._given(state, action, params), self._after_step)
        return self._take_result(outputs)

    def step_then_reset(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[StepResult, Any]:
        reset_key = jax.random.split(key)[1]
        given = [traced_seed(reset_key), *self._given(state, action, params)]
        first = len(self._after_reset) - self._num_obs
        forms = [*self._after_step, *self._after_reset[first:]]
        outputs = self._call("step_then_reset", given, forms)
        return self._take_result(outputs), self._take_obs(outputs)

    def step_or_reset(
        self,
        is_reset: jax.Array,
        key: jax.Array,
        state: Any,
        action: Any,
        params: Any,
    ) -> StepResult:
        reset_key = jax.random.split(key)[1]
        given = [is_reset, traced_seed(reset_key), *self._given(state, action, params)]
        return self._take_result(self._call("step_or_reset", given, self._after_step))

    def _given(self, state: Any, action: Any, params: Any) -> list[Any]:
        """What a step is given, on the host."""
        action = conform_action(self._actions, action)
        snapshot = [] if state.snapshot is None else [state.snapshot]
        return [state.handle, *snapshot, *flatten(self._action_space, action), *_flat(params)]

    def _take_result(self, outputs: list[Any]) -> StepResult:
        state, obs = self._take_state(outputs), self._take_obs(outputs)
        reward, terminated, truncated = (outputs.pop(0) for _ in range(3))
        info = {name: outputs.pop(0) for name, _, _ in self.info_entries}
        return StepResult(obs, state, reward, terminated, truncated, info)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self._observation_space

    def action_space(self, params: Any = None) -> spaces.Space:
        return self._action_space

    def render_env(self, state: Any, params: Any) -> Any:
        row = None if state.snapshot is None else np.asarray(state.snapshot)
        return self._pool.render(np.asarray(state.handle).tolist(), row)

    def expect(self, num_envs: int) -> None:
        self._pool.expect(num_envs)

    def close(self) -> None:
        self._pool.close()

    def _call(self, method: str, given: Sequence[Any], forms: Sequence[transport.Form]) -> Any:
        function = Call(self._pool.nonce, method)
        return transport.call(function, given, forms, effect=not self.capabilities.forkable)

    def _run(self, compiled: Any, *arguments: Any) -> Any:
        """Outside `jit`, raise what the host raised, and not the text that JAX makes of it."""
        self._pool.error = None
        try:
            result = compiled(*arguments)
            values = list(map(_computed, jax.tree.leaves(result)))
            jax.block_until_ready(values)  # type: ignore[no-untyped-call]
        except Exception:
            error = self._pool.error
            if error is None:
                raise
            raise error from error.__cause__  # and not from JAX's text of the same
        return result

    def _take_state(self, outputs: list[Any]) -> HostState:
        handle = outputs.pop(0)
        return HostState(handle, outputs.pop(0) if self.capabilities.forkable else None)

    def _take_obs(self, outputs: list[Any]) -> Any:
        leaves = [outputs.pop(0) for _ in range(self._num_obs)]
        return unflatten(self._observation_space, iter(leaves))


def _computed(leaf: Any) -> Any:
    """The array behind the tracers of a `vmap` outside of `jit`; inside there is none."""
    while isinstance(leaf, jax.core.Tracer):
        leaf = getattr(leaf, "val", None)
    return leaf


def _flat(params: Any) -> list[jax.Array]:
    """The params as one float32 vector, if there are any."""
    leaves = [jnp.ravel(jnp.asarray(leaf, jnp.float32)) for leaf in jax.tree.leaves(params)]
    return [jnp.concatenate(leaves)] if leaves else []
