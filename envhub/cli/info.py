"""`envhub info`: one environment, described."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from envhub import hub
from envhub.cli._answer import answer
from envhub.cli._drawing import mark, say_versions, sheet
from envhub.cli._facts import Facts, find, gap_facts, version_facts
from envhub.cli._options import AsJson, EnvId, Options, parse
from envhub.errors import UnavailableEnvError


def info(env_id: EnvId, option: Options = None, as_json: AsJson = False) -> None:
    """Describe one environment: spaces, params, capabilities, keywords, versions."""
    options = parse(option or [])
    answer(lambda: _describe(env_id, options), _draw_info, as_json)


def _describe(env_id: str, options: Mapping[str, Any]) -> Facts:
    suite, name = find(env_id)
    capabilities, gap = suite.capabilities(name, options), gap_facts(suite, name, options)
    # An environment that cannot be made because of its gap is described as far as it is known.
    made: Facts = dict.fromkeys(("observation_space", "action_space", "params", "keywords"))
    try:
        env, params = hub.make(env_id, **options)
    except UnavailableEnvError:
        if not gap:
            raise
    else:
        fields = dataclasses.fields(params) if params is not None else ()
        values = {field.name: getattr(params, field.name) for field in fields}
        made = {
            "observation_space": str(env.observation_space(params)),
            "action_space": str(env.action_space(params)),
            "params": values,
            "keywords": sorted({*suite.options(name), *values}),
        }
    return {
        "id": env_id,
        **made,
        "capabilities": capabilities.as_dict(),
        "reasons": dict(capabilities.reasons),
        "gap": gap,
        "versions": {suite.distribution: suite.installed(), **version_facts()},
    }


def _draw_info(facts: Facts) -> RenderableType:
    gap, params, reasons = facts["gap"] or {}, facts["params"] or {}, facts["reasons"]
    flags = []
    for flag, value in facts["capabilities"].items():
        why = reasons.get(flag)  # a gap, which is shown below, may be the reason of every flag
        told = f": {why}" if why and why != gap.get("reason") else ""
        flags.append(f"{mark(value)} {flag}{told}")
    return sheet(
        {
            "id": facts["id"],
            "observations": facts["observation_space"],
            "actions": facts["action_space"],
            "params": "\n".join(f"{key} = {value}" for key, value in params.items()),
            "keywords": ", ".join(facts["keywords"] or []),
            "capabilities": "\n".join(flags),
            "gap": f"{gap['kind']}: {gap['reason']}" if gap else None,
            "versions": say_versions(facts["versions"]),
        }
    )
