"""The probe behind each capability flag: it tries, and it can say no.

`examine` runs them on any environment that follows the protocol. A flag that is claimed and whose
probe fails is a lie; a flag that is denied and whose probe passes is an unclaimed capability.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub._sharding import shard_map
from envhub.environment import Environment, StepResult
from envhub.flags import FLAGS
from envhub.testing import second_process
from envhub.testing.second_process import SecondProcess

STEPS = 3
MANY = 4000
PICTURES = 20


class Refuted(Exception):
    """A probe's no, with what it saw."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one probe found.

    Attributes:
        holds: whether the capability is there; `None` if the probe could not run here.
        detail: what was seen when it is not, or why the probe could not run.
    """

    holds: bool | None
    detail: str = ""


class Subject:
    """An environment under examination, with the runs that several probes share.

    Args:
        env: the environment.
        params: the params to examine it under.
        recipe: how another process makes the same environment: an id with its keywords, see
            `envhub.testing.second_process`; without one, what needs that process is not run.
        other: the process; by default one is started when it is needed.
    """

    def __init__(
        self,
        env: Environment,
        params: Any,
        recipe: Mapping[str, Any] | None = None,
        other: SecondProcess | None = None,
    ) -> None:
        self.env, self.params, self.recipe = env, params, recipe
        self._other = other
        self.keys = jax.random.split(jax.random.key(0), 2 * STEPS + 1)
        sample = jax.jit(env.action_space(params).sample)
        self.actions = [sample(key) for key in jax.random.split(jax.random.key(1), 2 * STEPS)]

    @functools.cached_property
    def start(self) -> tuple[Any, Any]:
        """The observation and state of one reset."""
        return self.env.reset(self.keys[0], self.params)

    @functools.cached_property
    def path(self) -> list[StepResult]:
        """The steps from there under the fixed keys and actions."""
        return self.walk(self.start[1], 0, 2 * STEPS)

    def walk(self, state: Any, first: int, last: int) -> list[StepResult]:
        """Step from a state with the actions and keys `first` to `last`."""
        results = []
        for index in range(first, last):
            result = self.env.step(self.keys[index + 1], state, self.actions[index], self.params)
            results.append(result)
            state = result.state
        return results

    @functools.cached_property
    def lanes(self) -> tuple[Any, StepResult]:
        """`STEPS` steps scanned under two nested vmaps: over variants of the params, over two keys.

        The first variant is the params themselves; the first key is that of `start`. Leaves of the
        results have the axes (variant, key, step).
        """
        variants, num_variants = _variants(self.params)
        firsts = jnp.stack([self.keys[0], jax.random.key(7)])
        keys, actions = self.keys[1 : STEPS + 1], _stack(self.actions[:STEPS])

        def episode(params: Any, key: Any) -> tuple[Any, StepResult]:
            obs, state = self.env.reset(key, params)

            def body(state: Any, inputs: Any) -> tuple[Any, StepResult]:
                result = self.env.step(inputs[0], state, inputs[1], params)
                return result.state, result

            return obs, jax.lax.scan(body, state, (keys, actions))[1]

        over_keys = jax.vmap(episode, in_axes=(None, 0))
        over_both = jax.vmap(over_keys, in_axes=(0, None), axis_size=num_variants)
        obs, results = jax.jit(over_both)(variants, firsts)
        return obs, results

    def variants_part(self, steps: int) -> bool:
        """Whether, within so many steps, anything looks different under a variant of the params.

        All variants are given the keys and actions of the params themselves, and begin another
        episode when that of the params has ended.
        """
        variants, _ = _variants(self.params)
        reset_each = jax.vmap(self.env.reset, in_axes=(None, 0))
        step_each = jax.vmap(self.env.step, in_axes=(None, 0, None, 0))
        sample = self.env.action_space(self.params).sample

        def reset(key: Any) -> tuple[Any, Any, Any]:
            obs, states = reset_each(key, variants)
            return states, jnp.bool_(False), _differ(obs)

        def step(key: Any, states: Any) -> tuple[Any, Any, Any]:
            results = step_each(key, states, sample(jax.random.fold_in(key, 1)), variants)
            return results.state, results.done[0].all(), _differ(visible(results))

        def goes_on(carry: Any) -> Any:
            index, _, _, differ = carry
            return ~differ & (index < steps)

        def turn(carry: Any) -> Any:
            index, states, is_over, _ = carry
            key = jax.random.fold_in(jax.random.key(8), index)
            begin, go_on = (lambda _: reset(key)), (lambda states: step(key, states))
            return index + 1, *jax.lax.cond(is_over, begin, go_on, states)

        def run(key: Any) -> Any:
            return jax.lax.while_loop(goes_on, turn, (jnp.int32(0), *reset(key)))[-1]

        return bool(jax.jit(run)(self.keys[0]))

    @functools.cached_property
    def elsewhere(self) -> dict[str, Any]:
        """The same episode, and the continuation of a saved state, in another process.

        Lists of arrays; if the state could not be continued, `"failed"` says why.
        """
        if self.recipe is None:
            raise NotRunError("there is no recipe to make this environment in another process")
        if self._other is not None:
            return self._replay_in(self._other, self.recipe)
        with contextlib.closing(SecondProcess()) as other:
            return self._replay_in(other, self.recipe)

    def _replay_in(self, other: SecondProcess, recipe: Mapping[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            saved, replayed = f"{folder}/saved.npz", f"{folder}/replayed.npz"
            np.savez(saved, *second_process.pack(self.path[STEPS - 1].state))
            place = "envhub.testing.probes:replay"
            failed = other.call(place, recipe=dict(recipe), saved=saved, replayed=replayed)
            with np.load(replayed) as arrays:
                parts = {
                    part: [arrays[name] for name in arrays.files if name.startswith(part)]
                    for part in ("episode", "continuation")
                }
        return {**parts, "failed": failed} if failed else parts


def replay(recipe: Mapping[str, Any], saved: str, replayed: str) -> str:
    """In the other process: the episode of a `Subject`, and the continuation of a saved state.

    Returns:
        Why the saved state could not be continued; empty if it was.
    """
    subject = Subject(*second_process.make_by_recipe(recipe))
    with np.load(saved) as arrays:
        leaves = [arrays[name] for name in arrays.files]
    state = second_process.unpack(subject.env.reset_shapes[1], leaves)
    # The continuation first, in a process that has never run the environment: what it needs must be
    # in the saved state.
    failed, parts = "", {}
    try:
        parts["continuation"] = visible(subject.walk(state, STEPS, 2 * STEPS))
    except Exception as error:
        failed = f"{type(error).__name__}: {error}"
    episode = visible(subject.walk(subject.start[1], 0, STEPS))
    parts["episode"] = (subject.start[0], episode)
    arrays = {
        f"{part}{index:06}": array
        for part, tree in parts.items()
        for index, array in enumerate(second_process.pack(tree))
    }
    np.savez(replayed, **arrays)
    return failed


class NotRunError(Exception):
    """A probe cannot run here; that is neither a yes nor a no."""


def examine(subject: Subject, flags: Iterable[str] = FLAGS) -> dict[str, Finding]:
    """Run the probes of these flags.

    Any exception in a probe is a no, with the exception as the detail.
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
    """No primitive of the traced reset and step calls the host."""
    traced_reset = jax.make_jaxpr(subject.env.reset)(subject.keys[0], subject.params)
    traced_step = jax.make_jaxpr(subject.env.step)(
        subject.keys[1], subject.start[1], subject.actions[0], subject.params
    )
    for traced in (traced_reset, traced_step):
        calls = {name for name in primitives(traced.jaxpr) if "callback" in name}
        if calls:
            raise Refuted(f"the program calls the host: {', '.join(sorted(calls))}")


def forkable(subject: Subject) -> None:
    """Two branches from one state: neither changes the state, the other, or its own repetition."""
    _, state = subject.env.reset(subject.keys[0], subject.params)
    before = _bits(state)
    trunk = subject.walk(state, 0, STEPS)
    subject.walk(state, STEPS, 2 * STEPS)
    again = subject.walk(state, 0, STEPS)
    if _bits(state) != before:
        raise Refuted("stepping changed the state that was given")
    same("the same state stepped again after another branch", visible(trunk), visible(again))


def vmap_safe(subject: Subject) -> None:
    """A lane of two nested vmaps over a scan equals the same steps on their own."""
    _, results = subject.lanes
    lane = jax.tree.map(lambda leaf: leaf[0, 0], visible(results))
    close("a lane under nested vmap", lane, visible(_stack(subject.path[:STEPS])))


def has_env_params(subject: Subject) -> None:
    """Params batched by vmap, each variant changing one leaf: some must behave otherwise.

    What changes nothing in a few steps may concern what comes later (the difficulty of a game of
    ALE), or rarely (the rules of Gymnasium's Blackjack).
    """
    if not jax.tree.leaves(subject.params):
        raise Refuted("there are no params")
    obs, results = subject.lanes
    if not _differ((obs, visible(results))) and not subject.variants_part(MANY):
        raise Refuted(f"no leaf of the params has an effect in {MANY} steps")


def isolated_reset(subject: Subject) -> None:
    """Resets between two steps do not disturb the state that is out."""
    _, state = subject.env.reset(subject.keys[0], subject.params)
    subject.env.reset(jax.random.key(5), subject.params)
    subject.env.reset(subject.keys[0], subject.params)
    walked = visible(subject.walk(state, 0, STEPS))
    same("an episode with other resets within", visible(subject.path[:STEPS]), walked)


def reproducible(subject: Subject) -> None:
    """The same key gives the same episode again, and in another process."""
    obs, state = subject.env.reset(subject.keys[0], subject.params)
    episode = (subject.start[0], visible(subject.path[:STEPS]))
    same("the episode again", episode, (obs, visible(subject.walk(state, 0, STEPS))))
    _same_arrays("the episode in another process", episode, subject.elsewhere["episode"])


def checkpointable(subject: Subject) -> None:
    """A state saved as plain arrays continues bit for bit in another process."""
    if "failed" in subject.elsewhere:
        raise Refuted(str(subject.elsewhere["failed"]))
    continued = visible(subject.path[STEPS:])
    _same_arrays("the continuation elsewhere", continued, subject.elsewhere["continuation"])


def differentiable(subject: Subject) -> None:
    """The next observation has a finite gradient by the action, and it is not zero."""
    env, state = subject.env, subject.path[0].state
    if not all(map(_is_float, jax.tree.leaves(subject.actions))):
        raise Refuted("the actions are discrete")

    def observed(action: Any) -> jax.Array:
        obs = env.step(subject.keys[2], state, action, subject.params).obs
        floats = filter(_is_float, jax.tree.leaves(obs))
        return sum(map(jnp.sum, floats), jnp.float32(0))

    gradient = jax.tree.leaves(jax.jit(jax.grad(observed))(subject.actions[1]))
    if not all(np.isfinite(leaf).all() for leaf in gradient):
        raise Refuted(f"the gradient is not finite: {gradient}")
    if not any(np.any(leaf) for leaf in gradient):
        raise Refuted("the gradient is zero")


def multi_device(subject: Subject) -> None:
    """One environment a device, inside shard_map, gives what one device gives."""
    devices = jax.devices()
    if len(devices) < 2:
        raise NotRunError("there is one device; XLA_FLAGS=--xla_force_host_platform_device_count=4")
    if jax.__version_info__ < (0, 5) and not subject.env.capabilities.jax_native:
        raise NotRunError("jax 0.4.35 hangs now and then in callbacks on several devices")
    sharding: Any = jax.sharding
    mesh = sharding.Mesh(np.array(devices), ("device",))
    shard = sharding.PartitionSpec("device")
    # A new state, because one that cannot be forked is used up by `path`.
    _, state = subject.env.reset(subject.keys[0], subject.params)
    # Computed before the steps start: one of them in a callback may hold the thread (jax 0.4.35).
    states = jax.block_until_ready(_stack([state] * len(devices)))  # type: ignore[no-untyped-call]

    def first_step(state: Any) -> StepResult:
        return subject.env.step(subject.keys[1], state, subject.actions[0], subject.params)

    sharded = shard_map(jax.vmap(first_step), mesh=mesh, in_specs=(shard,), out_specs=shard)
    # Taken apart in NumPy: XLA (jaxlib 0.11.2) starts programs that slice while the steps still
    # run, and when those hold its threads in callbacks, what the slices exchange waits for ever.
    results = jax.device_get(visible(jax.jit(sharded)(states)))
    for index in range(len(devices)):
        one = jax.tree.map(lambda leaf, index=index: leaf[index], results)
        close(f"the step on device {index}", one, visible(subject.path[0]))


def renderable(subject: Subject) -> None:
    """A picture of the right type that shows something, at once or soon: some games begin dark."""
    state = subject.path[-1].state
    for _ in range(PICTURES):
        frame = np.asarray(subject.env.render_env(state, subject.params))
        if frame.dtype != np.uint8:
            raise Refuted(f"render gives {frame.dtype}")
        if frame.ndim != 3 or frame.shape[-1] != 3:
            raise Refuted(f"render gives the shape {frame.shape}, not (H, W, 3)")
        if frame.min() != frame.max():
            return
        state = subject.walk(state, 0, 2 * STEPS)[-1].state
    raise Refuted(f"{PICTURES} pictures, one every {2 * STEPS} steps, are empty")


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
    """The names of all primitives in a jaxpr, inner ones included."""
    found = set()
    for equation in jaxpr.eqns:
        found.add(equation.primitive.name)
        for value in equation.params.values():
            for part in value if isinstance(value, (list, tuple)) else [value]:
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    found |= primitives(inner)
    return found


def _variants(params: Any) -> tuple[Any, int]:
    """The params, then twice each leaf changed on its own, stacked on a leading axis."""
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, params))
    rows = [leaves]
    for index, leaf in enumerate(leaves):
        is_bool = leaf.dtype == jnp.bool_
        for changed in [~leaf] if is_bool else [jnp.ones_like(leaf), leaf * 2 + 1]:
            rows.append([*leaves[:index], changed.astype(leaf.dtype), *leaves[index + 1 :]])
    stacked = [jnp.stack(column) for column in zip(*rows, strict=True)]
    return jax.tree.unflatten(structure, stacked), max(len(rows), 2)


def visible(results: Any) -> Any:
    """All of a step but the state, whose arrays a suite may lay out as it likes."""
    if isinstance(results, StepResult):
        return results._replace(state=None)
    return [result._replace(state=None) for result in results]


def same(what: str, one: Any, other: Any) -> None:
    """Refute what is not equal to the bit."""
    _same_arrays(what, one, second_process.pack(other))


def close(what: str, one: Any, other: Any) -> None:
    """Refute what is not equal but for the rounding in which two programs may differ."""
    for a, b in zip(second_process.pack(one), second_process.pack(other), strict=True):
        if not np.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise Refuted(f"{what} differs: {a.tolist()} and {b.tolist()}"[:300])


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _bits(tree: Any) -> list[bytes]:
    return [array.tobytes() for array in second_process.pack(tree)]


def _same_arrays(what: str, one: Any, arrays: Sequence[np.ndarray]) -> None:
    expected = second_process.pack(one)
    differing = [
        f"{a.tolist()} and {b.tolist()}"
        for a, b in zip(expected, arrays, strict=True)
        if a.shape != b.shape or a.dtype != b.dtype or a.tobytes() != b.tobytes()
    ]
    if differing:
        raise Refuted(f"{what} is not the same: {differing[0][:200]}")


def _is_float(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def _differ(variants: Any) -> Any:
    """bool[], whether anything differs between the first of the leading axis and another."""
    leaves = map(jnp.asarray, jax.tree.leaves(variants))
    apart = [~jnp.isclose(leaf[:1], leaf[1:], equal_nan=True).all() for leaf in leaves]
    return jnp.stack(apart).any()
