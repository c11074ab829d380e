"""What decides a cell: its check, what its adapter says and makes, and the versions.

Four things decide a cell, and each has a fingerprint of its own, so that one can be said to have
changed.

- The check: the closure of the functions of its column, of the examined `Trial`, and of `judge`,
  which makes a verdict of it. It is followed through `envhub.testing` and the private modules of
  `envhub`, which are the instruments. It ends at what is examined (the hub, spaces, wrappers,
  callback environments), which the tests examine at each change, and at advice, which no
  verdict depends on.
- The adapter: the closure of the suite's `make`, of `instances`, which the hub's `make` calls, and
  of what says which part of an observation shows a limit. The public methods of its environments
  and instances count too, since the hub calls them; those that draw count for one column, and those
  that refuse params for none. An entry of a table counts for the environment that it is about.
- The facts: what the adapter claims of this name under these options. A flag depends on its own
  claim, comparisons on `reproducible` too, and every cell on the gap and the limit.
- The versions: of Python, jax, jaxlib, NumPy, the suite, and what the suite `relies_on`.
"""

from __future__ import annotations

import functools
import hashlib
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from envhub import _versions
from envhub.flags import FLAGS
from envhub.matrix.closures import Place, Sources, read
from envhub.matrix.results import COLUMNS
from envhub.suite import Suite

TESTING, CHECKS = "envhub.testing", "envhub.testing.checks"
REPORTS, TRIAL = f"{TESTING}.reports", (f"{TESTING}.trial", "Trial")
ADVICE = f"{TESTING}.remedies"
JUDGE = (REPORTS, "judge")
TABLES = ((CHECKS, "CHECKS"), (CHECKS, "CHECKS_BY_COLUMN"), (CHECKS, "COMPARED"),
          (f"{TESTING}.probes", "PROBES"))  # fmt: skip
EVERYWHERE = ("jax", "jaxlib", "numpy")


def of_checks(text_of: Callable[[str], str | None] = read) -> Mapping[str, str]:
    """Return the fingerprint of the checks of each column.

    Args:
        text_of: a function from a module to its source; by default the source that is here.
    """
    from envhub.testing.checks import CHECKS_BY_COLUMN, COMPARED

    sources = Sources(_is_instrument, text_of)
    makes = [(REPORTS, "check_id"), (REPORTS, "Report.columns")]
    cut = {*TABLES, (REPORTS, "check_env")}
    found = {"makes": short_hash("\n".join(sources.closure(makes, cut).texts))}
    for column, checks in CHECKS_BY_COLUMN.items():
        roots: list[Place] = [(check.__module__, check.__name__) for check in checks]
        judges = [JUDGE, (REPORTS, "trial_of"), (REPORTS, "Report.columns"), TRIAL]
        texts = sources.closure([*roots, *judges], TABLES).texts
        compared = [check.__name__ in COMPARED for check in checks]
        found[column] = short_hash("\n".join([*texts, str(compared)]))
    return found


@functools.cache
def of_checks_here() -> Mapping[str, str]:
    """Return the fingerprint of the checks of each column, of the source that is here."""
    return of_checks()


def _is_instrument(module: str) -> bool:
    private = re.fullmatch(r"envhub\._\w+", module)
    return bool(private or f"{module}.".startswith(f"{TESTING}.")) and module != ADVICE


# `HostSuite.make`, the hub's, makes what the adapter's `instances` returns.
MAKING = ("make", "instances", "limit", "limit_counts", "without_limit")
DRAWING = ("render", "render_env")  # which decide one column
DRAWN = "renderable"
REFUSING = ("check_params",)  # which decides none: no check gives what it refuses; the tests do


def of_adapter(
    suite: Suite, names: Iterable[str], text_of: Callable[[str], str | None] = read
) -> Callable[[str], str]:
    """Return a function from a name to the fingerprint of what the adapter makes it of.

    Behind a dot, the fingerprint has that of the same with what draws: `"a471d3f0.89fc9392"`.

    Args:
        suite: the suite.
        names: all names of its environments; tables have entries about them.
        text_of: a function from a module to its source.
    """
    parts = [
        _of_closure(suite, frozenset(names), text_of, left_out)
        for left_out in ((*REFUSING, *DRAWING), REFUSING)
    ]
    return lambda name: ".".join(of(name) for of in parts)


def _of_closure(
    suite: Suite,
    names: frozenset[str],
    text_of: Callable[[str], str | None],
    left_out: Collection[str],
) -> Callable[[str], str]:
    module = type(suite).__module__
    inside = "envhub.adapters" if module.startswith("envhub.adapters.") else module.split(".")[0]
    # The hub calls the methods of instances and environments. What the suite itself says is a fact.
    said = {(cls.__module__, cls.__qualname__) for cls in type(suite).__mro__}
    sources = Sources(
        lambda name: f"{name}.".startswith(f"{inside}."),
        text_of,
        lambda cls, member: cls not in said and not member.startswith("_"),
        left_out,
    )
    roots = [(module, f"{type(suite).__qualname__}.{member}") for member in MAKING]
    found = sources.closure(roots, names=names)
    common, entries = "\n".join(found.texts), dict[str, list[str]]()
    for about, text in found.entries:
        entries.setdefault(_plain(about), []).append(text)

    def of(name: str) -> str:
        own = [text for about in entries if about in _plain(name) for text in entries[about]]
        return short_hash("\n".join([common, *sorted(own)]))

    return of


def _plain(name: str) -> str:
    """Return a name as tables may spell it: `ALE/MsPacman-v5` is about `ms_pacman`."""
    return "".join(filter(str.isalnum, name.lower()))


def of_facts(suite: Suite, name: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Return the fingerprint of the claims that decide each column."""
    from envhub.testing.checks import CHECKS_BY_COLUMN, COMPARED

    gap = suite.gap(name, options)
    common = [gap and (gap.kind, gap.reason), suite.limit(name, options), suite.limit_counts]
    claims = suite.capabilities(name, options)
    claimed = {flag: [getattr(claims, flag), claims.why(flag)] for flag in FLAGS}
    columns = {"makes": short_hash(repr(common))}
    for column, checks in CHECKS_BY_COLUMN.items():
        said: list[Any] = [common, claimed.get(column)]
        if any(check.__name__ in COMPARED for check in checks):
            said.append(claimed["reproducible"])
            if column not in FLAGS and not claims.reproducible:
                said.append(_of_what_is_not_decided())
        columns[column] = short_hash(repr(said))
    assert list(columns) == list(COLUMNS)
    return columns


@functools.cache
def _of_what_is_not_decided() -> str:
    """Return the fingerprint of the rule for comparisons of runs that may differ."""
    rule = Sources(_is_instrument, read).closure([(REPORTS, "verdict_on")], {*TABLES, JUDGE})
    return short_hash("\n".join(rule.texts))


def versions(suite: Suite) -> dict[str, str]:
    """Return the installed versions that decide how a suite behaves."""
    names = (*EVERYWHERE, *suite.relies_on)
    found = {name: _versions.installed_version(name) for name in names}
    found[suite.provider()] = suite.installed()
    found["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {name: version for name, version in sorted(found.items()) if version}


def short_hash(text: str) -> str:
    """Return the fingerprint of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
