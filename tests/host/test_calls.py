"""How many Python functions a steady step on the host passes, and in how many files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from envhub.adapters import ale, gymnasium

import envhub
from envhub.host import transport

KEY = jax.random.key(0)


OURS = tuple(os.path.dirname(each.__file__) + os.sep for each in (envhub, ale, gymnasium))


def is_counted(file: str) -> bool:
    """Envhub's own, wherever it is installed, and what is no library."""
    return file.startswith(OURS) or ("site-packages" not in file and not file.startswith("<"))


@pytest.mark.skipif(transport.buffer_callback is None, reason="jax 0.4.35 has no buffer_callback")
@pytest.mark.parametrize(
    ("name", "lanes", "calls", "files"),
    [
        ("gymnasium::CartPole-v1", 2, 35, 9),
        ("gymnasium::Acrobot-v1", 2, 44, 9),
        ("ale::pong", 2, 39, 9),
        ("gymnasium::CartPole-v1", 1, 32, 9),
        ("gymnasium::Acrobot-v1", 1, 32, 9),
    ],
)
def test_a_steady_step_passes_few_functions(
    name: str, lanes: int, calls: int, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[list[str]] = []
    original: Any = transport.buffer_callback

    def counting(callback: Callable[..., Any], *how: Any, **more: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            passed.append([])

            def note(frame: Any, event: str, _: Any) -> None:
                if event == "call" and is_counted(frame.f_code.co_filename):
                    passed[-1].append(frame.f_code.co_filename)

            sys.setprofile(note)
            try:
                return callback(*arguments)
            finally:
                sys.setprofile(None)

        return original(counted, *how, **more)

    monkeypatch.setattr(transport, "buffer_callback", counting)
    env, _ = envhub.make(name)
    _, state = jax.vmap(env.reset)(jax.random.split(KEY, lanes))
    step = jax.jit(jax.vmap(lambda state: env.step(KEY, state, jnp.int32(0)).state))
    for _ in range(3):
        state = step(state)
    jax.block_until_ready(state)
    assert 10 < len(passed[-1]) <= calls + 1, "one of them is `setprofile`'s own end"
    assert len(set(passed[-1]) - {__file__}) <= files
