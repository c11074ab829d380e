"""What an environment is: by its class and what made it, whatever it is called."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from .facts import DERIVED, FAMILY_OF, FAMILY_OF_PACKAGE

CHECKS = ("OrderEnforcing", "PassiveEnvChecker")


def family_of_id(name: str) -> str:
    """Which of Gymnasium's families an id is of; empty for those of third parties."""
    spec, known = registered(name), FAMILY_OF.get(name, "")
    family = known if spec is None else family_of_spec(spec)
    # The functional cores are known by id.
    return "" if family == "functional" != known else family


def registered(name: str) -> Any:
    """The spec of an id as far as it is known without an import; otherwise `None`.

    Where Gymnasium is not imported, nobody can have registered something else under the id. The
    module of `module:Id-v0` may register anything, once it is imported.
    """
    registration = sys.modules.get("gymnasium.envs.registration")
    return registration.registry.get(name) if registration else None


def family_of_spec(spec: Any) -> str:
    """The family of what a spec makes, if a class of Gymnasium's makes it and nothing else."""
    entry_point = spec.entry_point
    if not entry_point or spec.additional_wrappers:
        return ""
    if isinstance(entry_point, str):
        is_own = entry_point.startswith("gymnasium.envs.")
        return _of_module(entry_point) if is_own else ""
    return _family_of_class(entry_point) if isinstance(entry_point, type) else ""


def family_of(env: Any) -> str:
    """The family of an environment whose state and physics are known; empty for all others."""
    from gymnasium.wrappers import TimeLimit

    inner, layer = env.unwrapped, env
    while layer is not inner:
        if type(layer) is not TimeLimit:
            return ""
        layer = layer.env
    kind = type(inner)
    is_patched = any(callable(getattr(kind, name, None)) for name in vars(inner))
    derived = DERIVED.get(kind.__name__, {}).items()
    if is_patched or (family := _family_of_class(kind)) == "":
        return ""
    is_consistent = all(getattr(inner, name) == formula(inner) for name, formula in derived)
    return family if is_consistent else ""


def description_of(env: Any) -> str:
    """Return what tells an environment from others of its id: its wrappers, class and keywords."""
    layers, layer = [], env
    while layer is not env.unwrapped:
        if type(layer).__name__ not in CHECKS:
            layers.append(_described([type(layer), _keywords(layer)]))
        layer = layer.env
    keywords = {**env.spec.kwargs} if env.spec else _keywords(layer)
    keywords.pop("render_mode", None)
    return " ".join([*layers, _described([type(layer), keywords])])


def _keywords(layer: Any) -> dict[str, Any]:
    """Return what a layer was made with: as Gymnasium noted it, or attributes with those names."""
    own = getattr(layer, "__dict__", {})
    if "_saved_kwargs" in own:
        return {**own["_saved_kwargs"]}
    noted = {name: own[name] for name in ("_ezpickle_args", "_ezpickle_kwargs") if name in own}
    names = [name for name in inspect.signature(type(layer).__init__).parameters if name != "env"]
    kept = {name: own[at] for name in names for at in (name, f"_{name}") if at in own}
    return {**noted, **kept}


def _described(value: Any) -> str:
    """Return a value as a text that is the same in another process."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_described(each)}' for key, each in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_described, value))}]"
    if isinstance(value, (bool, int, float, complex, str, bytes, np.generic, type(None))):
        return repr(value)
    return _described(_parts(value))


def _parts(value: Any) -> list[Any]:
    """Return what an array, a function, a class or another object consists of."""
    if isinstance(value, np.ndarray):
        data = value.tolist() if value.dtype.hasobject else value.tobytes()
        digest = data if isinstance(data, list) else hashlib.blake2b(data, digest_size=16).digest()
        return [value.dtype.str, *value.shape, digest]
    if isinstance(value, types.CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, type(value.__self__)]
    if not hasattr(value, "__qualname__"):
        return [type(value)]
    parts: list[Any] = [f"{getattr(value, '__module__', '')}.{value.__qualname__}"]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        cells = [each for each in cells if each is not value]  # which calls itself
        parts += [value.__code__, cells, value.__defaults__, value.__kwdefaults__]
    return parts


def is_functional(env: Any) -> bool:
    """Whether it is one of Gymnasium's shells around a functional core in JAX."""
    own = sys.modules.get("gymnasium.envs.functional_jax_env")
    return own is not None and isinstance(env, own.FunctionalJaxEnv)


def _family_of_class(kind: type) -> str:
    """The family of one of Gymnasium's classes, if it is that very object with its own methods."""
    is_own = kind.__module__.startswith("gymnasium.envs.") and (
        getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind
    )
    return _of_module(kind.__module__) if is_own and not _replaced(kind) else ""


def _replaced(kind: type) -> list[str]:
    """Methods that somebody else put into a class of Gymnasium's, or into its bases."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("gymnasium.")]
    return [
        name
        for base in bases
        for name, value in vars(base).items()
        if inspect.isfunction(value) and not str(value.__module__).startswith("gymnasium.")
    ]


def _of_module(path: str) -> str:
    return FAMILY_OF_PACKAGE.get(path.split(".")[2], "")
