"""The HTML page, as a browser without a window shows it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from envhub import registry
from envhub.flags import FLAGS
from envhub.matrix import page, results
from envhub.matrix.results import Results

from .example import EXCEPTION, RESULTS

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

# Opens the page at some places, clicks there, and sends what can be seen then.
LOOK = """
const seen = [];
const widths = selector => [...document.querySelectorAll(selector)]
  .map(each => each.getBoundingClientRect());
const loaded = async () => {
  while (Object.keys(received).length < requested.size) {
    await new Promise(done => setTimeout(done, 10));
  }
};
(async () => {
for (const [place, clicks] of PLACES) {
  location.hash = place;
  read();
  show();
  for (const selector of clicks) document.querySelector(selector).click();
  await loaded();
  const rows = [...document.querySelectorAll("tr.env")];
  const first = rows[0]?.children[0].getBoundingClientRect();
  seen.push({
    rows: rows.map(tr => ({
      id: tr.querySelector("button").textContent,
      chips: [...tr.querySelectorAll(".chip")].map(chip => chip.textContent),
      cells: Object.fromEntries([...tr.querySelectorAll("td[data-column]")].map(
        td => [td.dataset.column, [td.dataset.value ?? "", td.textContent, td.title]])),
    })),
    details: document.querySelector(".details")?.innerText ?? "",
    link: document.querySelector(".details a")?.href ?? "",
    count: document.getElementById("count").textContent,
    hash: location.hash,
    width: innerWidth,
    page: document.documentElement.scrollWidth,
    first: first?.width ?? 0,
    marks: widths("tr.env:first-child td[title]").filter(box => box.right <= innerWidth).length,
    inside: widths(".inside")[0]?.right ?? 0,
    broken: rows.filter(tr => tr.children[0].scrollWidth > tr.children[0].clientWidth).length,
    requested: [...requested],
  });
}
parent.postMessage(JSON.stringify(seen), "*");
})();
"""


def look(
    found: Results,
    folder: Path,
    places: list[tuple[str, list[str]]],
    width: int = 1400,
    without: str = "",
) -> list[Any]:
    """What is seen at each place, after the clicks there, of files on a disk.

    The browser starts once. The file of the suite `without` is not there.
    """
    assert CHROMIUM
    script = LOOK.replace("PLACES", json.dumps(places))
    text = page.document(found)
    (folder / "matrix.html").write_text(f"{text}<script>{script}</script>", encoding="utf-8")
    (folder / "matrix").mkdir()
    for suite in {*found.suites} - {without}:
        file = folder / "matrix" / f"{suite}.js"
        file.write_text(page.details(found, suite), encoding="utf-8")
    # A window has a least width, and a frame has not.
    path = folder / "frame.html"
    path.write_text(
        '<!doctype html><body><pre id="out"></pre><script>onmessage = event => '
        f'{{ out.textContent = event.data; }};</script><iframe src="matrix.html" '
        f'style="width:{width}px;height:900px;border:0"></iframe>',
        encoding="utf-8",
    )
    quiet = "--disable-gpu --disable-quic --no-first-run --disable-background-networking"
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet.split(), "--disable-component-update"]
    command += ["--disable-sync", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    command += ["--window-size=1500,1000", "--virtual-time-budget=20000", path.as_uri()]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120, encoding="utf-8")
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    assert found.group(1), done.stderr
    seen: list[Any] = json.loads(html.unescape(found.group(1)))
    return seen


def test_the_page_loads_nothing_from_elsewhere_and_has_no_details() -> None:
    text = page.document(RESULTS)
    assert not re.search(r"""(src|href|url|import)\s*[=(]\s*["']?\s*(https?:)?//""", text)
    assert "{{" not in text
    assert "fetch(" not in text
    assert EXCEPTION not in text
    assert json.dumps(EXCEPTION, ensure_ascii=False) in page.details(RESULTS, "gymnax")


FILTERS = {
    "#forkable=fail": ["Acrobot-v1"],
    "#forkable=yes": ["CartPole-v1"],
    "#suite=brax": ["swimmer"],
    "#state=upstream": ["swimmer"],
    "#q=cartpole%20V1": ["CartPole-v1"],
    "#suite=gymnax&state=fail&sort=compile": ["CartPole-v1", "Acrobot-v1"],
    "#suite=gymnax&state=fail&sort=speed&order=descending": ["Acrobot-v1", "CartPole-v1"],
    "#q=nothing-of-the-kind": [],
}


@needs_chromium
def test_a_row_an_environment_which_opens_and_filters(tmp_path: Path) -> None:
    places: list[tuple[str, list[str]]] = [("#", []), *((place, []) for place in FILTERS)]
    places += [("#", ['tr.env[data-id="gymnax::CartPole-v1"] th']), ("#open=brax::swimmer", [])]
    places += [("#q=x", ['#suites button[data-suite="gymnax"]'])]
    places += [("#", ['[data-flag="forkable"][data-suite="gymnax"]'])]
    first, *seen = look(RESULTS, tmp_path, places)
    filtered, (opened, gap, of_suite, of_flag) = seen[: len(FILTERS)], seen[len(FILTERS) :]

    rows = {row["id"]: row for row in first["rows"]}
    assert list(rows) == sorted(rows)
    assert len(rows) == len({row.label.partition(",")[0] for row in RESULTS.rows})
    assert first["count"] == "4 of 4 environments"
    cart = rows["gymnax::CartPole-v1"]["cells"]
    assert list(cart)[: len(FLAGS)] == list(FLAGS)  # the capabilities come first
    value, mark, why = cart["differentiable"]
    assert (value, mark) == ("fail", "✗")
    assert why == "differentiable: fail"
    assert first["requested"] == []
    navix = rows["navix::Navix-Empty-5x5-v0"]["cells"]
    assert {navix[flag][0] for flag in FLAGS} == {"not run"}

    for (place, names), shown in zip(FILTERS.items(), filtered, strict=True):
        assert [row["id"].partition("::")[2] for row in shown["rows"]] == names, place
    assert opened["requested"] == ["brax", "gymnax"]  # brax was asked for by a filter
    reasons = {row["id"]: row["cells"]["differentiable"][2] for row in opened["rows"]}
    assert EXCEPTION in reasons["gymnax::CartPole-v1"]
    assert EXCEPTION in opened["details"]
    assert "newest-py3.11: gymnax" in opened["details"]
    assert gap["link"] == registry.get("brax").reference("swimmer")
    assert "Examined under backend=mjx" in gap["details"]
    assert of_suite["hash"] == "#suite=gymnax"
    assert {row["id"].partition("::")[0] for row in of_suite["rows"]} == {"gymnax"}
    assert of_flag["hash"] == "#suite=gymnax&forkable=yes"
    assert [row["id"] for row in of_flag["rows"]] == ["gymnax::CartPole-v1"]


@needs_chromium
def test_a_file_of_details_that_is_not_there_is_named(tmp_path: Path) -> None:
    places: list[tuple[str, list[str]]] = [("#open=gymnax::CartPole-v1", [])]
    (seen,) = look(RESULTS, tmp_path, places, without="gymnax")
    assert "matrix/gymnax.js, which cannot be loaded" in seen["details"]


@needs_chromium
@pytest.mark.parametrize("width", [1400, 390])
def test_what_is_committed_can_be_read_on_a_desk_and_on_a_phone(width: int, tmp_path: Path) -> None:
    places: list[tuple[str, list[str]]] = [("#q=ale::pong", ["tr.env td"]), ("#", [])]
    pong, every = look(results.load(), tmp_path, places, width)
    assert every["width"] == width
    assert every["page"] <= width  # the tables scroll, and not the page
    assert every["first"] <= width * 0.4
    assert every["marks"] == len(FLAGS)  # all of them are seen at once
    assert every["broken"] == 0
    assert pong["rows"][0]["id"] == "ale::pong"
    assert pong["rows"][0]["chips"] == ["engine=python"]
    assert pong["rows"][0]["cells"]["forkable"][0] == "option"
    # A touch opens the reasons, where they can be read.
    assert "ALE's vector engine cannot save a state" in pong["details"]
    assert 0 < pong["inside"] <= width
