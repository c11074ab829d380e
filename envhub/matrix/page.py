"""`matrix.html`: the results with what sorts, filters and searches them, in one file."""

from __future__ import annotations

import json
from importlib import resources

from envhub.matrix import summary
from envhub.matrix.results import CLAUSES, LETTERS, Results, dump


def document(results: Results) -> str:
    """The page; it loads nothing."""
    template = resources.files("envhub.matrix").joinpath("page.html").read_text(encoding="utf-8")
    # In a script, only the end tag of it would be more than data.
    data = dump(results).replace("</", "<\\/")
    titles = ",".join(f'"{column}":"{title}"' for column, title in CLAUSES.items())
    letters = ",".join(f'"{letter}":"{value}"' for value, letter in LETTERS.items())
    links = {row.label: link for row in results.rows if (link := summary.reference_of(row))}
    page = template.replace("{{references}}", json.dumps(links, sort_keys=True))
    page = page.replace("{{titles}}", f"{{{titles}}}").replace("{{letters}}", f"{{{letters}}}")
    return page.replace("{{results}}", data)
