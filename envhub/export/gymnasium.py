"""One environment as a `gymnasium.Env`."""

from __future__ import annotations

import functools
import importlib
import re
from typing import Any

from envhub import registry, spaces
from envhub.environment import Environment
from envhub.errors import MissingCapabilityError
from envhub.export.checks import check_one_episode, check_reset_options
from envhub.export.copies import Copied, WithSpec
from envhub.export.driver import Driver
from envhub.flags import Capabilities


def to_gymnasium(
    env: Environment,
    params: Any = None,
    *,
    seed: int | None = None,
    render_mode: str | None = None,
) -> Any:
    """Export an environment as a `gymnasium.Env`.

    `reset(seed=s)` starts the episode of `env.reset(jax.random.split(jax.random.key(s))[1])`;
    without a seed, `reset` starts the next episode. Observations are NumPy arrays with the dtypes
    of the spaces (a NumPy integer for a `Discrete` space), the reward is a float, the flags are
    bools, and `info` holds NumPy arrays; the `info` of `reset` is empty. An action of another
    structure, shape or kind than the space, or an integer outside it, raises `InvalidActionError`;
    floats out of bounds go to the environment. `close()` closes the environment.

    `spec.make()` makes another export of the same environment, with its own episode.

    Args:
        env: one environment of one agent, without `AutoReset`.
        params: the params of all calls; by default the environment's default params.
        seed: the seed of the episodes until `reset` gets one; by default it is random.
        render_mode: `"rgb_array"` to let `render()` draw: uint8[H, W, 3].

    Raises:
        InvalidOptionError: if the environment is not of this kind.
        MissingCapabilityError: if it cannot be drawn in this mode.
        MissingDependencyError, UnsupportedVersionError: if Gymnasium is not usable.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> exported = to_gymnasium(env, params)
        >>> obs, info = exported.reset(seed=0)
        >>> obs.shape, exported.step(1)[1]
        ((4,), 1.0)
    """
    check_one_episode(env, "to_gymnasium")
    metadata = render_metadata(env.capabilities, render_mode)
    return _env_class()(_driver(env, params, seed), metadata, render_mode, seed)


def _driver(env: Environment, params: Any, seed: int | None) -> Driver:
    if env.capabilities.jax_native:
        return Driver(env, params, seed)
    from envhub.export.direct import driver_of  # which makes JAX load its callbacks

    return driver_of(env, params, seed)


def render_metadata(capabilities: Capabilities, render_mode: str | None) -> dict[str, Any]:
    """Return Gymnasium's `metadata` about rendering.

    Raises:
        MissingCapabilityError: if the environment lacks the mode.
    """
    modes = ["rgb_array"] if capabilities.renderable else []
    if render_mode not in (None, *modes):
        reason = capabilities.why("renderable") or 'the only mode is "rgb_array".'
        raise MissingCapabilityError(f"there is no render_mode={render_mode!r}: {reason}")
    return {"render_modes": modes, "render_fps": 30}


class WithGenerator:
    """An export whose generator is made when somebody asks for it.

    `gymnasium.Env.reset(seed=…)` makes it at once, which takes as long as most resets do.
    """

    _generator: Any = None
    _np_random_seed: Any = None

    def begin(self, seed: Any) -> None:
        """Do what `gymnasium.Env.reset(seed=seed)` does.

        Raises:
            gymnasium.error.Error: if the seed is no integer, or negative.
        """
        if type(seed) is int and seed >= 0:
            self._generator, self._np_random_seed = None, seed
        else:
            base: Any = super()
            base.reset(seed=seed)

    @property
    def _np_random(self) -> Any:
        if self._generator is None and self._np_random_seed is not None:
            seeding: Any = importlib.import_module("gymnasium.utils.seeding")
            self._generator, _ = seeding.np_random(self._np_random_seed)
        return self._generator

    @_np_random.setter
    def _np_random(self, generator: Any) -> None:
        self._generator = generator


@functools.cache
def _env_class() -> Any:
    gymnasium: Any = registry.get("gymnasium").load()

    class EnvHubEnv(WithSpec, WithGenerator, Copied, gymnasium.Env):  # type: ignore[misc]
        """An environment of envhub; see `envhub.export.to_gymnasium`."""

        class_of = staticmethod(_env_class)

        def __init__(
            self, driver: Driver, metadata: dict[str, Any], render_mode: str | None, seed: Any
        ) -> None:
            self.driver, self.metadata, self.render_mode = driver, metadata, render_mode
            self.observation_space = spaces.to_gymnasium(driver.observations)
            self.action_space = spaces.to_gymnasium(driver.actions)
            if seed is not None:
                self.begin(seed)
            env = driver.env

            self.spec = gymnasium.envs.registration.EnvSpec(
                _gymnasium_id(env.spec.id if env.spec else type(env).__name__),
                entry_point=_Another(driver, metadata),
                nondeterministic=not env.capabilities.reproducible,
            )

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
            if options:
                check_reset_options(options)
            if seed is not None:
                self.begin(seed)
                self.driver.seed(seed)
            return self.driver.reset(), {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            self._check_reset()
            obs, reward, terminated, truncated, info = self.driver.step(action)
            return obs, float(reward), bool(terminated), bool(truncated), info

        def render(self) -> Any:
            if self.render_mode is None:
                return None
            self._check_reset()
            return self.driver.render()

        def close(self) -> None:
            self.driver.close()

        def _check_reset(self) -> None:
            if not self.driver.is_started:
                raise gymnasium.error.ResetNeeded("call reset first.")

        def __str__(self) -> str:
            return f"<{type(self).__name__}{self.driver.env!r}>"

    return EnvHubEnv


class _Another:
    """Makes another export of the same environment, with its own episode.

    Attributes:
        metadata: the metadata of the environment; `gymnasium.make` reads it here.
    """

    def __init__(self, driver: Driver, metadata: dict[str, Any]) -> None:
        self._driver, self.metadata = driver, metadata

    def __call__(self, render_mode: str | None = None) -> Any:
        return _env_class()(self._driver.copy(), self.metadata, render_mode, None)


def _gymnasium_id(name: str) -> str:
    """Return the name in the form of Gymnasium's ids; `-` replaces other characters."""
    if re.fullmatch(r"([\w:-]+/)?[\w:.-]+", name):
        return name
    return re.sub(r"[^\w:.-]", "-", name)
