"""Another process that makes the same environment, for `reproducible` and `checkpointable`.

Run as `python -m envhub.testing`, it answers requests, one JSON object per line.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from envhub import hub
from envhub._checkpoints import pack_state
from envhub._descriptors import own_stdout
from envhub.environment import Environment

DIED = "the other process died"


def arrays_of(tree: Any) -> list[np.ndarray]:
    """Return the leaves of a pytree as plain arrays, and typed keys as their data."""
    return list(pack_state(tree).values())


def make_by_recipe(recipe: Mapping[str, Any]) -> tuple[Environment, Any]:
    """Make an environment from a recipe.

    Args:
        recipe: `{"id": …, "kwargs": {…}}` for `envhub.make`, or `{"call": "module:function",
            "kwargs": {…}}` for a function that returns an environment and its params.
    """
    kwargs = recipe.get("kwargs", {})
    if "id" in recipe:
        return hub.make(recipe["id"], **kwargs)
    made: tuple[Environment, Any] = _resolve(recipe["call"])(**kwargs)
    return made


class SecondProcess:
    """A Python process in which to call functions; the first call starts it.

    Args:
        environ: its environment variables; by default those of this process.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = environ

    @functools.cached_property
    def _process(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "envhub.testing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=self._environ,
        )

    def call(self, function: str, **arguments: Any) -> Any:
        """Call a function in the other process.

        Args:
            function: `"module:function"`.
            **arguments: its arguments, as JSON values.

        Returns:
            Its result, a JSON value.

        Raises:
            RuntimeError: if the call failed there; the message has the error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(json.dumps([function, arguments]) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": DIED}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        """End the process, if there is one.

        The process is killed rather than asked to end. Between two calls it has nothing to
        finish, it may take a minute to free compiled programs, and it does not see the end of its
        input while a process that was forked here holds that input open.
        """
        if "_process" in vars(self):
            self._process.kill()
            with contextlib.suppress(BrokenPipeError), self._process:
                pass  # which closes the pipes, and waits


def _resolve(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def serve() -> None:
    """Answer requests from standard input until it ends."""
    with own_stdout() as answers:  # suites print
        for line in sys.stdin:
            try:
                function, arguments = json.loads(line)
                answer = {"result": _resolve(function)(**arguments)}
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
