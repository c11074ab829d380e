"""What is printed in a terminal, and shown in a notebook."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import Capabilities, MultiEnv, StepResult, VectorEnv, spaces
from envhub._display import brief

CAPABILITIES = Capabilities.native(renderable="there is nothing to see <here>.")
RESULT = StepResult(
    jnp.arange(4.0), {"a": jnp.zeros((3, 3))}, jnp.float32(1), jnp.array(False), jnp.array(True), {}
)


def test_capabilities_are_a_line_each_with_the_reason_of_a_no() -> None:
    shown = repr(CAPABILITIES).splitlines()
    assert shown[:2] == ["Capabilities", "  jax_native      yes"]
    assert shown[-1] == "  renderable      no: there is nothing to see <here>."
    assert len(shown) == 1 + len(CAPABILITIES.as_dict())


def test_a_result_is_a_line_for_each_field() -> None:
    assert repr(RESULT).splitlines() == [
        "StepResult",
        "  obs         float32[4] [0. 1. 2. 3.]",
        "  state       {'a': float32[3, 3]}",
        "  reward      float32[] 1.0",
        "  terminated  bool[] False",
        "  truncated   bool[] True",
        "  info        {}",
    ]


def test_a_result_that_is_traced_is_shown() -> None:
    seen = []
    jax.make_jaxpr(lambda result: seen.append(repr(result)))(RESULT)
    assert "obs         float32[4] traced" in seen[0]


def test_long_spaces_have_a_line_for_each_part() -> None:
    image = spaces.Box(0, 255, (84, 84, 3), np.uint8)
    short = spaces.Dict({"image": image})
    assert repr(short) == "Dict('image': Box(0, 255, (84, 84, 3), uint8))"
    long = spaces.Tuple([short, image, spaces.Discrete(5), image])
    assert repr(long).splitlines() == [
        "Tuple(",
        "  Dict('image': Box(0, 255, (84, 84, 3), uint8)),",
        "  Box(0, 255, (84, 84, 3), uint8),",
        "  Discrete(5),",
        "  Box(0, 255, (84, 84, 3), uint8),",
        ")",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (None, "None"),
        ("text", "'text'"),
        (np.float32(0.5), "float32[] 0.5"),
        (np.zeros((2, 0)), "float64[2, 0] []"),
        (jnp.arange(9), "int32[9]"),
        ((jnp.int32(1), [np.bool_(True)]), "(int32[] 1, (bool[] True))"),
        (RESULT, "StepResult of 5 arrays"),
        (jax.random.key(0), "key<fry>[]"),
    ],
)
def test_brief(value: object, text: str) -> None:
    assert brief(value) == text


@pytest.mark.parametrize(
    ("shown", "cells"),
    [
        (CAPABILITIES, ["<th>renderable</th><td>no: there is nothing to see &lt;here&gt;.</td>"]),
        (RESULT, ["<th>obs</th><td>float32[4] [0. 1. 2. 3.]</td>"]),
        (spaces.Discrete(3), ["<th></th><td>Discrete(3)</td>"]),
        (
            spaces.Dict({"a": spaces.Tuple([spaces.Discrete(2), spaces.MultiBinary(3)])}),
            ["<th>['a'][0]</th><td>Discrete(2)</td>", "<th>['a'][1]</th><td>MultiBinary(3)</td>"],
        ),
    ],
    ids=["capabilities", "result", "space", "spaces"],
)
def test_a_notebook_shows_a_table(shown: object, cells: list[str]) -> None:
    html = shown._repr_html_()  # type: ignore[attr-defined]
    assert html.startswith("<table>")
    assert html.endswith("</table>")
    assert all(cell in html for cell in cells)


def test_an_environment_a_batch_and_a_fleet_are_tables() -> None:
    env, _ = envhub.make("gymnax::CartPole-v1")
    html = env._repr_html_()
    assert "<th>environment</th><td>&lt;GymnaxEnvironment gymnax::CartPole-v1&gt;</td>" in html
    assert "<th>actions</th><td>Discrete(2)</td>" in html
    assert "<th>differentiable</th><td>no: " in html
    assert "<th>actions</th><td>MultiDiscrete([2 2 2])</td>" in VectorEnv(env, 3)._repr_html_()
    fleet = MultiEnv({"pole": env})
    assert "<th>pole</th><td>&lt;GymnaxEnvironment" in fleet._repr_html_()


def test_a_spec_says_what_was_given() -> None:
    env, _ = envhub.make("gymnax::CartPole-v1", gravity=9.0, autoreset="same_step")
    shown = dict(line.split(maxsplit=1) for line in repr(env.spec).splitlines()[1:])
    assert shown["id"] == "gymnax::CartPole-v1"
    assert shown["params"] == "{'gravity': 9.0}"
    assert shown["wrappers"] == "(AutoReset(mode='same_step'),)"
    assert "options" not in shown
    assert env.spec
    assert "<th>id</th><td>gymnax::CartPole-v1</td>" in env.spec._repr_html_()
