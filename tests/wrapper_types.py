"""What `envhub/wrappers/__init__.pyi` says: wrappers may be made without an environment.

`TimeLimit(max_episode_steps=5)` is a function of an environment, which is told to type checkers by
a second signature of each class. `python -m tests.wrapper_types` and `ruff format` write the file.
"""

import inspect
from pathlib import Path

from envhub import wrappers

# What their signatures name.
ANNOTATIONS = [
    ("_statistics", "Statistics"),
    ("action_mask", "Mask"),
    ("autoreset", "Mode"),
    ("record_video", "Trigger"),
]
PLACE = Path(wrappers.__file__).with_suffix(".pyi")
HEAD = '''"""The wrappers as type checkers see them, written by `python -m tests.wrapper_types`."""

import os
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, overload

import jax

from envhub import spaces
from envhub.environment import Environment
{imports}

__all__ = [
{names}
]

class _Function:
    """A wrapper made without an environment: a function that wraps an environment."""

    def __call__(self, env: Environment) -> Environment: ...
'''


def text() -> str:
    """The whole file."""
    kinds = [getattr(wrappers, name) for name in wrappers.__all__]
    imports = [(kind.__module__, f"{kind.__name__} as _{kind.__name__}") for kind in kinds] + [
        (f"envhub.wrappers.{module}", name) for module, name in ANNOTATIONS
    ]
    lines = "\n".join(f"from {module} import {name}" for module, name in sorted(imports))
    names = "\n".join(f'    "{name}",' for name in wrappers.__all__)
    head = HEAD.format(imports=lines, names=names)
    return "\n".join([head, *map(_class, kinds)])


def _class(kind: type) -> str:
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]  # type: ignore[misc]
    own = [each for each in parameters if each.name != "env"]
    alone = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    signatures = [_signature(each) for each in (parameters, alone)]
    return f"class {kind.__name__}(_{kind.__name__}, _Function):\n" + "".join(signatures)


def _signature(parameters: list[inspect.Parameter]) -> str:
    lines = ["self"]
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        default = " = ..." if parameter.default is not inspect.Parameter.empty else ""
        lines.append(f"{parameter.name}: {parameter.annotation}{default}")
    inside = "".join(f"        {line},\n" for line in lines)
    return f"    @overload\n    def __init__(\n{inside}    ) -> None: ...\n"


if __name__ == "__main__":
    PLACE.write_text(text(), encoding="utf-8")
