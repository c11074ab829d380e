"""`envhub list`: list environments and their capabilities."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from envhub import _catalogue, registry
from envhub._foreign import blaming
from envhub.cli._answer import answer
from envhub.cli._drawing import flag_rows, marks, watched
from envhub.cli._facts import Facts, error_facts, gap_facts, needs_facts
from envhub.cli._options import AsJson
from envhub.errors import EnvHubError, InvalidOptionError, did_you_mean
from envhub.flags import FLAGS
from envhub.suite import Suite

Kind = bool | None
SHORT = {"jax_native": "native"}  # another name of the option


def _with_flag_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's `**flags` by one pair of options per capability."""
    signature = inspect.signature(command)
    *parameters, _ = signature.parameters.values()
    for flag in FLAGS:
        names = [name.replace("_", "-") for name in (flag, SHORT.get(flag)) if name]
        pairs = [f"--{name}/--no-{name}" for name in names]
        # At 80 columns, typer cuts the second name off.
        short = f" Short: --{SHORT[flag]}." if flag in SHORT else ""
        option = typer.Option(*pairs, help=f"Only environments with, or without, {flag}.{short}")
        annotation = Annotated[bool | None, option]
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(flag, kind, default=None, annotation=annotation))
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


@_with_flag_options
def list_envs(
    suite: Annotated[str | None, typer.Argument(help="One suite; by default all.")] = None,
    discrete: Annotated[
        Kind, typer.Option(help="Only environments with, or without, discrete actions.")
    ] = None,
    image: Annotated[
        Kind, typer.Option(help="Only environments with, or without, image observations.")
    ] = None,
    multi_agent: Annotated[
        Kind, typer.Option(help="Only environments with several agents, or with one.")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Only one family, such as 'classic control'.")
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Import the suites and ask them (slower); includes registered ids."
        ),
    ] = False,
    as_json: AsJson = False,
    **flags: bool | None,
) -> None:
    """List environments and their capabilities, with the options that some of them need."""
    kinds = {"discrete": discrete, "image": image, "multi_agent": multi_agent}
    wanted = {name: value for name, value in (kinds | flags).items() if value is not None}

    def work_out() -> Facts:
        return _catalogue_of(suite, wanted, family, live, as_json)

    facts = answer(work_out, _draw_list, as_json)
    if not as_json:
        for problem in facts["unusable"]:
            typer.echo(problem["message"], err=True)


def _catalogue_of(
    suite: str | None, wanted: Mapping[str, bool], family: str | None, live: bool, as_json: bool
) -> Facts:
    facts: Facts = {"count": 0, "environments": [], "not_known": [], "not_installed": []}
    facts |= {"unusable": [], "suites": {}, "families": set()}
    names = registry.suites() if suite is None else [suite]
    with watched(len(names), "reading", as_json) as report:
        for index, name in enumerate(names):
            report(index, name)
            try:
                _add(facts, registry.get(name), wanted, family, live, asked=suite is not None)
            except EnvHubError as error:
                if suite is not None:
                    raise
                facts["unusable"].append({"suite": name, **error_facts(error)})
    known = sorted(facts.pop("families"))
    if family is not None and _plain(family) not in map(_plain, known):
        raise InvalidOptionError(
            f"there is no family {family!r}.{did_you_mean(family, known)} "
            f"There are: {', '.join(known)}."
        )
    return {**facts, "count": len(facts["environments"])}


def _add(
    facts: Facts,
    suite: Suite,
    wanted: Mapping[str, bool],
    family: str | None,
    live: bool,
    *,
    asked: bool,
) -> None:
    """Add the environments of one suite that match the filters."""
    if suite.installed() is None:
        facts["not_installed"].append({"suite": suite.name, "command": suite.install_command})
        if not asked:
            return
    elif not asked or live:
        suite.require_installed()
    with blaming(f"the description of {suite.name}"):
        facts["suites"][suite.name] = {"version": suite.installed(), "title": suite.title}
        for entry in _entries(suite, live):
            if entry["family"]:
                facts["families"].add(entry["family"])
            if family is not None and _plain(entry["family"]) != _plain(family):
                continue
            fits = [_fits(entry, key, value) for key, value in wanted.items()]
            if all(fits):
                facts["environments"].append(entry)
            elif None in fits and False not in fits:
                facts["not_known"].append(entry["id"])


def _entries(suite: Suite, live: bool) -> Iterator[Facts]:
    for name in sorted(suite.live_names() if live else suite.known_names()):
        known = _catalogue.entry(suite.name, name) or {}
        yield {
            "id": f"{suite.name}::{name}",
            "family": suite.family(name) or None,
            "capabilities": suite.capabilities(name, {}).as_dict(),
            "needs": needs_facts(suite, name),
            "control": known.get("control"),
            "image": known.get("image"),
            "num_agents": known.get("agents"),
            "gap": gap_facts(suite, name, {}),
        }


def _fits(entry: Facts, key: str, wanted: bool) -> bool | None:
    """Tell whether an environment matches the filters; `None` if that is not known."""
    if key in FLAGS:
        has = bool(entry["capabilities"][key])
        return has == wanted or (wanted and key in entry["needs"])
    if key == "discrete":
        control = entry["control"]
        return None if control is None else control.endswith("discrete") == wanted
    if key == "image":
        return None if entry["image"] is None else bool(entry["image"]) == wanted
    agents = entry["num_agents"]
    return None if agents is None else (agents > 1) == wanted


def _plain(family: str | None) -> str:
    return "".join(filter(str.isalnum, (family or "").lower()))


def _draw_list(facts: Facts) -> RenderableType:
    by_suite: dict[str, list[Facts]] = {}
    for entry in facts["environments"]:
        by_suite.setdefault(entry["id"].partition("::")[0], []).append(entry)
    parts: list[RenderableType] = []
    for suite, entries in by_suite.items():
        about, number = facts["suites"][suite], len(entries)
        count = f"{number} environment{'s' * (number != 1)}"
        head = f"{suite} {about['version'] or '(not installed)'}, {count}: {about['title']}"
        parts += [head, *_draw_suite(entries), ""]
    parts.append(f"environments: {facts['count']}")
    if facts["not_known"]:
        parts.append(f"not known, and left out: {', '.join(facts['not_known'])}")
    for absent in facts["not_installed"]:
        parts.append(f"{absent['suite']} is not installed: {absent['command']}")
    return Group(*parts)


def _draw_suite(entries: list[Facts]) -> Iterator[str]:
    rows, notes = [], dict[str, list[str]]()
    for entry in entries:
        gap = entry["gap"]
        rows.append((
            entry["id"].partition("::")[2],
            marks(entry["capabilities"], entry["needs"]),
            f"does not run ({gap['kind']})" if gap else _said(entry),
        ))  # fmt: skip
        for flag, option in entry["needs"].items():
            notes.setdefault(option, [])
            if flag not in notes[option]:
                notes[option].append(flag)
    yield from flag_rows(rows)
    for option, flags in notes.items():
        yield f"○ with {option}: {', '.join(flags)}"
    for entry in entries:
        if gap := entry["gap"]:
            yield f"{entry['id']} ({gap['kind']}): {gap['reason']}"


def _said(entry: Facts) -> str:
    """Describe actions, observations and number of agents."""
    agents = entry["num_agents"] or 1
    parts: list[Any] = [entry["control"], entry["image"] and "image"]
    parts.append(agents > 1 and f"{agents} agents")
    return ", ".join(filter(None, parts)) or "not known"
