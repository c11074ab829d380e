"""Check the `wrappers=` of `make`, and put them around an environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from envhub.environment import Environment
from envhub.errors import EnvHubError, InvalidOptionError

Wrapping = Callable[[Environment], Environment]


def check_wrappers(wrappers: Any) -> list[Wrapping]:
    """Return the wrappers to put around an environment, the innermost first.

    Raises:
        InvalidOptionError: if the value is not a list of wrapper classes and functions.
    """
    if wrappers is None:
        return []
    try:
        if callable(wrappers) or isinstance(wrappers, str):
            raise TypeError("it is not a list")
        found = list(wrappers)
    except TypeError as error:  # as of a number, and of an array without axes
        raise InvalidOptionError(
            "wrappers= must be a list, such as [TimeLimit(max_episode_steps=100)], got "
            f"{wrappers!r}."
        ) from error
    for each in found:
        if not callable(each):
            raise InvalidOptionError(
                f"wrappers= holds {each!r}, which is neither a wrapper nor a function of an "
                "environment."
            )
    return found


def apply_wrappers(wrappers: Iterable[Wrapping], env: Environment) -> Environment:
    """Put all wrappers around an environment, the innermost first.

    Raises:
        InvalidOptionError: if a wrapper raises, or returns something other than an environment.
    """
    for wrap in wrappers:
        inside, env = env, apply_wrapper(wrap, env)
        if env is not inside and env.spec is not None and env.spec == inside.spec:
            env.spec = env.spec.within(wrap)  # an environment of somebody else's, no `Wrapper`
    return env


def apply_wrapper(wrap: Wrapping, env: Environment) -> Environment:
    """Put one wrapper around an environment.

    Raises:
        InvalidOptionError: if it raises, or returns something other than an environment.
    """
    name = getattr(getattr(wrap, "func", wrap), "__name__", repr(wrap))  # `func` is a partial's
    try:
        wrapped = wrap(env)
    except (EnvHubError, KeyboardInterrupt):
        raise
    except BaseException as error:
        what = f"{type(error).__name__}: {error}"
        raise InvalidOptionError(f"{name} cannot wrap {env}: {what}") from error
    if not isinstance(wrapped, Environment):
        raise InvalidOptionError(
            f"{name} of wrappers= must return an environment; it returned {wrapped!r}."
        )
    return wrapped
