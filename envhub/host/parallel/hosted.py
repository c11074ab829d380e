"""The instances of an actor of Ray, on its node; `actors` is the other end."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from envhub import __version__
from envhub._versions import installed_version
from envhub.host.fleet import SerialFleet
from envhub.host.parallel.messages import answer_with, load_constructor, unpack_request
from envhub.host.parallel.serving import Reply, answer, build
from envhub.params import wait_with_jax

REMEDY = (
    "Install its package on every node, or send it with "
    "ray.init(runtime_env={'py_modules': [...]})."
)


class Plan(NamedTuple):
    """What an actor runs.

    Attributes:
        construct: the pickled function that makes one instance.
        saves: whether to save each instance after each reset and step.
        info: the names of the entries of `info` that are sent.
        versions: the versions of packages in the driver, by name.
        size: the number of instances.
    """

    construct: bytes
    saves: bool
    info: list[str]
    versions: Mapping[str, str]
    size: int = 1


class Arrival(NamedTuple):
    """What an actor says of itself when it starts.

    Attributes:
        process: the id of its process.
        node: the address of its node, and the beginning of Ray's id of the node.
        differing: the versions of the driver and of the node, by package, where they differ.
    """

    process: int
    node: str
    differing: dict[str, tuple[str, str]]


class ActorInstances:
    """The instances of an actor, which are made at the first request.

    Args:
        pickled: a pickled `Plan`.
    """

    def __init__(self, pickled: bytes) -> None:
        wait_with_jax()
        self._plan: Plan = pickle.loads(pickled)
        self._fleet: SerialFleet | None = None

    def arrival(self) -> Arrival:
        """Return where this actor lives, and what differs there."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        expected = self._plan.versions
        here = versions_of(expected)
        differing = {
            name: (version, here.get(name, "none"))
            for name, version in expected.items()
            if here.get(name) != version
        }
        return Arrival(os.getpid(), f"{ray.util.get_node_ip_address()} ({node[:8]})", differing)

    def answer(self, request: bytes) -> bytes:
        """Answer a pickled request with a pickled reply."""
        try:
            if self._fleet is None:
                where = f"workers='ray': node {self.arrival().node}"
                construct = load_constructor(self._plan.construct, where, REMEDY)
                self._fleet = build(construct, None, self._plan.size, self._plan.saves)
            reply = answer(self._fleet, *unpack_request(pickle.loads(request)))
        except BaseException as error:
            reply = Reply(error=error, is_lost=True)
        return answer_with(_pickled, reply, self._plan.info)

    def close(self) -> None:
        """Close all instances."""
        if self._fleet is not None:
            self._fleet.close()


def _pickled(message: Any) -> bytes:
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of envhub, NumPy and these packages here, without the absent ones."""
    found = {name: installed_version(name) for name in ("numpy", *packages)}
    return {name: version for name, version in found.items() if version} | {"envhub": __version__}
