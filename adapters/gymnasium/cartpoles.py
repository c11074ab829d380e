"""CartPoles that are stepped together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub.host import unrounded
from envhub.host.fleet import Fleet, Outcomes

from .facts import DERIVED, PHYSICS
from .instances import CartPoleInstance


class CartPoleFleet(Fleet):
    """CartPoles as columns, which Gymnasium's own `CartPoleVectorEnv` steps all at once.

    It computes what `CartPoleEnv` does, in the same order and in doubles too once its state is one
    of doubles (gymnasium 1.0 to 1.3), so episodes are the same to the bit. It cannot reset one of
    many by a seed, nor be left alone where an episode ended: one `CartPoleEnv` starts the episodes,
    and the pool never steps those that ended.

    Args:
        vectorised: the class.
        one: draws the starts and the pictures.
        saves: whether steps and resets give snapshots, those of `CartPoleInstance`.
    """

    def __init__(self, vectorised: Any, one: CartPoleInstance, *, saves: bool) -> None:
        self._vectorised, self._one, self._saves = vectorised, one, saves
        self._rows = np.zeros((1, 1 + 4))  # the steps so far, and the state
        self._physics = np.array([one.exact])
        self._batches: dict[int, Any] = {}  # by size
        self._held: Sequence[int] = ()  # the instances that are in their batch, and not in the rows

    def grow(self, count: int) -> None:
        self._rows = np.concatenate([self._rows, np.zeros((count, 1 + 4))])
        self._physics = np.concatenate([self._physics, [self._one.exact] * count])

    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        self._release()
        obs: list[Any] = []
        for number, seed in zip(numbers, seeds, strict=True):
            obs.append(self._one.reset(seed))
            self._rows[number] = [0, *self._one.inner.state]
        return Outcomes(obs, (), (), (), (), self._saved(self._rows[numbers]))

    def step(self, numbers: Sequence[int], actions: Sequence[Any]) -> Outcomes:
        if numbers != self._held:  # seldom: most calls continue the batch of the last one
            self._release()
            self._hold(numbers)
        batch = self._batches[len(numbers)]
        batch.prev_done = np.zeros(len(numbers), bool)  # or it would reset
        obs, rewards, terminated, truncated, info = batch.step(np.array(actions))
        saved = self._saved(_rows_of(batch)) if self._saves else ()
        return Outcomes(obs, rewards, terminated, truncated, [info] * len(numbers), saved)

    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        self._release()
        self._rows[numbers] = np.frombuffer(b"".join(saved)).reshape(len(numbers), -1)

    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        self._release()
        self._physics[numbers] = unrounded(values, self._one.exact)

    def render(self, number: int) -> Any:
        self._release()
        self._one.restore(self._rows[number].tobytes(), None)
        self._one.set_params(self._physics[number].astype(np.float32))
        picture = self._one.render()
        self._one.set_params(np.array(self._one.exact, np.float32))
        return picture

    def replace(self, number: int) -> None:
        """Nothing has to be: a reset sets all that there is."""

    def close(self) -> None:
        self._one.close()

    def _hold(self, numbers: Sequence[int]) -> None:
        """Put instances into a batch."""
        size, limit = len(numbers), self._one.limit
        if size not in self._batches:
            self._batches[size] = self._vectorised(
                size,
                max_episode_steps=limit._max_episode_steps if limit else np.inf,
                sutton_barto_reward=self._one.inner._sutton_barto_reward,
            )
        batch, rows = self._batches[size], self._rows[numbers]
        batch.steps, batch.state = rows[:, 0], rows[:, 1:].T
        for name, column in zip(PHYSICS["CartPoleEnv"], self._physics[numbers].T, strict=True):
            setattr(batch, name, column)
        for name, formula in DERIVED["CartPoleEnv"].items():
            setattr(batch, name, formula(batch))
        self._held = numbers

    def _release(self) -> None:
        """Put what is held back into the rows."""
        if self._held:
            self._rows[self._held] = _rows_of(self._batches[len(self._held)])
        self._held = ()

    def _saved(self, rows: np.ndarray[Any, Any]) -> Sequence[bytes]:
        if not self._saves:
            return ()
        as_bytes: list[bytes] = rows.view(np.dtype((np.void, rows.strides[0])))[:, 0].tolist()
        return as_bytes


def _rows_of(batch: Any) -> np.ndarray[Any, Any]:
    rows = np.empty((len(batch.steps), 1 + 4))
    rows[:, 0], rows[:, 1:] = batch.steps, np.transpose(batch.state)
    return rows
