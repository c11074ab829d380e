"""docs/train.ipynb, from docs/train.md: each block of Python is a cell, and so is the text between.

    python -m tests.notebook_page

writes it anew. It has no outputs, and so nothing of the machine that ran it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "train.md"
NOTEBOOK = PAGE.with_suffix(".ipynb")
BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
OF_THE_SITE = re.compile(r"^!\[.*\n|\[([^]]+)\]\((?!https?:)[^)]+\)", re.MULTILINE)


def cells() -> list[dict[str, Any]]:
    parts = BLOCK.split(PAGE.read_text(encoding="utf-8"))
    made = []
    for number, part in enumerate(parts):
        is_code = number % 2 == 1
        # A notebook travels alone: links to other pages and pictures lead nowhere there.
        text = part if is_code else OF_THE_SITE.sub(lambda found: found[1] or "", part)
        if text.strip():
            made.append(_cell(f"cell-{number}", text.strip(), is_code))
    return made


def _cell(name: str, text: str, is_code: bool) -> dict[str, Any]:
    kind: dict[str, Any] = {"cell_type": "markdown"}
    if is_code:
        kind = {"cell_type": "code", "execution_count": None, "outputs": []}
    return {"id": name, "metadata": {}, "source": text.splitlines(keepends=True), **kind}


def text() -> str:
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = {"cells": cells(), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(text(), encoding="utf-8")
