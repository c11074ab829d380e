"""A page for each environment, written while the site is built: a hook that `mkdocs.yml` names.

Nothing is constructed, and no suite is imported. Spaces are those of `envhub/catalogue.json`,
params those of `docs/params.json` (`python -m tests.suite_pages` writes it), capabilities those of
`envhub.capabilities`, and pictures are cut out of the sheets of docs/gallery.md.
"""

from __future__ import annotations

import importlib.util
import io
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from envhub import _catalogue, registry
from envhub.flags import FLAGS
from envhub.suite import Suite

ROOT = Path(__file__).parent.parent
PARAMS = json.loads((ROOT / "docs" / "params.json").read_text(encoding="utf-8"))
ROW = re.compile(r"^\| ((?:`[^`]+`(?:, )?)+) \|", re.MULTILINE)
SHEET = re.compile(r"^!\[[^]]*\]\(figures/contact_sheet_(\w+)\.png\)$", re.MULTILINE)
FEW = 8  # names that stand in one cell of a table


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and the pictures."""
    for suite in map(registry.get, registry.BUILTIN):
        pictures, names = _pictures(suite.name), sorted(_names(suite))
        folder = f"environments/{suite.name}"
        for name in names:
            if name in pictures:
                shown = io.BytesIO()
                pictures[name].save(shown, "PNG")
                files.append(
                    File.generated(config, f"{folder}/{name}.png", content=shown.getvalue())
                )
            text = page(suite, name, has_picture=name in pictures)
            files.append(File.generated(config, f"{folder}/{name}.md", content=text))
        text = index(suite, names, pictures)
        files.append(File.generated(config, f"{folder}/index.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Make links of the pictures of the gallery, and of the names on the pages of suites."""
    place = page.file.src_uri
    if place == "gallery.md":
        return SHEET.sub(lambda found: _grid(found[1], f"environments/{found[1]}/"), markdown)
    folder, _, suite = place.removesuffix(".md").rpartition("/")
    if folder == "suites" and suite in registry.BUILTIN:
        known = _names(registry.get(suite))
        return ROW.sub(lambda found: f"| {_linked(suite, known, found[1])} |", markdown)
    return markdown


def page(suite: Suite, name: str, *, has_picture: bool) -> str:
    """The page of one environment."""
    known = _catalogue.entry(suite.name, name) or {}
    stem = name.rpartition("/")[2]
    parts = [f"# {suite.name}::{name}\n"]
    parts += [f"![A state of {name}]({stem}.png)\n"] if has_picture else []
    parts += [f'```python\nenv, params = envhub.make("{suite.name}::{name}")\n```\n']
    up = "../" * (1 + name.count("/"))
    parts += [f"An environment of [{suite.title}]({up}../suites/{suite.name}.md).\n"]
    gap = suite.gap(name, {})
    parts += [f"It does not run ({gap.kind}): {gap.reason}\n"] if gap else []
    if known:
        agents = known["agents"]
        parts += [f"- **Observation**: {in_words(known['observations'])}"]
        parts += [f"- **Action**: {in_words(known['actions'])}"]
        parts += [f"- **Agents**: {agents}"] if agents > 1 else []
    limit = suite.limit(name, {})
    defaults = _defaults(suite, name)
    value = defaults.get(limit or "", "").strip("`")
    given = f", {value} steps by default" if value else ""
    parts += [f"- **Limit**: `{limit}`{given}" if limit else "- **Limit**: none that `make` takes"]
    of = f"; this page is of {known['version']}" if known else ""
    parts += [f"- **Versions**: `{suite.distribution}{suite.supported}`{of}\n"]
    why_not = suite.capabilities(name, {}).why("has_env_params")
    parts += ["## Params\n", f"{why_not[:1].upper()}{why_not[1:]}\n" if why_not else ""]
    parts += [_params(defaults), "## Capabilities\n", _capabilities(suite, name)]
    return "\n".join(parts)


def index(suite: Suite, names: list[str], pictures: dict[str, Any]) -> str:
    """The page that lists those of a suite."""
    others = [name for name in names if name not in pictures]
    lines = "\n".join(f"- [{name}]({name}.md)" for name in others)
    return f"# Environments of {suite.name}\n\n{_grid(suite.name, '')}\n\n{lines}\n"


def in_words(space: str) -> str:
    """A space, as somebody would say it."""
    box = re.fullmatch(r"Box\((.+), (.+), \(([\d, ]*)\), (\w+)\)", space)
    discrete = re.fullmatch(r"Discrete\((\d+)(?:, start=(-?\d+))?\)", space)
    if discrete:
        return f"one of {discrete[1]} numbers, from {discrete[2] or 0} (`{space}`)"
    if box and not re.search(r"\(", box[1] + box[2]):
        sizes = [size for size in box[3].replace(" ", "").split(",") if size]
        what = f"an array of {' by '.join(sizes)} numbers" if sizes else "one number"
        return f"{what} between `{box[1]}` and `{box[2]}`, {box[4]} (`{space}`)"
    return f"`{space}`"


def _names(suite: Suite) -> set[str]:
    """The names that have a page; of a suite too large for the catalogue, those on its sheet."""
    known = json.loads(_catalogue.PLACE.read_text(encoding="utf-8"))
    if suite.name not in known:
        return set(_pictures(suite.name))
    return {*known[suite.name]["environments"], *suite.known_names()}


def _defaults(suite: Suite, name: str) -> dict[str, str]:
    """Return the default of each param as text: its numbers, or the dtype and shape of an array."""
    known: dict[str, dict[str, Any]] = PARAMS["defaults"].get(suite.name, {})
    return {param: f"`{value}`" for param, value in known.get(name, {}).items()}


def _params(defaults: dict[str, str]) -> str:
    if not defaults:
        return ""
    rows = [
        f"| `{name}` | {value} | {PARAMS['meaning'].get(name, '')} |"
        for name, value in defaults.items()
    ]
    return "\n".join(["| param | default | meaning |", "|---|---|---|", *rows, ""])


def _capabilities(suite: Suite, name: str) -> str:
    claims = suite.capabilities(name, {})
    rows = [
        f"| `{flag}` | {'yes' if getattr(claims, flag) else 'no'} | {claims.why(flag)} |"
        for flag in FLAGS
    ]
    return "\n".join(["| capability | | |", "|---|---|---|", *rows, ""])


def _linked(suite: str, known: set[str], cell: str) -> str:
    names = re.findall(r"`([^`]+)`", cell)
    if not known.issuperset(names):
        return cell
    if len(names) > FEW:
        return f"[{len(names)} environments](../environments/{suite}/index.md)"
    return ", ".join(f"[`{name}`](../environments/{suite}/{name}.md)" for name in names)


def _grid(suite: str, folder: str) -> str:
    """The pictures of a suite, each a link to its page."""
    known = _names(registry.get(suite))
    shown = [
        f"[![]({folder}{name}.png){{ loading=lazy }}<br>{name}]({folder}{name}.md)"
        for name in _pictures(suite)
        if name in known
    ]
    return "\n".join(['<div class="pictures" markdown>', *shown, "</div>"]) if shown else ""


def _pictures(suite: str) -> dict[str, Any]:
    """Those of the suite's sheet, by name."""
    script = importlib.util.spec_from_file_location("sheets", ROOT / "scripts/contact_sheet.py")
    assert script
    assert script.loader
    sheets = importlib.util.module_from_spec(script)
    script.loader.exec_module(sheets)
    return sheets.parts(suite) if sheets.sheet_path(suite).is_file() else {}
