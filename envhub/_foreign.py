"""Run the code of suites: convert its exceptions to errors of the contract, and keep it quiet."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator

from envhub import _missing
from envhub.errors import EnvHubError, MissingDependencyError

_log = logging.getLogger("envhub")


@contextlib.contextmanager
def blaming(what: str, remedy: str = "") -> Iterator[None]:
    """Convert every exception of a suite or of its description to an error of the contract.

    Args:
        what: a description of what runs inside, for the message.
        remedy: advice, unless the exception shows that a package is absent.

    Raises:
        MissingDependencyError: if the code inside raises, with the exception as its cause. Errors
            of envhub and Ctrl-C stay as they are. `SystemExit` is converted, because a suite must
            not end the process.
    """
    try:
        yield
    except (EnvHubError, KeyboardInterrupt):
        raise
    except BaseException as error:
        advice = _missing.remedy(error, {}) or remedy
        message = f"{what} failed with {type(error).__name__}: {error}. {advice}"
        raise MissingDependencyError(message.rstrip()) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide what a suite prints, and its warnings, while it is imported or constructed.

    brax 0.14 prints two lines about warp to stdout, which would spoil the output of `--json`. navix
    and brax cause deprecation warnings that do not concern the caller, and that `-W error` would
    turn into import failures. The printed text goes to the log at debug level.
    """
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        yield
    if printed.getvalue():
        _log.debug("while loading a suite: %s", printed.getvalue().strip())


@contextlib.contextmanager
def keep_streams() -> Iterator[None]:
    """Restore the streams of the terminal after a package was imported, and hide what it prints.

    If brax is installed, JaxMARL 0.2.0 replaces `sys.stdout` and `sys.stderr` by the streams that
    Python started with, and then prints which of its environments are absent.
    """
    names = ("stdout", "stderr", "__stdout__", "__stderr__")
    kept = {name: getattr(sys, name) for name in names}
    vars(sys).update(dict.fromkeys(names, io.StringIO()))
    try:
        yield
    finally:
        vars(sys).update(kept)
