"""brax 0.12 and newer: rigid-body control in JAX, on four physics backends."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._headless import is_opengl_chosen, opengl_errors
from envhub._inputs import check_leaves
from envhub._nonempty import NonEmpty
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError, InvalidParamsError
from envhub.flags import Capabilities, Claim
from envhub.params import params_dataclass
from envhub.suite import Gap, Suite, keywords

NAMES = """
    ant fast halfcheetah hopper humanoid humanoidstandup inverted_double_pendulum inverted_pendulum
    pusher reacher swimmer walker2d
""".split()
BACKENDS = ("generalized", "spring", "positional", "mjx")
# mjx's solver loops until it converges, unless the model sets one iteration.
DIFFERENTIABLE_ON_MJX = {"ant", "humanoid"}
SWIMMER = (
    "brax 0.14.2's swimmer has no spring, positional or mjx model, and its generalized one calls "
    "jax.numpy.clip with keywords that jax removed (after 0.6)."
)
CLIP_STILL_TAKES_THEM = "a_min" in inspect.signature(jnp.clip).parameters


@params_dataclass
class BraxParams:
    """What can change from call to call.

    Attributes:
        episode_length: int32[], the step at which an episode is truncated, counted in physics
            actions: each `step` counts `action_repeat`.
        sys: a `brax.base.System` to step instead of the environment's own (domain
            randomisation: change `env.unwrapped.sys`, and batch it with `vmap`); `None` for
            its own.
    """

    episode_length: Any = 1000
    sys: Any = None


class BraxState(NamedTuple):
    """brax's state, and int32[], the actions applied since the reset."""

    arrays: NonEmpty  # mjx has many that are empty
    steps: jax.Array

    @property
    def env(self) -> Any:
        """The `brax.envs.State`."""
        return self.arrays.tree


class BraxSuite(Suite):
    """brax's environments without brax's wrappers: an episode limit, and no reset."""

    name = "brax"
    title = "rigid-body control in JAX, on four physics backends"
    module = "brax"
    distribution = "brax"
    relies_on = ("mujoco", "mujoco-mjx", "flax")
    supported = ">=0.12.1,<1"
    example = "hopper"
    interface = "a brax.envs.Env"
    misfits = (
        (
            "brax<=0.14.2",
            "jax>=0.10",
            "brax.training fails, which uses jax.device_put_replicated; the environments work",
        ),
    )
    references = (("swimmer", "https://github.com/google/brax/blob/main/brax/fluid.py"),)

    def known_names(self) -> Iterable[str]:
        return NAMES

    def live_names(self) -> Iterable[str]:
        return list(self.load("envs")._envs)  # brax has no public list

    def options(self, name: str) -> Iterable[str]:
        envs = self.load("envs")
        accepted = {"action_repeat", *keywords(envs._envs[name], envs.PipelineEnv)}
        return accepted - {"sys"}

    def family(self, name: str) -> str:
        return "rigid bodies"

    def variants(self, name: str) -> Iterable[Mapping[str, Any]]:
        return [{"backend": backend} for backend in BACKENDS]

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "episode_length"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        backend = options.get("backend", "generalized")
        if backend not in BACKENDS:
            raise InvalidOptionError(
                f"backend must be one of {', '.join(BACKENDS)}; got {backend!r}."
            )
        if self.gap(name, options):
            return Capabilities.none(SWIMMER)
        fast = "'fast' is a stub for brax's own tests, without physics."
        return Capabilities.native(
            differentiable=fast if name == "fast" else self._differentiable(name, backend),
            renderable=fast if name == "fast" else True,
        )

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        generalized = options.get("backend", "generalized") == "generalized"
        if name == "swimmer" and not (generalized and CLIP_STILL_TAKES_THEM):
            return Gap("upstream", SWIMMER)
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        options = dict(options)
        action_repeat = options.pop("action_repeat", 1)
        if type(action_repeat) is not int or action_repeat < 1:
            raise InvalidOptionError(
                f"action_repeat must be a positive integer, got {action_repeat!r}."
            )
        envs = self.load("envs")
        with _no_log_file():
            env = envs.get_environment(name, **options)
        return BraxEnvironment(env, self.capabilities(name, options), action_repeat)

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        base, envs = self.load("envs.base"), self.load("envs")
        if not isinstance(obj, base.Env):
            return None
        layer = obj
        while isinstance(layer, base.Wrapper):
            if type(layer).__module__.startswith("brax."):
                raise InvalidOptionError(
                    f"brax's {type(layer).__name__} resets, counts steps or makes batches: give "
                    "the environment inside. The limit is params.episode_length, and "
                    "envhub.wrappers.AutoReset and envhub.VectorEnv do the rest."
                )
            layer = layer.env
        names = {kind: name for name, kind in envs._envs.items() if name in NAMES}
        if type(obj) in names:
            backend = {"backend": getattr(obj, "backend", "generalized")}  # `fast` may have none
            capabilities = self.capabilities(names[type(obj)], backend)
        else:
            capabilities = Capabilities.native(
                differentiable="not known of an environment of a third party.",
                renderable=hasattr(layer, "sys") or "it has no model of brax's.",
            )
        name = names.get(type(obj), type(obj).__name__)
        return name, BraxEnvironment(obj, capabilities, action_repeat=1)

    def _differentiable(self, name: str, backend: str) -> Claim:
        if backend != "mjx" or name in DIFFERENTIABLE_ON_MJX:
            return True
        return "mjx's solver is a while loop, without reverse mode; backend='spring' has it."


class BraxEnvironment(Environment):
    """A brax environment; steps are deterministic, so the key given to `step` is not used."""

    def __init__(self, unwrapped: Any, capabilities: Capabilities, action_repeat: int) -> None:
        super().__init__(unwrapped, BraxParams(), capabilities)
        self.action_repeat = action_repeat

    def check_params(self, params: Any) -> None:
        super().check_params(params)
        if params.sys is not None:
            change = "env.unwrapped.sys.replace(field=value)"
            check_model(self, "sys", params.sys, self.unwrapped.sys, change)

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        state = self._under(params).reset(key)
        return state.obs, BraxState(NonEmpty(state), jnp.int32(0))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        # In x64 mode mjx 3.17 carries float64 controls through its scan, and takes no others.
        action = action.astype(jax.dtypes.canonicalize_dtype(float))
        # brax's step writes into the dictionaries of the state that it is given, here a copy.
        env_state, reward = self._repeat(self._under(params), state.env, action)
        steps = state.steps + self.action_repeat
        # As brax's EpisodeWrapper has it: an episode that ends at its limit was not cut by it.
        terminated = env_state.done > 0
        truncated = (steps >= params.episode_length) & ~terminated
        info = {**env_state.metrics, **env_state.info}
        after = BraxState(NonEmpty(env_state), steps)
        return StepResult(env_state.obs, after, reward, terminated, truncated, info)

    def limit(self, params: Any) -> Any:
        return -(-params.episode_length // self.action_repeat)

    def observation_space(self, params: Any = None) -> spaces.Space:
        # brax says sizes only, and its `observation_size` runs a reset, uncompiled (34 s at worst).
        return _unbounded(self.reset_shapes[0])

    def action_space(self, params: Any = None) -> spaces.Space:
        # [-1, 1] whatever the actuators' range is: the environments rescale to that themselves.
        return spaces.Box(-1.0, 1.0, (self.unwrapped.action_size,), np.float32)

    def render_env(self, state: Any, params: Any) -> Any:
        env = self._under(params)
        model = env.sys.mj_model
        # The model's own camera follows the body; MuJoCo's free one is too far away to see it.
        camera = model.camera(0).name if model.ncam else None
        with _gl_without_display():
            return env.render([state.env.pipeline_state], camera=camera)[0]

    def _under(self, params: BraxParams) -> Any:
        if params.sys is None:
            return self.unwrapped
        env = copy.copy(self.unwrapped)
        env.sys = params.sys
        return env

    def _repeat(self, env: Any, state: Any, action: Any) -> tuple[Any, jax.Array]:
        if self.action_repeat == 1:
            state = env.step(state, action)
            return state, state.reward

        def once(state: Any, _: None) -> tuple[Any, jax.Array]:
            state = env.step(state, action)
            return state, state.reward

        state, rewards = jax.lax.scan(once, state, None, self.action_repeat)
        return state, jnp.sum(rewards)


def check_model(env: Environment, name: str, given: Any, own: Any, change: str) -> None:
    """Refuse a model, a field of the params, that is not the environment's own in another form.

    Raises:
        InvalidParamsError: if it is that of something else.
    """
    # Two that were read from one file differ in what is no array, and are alike.
    leaves = jax.tree.leaves(given, is_leaf=lambda leaf: leaf is None)
    number = len(jax.tree.leaves(own, is_leaf=lambda leaf: leaf is None))
    if type(given) is not type(own) or len(leaves) != number:
        raise InvalidParamsError(
            f"params.{name} is the model of something else than {env}: change its own, {change}."
        )
    check_leaves(f"params.{name}", leaves, own)


def _unbounded(seen: Any) -> spaces.Space:
    if isinstance(seen, Mapping):
        return spaces.Dict({name: _unbounded(leaf) for name, leaf in seen.items()})
    return spaces.Box(-np.inf, np.inf, seen.shape, seen.dtype)


@contextmanager
def _no_log_file() -> Iterator[None]:
    """Keep MuJoCo's warnings out of the working directory.

    MuJoCo 4.0 appends them to MUJOCO_LOG.TXT there: halfcheetah's model uses a deprecated element.
    """
    mujoco = SUITE.load("io.mjcf").mujoco
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


@contextmanager
def _gl_without_display() -> Iterator[None]:
    """Let MuJoCo draw through EGL where nobody chose and there is no display.

    It would take GLFW (mujoco 4.0), fail for want of a window, and abort the process the next time.
    """
    renderer = SUITE.load("io.image").mujoco.Renderer
    with opengl_errors():
        if not is_opengl_chosen():
            from mujoco.egl import GLContext

            gl_context = __import__(renderer.__module__, fromlist=["gl_context"]).gl_context
            gl_context.GLContext = GLContext
        yield


SUITE = BraxSuite()
