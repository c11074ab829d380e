"""An instance that goes wrong in a way that its action names; other processes import this."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np

import envhub
from envhub import spaces
from envhub.host import Instance, InstanceStep, host_capabilities
from envhub.host.environment import HostEnvironment

FIRST_FAULT = 5000  # as an action: no random one reaches it


class OddError(Exception):
    """Cannot be unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def _raises(error: BaseException) -> Any:
    def change(step: InstanceStep) -> Any:
        raise error

    return change


def _gives(**changed: Any) -> Any:
    return lambda step: step._replace(**changed)


def _observes(**changed: Any) -> Any:
    return lambda step: step._replace(obs=step.obs | changed)


def _informs(**changed: Any) -> Any:
    return lambda step: step._replace(info=step.info | changed)


# By name: what the instance does to its step, and a word of the error.
FAULTS: dict[str, tuple[Any, str]] = {
    "it raises": (_raises(OSError("on purpose")), "OSError: on purpose"),
    "it raises what no other process can load": (_raises(OddError("od", "dly")), "oddly"),
    "it ends the iteration of others": (_raises(StopIteration("stop")), "stop"),
    "it exits": (_raises(SystemExit(3)), "SystemExit"),
    "it is interrupted": (_raises(KeyboardInterrupt()), "KeyboardInterrupt"),
    "a reward that is a dict": (_gives(reward={"a": 1.0}), "the reward"),
    "a complex reward": (_gives(reward=1 + 2j), "the reward"),
    "three rewards": (_gives(reward=np.zeros(3)), "the reward"),
    "no reward": (_gives(reward=None), "the reward"),
    "a reward that is too large": (_gives(reward=1e300), "1e+300"),
    "no flag": (_gives(terminated=None), "terminated"),
    "a flag that is a word": (_gives(truncated="no"), "truncated"),
    "half a flag": (_gives(truncated=0.5), "truncated"),
    "a part of the observation is missing": (
        lambda step: step._replace(obs={"a": step.obs["a"]}),
        "'b'",
    ),
    "no observation": (_gives(obs=None), "None"),
    "an observation of another shape": (_observes(a=np.zeros(3, np.float32)), "float32[3]"),
    "a fraction of a byte": (_observes(b=np.float64(0.5)), "0.5"),
    "a number that is larger than its type": (_observes(b=2**33 + 1), "8589934593"),
    "an entry of info that is a dict": (_informs(count={}), "info['count']"),
    "an entry of info of another shape": (_informs(count=np.zeros(2, int)), "info['count']"),
    "a fraction in an entry that counts": (_informs(count=10.059), "10.059"),
    "no info": (_gives(info=None), "info"),
    "four values": (lambda step: step[:4], "five values"),
    "nothing at all": (lambda step: None, "five values"),
    "what no other process can have": (_gives(reward=threading.Lock()), "lock"),
}
NAMES = list(FAULTS)


def fault(name: str) -> float:
    """The action that makes it happen."""
    return float(FIRST_FAULT + NAMES.index(name))


class Fickle(Instance):
    """Adds up its actions, and draws."""

    def reset(self, seed: int) -> Any:
        self.rng, self.count, self.total = np.random.default_rng(seed), 0, 0.0
        return self._obs()

    def step(self, action: Any) -> Any:
        self.count += 1
        value = float(action[0])
        faulty = value >= FIRST_FAULT
        self.total += 0.0 if faulty else value
        info = {"count": self.count, "drawn": self.rng.random(), "word": "x"}
        step = InstanceStep(self._obs(), self.rng.random(), self.count > 30, False, info)
        return FAULTS[NAMES[int(value) - FIRST_FAULT]][0](step) if faulty else step

    def save(self) -> bytes:
        return pickle.dumps((self.rng, self.count, self.total)).ljust(400)

    def restore(self, saved: bytes, obs: Any) -> None:
        self.rng, self.count, self.total = pickle.loads(saved)

    def _obs(self) -> Any:
        return {"a": np.array([self.total, self.count], np.float32), "b": self.count % 100}


def fickle(**options: Any) -> HostEnvironment:
    """The environment, with options of the bridge."""
    return HostEnvironment(
        "tests::Fickle",
        Fickle,
        Fickle(),
        unwrapped=None,
        observation_space=spaces.Dict(
            {"a": spaces.Box(-np.inf, np.inf, (2,), np.float32), "b": spaces.Discrete(100)}
        ),
        action_space=spaces.Box(-np.inf, np.inf, (1,), np.float32),
        capabilities=host_capabilities(
            options, True, has_env_params="there are none.", renderable="there is nothing to draw."
        ),
        default_params=None,
        options=options,
        version=envhub.__version__,
    )
