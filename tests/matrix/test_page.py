"""The HTML page, as a browser without a window shows it."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from envhub import registry
from envhub.matrix import page

from .example import EXCEPTION, RESULTS

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


def test_the_page_loads_nothing() -> None:
    text = page.document(RESULTS)
    assert not re.search(r"""(src|href|url|import)\s*[=(]\s*["']?\s*(https?:)?//""", text)
    assert "{{" not in text
    assert "fetch(" not in text


def rows(place: str, folder: Path) -> list[dict[str, tuple[str, str]]]:
    """The visible cells, each with its tooltip, by the titles of the columns."""
    assert CHROMIUM
    path = folder / "matrix.html"
    path.write_text(page.document(RESULTS), encoding="utf-8")
    quiet = "--disable-gpu --disable-quic --no-first-run --disable-background-networking"
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet.split(), "--disable-component-update"]
    command += ["--disable-sync", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    url = path.as_uri() + place
    done = subprocess.run(
        [*command, url], capture_output=True, text=True, check=True, timeout=120, encoding="utf-8"
    )
    table = re.search(r"<table>(.*)</table>", done.stdout, re.DOTALL)
    assert table, done.stderr
    titles = re.findall(r"<th.*?<button[^>]*>(.*?)</button>", table.group(1), re.DOTALL)
    found = []
    for line in re.findall(r"<tr>(<td.*?)</tr>", table.group(1), re.DOTALL):
        cells = [
            (html.unescape(text), html.unescape(title))
            for title, text in re.findall(r'<td[^>]*?(?: title="([^"]*)")?>(.*?)</td>', line)
        ]
        found.append(dict(zip(titles, cells, strict=True)))
    return found


@needs_chromium
def test_all_rows_are_there_sorted_by_name_with_their_tooltips(tmp_path: Path) -> None:
    shown = rows("", tmp_path)
    names = [row["environment"][0] for row in shown]
    assert names == sorted(names)
    assert len(shown) == len(RESULTS.rows)
    by_key = {(row["environment"][0], row["set"][0]): row for row in shown}
    cart = by_key["gymnax::CartPole-v1", "newest-py3.12"]
    assert cart["differentiable"] == ("fail", EXCEPTION)
    assert cart["state"][0] == "fail"
    not_run = by_key["navix::Navix-Empty-5x5-v0", "newest-py3.11"]
    assert {text for name, (text, _) in not_run.items() if name not in ("environment", "set")} == {
        "not run"
    }


@needs_chromium
def test_a_gap_links_to_what_is_known_of_it(tmp_path: Path) -> None:
    (swimmer,) = rows("#state=upstream", tmp_path)
    link = registry.get("brax").reference("swimmer")
    assert swimmer["state"][0] == f'<a href="{link}">upstream</a>'


@needs_chromium
@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("#forkable=fail", ["Acrobot-v1"]),
        ("#forkable=yes&set=newest-py3.12", ["CartPole-v1"]),
        ("#suite=brax", ["swimmer,backend=mjx"]),
        ("#state=upstream", ["swimmer,backend=mjx"]),
        ("#q=cartpole%20V1&set=newest-py3.11", ["CartPole-v1"]),
        ("#suite=gymnax&state=fail&sort=compile", ["CartPole-v1", "Acrobot-v1"]),
        ("#suite=gymnax&state=fail&sort=speed&order=descending", ["Acrobot-v1", "CartPole-v1"]),
        ("#q=nothing-of-the-kind", []),
    ],
)
def test_it_filters_searches_and_sorts(place: str, names: list[str], tmp_path: Path) -> None:
    shown = rows(place, tmp_path)
    assert [row["environment"][0].partition("::")[2] for row in shown] == names
