"""The base of wrappers that remember observations."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envhub._nonempty import NonEmpty
from envhub.environment import Environment, StepResult
from envhub.wrappers._episode import EpisodeWrapper
from envhub.wrappers._masks import with_newest_mask
from envhub.wrappers._options import refuse_turns


class Remembered(NamedTuple):
    """A state and the observations before it.

    Attributes:
        env: the state of the inner environment.
        frames: `frames.tree` holds these observations on a leading axis, the oldest first, in their
            own dtype. There may be none; no array of a state is empty.
    """

    env: Any
    frames: NonEmpty


class FramesWrapper(EpisodeWrapper):
    """Remembers the last observations of the episode, and computes the observation from them.

    A mask of legal actions is that of the newest observation.

    Args:
        env: the environment.
        length: the number of observations to remember, besides the newest one.
        padding: the observation to remember when an episode begins; by default its first one.

    Raises:
        InvalidOptionError: the errors of `EpisodeWrapper`.
    """

    def __init__(self, env: Environment, length: int, padding: Any = None, **options: Any) -> None:
        super().__init__(env, **options)
        refuse_turns(env, type(self).__name__)
        self._length, self._padding = length, padding

    @abc.abstractmethod
    def shown(self, frames: Any) -> Any:
        """Compute the observation from the remembered ones and the newest, on a leading axis."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)

        def repeated(leaf: Any, newest: jax.Array) -> jax.Array:
            frame = jnp.asarray(leaf, newest.dtype)
            return jnp.broadcast_to(frame, (self._length, *newest.shape))

        padding = obs if self._padding is None else self._padding
        return self._next(jax.tree.map(repeated, padding, obs), obs, state)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state.env, action, params)
        obs, after = self._next(state.frames.tree, result.obs, result.state)
        return result._replace(obs=obs, state=after)

    def _next(self, before: Any, newest: Any, state: Any) -> tuple[Any, Remembered]:
        frames = jax.tree.map(lambda old, new: jnp.concatenate([old, new[None]]), before, newest)
        remembered = NonEmpty(jax.tree.map(lambda leaf: leaf[1:], frames))
        obs = with_newest_mask(self, self.shown(frames), newest)
        return obs, Remembered(state, remembered)
