"""Pictures on a machine without a display, where libraries share one OpenGL."""

import pytest

from envhub import registry

from .processes import fresh

WINDOW = """
import pygame
pygame.display.init()
pygame.display.set_mode((50, 50)).fill("red")
pygame.display.flip()
print(pygame.display.get_driver())
pygame.quit()
"""
MAKE = """
import threading
import jax, envhub

def drawn(env_id):
    env, params = envhub.make(env_id)
    state = env.reset(jax.random.key(0), params)[1]
    return lambda: env.render(state, params).tolist()

draw = drawn({!r})
first = draw()
"""
SHOW = "print(draw() == first, drawn({!r})() == first)"
TWO = """
other = drawn(ANOTHER)
second = other()
print(draw() == first, other() == second, draw() == first, first != second)

pictures = []
thread = threading.Thread(target=lambda: pictures.append(draw()))
thread.start()
thread.join()
print(pictures == [first])
"""
REFUSED = """
try:
    draw()
except envhub.errors.RenderError as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def no_driver_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what imported a suite before, for example: highway-env chooses for its process."""
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)


def printed(env_id: str, program: str, **options: object) -> list[str]:
    suite = env_id.partition("::")[0]
    if registry.get(suite).installed() is None:
        pytest.skip(reason=f"{suite} is not installed")
    pytest.importorskip("pygame", reason="the library with the window is not installed")
    code = (MAKE + program).format(env_id, env_id)
    return fresh(code, timeout=300, **options).stdout.splitlines()


@pytest.mark.parametrize("env_id", ["gymnasium::Hopper-v5", "playground::CartpoleBalance"])
@pytest.mark.slow
def test_mujoco_draws_after_pygame_closed_a_window(env_id: str) -> None:
    """Pygame's window was on MuJoCo's display, and took it along."""
    assert printed(env_id, WINDOW + SHOW)[-2:] == ["offscreen", "True True"]


def test_dm_control_refuses_what_it_would_draw_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its contexts outlive the display, and spoil what is drawn with later ones."""
    env_id = "dm_control::cartpole-swingup"
    driver, refusal = printed(env_id, WINDOW + REFUSED)[-2:]
    assert driver == "offscreen"
    assert "start it again with SDL_VIDEODRIVER=dummy" in refusal
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert printed(env_id, WINDOW + SHOW)[-2:] == ["dummy", "True True"]


ANOTHERS = {
    "Gymnasium's": "ANOTHER = 'gymnasium::Ant-v5'",
    "an edited one": """
import gymnasium
from gymnasium.envs.mujoco.ant_v5 import AntEnv

class Edited(AntEnv):
    pass

gymnasium.register("Edited-v0", Edited)
ANOTHER = "gymnasium::Edited-v0"
""",
}


@pytest.mark.parametrize("another", ANOTHERS.values(), ids=list(ANOTHERS))
@pytest.mark.slow
def test_two_environments_of_mujoco_draw_in_turn_and_in_another_thread(another: str) -> None:
    """Gymnasium draws with whatever OpenGL context is current (1.3)."""
    assert printed("gymnasium::Hopper-v5", another + TWO) == ["True True True True", "True"]
