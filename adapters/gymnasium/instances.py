"""One `gymnasium.Env`, and what the state of each family is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from envhub import spaces
from envhub._headless import egl_without_display, no_sound, own_opengl
from envhub.host import Instance, plain, unrounded
from envhub.params import named_params
from envhub.spaces._text import encode_text, has_text

from .facts import ATTRIBUTES, DERIVED, DRAWS_IN_STEP, PHYSICS


class GymnasiumInstance(Instance):
    """One `gymnasium.Env`, with its time limit; snapshots are those of its family.

    Attributes:
        reset_options: what each reset is given as `options`; `None` for nothing.
    """

    reset_options: dict[str, Any] | None = None

    def __init__(self, env: Any) -> None:
        import gymnasium

        self.env = env
        self.step = env.step  # type: ignore[method-assign] # one call less in every step
        self.inner = env.unwrapped
        self.kind = type(self.inner).__name__
        self.limit = self._wrapper(gymnasium.wrappers.TimeLimit)
        self.observation_space = spaces.from_gymnasium(env.observation_space, strings=True)
        self._has_text = has_text(self.observation_space)
        if self._has_text:
            self.step = self._step_with_text  # type: ignore[method-assign]
        self.action_space = spaces.from_gymnasium(env.action_space)
        self._is_new = True
        self._first_info: dict[str, Any] = {}

    @property
    def unwrapped(self) -> Any:
        return self.inner

    def reset(self, seed: int) -> Any:
        self._is_new = False
        options = self.reset_options and {"options": dict(self.reset_options)}
        returned = self.env.reset(seed=seed, **(options or {}))
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(f"its reset must return (obs, info), and returned {returned!r}")
        obs, self._first_info = returned
        return encode_text(self.observation_space, obs) if self._has_text else obs

    def action_mask(self) -> Any:
        """Gymnasium's own entry of `info` after a reset, or the method that sb3-contrib calls."""
        masks = getattr(self.inner, "action_masks", None)
        return masks() if callable(masks) else self._first_info.get("action_mask")

    def reset_once(self) -> None:
        """What a step finds unset before the first reset, a restored state does not bring."""
        if self._is_new:
            self.reset(0)

    def step(self, action: Any) -> Any:
        return self.env.step(action)

    def _step_with_text(self, action: Any) -> Any:
        obs, *others = self.env.step(action)
        return (encode_text(self.observation_space, obs), *others)

    def render(self) -> Any:
        of_mujoco = getattr(self.inner, "mujoco_renderer", None)
        with no_sound(), egl_without_display(), own_opengl(of_mujoco):
            return self.env.render()

    def close(self) -> None:
        self.env.close()

    @property
    def episode_limit(self) -> int | None:  # type: ignore[override]
        """That of Gymnasium's `TimeLimit`."""
        return self.limit._max_episode_steps if self.limit else None

    @property
    def elapsed(self) -> int | None:
        """The steps that the time limit has counted."""
        return self.limit._elapsed_steps if self.limit else None

    @elapsed.setter
    def elapsed(self, steps: int | None) -> None:
        if self.limit:
            self.limit._elapsed_steps = steps

    def _wrapper(self, kind: type) -> Any:
        env = self.env
        while env is not self.inner:
            if isinstance(env, kind):
                return env
            env = env.env
        return None


class PlainInstance(GymnasiumInstance):
    """Classic control and toy text: the state is a few attributes, and so is the physics."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._attributes = ATTRIBUTES.get(self.kind, ())
        self._draws = self.kind in DRAWS_IN_STEP
        self._physics = PHYSICS.get(self.kind, ())
        self.exact = [float(getattr(self.inner, name)) for name in self._physics]
        if self._physics:
            self.default_params = named_params(self.kind, self._physics, self.exact)

    def save(self) -> bytes:
        # gymnasium 1.0's Taxi has no `fickle_step`.
        values = [self.elapsed, *[getattr(self.inner, name, None) for name in self._attributes]]
        saved = plain.dump(values)
        return plain.dump_generator(self.inner.np_random) + saved if self._draws else saved

    def restore(self, saved: bytes, obs: Any) -> None:
        self.reset_once()
        if self._draws:
            plain.load_generator(self.inner.np_random, saved[: plain.GENERATOR_SIZE])
            saved = saved[plain.GENERATOR_SIZE :]
        self.elapsed, *values = plain.load(saved)
        for name, value in zip(self._attributes, values, strict=True):
            setattr(self.inner, name, value)

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        physics = unrounded(values, self.exact).tolist()
        for name, value in zip(self._physics, physics, strict=True):
            setattr(self.inner, name, value)
        for name, compute in DERIVED.get(self.kind, {}).items():
            setattr(self.inner, name, compute(self.inner))


class CartPoleInstance(PlainInstance):
    """CartPole: its state is four numbers."""

    def save(self) -> bytes:
        return np.array([self.elapsed or 0, *self.inner.state]).tobytes()

    def restore(self, saved: bytes, obs: Any) -> None:
        self.reset_once()
        elapsed, *state = np.frombuffer(saved)
        self.elapsed, self.inner.state = int(elapsed), np.array(state)
        self.inner.steps_beyond_terminated = None  # what ended is not stepped


class AcrobotInstance(PlainInstance):
    """Acrobot: its state is four numbers, of four bytes after a reset and of eight after a step.

    A step draws from the generator where `torque_noise_max` is not 0, and the next call may say so.
    """

    _generator: bytes | None = None  # as it was saved last, while nothing draws from it

    def reset(self, seed: int) -> Any:
        self._generator = None
        return super().reset(seed)

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        self._generator = None
        super().set_params(values)

    def save(self) -> bytes:
        if self._generator is None or self.inner.torque_noise_max > 0:
            self._generator = plain.dump_generator(self.inner.np_random)
        elapsed, state = (self.elapsed or 0).to_bytes(8, "little"), self.inner.state.tobytes()
        return self._generator + elapsed + bytes(state)

    def restore(self, saved: bytes, obs: Any) -> None:
        self.reset_once()
        self._generator = saved[: plain.GENERATOR_SIZE]
        plain.load_generator(self.inner.np_random, self._generator)
        saved = saved[plain.GENERATOR_SIZE :]
        state = saved[8:]
        self.elapsed = int.from_bytes(saved[:8], "little")
        self.inner.state = np.frombuffer(state, f"f{len(state) // 4}").copy()


class Box2DInstance(GymnasiumInstance):
    """Box2D: a world of C++ objects, which cannot be saved."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        del self.step  # the one that is `env.step` itself

    def step(self, action: Any) -> Any:
        # LunarLander that can be drawn makes bodies of the sparks of its engines, and removes none
        # before it is drawn (gymnasium 1.0 to 1.4): a step then takes up to 20 times as long. They
        # have no effect on anything else.
        mode = self.inner.render_mode
        if mode == "rgb_array":
            self.inner.render_mode = None
        try:
            return self.env.step(action)
        finally:
            self.inner.render_mode = mode

    def reset(self, seed: int) -> Any:
        # Box2D 2.3 keeps contacts of the last episode: without a new world the same seed gives
        # another episode (BipedalWalker, gymnasium 1.3).
        if getattr(self.inner, "world", None) is not None:
            self.inner._destroy()
            self.inner.world = type(self.inner.world)(gravity=self.inner.world.gravity)
        return super().reset(seed)
