"""Batches: several environments of one kind, on a leading axis."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from envhub import _inputs, _travel, spaces
from envhub._agents import ObservationAgents
from envhub._arrays import placed
from envhub._display import table
from envhub._forks import refuse_after_fork
from envhub._sharding import Shards
from envhub._typing import Obs, Params, State
from envhub._value import Value
from envhub.environment import Environment, StepResult
from envhub.errors import EnvHubError, InvalidOptionError, InvalidStateError
from envhub.flags import Capabilities
from envhub.spec import EnvSpec

AXIS = "envs"
E = TypeVar("E")


class VectorEnv(Value, Generic[Obs, State, Params]):
    """A batch of environments: every array has a leading axis of `num_envs`.

    `envhub.make_vec` makes a batch. Its methods are those of `Environment` under `vmap`, and they
    work inside `jit`, `scan` and `vmap` too.

    The axis of the `vmap` is named `"envs"`, so a wrapper or an environment can take statistics
    over the batch: `lax.pmean(x, "envs")`. If the batch is split over devices, these statistics
    cover the part of one device. To cover the whole batch, name the axes of the mesh too:
    `lax.pmean(x, ("devices", "envs"))`.

    With a `sharding`, each device drives its part of the batch, in `shard_map`, and every returned
    array is split in the same way. Arguments that are not split yet are split. Keys and results
    equal those on one device, except for the last bit where XLA rounds a sum of products
    differently. The guarantees for a callback hold per device: an action outside the space moves
    nothing on that device. On several CPU devices, wait (`jax.block_until_ready`) for a program of
    your own that steps callback environments before you start others on its results: jaxlib 0.4.35
    may hang.

    If the mesh spans processes (`jax.distributed`), all processes make the same calls in the same
    order. Keys, actions and params are the same in each process: NumPy or JAX arrays that are not
    committed to a device, or global arrays. Callback environments live in their device's process.

    Args:
        env: the environment that every lane runs.
        num_envs: the number of environments.
        batched_params: whether params have the leading axis too, one set per environment.
        sharding: the devices over which the leading axis is split; `None` for one device.

    Attributes:
        env: the environment that every lane runs.
        num_envs: the number of environments.
        batched_params: whether params have the leading axis too.
        sharding: the sharding of the leading axis of all returned arrays; `None` for one device.

    Raises:
        InvalidOptionError: if `num_envs` is not a positive integer that the sharding splits evenly,
            or the sharding splits more than the leading axis, or it copies callback environments.
        MissingCapabilityError: if the environment is not `multi_device`.

    Examples:
        >>> venv, params = envhub.make_vec("gymnax::CartPole-v1", 16)
        >>> obs, state = venv.reset(jax.random.key(0), params)
        >>> obs.shape, venv.single_observation_space(params).shape
        ((16, 4), (4,))
    """

    def __init__(
        self,
        env: Environment[Obs, State, Params],
        num_envs: int,
        *,
        batched_params: bool = False,
        sharding: jax.sharding.NamedSharding | None = None,
    ) -> None:
        num_envs = _check_number(num_envs)
        self.env, self.num_envs, self.batched_params = env, num_envs, batched_params
        self._axis = 0 if batched_params else None
        self._shards = None if sharding is None else Shards(sharding, env, num_envs)
        self.sharding = self._shards and self._shards.sharding

    @functools.cached_property
    def default_params(self) -> Params:
        """The params of calls that pass none, with a leading axis if `batched_params`."""
        params = self.env.default_params
        if not self.batched_params:
            return params
        every: Params = jax.tree.map(
            lambda leaf: np.stack([np.asarray(leaf)] * self.num_envs), params
        )
        return every

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of one environment."""
        return self.env.capabilities

    @property
    def spec(self) -> EnvSpec | None:
        """The spec of the environments."""
        return self.env.spec

    @property
    def num_agents(self) -> int:
        """The number of agents that act in each environment."""
        return self.env.num_agents

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of the agents of each environment, in the order of rewards and flags."""
        return self.env.agents

    @property
    def turn_based(self) -> bool:
        """Whether one agent acts in each step; see `Environment`."""
        return self.env.turn_based

    @property
    def observation_agents(self) -> ObservationAgents:
        """How observations and actions of each environment hold the agents; see `Environment`."""
        return self.env.observation_agents

    def by_agent(self, values: Any) -> dict[str, Any]:
        """Return the part of each agent, by name, from arrays of all environments."""
        return self.env.by_agent(values, axis=1)

    def stack_agents(self, by_name: Mapping[str, Any]) -> Any:
        """Return what `by_agent` took apart; see `Environment.stack_agents`."""
        return self.env.stack_agents(by_name, axis=1)

    @property
    def unwrapped(self) -> Any:
        """The suite's own object, for one environment."""
        return self.env.unwrapped

    def find(self, kind: type[E]) -> E | None:
        """Return the outermost wrapper of this class in each; `None` if there is none."""
        return self.env.find(kind)

    def episode_limit(self, params: Any = None) -> int | None:
        """Return the episode limit, under params of one environment or of each."""
        return self.env.episode_limit(params)

    def reset(self, key: jax.Array, params: Params | None = None) -> tuple[Obs, State]:
        """Start an episode in each environment, as `Environment.reset` does.

        Args:
            key: one PRNG key, which is split among the environments.
            params: the params of one environment; with `batched_params`, those of each.

        Returns:
            Observations and states.

        Raises:
            InvalidKeyError, InvalidParamsError: as in `Environment.reset`.
        """
        refuse_after_fork()
        params = self._params_in_force(params)
        try:
            obs, state = self._reset(key, params)
        except EnvHubError:
            raise
        except Exception:
            self._check(key, params)
            raise
        return obs, state

    def step(
        self, key: jax.Array, state: State, action: Any, params: Params | None = None
    ) -> StepResult[Obs, State]:
        """Advance each environment one step, as `Environment.step` does.

        Args:
            key: one PRNG key, which is split among the environments.
            state: the states that `reset` or `step` returned.
            action: one action per environment.
            params: as for `reset`.

        Raises:
            InvalidKeyError, InvalidParamsError, InvalidActionError, InvalidStateError: as in
                `Environment.step`.
        """
        refuse_after_fork()
        _inputs.check_values(self.env, action)
        params = self._params_in_force(params)
        try:
            result: StepResult = self._step(key, state, action, params)
        except EnvHubError:
            raise
        except Exception:
            self._check(key, params)
            _inputs.conform_action(spaces.batch(self.env._actions, self.num_envs), action)
            _inputs.check_state(self, state, jax.eval_shape(self.reset, key, params)[1])
            raise
        return result

    def single_observation_space(self, params: Params | None = None) -> spaces.Space[Obs]:
        """Return one environment's observation space, under its concrete, unbatched params."""
        return self.env.observation_space(params)

    def single_action_space(self, params: Params | None = None) -> spaces.Space:
        """Return one environment's action space, under its concrete, unbatched params."""
        return self.env.action_space(params)

    def observation_space(self, params: Params | None = None) -> spaces.Space[Obs]:
        """Return the space of batches of observations, under params of one environment."""
        return spaces.batch(self.env.observation_space(params), self.num_envs)

    def action_space(self, params: Params | None = None) -> spaces.Space:
        """Return the space of batches of actions, under params of one environment."""
        return spaces.batch(self.env.action_space(params), self.num_envs)

    def render(self, state: State, params: Params | None = None, index: int = 0) -> np.ndarray:
        """Draw one of the environments; see `Environment.render`.

        Raises:
            InvalidOptionError: if the index is out of range.
            InvalidStateError: if the states are not those of a batch of this size.
        """
        refuse_after_fork()
        is_integer = isinstance(index, int | np.integer) and not isinstance(index, bool)
        if not is_integer or index not in range(-self.num_envs, self.num_envs):
            raise InvalidOptionError(f"{self} has no environment {index!r} to render.")
        if any(jnp.shape(leaf)[:1] != (self.num_envs,) for leaf in jax.tree.leaves(state)):
            raise InvalidStateError(
                f"these are not the states of {self}. Pass the states of the whole batch."
            )
        if self.batched_params and params is None:
            params = self.default_params
        pick = functools.partial(jax.tree.map, lambda leaf: leaf[index])
        return self.env.render(pick(state), pick(params) if self.batched_params else params)

    def close(self) -> None:
        """Free what the environments hold outside JAX. It may be called repeatedly."""
        self.env.close()

    @functools.cached_property
    def _key(self) -> Hashable:
        return type(self), self.env._key, self.num_envs, self.batched_params, self.sharding

    def __reduce__(self) -> tuple[Any, ...]:
        given = self.env, self.num_envs, self.batched_params, _travel.pack_sharding(self.sharding)
        return _made_again, (type(self), *given)

    def _repr_html_(self) -> str:
        """Return a table of spaces and capabilities, for notebooks."""
        spaces = {"observations": self.observation_space(), "actions": self.action_space()}
        return table({"batch": repr(self), **spaces, **self.capabilities.answers()}.items())

    def __repr__(self) -> str:
        return f"<VectorEnv of {self.num_envs} {self.env!r}>"

    @functools.cached_property
    def _placed(self) -> Any:
        return placed(self.default_params)

    def _params_in_force(self, params: Any) -> Any:
        is_default = params is None or params is self.default_params
        return self._placed if is_default else params

    def _check(self, key: Any, params: Any) -> None:
        """Raise the error that the contract names for arguments that do not fit the batch.

        It is called after a call has failed. A call with arguments that fit needs no check, because
        `vmap` refuses other sizes of the leading axis, and the environment checks each lane.
        """
        _inputs.check_key(key, "pass one key, which the batch splits among its environments")
        if not self.batched_params:
            self.env.check_params(params)
            return
        _inputs.check_params(params, self.default_params, self.num_envs)

    @functools.cached_property
    def _reset(self) -> Any:
        compiled = self._shared.get("reset", lambda venv: venv._of_all("reset", (venv._axis,)))
        return functools.partial(self.env._run, compiled)

    @functools.cached_property
    def _step(self) -> Any:
        compiled = self._shared.get("step", lambda venv: venv._of_all("step", (0, 0, venv._axis)))
        return functools.partial(self.env._run, compiled)

    def _of_all(self, method: str, axes: tuple[int | None, ...]) -> Any:
        """Return a function of one key that calls `method(key, *arguments)` of each environment."""
        mapped = jax.vmap(getattr(self.env, method), in_axes=(0, *axes), axis_name=AXIS)

        def whole(key: jax.Array, *arguments: Any) -> Any:
            return mapped(jax.random.split(key, self.num_envs), *arguments)

        return self._shards.split(mapped, axes) if self._shards else jax.jit(whole)


def _made_again(
    kind: type[VectorEnv], env: Environment, num_envs: int, batched_params: bool, packed: Any
) -> VectorEnv:
    sharding = _travel.unpack_sharding(packed)
    return kind(env, num_envs, batched_params=batched_params, sharding=sharding)


def _check_number(num_envs: Any) -> int:
    """Return the number as an int; it may be an integer of NumPy."""
    is_number = isinstance(num_envs, (int, np.integer)) and not isinstance(num_envs, bool)
    if not is_number or not 1 <= num_envs <= np.iinfo(np.int32).max:
        raise InvalidOptionError(f"num_envs must be a positive 32-bit integer, got {num_envs!r}.")
    return int(num_envs)
