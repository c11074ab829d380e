"""The probes of the capability flags: each tries the capability, and can say no.

`examine` runs them on any environment that follows the protocol. If a flag is claimed and its probe
fails, the claim is false; if it is denied and its probe passes, it is an unclaimed capability.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub._sharding import shard_map
from envhub.environment import StepResult
from envhub.errors import RenderError
from envhub.flags import FLAGS
from envhub.testing import long_runs
from envhub.testing.comparison import (
    NotRunError,
    Refuted,
    bits,
    close,
    differ,
    same,
    same_arrays,
    stack,
    visible,
)
from envhub.testing.remedies import DEVICES
from envhub.testing.subject import STEPS, Subject

MANY = 4000
EVERY = 16  # steps between two resets within a run
SIDE = 37  # steps of another branch; no usual length of an episode
LATER = 20


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one probe.

        >>> Finding(holds=False, detail="the lanes differ.").holds
        False

    Attributes:
        holds: whether the environment has the capability; `None` if the probe could not run here.
        detail: the observation that refutes it, or the reason why the probe could not run.
    """

    holds: bool | None
    detail: str = ""


def examine(subject: Subject, flags: Iterable[str] = FLAGS) -> dict[str, Finding]:
    """Run the probes of these flags.

    Any exception in a probe counts as a no, with the exception as the detail.

        >>> from envhub.testing.subject import Subject
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> examine(Subject(env, params), ["jax_native"])
        {'jax_native': Finding(holds=True, detail='')}
    """
    return {flag: _try(PROBES[flag], subject) for flag in flags}


def _try(probe: Callable[[Subject], None], subject: Subject) -> Finding:
    try:
        probe(subject)
    except NotRunError as reason:
        return Finding(None, str(reason))
    except Refuted as refuted:
        return Finding(False, str(refuted))
    except Exception as error:
        return Finding(False, f"{type(error).__name__}: {error}")
    return Finding(True)


def jax_native(subject: Subject) -> None:
    """No primitive of the traced reset and step is a host callback."""
    traced_reset = jax.make_jaxpr(subject.env.reset)(subject.keys[0], subject.params)
    traced_step = jax.make_jaxpr(subject.env.step)(
        subject.keys[1], subject.start[1], subject.actions[0], subject.params
    )
    for traced in (traced_reset, traced_step):
        calls = {name for name in primitives(traced.jaxpr) if "callback" in name}
        if calls:
            raise Refuted(f"the program makes host callbacks: {', '.join(sorted(calls))}")


def forkable(subject: Subject) -> None:
    """Two branches from one state: neither changes the state, the other, or its own repetition."""
    _, state = subject.env.reset(subject.keys[0], subject.params)
    before = bits(state)
    trunk = subject.walk(state, 0, STEPS)
    subject.walk(state, STEPS, 2 * STEPS)
    again = subject.walk(state, 0, STEPS)
    if bits(state) != before:
        raise Refuted("stepping changed the state that was given")
    same("the same state stepped again after another branch", visible(trunk), visible(again))
    if not subject.is_pure:
        _fork_in_the_middle(subject)


def _fork_in_the_middle(subject: Subject) -> None:
    run = subject.long_run
    before, state = run.kept[run.middle]
    play = functools.partial(long_runs.replay, subject.env, subject.params, run.actions)
    collections.deque(play(long_runs.LONG - SIDE, state), 0)  # another branch
    what = f"a run that goes on from its state after {run.middle} steps"
    long_runs.insist_on_same(what, run.digests[before:], play(run.middle, state))


def vmap_safe(subject: Subject) -> None:
    """A lane of two nested vmaps over a scan equals the same steps alone."""
    _, results = subject.lanes
    lane = jax.tree.map(lambda leaf: leaf[0, 0], visible(results))
    close("a lane under nested vmap", lane, visible(stack(subject.path[:STEPS])))


def has_env_params(subject: Subject) -> None:
    """Some variants of the params, batched by vmap, behave differently; each changes one leaf.

    A leaf that changes nothing in a few steps may have an effect later (the difficulty of an ALE
    game) or rarely (the rules of Gymnasium's Blackjack).
    """
    if not jax.tree.leaves(subject.params):
        raise Refuted("the environment has no params")
    obs, results = subject.lanes
    if not differ((obs, visible(results))) and not subject.variants_part(MANY):
        raise Refuted(f"no leaf of the params has an effect in {MANY} steps")


def isolated_reset(subject: Subject) -> None:
    """Resets between two steps do not invalidate the state."""
    alone = visible(subject.path[:STEPS])  # played before the others, and they after it
    _, state = subject.env.reset(subject.keys[0], subject.params)
    subject.env.reset(jax.random.key(5), subject.params)
    subject.env.reset(subject.keys[0], subject.params)
    walked = visible(subject.walk(state, 0, STEPS))
    same("an episode with other resets within", alone, walked)
    if subject.is_pure:
        return

    def reset_at_times(steps: int) -> None:
        if steps % EVERY == 0:
            subject.env.reset(jax.random.fold_in(jax.random.key(5), steps), subject.params)

    run = subject.long_run
    again = long_runs.replay(subject.env, subject.params, run.actions, between=reset_at_times)
    long_runs.insist_on_same("a run with other resets within", run.digests, again)


def reproducible(subject: Subject) -> None:
    """The same key gives the same episode again, and in another process.

    A callback environment repeats a run of `LONG` steps: beside another live instance, and in
    another process.
    """
    obs, state = subject.env.reset(subject.keys[0], subject.params)
    episode = (subject.start[0], visible(subject.path[:STEPS]))
    same("the episode again", episode, (obs, visible(subject.walk(state, 0, STEPS))))
    same_arrays("the episode in another process", episode, subject.elsewhere["episode"])
    if subject.is_pure:
        return
    run = subject.long_run
    again = long_runs.replay(subject.env, subject.params, run.actions)
    with contextlib.closing(subject.another()[0]) as other:
        beside = long_runs.replay(other, other.default_params, run.actions)
        found = zip(*zip(again, beside, strict=False), strict=True)
        ways = ("here again", "in another instance")
        for where, digests in zip(ways, found, strict=True):
            long_runs.insist_on_same(f"a run of the same key {where}", run.digests, digests)
    elsewhere = long_runs.repeat_elsewhere(subject.call_elsewhere, run)
    long_runs.insist_on_same("a run of the same key in another process", run.digests, elsewhere)


def checkpointable(subject: Subject) -> None:
    """A state saved as plain arrays continues bit for bit in another process."""
    if "failed" in subject.elsewhere:
        raise Refuted(str(subject.elsewhere["failed"]))
    continued = visible(subject.path[STEPS:])
    same_arrays("the continuation elsewhere", continued, subject.elsewhere["continuation"])
    if subject.is_pure:
        return
    run = subject.long_run
    elsewhere = long_runs.repeat_elsewhere(subject.call_elsewhere, run, run.middle)
    before, _ = run.kept[run.middle]
    long_runs.insist_on_same("the run continued elsewhere", run.digests[before:], elsewhere)


def differentiable(subject: Subject) -> None:
    """The gradient of the next observation with respect to the action is finite, and not zero.

    It is computed at `2 * STEPS` states, and at `LATER` more while it is zero. It must be finite at
    all of them, and not zero at one: where nothing touches the ground, for example, an action may
    change nothing.
    """
    if not all(map(_is_float, jax.tree.leaves(subject.actions))):
        raise Refuted("the actions are discrete")

    def observed(action: Any, state: Any, key: Any) -> jax.Array:
        obs = subject.env.step(key, state, action, subject.params).obs
        floats = filter(_is_float, jax.tree.leaves(obs))
        return sum(map(jnp.sum, floats), jnp.float32(0))

    first = [subject.start[1], *(result.state for result in subject.path[:-1])]
    gradient_of, is_zero = jax.jit(jax.grad(observed)), True
    for index, state in enumerate(itertools.chain(first, _later_states(subject))):
        if index >= len(first) and not is_zero:
            return
        turn = index % len(first)
        gradient = jax.tree.leaves(
            gradient_of(subject.actions[turn], state, subject.keys[turn + 1])
        )
        if not all(np.isfinite(leaf).all() for leaf in gradient):
            raise Refuted(f"the gradient is not finite at state {index}: {gradient}")
        is_zero = is_zero and not any(np.any(leaf) for leaf in gradient)
    if is_zero:
        raise Refuted(f"the gradient is zero at all of {len(first) + LATER} states")


def _later_states(subject: Subject) -> Iterator[Any]:
    """Yield `LATER` states: that of a reset, then one every `2 * STEPS` steps.

    An episode that ended is followed by another: what comes after the end shows nothing. Each
    state is the last that was computed, so one that cannot be forked is still valid.
    """
    is_over = True
    for index in range(LATER):
        if is_over:
            _, state = subject.env.reset(jax.random.fold_in(subject.keys[0], index), subject.params)
        yield state
        results = subject.walk(state, 0, 2 * STEPS)
        state, is_over = results[-1].state, any(result.done.all() for result in results)


def multi_device(subject: Subject) -> None:
    """One environment per device, inside shard_map, gives the same results as one device."""
    devices = jax.devices()
    if len(devices) < 2:
        raise NotRunError(f"there is only one device. {subject.remedy(DEVICES)}")
    if jax.__version_info__ < (0, 5) and not subject.env.capabilities.jax_native:
        raise NotRunError("jax 0.4.35 hangs now and then in callbacks on several devices")
    sharding: Any = jax.sharding
    mesh = sharding.Mesh(np.array(devices), ("device",))
    shard = sharding.PartitionSpec("device")
    expected, action = visible(subject.path[0]), subject.actions[0]
    # A new state, because one that cannot be forked is used up by `path`.
    _, state = subject.env.reset(subject.keys[0], subject.params)
    # Computed before the steps start: one of them in a callback may hold the thread (jax 0.4.35).
    states = jax.block_until_ready(stack([state] * len(devices)))  # type: ignore[no-untyped-call]

    def first_step(state: Any) -> StepResult:
        return subject.env.step(subject.keys[1], state, action, subject.params)

    sharded = shard_map(jax.vmap(first_step), mesh=mesh, in_specs=(shard,), out_specs=shard)
    # Taken apart in NumPy: XLA (jaxlib 0.11.2) starts programs that slice while the steps still
    # run, and when those hold its threads in callbacks, what the slices exchange hangs.
    results = jax.device_get(visible(jax.jit(sharded)(states)))
    for index in range(len(devices)):
        one = jax.tree.map(lambda leaf, index=index: leaf[index], results)
        close(f"the step on device {index}", one, expected)


def renderable(subject: Subject) -> None:
    """An image of the right type is not empty, at once or soon; some games begin dark."""
    for state in _later_states(subject):
        try:
            # `render` refuses what is not claimed, which is a finding too where it can be drawn.
            frame = np.asarray(subject.env.render_env(state, subject.params))
        except RenderError as error:
            raise NotRunError(str(error)) from error
        if frame.dtype != np.uint8:
            raise Refuted(f"render gives {frame.dtype}")
        if frame.ndim != 3 or frame.shape[-1] != 3:
            raise Refuted(f"render gives the shape {frame.shape}, not (H, W, 3)")
        if frame.min() != frame.max():
            return
    raise Refuted(f"{LATER} pictures, one every {2 * STEPS} steps, are empty")


PROBES: dict[str, Callable[[Subject], None]] = {
    probe.__name__: probe
    for probe in (
        jax_native,
        forkable,
        vmap_safe,
        has_env_params,
        isolated_reset,
        reproducible,
        checkpointable,
        differentiable,
        multi_device,
        renderable,
    )
}


def primitives(jaxpr: Any) -> set[str]:
    """Return the names of all primitives in a jaxpr, including inner ones."""
    found = set()
    for equation in jaxpr.eqns:
        found.add(equation.primitive.name)
        for value in equation.params.values():
            for part in value if isinstance(value, (list, tuple)) else [value]:
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    found |= primitives(inner)
    return found


def _is_float(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.floating))
