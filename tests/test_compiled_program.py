"""The compiled step has no operation that the suite's own has not, save casts and flags.

Both steps are compiled, and the opcodes of the optimized HLO counted, those inside of loops,
branches and calls too. XLA's fusion is switched off for that: it copies cheap operations into each
of their consumers, so that a count would say how a program was cut, not what it computes. The
switch is one of the whole process, hence the second one.

The suite's params are arguments on both sides; where a suite has none, they are constants.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import envhub
from envhub import registry
from envhub.testing.probes import primitives
from envhub.testing.second_process import SecondProcess

from .conformance.cases import BINDINGS

pytestmark = pytest.mark.xdist_group("compiled_program")  # one second process for all

# The last two keep compiling short, and change no HLO.
FLAGS = """
    --xla_disable_hlo_passes=fusion
    --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true
"""

EXAMPLES: dict[str, dict[str, Any]] = {
    "gymnax::CartPole-v1": {},
    "navix::Navix-DoorKey-8x8-v0": {},
    "craftax::Craftax-Classic-Symbolic-v1": {},
    "brax::inverted_pendulum": {"backend": "spring"},
}
SLOW = ("craftax", "brax")  # to compile
WITHOUT_PARAMS = {"navix", "brax"}

# Casts, and what XLA moves values about with: no arithmetic, and no control flow.
BOOKKEEPING = set(
    """
    bitcast broadcast constant convert copy fusion get-tuple-element parameter reshape tuple
    """.split()
)


def allowed(suite: str) -> Counter[str]:
    """The operations that the hub may add to a suite's own step, at most as often."""
    match suite:
        case "gymnax" if registry.get("gymnax").at_least("1.0"):
            return Counter({"compare": 1})  # time >= limit: `is_truncated`
        case "gymnax":
            # `done` without the limit; the second evaluation of the step leaves nothing else.
            return Counter({"compare": 1, "or": 1})
        case "craftax":
            # `is_terminal` once more: its three conditions merged, without the limit.
            return Counter({"compare": 1, "or": 2})
        case "navix":
            # The limit is a param, so the penalty t / limit, inside the branch of a termination, is
            # divided; navix has a constant there, which XLA merges into the penalty's factor.
            return Counter({"divide": 1})
        case "brax":
            # The count of steps; done > 0; count >= limit and not done.
            return Counter({"add": 1, "compare": 2, "and": 1, "not": 1})
    raise AssertionError(f"no such suite: {suite}")


def surplus(hub: Counter[str], own: Counter[str], suite: str) -> dict[str, int]:
    """The operations that the hub has too many, by opcode."""
    rest = hub - own - allowed(suite)
    return {opcode: count for opcode, count in rest.items() if opcode not in BOOKKEEPING}


# What runs in the second process


def count(env_id: str, options: dict[str, Any], program: str) -> dict[str, int]:
    """The opcodes of one program, which is a name in PROGRAMS."""
    env, params = envhub.make(env_id, **options)
    suite = env_id.partition("::")[0]
    key = jax.random.key(0)
    action = jax.eval_shape(env.action_space(params).sample, key)
    state = jax.eval_shape(env.reset, key, params)[1]
    own_state = BINDINGS[suite].own_state(state) if program == "own" else state
    step = PROGRAMS[program](env, params if suite in WITHOUT_PARAMS else None)
    return opcodes(jax.jit(step).lower(key, own_state, action, params).compile().as_text())


def opcodes(hlo: str) -> Counter[str]:
    """How often each opcode occurs in the text of an HLO module, whatever computation it is in."""
    instructions = re.findall(r"^ +(?:ROOT )?%?[\w.-]+ = (.*)", hlo, re.MULTILINE)
    # After the shape, which has no word before a parenthesis.
    return Counter(re.search(r" ([a-z][a-z0-9-]*)\(", line)[1] for line in instructions)


def of_hub(env: envhub.Environment, constants: Any) -> Callable[..., Any]:
    def step(key: Any, state: Any, action: Any, params: Any) -> Any:
        return env.step(key, state, action, params if constants is None else constants)

    return step


def of_suite(env: envhub.Environment, constants: Any) -> Callable[..., Any]:
    return BINDINGS[env.spec.suite].direct(env)[1]


def with_multiplication(env: envhub.Environment, constants: Any) -> Callable[..., Any]:
    def step(key: Any, state: Any, action: Any, params: Any) -> Any:
        result = of_hub(env, constants)(key, state, action, params)
        return result._replace(reward=result.reward * result.obs[0])

    return step


def with_reset(env: envhub.Environment, constants: Any) -> Callable[..., Any]:
    def step(key: Any, state: Any, action: Any, params: Any) -> Any:
        result = of_hub(env, constants)(key, state, action, params)
        after = result.obs, result.state
        obs, state = jax.tree.map(
            lambda new, old: jnp.where(result.done, new, old), env.reset(key, params), after
        )
        return result._replace(obs=obs, state=state)

    return step


PROGRAMS = {
    "hub": of_hub,
    "own": of_suite,
    "with_multiplication": with_multiplication,
    "with_reset": with_reset,
}


# The tests

Count = Callable[[str, str], Counter[str]]


@pytest.fixture(scope="module")
def counted() -> Iterator[Count]:
    flags = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS.split()])
    process = SecondProcess({**os.environ, "XLA_FLAGS": flags})
    place = f"{__name__}:{count.__name__}"
    yield lambda env_id, program: Counter(
        process.call(place, env_id=env_id, options=EXAMPLES[env_id], program=program)
    )
    process.close()


@pytest.mark.parametrize(
    "env_id",
    [
        pytest.param(env_id, marks=[pytest.mark.full] * env_id.startswith(SLOW))
        for env_id in EXAMPLES
    ],
)
@pytest.mark.slow
def test_the_hub_adds_nothing_but_casts_and_flags(env_id: str, counted: Count) -> None:
    hub, own = counted(env_id, "hub"), counted(env_id, "own")
    assert surplus(hub, own, env_id.partition("::")[0]) == {}


def test_an_extra_multiplication_is_found(counted: Count) -> None:
    cart_pole = "gymnax::CartPole-v1"
    hub, own = counted(cart_pole, "with_multiplication"), counted(cart_pole, "own")
    assert surplus(hub, own, "gymnax") == {"multiply": 1}


def test_an_extra_reset_is_found(counted: Count) -> None:
    cart_pole = "gymnax::CartPole-v1"
    hub, own = counted(cart_pole, "with_reset"), counted(cart_pole, "own")
    found = surplus(hub, own, "gymnax")
    assert found["select"] >= 5, "each leaf of obs and state is chosen"
    assert {"xor", "shift-left", "shift-right-logical"} <= set(found), "random numbers are drawn"


@pytest.mark.parametrize("env_id", EXAMPLES)
def test_the_step_calls_no_host(env_id: str) -> None:
    env, params = envhub.make(env_id, **EXAMPLES[env_id])
    key = jax.random.key(0)
    action = jax.eval_shape(env.action_space(params).sample, key)
    state = jax.eval_shape(env.reset, key, params)[1]
    found = primitives(jax.make_jaxpr(env.step)(key, state, action, params).jaxpr)
    assert {"add", "eq", "lt"} & found
    assert not [name for name in found if "callback" in name or name in ("infeed", "outfeed")]


def test_the_count_sees_every_computation() -> None:
    hlo = """
HloModule jit_step, entry_computation_layout={(f32[])->(f32[], f32[4]{0})}

%fused (param_0: f32[]) -> f32[] {
  %param_0 = f32[] parameter(0)
  ROOT %mul.1 = f32[] multiply(%param_0, %param_0), metadata={op_name="jit(step)/add(x)"}
}

ENTRY main.1 {
  x.1 = f32[] parameter(0)
  fusion = f32[] fusion(x.1), kind=kLoop, calls=%fused
  pair = (f32[], /*index=1*/(s32[], f32[4]{0})) custom-call(fusion), custom_call_target="f"
  ROOT loop.1 = (f32[], f32[4]{0}) while(pair), condition=cond, body=body
}
"""
    expected = "parameter multiply parameter fusion custom-call while".split()
    assert opcodes(hlo) == Counter(expected)
