"""DeepMind's Behaviour Suite as a suite."""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from envhub._inputs import check_positive
from envhub.errors import InvalidOptionError
from envhub.flags import Claim
from envhub.host import BRIDGE_OPTIONS, HostSuite
from envhub.host.options import FIXED, OF_EPISODES
from envhub.suite import Gap

from .instances import BsuiteInstance

# The experiments, and how many settings bsuite has of each.
EXPERIMENTS = {
    "bandit": 20,
    "bandit_noise": 20,
    "bandit_scale": 20,
    "cartpole": 20,
    "cartpole_noise": 20,
    "cartpole_scale": 20,
    "cartpole_swingup": 20,
    "catch": 20,
    "catch_noise": 20,
    "catch_scale": 20,
    "deep_sea": 21,
    "deep_sea_stochastic": 21,
    "discounting_chain": 20,
    "memory_len": 23,
    "memory_size": 17,
    "mnist": 20,
    "mnist_noise": 20,
    "mnist_scale": 20,
    "mountain_car": 20,
    "mountain_car_noise": 20,
    "mountain_car_scale": 20,
    "umbrella_distract": 23,
    "umbrella_length": 23,
}
# The starts of names with a time limit, and the part of the observation before the time.
TIME = {"cartpole": 5, "mountain_car": 2}
MOST_STEPS = 10_000_000  # of an episode with a time limit
# The ends of experiments that vary one environment: its rewards, or a number of its constructor.
VARIATION = re.compile("_(noise|scale|stochastic|len|length|size|distract)$")
MNIST = Path("/tmp/mnist")  # where bsuite puts these, whatever the system
FILES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k")
         for kind in ("images-idx3", "labels-idx1")]  # fmt: skip
FETCH = "from bsuite.utils import datasets; datasets.load_mnist()"
REPLAYED = "its state cannot be saved; with forkable=True its episodes are replayed."


class BsuiteSuite(HostSuite):
    """The 468 ids of `bsuite.sweep.SWEEP`; each is a setting of an experiment."""

    name = module = distribution = "bsuite"
    title = "DeepMind's Behaviour Suite: experiments that each ask one question, on the CPU"
    supported = ">=0.3.6,<0.4"
    example = "catch/0"
    enabling = ({"forkable": True},)
    relies_on = ("dm-env",)
    instead: ClassVar = {
        "seed": "the seed to jax.random.key, for reset",
        "mapping_seed": "another id of the experiment: each has its own",
    }

    def known_names(self) -> Iterable[str]:
        return [f"{name}/{place}" for name, size in EXPERIMENTS.items() for place in range(size)]

    def live_names(self) -> Iterable[str]:
        return list(self.load("sweep").SWEEP)

    def options(self, name: str) -> Iterable[str]:
        return [*["max_episode_steps"] * name.startswith((*TIME,)), *BRIDGE_OPTIONS]

    def family(self, name: str) -> str:
        return VARIATION.sub("", name.partition("/")[0])

    def families(self) -> Mapping[str, str]:
        return {name: self.family(name) for name in self.known_names()}

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps" if name.startswith((*TIME,)) else None

    def without_limit(self, name: str, obs: Any) -> Any:
        start = next(filter(name.startswith, TIME), "")
        return obs[..., : TIME[start]] if start else obs

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        of_episodes: dict[str, Claim] = dict.fromkeys(OF_EPISODES, True)
        return {
            **of_episodes,
            "forkable": REPLAYED,
            "has_env_params": FIXED,
            "renderable": "bsuite draws nothing.",
        }

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        return True

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if not name.startswith("mnist") or all(os.path.exists(MNIST / file) for file in FILES):
            return None
        return Gap(
            "needs_network",
            f"the MNIST images are not in {MNIST}, and envhub downloads nothing. "
            f"Fetch them once: python -c {shlex.quote(FETCH)}",
        )

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], BsuiteInstance]:
        self.load("sweep")
        limit = options.get("max_episode_steps")
        if limit is not None:
            check_positive("max_episode_steps", limit)
            if limit > MOST_STEPS:  # each instance counts them
                raise InvalidOptionError(
                    f"bsuite::{name}: max_episode_steps must be at most {MOST_STEPS}, got {limit}."
                )
        return functools.partial(BsuiteInstance, name, limit)


SUITE = BsuiteSuite()
