"""Callbacks from compiled programs: one primitive, whose mechanism is chosen at lowering.

On one CPU device the call goes through `jax.experimental.buffer_callback`, which hands over arrays
without copying (about 6 µs a call, against 120, or 131 on a GPU); elsewhere, in programs that XLA
shards by itself, and with a JAX that lacks it (0.4.35), through `jax.pure_callback` or
`io_callback`. This is the only module that touches them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from envhub._tracing import is_split
from envhub.errors import HostEnvError
from envhub.host.protocol import Form

try:
    from jax.experimental.buffer_callback import buffer_callback
except ImportError:  # jax 0.4.35
    buffer_callback = None

HostFunction = Callable[[dict[str, Any], dict[str, Any], int], None]
"""Reads the inputs and fills the outputs, arrays by name with one leading axis of that size; an
input that is the same for all may have one row. NumPy only."""


class HostCall(Protocol):
    """A hashable value that stands for a Python function in what is traced."""

    @property
    def environment(self) -> str:
        """The name of the environment, for messages."""

    def bind(self) -> HostFunction:
        """Return the function, for a program that is being compiled."""


force_portable = False  # for the tests of the transport that other platforms use


def call(
    function: HostCall, inputs: Mapping[str, Any], outputs: Mapping[str, Form], *, effect: bool
) -> dict[str, Any]:
    """Make a callback from a traced program.

    Any nesting of `vmap` becomes one call with one leading axis. The gradient of the call is zero.

    Args:
        function: the function; it is equal for the same environment, so programs compile once.
        inputs: arrays by name.
        outputs: the shapes and dtypes of the results of one call, by name, without batch axes.
        effect: whether to call even if nothing uses the outputs.

    Returns:
        The outputs by name.
    """
    forms = tuple((tuple(shape), np.dtype(dtype)) for shape, dtype in outputs.values())
    names = (tuple(inputs), tuple(outputs))
    bound = host_call_p.bind(
        *map(jnp.asarray, inputs.values()),
        function=function,
        names=names,
        forms=forms,
        batch=(),
        effect=effect,
    )
    return dict(zip(outputs, bound, strict=True))


host_call_p: Any = Primitive("host_callback")
host_call_p.multiple_results = True


def _effects() -> Any:
    """Return the effect that keeps a call with unused outputs, allowed wherever JAX has effects.

    JAX (0.4 to 0.11) has no public API for this.
    """
    from jax._src import effects

    class HostEffect(effects.Effect):
        __str__ = lambda self: "Host"  # noqa: E731

    for allowed in (
        effects.lowerable_effects,
        effects.control_flow_allowed_effects,
        effects.remat_allowed_effects,
        effects.custom_derivatives_allowed_effects,
    ):
        allowed.add_type(HostEffect)
    return {HostEffect()}


EFFECTS = _effects()


def _abstract(*_: Any, forms: Any, batch: Any, effect: bool, **__: Any) -> Any:
    avals = [jax.core.ShapedArray(batch + shape, dtype) for shape, dtype in forms]
    return avals, EFFECTS if effect else set()


def _run(*inputs: Any, **how: Any) -> Any:
    with jax.disable_jit(False):  # with `jit` disabled, `bind` would call this function again
        return jax.jit(functools.partial(host_call_p.bind, **how))(*inputs)


def _batch(inputs: Sequence[Any], axes: Sequence[Any], *, batch: Any, **how: Any) -> Any:
    """Put the new axis first, with size 1 for inputs without it, so that nothing is tiled."""
    mapped = [(each, axis) for each, axis in zip(inputs, axes, strict=True) if axis is not None]
    if any(is_split(each) for each, _ in mapped):
        raise HostEnvError(
            f"{how['function'].environment}: one callback cannot step a batch that explicit axes "
            "of a mesh split over devices. Use make_vec(…, mesh=mesh), which makes one callback "
            "per device, or axes of AxisType.Auto, which leave the split to XLA."
        )
    size = mapped[0][0].shape[mapped[0][1]]
    moved = [
        jnp.expand_dims(each, 0) if axis is None else jnp.moveaxis(each, axis, 0)
        for each, axis in zip(inputs, axes, strict=True)
    ]
    outputs = host_call_p.bind(*moved, batch=(size, *batch), **how)
    return outputs, [0] * len(outputs)


def _no_gradient(inputs: Sequence[Any], _: Any, **how: Any) -> Any:
    outputs = host_call_p.bind(*inputs, **how)
    return outputs, [ad.Zero.from_primal_value(each) for each in outputs]


def _lower(ctx: Any, *inputs: Any, function: HostCall, **how: Any) -> Any:
    module = ctx.module_context
    if getattr(module.lowering_parameters, "for_export", False):
        raise HostEnvError(
            f"{function.environment} cannot be exported: its steps call into this process, and a "
            "file cannot hold such calls. Export the programs around it, such as the policy, or "
            "programs of jax_native environments."
        )
    sharded = getattr(module.axis_context, "num_devices", 1) or 1
    buffers = buffer_callback and tuple(module.platforms) == ("cpu",) and sharded == 1
    through = _buffers if buffers and not force_portable else _portable
    if through is _portable:
        _insist_on_a_cpu(module.platforms)
    lowered = functools.partial(through, function=function.bind(), **how)
    return mlir.lower_fun(lowered, multiple_results=True)(ctx, *inputs)


def _insist_on_a_cpu(platforms: Sequence[str]) -> None:
    """Refuse a process without JAX's CPU, which callbacks (0.4 to 0.11) need at run time."""
    try:
        jax.local_devices(backend="cpu")
    except RuntimeError as error:
        names = ",".join(platforms)
        raise HostEnvError(
            f"a program on {names} makes callbacks through JAX's CPU platform, which is not "
            f"available. Set JAX_PLATFORMS={names},cpu, or unset it."
        ) from error


host_call_p.def_effectful_abstract_eval(_abstract)
host_call_p.def_impl(_run)
batching.primitive_batchers[host_call_p] = _batch
ad.primitive_jvps[host_call_p] = _no_gradient
mlir.register_lowering(host_call_p, _lower)


def _buffers(
    *inputs: Any, function: HostFunction, names: Any, forms: Any, batch: Any, effect: bool
) -> Any:
    (given, taken), size = names, math.prod(batch)
    rows = [_rows_of(each.shape, batch) for each in inputs]
    shapes = [(size, *shape) for shape, _ in forms]

    def callback(_: Any, outputs: Sequence[Any], *arrays: Any) -> None:
        inside, outside = {}, {}
        for name, (wide, shape), array in zip(given, rows, arrays, strict=True):
            view = array.__array__()  # a sixth of the time of `np.asarray`
            view = np.broadcast_to(view, wide) if wide else view
            inside[name] = view if view.shape == shape else view.reshape(shape)
        for name, shape, array in zip(taken, shapes, outputs, strict=True):
            view = array.__array__()
            outside[name] = view if view.shape == shape else view.reshape(shape)
        function(inside, outside, size)

    results = _results(forms, batch)
    called: list[Any] = buffer_callback(callback, results, has_side_effect=effect)(*inputs)
    return called


def _portable(
    *inputs: Any, function: HostFunction, names: Any, forms: Any, batch: Any, effect: bool
) -> Any:
    """Pack all inputs into one byte array, and all outputs into another: an array costs 20 µs."""
    size, rows = math.prod(batch), [_rows_of(each.shape, batch) for each in inputs]
    given = [Form(each.shape, each.dtype) for each in inputs]
    taken = [Form((size, *shape), dtype) for shape, dtype in forms]

    def callback(packed: Any) -> Any:
        views = [
            (np.broadcast_to(view, wide) if wide else view).reshape(shape)
            for view, (wide, shape) in zip(_views(np.asarray(packed), given), rows, strict=True)
        ]
        answer = np.zeros(sum(map(num_bytes, taken)), np.uint8)
        outputs = dict(zip(names[1], _views(answer, taken), strict=True))
        function(dict(zip(names[0], views, strict=True)), outputs, size)
        return answer

    (result,) = _results([((sum(map(num_bytes, taken)),), np.uint8)], ())
    through = io_callback if effect else jax.pure_callback
    packed: Any = jnp.concatenate([_to_bytes(each) for each in inputs])
    answer: Any = through(callback, result, packed)
    outputs, start = [], 0
    for shape, dtype in forms:
        form = Form(batch + shape, dtype)
        outputs.append(from_bytes(answer[start : start + num_bytes(form)], form))
        start += num_bytes(form)
    return outputs


def num_bytes(form: Form) -> int:
    """Return the size of an array."""
    return math.prod(form.shape) * int(np.dtype(form.dtype).itemsize)


def _views(packed: Any, forms: Sequence[Form]) -> list[Any]:
    """Return views of the arrays that an array of bytes holds one after another."""
    arrays, start = [], 0
    for form in forms:
        end = start + num_bytes(form)
        arrays.append(packed[start:end].view(form.dtype).reshape(form.shape))
        start = end
    return arrays


def _to_bytes(array: Any) -> Any:
    flat = array.astype(np.uint8) if array.dtype == np.bool_ else array
    return jnp.ravel(jax.lax.bitcast_convert_type(flat, np.uint8))


def from_bytes(packed: Any, form: Form) -> Any:
    """Return the array with these bytes, uint8[num_bytes(form)], in a program."""
    shape, dtype = form
    if dtype == np.bool_:
        return packed.reshape(shape).astype(np.bool_)
    split = () if np.dtype(dtype).itemsize == 1 else (np.dtype(dtype).itemsize,)
    return jax.lax.bitcast_convert_type(packed.reshape(shape + split), dtype)


def _results(forms: Any, batch: tuple[int, ...]) -> list[Any]:
    struct: Any = jax.ShapeDtypeStruct
    return [struct(batch + shape, dtype) for shape, dtype in forms]


def _rows_of(shape: tuple[int, ...], batch: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """Return how to replace the batch axes by one leading axis, of size 1 if all have size 1.

    Returns:
        The shape to broadcast to, or `None`, and the shape to reshape to after that.
    """
    own, inner = shape[: len(batch)], shape[len(batch) :]
    if math.prod(own) == 1:
        return None, (1, *inner)
    return None if own == batch else batch + inner, (math.prod(batch), *inner)
