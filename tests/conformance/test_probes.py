"""Every probe can say no, and says yes where there is nothing to say no to."""

from __future__ import annotations

import jax
import pytest

from envhub import errors
from envhub.testing import probes
from envhub.testing.second_process import SecondProcess
from envhub.testing.subject import Subject
from tests.devices import EXAMINED, needs_devices

from . import bad_environments


def examine(
    kind: type, other_process: SecondProcess, flags: list[str]
) -> dict[str, probes.Finding]:
    recipe = {"call": f"tests.conformance.bad_environments:make_{kind.__name__}"}
    env, params = bad_environments.make(kind)
    return probes.examine(Subject(env, params, recipe, other_process), flags)


def test_every_flag_has_a_liar() -> None:
    assert set(bad_environments.LIES.values()) == set(probes.PROBES) == set(probes.FLAGS)


def test_an_honest_environment_passes_every_probe(other_process: SecondProcess) -> None:
    found = examine(bad_environments.Honest, other_process, EXAMINED)
    assert {flag: finding.holds for flag, finding in found.items()} == dict.fromkeys(found, True)


@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        pytest.param(
            kind, flag, id=kind.__name__, marks=needs_devices(2) if flag == "multi_device" else ()
        )
        for kind, flag in bad_environments.LIES.items()
    ],
)
def test_the_probe_says_no(kind: type, flag: str, other_process: SecondProcess) -> None:
    finding = examine(kind, other_process, [flag])[flag]
    assert finding.holds is False
    assert finding.detail


def test_a_library_that_differs_after_many_steps_is_not_reproducible(
    other_process: SecondProcess,
) -> None:
    finding = examine(bad_environments.WandersOff, other_process, ["reproducible"])["reproducible"]
    assert (finding.holds, finding.detail) == (
        False,
        "a run of the same key here again is not the same from record 21",
    )


@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        pytest.param(kind, flag, id=kind.__name__)
        for kind, flag in bad_environments.LATE_LIES.items()
    ],
)
def test_the_probe_says_no_to_what_a_library_shows_late(
    kind: type, flag: str, other_process: SecondProcess
) -> None:
    finding = examine(kind, other_process, [flag])[flag]
    assert finding.holds is False
    assert "record" in finding.detail


@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        (bad_environments.StandsStill, "differentiable"),
        (bad_environments.BeginsDark, "renderable"),
        (bad_environments.IsDrawnUntilItsEnd, "renderable"),
    ],
)
def test_what_is_shown_late_or_before_the_end_is_found(
    kind: type, flag: str, other_process: SecondProcess
) -> None:
    assert examine(kind, other_process, [flag])[flag].holds


def test_render_refuses_a_picture_of_floats() -> None:
    env, params = bad_environments.make(bad_environments.DrawsFloats)
    _, state = env.reset(jax.random.key(0), params)
    with pytest.raises(errors.RenderError, match="the picture has dtype float"):
        env.render(state, params)


def test_without_a_second_process_reproducing_is_not_run() -> None:
    env, params = bad_environments.make(bad_environments.Honest)
    assert probes.examine(Subject(env, params), ["reproducible"])["reproducible"].holds is None
