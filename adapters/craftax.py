"""craftax 1.4.4 and newer: Craftax and Craftax-Classic, from symbols or pixels."""

from __future__ import annotations

import functools
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub._foreign import quiet
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.limits import NO_LIMIT, with_limit
from envhub.suite import Gap, Suite, in_x64_mode

NAMES = [
    "Craftax-Symbolic-v1",
    "Craftax-Pixels-v1",
    "Craftax-Classic-Symbolic-v1",
    "Craftax-Classic-Pixels-v1",
]
# Both of those that reset by themselves, which is bypassed, and of those that do not.
CLASSES = {f"{name.removesuffix('-v1').replace('-', '')}Env": name for name in NAMES}
INVENTORY_SIZE = 51
HEALTH, HEALTH_IN_CLASSIC = -29, -10  # where the symbols hold it


class CraftaxSuite(Suite):
    """Craftax's four environments, in the classes that never reset on their own."""

    name = "craftax"
    title = "Craftax and Craftax-Classic, symbolic and pixels, in JAX"
    module = "craftax"
    distribution = "craftax"
    relies_on = ("flax",)
    supported = ">=1.4.4,<2"
    example = "Craftax-Classic-Symbolic-v1"
    interface = "a craftax environment"

    def known_names(self) -> Iterable[str]:
        return NAMES  # craftax has no registry to ask

    def live_names(self) -> Iterable[str]:
        return NAMES

    def options(self, name: str) -> Iterable[str]:
        return ["static_env_params"]

    def family(self, name: str) -> str:
        return "Craftax"

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_timesteps"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        return Capabilities.native(differentiable="actions are discrete.")

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if in_x64_mode():
            return Gap("upstream", "craftax 1.6.1 mixes dtypes in x64 mode; switch that off.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        if "Pixels" in name:
            self.prepare_textures("craftax_classic" if "Classic" in name else "craftax")
        env = self.load("craftax_env").make_craftax_env_from_name(name, auto_reset=False)
        if options:
            env = type(env)(options["static_env_params"])
        return CraftaxEnvironment(env, env.default_params, self.capabilities(name, options))

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        name = next(filter(None, map(_name_of, type(obj).__mro__)), None)
        if name is None:
            return None
        is_own = _name_of(type(obj)) is not None
        env = CraftaxEnvironment(obj, obj.default_params, self.capabilities(name, {}))
        return name if is_own else type(obj).__name__, env

    def prepare_textures(self, package: str) -> None:
        """Have craftax keep its processed textures in the user's cache, whole or not at all.

        craftax 1.6 writes them into its own installation: a read-only one fails, and a second
        process that starts meanwhile reads half a file. (Before 1.6 that happens on import.)
        """
        constants: Any = self.load(f"{package}.constants")
        if not self.at_least("1.6") or os.path.exists(constants.TEXTURE_CACHE_FILE):
            return
        cached = _cache_folder() / f"craftax-{self.installed()}-{package}.pbz2"
        if not cached.exists():
            with tempfile.TemporaryDirectory(dir=cached.parent) as folder, quiet():
                constants.TEXTURE_CACHE_FILE = os.path.join(folder, "textures.pbz2")
                constants.load_all_textures()
                os.replace(constants.TEXTURE_CACHE_FILE, cached)
        constants.TEXTURE_CACHE_FILE = str(cached)


class CraftaxEnvironment(Environment):
    """A Craftax environment; its state and params are craftax's own."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.unwrapped.reset_env(key, params)
        return obs, state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        obs, state, reward, _, info = self.unwrapped.step_env(key, state, action, params)
        # craftax's `done` merges death, victory and the time limit, and so does info["discount"].
        unlimited = with_limit(params, "max_timesteps", NO_LIMIT)
        terminated = self.unwrapped.is_terminal(state, unlimited)
        truncated = state.timestep >= params.max_timesteps
        return StepResult(obs, state, reward, terminated, truncated, info)

    def observation_space(self, params: Any = None) -> spaces.Space:
        # craftax's own space swaps the sides of full Craftax's pixels before 1.6.
        shape = self.reset_shapes[0].shape
        low, high = np.zeros(shape, np.float32), np.ones(shape, np.float32)
        if len(shape) == 1:
            # craftax says 0, but a blow may take more than there is (1.6.1; Classic before 1.6).
            low[HEALTH_IN_CLASSIC if self._is_classic else HEALTH] = -np.inf
            if not self._is_classic:
                # craftax says 1, but late in the game levels and enchantments exceed it (1.6.1).
                high[-INVENTORY_SIZE:] = np.inf
        return spaces.Box(low, high, shape, np.float32)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(self.unwrapped.num_actions)

    def render_env(self, state: Any, params: Any) -> Any:
        package = "craftax_classic" if self._is_classic else "craftax"
        SUITE.prepare_textures(package)
        size = SUITE.load(f"{package}.constants").BLOCK_PIXEL_SIZE_IMG
        renderer = SUITE.load(f"{package}.renderer")
        with quiet():
            if SUITE.at_least("1.6"):
                draw = renderer.make_craftax_pixel_renderer(size)
            else:
                draw = functools.partial(renderer.render_craftax_pixels, block_pixel_size=size)
            return np.clip(jax.jit(draw)(state), 0, 255).astype(np.uint8)

    @property
    def _is_classic(self) -> bool:
        return any("craftax_classic" in kind.__module__ for kind in type(self.unwrapped).__mro__)


def _name_of(kind: type) -> str | None:
    is_craftaxs = kind.__module__.startswith("craftax.")
    return CLASSES.get(kind.__name__.removesuffix("NoAutoReset")) if is_craftaxs else None


def _cache_folder() -> pathlib.Path:
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    try:
        (home / "envhub").mkdir(parents=True, exist_ok=True)
    except OSError:
        return pathlib.Path(tempfile.gettempdir())
    return home / "envhub"


SUITE = CraftaxSuite()
