"""Parts of a fleet in actors of Ray, on any node of a cluster.

The driver is the process that made the environment. Each call is one request to an actor and one
answer, both as bytes. Only `workers="ray"` imports Ray.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from envhub import _distribution, _versions
from envhub._foreign import blaming
from envhub.errors import InvalidOptionError, MissingDependencyError, UnsupportedVersionError
from envhub.host.fleet import Method
from envhub.host.instance import Instance
from envhub.host.parallel import parts
from envhub.host.parallel.hosted import Arrival, Plan, versions_of
from envhub.host.parallel.messages import pack_request, unpack_reply
from envhub.host.parallel.parts import Part, Worker, number_of_workers
from envhub.host.parallel.serving import Reply

SUPPORTED = ">=2.60,<3"
SETUP = 600.0  # the seconds that Ray gives a `runtime_env` by default
# Ray sets the first to `num_cpus`. The bits of a product of matrices may depend on it.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
GONE = "the cluster of Ray that ran it is gone; after ray.init, the next call starts it again"


class ActorKind(NamedTuple):
    """What the actors of an environment have in common.

    Attributes:
        env_id: the id of the environment, with which the names of actors begin.
        start: a function that starts an actor with a name.
        needs: the resources that an actor needs, by Ray's names.
        patience: the seconds that an actor has to find room and to start.
        plan: what an actor runs; the size is still open.
    """

    env_id: str
    start: Callable[[str], Any]
    needs: Mapping[str, float]
    patience: float
    plan: Plan


class ActorWorker(Worker):
    """A worker in an actor of Ray.

    Args:
        kind: what it has in common with the other actors of its environment.
        size: the number of instances.
    """

    def __init__(self, kind: ActorKind, size: int) -> None:
        self._kind = kind
        self._answer: Any = None  # what `wait` found: bytes, or an exception
        self._asked: Any = None
        self._ending: Any = None
        self._due = time.monotonic() + kind.patience
        self._cluster = cluster()
        if self._cluster is None:
            return
        self._actor = kind.start(f"{kind.env_id}#{secrets.token_hex(4)}")
        threads = {name: os.environ.get(name) for name in THREADS}
        plan = pickle.dumps(kind.plan._replace(size=size))
        self._started = self._actor.start.remote(sys.path, threads, plan)

    @property
    def title(self) -> str:
        return f"its actor on node {self.node}" if self.node else "its actor"

    @property
    def _is_connected(self) -> bool:
        return self._cluster is not None and self._cluster == cluster()

    def send(self, method: Method, arguments: Sequence[Any]) -> None:
        if not self._is_connected:
            self._answer = EOFError(GONE)
            return
        try:
            request = pickle.dumps(pack_request(method, arguments), pickle.HIGHEST_PROTOCOL)
            self._asked = self._actor.answer.remote(request)
        except Exception as error:  # for example, the request is larger than the object store
            self._answer = error

    def wait(self, deadline: float | None) -> bool:
        import ray

        if self._answer is None and not self._is_connected:
            self._answer = EOFError(GONE)
        if self._answer is not None:
            return True
        try:
            if self.process is None:
                first = self._due if deadline is None else min(deadline, self._due)
                self._arrive(ray.get(self._started, timeout=_left(first)))
            self._answer = ray.get(self._asked, timeout=_left(deadline))
        except ray.exceptions.GetTimeoutError:
            if self.process is not None or (deadline is not None and deadline < self._due):
                return False
            self._answer = EOFError(self._why_not_started())
        except Exception as error:
            self._answer = error
        return True

    def receive(self) -> Reply:
        import ray

        answer, self._answer = self._answer, None
        if isinstance(answer, bytes):
            try:
                return unpack_reply(pickle.loads(answer))
            except Exception as error:  # of a class that cannot be imported here
                return Reply(error=error)
        if isinstance(answer, ray.exceptions.RayTaskError):
            cause = self._cannot_start(answer) if self.process is None else answer.cause
            return Reply(error=cause, is_lost=True)
        if isinstance(answer, ray.exceptions.RayError):
            raise EOFError(f"{self.title} died: {_reason(answer)}") from answer
        if isinstance(answer, EOFError):
            raise answer
        return Reply(error=answer, is_lost=True)

    def ask_to_end(self) -> None:
        # An actor that has not started has nothing to close.
        if self.process is not None and self._is_connected:
            with contextlib.suppress(Exception):  # it died
                self._ending = self._actor.close.remote()

    def end(self, deadline: float) -> None:
        import ray

        if not self._is_connected:  # Ray has ended the actors of that connection
            return
        try:
            if self._ending is not None:
                ray.wait([self._ending], timeout=_left(deadline))
        finally:
            with contextlib.suppress(Exception):  # it died
                ray.kill(self._actor)

    def _arrive(self, told: Sequence[Any]) -> None:
        """Note where the actor lives.

        Raises:
            UnsupportedVersionError: if packages there have other versions than here.
        """
        arrival = Arrival(*told)
        self.node = arrival.node
        if arrival.differing:
            both = "; ".join(
                f"{name} is {own} here and {other} there"
                for name, (own, other) in arrival.differing.items()
            )
            raise UnsupportedVersionError(
                f"{self._kind.env_id}: node {self.node} has other versions than this process: "
                f"{both}. Install the same versions on every node."
            )
        self.process = arrival.process

    def _cannot_start(self, error: Any) -> Exception:
        return MissingDependencyError(
            f"{self._kind.env_id}: its actor could not start envhub on node {error.ip}: "
            f"{error.cause!r}. Install the same packages on every node."
        )

    def _why_not_started(self) -> str:
        import ray

        free, whole = ray.available_resources(), ray.cluster_resources()
        needs = ", ".join(f"{need:g} {name}" for name, need in self._kind.needs.items())
        there = ", ".join(
            f"{free.get(name, 0.0):g} of {whole.get(name, 0.0):g} {name}"
            for name in self._kind.needs
        )
        return (
            f"its actor did not start within {self._kind.patience:g} s: it needs "
            f"{needs or 'nothing'}, and the cluster has {there or 'nothing'} free. If that is too "
            "little, take fewer actors with num_workers=, ask for less with "
            "ray_options={'num_cpus': 0.5}, or add nodes"
        )


def actor_parts(
    construct: Callable[[], Instance],
    options: Mapping[str, Any],
    *,
    env_id: str,
    packages: Iterable[str],
    saves: bool,
    info: Sequence[str],
) -> list[Part]:
    """Return the parts of a fleet in actors, none of which has started.

    Args:
        construct: a function that makes one instance.
        options: the keywords of `make`: `num_workers`, `ray_options` and `timeout`.
        env_id: the id of the environment.
        packages: the distributions whose versions must be the same on every node.
        saves: whether to save each instance after each reset and step.
        info: the names of the entries of `info` that are sent.

    Raises:
        MissingDependencyError: if Ray is absent.
        UnsupportedVersionError: if Ray has another version than `SUPPORTED`.
        InvalidOptionError: if Ray refuses an option, or `construct` cannot be pickled.
    """
    ray = require()
    given = {"num_cpus": 1, **(options.get("ray_options") or {})}
    actor = ray.remote(_actor_class())
    try:
        actor.options(**given)
    except (TypeError, ValueError) as error:
        raise InvalidOptionError(f"{env_id}: Ray refuses ray_options: {error}") from error
    try:
        pickled = ray.cloudpickle.dumps(construct)
    except Exception as error:  # the exceptions that pickling raises have no common base
        raise InvalidOptionError(
            f"{env_id}: workers='ray': the constructor of this environment cannot be pickled for "
            f"an actor: {error}. Give keywords that can be pickled, or use workers='thread'."
        ) from error
    connect()
    patience = parts.STARTING + (SETUP if "runtime_env" in given else 0.0)
    plan = Plan(pickled, saves, list(info), versions_of(packages))

    def start(name: str) -> Any:
        return actor.options(name=name, max_restarts=0, max_task_retries=0, **given).remote()

    kind = ActorKind(env_id, start, _needs(given), patience, plan)
    count = number_of_workers(options, int(ray.cluster_resources().get("CPU", 1)))
    timeout = options.get("timeout")
    return [Part(lambda size: ActorWorker(kind, size), timeout) for _ in range(count)]


def require() -> Any:
    """Import Ray.

    Raises:
        MissingDependencyError: if it is absent.
        UnsupportedVersionError: if it has another version than `SUPPORTED`.
    """
    command, found = _distribution.install_command("ray"), _versions.installed_version("ray")
    if found is None:
        raise MissingDependencyError(
            f"workers='ray' needs the package 'ray', which is not installed. Run: {command}"
        )
    if not _versions.admits(SUPPORTED, found):
        raise UnsupportedVersionError(
            f"ray {found} is installed; envhub supports ray{SUPPORTED}. Run: {command}"
        )
    with blaming(f"ray {found} is installed, but importing it"):
        import ray
    return ray


def connect() -> None:
    """Begin a cluster on this machine, unless this process is connected to one."""
    import ray

    if ray.is_initialized():
        return
    reports = "RAY_USAGE_STATS_ENABLED"  # to the makers of Ray, by default
    is_set = reports in os.environ
    os.environ.setdefault(reports, "0")
    try:
        ray.init(address="local", include_dashboard=False, logging_level=logging.WARNING)
    finally:
        if not is_set:
            del os.environ[reports]


def cluster() -> Any:
    """Return what names this process's connection to a cluster; `None` if there is none."""
    import ray

    if not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    return context.get_node_id(), context.get_job_id()


def _actor_class() -> type:
    """Return the class of actors, as Ray sends it: by value, because a node may lack envhub."""

    class EnvHubActor:
        def start(self, path: list[str], threads: dict[str, str | None], plan: bytes) -> Any:
            """Import envhub from the driver's path, and compare versions."""
            import os
            import sys

            sys.path[:] = [*path, *(each for each in sys.path if each not in path)]
            # If an environment uses JAX itself, the accelerator belongs to the driver.
            os.environ["JAX_PLATFORMS"] = "cpu"
            for name, value in threads.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            from envhub.host.parallel.hosted import ActorInstances

            self.instances = ActorInstances(plan)
            return tuple(self.instances.arrival())

        def answer(self, request: bytes) -> bytes:
            return self.instances.answer(request)

        def close(self) -> None:
            self.instances.close()

    return EnvHubActor


def _needs(given: Mapping[str, Any]) -> dict[str, float]:
    """Return the resources that options of an actor ask for, by the names that Ray shows."""
    shown = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    asked = {name: given.get(option) for name, option in shown.items()}
    needs = {**asked, **(given.get("resources") or {})}
    return {name: need for name, need in needs.items() if need}


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _reason(error: Exception) -> str:
    """Return in one line why an actor died, as Ray tells it, without what names the actor."""
    lines = str(error).splitlines()
    told = " ".join(line.strip() for line in lines[1:] if not line.startswith("\t")) or lines[0]
    return told if len(told) <= 300 else f"{told[:300]}…"
