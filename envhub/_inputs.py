"""Checks of the keys, params, states and actions of callers, before a suite sees them.

Shapes, dtypes and structures are static in JAX, so these checks run while a program is traced
and cost nothing in the compiled one.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._tracing import has_explicit_axes
from envhub.errors import (
    InvalidActionError,
    InvalidKeyError,
    InvalidOptionError,
    InvalidParamsError,
    InvalidStateError,
    MissingCapabilityError,
    brief,
)
from envhub.spaces._trees import leaves_of, map_space

_ARRAYS = (jax.Array, np.ndarray, np.generic, bool, int, float)


# uint32s in a legacy key of each of JAX's generators.
LEGACY_SIZES = {"threefry2x32": 2, "rbg": 4, "unsafe_rbg": 4}


def check_key(
    key: Any,
    of_a_batch: str = "use vmap: jax.vmap(env.reset, in_axes=(0, None))(keys, params)",
) -> None:
    """Refuse a value that is not one PRNG key, typed or legacy.

    A legacy key has the shape of JAX's default generator: `uint32[2]`, or `uint32[4]` for rbg.

    Args:
        key: the given value.
        of_a_batch: advice for several keys.

    Raises:
        InvalidKeyError: if it is not one key; the message says how to make one.
    """
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", ())
    is_typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if is_typed and shape == ():
        return
    config: Any = jax.config
    chosen = config.jax_default_prng_impl
    hint = "Make one with jax.random.key(seed)."
    if is_typed:
        hint = f"For a batch of keys, {of_a_batch}."
    elif dtype == np.uint32 and shape and shape[-1] in LEGACY_SIZES.values():
        if shape == (LEGACY_SIZES.get(chosen, shape[0]),):
            return
        hint = (
            f"For a batch of keys, {of_a_batch}."
            if len(shape) > 1
            else f"A legacy key belongs to jax_default_prng_impl={chosen!r}. For another "
            "implementation, use jax.random.wrap_key_data(key, impl=name)."
        )
    given = f"an array of {dtype}{list(shape)}" if dtype is not None else repr(key)
    raise InvalidKeyError(f"expected one PRNG key, got {given}. {hint}")


def check_positive(name: str, number: Any) -> None:
    """Refuse a value that is not a positive integer; integers of NumPy are integers.

    Raises:
        InvalidOptionError: if it is another value; the message has the name.
    """
    is_integer = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    if not is_integer or number < 1:
        raise InvalidOptionError(f"{name} must be a positive integer, got {number!r}.")


def check_params(params: Any, default: Any, lanes: int | None = None) -> None:
    """Refuse params that do not have the structure, shapes and kinds of the default ones.

    A field whose default is `None` may hold anything.

    Args:
        params: the given params.
        default: the default params.
        lanes: the number of environments with their own params; then `default` has a leading axis.

    Raises:
        InvalidParamsError: if they differ; the message names the expected structure or the field.
    """
    structure: Any = jax.tree.structure(default, is_leaf=lambda leaf: leaf is None)
    try:
        if default is None and params is not None:
            raise ValueError("this environment has no params")
        leaves = structure.flatten_up_to(params)
    except (ValueError, TypeError) as error:
        raise InvalidParamsError(
            f"params do not fit this environment: got {brief(params)}; expected the structure of "
            f"env.default_params, {brief(default)}. Change fields with "
            "params.replace(field=value)."
        ) from error
    check_arrays("params", params, InvalidParamsError)
    check_leaves("params", leaves, default, lanes)


def check_leaves(what: str, leaves: Sequence[Any], like: Any, lanes: int | None = None) -> None:
    """Refuse a leaf whose shape or kind differs from that of the default leaf.

    Raises:
        InvalidParamsError: if one differs; the message says how to give several params.
    """
    wanted = jax.tree_util.tree_flatten_with_path(like, is_leaf=lambda leaf: leaf is None)[0]
    for (path, default), leaf in zip(wanted, leaves, strict=True):
        if default is None:
            continue
        (shape, kind), (given_shape, given_kind) = form(default), form(leaf)
        if given_shape == shape and given_kind in FITTING[kind]:
            continue
        if isinstance(leaf, list | tuple):
            given, given_shape = f"a {type(leaf).__name__} of {len(leaf)}", (len(leaf), *shape)
        else:
            given = f"{given_kind}{list(given_shape)}" if given_kind != "object" else repr(leaf)
        raise InvalidParamsError(
            f"{what}{jax.tree_util.keystr(path)} is {given}, and "
            f"{f'a batch of {lanes}' if lanes else 'one environment'} takes "
            f"{kind}{list(shape)} there. {_remedy(given_shape, shape, lanes)}"
        )


def _remedy(given: tuple[int, ...], shape: tuple[int, ...], lanes: int | None) -> str:
    if not lanes and given[len(given) - len(shape) :] == shape != given:
        return "For several params, use vmap, or make_vec(…, batched_params=True)."
    if lanes and given == shape[1:]:
        return (
            "Give each field a leading axis: "
            f"jax.tree.map(lambda leaf: jnp.stack([leaf] * {lanes}), params)."
        )
    return "Change fields with params.replace(field=value)."


KINDS = {"bool": np.bool_, "integer": np.integer, "float": np.floating}
FITTING = {
    "bool": ("bool",),
    "integer": ("integer",),
    "float": ("float", "integer"),
    "key": ("key",),
    "object": (),
}


def form(leaf: Any) -> tuple[tuple[int, ...], str]:
    """Return the shape and the kind of an array or a number."""
    for kind, number in (("bool", bool), ("integer", int), ("float", float)):
        if isinstance(leaf, number):
            return (), kind
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return (), "object"
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return leaf.shape, "key"
    # JAX's own function knows bfloat16, whose `dtype.kind` is "V".
    kinds = (kind for kind, group in KINDS.items() if jnp.issubdtype(dtype, group))
    return leaf.shape, next(kinds, "object")


def check_state(env: Any, state: Any, expected: Any) -> None:
    """Refuse a state whose structure or shapes differ from the expected ones.

    Raises:
        InvalidStateError: if they differ; the message names the environment.
    """
    check_arrays("the state", state, InvalidStateError)
    structures: list[Any] = list(map(jax.tree.structure, (state, expected)))
    shapes = [[jnp.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (state, expected)]
    if structures[0] != structures[1] or shapes[0] != shapes[1]:
        raise InvalidStateError(
            f"this state was not made by {env}. Pass the state that its reset or last step "
            "returned."
        )


def check_arrays(what: str, tree: Any, error: type[Exception]) -> None:
    """Refuse leaves that JAX cannot hold, with an `error` that names the first one."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if not isinstance(leaf, _ARRAYS):
            where = what + jax.tree_util.keystr(path)
            raise error(f"{where} is {leaf!r}, which is neither an array nor a number.")


def conform_action(space: spaces.Space, action: Any, *, is_checked: bool = False) -> Any:
    """Convert an action to the dtypes of its space, which some suites require.

    Integers of any width fit an integer space, and integers and floats fit a float space. An
    integer that the dtype of the space cannot hold becomes the nearest one that it can hold.
    navix 4.0 and craftax 1.6 fail inside a `lax.cond` on integers other than int32.

    Args:
        space: the space.
        action: the action.
        is_checked: whether the environment refuses values outside the space. An integer that the
            dtype cannot hold then becomes one outside the space, if the dtype has one.

    Raises:
        InvalidActionError: if the structure, a shape or a kind does not fit the space.
    """
    conform = functools.partial(_conform_leaf, is_checked=is_checked)
    with _naming(space, action):
        return map_space(conform, space, action)


def check_values(env: Any, action: Any) -> None:
    """Refuse concrete integers in an action that would silently become others.

    JAX cuts integers of Python or NumPy to 32 bits. A callback environment refuses what its space
    lacks, but cannot see an integer that the dtype of the space could not hold.

    Args:
        env: one environment.
        action: an action, or those of a batch.

    Raises:
        InvalidActionError: if there is such an integer.
    """
    for leaf in jax.tree.leaves(action):
        if not isinstance(leaf, jax.Array):
            try:
                _check_width(leaf)
            except ValueError as error:
                raise InvalidActionError(
                    f"the action {brief(action)} does not fit: {error}"
                ) from None
    if env._fills_dtypes and not env.capabilities.jax_native:
        with _naming(env._actions, action):
            map_space(_check_held, env._actions, action)


def fills_dtypes(space: spaces.Space) -> bool:
    """Tell whether a bound of integers is the last one that their dtype can hold."""
    for leaf in leaves_of(space):
        limits = _limits(leaf)
        if limits and ((leaf.low <= limits.min).any() or (leaf.high >= limits.max).any()):
            return True
    return False


def check_split(env: Any, error: Exception, *given: Any) -> None:
    """Explain a JAX error that is caused by arrays split over explicit axes of a mesh.

    JAX (0.10.2) cannot batch a `cond`, `scan` or `while_loop` that was traced without the mesh
    ("Resource axis … is not found in mesh: ()"), and cannot index a table with split arrays.

    Raises:
        MissingCapabilityError: if this is the cause; the message has alternatives.
    """
    if has_explicit_axes(*given):
        raise MissingCapabilityError(
            f"{env} cannot take a batch that explicit axes of a mesh split over devices, because "
            f"JAX cannot split the code of the suite ({type(error).__name__}: {error}). "
            "Use make_vec(…, mesh=mesh), which runs it on each device, or axes of "
            "AxisType.Auto."
        ) from error


def _check_width(leaf: Any) -> None:
    """Refuse integers of Python or NumPy that JAX would cut to 32 bits.

    Raises:
        ValueError: if there is such an integer.
    """
    if not isinstance(leaf, np.ndarray | np.generic | int) or (
        jax.dtypes.canonicalize_dtype(np.int64) == np.int64
    ):
        return
    array = np.asarray(leaf)
    if array.dtype.kind in "iu" and array.dtype.itemsize > 4:
        limits = np.iinfo(np.uint32 if array.dtype.kind == "u" else np.int32)
        if ((array < limits.min) | (array > limits.max)).any():
            raise ValueError("it does not fit in 32 bits, and the x64 mode of JAX is off")


@contextlib.contextmanager
def _naming(space: spaces.Space, action: Any) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        shown = brief(jax.tree.map(_form_of_traced, action))
        raise InvalidActionError(f"the action {shown} does not fit {space}: {error}") from error


class _Form(str):
    """The dtype and shape of a traced array, which shows no more than that."""

    __repr__ = str.__str__


def _form_of_traced(leaf: Any) -> Any:
    is_traced = isinstance(leaf, jax.core.Tracer)
    return _Form(f"{leaf.dtype}{list(leaf.shape)}") if is_traced else leaf


def _limits(space: Any) -> Any:
    """Return the limits of the dtype that JAX has for a space of integers; `None` for floats."""
    dtype = np.dtype(jax.dtypes.canonicalize_dtype(space.dtype))
    return np.iinfo(dtype) if dtype.kind in "iu" else None


def _check_held(space: Any, leaf: Any) -> None:
    limits = _limits(space)
    if limits is None or isinstance(leaf, jax.core.Tracer) or not isinstance(leaf, _ARRAYS):
        return
    array = np.asarray(leaf)
    if array.dtype.kind in "iu" and ((array < limits.min) | (array > limits.max)).any():
        raise ValueError(f"{limits.dtype} cannot hold it")


def _conform_leaf(space: Any, leaf: Any, *, is_checked: bool) -> jax.Array:
    if not isinstance(leaf, _ARRAYS):
        of_agents = ": env.stack_agents(actions) makes one of actions by agent"
        hint = of_agents if isinstance(leaf, Mapping) else ""
        raise TypeError(f"it is not an array{hint}")
    shape, kind = form(leaf)
    if shape != space.shape:
        raise ValueError(f"its shape is {shape}, not {space.shape}")
    if kind not in ("integer", "float" if space.dtype.kind == "f" else "integer"):
        raise TypeError(f"its dtype is {jnp.result_type(leaf)}, not {space.dtype}")
    _check_width(leaf)
    array, dtype = jnp.asarray(leaf), jax.dtypes.canonicalize_dtype(space.dtype)
    most = _limits(space)
    if most is None or np.can_cast(array.dtype, dtype):
        return array.astype(dtype)
    own = np.iinfo(array.dtype)
    held = jnp.clip(array, max(own.min, most.min), min(own.max, most.max))
    outside = _outside(space, most) if is_checked else None
    if outside is None:
        return held.astype(dtype)
    return jnp.where(held == array, held.astype(dtype), dtype.type(outside))


def _outside(space: Any, limits: Any) -> int | None:
    """Return a number that the dtype of a space holds and the space lacks; `None` for none."""
    if (space.low > limits.min).all():
        return int(limits.min)
    return int(limits.max) if (space.high < limits.max).all() else None
