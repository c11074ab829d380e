"""Every error that envhub raises on purpose.

Each derives from `EnvHubError` and from the builtin that a caller would expect, so that
`except LookupError` and `except EnvHubError` both work.
"""

import difflib
from collections.abc import Iterable
from typing import Any


class EnvHubError(Exception):
    """Base of all errors of this library.

    Examples:
        >>> try:
        ...     envhub.make("gymnax::CartPole-v7")
        ... except EnvHubError as error:
        ...     print(type(error).__name__)
        UnknownEnvError
    """


class InvalidEnvIdError(EnvHubError, ValueError):
    """An id does not have the form `suite::Name`.

    Examples:
        >>> envhub.make("CartPole-v1")
        Traceback (most recent call last):
        envhub.errors.InvalidEnvIdError: an environment id has the form 'suite::Name', ...
    """


class UnknownSuiteError(EnvHubError, LookupError):
    """No suite is registered under that name.

    Examples:
        >>> envhub.make("gymnix::CartPole-v1")
        Traceback (most recent call last):
        envhub.errors.UnknownSuiteError: ...Did you mean 'gymnax'...
    """


class UnknownEnvError(EnvHubError, LookupError):
    """The suite has no environment of that name.

    Examples:
        >>> envhub.make("gymnax::CartPool-v1")
        Traceback (most recent call last):
        envhub.errors.UnknownEnvError: ...Did you mean 'CartPole-v1'...
    """


class DuplicateSuiteError(EnvHubError, ValueError):
    """A different suite is already registered under that name.

    Examples:
        >>> envhub.register("gymnax", "my_package.my_module:SUITE")
        Traceback (most recent call last):
        envhub.errors.DuplicateSuiteError: the suite name 'gymnax' is taken ...
    """


class MissingDependencyError(EnvHubError, ImportError):
    """The suite's package is absent or cannot be imported.

    Examples:
        >>> envhub.register("mine", "my_package.my_module:SUITE")
        >>> envhub.make("mine::A")
        Traceback (most recent call last):
        envhub.errors.MissingDependencyError: ...my_package...
        >>> envhub.unregister("mine")
    """


class UnsupportedVersionError(EnvHubError, ImportError):
    """The suite's package is installed in a version that the adapter does not know.

    Examples:
        >>> issubclass(UnsupportedVersionError, ImportError)
        True
    """


class UnavailableEnvError(EnvHubError, RuntimeError):
    """The environment is known but cannot run on the installed packages: a gap with its reason.

    Examples:
        >>> envhub.make("gymnasium::Pusher-v4")
        Traceback (most recent call last):
        envhub.errors.UnavailableEnvError: gymnasium::Pusher-v4 ...
    """


class InvalidOptionError(EnvHubError, TypeError):
    """A keyword is unknown, or the suite refuses its value.

    Examples:
        >>> envhub.make("gymnax::CartPole-v1", gravitty=1.0)
        Traceback (most recent call last):
        envhub.errors.InvalidOptionError: gymnax::CartPole-v1 does not take 'gravitty'. ...
    """


class InvalidKeyError(EnvHubError, TypeError):
    """The argument is not one PRNG key.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> env.reset(0, params)
        Traceback (most recent call last):
        envhub.errors.InvalidKeyError: expected one PRNG key, got 0. ...
    """


class InvalidParamsError(EnvHubError, TypeError):
    """The params do not have the structure of the environment's default params.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> env.reset(jax.random.key(0), {"gravity": 9.8})
        Traceback (most recent call last):
        envhub.errors.InvalidParamsError: params do not fit this environment: ...
    """


class InvalidStateError(EnvHubError, TypeError):
    """The state was made by another environment.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> env.step(jax.random.key(0), jnp.zeros(3), 0, params)
        Traceback (most recent call last):
        envhub.errors.InvalidStateError: this state was not made by ...
    """


class InvalidActionError(EnvHubError, ValueError):
    """The action does not have the shape or kind of the action space.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> env.step(jax.random.key(1), state, 0.5, params)
        Traceback (most recent call last):
        envhub.errors.InvalidActionError: ... does not fit Discrete(2): its dtype is float32...
    """


class MissingCapabilityError(EnvHubError, TypeError):
    """The environment does not have a required capability.

    Examples:
        >>> envhub.require("gymnax::CartPole-v1", "differentiable")
        Traceback (most recent call last):
        envhub.errors.MissingCapabilityError: gymnax::CartPole-v1 lacks ...
    """


class UnpicklableError(EnvHubError, TypeError):
    """The environment contains something that cannot be pickled.

    Examples:
        >>> import pickle
        >>> halve = envhub.wrappers.TransformReward(func=lambda reward: reward / 2)
        >>> env, _ = envhub.make("gymnax::CartPole-v1", wrappers=[halve])
        >>> pickle.dumps(env)  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        UnpicklableError: ... Functions and classes are pickled by name: ...
    """


class StaleStateError(EnvHubError, RuntimeError):
    """A state of a callback environment has no snapshot, and its instance moved on or is gone.

    Examples:
        >>> env, params = envhub.make("gymnasium::CartPole-v1", forkable=False)
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> _ = env.step(jax.random.key(1), state, 0, params)
        >>> env.step(jax.random.key(1), state, 1, params)
        Traceback (most recent call last):
        envhub.errors.StaleStateError: ...
    """


class HostEnvError(EnvHubError, RuntimeError):
    """A callback environment raised or cannot be called; the original exception is chained.

    Examples:
        >>> import gymnasium
        >>> connections = ["the robot"]
        >>> class Robot(gymnasium.Env):
        ...     observation_space = action_space = gymnasium.spaces.Discrete(2)
        ...     def reset(self, seed=None, options=None):
        ...         return 0, {}
        ...     def step(self, action):
        ...         return 0, 1 / len(connections), False, False, {}
        >>> env, params = envhub.wrap(Robot)
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> connections.clear()
        >>> env.step(jax.random.key(1), state, 1, params)
        Traceback (most recent call last):
        envhub.errors.HostEnvError: ... ZeroDivisionError: division by zero...
    """


class ForkedProcessError(EnvHubError, RuntimeError):
    """The process was forked while JAX was running, so the call would never return.

    Examples:
        >>> import multiprocessing
        >>> _ = jax.random.key(0)  # JAX runs
        >>> def child(pipe):
        ...     try:
        ...         envhub.make("gymnax::CartPole-v1")
        ...     except envhub.errors.EnvHubError as error:
        ...         pipe.send(type(error).__name__)
        >>> ours, theirs = multiprocessing.Pipe()
        >>> multiprocessing.get_context("fork").Process(target=child, args=(theirs,)).start()
        >>> ours.recv()
        'ForkedProcessError'
    """


class RenderError(EnvHubError, RuntimeError):
    """A renderable environment could not draw on this machine.

    Examples:
        >>> env, params = envhub.make("gymnasium::CartPole-v1")
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> jax.jit(env.render)(state)
        Traceback (most recent call last):
        envhub.errors.RenderError: <HostEnvironment gymnasium::CartPole-v1>: render draws...
    """


class ContractError(EnvHubError, AssertionError):
    """An environment does not keep the contract, as one of its hooks or `envhub.testing` shows.

    Examples:
        >>> from envhub.testing import Report, Verdict
        >>> Report("mine::A", (Verdict("steps", "fail", "obs is a list."),)).raise_if_failed()
        Traceback (most recent call last):
        envhub.errors.ContractError: mine::A: ...
    """


def nearest(word: str, known: Iterable[str], how_many: int = 3) -> list[str]:
    """Return the known names closest to a mistyped name, the best first, ignoring case.

    Examples:
        >>> nearest("CartPool-v1", ["CartPole-v1", "Pendulum-v1"])
        ['CartPole-v1']
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=how_many, cutoff=0.5)
    return [by_lower[name] for name in close]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion for the end of a message, `" Did you mean 'x' or 'y'?"`, or `""`.

    Examples:
        >>> did_you_mean("CartPool-v1", ["CartPole-v1", "Pendulum-v1"])
        " Did you mean 'CartPole-v1'?"
    """
    close = nearest(word, known)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def brief(value: Any, width: int = 200) -> str:
    """Return a value as text for a message: its shortened `repr`, or its kind if that fails."""
    try:
        text = repr(value)
    except Exception:  # as of an int of more than 4300 digits
        text = f"a {type(value).__name__} that cannot be printed"
    return text if len(text) <= width else f"{text[:width]}…"
