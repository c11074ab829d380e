"""Spaces: construction, sampling, membership, and conversion to and from Gymnasium."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envhub import spaces
from envhub.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from .conftest import REPOSITORY
from .packages import needed
from .processes import fresh

INF = np.inf
F32_MAX = np.finfo(np.float32).max
I32 = np.iinfo(np.int32)

# One of each kind, and what is special about sampling.
SPACES = {
    "box": Box(-1.0, 1.0, (3,)),
    "box scalar": Box(0.0, 0.5, ()),
    "box empty": Box(0.0, 1.0, (0,)),
    "box half precision": Box(-65504, 65504, (3,), np.float16),
    "box point": Box(0.1, 0.1, (3,)),
    "box widest": Box(-F32_MAX, F32_MAX, (3,)),
    "box unbounded": Box([0, -INF, -INF, 0], [INF, 0, INF, 1]),
    "box half precision, one-sided": Box(65504, INF, (3,), np.float16),
    "box float64": Box([-1e300, -INF], [1e300, 0.1], dtype=np.float64),
    "box bool": Box(False, True, (3,), bool),
    "box uint8": Box(0, 255, (2, 2), np.uint8),
    "box int32": Box([I32.min, 0, 5], [I32.max, 9, 5], dtype=np.int32),
    "box int64": Box([-(2**63), 3], [2**63 - 1, 2**40], dtype=np.int64),
    "box uint64": Box(0, 2**64 - 1, (3,), np.uint64),
    "discrete": Discrete(5),
    "discrete start": Discrete(5, start=-2, dtype=np.int8),
    "discrete int64": Discrete(2**62, dtype=np.int64),
    "multi-discrete": MultiDiscrete([5, 1, 3], start=[0, -7, 2]),
    "multi-discrete matrix": MultiDiscrete([[2, 3], [4, 5]], np.uint8, 1),
    "multi-binary": MultiBinary(4),
    "multi-binary matrix": MultiBinary((2, 3)),
    "dict": Dict({"b": Discrete(3), "a": Tuple([Box(0, 1, (2,)), MultiBinary(2)])}),
    "dict empty": Dict({}),
    "tuple": Tuple([Discrete(3), Dict({"x": Discrete(2)})]),
    "tuple empty": Tuple([]),
}

each_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


def verdict(space: Space, x: Any) -> bool:
    """What `contains` says, after checking that it says it as it should."""
    result = space.contains(x)
    assert isinstance(result, jax.Array)
    assert (result.shape, result.dtype) == ((), np.dtype(bool))
    return bool(result)


def check_sample(space: Space, sample: Any) -> None:
    """A sample has the structure, shapes and canonical dtypes of the space and lies in it."""
    if isinstance(space, Dict):
        assert type(sample) is dict
        assert list(sample) == list(space)
        pairs = [(space[name], sample[name]) for name in space]
    elif isinstance(space, Tuple):
        assert type(sample) is tuple
        pairs = list(zip(space, sample, strict=True))
    else:
        pairs = []
        assert isinstance(sample, jax.Array)
        assert sample.shape == space.shape
        assert sample.dtype == jax.dtypes.canonicalize_dtype(space.dtype)
        assert not sample.weak_type
        assert np.isfinite(sample).all()
    for child, element in pairs:
        check_sample(child, element)
    assert verdict(space, sample)
    assert verdict(space, jax.tree.map(np.asarray, sample))


# --- What all spaces share


@each_space
def test_space_is_read_only(space: Space) -> None:
    for name in [*vars(space), "new"]:
        with pytest.raises(AttributeError, match="read-only"):
            setattr(space, name, 0)
        with pytest.raises(AttributeError, match="read-only"):
            delattr(space, name)


@each_space
@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_copies_are_equal_and_read_only(space: Space, clone: Callable[[Space], Space]) -> None:
    twin = clone(space)
    assert twin == space
    assert hash(twin) == hash(space)
    assert repr(twin) == repr(space)
    assert not any(a.flags.writeable for a in vars(twin).values() if isinstance(a, np.ndarray))


def test_different_spaces_are_unequal() -> None:
    different = [
        *SPACES.values(),
        Box(-1.0, 1.0, (3, 1)),
        Box(-1.0, 2.0, (3,)),
        Box(-2.0, 1.0, (3,)),
        Box(-1.0, 1.0, (3,), np.float16),
        Discrete(5, start=1),
        Discrete(5, dtype=np.int64),
        MultiDiscrete([0 + 5]),
        MultiDiscrete([[5]]),
        MultiDiscrete([5], np.int64),
        MultiDiscrete([5], start=1),
        Box(0, 4, (1,), np.int32),  # the elements of MultiDiscrete([5])
        MultiBinary(5),
        Dict({"a": Discrete(3)}),
        Dict({"b": Discrete(3)}),
        Tuple([Discrete(3)]),
    ]
    assert len(dict.fromkeys(different)) == len(different)
    assert all(a != b for i, a in enumerate(different) for b in different[:i])
    assert Discrete(5) != 5
    assert Dict({"a": Discrete(3)}) != {"a": Discrete(3)}


def test_equal_spaces_may_be_made_differently() -> None:
    assert Box(0, 1, (2,)) == Box(np.zeros(2), jnp.ones(2)) == Box(-0.0, [1, 1], dtype="float32")
    assert hash(Box(0.0, 1, (2,))) == hash(Box(-0.0, 1, (2,)))
    assert MultiDiscrete([2, 3]) == MultiDiscrete(np.array([2, 3]), start=[0, 0])
    assert MultiBinary([2, 3]) == MultiBinary((2, 3))
    spaces_by_name = {"a": Discrete(2), "b": Discrete(3)}
    assert Dict(spaces_by_name) == Dict(dict(reversed(spaces_by_name.items())))
    assert hash(Dict(spaces_by_name)) == hash(Dict(dict(reversed(spaces_by_name.items()))))


def test_space_is_a_static_argument_of_jit() -> None:
    traced = []

    def sample(space: Space, key: jax.Array) -> Any:
        traced.append(space)
        return space.sample(key)

    jitted = jax.jit(sample, static_argnums=0)
    jitted(Discrete(5), jax.random.key(0))
    jitted(Discrete(5), jax.random.key(1))
    assert traced == [Discrete(5)]
    assert 2 <= jitted(Discrete(5, start=2), jax.random.key(0)) <= 6
    assert len(traced) == 2


def test_space_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Space()  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (Box(-1.0, 1.0, (3,)), "Box(-1.0, 1.0, (3,), float32)"),
        (Box(-INF, INF, ()), "Box(-inf, inf, (), float32)"),
        (Box(0, 255, (8, 8), np.uint8), "Box(0, 255, (8, 8), uint8)"),
        (Box([-1, -2], 4), "Box([-1. -2.], 4.0, (2,), float32)"),
        (Box(0, 1, (0,)), "Box([], [], (0,), float32)"),
        (Discrete(5), "Discrete(5)"),
        (Discrete(5, start=2), "Discrete(5, start=2)"),
        (MultiDiscrete([5, 2]), "MultiDiscrete([5 2])"),
        (MultiDiscrete([5, 5], start=[0, 1]), "MultiDiscrete([5 5], start=[0 1])"),
        (MultiBinary(3), "MultiBinary(3)"),
        (MultiBinary((3, 2)), "MultiBinary((3, 2))"),
        (
            Dict({"b": Discrete(2), "a": MultiBinary(1)}),
            "Dict('a': MultiBinary(1), 'b': Discrete(2))",
        ),
        (Tuple([Discrete(2), MultiBinary(1)]), "Tuple(Discrete(2), MultiBinary(1))"),
    ],
)
def test_repr(space: Space, text: str) -> None:
    assert repr(space) == text


def test_repr_abbreviates_arrays() -> None:
    text = repr(Box(-np.arange(10_000).reshape(100, 100), np.arange(10_000).reshape(100, 100)))
    assert len(text) < 300
    assert "\n" not in text
    assert "9999." in text


# --- Attributes and errors of the constructors


def test_box_attributes() -> None:
    low = np.array([0.0, -INF])
    box = Box(low, 1, (3, 2))
    low[0] = 7.0
    assert box.shape == (3, 2)
    assert box.dtype == np.dtype(np.float32)
    assert isinstance(box.dtype, np.dtype)
    for bound, value in [(box.low, [0, -INF]), (box.high, [1, 1])]:
        assert bound.dtype == np.float32
        np.testing.assert_array_equal(bound, np.tile(np.array(value, np.float32), (3, 1)))
        with pytest.raises(ValueError, match="read-only"):
            bound[0] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            bound.setflags(write=True)
    np.testing.assert_array_equal(box.bounded_below, [[True, False]] * 3)
    np.testing.assert_array_equal(box.bounded_above, [[True, True]] * 3)
    assert isinstance(Box(0, INF).bounded_above, np.ndarray)
    assert Box(0, 255, dtype=np.uint8).bounded_above.all()


def test_box_infers_its_shape() -> None:
    assert Box(0, 1).shape == ()
    assert Box([0, 1], 1).shape == (2,)
    assert Box(np.zeros((3, 1)), jnp.ones(2)).shape == (3, 2)
    assert Box(0, 1, [np.int64(2), 3]).shape == (2, 3)


def test_discrete_attributes() -> None:
    space = Discrete(np.int64(5), start=np.int8(-2))
    assert (space.n, space.start, space.shape, space.dtype) == (5, -2, (), np.dtype(np.int32))
    assert type(space.n) is type(space.start) is int
    assert Discrete(256, dtype=np.uint8).n == 256
    assert Discrete(2**64, dtype=np.uint64).n == 2**64


def test_multi_discrete_attributes() -> None:
    nvec = np.array([[2, 3], [4, 5]])
    space = MultiDiscrete(nvec, np.int16, [0, -1])
    nvec[0, 0] = 9
    assert (space.shape, space.dtype) == ((2, 2), np.dtype(np.int16))
    np.testing.assert_array_equal(space.nvec, [[2, 3], [4, 5]])
    np.testing.assert_array_equal(space.start, [[0, -1], [0, -1]])
    assert (space.nvec.dtype, space.start.dtype) == (np.int64, np.int16)
    assert not space.nvec.flags.writeable
    assert not space.start.flags.writeable
    assert MultiDiscrete([2]).dtype == np.int32
    assert not MultiDiscrete([2, 2]).start.any()
    assert MultiDiscrete([256, 1], np.uint8).nvec[0] == 256


def test_multi_binary_attributes() -> None:
    assert (MultiBinary(3).n, MultiBinary(3).shape) == (3, (3,))
    assert (MultiBinary([2, 3]).n, MultiBinary([2, 3]).shape) == ((2, 3), (2, 3))
    assert MultiBinary(3).dtype == np.dtype(np.int8)


def test_dict_is_a_mapping_sorted_as_jax_sorts() -> None:
    children = {"b": Discrete(2), "B": Discrete(3), "a": MultiBinary(1), "_": Discrete(4)}
    space = Dict(children)
    assert dict(space) == space.spaces == children
    leaves_in_order = jax.tree.leaves({name: i for i, name in enumerate(children)})
    assert list(space) == [list(children)[i] for i in leaves_in_order]
    assert space["b"] is children["b"]
    assert "a" in space
    assert "z" not in space
    assert space.get("z") is None
    assert len(space) == 4
    children["z"] = space.spaces["z"] = Discrete(1)
    assert "z" not in space
    with pytest.raises(KeyError):
        space["z"]
    with pytest.raises(TypeError):
        space["a"] = Discrete(2)  # type: ignore[index]


def test_dict_takes_pairs_from_an_iterator() -> None:
    pairs = iter([("a", Discrete(2)), ("b", Discrete(3))])
    assert Dict(pairs) == Dict({"a": Discrete(2), "b": Discrete(3)})  # type: ignore[arg-type]


def test_tuple_is_a_sequence() -> None:
    children = (Discrete(2), MultiBinary(1), Discrete(2))
    space = Tuple(iter(children))
    assert tuple(space) == space.spaces == children
    assert len(space) == 3
    assert space[-1] == Discrete(2)
    assert space[:2] == children[:2]
    assert space.index(MultiBinary(1)) == 1
    assert space.count(Discrete(2)) == 2
    assert MultiBinary(1) in space
    with pytest.raises(IndexError):
        space[3]
    with pytest.raises(TypeError):
        space[0] = Discrete(2)  # type: ignore[index]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Box(1, 0), ValueError, "low must not be above high"),
        (lambda: Box([0, 2], [1, 1]), ValueError, "low must not be above high"),
        (lambda: Box(np.nan, 1), ValueError, "low must not be NaN"),
        (lambda: Box(0, [1, np.nan]), ValueError, "high must not be NaN"),
        (lambda: Box(INF, INF), ValueError, "low must be below inf"),
        (lambda: Box(-INF, -INF), ValueError, "high above -inf"),
        (lambda: Box(0, 256, dtype=np.uint8), ValueError, "high cannot be represented in uint8"),
        (lambda: Box(-1, 1, dtype=np.uint32), ValueError, "low cannot be represented in uint32"),
        (lambda: Box(0, 2**63, dtype=np.int64), ValueError, "high cannot be represented in int64"),
        (lambda: Box(0, 1.5, dtype=np.int32), ValueError, "high cannot be represented in int32"),
        (lambda: Box(-INF, 0, dtype=np.int32), ValueError, "low cannot be represented in int32"),
        (lambda: Box(0, 1e300), ValueError, "high cannot be represented in float32"),
        (lambda: Box(0, 2, dtype=bool), ValueError, "high cannot be represented in bool"),
        (lambda: Box(0, 2**70, dtype=np.int64), TypeError, "high must be made of numbers of at"),
        (lambda: Box("0", 1), TypeError, "low must be made of numbers"),
        (lambda: Box(0, None), TypeError, "high must be made of numbers"),
        (lambda: Box(0, 1j), TypeError, "high must be made of numbers"),
        (lambda: Box([0, 0], 1, (3,)), ValueError, r"low does not fit the shape \(3,\)"),
        (lambda: Box([0, 0], [1, 1, 1]), ValueError, "shape mismatch"),
        (lambda: Box(0, 1, 3), TypeError, "shape must be a tuple"),
        (lambda: Box(0, 1, (2.0,)), TypeError, "shape must be made of integers"),
        (lambda: Box(0, 1, (True,)), TypeError, "shape must be made of integers"),
        (lambda: Box(0, 1, (-1,)), ValueError, "shape must be at least 0"),
        (lambda: Box(0, 1, (), None), TypeError, "dtype must be a bool, integer or float"),
        (lambda: Box(0, 1, (), np.complex64), TypeError, "dtype must be"),
        (lambda: Box(0, 1, (), np.longdouble), TypeError, "dtype must be .* at most 64 bits"),
        (lambda: Box(0, 1, (), np.dtype(">f4")), TypeError, "dtype must be"),
        (lambda: Box(0, 1, (), "nonsense"), TypeError, "nonsense"),
        (lambda: Discrete(0), ValueError, "n must be at least 1"),
        (lambda: Discrete(2.0), TypeError, "n must be made of integers"),
        (lambda: Discrete(True), TypeError, "n must be made of integers"),
        (lambda: Discrete(np.array([2, 3])), TypeError, "integer"),
        (lambda: Discrete(2, 0.5), TypeError, "start must be made of integers"),
        (lambda: Discrete(2, dtype=np.float32), TypeError, "dtype must be an integer"),
        (lambda: Discrete(2, dtype=bool), TypeError, "dtype must be an integer"),
        (lambda: Discrete(2, -1, np.uint8), ValueError, "start cannot be represented in uint8"),
        (lambda: Discrete(257, 0, np.uint8), ValueError, "n - 1 cannot be represented in uint8"),
        (lambda: Discrete(2, I32.max), ValueError, "n - 1 cannot be represented in int32"),
        (lambda: MultiDiscrete([2, 0]), ValueError, "nvec must be at least 1"),
        (lambda: MultiDiscrete([2, 2.5]), ValueError, "nvec cannot be represented"),
        (lambda: MultiDiscrete(["a"]), TypeError, "nvec must be made of numbers"),
        (lambda: MultiDiscrete([2], np.float32), TypeError, "dtype must be an integer"),
        (lambda: MultiDiscrete([2], start=[0, 0]), ValueError, r"start does not fit the shape"),
        (lambda: MultiDiscrete([2], start=I32.max), ValueError, "1 cannot be represented in int32"),
        (lambda: MultiDiscrete([2], np.int64, 2**63 - 1), ValueError, "1 cannot be represented"),
        (lambda: MultiBinary(0), ValueError, "n must be at least 1"),
        (lambda: MultiBinary((2, 0)), ValueError, "n must be at least 1"),
        (lambda: MultiBinary(2.0), TypeError, "n must be made of integers"),
        (lambda: MultiBinary("ab"), TypeError, "n must be made of integers"),
        (lambda: Dict({"a": 3}), TypeError, "must map strings to spaces, got 'a': 3"),
        (lambda: Dict({1: Discrete(2)}), TypeError, "must map strings to spaces, got 1"),
        (lambda: Dict(3), TypeError, "not iterable"),
        (lambda: Tuple([Discrete(2), int]), TypeError, "must be made of spaces, got <class 'int'>"),
        (lambda: Tuple(Discrete(2)), TypeError, "not iterable"),
    ],
)
def test_constructor_errors(
    make: Callable[[], Space], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


# --- Samples


@each_space
def test_samples_lie_in_the_space(space: Space) -> None:
    check_sample(space, space.sample(jax.random.PRNGKey(3)))  # other tests use typed keys


@pytest.mark.slow
def test_traced_samples_lie_in_the_space() -> None:
    space, key = Dict(SPACES), jax.random.key(3)
    sample, inside = jax.jit(lambda key: (x := space.sample(key), space.contains(x)))(key)
    check_sample(space, sample)
    assert inside
    assert not jax.jit(space.contains)(sample | {"box": sample["box"] + 3})


@pytest.mark.parametrize("space", [SPACES[name] for name in ("box", "discrete", "dict")])
def test_samples_depend_on_the_key_alone(space: Space) -> None:
    sample = jax.jit(jax.vmap(space.sample))
    keys = jax.random.split(jax.random.key(0), 64)
    first, again = (jax.tree.leaves(sample(keys)) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all((leaf != leaf[0]).any() for leaf in first)


@pytest.mark.parametrize("space", [Dict({"a": Box(0, 1), "b": Box(0, 1)}), Tuple([Box(0, 1)] * 2)])
def test_composite_spaces_split_the_key(space: Space) -> None:
    key = jax.random.key(0)
    first, second = jax.tree.leaves(space.sample(key))
    assert first != second
    assert Box(0, 1).sample(key) not in (first, second)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32])
def test_integer_boxes_sample_both_ends(dtype: Any) -> None:
    info = np.iinfo(dtype)
    low = np.repeat([[info.min], [info.max - 1], [5]], 64, axis=1)
    samples = np.asarray(Box(low, low + 1, dtype=dtype).sample(jax.random.key(0)))
    for row, least in zip(samples, [info.min, info.max - 1, 5], strict=True):
        assert set(row.tolist()) == {least, least + 1}


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_full_range_of_8_bits(dtype: Any) -> None:
    info = np.iinfo(dtype)
    samples = np.asarray(Box(info.min, info.max, (8192,), dtype).sample(jax.random.key(0)))
    assert set(samples.tolist()) == set(range(info.min, info.max + 1))


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
@pytest.mark.parametrize("cut", [0, 1], ids=["full", "all but one"])
def test_full_range_of_32_bits(dtype: Any, cut: int) -> None:
    info = np.iinfo(dtype)
    samples = Box(info.min + cut, info.max, (4096,), dtype).sample(jax.random.key(0))
    sixteenths = (np.asarray(samples).astype(np.int64) - info.min) // 2**28
    assert set(sixteenths.tolist()) == set(range(16))


def test_full_range_beside_a_narrow_one() -> None:
    space = Box([[I32.min], [5]], [[I32.max], [6]], (2, 64), np.int32)
    wide, narrow = np.asarray(space.sample(jax.random.key(0)))
    assert len(set(wide.tolist())) == 64
    assert set(narrow.tolist()) == {5, 6}


def test_discrete_samples_every_element() -> None:
    def draw(space: Space) -> np.ndarray:
        return np.asarray(jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 128)))

    assert set(draw(Discrete(3, start=-1)).tolist()) == {-1, 0, 1}
    columns = draw(MultiDiscrete([2, 3], start=[10, 20])).T.tolist()
    assert [set(column) for column in columns] == [{10, 11}, {20, 21, 22}]
    assert [set(column) for column in draw(MultiBinary(2)).T.tolist()] == [{0, 1}] * 2
    assert set(draw(Box(False, True, (), bool)).tolist()) == {False, True}


def test_box_samples_by_boundedness_as_gymnasium() -> None:
    low, high = [[2], [3], [-INF], [-INF]], [[4], [INF], [5], [INF]]
    samples = np.asarray(Box(low, high, (4, 4096)).sample(jax.random.key(0)))
    uniform, above, below, normal = samples
    for row, mean, deviation in [
        (uniform, 3, 2 / np.sqrt(12)),
        (above, 4, 1),
        (below, 4, 1),
        (normal, 0, 1),
    ]:
        assert abs(row.mean() - mean) < 0.1
        assert abs(row.std() - deviation) < 0.1
    assert above.min() >= 3
    assert below.max() <= 5
    assert abs(np.mean(normal > 0) - 0.5) < 0.05
    assert np.median(above) < 3.8  # both are skewed inward
    assert np.median(below) > 4.2


def test_widest_box_fills_its_range() -> None:
    samples = np.asarray(Box(-F32_MAX, F32_MAX, (1024,)).sample(jax.random.key(0)))
    assert np.isfinite(samples).all()
    assert samples.min() < -F32_MAX / 2
    assert samples.max() > F32_MAX / 2


def test_sampling_under_strict_settings() -> None:
    space = Tuple([SPACES[name] for name in ("box unbounded", "box int32", "multi-binary")])
    with (
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.debug_nans(True),
        jax.debug_key_reuse(True),
    ):
        assert space.contains(space.sample(jax.random.key(0)))


def test_sample_of_64_bits_alone_is_an_error() -> None:
    for space in (
        Box(2**40, 2**41, dtype=np.int64),
        Box([0, 2**32], [0, 2**33], dtype=np.uint64),
        Box(-1e300, -1e299, dtype=np.float64),
        Discrete(5, 2**40, np.int64),
    ):
        with pytest.raises(ValueError, match=r"no element of .* fits in 32 bits"):
            space.sample(jax.random.key(0))
        for x in (I32.max, 0, I32.min):
            assert not verdict(space, jnp.full(space.shape, x))


# --- Membership


NONSENSE = [
    "nonsense",
    b"bytes",
    None,
    object(),
    Discrete,
    Ellipsis,
    1j,
    10**400,
    np.nan,
    [[1], [1, 2]],
    [0.0, 0.0, 0.0],
    {"a": "b"},
    {1: 2, "c": 3},
    {1, 2},
    ("a", None),
    np.array("text"),
    np.array([None, {}]),
    np.zeros(3, "f4,i4"),
    np.timedelta64(1, "s"),
    np.datetime64("2020"),
    np.ma.array(np.zeros(3, np.float32), mask=True),
    np.zeros((), ">i4"),
    jnp.zeros(3, jnp.bfloat16),
    jnp.zeros((3, 2), complex),
    jax.random.key(0),
    jax.ShapeDtypeStruct((3,), np.float32),
]


@pytest.mark.parametrize("space", [s for name, s in SPACES.items() if "empty" not in name])
def test_nonsense_is_outside(space: Space) -> None:
    for x in NONSENSE:
        assert not verdict(space, x), x
    assert verdict(Tuple([]), ())
    assert verdict(Dict({}), {})


@pytest.mark.parametrize("convert", [jnp.asarray, np.asarray])
def test_box_contains(convert: Callable[..., Any]) -> None:
    box = Box([0, -INF, 1], [1, 2, INF])

    def inside(*values: float, dtype: Any = np.float32) -> bool:
        x = convert(values, dtype)
        results = verdict(box, x), bool(jax.jit(box.contains)(x))
        assert results[0] == results[1]
        return results[0]

    assert inside(0, -1e30, 1)
    assert inside(1, 2, 1e30)
    assert inside(0.5, -INF, INF)
    assert not inside(-0.1, 0, 1)
    assert not inside(0, 2.1, 1)
    assert not inside(0, 0, 0.9)
    for i in range(3):
        assert not inside(*(np.nan if i == j else 1 for j in range(3)))
    assert not inside(1, 1, 1, dtype=np.int32)
    assert not inside(1, 1, 1, dtype=np.float16)
    assert not inside(1, 1, 1, 1)
    assert not inside(1)
    assert not verdict(box, convert([[1, 1, 1]], np.float32))
    assert not verdict(box, 1.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint32])
def test_integer_bounds_are_included(dtype: Any) -> None:
    info = np.iinfo(dtype)
    narrow, full = (Box(info.min + d, info.max - d, (), dtype) for d in (1, 0))
    for x in (info.min, info.max):
        assert verdict(full, np.array(x, dtype))
        assert verdict(full, jnp.asarray(x, dtype))
        assert verdict(full, x)
        assert not verdict(narrow, np.array(x, dtype))
        assert not verdict(narrow, jnp.asarray(x, dtype))
        assert not verdict(narrow, x)
    assert not verdict(full, info.min - 1)
    assert not verdict(full, info.max + 1)


def test_discrete_contains() -> None:
    space = Discrete(3, start=-1)
    for x, inside in [(-2, False), (-1, True), (1, True), (2, False)]:
        scalars = [x, np.int64(x), np.int8(x)]
        arrays = [np.array(x, np.int32), jnp.asarray(x, jnp.int32)]
        assert [verdict(space, y) for y in scalars + arrays] == [inside] * 5
        assert bool(jax.jit(space.contains)(jnp.asarray(x, jnp.int32))) == inside
    for outside in (0.0, np.float32(0), True, np.True_, 2**32, np.uint64(2**64 - 1)):
        assert not verdict(space, outside)
    for dtype in (np.int64, np.int8, np.uint32, np.float32, bool):
        assert not verdict(space, np.array(0, dtype))
    assert not verdict(space, jnp.asarray(0, jnp.int8))
    assert not verdict(space, np.zeros(1, np.int32))


def test_scalars_of_the_same_kind_are_accepted() -> None:
    real = Box(0.1, 16_777_217, ())
    for x in (0.1, 1, np.float64(0.1), np.float16(0.5), np.int64(3), np.uint8(3), 16_777_217):
        assert verdict(real, x), x  # as rounded to float32
    for x in (0.0999, 0, np.nan, INF, 1e300, True, np.True_):
        assert not verdict(real, x), x
    truth = Box(False, True, (), bool)
    assert verdict(truth, True)
    assert verdict(truth, np.False_)
    assert verdict(truth, jnp.asarray(True))
    assert not verdict(truth, 1)
    assert not verdict(truth, np.int8(0))
    assert not verdict(Box(True, True, (), bool), False)
    assert not verdict(Box(0, 1, (1,)), 0.5)


def test_multi_discrete_and_multi_binary_contain() -> None:
    space = MultiDiscrete([2, 3], start=[0, 5])
    for values, inside in [([0, 5], True), ([1, 7], True), ([2, 5], False), ([0, 4], False)]:
        assert verdict(space, np.array(values, np.int32)) == inside
        assert verdict(space, jnp.array(values, jnp.int32)) == inside
    assert not verdict(space, np.array([0, 5], np.int64))
    assert verdict(MultiBinary(2), np.array([0, 1], np.int8))
    assert not verdict(MultiBinary(2), np.array([0, 2], np.int8))
    assert not verdict(MultiBinary(2), np.array([0, -1], np.int8))
    assert not verdict(MultiBinary(2), np.array([False, True]))


def test_composite_spaces_check_the_structure() -> None:
    pair, named = Tuple([Discrete(2), Discrete(3)]), Dict({"a": Discrete(2), "b": Discrete(3)})
    assert verdict(pair, (1, 2))
    assert verdict(named, {"b": 2, "a": 1})
    for x in [(2, 2), (1, 3), (1,), (1, 2, 0), [1, 2], np.array([1, 2], np.int32), {0: 1, 1: 2}]:
        assert not verdict(pair, x)
    for x in [{"a": 2, "b": 2}, {"a": 1, "b": 3}, {"a": 1}, {"a": 1, "b": 2, "c": 0}, (1, 2)]:
        assert not verdict(named, x)
    nested = Tuple([named, pair])
    contains = jax.jit(nested.contains)
    a, b, c = (jnp.asarray(i, jnp.int32) for i in range(3))
    assert contains(({"a": a, "b": c}, (b, c)))
    assert not contains(({"a": a, "b": c}, (c, c)))
    assert not contains(({"a": a}, (b, c)))


def test_contains_can_be_batched() -> None:
    xs = jnp.array([[0, 0], [2, 0], [0, jnp.nan], [1, 1]], jnp.float32)
    np.testing.assert_array_equal(jax.vmap(Box(0, 1, (2,)).contains)(xs), [1, 0, 0, 1])


def test_64_bit_spaces_while_x64_mode_is_off() -> None:
    real = Box(-INF, 0.1, (2,), np.float64)
    tenth = np.full(2, 0.1)
    assert verdict(real, tenth)
    assert verdict(real, tenth.astype(np.float32))  # rounds up, as the bound does
    assert verdict(real, jnp.asarray(tenth, jnp.float32))
    assert not verdict(real, np.nextafter(tenth, 1))
    assert not verdict(real, tenth.astype(np.float16))
    unbounded = Box(-INF, INF, (64,), np.float64)
    assert verdict(unbounded, jnp.array([-INF, INF] * 32, jnp.float32))
    assert 0.1 < np.std(unbounded.sample(jax.random.key(0))) < 10
    whole = Box(-(2**40), 2**40, (), np.int64)
    assert verdict(whole, jnp.asarray(I32.max, jnp.int32))
    assert verdict(whole, np.array(I32.min, np.int32))
    assert verdict(whole, np.array(2**40))
    assert verdict(whole, 2**40)
    assert not verdict(whole, np.array(2**40 + 1))
    assert not verdict(whole, 2**40 + 1)


X64 = """
import sys
import jax, numpy as np
from jax._src import xla_bridge
loaded = set(sys.modules)
from envhub import spaces
packages = {name.partition(".")[0] for name in set(sys.modules) - loaded}
assert packages <= {"envhub", "jax", "numpy"} | sys.stdlib_module_names, packages
assert not xla_bridge.backends_are_initialized(), "importing ran something"

real = spaces.Box(-1e300, 1e300, (64,), np.float64)
key = jax.random.PRNGKey(0)
assert real.sample(key).dtype == np.float32
jax.config.update("jax_enable_x64", True)
x = real.sample(key)
assert x.dtype == np.float64 and not x.weak_type and np.isfinite(x).all() and real.contains(x)
assert abs(x).max() > 1e299
assert not real.contains(x.astype(np.float32)) and not real.contains(np.zeros(64, np.float32))
huge = np.finfo(np.float64).max
assert np.isfinite(spaces.Box(-huge, huge, (64,), np.float64).sample(key)).all()
for dtype in (np.int64, np.uint64):
    info = np.iinfo(dtype)
    x = np.asarray(spaces.Box(info.min, info.max, (256,), dtype).sample(key))
    assert x.dtype == dtype
    assert set(((x.astype(object) - info.min) // 2**61).tolist()) == set(range(8))
    low = np.repeat(np.array([[info.min], [info.max - 1]], dtype), 64, axis=1)
    ends = np.asarray(spaces.Box(low, low + dtype(1), dtype=dtype).sample(key))
    assert [set(row) for row in ends.tolist()] == [{int(r[0]), int(r[0]) + 1} for r in low]
far = spaces.Discrete(3, 2**40, np.int64)
assert far.sample(key).dtype == np.int64 and far.contains(far.sample(key))
assert not far.contains(jax.numpy.zeros((), np.int32))
for space, dtype in [
    (spaces.Box(0, 1), np.float32),
    (spaces.Box([0, -np.inf], [np.inf, np.inf]), np.float32),
    (spaces.Discrete(3), np.int32),
    (spaces.MultiDiscrete([3]), np.int32),
    (spaces.MultiBinary(3), np.int8),
    (spaces.Box(0, 255, (), np.uint8), np.uint8),
]:
    x = jax.jit(space.sample)(key)
    assert x.dtype == dtype and not x.weak_type and space.contains(x), space
"""


@pytest.mark.slow
def test_import_runs_nothing_and_x64_mode_widens() -> None:
    fresh(X64, flags=("-W", "error"), cwd=REPOSITORY, timeout=300)


# --- Properties

SHAPES = st.sampled_from([(), (3,), (2, 2)])
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    dtype = np.dtype(draw(st.sampled_from([np.float32, np.int32, np.uint8])))
    shape = draw(SHAPES)
    size = int(np.prod(shape))
    if dtype.kind == "f":
        numbers = FLOATS
    else:
        numbers = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    pairs = draw(st.lists(st.tuples(numbers, numbers).map(sorted), min_size=size, max_size=size))
    low, high = np.array(pairs, np.float64).reshape(*shape, 2).T.copy()
    if dtype.kind == "f":
        low = np.where(draw(st.booleans()), low, -INF)
        high = np.where(draw(st.booleans()), high, INF)
    return Box(low.T, high.T, shape, dtype)


@st.composite
def multi_discretes(draw: st.DrawFn) -> MultiDiscrete:
    dtype = draw(st.sampled_from([np.int32, np.int64, np.uint8]))
    counts = draw(st.lists(st.integers(1, 100), min_size=4, max_size=4))
    return MultiDiscrete(np.reshape(counts, (2, 2)), dtype, draw(st.integers(0, 100)))


LEAVES = st.one_of(
    boxes(),
    st.builds(Discrete, st.integers(1, 2**30), st.integers(-(2**30), 2**30)),
    st.builds(Discrete, st.integers(1, 100), st.integers(0, 27), st.just(np.int8)),
    multi_discretes(),
    SHAPES.filter(bool).map(MultiBinary),
    st.integers(1, 4).map(MultiBinary),
)
ANY_SPACE = st.recursive(
    LEAVES,
    lambda children: st.one_of(
        st.dictionaries(st.text(max_size=3), children, max_size=3).map(Dict),
        st.lists(children, max_size=3).map(Tuple),
    ),
    max_leaves=4,
)
few = settings(max_examples=25, deadline=None)


@few
@given(ANY_SPACE, st.integers(0, 2**31 - 1))
def test_property_samples_lie_in_the_space(space: Space, seed: int) -> None:
    check_sample(space, space.sample(jax.random.key(seed)))


@few
@given(boxes(), st.data())
def test_property_contains_compares_with_the_bounds(box: Box, data: st.DataObject) -> None:
    if box.dtype.kind == "f":
        anything = st.floats(width=32, allow_subnormal=False)
    else:
        anything = st.integers(int(np.iinfo(box.dtype).min), int(np.iinfo(box.dtype).max))
    x = box.low.copy()
    for index in np.ndindex(box.shape):
        near = st.sampled_from([box.low[index].item(), box.high[index].item()])
        x[index] = data.draw(near | anything)
    expected = bool(np.all(x >= box.low) and np.all(x <= box.high))
    assert verdict(box, x) == expected
    assert verdict(box, jnp.asarray(x)) == expected
    if not box.shape:
        assert verdict(box, x.item()) == expected


@few
@given(ANY_SPACE)
def test_property_gymnasium_round_trip(space: Space) -> None:
    needed("gymnasium")
    converted = spaces.to_gymnasium(space)
    assert spaces.from_gymnasium(converted) == space
    assert spaces.to_gymnasium(spaces.from_gymnasium(converted)) == converted


# --- Gymnasium


@pytest.fixture
def gym() -> Any:
    return needed("gymnasium").spaces


@each_space
def test_gymnasium_round_trip(space: Space, gym: Any) -> None:
    converted = spaces.to_gymnasium(space)
    assert type(converted) is getattr(gym, type(space).__name__)
    assert spaces.from_gymnasium(converted) == space
    if not isinstance(space, Dict | Tuple):
        assert (converted.shape, converted.dtype) == (space.shape, space.dtype)
        x = np.asarray(space.sample(jax.random.key(0))).astype(space.dtype)
        assert converted.contains(x)


def test_from_gymnasium(gym: Any) -> None:
    for given_space, expected in [
        (gym.Box(0, 1), Box(0, 1, (1,))),
        (gym.Box(0, np.array([1.0, INF]), dtype=np.float64), Box(0, [1, INF], dtype=np.float64)),
        (gym.Box(-INF, INF, (2,), np.int32), Box(I32.min, I32.max, (2,), np.int32)),
        (gym.Discrete(5, start=-2), Discrete(5, -2, np.int64)),
        (gym.MultiDiscrete([2, 3], np.uint8), MultiDiscrete([2, 3], np.uint8)),
        (gym.MultiDiscrete([2], start=[5]), MultiDiscrete([2], np.int64, 5)),
        (gym.MultiBinary([2, 3]), MultiBinary((2, 3))),
        (gym.MultiBinary(3), MultiBinary(3)),
        (
            gym.Dict({"z": gym.Discrete(2), "a": gym.Tuple([gym.MultiBinary(1)])}),
            Dict({"a": Tuple([MultiBinary(1)]), "z": Discrete(2, dtype=np.int64)}),
        ),
    ]:
        assert spaces.from_gymnasium(given_space) == expected
        assert spaces.to_gymnasium(expected) == given_space


@pytest.mark.parametrize("name", ["Text", "Graph", "Sequence", "OneOf"])
@pytest.mark.parametrize("nested", [False, True])
def test_from_gymnasium_refuses_what_is_no_array(gym: Any, name: str, nested: bool) -> None:
    space = {
        "Text": lambda: gym.Text(3),
        "Graph": lambda: gym.Graph(gym.Box(0, 1), gym.Discrete(2)),
        "Sequence": lambda: gym.Sequence(gym.Discrete(2)),
        "OneOf": lambda: gym.OneOf([gym.Discrete(2)]),
    }[name]()
    space = gym.Dict({"a": gym.Tuple([space])}) if nested else space
    with pytest.raises(TypeError, match=f"{name} space: its values are not a fixed structure"):
        spaces.from_gymnasium(space)


def test_text_is_bytes_of_one_length(gym: Any) -> None:
    space = spaces.from_gymnasium(gym.Dict({"t": gym.Text(3, charset="aé")}), strings=True)
    text = space["t"]
    assert (text, text.shape, text.dtype) == (spaces.Text(6), (6,), np.uint8)
    assert repr(text) == "Text(6)"
    assert text != spaces.Box(0, 255, (6,), np.uint8)
    assert pickle.loads(pickle.dumps(text)) == text
    assert spaces.to_gymnasium(text) == gym.Box(0, 255, (6,), np.uint8)
    assert spaces.batch(text, 2).shape == (2, 6)
    assert spaces.decode_text(jnp.array([97, 195, 169, 0, 0, 0], jnp.uint8)) == "aé"
    for wrong in (0, 1.5, "x"):
        with pytest.raises((TypeError, ValueError), match="length"):
            spaces.Text(wrong)


def test_conversions_refuse_what_they_do_not_know(gym: Any) -> None:
    with pytest.raises(TypeError, match="cannot convert a int"):
        spaces.from_gymnasium(3)
    with pytest.raises(TypeError, match="cannot convert a Discrete"):
        spaces.to_gymnasium(gym.Discrete(3))
    with pytest.raises(TypeError, match="cannot convert a Discrete space"):
        spaces.from_gymnasium(Discrete(3))


def test_counts_that_gymnasium_cannot_hold(gym: Any) -> None:
    for space in (Discrete(256, dtype=np.uint8), MultiDiscrete([1, 200], np.int8, -100)):
        with pytest.raises(ValueError, match="which Gymnasium keeps in the dtype"):
            spaces.to_gymnasium(space)
    assert spaces.to_gymnasium(Discrete(255, dtype=np.uint8)).n == 255


@pytest.mark.parametrize("odd", [np.zeros((2, 3), np.uint8), np.zeros(3, np.int32), "abc"])
def test_what_is_no_text_is_not_decoded(odd: Any) -> None:
    with pytest.raises(ValueError, match="a text is one vector of uint8"):
        spaces.decode_text(odd)


def test_each_text_of_a_batch_is_decoded() -> None:
    batch = np.frombuffer(b"go\0up\0", np.uint8).reshape(2, 3)
    assert [spaces.decode_text(each) for each in batch] == ["go", "up"]
