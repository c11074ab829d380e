"""Advice for a check that was not run, for each place where a reader may have called it."""

from __future__ import annotations

READERS = ("check_env", "check_suite", "SuiteTests")

OWN, LIMIT, RECIPE = "own", "limit", "recipe"
DEVICES, LONGER, LONG_LIVED, SHOWS_TIME = "devices", "longer", "long-lived", "shows time"

_DEVICES = "XLA_FLAGS=--xla_force_host_platform_device_count=4"
_NOT_RUN = "or give not_run the reason why it need not be run."
_IN_THE_SUITE = "If the suite has a limit, let its method limit(name, options) return the keyword."
_ENTRY_POINT = (
    "The suite is registered in this process only: install its package, with an entry point in "
    "the group envhub.suites"
)
_DECLARE = (
    "If the observation deliberately shows how much time is left, let the suite's method "
    "without_limit(name, obs) return its other parts."
)

REMEDIES: dict[str, dict[str, str]] = {
    OWN: {
        "check_env": "Give own=lambda: envhub.testing.Own(reset, step), the suite's own functions.",
        "check_suite": "Give own=, a function from an environment to an envhub.testing.Own.",
        "SuiteTests": f"Define own(self, env), which returns an envhub.testing.Own, {_NOT_RUN}",
    },
    LIMIT: {
        "check_env": "Give limit=, the field of the params that holds it, or a function from a "
        "number of steps to the environment with that limit and its params.",
        "check_suite": _IN_THE_SUITE,
        "SuiteTests": f"{_IN_THE_SUITE} Otherwise give not_run the reason.",
    },
    RECIPE: {
        "check_env": 'Give recipe={"call": "module:function"}, where the function returns the '
        "environment and its params.",
        "check_suite": f"{_ENTRY_POINT}.",
        "SuiteTests": f"{_ENTRY_POINT}, {_NOT_RUN}",
    },
    DEVICES: {
        "check_env": f"Set {_DEVICES} in the environment of the process.",
        "check_suite": f"Set {_DEVICES} in the environment of the process.",
        "SuiteTests": f'Set os.environ["XLA_FLAGS"] = "{_DEVICES.partition("=")[2]}" in '
        f"conftest.py, {_NOT_RUN}",
    },
    LONGER: {
        "check_env": "Give longest=, a larger number of steps.",
        "check_suite": "Give longest=, a larger number of steps.",
        "SuiteTests": "Give not_run the reason why random actions do not end an episode.",
    },
    LONG_LIVED: {
        "check_env": "Check params with which episodes last longer.",
        "check_suite": "Its limit cannot be seen.",
        "SuiteTests": "Give not_run the reason why its limit cannot be seen.",
    },
    SHOWS_TIME: {
        "check_env": "If the observation deliberately shows how much time is left, give at_limit=, "
        "a function that returns its other parts (see envhub.testing.Trial).",
        "check_suite": _DECLARE,
        "SuiteTests": _DECLARE,
    },
}
"""The advice, by what is missing and by reader."""
