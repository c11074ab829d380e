"""Find results that are out of date because an adapter, a version or a list of names changed."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import envhub
from envhub import _versions, registry
from envhub.errors import EnvHubError
from envhub.matrix.results import Results, Run
from envhub.suite import Suite

PACKAGE = Path(envhub.__file__).parent
CONSTRAINTS = PACKAGE.parent / "constraints"
CHECKS = tuple(
    f"testing/{name}.py"
    for name in "probes subject comparison second_process checks episodes reports trial".split()
)
# Earlier checks whose rows still hold. These could take luck for a capability of what is not
# reproducible, and every row that is left of them is reproducible, or of a gap.
EQUIVALENT_CHECKS = ("0f45cdcbf486",)
ALSO_DECISIVE = ("jax", "jaxlib", "numpy", "mujoco", "mujoco-mjx", "flax")


@dataclasses.dataclass(frozen=True)
class Stale:
    """Rows that are out of date.

    Attributes:
        set_name: the name of their set.
        suite: the name of their suite.
        rows: their number.
        reason: the change.
    """

    set_name: str
    suite: str
    rows: int
    reason: str

    @property
    def command(self) -> str:
        """The command that runs the rows again."""
        return command_for(self.set_name, self.suite)

    def __str__(self) -> str:
        return (
            f"{self.set_name}, {self.suite}: {self.rows} rows: {self.reason}. Run: {self.command}"
        )


def command_for(set_name: str, suite: str | None = None) -> str:
    """Return the command that runs the rows of a set, or of one suite in it."""
    return f"python3 tasks.py matrix --set {set_name}" + (f" --suite {suite}" if suite else "")


def run_today(suite: Suite) -> Run:
    """Return the circumstances of a run here and now."""
    return Run(
        suite.name,
        suite.provider(),
        datetime.date.today().isoformat(),
        current_versions(suite),
        suite.supported,
        fingerprint_of_adapter(suite),
        fingerprint_of_checks(),
        fingerprint_of_ids(suite),
    )


def current_versions(suite: Suite) -> dict[str, str]:
    """Return the installed versions that determine the behaviour of a suite."""
    found = {name: _versions.installed_version(name) for name in ALSO_DECISIVE}
    found[suite.provider()] = suite.installed()
    found["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {name: version for name, version in sorted(found.items()) if version}


def fingerprint_of_adapter(suite: Suite) -> str:
    """Return the fingerprint of the source of an adapter: its module, or all of its package."""
    module = Path(inspect.getfile(type(suite)))
    # A package of adapters is none of its own: only what lies beside a file of it is the suite's.
    has_a_package = module.parent.name == suite.name and (module.parent / "__init__.py").exists()
    return digest_of(sorted(module.parent.rglob("*.py")) if has_a_package else [module])


def fingerprint_of_checks() -> str:
    """Return the fingerprint of the source of the checks and probes."""
    return digest_of(PACKAGE / name for name in CHECKS)


def checks_are_equivalent(checks: str) -> bool:
    """Tell whether the checks of a fingerprint give the same results as today's."""
    return checks in (fingerprint_of_checks(), *EQUIVALENT_CHECKS)


def fingerprint_of_ids(suite: Suite) -> str:
    """Return the fingerprint of the suite's names and variants in the installed version."""
    every = [
        f"{name} {dict(options)}"
        for name in sorted(suite.known_names())
        for options in suite.variants(name)
    ]
    return short_hash("\n".join(every))


def stale(results: Results, constraints: Path = CONSTRAINTS) -> list[Stale]:
    """Return the rows that are out of date.

    Args:
        results: the results to check.
        constraints: the folder of the sets. If it exists, as in a checkout, the present content of
            each set is compared too.

    Returns:
        One entry for each set, suite and reason.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    pins = {path.stem: read_pins(path) for path in sorted(constraints.glob("*.txt"))}
    known: dict[tuple[str, int], list[str]] = {}  # rows of one run share it
    for row in results.rows:
        if row.run:
            key = row.set_name, id(row.run)
            if key not in known:
                known[key] = list(_reasons(row.run, pins.get(row.set_name)))
            for reason in known[key]:
                found[row.set_name, row.suite, reason] += 1
    return [
        Stale(set_name, suite, rows, reason)
        for (set_name, suite, reason), rows in sorted(found.items())
    ]


def read_pins(path: Path) -> dict[str, str]:
    """Read the version of each package from a constraints file."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def _reasons(run: Run, pins: Mapping[str, str] | None) -> Iterable[str]:
    try:
        suite = registry.get(run.suite)
    except EnvHubError:
        return ["there is no such suite here"]
    reasons = []
    if run.adapter != fingerprint_of_adapter(suite):
        reasons.append("the adapter changed")
    if not checks_are_equivalent(run.checks):
        reasons.append("the checks changed")
    if run.supported != suite.supported:
        reasons.append(f"it supports {suite.supported} now")
    for name, version in run.versions.items():
        if pins and pins.get(name, version) != version:
            reasons.append(f"the set has {name} {pins[name]} now, not {version}")
    if run.versions == current_versions(suite) and run.ids != fingerprint_of_ids(suite):
        reasons.append("the list of environments changed")
    return reasons


def digest_of(paths: Iterable[Path]) -> str:
    """Return the digest of source files, without blank lines, comments and links."""
    lines = [
        line.rstrip() for path in paths for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return short_hash("\n".join(line for line in lines if line and not _decides_nothing(line)))


def _decides_nothing(line: str) -> bool:
    return line.lstrip().startswith("#") or "https://" in line


def short_hash(text: str) -> str:
    """Return the fingerprint of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
