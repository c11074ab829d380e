"""Every error that envhub raises on purpose.

Each derives from `EnvHubError` and from the builtin that a caller would expect, so that
`except LookupError` and `except EnvHubError` both work.
"""

import difflib
from collections.abc import Iterable


class EnvHubError(Exception):
    """Base of all errors of this library."""


class InvalidEnvIdError(EnvHubError, ValueError):
    """An id that is not of the form `suite::Name`."""


class UnknownSuiteError(EnvHubError, LookupError):
    """No suite is registered under that name."""


class UnknownEnvError(EnvHubError, LookupError):
    """The suite has no environment of that name."""


class DuplicateSuiteError(EnvHubError, ValueError):
    """A different suite is already registered under that name."""


class MissingDependencyError(EnvHubError, ImportError):
    """The suite's package is absent, or present and failing to import."""


class UnsupportedVersionError(EnvHubError, ImportError):
    """The suite's package is installed in a version that the adapter does not know."""


class UnavailableEnvError(EnvHubError, RuntimeError):
    """The environment is known, and cannot run on what is installed: a gap with its reason."""


class InvalidOptionError(EnvHubError, TypeError):
    """A keyword of `make` that nobody knows, or a value that the suite refuses."""


class InvalidKeyError(EnvHubError, TypeError):
    """Not one PRNG key."""


class InvalidParamsError(EnvHubError, TypeError):
    """Params that do not have the structure of the environment's default params."""


class InvalidStateError(EnvHubError, TypeError):
    """A state that another environment made."""


class InvalidActionError(EnvHubError, ValueError):
    """An action whose shape or kind the action space does not hold."""


class MissingCapabilityError(EnvHubError, TypeError):
    """The environment does not have a capability that was asked for."""


class StaleStateError(EnvHubError, RuntimeError):
    """A host state without a snapshot whose instance has moved on, or is gone."""


class HostEnvError(EnvHubError, RuntimeError):
    """An environment on the host raised, or cannot be called; the original exception is chained."""


class RenderError(EnvHubError, RuntimeError):
    """A renderable environment that could not draw on this machine."""


class ContractError(EnvHubError, AssertionError):
    """An environment does not keep the contract: `envhub.testing` says where and why."""


def nearest(word: str, known: Iterable[str], how_many: int = 3) -> list[str]:
    """The known names closest to a mistyped one, best first, whatever its case."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=how_many, cutoff=0.5)
    return [by_lower[name] for name in close]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A clause to put behind an error message: `" Did you mean 'x' or 'y'?"`, or nothing."""
    close = nearest(word, known)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
