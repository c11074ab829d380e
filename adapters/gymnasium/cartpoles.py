"""CartPoles that are stepped together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub.host import unrounded
from envhub.host.fleet import Fleet
from envhub.host.outcomes import Outcomes

from .facts import DERIVED, PHYSICS
from .instances import CartPoleInstance

Array = np.ndarray[Any, Any]
ROW = np.dtype((np.void, 5 * 8))
FEW = 6  # lanes that Gymnasium's own step, one after another, takes less time for


class CartPoleFleet(Fleet):
    """CartPoles as columns, which NumPy steps all at once.

    It computes what `CartPoleEnv` does (gymnasium 1.0 to 1.4), in the same order and in doubles, so
    episodes are the same to the bit. One `CartPoleEnv` steps the few, and draws the pictures.

    Args:
        one: that one, with the default params.
        saves: whether steps and resets give snapshots, those of `CartPoleInstance`.
    """

    takes_columns = True

    def __init__(self, one: CartPoleInstance, *, saves: bool) -> None:
        self._one, self._saves = one, saves
        self._limit = one.episode_limit or np.inf
        self._bounds = np.array([[one.inner.x_threshold], [one.inner.theta_threshold_radians]])
        self._is_sutton_barto = getattr(one.inner, "_sutton_barto_reward", False)
        self._default = Physics(*one.exact)
        self._rows = np.zeros((1 + 4, 1))  # the steps so far, and the state
        self._params: Array | None = None  # float64[P, N], once some are not the default ones
        self._last: tuple[Any, Any] = None, None  # the numbers of the last step, and where they are

    def grow(self, count: int) -> None:
        self._rows = np.concatenate([self._rows, np.zeros((1 + 4, count))], axis=1)
        if self._params is not None:
            more = np.repeat(np.array([self._one.exact]).T, count, axis=1)
            self._params = np.concatenate([self._params, more], axis=1)

    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        rows = np.zeros((1 + 4, len(numbers)))
        for lane, seed in enumerate(seeds):
            rows[1:, lane] = self._start(seed)
        self._rows[:, numbers] = rows
        return Outcomes(rows[1:].T.astype(np.float32), (), (), (), (), self._saved(rows))

    def step(self, numbers: Sequence[int], actions: Array) -> Outcomes:
        where = self._where(numbers)
        rows: Array = self._rows[:, where]  # a view, if they are a run
        rows[0] += 1
        if self._params is None and len(numbers) < FEW:
            return self._step_each(where, rows, actions)
        physics = self._default if self._params is None else Physics(*self._params[:, where])
        advance(rows[1:], actions, physics)
        if where is numbers:
            self._rows[:, where] = rows
        is_out = np.abs(rows[1::2]) > self._bounds
        terminated, truncated = is_out[0] | is_out[1], rows[0] >= self._limit
        rewards = 0.0 - terminated if self._is_sutton_barto else np.ones(len(numbers), np.float32)
        obs = rows[1:].T.astype(np.float32)
        return Outcomes(obs, rewards, terminated, truncated, {}, self._saved(rows))

    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        self._rows[:, numbers] = np.frombuffer(b"".join(saved)).reshape(len(numbers), -1).T

    def set_params(self, numbers: Sequence[int], values: Array) -> None:
        exact = unrounded(values, self._one.exact)
        if self._params is None:
            if (exact == self._one.exact).all():
                return
            count = self._rows.shape[1]
            self._params = np.repeat(np.array([self._one.exact]).T, count, axis=1)
        self._params[:, numbers] = exact.T

    def render(self, number: int) -> Any:
        self._one.restore(self._rows[:, number].tobytes(), None)
        if self._params is None:
            return self._one.render()
        self._one.set_params(self._params[:, number].astype(np.float32))
        picture = self._one.render()
        self._one.set_params(np.array(self._one.exact, np.float32))
        return picture

    def replace(self, number: int) -> None:
        """Nothing has to be: a reset sets all that there is."""

    def close(self) -> None:
        self._one.close()

    def _start(self, seed: int) -> Array:
        if self._one.reset_options:
            self._one.reset(seed)
            start: Array = self._one.inner.state
            return start
        # As `CartPoleEnv.reset(seed=seed)` does, which takes three times as long.
        return np.random.Generator(np.random.PCG64(seed)).uniform(-0.05, 0.05, 4)

    def _where(self, numbers: Sequence[int]) -> Any:
        """Return the place of these numbers in the rows: a slice for a run, as in most calls."""
        if numbers is not self._last[0]:
            run = slice(int(numbers[0]), int(numbers[0]) + len(numbers))
            is_run = np.array_equal(numbers, np.arange(run.start, run.stop))
            self._last = numbers, run if is_run else numbers
        return self._last[1]

    def _step_each(self, where: Any, rows: Array, actions: Array) -> Outcomes:
        """Step the few by Gymnasium's own step, with the default params."""
        inner, steps = self._one.inner, []
        for lane, action in enumerate(actions.tolist()):
            inner.state, inner.steps_beyond_terminated = rows[1:, lane], None
            steps.append(inner.step(action))
            rows[1:, lane] = inner.state
        self._rows[:, where] = rows  # nothing new, if they are a run
        obs, rewards, terminated, _, _ = zip(*steps, strict=True)
        flags = np.array(terminated), rows[0] >= self._limit
        saved = self._saved(rows)
        return Outcomes(np.array(obs), np.array(rewards, np.float32), *flags, {}, saved)

    def _saved(self, rows: Array) -> Sequence[bytes]:
        if not self._saves:
            return ()
        as_bytes: list[bytes] = np.ascontiguousarray(rows.T).view(ROW)[:, 0].tolist()
        return as_bytes


class Physics:
    """The physics of CartPoles: a number of each for all, or a column of each.

    Args:
        params: in the order of `PHYSICS`.
    """

    gravity: Any
    masspole: Any
    length: Any
    force_mag: Any
    tau: Any
    total_mass: Any
    polemass_length: Any

    def __init__(self, *params: Any) -> None:
        for name, value in zip(PHYSICS["CartPoleEnv"], params, strict=True):
            setattr(self, name, value)
        for name, formula in DERIVED["CartPoleEnv"].items():
            setattr(self, name, formula(self))


def advance(states: Array, actions: Array, by: Physics) -> None:
    """Step states in place, by Euler's method.

    Args:
        states: float64[4, n]: position and velocity of the carts, angle and velocity of the poles.
        actions: int[n], 1 to push to the right, otherwise 0.
        by: their physics.
    """
    _, speed, angle, spin = states
    cos, sin = np.cos(angle), np.sin(angle)
    push = np.where(actions, by.force_mag, -by.force_mag)
    both = (push + by.polemass_length * np.square(spin) * sin) / by.total_mass
    inertia = by.length * (4.0 / 3.0 - by.masspole * np.square(cos) / by.total_mass)
    rates = np.empty_like(states)
    rates[0], rates[2] = speed, spin
    rates[3] = (by.gravity * sin - cos * both) / inertia
    rates[1] = both - by.polemass_length * rates[3] * cos / by.total_mass
    states += by.tau * rates
