"""Trials of instances when an environment is made, to refuse those that hang or call JAX.

Later, compiled programs call the instances, where JAX would hang.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np

from envhub import spaces
from envhub._forks import jax_runs
from envhub.errors import EnvHubError, HostEnvError, UnavailableEnvError
from envhub.host.instance import Instance, InstanceStep
from envhub.host.parallel import parts

Value = TypeVar("Value")

# Every computation passes through one of these files (jax 0.4 to 0.11), unless JAX has compiled the
# same computation before.
DISPATCHES = {
    os.path.join(os.path.dirname(jax.__file__), "_src", f"{name}.py")
    for name in ("array", "dispatch", "pjit")
}


class Trial:
    """The calls of a trial.

    As a context manager, it raises the finding of any call inside as an error of the contract.

    Args:
        env_id: the id, for errors.
        timeout: the seconds that a call may take; `None` for no limit.

    Attributes:
        env_id: as above.
    """

    def __init__(self, env_id: str, timeout: float | None) -> None:
        self.env_id, self._timeout = env_id, timeout

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, Unfit):
            raise error.reason from None

    def instance(self, instance: Instance, *, is_long: bool = False) -> OnTrial:
        """Return the instance, with every call of it part of the trial.

        Args:
            instance: the instance, which may be on trial already.
            is_long: whether to leave out the look for calls of JAX, which makes a step twice as
                slow. Shorter trials have looked.
        """
        inner = instance.instance if isinstance(instance, OnTrial) else instance
        return OnTrial(inner, self.call_in_time if is_long else self.call)

    def another(self, construct: Callable[[], Instance]) -> OnTrial:
        """Make another instance; compiled programs make instances too."""
        doing = "making another one"
        return self.instance(self.call(doing, construct, patience=parts.STARTING))

    def first(self, construct: Callable[[], Value]) -> Value:
        """Make the first instance, which may import and prepare anything, including JAX."""
        with self:
            return self._in_time("making it", construct, parts.STARTING)

    def call(
        self, doing: str, function: Callable[..., Value], *arguments: Any, patience: float = 0.0
    ) -> Value:
        """Call a function.

        Args:
            doing: a description of the call, for errors.
            function: the function, which may raise anything.
            *arguments: its arguments.
            patience: the seconds that it may take beyond the timeout.

        Raises:
            Unfit: if it takes too long, or calls JAX.
        """
        called = functools.partial(self._without_jax, doing, function, *arguments)
        return self._in_time(doing, called, patience)

    def call_in_time(self, doing: str, function: Callable[..., Value], *arguments: Any) -> Value:
        """Call a function as `call` does, which may call JAX.

        Raises:
            Unfit: if it takes too long.
        """
        return self._in_time(doing, functools.partial(function, *arguments), 0.0)

    def _in_time(self, doing: str, function: Callable[[], Value], patience: float) -> Value:
        if self._timeout is None:
            return function()
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def answer() -> None:
            try:
                answers.put((function(), None))
            except BaseException as error:
                answers.put((None, error))

        # The thread is a daemon, so that a call that never returns does not block the exit.
        threading.Thread(target=answer, name="envhub-trial", daemon=True).start()
        try:
            value, error = answers.get(timeout=self._timeout + patience)
        except queue.Empty:
            raise Unfit(
                HostEnvError(
                    f"{self.env_id}: {doing} did not end within timeout={self._timeout} s when it "
                    "was tried; its thread was left behind."
                )
            ) from None
        if error is not None:
            raise error
        made: Value = value
        return made

    def _without_jax(self, doing: str, function: Callable[..., Value], *arguments: Any) -> Value:
        reason = UnavailableEnvError(
            f"{self.env_id} is written in JAX, at least in part: {doing} calls JAX, which "
            "deadlocks inside a callback of a compiled program. Compute with NumPy there, or give "
            "the JAX-native environment inside to envhub.wrap directly."
        )
        found: list[str] = []

        def look(frame: Any, event: str, _: Any) -> None:
            if event == "call" and frame.f_code.co_filename in DISPATCHES:
                found.append(frame.f_code.co_filename)
                raise Unfit(reason)  # stop at once: the rest of the call may compile for a minute

        if sys.getprofile() is not None:  # a profiler runs, which must not be replaced
            return function(*arguments)
        with _nothing_compiled():
            sys.setprofile(look)
            try:
                value = function(*arguments)
            finally:
                sys.setprofile(None)
        if found:  # and the environment made something else of it
            raise Unfit(reason)
        return value


class Unfit(BaseException):
    """An environment cannot be used. This is not an `Exception`, because trials catch those.

    Attributes:
        reason: the error with the reason.
    """

    def __init__(self, reason: EnvHubError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class OverdueError(Exception):
    """A trial takes longer than its time budget."""


class OnTrial(Instance):
    """An instance under trial.

    Attributes:
        instance: the instance itself.
    """

    def __init__(self, instance: Instance, call: Callable[..., Any]) -> None:
        self.instance, self._call = instance, call

    @property
    def action_space(self) -> spaces.Space:  # type: ignore[override]
        return self.instance.action_space

    def reset(self, seed: int) -> Any:
        return self._call("a reset", self.instance.reset, seed)

    def step(self, action: Any) -> InstanceStep:
        step: InstanceStep = self._call("a step", self.instance.step, action)
        return step

    def action_mask(self) -> Any:
        return self._call("its action mask", self.instance.action_mask)

    def save(self) -> bytes:
        saved: bytes = self._call("saving its state", self.instance.save)
        return saved

    def restore(self, saved: bytes, obs: Any) -> None:
        self._call("restoring a state", self.instance.restore, saved, obs)

    def close(self) -> None:
        self._call("closing it", self.instance.close)


_numbers = itertools.count()


@contextlib.contextmanager
def _nothing_compiled() -> Iterator[None]:
    """Hide what JAX has compiled, because it calls compiled programs without running Python code.

    The context is a mesh with a name that no other mesh has. JAX looks programs up by their mesh,
    and the mesh changes nothing else. If JAX has not started its backends, nothing is compiled yet.
    Asking for a device would then start them, and processes forked later could not use JAX.
    """
    if not jax_runs():
        yield
        return
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()[:1]), (f"envhub{next(_numbers)}",))
    entering: Any = getattr(jax, "set_mesh", lambda mesh: mesh)  # jax before 0.7
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ValueError):  # raised inside a program that is being traced
            stack.enter_context(entering(mesh))
        yield
