"""Drive environments from outside JAX, with NumPy arrays or with arrays on the device."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from envhub._forks import refuse_after_fork
from envhub._tracing import is_traced
from envhub.environment import Environment
from envhub.errors import InvalidActionError, InvalidOptionError, InvalidParamsError
from envhub.export.packing import pack, unpacker
from envhub.spaces._trees import map_space, observed
from envhub.vector import VectorEnv


class Driver:
    """Keeps the key and the state of an environment or a batch between calls.

    `reset` and `step` are one compiled call each. The call splits the key: the first half is kept,
    and the call uses the second. So the first episode after `seed(s)` is that of
    `env.reset(jax.random.split(jax.random.key(s))[1], params)`.

    Args:
        env: the environment or the batch.
        params: the params of all calls; by default the environment's default params.
        seed: as for `seed`.

    Attributes:
        params_of_one: the params of one environment: of the first, if params are batched.
        observations, actions: the spaces under `params_of_one`.
        obs, state: the last observation and state, on the device; `None` before the first reset.
    """

    def __init__(self, env: Environment | VectorEnv, params: Any, seed: int | None) -> None:
        self.env = env
        self.params = env.default_params if params is None else params
        if is_traced(self.params):
            raise InvalidParamsError(
                "an export is called from outside of jit, and its params are traced. Export the "
                "environment outside of jit, or use to_gymnax or to_stoa."
            )
        self.params_of_one = self.params
        if isinstance(env, VectorEnv) and env.batched_params:
            self.params_of_one = jax.tree.map(lambda leaf: leaf[0], self.params)
        self.observations = env.observation_space(self.params_of_one)
        self.actions = env.action_space(self.params_of_one)
        self.obs: Any = None
        self.state: Any = None
        self._is_owner = True
        self._prepare()
        self.seed(seed)

    @property
    def is_started(self) -> bool:
        """Whether there was a reset."""
        return self.state is not None

    def _prepare(self) -> None:
        """Set the attributes that are not pickled."""
        self._unpack: Any = None
        self._run = (self.env.env if isinstance(self.env, VectorEnv) else self.env)._run
        self._programs: _Programs = self.env._shared.get("driver", _programs_of)

    def __getstate__(self) -> dict[str, Any]:
        made_again = ("_unpack", "_run", "_programs")
        kept = {name: value for name, value in vars(self).items() if name not in made_again}
        return kept | {"_is_owner": True}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        vars(self).update(kept)
        self._prepare()

    def __deepcopy__(self, memo: dict[int, Any]) -> Driver:
        """Return a copy that continues from here, with the same programs and nothing to close."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), _is_owner=False)
        return other

    def copy(self) -> Driver:
        """Return a copy with the same programs, its own key, and nothing to close."""
        other = copy.deepcopy(self)
        other.obs = other.state = None
        other.seed(None)
        return other

    def seed(self, seed: int | None) -> None:
        """Begin with `jax.random.key(seed)`; without a seed, begin with a random one.

        Raises:
            InvalidOptionError: if the seed is not an integer.
        """
        refuse_after_fork()
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        if not isinstance(seed, int | np.integer):
            raise InvalidOptionError(f"seed must be an integer or None, got {seed!r}.")
        # The data of a key is dispatched faster than a typed one. Gymnasium's seeds have no end.
        number, config = int(seed) % 2**63, cast(Any, jax.config)
        if number < 2**31 and config.jax_default_prng_impl == "threefry2x32":
            # The same, in a hundredth of the time.
            self._key: Any = np.array([0, number], np.uint32)
        else:
            self._key = jax.random.key_data(jax.random.key(number))

    def reset(self, mask: np.ndarray[Any, Any] | None = None) -> Any:
        """Start an episode; for a batch, in each lane, or where a bool[num_envs] is true.

        Returns:
            The observation.
        """
        self._start(mask)
        return self.observation(jax.tree.map(np.array, self.obs))

    def reset_on_device(self, mask: np.ndarray[Any, Any] | None = None) -> Any:
        """Do the same as `reset`, with JAX arrays that nobody else holds."""
        self._start(mask)
        return jax.tree.map(jnp.copy, self.obs)

    def _start(self, mask: np.ndarray[Any, Any] | None) -> None:
        refuse_after_fork()
        if mask is None:
            started = self._run(self._programs.reset, self._key, self.params)
        else:
            before = [self.obs, self.state]
            started = self._run(self._programs.reset_some, self._key, self.params, mask, before)
        self._key, self.obs, self.state = started

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Advance one step.

        Returns:
            `(obs, reward, terminated, truncated, info)`, as writable arrays.

        Raises:
            InvalidActionError: if the action has another structure, shape or kind than the space,
                or is an integer outside of it.
        """
        refuse_after_fork()
        arguments = self._key, self.state, self._action(action), self.params
        if self._unpack is None:
            self._unpack = unpacker(jax.eval_shape(self._programs.step, *arguments)[-1])
        self._key, self.obs, self.state, packed = self._run(self._programs.step_packed, *arguments)
        obs, reward, terminated, truncated, info = self._unpack(packed)
        return self.observation(obs), reward, terminated, truncated, info

    def step_on_device(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Do the same as `step`, with JAX arrays that nobody else holds and unchecked actions."""
        refuse_after_fork()
        arguments = self._key, self.state, action, self.params
        self._key, self.obs, self.state, shown = self._run(self._programs.step_apart, *arguments)
        obs, reward, terminated, truncated, info = shown
        return obs, reward, terminated, truncated, info

    def observation(self, obs: Any) -> Any:
        """Return the observation as NumPy arrays with the dtypes of the space."""
        return map_space(observed, self.observations, obs)

    def render(self) -> Any:
        """Draw the last state."""
        draw: Any = self.env.render
        return draw(self.state, self.params)

    def close(self) -> None:
        """Free what the environment holds. It may be called repeatedly."""
        if self._is_owner:
            self.env.close()

    def _action(self, action: Any) -> Any:
        try:
            return map_space(_checked, self.actions, action)
        except (TypeError, ValueError, KeyError) as error:
            message = f"the action {action!r} does not fit {self.actions}: {error}"
            raise InvalidActionError(message) from error


class _Programs(NamedTuple):
    """The programs that are called outside JAX; `step` is not compiled and only gives shapes."""

    reset: Any
    reset_some: Any
    step: Any
    step_packed: Any
    step_apart: Any


def _programs_of(env: Environment | VectorEnv) -> _Programs:
    def reset(key_data: jax.Array, params: Any) -> Any:
        key, reset_key = _split(key_data)
        return key, *env.reset(reset_key, params)

    def reset_some(key_data: jax.Array, params: Any, mask: jax.Array, before: Any) -> Any:
        def choose(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        key, *fresh = reset(key_data, params)
        return key, *jax.tree.map(choose, fresh, before)

    def step(key_data: jax.Array, state: Any, action: Any, params: Any) -> Any:
        key, step_key = _split(key_data)
        obs, state, *rest = env.step(step_key, state, action, params)
        return key, obs, state, jax.tree.map(_without_keys, (obs, *rest))

    def step_packed(*arguments: Any) -> Any:
        *kept, shown = step(*arguments)
        return *kept, pack(shown)

    def step_apart(*arguments: Any) -> Any:
        *kept, shown = step(*arguments)
        return *kept, jax.tree.map(jnp.copy, shown)

    return _Programs(
        jax.jit(reset), jax.jit(reset_some), step, jax.jit(step_packed), jax.jit(step_apart)
    )


def _split(key_data: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the data of the key to keep, and the key to use."""
    kept, used = jax.random.split(jax.random.wrap_key_data(key_data))
    return jax.random.key_data(kept), used


def _checked(space: Any, leaf: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(leaf)
    if array.shape != space.shape:
        raise ValueError(f"its shape is {array.shape}, not {space.shape}")
    is_float, kind = space.dtype.kind == "f", array.dtype.kind
    if kind == "V" and jnp.issubdtype(array.dtype, np.floating):
        kind = "f"  # a float of JAX that NumPy lacks, such as bfloat16
    if kind not in ("iuf" if is_float else "iu"):
        raise TypeError(f"its dtype is {array.dtype}, not {space.dtype}")
    if not is_float and not ((array >= space.low) & (array <= space.high)).all():
        raise ValueError("it is out of bounds")
    return array.astype(space.dtype)


def _without_keys(leaf: jax.Array) -> jax.Array:
    """Return the numbers of a key of JAX, which NumPy has none of; playground's `info` has one."""
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf
