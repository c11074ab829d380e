"""What was changed by hand of an environment that its spec does not make again."""

from __future__ import annotations

import collections
import functools
import inspect
import pickle
import sys
import time
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from envhub._headless import egl_without_display, no_sound

from .identity import CHECKS

PLAIN = (bool, int, float, complex, str, bytes, np.generic, type(None))
# What is chosen for the copy and not copied, and what only says how to make it.
LEFT_OUT = {"env", "render_mode", "spec", "_spec", "_cached_spec", "_saved_kwargs"}
LEFT_OUT |= {"_ezpickle_args", "_ezpickle_kwargs"}
OF_CODE = ("numpy", "mujoco", "pygame", "Box2D", "")  # whose objects have no data of their own
FEW_STEPS, MOST_STEPS = 4, 100
BUDGET = 20.0  # seconds of steps; what was seen until then decides
SHALLOW, DEEPEST, MOST_OBJECTS = 3, 100, 10_000  # levels, and all objects that are looked into


def changes(obj: Any, fresh: Any) -> list[str]:
    """The attributes that an object has otherwise than one that its spec just made.

    What resets and steps change is left out: it is tried out on the fresh one.

    Args:
        obj: the environment, at any moment of an episode.
        fresh: another one of its spec, with which a few episodes are played.

    Returns:
        A line for each: where it is, and both values.
    """
    mine = _attributes(obj)
    moments = list(_play(fresh, draws=obj.render_mode is not None))
    seen = {path: [moment[path] for moment in moments if path in moment] for path in mine}
    lines = []
    for path, value in mine.items():
        values = seen[path]
        stays = len(values) == len(moments) and all(_equal(values[0], each) for each in values)
        if not values and ("[" in path or path.count(".") > SHALLOW + 1):
            continue  # a container has grown, as its length says; or it was seen elsewhere first
        if not values:
            lines.append(f"{path} is {_short(value)}, and one that was just made has none")
        elif stays and not _equal(value, values[0]):
            lines.append(f"{path} is {_short(value)} and not {_short(values[0])}")
    return lines


def _play(env: Any, *, draws: bool) -> Iterator[dict[str, Any]]:
    """The attributes at some moments: when it was made, in an episode, at its end, in another.

    Where the object draws, after pictures too, for which viewers are made.
    """
    yield _attributes(env)
    due = time.monotonic() + BUDGET
    try:
        for seed in (0, 1):
            env.reset(seed=seed)
            yield _attributes(env)
            env.action_space.seed(seed)
            for step in range(MOST_STEPS):
                _, _, terminated, truncated, _ = env.step(env.action_space.sample())
                has_ended = terminated or truncated
                if draws and step < FEW_STEPS:
                    with no_sound(), egl_without_display():
                        env.render()
                if step < FEW_STEPS or has_ended or step == MOST_STEPS - 1:
                    yield _attributes(env)
                if has_ended or time.monotonic() > due:
                    break
    except Exception:  # an action that it refuses, say: what was seen until then decides
        return


def _attributes(env: Any) -> dict[str, Any]:
    """All that is data in an environment and its wrappers, by where it is."""
    found: dict[str, Any] = {}
    while True:
        if type(env).__name__ not in CHECKS:
            _collect(env, type(env).__name__, found)
        if env is env.unwrapped:
            return found
        env = env.env


def _collect(env: Any, path: str, found: dict[str, Any]) -> None:
    """Look into an environment, and level by level into the objects that it holds.

    Up to level `SHALLOW` an object is looked into wherever it is, deeper once.
    """
    level: list[tuple[Any, str, set[int]]] = [(env, path, {id(env)})]
    seen = {id(env)}
    for depth in range(DEEPEST):
        inner = []
        for obj, where, above in level:
            for each, name in _look(obj, where, found):
                is_new = id(each) not in (above if depth < SHALLOW else seen)
                if is_new and (depth < SHALLOW or len(seen) < MOST_OBJECTS):
                    inner.append((each, name, above | {id(each)}))
                    seen.add(id(each))
        level = inner


def _look(obj: Any, path: str, found: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """Note the data of an object, and give what else it holds, with the place of each."""
    for name, value in _parts(obj):
        where = f"{path}{name}"
        if _is_data(value):
            found[where] = _copy(value)
        elif _package(value) == "mujoco" and type(value).__name__ == "MjModel":
            found[where] = pickle.dumps(value)
        elif _is_looked_into(value):
            found[where] = _kind(value)  # which may be all that there is
            yield value, where


def _parts(obj: Any) -> Iterable[tuple[str, Any]]:
    """What an object or a container is made of, with the name of each."""
    if isinstance(obj, dict):
        return [(f"[{key!r}]", value) for key, value in obj.items()]
    if isinstance(obj, (list, tuple)):
        return [(f"[{number}]", value) for number, value in enumerate(obj)]
    if isinstance(obj, functools.partial):
        return [(".func", obj.func), (".args", obj.args), (".keywords", obj.keywords)]
    held = {**getattr(obj, "__dict__", {}), **_slots(obj)}
    return [(f".{name}", value) for name, value in held.items() if name not in LEFT_OUT]


def _slots(obj: Any) -> dict[str, Any]:
    """The attributes that are not in its `__dict__`. The standard library's may be caches."""
    found: dict[str, Any] = {}
    for kind in type(obj).__mro__:
        if "__slots__" in vars(kind) and _package_of(kind) not in sys.stdlib_module_names:
            members = [name for name, it in vars(kind).items() if inspect.ismemberdescriptor(it)]
            found |= {name: getattr(obj, name) for name in members if hasattr(obj, name)}
    return found


def _is_looked_into(value: Any) -> bool:
    if _is_container(value) or isinstance(value, functools.partial):
        return True
    if isinstance(value, types.ModuleType):  # which others have too
        return False
    has_data = hasattr(value, "__dict__") or bool(_slots(value))
    return has_data and _package(value) not in OF_CODE


def _is_container(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple))


def _kind(value: Any) -> str:
    """The name of its class, which a function may define anew each time, and how many it holds."""
    kind = value if isinstance(value, type) else type(value)
    count = f" of {len(value)}" if _is_container(value) else ""
    return f"{kind.__module__}.{kind.__qualname__}{count}"


def _package(value: Any) -> str:
    return _package_of(type(value))


def _package_of(kind: type) -> str:
    return str(getattr(kind, "__module__", "")).partition(".")[0]  # SWIG's have none


def _is_data(value: Any) -> bool:
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        return all(map(_is_data, value))
    if isinstance(value, dict):
        return all(_is_data(key) and _is_data(each) for key, each in value.items())
    if isinstance(value, np.ndarray):
        return bool(value.dtype.kind != "O")
    return isinstance(value, PLAIN) or _is_space(value) or inspect.isroutine(value)


def _is_space(value: Any) -> bool:
    from gymnasium import Space

    return bool(isinstance(value, Space))


def _copy(value: Any) -> Any:
    """Of what is written to in place."""
    if isinstance(value, (list, dict, set, collections.deque, np.ndarray)):
        return pickle.loads(pickle.dumps(value)) if not _has_code(value) else value
    return value


def _has_code(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value
    return not isinstance(value, np.ndarray) and any(map(inspect.isroutine, parts))


def _equal(one: Any, other: Any) -> bool:
    if inspect.isroutine(one) and inspect.isroutine(other):
        return bool(_code(one) == _code(other))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        same = np.shape(one) == np.shape(other)
        return same and bool(np.asarray(one == other).all() or repr(one) == repr(other))
    if type(one) is type(other) and isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other) or repr(one) == repr(other) == "nan"


def _code(routine: Any) -> Any:
    """A function's code, and the plain values that it has from where it was made."""
    if not hasattr(routine, "__code__"):
        return routine
    cells = getattr(routine, "__closure__", None) or ()
    held = [cell.cell_contents for cell in cells if cell != types.CellType()]
    held += routine.__defaults__ or ()
    return routine.__code__, [repr(value) for value in held if isinstance(value, PLAIN)]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}…"
