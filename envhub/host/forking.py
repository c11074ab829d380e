"""How an environment is forked that cannot be saved: by replay, if that is proved to be exact."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from envhub.errors import MissingCapabilityError
from envhub.host.copies import CACHE, KINDS, Copies
from envhub.host.instance import Instance
from envhub.host.logs import LogForm
from envhub.host.options import BY_REPLAY
from envhub.host.proof import refusals
from envhub.host.replay import FEW, Mode, Replay, Replaying
from envhub.host.trials import Trial
from envhub.host.values import Actions, Observations
from envhub.host.walks import Coverage, Walker

MODES = (Mode(), Mode(is_fresh=True), Mode(has_generators=True), Mode(True, True))
STEPS = 1000  # that a log has room for, where there is no episode limit and nobody says
LARGEST = 256 * 1024  # bytes of a log, unless `snapshot_size=` says so


class Proved(NamedTuple):
    """What was found out about replays of an environment.

    Attributes:
        mode: what makes them exact.
        copies: how instances are copied; `None` if they are not.
        coverage: what was tried.
    """

    mode: Mode
    copies: str | None
    coverage: Coverage


def by_replay(
    env_id: str,
    identity: str,
    trial: Trial,
    construct: Callable[[], Instance],
    first: Instance,
    options: Mapping[str, Any],
) -> tuple[Replaying, Replay]:
    """Find out how an environment is replayed.

    Args:
        env_id: the id, for errors.
        identity: the identity of the environment; what is proved for one is not proved again.
        trial: the watcher of the instances.
        construct: a function that makes an instance.
        first: an instance.
        options: the keywords of `make`.

    Returns:
        A function that makes instances, and the first one.

    Raises:
        MissingCapabilityError: if nothing makes replays exact, or a log takes too many bytes.
    """
    form = _form_of(env_id, first, options)
    limit = options.get("replay_cache", CACHE)

    def replaying(mode: Mode) -> Replaying:
        params = _bytes_of(first.default_params)
        return Replaying(env_id, construct, form, mode, Copies(limit), params)

    # Where there is no room for copies, the proof has not tried them.
    key = f"{identity} {form.size} {limit > 0}", type(first), type(first.unwrapped)
    proved = _proved.get(key)
    if proved is None:
        proved = _proved[key] = _prove(trial, replaying, first)
    by = replaying(proved.mode)
    by.copies.switch(proved.copies if limit else None)
    by.note = _in_words(form, proved, limit)
    return by, by() if proved.mode.is_fresh else Replay(by, first)


_proved: dict[tuple[str, type, type], Proved] = {}


def _form_of(env_id: str, first: Instance, options: Mapping[str, Any]) -> LogForm:
    """Return the form of the logs.

    Raises:
        MissingCapabilityError: if a log takes too many bytes.
    """
    steps = options.get("replay_steps") or first.episode_limit or STEPS
    form = LogForm(first.action_space, len(_bytes_of(first.default_params)) // 4, steps)
    most = options.get("snapshot_size") or LARGEST
    if form.size > most:
        raise MissingCapabilityError(
            f"{env_id}: the log of an episode of {steps:,} steps takes {form.size:,} bytes, and "
            f"a snapshot may have {most:,}. Make it with snapshot_size={form.size}, or with "
            "replay_steps= for shorter episodes."
        )
    return form


def _prove(trial: Trial, replaying: Callable[[Mode], Replaying], first: Instance) -> Proved:
    spaces = Actions(first.action_space), Observations(first.observation_space)
    refused: MissingCapabilityError | None = None
    for mode in MODES:
        by = replaying(mode)
        with contextlib.ExitStack() as made:
            # The first one is kept for the environment: a fresh one for each reset closes it.
            one: Instance = trial.another(by) if mode.is_fresh else Replay(by, first)
            if mode.is_fresh:
                made.callback(one.close)
            other = trial.another(by)
            made.callback(other.close)
            try:
                with refusals(trial.env_id):
                    walker = Walker(*spaces, longest=by.form.steps)
                    tried = [trial.instance(each, is_long=True) for each in (one, other)]
                    coverage = walker.prove(*tried)
            except MissingCapabilityError as error:
                refused = refused or error
                continue
            return Proved(mode, _copies_of(by, one, other, walker), coverage)
    assert refused is not None
    raise MissingCapabilityError(
        f"{refused} Replays were tried in instances that were used before, with an instance made "
        "for each reset, and with `random` and `numpy.random` seeded for each instance."
    ) from refused


def _copies_of(by: Replaying, one: Instance, other: Instance, walker: Walker) -> str | None:
    """How instances can be copied so that they continue as replays do."""
    for kind in KINDS if by.copies.limit else ():
        by.copies.switch(kind)
        with contextlib.suppress(Exception):  # whatever it is, replays do without
            if walker.prove_copies(one, other, by.copies, FEW):
                return kind
    return None


def _in_words(form: LogForm, proved: Proved, limit: int) -> str:
    copies = (
        f" Copies of instances, {limit:,} bytes at most, spare most of these steps."
        if proved.copies and limit
        else ""
    )
    how = f" To make that exact, {proved.mode}." if any(proved.mode) else ""
    return (
        f"{BY_REPLAY}; a snapshot takes {form.size:,} bytes.{copies}{how} It was tried: "
        f"{proved.coverage}."
    )


def _bytes_of(params: Any) -> bytes:
    leaves = [np.ravel(np.asarray(leaf, np.float32)) for leaf in jax.tree.leaves(params)]
    return np.concatenate(leaves).tobytes() if leaves else b""
