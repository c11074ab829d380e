"""Make fleets from names and ids."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Never

import jax
import numpy as np

from envhub import hub, registry
from envhub._foreign import quiet
from envhub._keywords import OWN, override_params
from envhub.environment import Environment
from envhub.errors import InvalidOptionError, did_you_mean
from envhub.multi._environment import MultiEnv
from envhub.multi._groups import naming
from envhub.suite import is_accepted
from envhub.vector import VectorEnv
from envhub.wrappers.autoreset import Mode

MemberId = str | tuple[str, Mapping[str, Any]]
"""The description of a member: an id, or an id and keywords of `make`."""
OURS = set(OWN)  # keywords of `make` itself


def make_multi(
    envs: Mapping[str, MemberId] | Iterable[MemberId],
    *,
    wrappers: Iterable[Callable[[Environment], Environment]] = (),
    autoreset: Mode | None = None,
    **unknown: Never,
) -> tuple[MultiEnv, dict[str, Any]]:
    """Make a fleet: different environments that are driven together.

    Members with equal arguments, apart from params, are one environment, and one call under `vmap`
    advances them all. With wrappers, the params must be equal too, because some wrappers depend on
    the default params.

    Args:
        envs: the members by name: an id, or an id and a dict of keywords of `make`. In a list, the
            ids are the names.
        wrappers: the wrappers of each member that has no keyword `wrappers`; see `make`.
        autoreset: the mode of the automatic reset, for each member that has no such keyword.
        **unknown: other keywords are refused, with the one that was probably meant.

    Returns:
        The fleet, and the default params of its members by name.

    Raises:
        InvalidOptionError: if there are no members, a name occurs twice, or a keyword is unknown;
            and every error that `make` raises, with a note that names the member.

    Examples:
        >>> pair = {"pole": "gymnax::CartPole-v1", "catch": "gymnax::Catch-bsuite"}
        >>> fleet, params = make_multi(pair)
        >>> fleet.names, fleet.sizes.action
        (('pole', 'catch'), {'pole': 2, 'catch': 3})
    """
    _refuse(unknown, "make_multi", "autoreset", "wrappers")
    members, params = _make_members(_entries(envs, wrappers, autoreset))
    return MultiEnv(members, params), params


def make_multi_vec(
    envs: Mapping[str, MemberId] | Iterable[MemberId],
    num_envs: int | Mapping[str, int],
    *,
    wrappers: Iterable[Callable[[Environment], Environment]] = (),
    autoreset: Mode | None = "same_step",
    batched_params: bool = False,
    **unknown: Never,
) -> tuple[MultiEnv, dict[str, Any]]:
    """Make a fleet of batches, each as `make_vec` makes it.

    Args:
        envs: as for `make_multi`.
        num_envs: the number of environments per member: one number for all, or numbers by name.
        wrappers: as for `make_multi`.
        autoreset: as for `make_multi`.
        batched_params: whether calls take params with a leading axis, one set per environment.
        **unknown: as for `make_multi`.

    Returns:
        The fleet, and the default params of its members by name.

    Raises:
        InvalidOptionError: if `num_envs` is not a positive integer for each member; and every error
            that `make_multi` raises.

    Examples:
        >>> fleet, params = make_multi_vec({"pole": "gymnax::CartPole-v1"}, 8)
        >>> fleet.observation_spaces["pole"].shape
        (8, 4)
    """
    _refuse(unknown, "make_multi_vec", "autoreset", "batched_params", "num_envs", "wrappers")
    entries = _entries(envs, wrappers, autoreset)
    counts = num_envs if isinstance(num_envs, Mapping) else dict.fromkeys(entries, num_envs)
    if set(counts) != set(entries):
        raise InvalidOptionError(
            f"num_envs names {', '.join(map(repr, counts)) or 'nothing'}, but the fleet has: "
            f"{', '.join(map(repr, entries))}."
        )
    members, params = _make_members(entries)
    batches: dict[str, VectorEnv] = {}
    made: dict[Any, VectorEnv] = {}
    for name, env in members.items():
        batch = VectorEnv(env, counts[name], batched_params=batched_params)
        batches[name] = made.setdefault((id(env), batch.num_envs), batch)
        if batched_params:
            lanes = [params[name]] * batch.num_envs
            params[name] = jax.tree.map(lambda *leaves: np.stack(leaves), *lanes)
    return MultiEnv(batches, params), params


def _refuse(unknown: Mapping[str, Any], function: str, *known: str) -> None:
    for name in unknown:
        raise InvalidOptionError(
            f"{function} does not take {name!r}.{did_you_mean(name, known)} It takes: "
            f"{', '.join(known)}. A keyword of one member stands beside its id: "
            f"{{'name': (id, {{{name!r}: …}})}}."
        )


def _entries(
    envs: Mapping[str, MemberId] | Iterable[MemberId],
    wrappers: Iterable[Any],
    autoreset: Mode | None,
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the id and all keywords of each member, by name."""
    form = "a fleet must be a dict of names and ids (or pairs of an id and a dict of keywords)"
    if isinstance(envs, str):
        raise InvalidOptionError(f"{form}, or a list of ids; got {envs!r}.")
    common = {"autoreset": autoreset, "wrappers": tuple(wrappers)}
    names = list(envs) if isinstance(envs, Mapping) else None
    entries: dict[str, tuple[str, dict[str, Any]]] = {}
    for place, entry in enumerate(envs.values() if isinstance(envs, Mapping) else envs):
        try:
            env_id, options = (entry, {}) if isinstance(entry, str) else entry
            name = names[place] if names else env_id
            options = common | dict(options)
        except (TypeError, ValueError) as error:
            raise InvalidOptionError(f"{form}; got {entry!r}.") from error
        if name in entries:
            raise InvalidOptionError(f"{name!r} occurs twice: {form}, with unique names.")
        entries[name] = env_id, options
    return entries


def _make_members(
    entries: Mapping[str, tuple[str, dict[str, Any]]],
) -> tuple[dict[str, Environment], dict[str, Any]]:
    """Make each member's environment (shared by equal members) and its default params."""
    made: list[tuple[Any, Environment]] = []
    members, params = {}, {}
    for name, (env_id, options) in entries.items():
        with naming(name):
            accepted = _constructing(env_id, options)
            constructing = [key for key in sorted(options) if is_accepted(key, accepted)]
            recipe = env_id, {key: options[key] for key in constructing}
            alike = [env for other, env in made if _equal(recipe, other)]
            members[name] = alike[0] if alike else hub.make(env_id, **recipe[1])[0]
            made.append((recipe, members[name]))
            overrides = {key: options[key] for key in options if key not in constructing}
            known = accepted - OURS
            params[name] = override_params(env_id, members[name], overrides, known)
    return members, params


def _constructing(env_id: str, options: Mapping[str, Any]) -> set[str]:
    """Return the keywords for the constructor; the other keywords override params."""
    if options["wrappers"] or set(options) <= OURS:
        return set(options)
    with contextlib.suppress(Exception), quiet():  # `make` says what is wrong
        suite_name, name = hub.parse_id(env_id)
        suite = registry.get(suite_name)
        return OURS.union(suite.options(suite.resolve(name)))
    return set(options)


def _equal(one: Any, other: Any) -> bool:
    """Tell whether two recipes are certainly equal; `1`, `True` and `1.0` differ."""
    try:
        return repr(one) == repr(other) and bool(one == other)
    except ValueError:  # arrays
        return False
