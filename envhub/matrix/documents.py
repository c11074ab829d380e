"""The documents that are generated from the results file, and their paths."""

from __future__ import annotations

from pathlib import Path

from envhub.matrix import badges, files, markdown, page, staleness
from envhub.matrix.results import Results


def sets(constraints: Path = staleness.CONSTRAINTS) -> dict[str, str]:
    """Return all sets, and the version of jax in each."""
    return {
        path.stem: staleness.read_pins(path)["jax"] for path in sorted(constraints.glob("*.txt"))
    }


def documents(results: Results) -> dict[str, str]:
    """Return the content of each generated file, by path in the repository."""
    return {
        "envhub/matrix/results.json": files.small(results),
        "compat_matrix.md": markdown.document(results),
        "docs/matrix.html": page.document(results),
        **{f"docs/matrix/{name}.js": page.details(results, name) for name in results.suites},
        **{f"docs/badges/{name}.svg": badges.badge(results, name) for name in results.suites},
    }


def write(results: Results, repository: Path) -> None:
    """Write all documents."""
    for place, text in documents(results).items():
        path = repository / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
