"""playground 0.2.0: MuJoCo Playground's control, locomotion and manipulation, on MJX."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import pathlib
import shlex
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from envhub._headless import no_mujoco_log, renderer_without_display
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.flags import Capabilities
from envhub.params import params_dataclass
from envhub.suite import Gap, Suite

from . import brax

CONTROL = """
    AcrobotSwingup AcrobotSwingupSparse BallInCup CartpoleBalance CartpoleBalanceSparse
    CartpoleSwingup CartpoleSwingupSparse CheetahRun FingerSpin FingerTurnEasy FingerTurnHard
    FishSwim HopperHop HopperStand HumanoidStand HumanoidWalk HumanoidRun PendulumSwingup PointMass
    ReacherEasy ReacherHard SwimmerSwimmer6 WalkerRun WalkerStand WalkerWalk
""".split()
# By the folder of their robot in MuJoCo Menagerie.
LOCOMOTION = {
    "apptronik_apollo": "ApolloJoystickFlatTerrain",
    "google_barkour_vb": "BarkourJoystick",
    "berkeley_humanoid": "BerkeleyHumanoidJoystickFlatTerrain BerkeleyHumanoidJoystickRoughTerrain",
    "unitree_g1": "G1JoystickFlatTerrain G1JoystickRoughTerrain",
    "unitree_go1": "Go1JoystickFlatTerrain Go1JoystickRoughTerrain Go1Getup Go1Handstand "
    "Go1Footstand",
    "unitree_h1": "H1InplaceGaitTracking H1JoystickGaitTracking",
    "robotis_op3": "Op3Joystick",
    "boston_dynamics_spot": "SpotFlatTerrainJoystick SpotGetup SpotJoystickGaitTracking",
    "booster_t1": "T1JoystickFlatTerrain T1JoystickRoughTerrain",
}
MANIPULATION = {
    "aloha": "AlohaHandOver AlohaSinglePegInsertion",
    "franka_emika_panda": "PandaPickCube PandaPickCubeOrientation PandaPickCubeCartesian "
    "PandaOpenCabinet PandaRobotiqPushCube",
    "leap_hand": "LeapCubeReorient LeapCubeRotateZAxis",
    "tetheria_aero_hand_open": "AeroCubeRotateZAxis",
}
FAMILIES = {
    **dict.fromkeys(CONTROL, "control"),
    **{name: "locomotion" for names in LOCOMOTION.values() for name in names.split()},
    **{name: "manipulation" for names in MANIPULATION.values() for name in names.split()},
}
FOLDERS = {
    name: folder
    for folder, names in {**LOCOMOTION, **MANIPULATION}.items()
    for name in names.split()
}
MENAGERIE = ("external_deps", "mujoco_menagerie")  # in playground's package
FETCH = "from mujoco_playground._src import mjx_env; mjx_env.ensure_menagerie_exists()"
# MJX's solver loops until it converges, unless the model sets one iteration or has no constraint.
DIFFERENTIABLE = {
    "AcrobotSwingup", "AcrobotSwingupSparse", "BallInCup", "CartpoleBalance",
    "CartpoleBalanceSparse", "CartpoleSwingup", "CartpoleSwingupSparse", "FishSwim",
    "PendulumSwingup", "PointMass", "ReacherEasy", "ReacherHard",
}  # fmt: skip
# The classes that count steps, and are done at the limit of their config (0.2.0).
DONE_AT_THE_LIMIT = {"HandOver", "PandaPickCubeCartesian"}
# Given by the suite or by the params. Sizes of arrays and cameras are Warp's.
NOT_OPTIONS = {
    "episode_length", "impl", "naccdmax", "naconmax", "njmax", "vision", "vision_config",
}  # fmt: skip


@params_dataclass
class PlaygroundParams:
    """What can change from call to call.

    Attributes:
        episode_length: int32[], the step at which an episode is truncated, counted in physics
            actions: each `step` counts `action_repeat`.
        model: an `mjx.Model` to step instead of the environment's own (domain randomisation:
            change `env.unwrapped.mjx_model`, and batch it with `vmap`); `None` for its own.
    """

    episode_length: Any
    model: Any = None


class PlaygroundSuite(Suite):
    """MuJoCo Playground's environments on MJX's implementation in JAX, without its wrappers."""

    name = "playground"
    title = "MuJoCo Playground's control, locomotion and manipulation, on MJX"
    module = "mujoco_playground"
    distribution = "playground"
    relies_on = ("brax", "flax", "mujoco", "mujoco-mjx")
    supported = ">=0.2.0,<0.3"
    example = "CartpoleBalance"
    interface = "an MjxEnv"

    def known_names(self) -> Iterable[str]:
        return FAMILIES

    def live_names(self) -> Iterable[str]:
        top = self.load()
        parts = (top.dm_control_suite, top.locomotion, top.manipulation)
        return [name for part in parts for name in part.ALL_ENVS]

    def options(self, name: str) -> Iterable[str]:
        return set(self.load().registry.get_default_config(name)) - NOT_OPTIONS

    def family(self, name: str) -> str:
        return FAMILIES.get(name, "")

    def families(self) -> Mapping[str, str]:
        return {
            name: "smooth control" if name in DIFFERENTIABLE else "control with contacts"
            for name in CONTROL
        }

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "episode_length"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        if gap := self.gap(name, options):
            return Capabilities.none(gap.reason)
        loops = "MJX's solver is a while loop there, without reverse mode."
        unknown = "not known of a robot or of an environment of a third party."
        reason = loops if name in CONTROL else unknown
        return Capabilities.native(differentiable=name in DIFFERENTIABLE or reason)

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if name not in FOLDERS or menagerie(FOLDERS[name]).exists():
            return None
        return Gap(
            "needs_network",
            "the robot's model is in MuJoCo Menagerie, which is not here, and envhub downloads "
            f"nothing. Fetch it once (over 500 MB): python -c {shlex.quote(FETCH)}",
        )

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        top, changes = self.load(), dict(options)
        config = top.registry.get_default_config(name)
        repeat = changes.pop("action_repeat", config.action_repeat)
        if type(repeat) is not int or repeat < 1:
            raise InvalidOptionError(f"action_repeat must be a positive integer, got {repeat!r}.")
        change(config, changes)
        if "impl" in config:
            config.impl = "jax"
        refuse_other_times(config.ctrl_dt, config.sim_dt)
        with no_mujoco_log(self.load("_src.mjx_env").mujoco):
            env = top.registry.load(name, config)
        refuse_warp(env)
        capabilities = self.capabilities(name, options)
        return PlaygroundEnvironment(env, capabilities, repeat, config.episode_length)

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        top = self.load()
        if not isinstance(obj, top.MjxEnv):
            return None
        if isinstance(obj, top.wrapper.Wrapper):
            raise InvalidOptionError(
                f"MuJoCo Playground's {type(obj).__name__} resets or makes batches: give the "
                "environment inside. The limit and the model are params, and "
                "envhub.wrappers.AutoReset and envhub.VectorEnv do the rest."
            )
        refuse_warp(obj)
        name, config = type(obj).__name__, obj._config
        repeat, limit = config.get("action_repeat", 1), config.get("episode_length", 1000)
        return name, PlaygroundEnvironment(obj, self.capabilities(name, {}), repeat, limit)


class PlaygroundEnvironment(brax.BraxEnvironment):
    """An environment of MuJoCo Playground, which has brax's interface.

    Steps are deterministic, or draw from a key in the state: the key given to `step` is not used.
    """

    def __init__(
        self, unwrapped: Any, capabilities: Capabilities, action_repeat: int, episode_length: int
    ) -> None:
        super().__init__(unwrapped, capabilities, action_repeat)
        self.default_params = PlaygroundParams(episode_length)
        self._is_done_at_the_limit = type(unwrapped).__name__ in DONE_AT_THE_LIMIT

    def check_params(self, params: Any) -> None:
        Environment.check_params(self, params)
        if params.model is not None:
            own, change = self.unwrapped.mjx_model, "env.unwrapped.mjx_model.replace(field=value)"
            brax.check_model(self, "model", params.model, own, change)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = super().step_env(key, state, action, params)
        if not self._is_done_at_the_limit:
            return result
        truncated = result.state.steps >= params.episode_length
        return result._replace(terminated=result.terminated & ~truncated, truncated=truncated)

    def render_env(self, state: Any, params: Any) -> Any:
        model = self._drawn(params.model)
        # The model's own camera follows the body; MuJoCo's free one is too far away to see it.
        camera = model.camera(0).name if model.ncam else None
        with renderer_without_display(SUITE.load("_src.mjx_env").mujoco):
            return SUITE.load().render_array(model, state.env, 240, 320, camera)

    def _drawn(self, model: Any) -> Any:
        """Return MuJoCo's model with the numbers of another one of MJX."""
        drawn = copy.copy(self.unwrapped.mj_model)
        for field in dataclasses.fields(model) if model is not None else ():
            own: Any = getattr(drawn, field.name, None)
            new = getattr(model, field.name)
            is_changeable = isinstance(own, np.ndarray) and own.flags.writeable
            if is_changeable and own.shape == np.shape(new):
                own[...] = new
        return drawn

    def _under(self, params: Any) -> Any:
        """Return an environment with the model of these params, and their limit if it counts."""
        if params.model is None and not self._is_done_at_the_limit:
            return self.unwrapped
        env = copy.copy(self.unwrapped)
        for name, value in vars(env).items():
            # Some keep one of their methods as an attribute, and it would step the original.
            if isinstance(value, types.MethodType) and value.__self__ is self.unwrapped:
                setattr(env, name, types.MethodType(value.__func__, env))
        if params.model is not None:
            env._mjx_model = params.model
        if self._is_done_at_the_limit:
            env._config = env._config.copy_and_resolve_references()
            with env._config.ignore_type(), env._config.unlocked():
                env._config.episode_length = params.episode_length
        return env


def menagerie(folder: str) -> pathlib.Path:
    """Return the place of a folder of MuJoCo Menagerie; where playground clones it."""
    spec = importlib.util.find_spec(SUITE.module)
    package = pathlib.Path(spec.origin).parent if spec and spec.origin else pathlib.Path()
    return package.joinpath(*MENAGERIE, folder)


def change(config: Any, changes: Mapping[str, Any]) -> None:
    """Change some fields of a config, which may be nested; it refuses fields that it lacks."""
    config.lock()
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(config[name], type(config)):
            change(config[name], value)
        else:
            config[name] = value


def refuse_other_times(ctrl_dt: float, sim_dt: float) -> None:
    """Refuse steps that are not a whole number of physics steps, which playground rounds."""
    substeps = ctrl_dt / sim_dt if sim_dt > 0 else 0.0
    if not (substeps > 0.5 and abs(substeps - round(substeps)) < 1e-6):
        raise InvalidOptionError(
            f"ctrl_dt must be a multiple of sim_dt, both in seconds; got ctrl_dt={ctrl_dt!r} and "
            f"sim_dt={sim_dt!r}."
        )


def refuse_warp(env: Any) -> None:
    """Refuse a model on Warp, whose steps are no XLA."""
    impl = env.mjx_model.impl.value
    if impl != "jax":
        raise InvalidOptionError(
            f"{type(env).__name__} steps MuJoCo {impl.capitalize()}, and envhub steps MJX's "
            "implementation in JAX: make it with config_overrides={'impl': 'jax'}."
        )


SUITE = PlaygroundSuite()
