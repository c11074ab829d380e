"""The callback environment that callers see."""

from __future__ import annotations

import functools
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._forks import refuse_after_fork
from envhub._inputs import check_key, conform_action
from envhub._seeding import seed_after_step, traced_seed
from envhub._tracing import computed, is_outside
from envhub.environment import Environment, StepResult
from envhub.errors import UnavailableEnvError
from envhub.flags import Capabilities
from envhub.host import proof, transport
from envhub.host.alone import Alone
from envhub.host.autoresets import step_or_reset, step_then_reset
from envhub.host.detached import Detached
from envhub.host.direct import Direct, flat
from envhub.host.fleet import Fleet, Place, SerialFleet
from envhub.host.instance import Instance
from envhub.host.options import BRIDGE_OPTIONS, check_options
from envhub.host.outcomes import Counts
from envhub.host.parallel import make_fleet
from envhub.host.parallel.fleet import ParallelFleet
from envhub.host.pool import Answer, Pool
from envhub.host.pools import find_pool
from envhub.host.protocol import (
    HANDLE,
    IS_RESET,
    PARAMS,
    REWARD,
    SEED,
    SNAPSHOT,
    TERMINATED,
    TRUNCATED,
    Columns,
    Form,
    Protocol,
    of_leaves,
    to_leaves,
    why_not_held,
)
from envhub.host.replay import Replaying
from envhub.host.snapshot import SnapshotForm
from envhub.host.trials import Trial
from envhub.host.values import Actions, Observations, Values
from envhub.spaces._trees import leaves_of


class HostState(NamedTuple):
    """The state of a callback environment, as a value.

        >>> env, params = envhub.make("gymnasium::CartPole-v1")
        >>> obs, state = env.reset(jax.random.key(0), params)
        >>> isinstance(state, HostState), state.handle.shape
        (True, (3,))

    Attributes:
        handle: uint32[3], which names the instance in this state: slot, generation and pool.
        snapshot: uint8[K], from which any instance can continue; `None` if there is no snapshot.
    """

    handle: jax.Array
    snapshot: jax.Array | None


class PoolAnswer(NamedTuple):
    """A hashable value that stands for the function with which a pool answers a call.

    Traced programs hold this value. JAX's caches may hold such programs for ever, so the value does
    not keep the pool alive. Compiled programs hold the function that `bind` returns. This function
    keeps the pool alive, because a program may still be running when the environment is deleted.
    """

    nonce: int
    answer: Answer

    @property
    def environment(self) -> str:
        """The id of the pool's environment.

        Raises:
            StaleStateError: if the environment is closed or gone.
        """
        return find_pool(self.nonce).name

    def bind(self) -> functools.partial[None]:
        """Return the function.

        Raises:
            StaleStateError: if the environment is closed or gone.
        """
        return functools.partial(find_pool(self.nonce).serve, self.answer)


class HostEnvironment(Environment):
    """An environment that runs instances of a CPU library; adapters do not subclass it.

        >>> env, params = envhub.make("gymnasium::CartPole-v1")
        >>> isinstance(env, HostEnvironment), env.info_entries
        (True, [])

    Args:
        env_id: the id, for errors.
        construct: a function that makes one instance.
        first: the first instance that `construct` made.
        unwrapped: the suite's own object in `first`.
        observation_space, action_space: the spaces of one instance.
        capabilities: the claimed capabilities; forkable states carry snapshots.
        default_params: a pytree of float32 arrays, or `None`.
        options: the keywords of `make`, including `BRIDGE_OPTIONS`.
        version: the version of the suite; a snapshot fits the same id, version and suite options.
        num_agents: the number of agents, which is the leading axis of observations, actions,
            rewards and flags; `None` for one agent without that axis.
        fleet: the suite's own runner of the instances, if it has one; it does not run `first`.
        is_claimed: whether the suite claims `forkable`, so that the proof has no time limit.
        packages: the distributions that must have the same versions wherever instances live.

    Attributes:
        num_agents: the number of agents that act.
        info_entries: the entries of `info`: names, shapes and dtypes.

    Raises:
        MissingCapabilityError: if `forkable=True` is given and the environment cannot be forkable.
        InvalidOptionError: if an option in `BRIDGE_OPTIONS` has an invalid value.
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
        is_claimed: bool = False,
        packages: Sequence[str] = (),
    ) -> None:
        super().__init__(unwrapped, default_params, capabilities)
        self.num_agents, self.turn_based = num_agents or 1, first.turn_based
        self._limit = first.episode_limit
        check_options(env_id, options, capabilities)
        identity = identity_of(env_id, version, options, first)
        self._observation_space, self._action_space = observation_space, action_space
        why_not = why_not_held(observation_space) or why_not_held(action_space)
        if not (why_not or leaves_of(action_space)):
            why_not = f"its action space {action_space} has no array. Give it a Discrete(1)."
        if why_not:
            raise UnavailableEnvError(f"{env_id}: {why_not}")
        actions, observations = Actions(action_space), Observations(observation_space)
        agents = () if num_agents is None else (num_agents,)
        with Trial(env_id, options.get("timeout")) as trial:
            tried = trial.instance(first)
            self.info_entries = proof.explore(env_id, tried, actions, observations, agents)
            if capabilities.forkable:
                asked = is_claimed or bool(options.get("forkable"))
                how = (trial, construct, first, actions, observations)
                proved = proof.prove_forkable(identity, *how, is_patient=asked)
                size = proof.room_for(proved, options.get("snapshot_size"))
                self.capabilities = capabilities.noting("forkable", proved.note)
        snapshots = None
        if capabilities.forkable:
            whose, key = zlib.crc32(identity.encode()), options.get("snapshot_key") or b""
            frames = observations.num_frames
            snapshots = SnapshotForm(size, observations.num_bytes, whose, key, frames, agents)
        num_params = sum(map(np.size, jax.tree.leaves(default_params)))
        size = snapshots.size if snapshots else 0
        self._protocol = Protocol(
            actions.forms, observations.forms, self.info_entries, agents, num_params, size
        )
        if fleet is None:
            fleet = self._new_fleet(construct, first, options, env_id, packages)
        self._values = Values(self._protocol, actions, observations, snapshots)
        # One agent may have a leading axis, which results of the protocol do not have.
        self._is_plain = num_agents != 1
        self._construct, self._fleet, self._most = construct, fleet, options.get("max_instances")
        self._pool = Pool(env_id, fleet, self._protocol, self._values, self._most)
        self._pool.alone = self._new_alone()

    @property
    def last_error(self) -> BaseException | None:
        """The exception of the last failing callback; JAX shows only its text."""
        return self._pool.error

    @property
    def counts(self) -> Counts:
        """The number of live instances, and of their calls, resets and steps."""
        return self._pool.counts

    @property
    def workers(self) -> list[Place]:
        """Where the instances live: a place for each worker that has started."""
        return self._fleet.workers

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        given = {SEED: traced_seed(key), **_flat(params)}
        outputs = self._call(Pool.reset, given, self._protocol.after_reset)
        return self._obs(outputs, self._protocol.obs), _state(outputs)

    def step(
        self, key: jax.Array, state: Any, action: Any, params: Any = None
    ) -> StepResult[Any, Any]:
        if (params is None or params is self.default_params) and is_outside():
            refuse_after_fork()
            check_key(key)
            result: StepResult[Any, Any] | None = self._direct.go_on(state, action)
            if result is not None:
                return result
        return super().step(key, state, action, params)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        given = self._given(state, action, params)
        return self._result(self._call(Pool.step, given, self._protocol.after_step))

    def step_then_reset(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[StepResult, Any]:
        given = {SEED: seed_after_step(key), **self._given(state, action, params)}
        outputs = self._call(step_then_reset, given, self._protocol.after_both)
        result, last = self._result(outputs), self._obs(outputs, self._protocol.final_obs)
        is_over = jnp.all(result.terminated | result.truncated)  # otherwise nothing is in `last`
        return result, jax.tree.map(functools.partial(jnp.where, is_over), last, result.obs)

    def step_or_reset(
        self,
        is_reset: jax.Array,
        key: jax.Array,
        state: Any,
        action: Any,
        params: Any,
    ) -> StepResult:
        given = {IS_RESET: is_reset, SEED: seed_after_step(key)}
        given |= self._given(state, action, params)
        return self._result(self._call(step_or_reset, given, self._protocol.after_step))

    def limit(self, params: Any) -> Any:
        return super().limit(params) if self._limit is None else self._limit

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self._observation_space

    def action_space(self, params: Any = None) -> spaces.Space:
        return self._action_space

    def render_env(self, state: Any, params: Any) -> Any:
        if (picture := self._direct.render(state, flat(params))) is not None:
            return picture
        row = None if state.snapshot is None else np.asarray(state.snapshot)
        return self._pool.render(np.asarray(state.handle), row, flat(params))

    def expect(self, num_envs: int) -> None:
        self._pool.expect(num_envs)

    def close(self) -> None:
        self._pool.close()
        for each in list(self._detached):
            each.close()

    @property
    def can_detach(self) -> bool:
        """Whether one caller may step an instance that is not in the pool, see `detached`.

        A fleet of the suite's own is known to play as instances do where it takes their snapshots.
        """
        if self._most == 1 or isinstance(self._fleet, ParallelFleet):
            return False
        return isinstance(self._fleet, SerialFleet) or self.capabilities.forkable

    def detached(self, params: Any) -> Detached:
        """Return an instance for one caller outside JAX, with these params in all calls."""
        one = Detached(self._pool, self._construct, self._values, flat(params))
        self._detached.add(one)
        return one

    @functools.cached_property
    def _detached(self) -> weakref.WeakSet[Detached]:
        return weakref.WeakSet()

    def _call(self, answer: Answer, given: Mapping[str, Any], forms: Mapping[str, Form]) -> Columns:
        function = PoolAnswer(self._pool.nonce, answer)
        return transport.call(function, given, forms, effect=not self.capabilities.forkable)

    def _given(self, state: Any, action: Any, params: Any) -> Columns:
        """Return the arguments of a step, in the callback."""
        leaves = to_leaves(self._action_space, conform_action(self._actions, action))
        actions = dict(zip(self._protocol.actions, leaves, strict=True))
        snapshot = {} if state.snapshot is None else {SNAPSHOT: state.snapshot}
        return {HANDLE: state.handle, **snapshot, **actions, **_flat(params)}

    def _obs(self, outputs: Columns, names: Sequence[str]) -> Any:
        return of_leaves(self._observation_space, iter([outputs[name] for name in names]))

    def _result(self, outputs: Columns) -> StepResult:
        named = zip(self.info_entries, self._protocol.info, strict=True)
        return StepResult(
            self._obs(outputs, self._protocol.obs),
            _state(outputs),
            outputs[REWARD],
            outputs[TERMINATED],
            outputs[TRUNCATED],
            {entry.name: outputs[name] for entry, name in named},
        )

    def _run(self, compiled: Any, *arguments: Any) -> Any:
        """Outside `jit`, answer without a callback, or raise its error instead of JAX's text."""
        if is_outside():
            result = self._at_once(compiled, *arguments)
            if result is not None:
                return result
        self._pool.error = None
        try:
            result = compiled(*arguments)
            values = list(map(computed, jax.tree.leaves(result)))
            jax.block_until_ready(values)  # type: ignore[no-untyped-call]
        except Exception as told:
            error = self._pool.error
            if error is None:  # Ctrl-C while JAX prepared the callback is a text of JAX's
                if str(told).rstrip(": \n").endswith("KeyboardInterrupt"):
                    raise KeyboardInterrupt from None
                raise
            raise error from error.__cause__  # JAX's text repeats it, so it is not its cause
        return result

    def _at_once(self, compiled: Any, key: Any, *others: Any) -> Any:
        """Answer a call with the default params; `None` if the arguments are not the usual ones."""
        *given, params = others
        if self._placed is None or params is not self._placed[1] or not self._is_plain:
            return None
        own, direct = vars(self), self._direct
        if compiled is own.get("_compiled_reset"):
            return direct.reset(key)
        if compiled is not own.get("_compiled_step"):
            return None
        state, action = given
        return direct.step(state, action) if type(state) is HostState else None

    @functools.cached_property
    def _direct(self) -> Direct:
        def started(outputs: Columns) -> Any:
            return self._obs(outputs, self._protocol.obs), _state(outputs)

        params = flat(self.default_params)
        return Direct(self._pool, self._protocol, started, self._result, params)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "default_params":
            vars(self).pop("_direct", None)  # it answers with those that were
        super().__setattr__(name, value)

    def _new_alone(self) -> Alone | None:
        lends, is_replayed = self._pool.slots.can_lend, isinstance(self._construct, Replaying)
        is_restored = self.capabilities.forkable and self.can_detach and not is_replayed
        if self._protocol.agents or not (lends or is_restored):
            return None
        pool = weakref.proxy(self._pool)  # which keeps it
        return Alone(pool, self._values, None if lends else self._construct)

    def _new_fleet(
        self,
        construct: Callable[[], Instance],
        first: Instance,
        options: Mapping[str, Any],
        env_id: str,
        packages: Sequence[str],
    ) -> Fleet:
        saves, info = self.capabilities.forkable, [entry.name for entry in self.info_entries]
        how: dict[str, Any] = {"env_id": env_id, "packages": packages}
        return make_fleet(construct, first, options, saves=saves, info=info, **how)


def identity_of(env_id: str, version: str, options: Mapping[str, Any], first: Instance) -> str:
    """Return what a snapshot is restored in: where this is the same."""
    own = sorted(item for item in options.items() if item[0] not in BRIDGE_OPTIONS)
    return f"{env_id} {version} {own} {first.identity}"


def _state(outputs: Columns) -> HostState:
    return HostState(outputs[HANDLE], outputs.get(SNAPSHOT))


def _flat(params: Any) -> Columns:
    """Return the params as one float32 vector by its name; an empty dict without params."""
    leaves = [jnp.ravel(jnp.asarray(leaf, jnp.float32)) for leaf in jax.tree.leaves(params)]
    return {PARAMS: jnp.concatenate(leaves)} if leaves else {}
