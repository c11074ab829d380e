"""The contact sheets of docs/gallery.md: how they are drawn, and that they show what there is."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import envhub
from envhub import _versions, registry

from .conftest import REPOSITORY
from .packages import needed
from .test_cli import ToySuite

Image = needed("PIL.Image")
QUICK = ("gymnasium::CartPole-v1", "gymnasium::FrozenLake-v1")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = REPOSITORY / "scripts" / "contact_sheet.py"
    spec = importlib.util.spec_from_file_location("contact_sheet", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_sheet_shows_each_environment_above_its_name(script: ModuleType, tmp_path: Path) -> None:
    names = [*map(script.label, QUICK)]
    frames = {name: script.frame_of(env_id, 2) for name, env_id in zip(names, QUICK, strict=True)}
    path = tmp_path / "sheet.png"
    script.save(script.compose(frames), path, "gymnasium", names)
    with Image.open(path) as sheet:
        assert sheet.text["Description"].split("\n") == names
        assert sheet.text["Title"] == f"gymnasium {registry.get('gymnasium').installed()}"
        assert sheet.width == 2 * script.WIDTH
        shown = np.asarray(sheet.convert("RGB")).astype(int)
    bottom = script.MARGIN + script.SIDE
    for place, frame in enumerate(frames.values()):
        picture = np.asarray(script.thumbnail(frame)).astype(int)
        height, width, _ = picture.shape
        assert max(height, width) == script.SIDE
        left = place * script.WIDTH + (script.WIDTH - width) // 2
        found = shown[bottom - height : bottom, left : left + width]
        inside = np.s_[2:-2, 2:-2]  # of the frame around it
        assert np.abs(found - picture)[inside].mean() < 3  # of 256 colours
        assert picture[inside].std() > 1
        below = shown[bottom + 2 :, place * script.WIDTH : (place + 1) * script.WIDTH]
        assert (below < 64).any()


def test_many_environments_take_several_rows(script: ModuleType) -> None:
    frame = np.zeros((10, 20, 3), np.uint8)
    one, nine = (script.compose({f"name-{i}": frame for i in range(count)}) for count in (1, 9))
    assert nine.width == script.COLUMNS * one.width
    assert nine.height > 2 * script.SIDE > one.height


class Unrenderable(ToySuite):
    """It claims to be renderable."""

    def capabilities(self, name: str, options: Any) -> envhub.Capabilities:
        return envhub.Capabilities.native(renderable=name == "Three" or "it cannot be made.")


def test_what_claims_to_be_renderable_and_fails_is_an_error(
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])
    envhub.register("toy", Unrenderable())
    try:
        assert script.main(["toy", "--out", str(tmp_path)]) == 1
    finally:
        envhub.unregister("toy")
    assert "toy::Three is renderable, and failed with " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


NOT_DRAWN = ("bsuite", "pgx")  # which draw nothing, and SVG


@pytest.mark.parametrize("suite", registry.BUILTIN)
@pytest.mark.slow
def test_the_gallery_shows_every_suite_as_it_is(suite: str, script: ModuleType) -> None:
    path = script.sheet_path(suite)
    if suite in NOT_DRAWN:
        assert not path.exists()
        needed(registry.get(suite).module)
        assert script.renderable(suite) == []
        return
    assert f"](figures/{path.name})" in (REPOSITORY / "docs" / "gallery.md").read_text(
        encoding="utf-8"
    )
    assert path.stat().st_size < 300_000
    with Image.open(path) as sheet:
        names, (title, drawn) = sheet.text["Description"].split("\n"), sheet.text["Title"].split()
    assert title == suite
    installed = registry.get(suite).installed()
    if installed is None or not _versions.admits(f">={drawn}", installed):
        pytest.skip(reason=f"the sheet is of {suite} {drawn}, and {installed} is installed")
    assert names == [*map(script.label, script.renderable(suite))], "run scripts/contact_sheet.py"
