"""One `PufferEnv`: somebody's, one of Ocean's, or one of Gymnasium's under emulation."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from envhub import registry, spaces
from envhub.errors import InvalidOptionError, UnavailableEnvError
from envhub.flags import Claim
from envhub.host import Instance, InstanceStep
from envhub.host.values import Observations

from .facts import OF_ALL, UNEMULATED
from .libc import OwnGenerator


class PufferInstance(Instance):
    """One environment of PufferLib, of one agent or more.

    It writes what the agents see into arrays of its own, again and again, and resets what ended by
    itself, within the step: the observation there is the first of the next episode.
    """

    claims: Mapping[str, Claim] = OF_ALL

    def __init__(
        self, creator: Callable[..., Any], given: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self._creator, self._given = creator, dict(given)
        self._generator = OwnGenerator()
        self.env: Any
        self._make()
        made = getattr(self.env, "env", self.env)  # under emulation
        self.identity = f"{type(made).__module__}.{type(made).__qualname__}"
        self._count = int(self.env.num_agents)
        self._is_batch = self._count > 1
        self.num_agents = self._count if self._is_batch else None
        single = self.env.single_action_space
        self._dtype = single.dtype if single.dtype.kind == "f" else np.dtype(np.int32)
        # PufferLib's emulation takes an action without the axis of the agents if there is one.
        is_bare = _is_emulation(self.env) and not self._is_batch
        self._form = (single.shape or (1,)) if is_bare else (self._count, *single.shape)
        self.observation_space = self._of_all(self._observed())
        self.action_space = self._of_all(spaces.from_gymnasium(single))

    @property
    def unwrapped(self) -> Any:
        return self.env

    def reset(self, seed: int) -> Any:
        with self._generator:
            self.env.reset(seed=seed)
        return self._shown(self.env.observations)

    def step(self, action: Any) -> InstanceStep:
        env, shown = self.env, self._shown
        given = np.asarray(action, self._dtype).reshape(self._form)
        with self._generator:
            told = env.step(given)[-1]
        return InstanceStep(
            shown(env.observations),
            shown(env.rewards),
            shown(env.terminals),
            shown(env.truncations),
            # Natives tell something now and then, in a list.
            told if isinstance(told, dict) and not self._is_batch else {},
        )

    def close(self) -> None:
        self._close()

    def _make(self) -> None:
        with self._generator:
            self.env = _playable(self._creator(**self._given))
        # Nobody else frees what is in C.
        self._close = weakref.finalize(self, _close, self.env)
        self._close.atexit = False

    def _shown(self, array: Any) -> Any:
        """What all agents see, or the one: a copy."""
        return array.copy() if self._is_batch else array[0].copy()

    def _observed(self) -> spaces.Space:
        """What one agent sees."""
        return spaces.from_gymnasium(self.env.single_observation_space)

    def _of_all(self, space: spaces.Space) -> spaces.Space:
        """Of all agents, or of the one."""
        return spaces.batch(space, self._count) if self._is_batch else space


class OceanInstance(PufferInstance):
    """One of Ocean's."""

    def __init__(
        self, creator: Callable[..., Any], given: Mapping[str, Any], *, is_kept: bool
    ) -> None:
        super().__init__(creator, given)
        self._is_kept, self._is_new = is_kept, True

    def _observed(self) -> spaces.Space:
        space: Any = super()._observed()
        if _is_emulation(self.env):
            return space  # type: ignore[no-any-return]
        # Two thirds of them show values outside of the bounds that they give (pufferlib 3.0.0).
        whole = space.dtype.kind in "iu" and np.iinfo(space.dtype)
        low, high = (whole.min, whole.max) if whole else (-np.inf, np.inf)
        return spaces.Box(low, high, space.shape, space.dtype)

    def reset(self, seed: int) -> Any:
        if not (self._is_new or self._is_kept):
            self.close()
            self._make()
        self._is_new = False
        return super().reset(seed)


class EmulatedInstance(PufferInstance):
    """An environment of Gymnasium's under PufferLib's emulation.

    Its state is Gymnasium's, and whether it was reset and is done, which a restored one was and is
    not.
    """

    def __init__(self, inner: Callable[[], Any]) -> None:
        self.inner = inner()
        emulation = registry.get("pufferlib").load("emulation")
        super().__init__(emulation.GymnasiumPufferEnv, {"env": Emulated(self.inner)})
        self.default_params, self.claims = self.inner.default_params, self.inner.claims
        self.episode_limit, self.identity = self.inner.episode_limit, self.inner.identity

    def save(self) -> bytes:
        saved: bytes = self.inner.save()
        return saved

    def restore(self, saved: bytes, obs: Any) -> None:
        self.inner.restore(saved, obs)
        self.env.initialized, self.env.done = True, False

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        self.inner.set_params(values)

    def render(self) -> Any:
        return self.inner.render()


class Emulated:
    """What PufferLib's emulation asks of an environment, answered by an instance."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.observation_space = inner.env.observation_space
        self.action_space = inner.env.action_space
        self._check = Held(self.observation_space, inner.observation_space)

    def reset(self, seed: int) -> tuple[Any, dict[str, Any]]:
        """As the instance does, without `info`."""
        obs = self.inner.reset(seed)
        self._check(obs)
        return obs, {}

    def step(self, action: Any) -> Any:
        """As the instance does."""
        returned = self.inner.step(action)
        self._check(returned[0])
        return returned

    def close(self) -> None:
        """As the instance does."""
        self.inner.close()


class Checked:
    """An environment of Gymnasium that a factory made, of which PufferLib gets what is true."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self._check = Held(env.observation_space, spaces.from_gymnasium(env.observation_space))

    def __getattr__(self, name: str) -> Any:
        if name == "env":  # before there is one
            raise AttributeError(name)
        return getattr(self.env, name)

    def reset(self, **how: Any) -> tuple[Any, Any]:
        """As the environment does."""
        obs, info = self.env.reset(**how)
        self._check(obs)
        return obs, info

    def step(self, action: Any) -> Any:
        """As the environment does."""
        obs, reward, *flags, info = self.env.step(action)
        self._check(obs)
        for name, flag in zip(("terminated", "truncated"), flags, strict=True):
            if flag not in (False, True):
                raise ValueError(f"{name} is {flag!r}, which bool cannot hold")
        return obs, reward, *flags, info


class Held:
    """Refuses an observation that its space cannot hold: PufferLib 3 casts it without a word."""

    def __init__(self, own: Any, space: spaces.Space) -> None:
        self._own, self._observations = own, Observations(space)

    def __call__(self, obs: Any) -> None:
        """Check one observation.

        Raises:
            ValueError: with the value.
        """
        is_plain = isinstance(obs, np.ndarray) and obs.dtype == self._own.dtype
        if not is_plain or obs.shape != self._own.shape:
            self._observations.columns([obs])


def _is_emulation(env: Any) -> bool:
    return bool(getattr(env, "emulated", False))


def is_puffers(made: Any) -> bool:
    """Whether it has the interface of a `PufferEnv`."""
    return hasattr(made, "single_observation_space") and hasattr(made, "terminals")


def _playable(made: Any) -> Any:
    """What a factory made, under PufferLib's emulation if it is not PufferLib's.

    Raises:
        InvalidOptionError: if it is nothing of the kind.
    """
    emulation = registry.get("pufferlib").load("emulation")
    if is_puffers(made):
        env = made
    elif hasattr(made, "possible_agents"):
        env = emulation.PettingZooPufferEnv(env=made)
    elif hasattr(made, "observation_space"):
        env = emulation.GymnasiumPufferEnv(env=Checked(made))
    else:
        raise InvalidOptionError(
            f"the factory made a {type(made).__name__}, which is neither a PufferEnv nor an "
            "environment of Gymnasium or PettingZoo."
        )
    if 0 in env.single_observation_space.shape:
        raise UnavailableEnvError(f"{type(made).__name__} cannot be emulated: {UNEMULATED}")
    return env


def _close(env: Any) -> None:
    with contextlib.suppress(NotImplementedError):
        env.close()
