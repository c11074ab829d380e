"""Verdicts, and the reports of `check_env` and `check_suite`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

from envhub import hub, registry
from envhub._secret import hide_secrets
from envhub.environment import Environment
from envhub.errors import ContractError, EnvHubError, MissingDependencyError
from envhub.flags import FLAGS
from envhub.suite import Gap, Suite
from envhub.testing.checks import CHECKS, CHECKS_BY_COLUMN, COMPARED, names_of
from envhub.testing.comparison import NotRunError, Refuted
from envhub.testing.second_process import SecondProcess
from envhub.testing.trial import LimitMaker, Own, Trial
from envhub.wrappers._base import Wrapper

PASS, FAIL, NOT_RUN = "pass", "fail", "not run"
YES, NO = "yes", "no"
GAPS = ("notimpl", "upstream", "never")
VALUES = (PASS, FAIL, YES, NO, *GAPS, "needs_network", NOT_RUN)
"""The values of verdicts. A clause has `pass` or `fail`. A capability has `yes` or `no` if the
claim and the probe agree, and `fail` if they disagree. An environment with a gap has the kind of
the gap, `needs_network` in `makes` alone. `not run` is neither good nor bad."""

MAKES, REPRODUCIBLE = "makes", "reproducible"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The result of one check.

    Attributes:
        check: the name of the check; for a capability, the flag.
        value: one of `VALUES`.
        reason: the reason, unless the value is `pass` or `yes`.

    Examples:
        >>> print(Verdict("renderable", "no", "there is nothing to see."))
        no       renderable: there is nothing to see.
    """

    check: str
    value: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.value:8} {self.check.replace('_', ' ')}{self.reason and ': '}{self.reason}"


@dataclasses.dataclass(frozen=True)
class Report:
    """The verdicts on one environment.

    Attributes:
        subject: the environment, in words.
        verdicts: one verdict per check, in the order in which they ran.
        compile_seconds: the CPU time for tracing and compiling 50 random steps, or `None`
            if no check needed them.
        steps_per_second: the speed of these steps, in a few environments side by side, or `None`.

    Examples:
        >>> report = Report("mine::A", (envhub.testing.Verdict("steps", "pass"),))
        >>> report.ok
        True
    """

    subject: str
    verdicts: tuple[Verdict, ...]
    compile_seconds: float | None = None
    steps_per_second: float | None = None

    @property
    def ok(self) -> bool:
        """Whether no check failed. Checks that were not run do not count; the text lists them."""
        return not self.failures

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """The verdicts that are failures."""
        return tuple(verdict for verdict in self.verdicts if verdict.value == FAIL)

    def raise_if_failed(self) -> None:
        """Raise what failed, for a test.

        Raises:
            ContractError: with every failure and its reason.
        """
        if self.failures:
            raise ContractError("\n".join([f"{self.subject}:", *map(str, self.failures)]))

    def columns(self) -> dict[str, Verdict]:
        """Return one verdict per column of the matrix: the worst of its checks.

        An environment with a gap has it in every column, `needs_network` in `makes` alone.
        """
        if self.verdicts[0].value in GAPS:
            return dict.fromkeys((MAKES, *CHECKS_BY_COLUMN), self.verdicts[0])
        found = {verdict.check: verdict for verdict in self.verdicts}
        columns = {MAKES: found[MAKES]} if MAKES in found else {}
        absent = Verdict("", NOT_RUN, "the check was not reached")
        for column, checks in CHECKS_BY_COLUMN.items():
            verdicts = [found.get(check.__name__, absent) for check in checks]
            columns[column] = min(verdicts, key=lambda verdict: _BADNESS[verdict.value])
        return columns

    def __str__(self) -> str:
        return "\n".join([f"{self.subject}:", *(f"  {verdict}" for verdict in self.verdicts)])


_BADNESS = {FAIL: 0, NOT_RUN: 1, NO: 2, PASS: 3, YES: 3}


@dataclasses.dataclass(frozen=True)
class SuiteReport:
    """The reports on a suite's environments.

    Attributes:
        suite: the suite's name.
        reports: one report per environment and variant.

    Examples:
        >>> failure = envhub.testing.Verdict("steps", "fail", "obs is a list.")
        >>> SuiteReport("mine", (envhub.testing.Report("mine::A", (failure,)),)).ok
        False
    """

    suite: str
    reports: tuple[Report, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(report.ok for report in self.reports)

    def raise_if_failed(self) -> None:
        """Raise what failed, for a test.

        Raises:
            ContractError: with every failure and its reason.
        """
        failed = [report for report in self.reports if not report.ok]
        lines = [f"{each.subject}: {verdict}" for each in failed for verdict in each.failures]
        if lines:
            raise ContractError("\n".join(lines))

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.reports))


def judge(check: str, trial: Trial) -> Verdict:
    """Run one check of `CHECKS`; any exception except `NotRunError` is a failure with this reason.

    A capability fails if the claim and the probe disagree, either way. Equal results of runs that
    the key does not determine show no denied capability.
    """
    refusal = ""
    try:
        CHECKS[check](trial)
    except NotRunError as reason:
        return Verdict(check, NOT_RUN, str(reason))
    except Refuted as refuted:
        refusal = str(refuted)
    except Exception as error:
        refusal = describe(error)
    claims = trial.env.capabilities
    may_be_luck = check in COMPARED and not claims.reproducible
    if check not in FLAGS:
        if refusal and may_be_luck:
            why = f"two runs of one key may differ: {claims.why(REPRODUCIBLE)}"
            return Verdict(check, NOT_RUN, why)
        return Verdict(check, FAIL if refusal else PASS, refusal)
    claimed = getattr(claims, check)
    if claimed == (not refusal) or (may_be_luck and not claimed):
        return Verdict(check, YES if claimed else NO, claims.why(check))
    unclaimed = "an unclaimed capability: the probe passes"
    return Verdict(check, FAIL, f"a false claim: {refusal}" if claimed else unclaimed)


def verdict_on(check: str, trial: Trial) -> Verdict:
    """Run one check, unless it compares runs of a key that determines none, and is no flag's."""
    claims = trial.env.capabilities
    if check in FLAGS or check not in COMPARED or claims.reproducible:
        return judge(check, trial)
    return Verdict(check, NOT_RUN, f"two runs of one key may differ: {claims.why(REPRODUCIBLE)}")


def describe(error: BaseException) -> str:
    """Return an exception in one line: its type and the first line of its message."""
    first, *_ = [*str(error).splitlines(), ""]
    return f"{type(error).__name__}: {first}"[:300]


def check_env(
    env: Environment,
    params: Any = None,
    *,
    recipe: Mapping[str, Any] | None = None,
    limit: str | LimitMaker | None = None,
    own: Callable[[], Own] | None = None,
    checks: Iterable[str] = tuple(CHECKS),
    told: Callable[[Verdict], object] = lambda verdict: None,
    **known: Any,
) -> Report:
    """Check an environment against the contract.

    It compiles about a dozen programs: this takes seconds for small environments and minutes for
    large ones. The probe of `multi_device` needs several devices; on a CPU, set
    `XLA_FLAGS=--xla_force_host_platform_device_count=4`.

    Args:
        env: the environment.
        params: the params for the checks; by default the environment's default params.
        recipe: how another process makes it, for `reproducible` and `checkpointable`: `{"id":
            "suite::Name", "kwargs": {…}}` or `{"call": "module:function", "kwargs": {…}}`, where
            the function returns an environment and its params. An environment that `envhub.make`
            made without wrappers needs no recipe.
        limit: the field of the params that holds the episode limit, or a function from a number of
            steps to the environment with that limit and its params. By default the limit that the
            suite declares.
        own: a function that returns the suite's own functions, for a comparison bit by bit.
        checks: the names in `CHECKS` to run; another name is an `InvalidOptionError`.
        told: a function that is called with each verdict as it comes.
        **known: other arguments of `Trial`.

    Returns:
        A report with a verdict for each check. A check that could not run has the reason.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> print(check_env(env, params, checks=["jax_native", "forkable"]))
        gymnax::CartPole-v1:
          yes      jax native
          yes      forkable
    """
    subject = str(env) if env.spec is None else label(env.spec.id, env.spec.kwargs)
    try:
        trial = trial_of(env, params, recipe=recipe, limit=limit, own=own, **known)
    except Exception as error:
        return Report(subject, (Verdict(next(iter(CHECKS)), FAIL, describe(error)),))
    verdicts = []
    for check in names_of(checks):
        verdicts.append(verdict_on(check, trial))
        told(verdicts[-1])
    measured = vars(trial).get("episodes")  # a cached property: there if a check needed it
    seconds = measured and measured.compile_seconds
    return Report(subject, tuple(verdicts), seconds, measured and measured.steps_per_second)


def trial_of(
    env: Environment,
    params: Any = None,
    *,
    recipe: Mapping[str, Any] | None = None,
    limit: str | LimitMaker | None = None,
    **known: Any,
) -> Trial:
    """Make the `Trial` of an environment, with the recipe and the limit from its spec.

    Args:
        env: the environment.
        params: the params for the checks; by default the environment's default params.
        recipe: see `check_env`.
        limit: see `check_env`.
        **known: other arguments of `Trial`.
    """
    params = env.default_params if params is None else params
    spec = env.spec
    # Of what was wrapped, the id makes another.
    if spec and spec.recreatable and spec.source is None and not isinstance(env, Wrapper):
        limit = limit or limit_of(env, params)
        known = {"at_limit": _shown_beside_a_limit(spec.suite, spec.name), **known}
        if registry.is_lasting(spec.suite):
            recipe = recipe or {"id": spec.id, "kwargs": dict(spec.kwargs)}
    return Trial(env, params, recipe, limit=limit, **known)


def check_id(
    env_id: str,
    options: Mapping[str, Any] = {},
    *,
    own: Callable[[Environment], Own] | None = None,
    told: Callable[[Verdict], object] = lambda verdict: None,
    **known: Any,
) -> Report:
    """Make an environment, and check it.

    Args:
        env_id: `"suite::Name"`.
        options: keywords of `envhub.make`.
        own: a function from the environment to the suite's own functions.
        told: a function that is called with each verdict as it comes.
        **known: other arguments of `check_env`.

    Returns:
        The report of `check_env`, with `makes` as the first verdict. For an environment with a
        declared gap, `makes` has the kind of the gap; if the environment runs nevertheless, `makes`
        fails, because the gap is closed.

    Examples:
        >>> print(check_id("gymnax::CartPole-v1", checks=["jax_native"]))
        gymnax::CartPole-v1:
          pass     makes
          yes      jax native
    """
    suite_name, name = hub.parse_id(env_id)
    gap, subject = registry.get(suite_name).gap(name, options), label(env_id, options)
    try:
        env, params = hub.make(env_id, **options)
    except Exception as error:
        return Report(subject, (_not_made(error, gap),))
    if gap:
        closed = f"the gap is closed, remove it ({gap.kind}: {gap.reason})"
        return Report(subject, (Verdict(MAKES, FAIL, closed),))
    made = Verdict(MAKES, PASS)
    told(made)
    bound = functools.partial(own, env) if own else None
    report = check_env(env, params, own=bound, told=told, **{"reader": "check_suite", **known})
    env.close()
    return dataclasses.replace(report, verdicts=(made, *report.verdicts))


def _not_made(error: Exception, gap: Gap | None) -> Verdict:
    # That a suite which is here cannot be imported is no gap of its environment.
    if gap and isinstance(error, EnvHubError) and not isinstance(error, MissingDependencyError):
        return Verdict(MAKES, gap.kind, gap.reason)
    return Verdict(MAKES, FAIL, describe(error))


def check_suite(name: str, names: Iterable[str] | None = None, **known: Any) -> SuiteReport:
    """Check every environment of a suite in every variant; the suite may be your own.

    Args:
        name: the suite's name.
        names: the names of some environments; by default all known names.
        **known: other arguments of `check_id`.

    Returns:
        A report with one report per environment and variant.

    Raises:
        UnknownSuiteError, MissingDependencyError, UnsupportedVersionError: if the suite cannot be
            used here.

    Examples:
        >>> check_suite("gymnax", ["CartPole-v1"], checks=["jax_native"]).ok
        True
    """
    suite = registry.get(name)
    suite.require_installed()
    other, reports = SecondProcess(), []
    try:
        for each in sorted(suite.known_names()) if names is None else names:
            for options in suite.variants(each):
                reports.append(check_id(f"{name}::{each}", options, other=other, **known))
                jax.clear_caches()  # type: ignore[no-untyped-call]  # or memory fills up
    finally:
        other.close()
    return SuiteReport(name, tuple(reports))


def label(env_id: str, options: Mapping[str, Any]) -> str:
    """Return an id with its keywords of `envhub.make`: `"brax::ant,backend=mjx"`.

    Examples:
        >>> label("brax::ant", {"backend": "mjx"})
        'brax::ant,backend=mjx'
    """
    return ",".join([env_id, *(f"{key}={value}" for key, value in hide_secrets(options).items())])


def limit_of(env: Environment, params: Any) -> str | LimitMaker | None:
    """Return the episode limit that the suite declares."""
    assert env.spec is not None
    suite, spec = registry.get(env.spec.suite), env.spec
    field = suite.limit(spec.name, spec.kwargs)
    if field is None:
        return None
    if hasattr(params, field):
        return field
    return functools.partial(_with_limit, suite, spec.id, spec.kwargs, field)


def _shown_beside_a_limit(suite: str, name: str) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return the parts of observations, with axes (steps, lanes), that a limit does not change."""
    part = functools.partial(registry.get(suite).without_limit, name)
    return lambda first_obs, seen: (jax.vmap(jax.vmap(part))(first_obs), seen)


def _with_limit(
    suite: Suite, env_id: str, options: Mapping[str, Any], field: str, steps: int
) -> tuple[Environment, Any]:
    counted = steps * suite.limit_counts
    return hub.make(env_id, **{**options, field: counted})
