"""The contract as pytest tests, for the package of a suite: inherit `SuiteTests`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar

import jax

from envhub import hub, registry
from envhub.environment import Environment
from envhub.errors import (
    ContractError,
    InvalidOptionError,
    UnavailableEnvError,
    did_you_mean,
)
from envhub.suite import Gap
from envhub.testing.checks import CHECKS
from envhub.testing.reports import FAIL, NOT_RUN, label, trial_of, verdict_on
from envhub.testing.second_process import SecondProcess
from envhub.testing.trial import Own, Trial


@dataclasses.dataclass(frozen=True)
class Case:
    """One environment in one variant."""

    id: str
    options: Mapping[str, Any]

    @property
    def gap(self) -> Gap | None:
        """The gap that the suite declares."""
        suite, name = hub.parse_id(self.id)
        return registry.get(suite).gap(name, self.options)

    def __str__(self) -> str:
        return label(self.id, self.options)


class SuiteTests:
    """One pytest test for each clause of the contract and each environment of a suite.

    Inherit it in a test module, under a name that pytest collects:

        from envhub.testing import SuiteTests

        class TestWalks(SuiteTests):
            suite = "walks"

    This gives `TestWalks::test_forkable[walks::Native-v0]` and so on: `test_makes`, and a test
    named after each check of `envhub.testing.CHECKS`. The tests of one environment share its runs,
    and also a process with pytest-xdist (`--dist loadgroup`).

    A check that cannot run is a failure, unless `not_run` has a reason for it. If the suite is not
    installed, collecting the tests is an error.

    Attributes:
        suite: the suite's name.
        names: the names of some environments; by default all known names.
        checks: the checks that become tests; by default all of `CHECKS`.
        not_run: reasons by check for checks that need not run; they become the reasons of skips.

    Examples:
        >>> class TestGymnax(SuiteTests):
        ...     suite = "gymnax"
        ...     names = ["CartPole-v1"]
        >>> hasattr(TestGymnax, "test_forkable")
        True
    """

    suite: ClassVar[str]
    names: ClassVar[Collection[str] | None] = None
    checks: ClassVar[Collection[str]] = tuple(CHECKS)
    not_run: ClassVar[Mapping[str, str]] = {}

    _under_trial: ClassVar[tuple[Case, Trial] | None] = None
    _other: ClassVar[SecondProcess | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for check in (*cls.checks, *cls.not_run):
            if check not in CHECKS:
                hint = did_you_mean(check, CHECKS)
                raise InvalidOptionError(f"{cls.__name__}: no check is called {check!r}.{hint}")
        for check in CHECKS:
            name = f"test_{check}"
            if check not in cls.checks:
                setattr(cls, name, None)
            elif getattr(cls, name, None) is None:
                setattr(cls, name, _test_of(check))

    def own(self, env: Environment) -> Own | None:
        """Return the suite's own functions of an environment, for a comparison bit by bit."""
        return None

    def test_makes(self, case: Case) -> None:
        """The environment is made, or it has a declared gap and is not made."""
        gap = case.gap
        if gap is None:
            self._trial(case)
            return
        try:
            env, _ = hub.make(case.id, **case.options)
        except UnavailableEnvError:
            return
        env.close()
        raise ContractError(f"{case}: the gap is closed, remove it ({gap.kind}: {gap.reason})")

    def _examine(self, check: str, case: Case) -> None:
        if case.gap:
            _skip(f"{case.gap.kind}: {case.gap.reason}")
        verdict = verdict_on(check, self._trial(case))
        if verdict.value == NOT_RUN and check in self.not_run:
            _skip(self.not_run[check])
        if verdict.value == NOT_RUN:
            known = "not_run" in verdict.reason
            remedy = "" if known else " If it cannot be run, give not_run the reason."
            raise ContractError(f"{case}: {verdict}{remedy}")
        if verdict.value == FAIL:
            raise ContractError(f"{case}: {verdict}")

    def _trial(self, case: Case) -> Trial:
        """Return the environment under examination, which the tests of a case share."""
        cls = type(self)
        if cls._under_trial is None or cls._under_trial[0] != case:
            cls._end_trial()
            cls._other = cls._other or SecondProcess()
            env, params = hub.make(case.id, **case.options)
            own = self.own(env)
            known: dict[str, Any] = {"other": cls._other, "reader": "SuiteTests"}
            trial = trial_of(env, params, own=own and (lambda: own), **known)
            cls._under_trial = case, trial
        return cls._under_trial[1]

    @classmethod
    def _end_trial(cls) -> None:
        if cls._under_trial is not None:
            cls._under_trial[1].env.close()
            cls._under_trial = None
            jax.clear_caches()  # type: ignore[no-untyped-call]  # or memory fills up

    @classmethod
    def teardown_class(cls) -> None:
        """Free what the tests shared; pytest calls this."""
        cls._end_trial()
        if cls._other is not None:
            cls._other.close()
            cls._other = None

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Yield every variant of every name.

        Raises:
            UnknownSuiteError, MissingDependencyError, UnsupportedVersionError: if the suite cannot
                be used here.
            UnknownEnvError: if the suite has no such name.
        """
        suite = registry.get(cls.suite)
        suite.require_installed()
        for name in sorted(suite.known_names()) if cls.names is None else cls.names:
            for options in suite.variants(suite.resolve(name)):
                yield Case(f"{cls.suite}::{name}", options)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Give pytest the cases; this scope runs all tests of a case before the next case."""
        import pytest

        if "case" not in metafunc.fixturenames:
            return  # a test that was added

        def marks(case: Case) -> Any:
            has_xdist = metafunc.config.pluginmanager.hasplugin("xdist")
            return pytest.mark.xdist_group(str(case)) if has_xdist else ()

        cases = [pytest.param(case, id=str(case), marks=marks(case)) for case in self.cases()]
        if not cases:  # pytest would skip
            raise InvalidOptionError(f"{type(self).__name__}: there is no name to examine.")
        metafunc.parametrize("case", cases, scope="class")


def _test_of(check: str) -> Callable[[SuiteTests, Case], None]:
    def test(self: SuiteTests, case: Case) -> None:
        self._examine(check, case)

    test.__name__, test.__doc__ = f"test_{check}", CHECKS[check].__doc__
    return test


def _skip(reason: str) -> None:
    import pytest

    pytest.skip(reason=reason)
