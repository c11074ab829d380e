"""Around code of suites: what it raises becomes an error of the contract, and it prints nothing."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

from envhub import _missing
from envhub.errors import EnvHubError, MissingDependencyError

_log = logging.getLogger("envhub")


@contextlib.contextmanager
def blaming(what: str, remedy: str = "") -> Iterator[None]:
    """Make an error of the contract of whatever a suite or its description raises.

    Args:
        what: what is done inside, for the message.
        remedy: what may help, unless the error says that a package is absent.

    Raises:
        MissingDependencyError: with what failed, and the original error chained. Errors of envhub
            and Ctrl-C stay as they are; `SystemExit` does not, for a suite ends no process.
    """
    try:
        yield
    except (EnvHubError, KeyboardInterrupt):
        raise
    except BaseException as error:
        advice = _missing.remedy(error) or remedy
        message = f"{what} failed with {type(error).__name__}: {error}. {advice}"
        raise MissingDependencyError(message.rstrip()) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what a suite prints and warns while it is imported or constructed off the terminal.

    brax 0.14 prints two lines about warp to stdout (it would spoil a `--json`), and navix, brax
    and their dependencies raise deprecation warnings that are not the caller's, which
    `-W error` would turn into import failures. What was printed goes to the log, at debug level.
    """
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        yield
    if printed.getvalue():
        _log.debug("while loading a suite: %s", printed.getvalue().strip())
