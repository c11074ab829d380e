"""Print a command's facts to stdout, as JSON or as text; everything else goes to stderr."""

import errno
import json
import math
from collections.abc import Callable
from typing import Any, NoReturn, TextIO

import jax
import numpy as np
import typer
from rich.console import RenderableType

from envhub._descriptors import own_stdout
from envhub.cli._drawing import console
from envhub.cli._facts import Facts, error_facts
from envhub.errors import EnvHubError


def answer(
    work_out: Callable[[], Facts], draw: Callable[[Facts], RenderableType], as_json: bool
) -> Facts:
    """Compute facts and print them; an error of envhub becomes one message and exit code 1.

    Lack of memory and an output file that cannot be written are handled in the same way.
    """
    try:
        with own_stdout() as stdout:
            try:
                facts = work_out()
            except (EnvHubError, MemoryError, RuntimeError) as error:
                if not _is_to_be_told(error):
                    raise
                if as_json:
                    _print_json({"error": error_facts(error)}, stdout)
                _fail(error)
            if as_json:
                _print_json(facts, stdout)
            else:
                console(stdout).print(draw(facts))
    except OSError as error:
        if error.errno == errno.EPIPE:  # as of `| head`, where nobody wants to read the rest
            raise typer.Exit(1) from error
        _fail(error)
    return facts


def _is_to_be_told(error: Exception) -> bool:
    """Tell whether an error is not a bug here; JAX reports lack of memory only by its text."""
    told = ("RESOURCE_EXHAUSTED", "Out of memory")
    return isinstance(error, EnvHubError | MemoryError) or any(each in str(error) for each in told)


def _fail(error: Exception) -> NoReturn:
    typer.secho(f"Error: {error or type(error).__name__}", fg="red", err=True)
    raise typer.Exit(1) from error


def is_interrupted(work: Callable[[], None]) -> bool:
    """Run the work, and tell whether Ctrl-C ended it."""
    try:
        work()
    except KeyboardInterrupt:
        return True
    except RuntimeError as error:
        # What a callback to the host raises in a compiled program, JAX makes a text of.
        if KeyboardInterrupt.__name__ not in str(error):
            raise
        return True
    return False


def _print_json(facts: Facts, stdout: TextIO) -> None:
    typer.echo(json.dumps(_jsonable(facts), indent=2, allow_nan=False), file=stdout)


def _jsonable(value: Any) -> Any:
    """Return a value for JSON: arrays as lists, and values that JSON lacks (infinity) as text."""
    if isinstance(value, dict):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return _jsonable(np.asarray(value).tolist())
    is_plain = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return value if value is None or is_plain else str(value)
