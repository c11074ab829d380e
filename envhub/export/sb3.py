"""Export a batch as Stable-Baselines3's `VecEnv`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub.errors import InvalidOptionError
from envhub.export.checks import check_batch, check_reset, check_reset_options, load
from envhub.export.copies import Copied
from envhub.export.driver import Driver
from envhub.export.gymnasium import render_metadata
from envhub.vector import VectorEnv
from envhub.wrappers.autoreset import AutoReset


def to_sb3(
    venv: VectorEnv,
    params: Any = None,
    *,
    seed: int | None = None,
    render_mode: str | None = None,
) -> Any:
    """Export a batch as a `stable_baselines3.common.vec_env.VecEnv`.

    One compiled call steps all environments. Observations, rewards (float32) and `dones` are NumPy
    arrays with a leading axis of `num_envs`, and `infos` is a list with a dict per environment: the
    `info` of its step; `TimeLimit.truncated`, which is true if only a limit ended the episode; and,
    if the episode ended, `terminal_observation`, its final observation. An action of another shape
    or kind than the space, or an integer outside it, raises `InvalidActionError`.

    The next `reset` after `seed(s)` starts the episodes of
    `venv.reset(jax.random.split(jax.random.key(s))[1])`. The environments of a batch share one
    seed: the first of the list that `seed` returns.

    `get_attr` and `env_method` find the attributes of one environment of envhub, and for each lane
    `params`, `state` (of the previous step), `render()` and `render_mode`. `set_attr` is refused,
    and so is every option of `set_options`. `close()` closes the environments.

    Args:
        venv: a batch of environments of one agent with `autoreset="same_step"`, as
            `envhub.make_vec` makes it. With batched params, the spaces are those of the first.
        params: the params of all calls; by default the environment's default params.
        seed: the seed of the episodes until `seed` is called; by default it is random.
        render_mode: `"rgb_array"` to let `render()` draw all environments in one image.

    Raises:
        InvalidOptionError: if `venv` is not such a batch.
        MissingCapabilityError: if it cannot be drawn in this mode.
        MissingDependencyError: if Stable-Baselines3 is not installed.

    Examples:
        >>> venv, params = envhub.make_vec("gymnax::CartPole-v1", 64)
        >>> exported = to_sb3(venv, params, seed=0)
        >>> exported.reset().shape
        (64, 4)
    """
    check_batch(venv, "to_sb3")
    autoreset = venv.find(AutoReset)
    if autoreset is None or autoreset.mode != "same_step":
        raise InvalidOptionError(
            "Stable-Baselines3 resets in the step that ends an episode: to_sb3 takes the batch of "
            f'make_vec(…, autoreset="same_step"), and {venv} has {autoreset and autoreset.mode!r}.'
        )
    render_metadata(venv.capabilities, render_mode)
    return _vec_env_class()(Driver(venv, params, seed), render_mode)


class _Lane:
    """One environment of a batch, as `get_attr` and `env_method` see it."""

    def __init__(self, driver: Driver, lane: int, render_mode: str | None) -> None:
        self._driver, self._lane, self.render_mode = driver, lane, render_mode

    @property
    def params(self) -> Any:
        params, is_batched = self._driver.params, self._venv.batched_params
        return _of_lane(params, self._lane) if is_batched else params

    @property
    def state(self) -> Any:
        return _of_lane(self._driver.state, self._lane)

    def render(self) -> Any:
        """uint8[H, W, 3]."""
        return self._venv.render(self._driver.state, self._driver.params, self._lane)

    @property
    def _venv(self) -> Any:
        return self._driver.env

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pickle asks for what an empty object has not
            raise AttributeError(name)
        return getattr(self._venv.env, name)


class _VecEnv(Copied):
    """The methods, in front of those of Stable-Baselines3's class."""

    num_envs: int
    _seeds: list[int | None]
    _reset_seeds: Callable[[], None]
    _get_indices: Callable[[Any], Iterable[int]]

    def __init__(self, driver: Driver, render_mode: str | None) -> None:
        venv: Any = driver.env
        self.driver = driver
        self._lanes = [_Lane(driver, lane, render_mode) for lane in range(venv.num_envs)]
        seen = venv.single_observation_space(driver.params_of_one)
        taken = venv.single_action_space(driver.params_of_one)
        given = venv.num_envs, spaces.to_gymnasium(seen), spaces.to_gymnasium(taken)
        super().__init__(*given)  # type: ignore[call-arg]

    def reset(self) -> Any:
        if self._seeds[0] is not None:
            self.driver.seed(self._seeds[0])
        self._reset_seeds()
        return self.driver.reset()

    def set_options(self, options: Any = None) -> None:
        for each in options if isinstance(options, list) else [options]:
            check_reset_options(each)

    def step_async(self, actions: Any) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        check_reset(self.driver, "to_sb3")
        obs, reward, terminated, truncated, info = self.driver.step(self._actions)
        last_obs = self.driver.observation(info.pop("final_obs"))
        infos, dones = _by_lane(info, self.num_envs), terminated | truncated
        for told, is_cut in zip(infos, (truncated & ~terminated).tolist(), strict=True):
            told["TimeLimit.truncated"] = is_cut
        for lane in np.flatnonzero(dones):
            infos[lane]["terminal_observation"] = _of_lane(last_obs, lane)
        return obs, reward, dones, infos

    def get_images(self) -> Any:
        return self.env_method("render")

    def close(self) -> None:
        self.driver.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self._lanes[lane], attr_name) for lane in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise InvalidOptionError(
            f"{attr_name} cannot be set: the environments are one compiled program. What differs "
            "is in the params: to_sb3 takes those of each environment if the batch is that of "
            "make_vec(…, batched_params=True)."
        )

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        return [call(*args, **kwargs) for call in self.get_attr(method_name, indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        is_wrapped = self.driver.env.find(wrapper_class) is not None
        return [is_wrapped for _ in self._get_indices(indices)]


def _by_lane(info: dict[str, Any], num_envs: int) -> list[dict[str, Any]]:
    """Return the info of each environment, without the entries that a mask excludes."""
    infos: list[dict[str, Any]] = [{} for _ in range(num_envs)]
    masks = {f"_{name}" for name in info} & set(info)  # those of envhub's wrappers
    for name, value in info.items():
        if name in masks:
            continue
        lanes = np.flatnonzero(info[f"_{name}"]) if f"_{name}" in masks else range(num_envs)
        each = _by_lane(value, num_envs) if isinstance(value, dict) else value
        for lane in lanes:
            infos[lane][name] = each[lane]
    return infos


def _of_lane(tree: Any, lane: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[lane], tree)


@functools.cache
def _vec_env_class() -> Any:
    library: Any = load("stable_baselines3.common.vec_env", "stable-baselines3", "to_sb3")

    class EnvHubVecEnv(_VecEnv, library.VecEnv):  # type: ignore[misc]
        """A batch of environments of envhub; see `envhub.export.to_sb3`."""

        class_of = staticmethod(_vec_env_class)

    return EnvHubVecEnv
