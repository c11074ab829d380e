"""`envhub info`: describe one environment."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from envhub import _catalogue, hub
from envhub.cli._answer import answer
from envhub.cli._drawing import mark, say_versions, sheet
from envhub.cli._facts import Facts, find, gap_facts, needs_facts, version_facts
from envhub.cli._options import AsJson, EnvId, Options, parse
from envhub.errors import MissingDependencyError, UnavailableEnvError, UnsupportedVersionError
from envhub.suite import Suite


def info(env_id: EnvId, option: Options = None, as_json: AsJson = False) -> None:
    """Describe one environment: spaces, params, capabilities, keywords, versions.

    If the suite, or a package that the environment needs, is not installed, it shows the facts that
    are known without it.
    """
    options = parse(option or [])
    answer(lambda: _describe(env_id, options), _draw_info, as_json)


def _describe(env_id: str, options: Mapping[str, Any]) -> Facts:
    suite, name = find(env_id)
    capabilities, gap = suite.capabilities(name, options), gap_facts(suite, name, options)
    is_installed = suite.installed() is not None
    made, problem = _known(suite, name, options), None
    if is_installed:
        try:
            made = _made(env_id, suite, name, options, gap) or made
        except (MissingDependencyError, UnsupportedVersionError) as error:
            problem = str(error)
    lacks = [flag for flag, has in capabilities.as_dict().items() if not has]
    needs = {flag: option for flag, option in needs_facts(suite, name).items() if flag in lacks}
    return {
        "id": env_id,
        "family": suite.family(name) or None,
        **made,
        "capabilities": capabilities.as_dict(),
        "reasons": dict(capabilities.reasons),
        "needs": needs,
        "gap": gap,
        "command": None if is_installed else suite.install_command,
        "problem": problem,
        "versions": {suite.provider(): suite.installed(), **version_facts()},
    }


def _made(
    env_id: str, suite: Suite, name: str, options: Mapping[str, Any], gap: Facts | None
) -> Facts:
    """Return the facts that need a made environment; none if a gap prevents making it."""
    try:
        env, params = hub.make(env_id, **options)
    except UnavailableEnvError:
        if not gap:
            raise
        return {}
    fields = dataclasses.fields(params) if params is not None else ()
    values = {field.name: getattr(params, field.name) for field in fields}
    return {
        "observation_space": str(env.observation_space(params)),
        "action_space": str(env.action_space(params)),
        "params": values,
        "keywords": sorted({*suite.options(name), *values}),
        "spaces_of": None,
    }


def _known(suite: Suite, name: str, options: Mapping[str, Any]) -> Facts:
    """Return the facts known without making the environment; options may change its spaces."""
    known = {} if options else _catalogue.entry(suite.name, name) or {}
    return {
        "observation_space": known.get("observations"),
        "action_space": known.get("actions"),
        "params": None,
        "keywords": None,
        "spaces_of": f"{suite.distribution} {known['version']}" if known else None,
    }


def _draw_info(facts: Facts) -> RenderableType:
    gap, params, reasons = facts["gap"] or {}, facts["params"] or {}, facts["reasons"]
    flags = []
    for flag, value in facts["capabilities"].items():
        why, needs = reasons.get(flag), facts["needs"].get(flag)
        # A gap, which is shown below, may be the reason of every flag.
        told = f": {why}" if why and why != gap.get("reason") else ""
        flags.append(f"{mark(value, needs)} {flag}{f', with {needs}' if needs else ''}{told}")
    source, missing = facts["spaces_of"], facts["command"]
    return sheet(
        {
            "id": facts["id"],
            "family": facts["family"],
            "observations": facts["observation_space"],
            "actions": facts["action_space"],
            "spaces of": f"{source}, as it was when envhub was released" if source else None,
            "params": "\n".join(f"{key} = {value}" for key, value in params.items()),
            "keywords": ", ".join(facts["keywords"] or []),
            "capabilities": "\n".join(flags),
            "gap": f"{gap['kind']}: {gap['reason']}" if gap else None,
            "not installed": f"Run: {missing}" if missing else None,
            "does not work": facts["problem"],
            "versions": say_versions(facts["versions"]),
        }
    )
