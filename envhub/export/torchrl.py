"""Export a batch as TorchRL's `EnvBase`."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.errors import InvalidOptionError, InvalidStateError
from envhub.export.checks import check_batch, load
from envhub.export.copies import Copied
from envhub.export.driver import Driver
from envhub.export.exchange import exchange_of
from envhub.vector import VectorEnv
from envhub.wrappers.autoreset import AutoReset

TAKEN = {"action", "done", "reward", "terminated", "truncated", "_reset"}


def to_torchrl(venv: VectorEnv, params: Any = None, *, seed: int | None = None) -> Any:
    """Export a batch as a `torchrl.envs.EnvBase` of the batch size `[num_envs]`.

    One compiled call steps all environments, and tensors cross by DLPack: nothing leaves the
    device. A step gives `reward` (float32), `done`, `terminated` and `truncated` of the shape
    `[num_envs, 1]`, and under `("next", "observation")` the final observation of an episode that
    ended. The entries of a `Dict` observation stand beside these, under their own names. `info` is
    left out. Integers stay integers: a `Discrete` space becomes a `Categorical` spec. The values of
    actions are not checked.

    A partial reset (`_reset`) of lanes whose episode ended gives the first observation of the
    episode that the batch has already started. The next `reset` after `set_seed(s)` starts the
    episodes of `venv.reset(jax.random.split(jax.random.key(s))[1])`.

    Args:
        venv: a batch of environments of one agent with `autoreset="same_step"`, as
            `envhub.make_vec` makes it. With batched params, the specs are those of the first.
        params: the params of all calls; by default the environment's default params.
        seed: the seed of the episodes until `set_seed` is called; by default it is random.

    Raises:
        InvalidOptionError: if `venv` is not such a batch, it is on several devices, or TorchRL has
            no specs for its spaces.
        MissingDependencyError: if TorchRL is not installed.

    Examples:
        >>> venv, params = envhub.make_vec("gymnax::CartPole-v1", 64)
        >>> exported = to_torchrl(venv, params, seed=0)
        >>> exported.rollout(10, break_when_any_done=False)["observation"].shape
        torch.Size([64, 10, 4])
    """
    check_batch(venv, "to_torchrl")
    autoreset = venv.find(AutoReset)
    if autoreset is None or autoreset.mode != "same_step":
        raise InvalidOptionError(
            "to_torchrl needs the batch of "
            f'make_vec(…, autoreset="same_step"); {venv} has {autoreset and autoreset.mode!r}.'
        )
    if venv.sharding is not None:
        raise InvalidOptionError("a tensor is on one device. Make the batch without mesh=.")
    return _env_class()(Driver(venv, params, seed))


class _Env(Copied):
    """The methods, in front of those of TorchRL's class."""

    batch_size: Any
    is_closed: bool

    def __init__(self, driver: Driver) -> None:
        torch: Any = load("torch", "torch", "to_torchrl")
        venv: Any = driver.env
        exchange: Any = exchange_of("torch")
        device = exchange.outwards(jnp.zeros(())).device
        super().__init__(device=device, batch_size=[venv.num_envs])  # type: ignore[call-arg]
        self.driver, self._inwards, self._outwards = driver, exchange.inwards, exchange.outwards
        self._of = load("tensordict", "tensordict", "to_torchrl").TensorDict
        seen = venv.single_observation_space(driver.params_of_one)
        spec_of = functools.partial(_spec, shape=(venv.num_envs,), device=device)
        self._has_names = isinstance(seen, spaces.Dict)
        observations = spec_of(seen)
        if not self._has_names:
            observations = _composite({"observation": observations}, (venv.num_envs,), device)
        elif clashes := sorted(TAKEN & set(seen)):
            raise InvalidOptionError(
                f"the observation of {venv} has entries that TorchRL names itself: {clashes}. "
                "Give make_vec wrappers=[FlattenObservation]."
            )
        flag = _specs().Categorical(2, shape=(venv.num_envs, 1), dtype=torch.bool, device=device)
        names = "done", "terminated", "truncated"
        self.observation_spec = observations
        self.action_spec = spec_of(venv.single_action_space(driver.params_of_one), of_actions=True)
        self.reward_spec = _specs().Unbounded((venv.num_envs, 1), device=device)
        self.full_done_spec = _composite(
            {name: flag.clone() for name in names}, (venv.num_envs,), device
        )
        self._none = {name: flag.zero() for name in names}
        self._ended = self._none["done"][:, 0]
        self._started: Any = None

    def _reset(self, tensordict: Any = None, **_: Any) -> Any:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        if mask is None:
            self._started = self._outwards(self.driver.reset_on_device())
            self._ended = self._none["done"][:, 0]
        else:
            self._reset_some(mask.reshape(-1))
        obs = jax.tree.map(_clone, self._started)
        return self._shown(obs, {name: flag.clone() for name, flag in self._none.items()})

    def _reset_some(self, mask: Any) -> None:
        """Reset the lanes in the middle of an episode; the others have begun the next one."""
        self._check_reset()
        inside = mask & ~self._ended
        if inside.any():
            self._started = self._outwards(self.driver.reset_on_device(inside.cpu().numpy()))
        self._ended = self._ended & ~mask

    def _step(self, tensordict: Any) -> Any:
        self._check_reset()
        action = tensordict["action"]
        if isinstance(action, self._of):
            action = action.to_dict()
        *result, info = self.driver.step_on_device(self._inwards(action))
        shown = self._outwards([*result, info["final_obs"]])
        self._started, reward, terminated, truncated, last_obs = shown
        self._ended = terminated | truncated
        flags = {"done": self._ended, "terminated": terminated, "truncated": truncated}
        told = {"reward": reward.float(), **flags}
        return self._shown(last_obs, {name: leaf[:, None] for name, leaf in told.items()})

    def _set_seed(self, seed: int | None) -> None:
        self.driver.seed(seed)

    def close(self, *, raise_if_closed: bool = True) -> None:
        if not self.is_closed:
            self.driver.close()
        super().close(raise_if_closed=raise_if_closed)  # type: ignore[misc]

    def _check_reset(self) -> None:
        if self.driver.state is None:
            raise InvalidStateError("there is no state to step from: call reset first.")

    def _shown(self, obs: Any, rest: dict[str, Any]) -> Any:
        named = obs if self._has_names else {"observation": obs}
        return self._of({**named, **rest}, self.batch_size)


@functools.cache
def _env_class() -> Any:
    class EnvHubTorchRLEnv(_Env, load("torchrl.envs", "torchrl", "to_torchrl").EnvBase):  # type: ignore[misc]
        """A batch of environments of envhub; see `envhub.export.to_torchrl`."""

        class_of = staticmethod(_env_class)

    return EnvHubTorchRLEnv


def _torch() -> Any:
    return load("torch", "torch", "to_torchrl")


def _specs() -> Any:
    return load("torchrl.data", "torchrl", "to_torchrl")


def _composite(children: dict[str, Any], shape: tuple[int, ...], device: Any) -> Any:
    return _specs().Composite(children, shape=shape, device=device)


def _clone(leaf: Any) -> Any:
    return leaf.clone()


def _spec(space: Any, shape: tuple[int, ...], device: Any, *, of_actions: bool = False) -> Any:
    """Convert a space to the spec of a batch of this shape.

    Raises:
        InvalidOptionError: if TorchRL has no spec for it.
    """
    if isinstance(space, spaces.Dict):
        spec_of = functools.partial(_spec, shape=shape, device=device, of_actions=of_actions)
        return _composite({name: spec_of(child) for name, child in space.items()}, shape, device)
    if isinstance(space, spaces.Tuple):
        raise InvalidOptionError(
            f"TorchRL has no spec for {space}. Give make_vec wrappers=[FlattenObservation], or "
            "[FlattenAction] where it is the action space."
        )
    # JAX's dtype, which without x64 mode may be narrower. It narrows actions itself, and PyTorch
    # has no other indices than those of 64 bits.
    numpy_dtype = jax.dtypes.canonicalize_dtype(space.dtype)
    if of_actions and numpy_dtype.kind in "iu":
        numpy_dtype = np.dtype(np.int64)
    given = {"shape": (*shape, *space.shape), "dtype": getattr(_torch(), numpy_dtype.name)}
    given["device"] = device
    kinds = _specs()
    if numpy_dtype.kind == "b":
        return kinds.Categorical(2, **given)
    if isinstance(space, spaces.Discrete) and not space.start:
        return kinds.Categorical(space.n, **given)
    low, high = (np.asarray(bound, numpy_dtype) for bound in (space.low, space.high))
    if not np.isfinite([low, high]).all():
        return kinds.Unbounded(**given)
    bounds = (
        _torch().as_tensor(np.broadcast_to(bound, given["shape"]).copy(), device=device)
        for bound in (low, high)
    )
    return kinds.Bounded(*bounds, **given)
