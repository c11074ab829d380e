"""`Trial`: an environment for the checks, its episodes, and facts that only its author knows."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from envhub.environment import Environment
from envhub.testing import episodes
from envhub.testing.comparison import NotRunError
from envhub.testing.episodes import LANES, SHORT, TRIES, Episodes, Program
from envhub.testing.remedies import LIMIT, LONG_LIVED
from envhub.testing.second_process import SecondProcess
from envhub.testing.subject import Subject

LimitMaker = Callable[[int], tuple[Environment, Any]]
"""A function from a number of steps to the environment with that limit, and its params."""


def _state_itself(state: Any) -> Any:
    return state


def _terminated(result: Any) -> Any:
    return result.terminated


def _all_of_it(first_obs: Any, seen: np.ndarray) -> tuple[Any, np.ndarray]:
    return first_obs, seen


@dataclasses.dataclass(frozen=True)
class Own:
    """The suite's own functions, for a comparison bit by bit.

    Attributes:
        reset: a function from (key, params) to the observation and the suite's state.
        step: a function from (key, state, action, params) to observation, state, reward, done and
            info; it never resets.
        state: a function from the hub's state to the suite's state.
        done: a function from a `StepResult` to the flag that the suite's `done` stands for.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> theirs = env.unwrapped
        >>> own = Own(theirs.reset_env, theirs.step_env)
        >>> own.reset(jax.random.key(0), params)[0].shape
        (4,)
    """

    reset: Callable[..., Any]
    step: Callable[..., Any]
    state: Callable[[Any], Any] = _state_itself
    done: Callable[[Any], Any] = _terminated


class Trial(Subject):
    """A `Subject` with whole episodes.

    Args:
        env: the environment.
        params: the params for the checks.
        recipe: how another process makes it, see `Subject`.
        other: that process, see `Subject`.
        limit: the field of the params that holds the episode limit, or a function from a number of
            steps to the environment with that limit and its params. Without it, checks of limits
            are not run.
        own: a function that returns the suite's own functions; without it, they are not compared.
        reader: the caller who reads the verdicts, see `Subject`.
        at_limit: a function from the first observations (leaves of shape (steps, lanes, …)) and
            bool[steps, lanes] to the observations that a limit does not change, and which of them
            to compare.
        longest: the maximum number of steps of an episode.
        is_optimised: whether to compile the episodes as for users, for a realistic speed.

    Examples:
        >>> trial = Trial(*envhub.make("gymnax::CartPole-v1"), limit="max_steps_in_episode")
        >>> trial.start[0].shape
        (4,)
    """

    def __init__(
        self,
        env: Environment,
        params: Any,
        recipe: Mapping[str, Any] | None = None,
        other: SecondProcess | None = None,
        *,
        reader: str = "check_env",
        limit: str | LimitMaker | None = None,
        own: Callable[[], Own] | None = None,
        at_limit: Callable[[Any, np.ndarray], tuple[Any, np.ndarray]] = _all_of_it,
        longest: int = episodes.LONGEST,
        is_optimised: bool = False,
    ) -> None:
        super().__init__(env, params, recipe, other, reader)
        self._limit, self.own, self.at_limit = limit, own, at_limit
        self._longest, self._is_optimised = longest, is_optimised

    @functools.cached_property
    def _program(self) -> Program:
        return episodes.program_of(self, self._is_optimised)

    @functools.cached_property
    def episodes(self) -> Episodes:
        """Return lanes of random actions until their ends."""
        return episodes.follow(self, self.params, self._program, self._longest)

    @property
    def limited(self) -> Episodes:
        """Return episodes of which one outlasts `SHORT` steps, beside the same with that limit.

        Raises:
            NotRunError: if `limit` was not given, or no episode is that long.
        """
        if self._limit is None:
            raise NotRunError(f"the limit of an episode is not known. {self.remedy(LIMIT)}")
        if self._outlasting is None:
            raise NotRunError(
                f"none of {TRIES * LANES} episodes of random actions lasts longer than {SHORT} "
                f"steps, so that a limit would cut it. {self.remedy(LONG_LIVED)}"
            )
        return self._outlasting

    @functools.cached_property
    def _outlasting(self) -> Episodes | None:
        """Return `limited`, unless none of `TRIES` shows anything."""
        with self._cut() as (subject, params, program):
            for seed in range(TRIES):
                whole = self.episodes
                if seed:
                    whole = episodes.follow(self, self.params, self._program, SHORT + 1, seed)
                if not whole.outlasts.any():
                    continue
                cut = episodes.follow(subject, params, program, SHORT + 1, seed)
                # Where a key decides nothing, this lane may end before the limit, and that not.
                if self.env.capabilities.reproducible or cut.reaches_limit.any():
                    return episodes.side_by_side(whole, cut)
        return None

    @contextlib.contextmanager
    def _cut(self) -> Iterator[tuple[Subject, Any, Program]]:
        """Give the environment with a limit of `SHORT` steps."""
        if isinstance(self._limit, str):
            value = jnp.asarray(getattr(self.params, self._limit))
            short = {self._limit: jnp.full_like(value, SHORT)}
            yield self, dataclasses.replace(self.params, **short), self._program
            return
        assert self._limit is not None
        env, params = self._limit(SHORT)
        with contextlib.closing(env):
            limited = Subject(env, params)
            yield limited, params, episodes.program_of(limited)

    @property
    def seen_by_both(self) -> np.ndarray:
        """Return bool[SHORT, LANES]: whether a whole episode and its limited twin both continue."""
        alive = self.limited.alive
        both: np.ndarray = alive[:SHORT, :LANES] & alive[:SHORT, LANES:]
        return both
