"""The extras that are tried alone, and what counts as a success."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import tasks
from envhub import registry
from scripts import try_extras, write_constraints

ONE = ["--here", "--extra", "video"]  # the quickest: .ci/run tries others for real


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Environments with what this process has, into which installing puts nothing."""
    ran: list[Sequence[str]] = []
    monkeypatch.setattr(tasks, "create", lambda python, directory: None)
    monkeypatch.setattr(tasks, "tool", lambda directory, name: sys.executable)
    monkeypatch.setattr(tasks, "run", ran.append)
    monkeypatch.setattr(try_extras, "build_wheel", lambda folder: folder / "envhub_rl.whl")
    # The installed package is what is tried; here that is the checkout.
    here = try_extras.TRY.replace('"site-packages"', repr(str(tasks.ROOT)))
    assert here != try_extras.TRY
    monkeypatch.setattr(try_extras, "TRY", here)
    return ran


def test_every_suite_and_what_a_document_names_is_tried() -> None:
    every = try_extras.combinations()
    assert every[: len(registry.BUILTIN) + 2] == [*sorted(registry.BUILTIN), "video", "all"]
    together = every[len(registry.BUILTIN) + 2 :]
    assert together
    assert all(len(each.split(",")) > 1 for each in together)
    assert set(",".join(together).split(",")) <= set(try_extras.EXTRAS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('pip install "envhub-rl[ale,brax]"', ["ale,brax"]),
        ('pip install -e ".[ale,dev]"', ["ale,dev"]),
        ("its extra envhub-rl[ale]", ["ale"]),
        ("words[ale,brax] and x.[column]", []),
    ],
)
def test_an_install_line_is_recognised(text: str, named: list[str]) -> None:
    assert try_extras.IN_A_DOCUMENT.findall(text) == named


def test_an_extra_is_installed_unpinned_and_runs(
    no_network: list[Sequence[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert try_extras.main(ONE) == 0
    (install,) = no_network
    assert install[-1].endswith("envhub_rl.whl[video]")
    assert not {"--constraint", "-c"} & set(install)
    assert f"video py{tasks.RUNNING}" in (shown := capsys.readouterr().out)
    assert " passed " in shown


def test_a_client_is_installed_as_the_document_says_and_its_block_runs(
    no_network: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = tmp_path / "trainers.md"
    command = f'pip install "{try_extras.PROJECT["name"]}[gymnax]" "gymnasium[box2d]" pytest'
    block = "from sys import argv\nassert len(argv) == 3"
    text = f'```bash\n{command}\n```\n\n```python title="Some 1.0"\n{block}\n```\n'
    document.write_text(text, encoding="utf-8")
    monkeypatch.setattr(try_extras, "TRAINERS", document)
    assert try_extras.main(["--here", "--client", "some"]) == 0
    (install,) = no_network
    assert install[-2:] == ["gymnasium[box2d]", "pytest"]
    assert install[-3].endswith("envhub_rl.whl[gymnax]")
    shown = capsys.readouterr().out
    assert f"some py{tasks.RUNNING}" in shown
    assert f"pytest {pytest.__version__}" in shown


def test_every_client_of_the_document_trains_and_says_that_it_learned() -> None:
    clients = try_extras.clients()
    assert set(clients) == {"memorax", "rl-zoo", "rllib", "tianshou"}
    assert all("train" in each.code and "\nassert " in each.code for each in clients.values())
    assert [*clients.values()] == try_extras.trials(None, None)[-len(clients) :]
    assert try_extras.trials(["video"], ["rllib"])[1:] == [clients["rllib"]]
    assert len(try_extras.trials(None, ["rllib"])) == 1


@pytest.mark.parametrize(
    ("last_line", "state"),
    [
        ("ERROR: Cannot install tianshou and pandas>=3: they exclude each other", "not run"),
        ("ERROR: No matching distribution found for tianshou", "not run"),
        ("ERROR: Could not install packages due to an OSError", "FAILED"),
    ],
)
def test_a_client_that_does_not_fit_is_no_success(
    no_network: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    last_line: str,
    state: str,
) -> None:
    def pip_fails(command: Sequence[str]) -> None:
        error = tasks.TaskError("failed with exit status 1")
        error.output = f"Collecting tianshou\n{last_line}\n"
        raise error

    monkeypatch.setattr(tasks, "run", pip_fails)
    assert try_extras.main(["--here", "--client", "tianshou"]) == 1
    shown = capsys.readouterr().out
    assert f" {state} " in shown
    assert (f"does not install: {last_line}" in shown) == (state == "not run")
    # Our own extras have no such excuse.
    assert try_extras.main(ONE) == 1
    assert " FAILED " in capsys.readouterr().out


def test_what_does_not_work_is_a_failure(
    no_network: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(try_extras, "TRY", "import no_such_module")
    assert try_extras.main(ONE) == 1
    shown = capfd.readouterr()
    assert "FAILED   exit status 1" in shown.out
    assert "No module named 'no_such_module'" in shown.err


def test_a_python_that_is_absent_is_no_success(
    no_network: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def find_python(version: str) -> str:
        raise tasks.PythonNotFoundError(f"Python {version} was not found here.")

    monkeypatch.setattr(tasks, "find_python", find_python)
    assert try_extras.main(ONE) == 1
    assert "not run" in capsys.readouterr().out


def test_a_suite_of_which_a_python_has_no_set_is_not_installed_there(
    no_network: list[Sequence[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """pip would build labmaze, for which dm-control asks, with Bazel."""
    assert try_extras.main(["--python", "3.13", "--extra", "dm_control"]) == 1
    assert "not run  no set of Python 3.13 has dm_control" in capsys.readouterr().out
    assert no_network == []
    assert try_extras.is_held("dm_control", "3.12")


def test_an_unknown_extra_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        try_extras.main(["--extra", "gymnax,no_such_extra"])
    assert caught.value.code == 2
    assert "no_such_extra" in capsys.readouterr().err


def test_the_task_hands_its_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Sequence[str]] = []
    monkeypatch.setattr(tasks, "_status", lambda command: ran.append(command) or 0)
    assert tasks.main(["extras", *ONE]) == 0
    assert tasks.main(["constraints", "--set", tasks.OLDEST]) == 0
    assert ran == [
        [sys.executable, "-m", "scripts.try_extras", *ONE],
        [sys.executable, "-m", "scripts.write_constraints", "--set", tasks.OLDEST],
    ]


def test_a_set_of_the_oldest_versions_is_written_by_hand() -> None:
    with pytest.raises(SystemExit) as caught:
        write_constraints.main(["--set", tasks.OLDEST])
    assert caught.value.code == 2


def test_what_pip_lists_becomes_pins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (name,) = (name for name in tasks.set_names() if tasks.left_out(name) == "gymnax")
    installed: list[str] = []
    for place in ("pyproject.toml", f"constraints/{name}.txt"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        shutil.copy(tasks.ROOT / place, tmp_path / place)
    monkeypatch.setattr(tasks, "ROOT", tmp_path)
    monkeypatch.setattr(tasks, "find_python", lambda version: f"python{version}")
    monkeypatch.setattr(tasks, "create", lambda python, directory: None)
    monkeypatch.setattr(tasks, "install", lambda directory, extras: installed.append(extras))
    monkeypatch.setattr(tasks, "answer", lambda command: "Navix==4.0.0\njax==0.12+cuda\nA_b.c==1")
    assert write_constraints.main(["--set", name]) == 0
    assert "gymnax" not in installed[0].split(",")
    assert {"navix", "gymnasium", "video", "dev"} <= set(installed[0].split(","))
    _, command, *pins = (
        (tmp_path / "constraints" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    )
    assert command == f"# python3 tasks.py constraints --set {name}"
    assert pins == ["a-b-c==1", "jax==0.12", "navix==4.0.0"]
