"""Export a batch as a `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from envhub import registry, spaces
from envhub.errors import InvalidOptionError, UnsupportedVersionError
from envhub.export.checks import check_batch, check_reset_options
from envhub.export.copies import Copied, WithSpec
from envhub.export.driver import Driver
from envhub.export.exchange import Exchange, Kind, exchange_of
from envhub.export.gymnasium import render_metadata
from envhub.vector import VectorEnv
from envhub.wrappers.autoreset import AutoReset, Mode

MODES = {"same_step": "SAME_STEP", "next_step": "NEXT_STEP", None: "DISABLED"}


def to_gymnasium_vec(
    venv: VectorEnv,
    params: Any = None,
    *,
    seed: int | None = None,
    render_mode: str | None = None,
    array: Kind = "numpy",
) -> Any:
    """Export a batch as a `gymnasium.vector.VectorEnv`.

    `metadata["autoreset_mode"]` and the attribute `autoreset_mode` are the mode of the batch. All
    values are NumPy arrays with a leading axis of `num_envs`: observations have the dtypes of the
    spaces, rewards are float64, flags are bool, and `info` has the form of Gymnasium's own vector
    environments, in which each entry has a mask `info["_name"]`:

    - In mode `"same_step"`, if an episode ended, `info["final_obs"]` (an array of objects) has its
      final observation, and `info["final_info"]` (a dict of arrays) has the info of its last step;
      both are present only in steps that end an episode. The other entries belong to the lanes
      whose episode continues.
    - In mode `"next_step"`, a lane has no info in the step that resets it.
    - Without autoreset, `reset(options={"reset_mask": mask})` resets the lanes where the
      bool[num_envs] is true. It computes all resets.

    `reset(seed=s)` starts the episodes of `venv.reset(jax.random.split(jax.random.key(s))[1])`.
    With batched params, the spaces are those of the first environment.

    With `array="jax"` or `array="torch"`, nothing leaves the device: observations, rewards
    (float32), flags and `info` are those of `venv.step`, as JAX arrays or PyTorch tensors. `step`
    takes actions of the same kind, whose values are not checked, or NumPy arrays. Tensors cross by
    DLPack, without a copy if the two libraries share the device (but JAX narrows 64-bit integers).
    Nothing else holds the arrays of a step, so they may be written to, and so may an action after
    `step` has returned.

    Args:
        venv: a batch of environments of one agent, as `envhub.make_vec` makes it. Most of
            Gymnasium's normalising wrappers support only `autoreset="next_step"`.
        params: the params of all calls; by default the environment's default params.
        seed: the seed of the episodes until `reset` gets one; by default it is random.
        render_mode: `"rgb_array"` to let `render()` draw: a tuple of uint8[H, W, 3].
        array: the kind of the arrays, `"numpy"`, `"jax"` or `"torch"`.

    Raises:
        InvalidOptionError: if `venv` is not such a batch, tensors are requested for a batch on
            several devices, or `array` is unknown.
        MissingCapabilityError: if it cannot be drawn in this mode.
        MissingDependencyError: if Gymnasium is not installed, or PyTorch is requested and absent.
        UnsupportedVersionError: if Gymnasium lacks the autoreset mode: 1.0 has only `"next_step"`.

    Examples:
        >>> venv, params = envhub.make_vec("gymnax::CartPole-v1", 16, autoreset="next_step")
        >>> exported = to_gymnasium_vec(venv, params)
        >>> exported.reset(seed=0)[0].shape
        (16, 4)
    """
    mode = _check(venv, array)
    metadata = {**render_metadata(venv.capabilities, render_mode), **_autoreset_metadata(mode)}
    given = Driver(venv, params, seed), metadata, render_mode, seed, mode
    exchange = exchange_of(array)
    return _on_device_class()(exchange, *given) if exchange else _vector_env_class()(*given)


def _check(venv: Any, array: Kind) -> Mode | None:
    """Refuse what is not a batch of one agent or cannot be exported; return its autoreset mode."""
    check_batch(venv, "to_gymnasium_vec")
    if array == "torch" and venv.sharding is not None:
        raise InvalidOptionError("a tensor is on one device. Make the batch without mesh=.")
    autoreset = venv.find(AutoReset)
    return autoreset.mode if autoreset else None


def _autoreset_metadata(mode: Mode | None) -> dict[str, Any]:
    gymnasium = _gymnasium()
    if hasattr(gymnasium.vector, "AutoresetMode"):
        return {"autoreset_mode": gymnasium.vector.AutoresetMode[MODES[mode]]}
    if mode == "next_step":
        return {}
    raise UnsupportedVersionError(
        f"the vector environments of gymnasium {gymnasium.__version__} reset in "
        f'the next step. Give make_vec autoreset="next_step" instead of {mode!r}, or run: '
        'pip install "gymnasium>=1.1"'
    )


@functools.cache  # what is installed is read from files, which takes longer than a step
def _gymnasium() -> Any:
    return registry.get("gymnasium").load()


class _VectorEnv(WithSpec, Copied):
    """The methods, in front of those of Gymnasium's class."""

    def __init__(
        self,
        driver: Driver,
        metadata: dict[str, Any],
        render_mode: str | None,
        seed: int | None,
        mode: str | None,
    ) -> None:
        venv: Any = driver.env
        self.driver, self.metadata, self.render_mode = driver, metadata, render_mode
        # Gymnasium's own vector environments say it twice; TorchRL reads the attribute.
        self.autoreset_mode = metadata.get("autoreset_mode")
        self.num_envs, self._mode = venv.num_envs, mode
        self.observation_space = spaces.to_gymnasium(driver.observations)
        self.action_space = spaces.to_gymnasium(driver.actions)
        self.single_observation_space = spaces.to_gymnasium(
            venv.single_observation_space(driver.params_of_one)
        )
        self.single_action_space = spaces.to_gymnasium(
            venv.single_action_space(driver.params_of_one)
        )
        self._ended = np.zeros(self.num_envs, bool)
        super().reset(seed=seed)  # type: ignore[misc]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        if seed is not None and not isinstance(seed, int | np.integer):
            raise InvalidOptionError(f"the seed of a batch must be one integer, got {seed!r}.")
        check_reset_options(options, "reset_mask")
        super().reset(seed=seed)  # type: ignore[misc]
        if seed is not None:
            self.driver.seed(seed)
        mask = (options or {}).get("reset_mask")
        if mask is None:
            self._ended[:] = False
            return self._start(None), {}
        self._check_reset()
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise InvalidOptionError(
                f"reset_mask must be a bool[{self.num_envs}] with at least one True, got {mask!r}."
            )
        self._ended[mask] = False
        return self._start(mask), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self._check_reset()
        obs, reward, terminated, truncated, info = self.driver.step(actions)
        started, self._ended = self._ended, terminated | truncated
        if self._mode == "same_step":
            infos = self._with_finals(info)
        else:
            infos = _masked(info, ~started if self._mode else np.ones_like(started))
        return obs, reward.astype(float), terminated.copy(), truncated.copy(), infos

    def render(self) -> Any:
        if self.render_mode is None:
            return None
        self._check_reset()
        draw: Any = self.driver.env.render
        state, params = self.driver.state, self.driver.params
        return tuple(draw(state, params, index) for index in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        self.driver.close()

    def _start(self, mask: np.ndarray[Any, Any] | None) -> Any:
        return self.driver.reset(mask)

    def _with_finals(self, info: dict[str, Any]) -> dict[str, Any]:
        ended = self._ended
        last_obs = info.pop("final_obs")
        infos = _masked(info, ~ended)
        if ended.any():
            each = _gymnasium().vector.utils.iterate(
                self.observation_space, self.driver.observation(last_obs)
            )
            final_obs = np.full(self.num_envs, None, object)
            for lane, obs in enumerate(each):
                if ended[lane]:
                    final_obs[lane] = obs
            infos |= {"final_obs": final_obs, "_final_obs": ended.copy()}
            infos |= {"final_info": _masked(info, ended), "_final_info": ended.copy()}
        return infos

    def _check_reset(self) -> None:
        if self.driver.state is None:
            raise _gymnasium().error.ResetNeeded("call reset first.")


@functools.cache
def _vector_env_class() -> Any:
    class EnvHubVectorEnv(_VectorEnv, _gymnasium().vector.VectorEnv):  # type: ignore[misc]
        """A batch of environments of envhub; see `envhub.export.to_gymnasium_vec`."""

        class_of = staticmethod(_vector_env_class)

    return EnvHubVectorEnv


@functools.cache
def _on_device_class() -> Any:
    class EnvHubDeviceVectorEnv(_vector_env_class()):  # type: ignore[misc]
        """A batch whose arrays stay on the device; see `envhub.export.to_gymnasium_vec`."""

        class_of = staticmethod(_on_device_class)

        def __init__(self, exchange: Exchange, *given: Any) -> None:
            super().__init__(*given)
            self._exchange = exchange

        def step(self, actions: Any) -> Any:
            self._check_reset()
            actions = self._exchange.inwards(actions)
            return self._exchange.outwards(self.driver.step_on_device(actions))

        def _start(self, mask: np.ndarray[Any, Any] | None) -> Any:
            return self._exchange.outwards(self.driver.reset_on_device(mask))

    return EnvHubDeviceVectorEnv


def _masked(info: dict[str, Any], mask: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return the entries that some lanes have, with zeros for the others, each with its mask."""
    shown: dict[str, Any] = {}
    own = {f"_{name}" for name in info} & set(info)  # wrappers of envhub have masks too
    for name, value in info.items():
        has = mask & info[f"_{name}"] if f"_{name}" in own else mask.copy()
        if name in own or not has.any():
            continue
        if isinstance(value, dict):
            shown[name] = _masked(value, has)
        else:
            shown[name] = np.where(has.reshape(-1, *[1] * (value.ndim - 1)), value, 0)
            shown[name] = shown[name].astype(value.dtype)
        shown[f"_{name}"] = has
    return shown
