"""`envhub list`: environments and what each can do."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from envhub import hub, registry
from envhub.cli._answer import answer
from envhub.cli._drawing import mark
from envhub.cli._facts import Facts, error_facts, find, gap_facts
from envhub.cli._options import AsJson
from envhub.errors import EnvHubError
from envhub.flags import FLAGS


def _with_flag_options(command: Callable[..., None]) -> Callable[..., None]:
    """Put one option pair a capability in the place of a command's `**flags`."""
    signature = inspect.signature(command)
    *parameters, _ = signature.parameters.values()
    for flag in FLAGS:
        name = flag.replace("_", "-")
        option = typer.Option(f"--{name}/--no-{name}", help=f"Only with, or without, {flag}.")
        annotation = Annotated[bool | None, option]
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(flag, kind, default=None, annotation=annotation))
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


@_with_flag_options
def list_envs(
    suite: Annotated[str | None, typer.Argument(help="One suite; by default all.")] = None,
    as_json: AsJson = False,
    **flags: bool | None,
) -> None:
    """List environments and what each can do."""
    wanted = {flag: value for flag, value in flags.items() if value is not None}
    facts = answer(lambda: _catalogue(suite, wanted), _draw_list, as_json)
    if not as_json:
        for problem in facts["unusable"]:
            typer.echo(problem["message"], err=True)


def _catalogue(suite: str | None, flags: Mapping[str, bool]) -> Facts:
    ids: list[str] = []
    unusable = []
    for name in registry.suites() if suite is None else [suite]:
        try:
            ids += hub.list_envs(name, **flags)
        except EnvHubError as error:
            if suite is not None:
                raise
            unusable.append({"suite": name, **error_facts(error)})
    return {"count": len(ids), "environments": [*map(_entry, ids)], "unusable": unusable}


def _entry(env_id: str) -> Facts:
    suite, name = find(env_id)
    flags = suite.capabilities(name, {}).as_dict()
    return {"id": env_id, "capabilities": flags, "gap": gap_facts(suite, name, {})}


def _draw_list(facts: Facts) -> RenderableType:
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column(no_wrap=True)
    for flag in FLAGS:
        table.add_column("\n".join(flag.replace("_", " ")), vertical="bottom")
    gaps = []
    for entry in facts["environments"]:
        label, gap = entry["id"], entry["gap"]
        if gap:
            gaps.append(f"{label} ({gap['kind']}): {gap['reason']}")
            label += f" ({gap['kind']})"
        table.add_row(label, *map(mark, entry["capabilities"].values()))
    return Group(table, "", *gaps, f"environments: {facts['count']}")
