"""What the pages of docs/suites say of ids, options, params and versions, from the code.

    python -m tests.suite_pages

writes it anew, between the marks of each page whose newest tested version is installed.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import importlib.util
import json
import operator
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from packaging.version import Version

from envhub import _versions, registry
from envhub.errors import MissingDependencyError, UnsupportedVersionError
from envhub.host import BRIDGE_OPTIONS
from envhub.suite import Suite

from .conftest import REPOSITORY

PAGES = REPOSITORY / "docs" / "suites"
PARAMS = REPOSITORY / "docs" / "params.json"
MARK = "<!-- {}, by python -m tests.suite_pages -->"
END = "<!-- end -->"
# Suites whose params all have one class, so that the names are those of the example.
SAME_PARAMS = ("ale", "brax", "kinetix", "navix", "playground")
OPTIONS = {"ale": {"engine": "python"}}  # options without which a suite has no params
# Fields of brax's `System` and of MJX's model that are changed to randomise domains. The params
# `sys` and `model` are `None` for the environment's own.
PARTS = {
    "brax": (
        "sys.gravity",
        "sys.link.inertia.mass",
        "sys.link.inertia.i",
        "sys.dof.damping",
        "sys.dof.stiffness",
        "sys.dof.armature",
        "sys.actuator.gear",
        "sys.geom_friction",
    ),
    "playground": (
        "mjx_model.opt.gravity",
        "mjx_model.body_mass",
        "mjx_model.dof_damping",
        "mjx_model.dof_armature",
        "mjx_model.geom_friction",
    ),
}
CALLBACK = "*callback options*"
MOST_LEAVES = 10  # of a param, each with its dtype and shape
MOST_NAMES = 120  # in one cell; the site has a page for each environment


def page(suite: Suite) -> Path:
    return PAGES / f"{suite.name}.md"


def pins(suite: Suite, sets: str = "*") -> dict[str, list[str]]:
    """The versions of the suite's distributions in the tested sets, the newest last."""
    wanted = {suite.distribution, suite.module}
    found: dict[str, set[str]] = {}
    for path in (REPOSITORY / "constraints").glob(f"{sets}.txt"):
        for name, version in re.findall(
            r"^([\w-]+)==(\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            if name in wanted:
                found.setdefault(name, set()).add(version)
    return {name: sorted(found[name], key=Version) for name in sorted(found)}


def why_not_here(suite: Suite) -> str:
    """Why the table of environments cannot be made here; empty if it can."""
    try:
        installed = suite.require_installed()
    except (MissingDependencyError, UnsupportedVersionError) as error:
        return str(error)
    # The full pufferlib has more than pufferlib-core, whatever their numbers.
    # A set without a suite may have newer ones, and no test of the pages.
    whole = pins(suite, "newest-*") or pins(suite)
    described = suite.module if suite.module in whole else suite.distribution
    newest = whole[described][-1]
    if (suite.provider(), installed) == (described, newest):
        return ""
    return f"the page is of {described} {newest}, and {suite.provider()} {installed} is installed."


def newest_names(suite: Suite) -> list[str]:
    """The names in the newest known version, whatever is installed."""
    with (
        mock.patch.object(_versions, "installed_version", return_value=None),
        mock.patch.object(importlib.util, "find_spec", return_value=None),
    ):
        return list(suite.known_names())


def facts(suite: Suite) -> list[str]:
    tested = "; ".join(f"{name} {', '.join(found)}" for name, found in pins(suite).items())
    return [
        "| | |",
        "|---|---|",
        f"| install | `{suite.install_command}` |",
        f"| supported | `{suite.distribution}{suite.supported}` |",
        f"| tested | {tested} |",
        f"| environments | {len(newest_names(suite))} |",
    ]


def environments(suite: Suite) -> list[str]:
    """A table of what is installed: environments with equal options and params share a row."""
    gaps = {name: gap for name in suite.known_names() if (gap := suite.gap(name, {}))}
    running = [name for name in suite.known_names() if name not in gaps]
    options = {name: _options(suite, name) for name in running}
    params = {
        name: [each for each in _params(suite, _representative(suite, name)) if "." not in each]
        for name in running
    }
    common = _common(options.values()), _common(params.values())
    rows: dict[tuple[str, str], list[str]] = {}
    for name in suite.known_names():
        if name in gaps:
            own = f"does not run ({gaps[name].kind}): {gaps[name].reason}", ""
        else:
            own = _without(common[0], options[name]), _without(common[1], params[name])
        rows.setdefault(own, []).append(name)
    return [
        *([f"Options of all: {_code(common[0])}.", ""] if common[0] else []),
        *([f"Params of all: {_code(common[1])}.", ""] if common[1] else []),
        "| environments | options of their own | params of their own |",
        "|---|---|---|",
        *(f"| {_named(suite, names)} | {' | '.join(own)} |" for own, names in rows.items()),
    ]


def _named(suite: Suite, names: list[str]) -> str:
    """The names; of many, how many of each family, with the first one."""
    if len(names) <= MOST_NAMES:
        return _code(names)
    titles = collections.Counter(map(suite.family, suite.known_names()))
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(suite.family(name), []).append(name)
    return "; ".join(
        f"{title}: {len(own)} of {titles[title]}, such as `{own[0]}`"
        for title, own in sorted(found.items())
    )


def _options(suite: Suite, name: str) -> list[str]:
    options = set(suite.options(name))
    own = sorted(options - set(BRIDGE_OPTIONS))
    return [CALLBACK, *own] if options >= set(BRIDGE_OPTIONS) else own


@functools.cache
def _params(suite: Suite, name: str) -> dict[str, Any]:
    """Return the default params by name: numbers, dtypes with shapes, or `None`."""
    options = OPTIONS.get(suite.name, {})
    if not suite.capabilities(name, options).has_env_params:
        return {}
    env = suite.make(name, options)
    params: Any = env.default_params
    parts = {
        part: operator.attrgetter(part)(env.unwrapped)
        for part in PARTS.get(suite.name, ())
        if hasattr(env.unwrapped, part.partition(".")[0])
    }
    env.close()
    fields = {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}
    return {each: _plain(value) for each, value in (fields | parts).items()}


def _plain(value: Any) -> Any:
    """Return up to four numbers as they are, and larger arrays as their dtype and shape."""
    leaves = list(map(np.asarray, jax.tree.leaves(value)))
    if len(leaves) == 1 and leaves[0].size <= 4:
        return _rounded(leaves[0].tolist())
    if len(leaves) > MOST_LEAVES:
        return f"{len(leaves)} arrays"
    return ", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves) or None


def _rounded(value: Any) -> Any:
    """To six digits: a library may compute the others otherwise in another version."""
    if isinstance(value, list):
        return list(map(_rounded, value))
    return float(f"{value:.6g}") if isinstance(value, float) else value


def defaults(suite: Suite, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the default params of these environments, without those that have none."""
    running = [name for name in names if not suite.gap(name, {})]
    found = {name: _params(suite, _made_quickly(suite, name)) for name in running}
    return {name: params for name, params in sorted(found.items()) if params}


def write_defaults(suite: Suite) -> None:
    """Put them into docs/params.json, beside the meaning of each, which is written by hand."""
    known = json.loads(PARAMS.read_text(encoding="utf-8"))
    known["defaults"][suite.name] = defaults(suite, suite.known_names())
    lines = [f"{json.dumps(name)}: {json.dumps(told)}" for name, told in known["meaning"].items()]
    parts = ['"meaning": {\n' + ",\n".join(lines) + "\n}"]
    of_suites = []
    for name, found in sorted(known["defaults"].items()):
        rows = [f"{json.dumps(each)}: {json.dumps(values)}" for each, values in found.items()]
        of_suites.append(f"{json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n}")
    parts.append('"defaults": {\n' + ",\n".join(of_suites) + "\n}")
    PARAMS.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _representative(suite: Suite, name: str) -> str:
    if suite.name in SAME_PARAMS:
        return suite.example
    return _made_quickly(suite, name)


def _made_quickly(suite: Suite, name: str) -> str:
    """Return the name of an environment with equal params that is made in seconds.

    craftax prepares the pictures of its pixels for minutes when the first environment is made.
    octax's constructor compiles the beginning of a game, and the limit is the same in each.
    """
    return suite.example if suite.name == "octax" else name.replace("Pixels", "Symbolic")


def _common(lists: Iterable[list[str]]) -> list[str]:
    first, *others = lists
    return [word for word in first if all(word in other for other in others)]


def _without(common: list[str], words: list[str]) -> str:
    return _code(word for word in words if word not in common)


def _code(words: Iterable[str]) -> str:
    cells = (word.replace("|", r"\|") for word in words)  # which ends a cell of a table
    return ", ".join(word if word == CALLBACK else f"`{word}`" for word in cells)


def between_marks(text: str, subject: str) -> list[str]:
    """The lines of a page that are made here."""
    start = MARK.format(subject)
    return text.partition(start)[2].partition(END)[0].strip().splitlines()


def suites() -> Iterator[Suite]:
    yield from map(registry.get, registry.BUILTIN)


def main() -> None:
    for suite in suites():
        reason = why_not_here(suite)
        made = {"facts": facts(suite)} | ({} if reason else {"environments": environments(suite)})
        text = page(suite).read_text(encoding="utf-8")
        for subject, lines in made.items():
            start = MARK.format(subject)
            before, mark, rest = text.partition(start)
            after = rest.partition(END)[2]
            text = f"{before}{mark}\n" + "\n".join(lines) + f"\n{END}{after}"
        page(suite).write_text(text, encoding="utf-8")
        if not reason:
            write_defaults(suite)
        print(page(suite).name, reason)


if __name__ == "__main__":
    main()
