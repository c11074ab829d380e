"""What the fuzz tests give: ids, keywords, wrappers, params, states, actions and commands."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

import envhub
from envhub import cli, hub, registry
from envhub.flags import FLAGS
from envhub.wrappers._apply import apply_wrapper

KNOWN = [
    f"{suite}::{name}" for suite in envhub.suites() for name in registry.get(suite).known_names()
]
# One of each kind in every suite; those that compile slowly are traced alone.
DRIVEN = {
    "gymnax::CartPole-v1": True,
    "gymnax::Pendulum-v1": True,
    "navix::Navix-Empty-5x5-v0": False,
    "craftax::Craftax-Classic-Symbolic-v1": False,
    "brax::fast": False,
    "jumanji::Game2048-v1": False,
    "gymnasium::CartPole-v1": True,
    "gymnasium::Pendulum-v1": True,
    "gymnasium::phys2d/Pendulum-v0": False,
    "ale::pong": True,
    "pufferlib::CartPole-v1": True,
}
# The same environment in workers, by kind.
IN_WORKERS: dict[str, tuple[str, dict[str, Any]]] = {
    "process": ("gymnasium::CartPole-v1", {"workers": "process", "num_workers": 2}),
    "ray": (
        "gymnasium::CartPole-v1",
        {"workers": "ray", "num_workers": 2, "ray_options": {"num_cpus": 0.1}},
    ),
}
OPTIONS = [
    "gravity", "max_steps_in_episode", "max_episode_steps", "rows", "columns", "max_steps",
    "observation_fn", "max_timesteps", "static_env_params", "episode_length", "backend",
    "action_repeat", "sys", "time_limit", "frameskip", "engine", "mode", "reset_options",
    "render_mode", "forkable", "max_instances", "snapshot_size", "workers", "num_workers",
    "autoreset", "wrappers", "self", "name", "params", "key", "env_creator", "env_kwargs",
]  # fmt: skip
# An integer that is a size may honestly allocate gigabytes, or start as many workers.
SIZES = {
    "rows", "columns", "num_bits", "n_frames", "action_repeat", "max_instances", "snapshot_size",
    "num_workers", "frameskip", "num_envs", "stack_size", "delay", "max_delay", "num_stack",
}  # fmt: skip
WRAPPERS = [
    getattr(envhub.wrappers, name)
    for name in envhub.wrappers.__all__
    if isinstance(getattr(envhub.wrappers, name), type) and name != "RecordVideo"
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 60),
    st.integers(),
    st.sampled_from([2**31, 2**40, 10**400, -1, np.int64(8), np.float32(2), float("nan")]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["spring", "mjx", "rgb", "python", "thread", "same_step", "rgb_array"]),
)
things = st.sampled_from(
    [object(), {}, {"a": 1}, [[1], [2, 3]], np.zeros((2, 0)), np.array(["x"]),
     jnp.zeros(3), jax.random.key(0), b"\0", 1j, np.datetime64(0, "s")]
)  # fmt: skip
values = st.one_of(scalars, st.lists(scalars, max_size=3), things)
# What a function of somebody's raises is theirs: these take everything.
functions = st.sampled_from(
    [lambda given: given, lambda given: jax.tree.map(jnp.zeros_like, given)]
)
# What some wrapper takes.
fitting = st.sampled_from(
    [0.5, 1.0, 2, 3, True, (84, 84), (2, 2), -1.0, "uint8", ["a"], envhub.spaces.Discrete(2),
     envhub.spaces.Box(-1, 1, (4,), np.float32), np.ones(4, bool), "final_obs"]
)  # fmt: skip


def limited(options: dict[str, Any]) -> dict[str, Any]:
    """The options, with sizes that this machine can bear."""
    for name in SIZES & set(options):
        value = options[name]
        if isinstance(value, (int, float)) and not abs(value) <= 8:
            options[name] = 8
    return options


class Driven(NamedTuple):
    """An environment, and what fits it."""

    env: Any
    params: Any
    obs: Any
    state: Any
    action: Any


@functools.cache
def driven(env_id: str) -> Driven:
    """The environment of that id, or in workers of that kind, made once, and reset."""
    env_id, options = IN_WORKERS.get(env_id, (env_id, {}))
    env, params = envhub.make(env_id, **options)
    obs, state = env.reset(jax.random.key(0), params)
    return Driven(env, params, obs, state, env.action_space(params).sample(jax.random.key(1)))


def broken(tree: Any, change: Callable[[Any], Any]) -> Any:
    """The tree with one leaf changed."""
    leaves, structure = jax.tree.flatten(tree)
    if not leaves:
        return tree
    with contextlib.suppress(Exception):  # not every leaf can be changed so
        leaves[-1] = change(leaves[-1])
    return jax.tree.unflatten(structure, leaves)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "the other sign": lambda leaf: -jnp.asarray(leaf),
    "longer": lambda leaf: jnp.stack([leaf, leaf]),
    "floats": lambda leaf: jnp.asarray(leaf).astype(jnp.float32),
    "bfloat16": lambda leaf: jnp.asarray(leaf).astype(jnp.bfloat16),
    "wide": lambda leaf: np.asarray(leaf).astype(np.int64) + 2**40,
    "nan": lambda leaf: jnp.full(jnp.shape(leaf), jnp.nan),
    "text": lambda leaf: "x",
    "nothing": lambda leaf: None,
    "an object": lambda leaf: object(),
    "a Python number": lambda leaf: np.asarray(leaf).item(),
    "NumPy": np.asarray,
    "bits": lambda leaf: np.asarray(leaf) ^ 1,
}

KEYS: dict[str, Any] = {
    "typed": lambda: jax.random.key(3),
    "legacy": lambda: jax.random.PRNGKey(3),
    "rbg": lambda: jax.random.key(3, impl="rbg"),
    "many": lambda: jax.random.split(jax.random.key(3), 2),
    "many legacy": lambda: jax.random.split(jax.random.PRNGKey(3), 2),
    "floats": lambda: np.zeros(2, np.float32),
    "seed": lambda: 3,
}

ROLES = ("key", "state", "action", "params")


QUICK = ["gymnax::CartPole-v1", "gymnasium::CartPole-v1"]


@st.composite
def calls(
    draw: st.DrawFn, env_ids: Sequence[str] = tuple(sorted(DRIVEN))
) -> tuple[str, str, dict[str, Any], bool]:
    """An environment, a method, its arguments by name, and whether it is called inside `jit`."""
    env_id = draw(st.sampled_from(env_ids))
    one = driven(env_id)
    method = draw(st.sampled_from(["reset", "step", "step", "step", "render", "spaces"]))
    arguments = {"key": jax.random.key(3), **one._asdict()}
    for role in draw(st.lists(st.sampled_from(ROLES), min_size=1, max_size=2, unique=True)):
        other = driven(draw(st.sampled_from(env_ids)))
        kinds = [
            st.sampled_from(sorted(CHANGES)).map(
                lambda change, role=role: broken(arguments[role], CHANGES[change])
            ),
            values,
        ]
        if role == "key":
            kinds.append(st.sampled_from(sorted(KEYS)).map(lambda name: KEYS[name]()))
        else:
            kinds.append(st.just(getattr(other, role)))
        arguments[role] = draw(st.one_of(kinds))
    inside = not DRIVEN.get(env_id, True) or draw(st.booleans())
    return env_id, method, arguments, inside


def make_call(
    env_id: str, method: str, given: dict[str, Any], inside: bool, *, is_compiled: bool = False
) -> Any:
    """Call the environment as drawn; inside `jit` it is traced alone, or compiled and run."""
    env = driven(env_id).env
    key, state, action, params = (given[role] for role in ROLES)
    if method == "spaces":
        env.observation_space(params)
        return env.action_space(params)
    if method == "render":
        return env.render(state, params)
    given = (key, params) if method == "reset" else (key, state, action, params)
    function = getattr(env, method)
    if not inside:
        return function(*given)
    # What is no array is a constant of the program, as in a closure.
    traced = [is_arrays(each) for each in given]
    arrays = [each for each, is_traced in zip(given, traced, strict=True) if is_traced]

    def program(*arrays: Any) -> Any:
        rest = iter(arrays)
        return function(*(next(rest) if is_traced else each
                          for each, is_traced in zip(given, traced, strict=True)))  # fmt: skip

    if is_compiled:
        compiled = compiled_once(env_id, method) if all(traced) else jax.jit(program)
        return jax.block_until_ready(compiled(*arrays))
    return jax.eval_shape(program, *arrays)


@functools.cache
def compiled_once(env_id: str, method: str) -> Any:
    """The program of a method, which JAX compiles once for each form of its arguments."""
    return jax.jit(getattr(driven(env_id).env, method))


def is_arrays(tree: Any) -> bool:
    """Whether JAX takes it for the argument of a program."""
    leaves = jax.tree.leaves(tree)
    return bool(leaves) and all(
        isinstance(leaf, jax.Array) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biuf")
        for leaf in leaves
    )


def run_command(arguments: list[str]) -> tuple[int, str]:
    """The exit code of a command, and what it says on both streams."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            cli.app(arguments)
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue()
    raise AssertionError("a command ends by SystemExit")


words = st.one_of(
    st.text(max_size=6),
    st.sampled_from([*KNOWN, "CartPole-v1", "gymnax", "no::such", "::", "gymnasium:::"]),
    st.integers().map(str),
)


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """A command line: most often one of ours, with options that fit or do not."""
    flag = draw(st.sampled_from(FLAGS)).replace("_", "-")
    pair = draw(st.sampled_from(OPTIONS)) + "=" + draw(words)
    options = st.lists(
        st.sampled_from(
            ["--json", "--help", f"--{flag}", f"--no-{flag}", "--nonsense", "-o", pair, "--option",
             f"--option={pair}", "--seed", "--seed=7", "--seed=-1", "--steps=0", "--steps=x",
             "--num-envs=0", "--num-envs=1" + "0" * 11, "--num-envs=1,x", "--out=/no/such/x.gif",
             "--out=x.txt", "--fps=0", "--fps=nan", "--repeats=0", "--policy=best", "--suite", "7"]
        ),
        max_size=3,
    )  # fmt: skip
    small = {
        "run": ["--steps=3", "--num-envs=2"],
        "bench": ["--steps=2", "--num-envs=1", "--repeats=1"],
        "render": ["--steps=2", "--out=/no/such/folder/x.gif"],
        "list": [],
        "info": [],
        "matrix": [],
    }
    name = draw(st.sampled_from(sorted(small)))
    if name in ("run", "bench", "render", "info"):
        target = draw(
            st.one_of(st.sampled_from(QUICK), words.filter(lambda word: word not in KNOWN))
        )
    else:
        target = draw(st.one_of(st.sampled_from(envhub.suites()), words))
    arguments = [target] if draw(st.integers(0, 9)) else []
    return [name, *arguments, *small[name], *draw(options)]


@functools.cache
def keywords_of(env_id: str) -> list[str]:
    """The keywords of `make` that this environment takes, of its constructor and its params."""
    suite, name, _ = hub.find(env_id, {})
    params = driven(env_id).params
    fields = [field.name for field in dataclasses.fields(params)] if params is not None else []
    return sorted({*suite.options(name), *fields})


@st.composite
def making(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An id, and keywords for `make`."""
    env_id = draw(st.sampled_from(sorted(DRIVEN)))
    names = st.one_of(st.sampled_from(keywords_of(env_id)), st.sampled_from(OPTIONS))
    return env_id, limited(draw(st.dictionaries(names, values, min_size=1, max_size=2)))


@st.composite
def wrapping(draw: st.DrawFn) -> tuple[str, Any, dict[str, Any]]:
    """An id, a wrapper, and its keywords: those that it needs, and often others."""
    wrapper = draw(st.sampled_from(WRAPPERS))
    parameters = [*inspect.signature(wrapper.__init__).parameters.values()][2:]
    options = {
        each.name: draw(st.one_of(values, functions if "func" in each.name else fitting))
        for each in parameters
        if each.default is inspect.Parameter.empty or not draw(st.integers(0, 3))
    }
    if not draw(st.integers(0, 15)):
        options[draw(st.sampled_from(OPTIONS))] = draw(values)
    return draw(st.sampled_from(sorted(DRIVEN))), wrapper, limited(options)


def wrap_and_trace(env_id: str, wrapper: Any, options: dict[str, Any]) -> None:
    """Put a wrapper around the environment as `make` does, and trace a reset and a step."""
    one = driven(env_id)
    env = apply_wrapper(wrapper(**options), one.env)
    key = jax.random.key(0)
    env.observation_space(one.params)
    action = jax.eval_shape(env.action_space(one.params).sample, key)
    _, state = jax.eval_shape(env.reset, key, one.params)
    jax.eval_shape(env.step, key, state, action, one.params)
