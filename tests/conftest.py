"""Configuration of every test process, set before anything imports jax."""

import os
import signal
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import hypothesis
import pytest

import tasks

REPOSITORY = Path(__file__).parent.parent

os.environ.setdefault("JAX_PLATFORMS", "cpu")
FLAGS = ["--xla_force_host_platform_device_count=4"]
# Compilation is most of the time of these tests, of programs that run a few times: optimise less,
# and keep what was compiled, for the second process of a test and for the next run. (The
# benchmarks compare the results of optimised programs.)
if os.environ["JAX_PLATFORMS"] == "cpu":
    FLAGS.append("--xla_backend_optimization_level=0")
if not metadata.version("jaxlib").startswith("0.4."):
    # A half to two thirds less time of compiling (jaxlib 0.10 and 0.11).
    FLAGS.append("--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(REPOSITORY / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
# "Headless" means this.
for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
    os.environ.pop(name, None)
# Other processes import the test modules too.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])
)
# A run that anybody repeats is the same run. A random one is asked for, and says its seed:
# --hypothesis-profile=random --hypothesis-seed=N.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("random", derandomize=False, deadline=None, database=None)
hypothesis.settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="the slow tests, too")
    parser.addoption("--full", action="store_true", help="these, and what takes an hour")
    parser.addoption(
        "--without", action="append", default=[], help="a suite that the set of versions leaves out"
    )
    parser.addoption(
        "--stacks", type=int, default=1, help="random stacks of wrappers over each suite"
    )


def pytest_report_header(config: pytest.Config) -> list[str]:
    seed, without = config.getoption("--hypothesis-seed"), config.getoption("without")
    drawn = "derandomised" if seed is None else f"--hypothesis-seed={seed}"
    return [f"hypothesis: {drawn}", f"without: {', '.join(without) or 'no suite'}"]


def absent_here() -> list[str]:
    """The suites that are no part of the extra `all`, and not installed."""
    apart = {name: of for name, of in tasks.users().items() if name not in tasks.in_all()}
    found = {each.name.replace("_", "-").lower() for each in metadata.distributions()}
    return [name for name, of in apart.items() if of not in found]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the budget of the conformance tests left out of a full run, by suite."""
    ran = terminalreporter.stats.get("passed", [])
    clauses = "tests/conformance/test_contract.py::"
    if not terminalreporter.config.getoption("full") or not any(
        report.nodeid.startswith(clauses) for report in ran
    ):
        return
    from tests.conformance.conftest import summary  # which imports jax

    terminalreporter.section("left out by tests/conformance/budget.py")
    for line in summary(terminalreporter.config):
        terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    profile, seed = config.getoption("--hypothesis-profile"), config.getoption("--hypothesis-seed")
    if profile == "random" and seed is None:
        raise pytest.UsageError("a random run can be repeated: give it a --hypothesis-seed")
    config.option.without += [name for name in absent_here() if name not in config.option.without]
    config.addinivalue_line("markers", "slow: runs with --slow and --full alone, as in CI")
    config.addinivalue_line("markers", "full: takes long, and runs with --full alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("full"):
        return
    markers = ["full"] if config.getoption("slow") else ["full", "slow"]
    left_out = [item for item in items if any(map(item.get_closest_marker, markers))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def clean_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it, and what others did is not there."""
    from envhub import registry  # which imports jax

    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """It interrupts, although a shell that starts tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
