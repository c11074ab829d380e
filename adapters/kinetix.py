"""kinetix-env 3.0.2: levels of rigid bodies, motors and thrusters in Jax2D's physics."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.flags import Capabilities
from envhub.limits import NO_LIMIT
from envhub.params import params_dataclass
from envhub.suite import Gap, Suite, in_x64_mode

# By size: the number of bodies, joints and thrusters of which a level may have any.
LEVELS = {
    "s": """
        h0_weak_thrust h1_thrust_over_ball h2_one_wheel_car h3_point_the_thruster h4_thrust_aim
        h5_rotate_fall h6_unicycle_right h7_unicycle_left h8_unicycle_balance
        h9_explode_then_thrust_over
    """,
    "m": """
        arm_hard arm_left arm_right arm_up h0_unicycle h10_thrust_right_easy h11_thrust_left_easy
        h12_thrustfall_left h13_thrustfall_right h14_thrustblock h15_thrustshoot
        h16_thrustcontrol_right h17_thrustcontrol_left h18_thrust_right_very_easy
        h19_thrust_left_very_easy h1_car_left h2_car_right h3_car_thrust h4_thrust_the_needle
        h5_angry_birds h6_thrust_over h7_car_flip h8_weird_vehicle h9_spin_the_right_way
    """,
    "l": """
        car_launch car_swing_around chain_lander chain_thrust gears grasp_easy grasp_hard
        h0_angrybirds h10_morph_direction_2 h11_obstacle_avoidance h12_platformer_1
        h13_platformer_2 h14_simple_thruster h15_swing_up h16_thruster_goal h17_unicycle
        h1_car_left h2_car_ramp h3_car_right h4_cartpole h5_flappy_bird h6_lorry h7_maze_1
        h8_maze_2 h9_morph_direction hard_beam_balance hard_cartpole_thrust hard_cartpole_wheels
        hard_lunar_lander hard_pinball lever_puzzle mjc_half_cheetah mjc_half_cheetah_easy
        mjc_hopper mjc_hopper_easy mjc_swimmer mjc_walker mjc_walker_easy pr rail
    """,
}
NAMES = [f"{size}/{level}" for size, levels in LEVELS.items() for level in levels.split()]
ACTION_TYPES = ("continuous", "multi_discrete", "discrete")
# kinetix's "blind" cannot be made (3.0.2).
OBSERVATION_TYPES = ("symbolic_flat", "symbolic_flat_padded", "symbolic_entity", "pixels")
SIZES = ("num_polygons", "num_circles", "num_joints", "num_thrusters")
CLIPPED_TO = 10  # what kinetix clips the flat symbols to; its spaces say that they are infinite


@params_dataclass
class KinetixParams:
    """What can change from call to call.

    Attributes:
        max_timesteps: int32[], the step at which an episode is truncated.
        dense_reward_scale: float32[], the reward of a unit that the ball comes nearer to its goal.
        level: the `EnvState` that an episode starts with; `None` for what the environment draws,
            if `envhub.wrap` was given one that draws its levels.
        physics: Jax2D's `SimParams`: the size of a step, friction, the power of motors.
    """

    max_timesteps: Any
    dense_reward_scale: Any
    level: Any
    physics: Any


class KinetixSuite(Suite):
    """The levels of kinetix's files, by the step that never resets."""

    name = "kinetix"
    title = "levels of rigid bodies with motors and thrusters, in JAX"
    module = "kinetix"
    distribution = "kinetix-env"
    relies_on = ("flax", "gymnax", "jax2d", "jaxgl")
    supported = ">=3.0.2,<4"
    example = "s/h4_thrust_aim"
    interface = "a KinetixEnv"

    def known_names(self) -> Iterable[str]:
        return NAMES

    def live_names(self) -> Iterable[str]:
        folder = self.load("util.saving").BASE_DIR
        files = (f"{size}/{file}" for size in LEVELS for file in os.listdir(f"{folder}/{size}"))
        return [file.removesuffix(".json") for file in files if file.endswith(".json")]

    def load(self, submodule: str = "") -> ModuleType:
        with _no_log_handler():
            return super().load(submodule)

    def options(self, name: str) -> Iterable[str]:
        return ["action_type", "observation_type", "static_env_params"]

    def family(self, name: str) -> str:
        return "levels"

    def families(self) -> Mapping[str, str]:
        return dict.fromkeys(NAMES, "levels")

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_timesteps"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        stopped = "kinetix stops the gradients of states and observations."
        return Capabilities.native(differentiable=stopped)

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if in_x64_mode():
            return Gap("upstream", "kinetix 3.0.2 mixes dtypes in x64 mode; switch that off.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        types = self.load("environment")
        level, sizes, env_params = self.load("util.saving").load_from_json_file(name)
        if "static_env_params" in options:
            level, sizes = self._enlarged(level, sizes, options["static_env_params"])
        env = types.make_kinetix_env(
            types.ActionType.from_string(_chosen(options, "action_type", ACTION_TYPES)),
            types.ObservationType.from_string(
                _chosen(options, "observation_type", OBSERVATION_TYPES)
            ),
            reset_fn=None,
            env_params=env_params,
            static_env_params=sizes,
            auto_reset=False,
        )
        return KinetixEnvironment(env, env_params, level, self.capabilities(name, options))

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        if not isinstance(obj, self.load("environment").KinetixEnv):
            return None
        if obj.reset_function is None:
            raise InvalidOptionError(
                f"{obj!r} has no reset_function, so it has no level to start with: give one, "
                "reset_fn=lambda key: level."
            )
        capabilities = self.capabilities("", {})
        return type(obj).__name__, KinetixEnvironment(obj, obj.default_params, None, capabilities)

    def _enlarged(self, level: Any, own: Any, given: Any) -> tuple[Any, Any]:
        """Return the level with room for as many things as are asked for, and these sizes."""
        if not isinstance(given, type(own)):
            raise InvalidOptionError(
                f"static_env_params must be kinetix's StaticEnvParams; got {given!r}. "
                'kinetix.environment.static_env_params_from_size("l") makes one.'
            )
        short = [size for size in SIZES if getattr(given, size) < getattr(own, size)]
        if short:
            least = ", ".join(f"{size}={getattr(own, size)}" for size in short)
            raise InvalidOptionError(
                f"static_env_params are too small for the level, which needs {least}."
            )
        return self.load("util.saving").expand_env_state(level, given), given


class KinetixEnvironment(Environment):
    """A level of kinetix; its state is kinetix's `EnvState`.

    Episodes are deterministic: chance is in what draws the level alone.
    """

    def __init__(self, env: Any, own: Any, level: Any, capabilities: Capabilities) -> None:
        from jax2d.sim_state import SimParams  # kinetix's own base

        fields = (field.name for field in dataclasses.fields(SimParams))
        # All are floats, and some of the files and defaults have integers.
        physics = SimParams(**{field: float(getattr(own, field)) for field in fields})
        params = KinetixParams(own.max_timesteps, own.dense_reward_scale, level, physics)
        super().__init__(env, params, capabilities)
        self._own = own

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.unwrapped.reset_env(key, self._own, params.level)
        return _shown(obs), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        # kinetix's `done` merges the ends and the limit.
        unlimited = self._own.replace(
            **vars(params.physics),
            dense_reward_scale=params.dense_reward_scale,
            max_timesteps=NO_LIMIT,
        )
        obs, after, reward, terminated, info = self.unwrapped.step_env(
            key, state, action, unlimited
        )
        truncated = after.timestep >= params.max_timesteps
        # It forgets the distance where an episode ends, and so at the limit, too.
        last_distance = jnp.where(truncated, -1.0, after.last_distance)
        after = after.replace(last_distance=last_distance)
        return StepResult(_shown(obs), after, reward, terminated, truncated, info)

    def observation_space(self, params: Any = None) -> spaces.Space:
        seen = self.reset_shapes[0]
        if not isinstance(seen, Mapping):
            return spaces.Box(-CLIPPED_TO, CLIPPED_TO, seen.shape, seen.dtype)
        sizes = self.unwrapped.static_env_params
        last = sizes.num_polygons + sizes.num_circles - 1
        bounds = {"image": (0, 1), "joint_indexes": (0, last), "thruster_indexes": (0, last)}
        masks = {name: (False, True) for name in seen if name.endswith("mask")}
        infinite = dict.fromkeys(seen, (-np.inf, np.inf))
        both = infinite | masks | bounds
        return spaces.Dict(
            {
                name: spaces.Box(*both[name], leaf.shape, leaf.dtype)  # type: ignore[call-arg]
                for name, leaf in seen.items()
            }
        )

    def action_space(self, params: Any = None) -> spaces.Space:
        own = self.unwrapped.action_space()
        if hasattr(own, "number_of_dims_per_distribution"):
            return spaces.MultiDiscrete(np.asarray(own.number_of_dims_per_distribution))
        if hasattr(own, "n"):
            return spaces.Discrete(int(own.n))
        return spaces.Box(-1.0, 1.0, own.shape, np.float32)

    def render_env(self, state: Any, params: Any) -> Any:
        pixels = _painter(self.unwrapped.static_env_params)(state)
        # It draws columns from the left, and each from the bottom.
        return np.asarray(pixels).transpose(1, 0, 2)[::-1].astype(np.uint8)


@functools.cache
def _painter(sizes: Any) -> Callable[[Any], Any]:
    """Return kinetix's drawing in its full size, which it compiles for these sizes."""
    full, env_params = sizes.replace(downscale=1), SUITE.load("environment").EnvParams()
    draw: Callable[[Any], Any] = SUITE.load("render").make_render_pixels(env_params, full)
    return draw


def _shown(obs: Any) -> Any:
    """Return the parts of an observation of kinetix's classes by name."""
    return dict(vars(obs)) if dataclasses.is_dataclass(obs) else obs


def _chosen(options: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    """Return the value of an option, by default the first."""
    value: Any = options.get(name, known[0])
    if not (isinstance(value, str) and value in known):
        raise InvalidOptionError(f"{name} must be one of {', '.join(known)}; got {value!r}.")
    return value


@contextmanager
def _no_log_handler() -> Iterator[None]:
    """Keep grain's warning off the terminal, where nobody asked for logs.

    grain 0.2.18, which kinetix imports, warns of jax 0.9 through absl, and absl gives Python's
    root logger a handler if it has none.
    """
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)


SUITE = KinetixSuite()
