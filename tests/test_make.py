"""`make` and what can be said before it: ids, keywords, packages, and their errors."""

from __future__ import annotations

import copy
import importlib
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import _versions, errors, registry
from envhub.export import to_gymnax
from envhub.wrappers import TimeLimit
from envhub.wrappers._base import Wrapper

from .packages import needed
from .processes import fresh


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "CartPole-v1",
        "gymnax:CartPole-v1",
        "::CartPole-v1",
        "gymnax::",
        " :: ",
        None,
        3,
        b"a::b",
    ],
)
def test_an_invalid_id_shows_the_form(bad: object) -> None:
    with pytest.raises(errors.InvalidEnvIdError, match="gymnax::CartPole-v1") as caught:
        envhub.make(bad)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError)


def test_an_unknown_suite_names_the_nearest_and_all() -> None:
    expected = r"Did you mean 'gymnax'.*brax, bsuite, craftax"
    with pytest.raises(errors.UnknownSuiteError, match=expected) as caught:
        envhub.make("gymnaxx::CartPole-v1")
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("gymnax::Cartpole-v1", "CartPole-v1"),
        ("navix::Navix-Empty-5x5", "Navix-Empty-5x5-v0"),
        ("craftax::Craftax-Symbolic", "Craftax-Symbolic-v1"),
        ("brax::hoper", "hopper"),
    ],
)
def test_an_unknown_environment_names_the_nearest(mistyped: str, meant: str) -> None:
    for ask in (envhub.make, envhub.capabilities):
        with pytest.raises(errors.UnknownEnvError, match="list_envs") as caught:
            ask(mistyped)
        assert repr(meant) in str(caught.value)
        assert isinstance(caught.value, LookupError)


def test_the_id_is_split_at_the_first_separator() -> None:
    with pytest.raises(errors.UnknownEnvError, match="'module::Name'"):
        envhub.make("gymnax::module::Name")


@pytest.mark.parametrize("suite", ["gymnasium", "pufferlib"])
@pytest.mark.parametrize("name", [":", ".:x", "a..b:x", "1st:x", "json:", "json: ", ":CartPole-v1"])
def test_a_colon_without_a_module_and_a_name_is_refused(suite: str, name: str) -> None:
    for ask in (envhub.capabilities, envhub.make):
        with pytest.raises(errors.UnknownEnvError, match=r"module\.path:Name"):
            ask(f"{suite}::{name}")


@pytest.mark.parametrize("suite", ["gymnasium", "pufferlib"])
def test_a_question_does_not_import_what_an_id_names(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"named_by_{suite}"
    env_id = f"{suite}::{module}:Absent-v0"
    (tmp_path / f"{module}.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(envhub.capabilities(env_id), envhub.Capabilities)
    with pytest.raises(errors.MissingCapabilityError):
        envhub.require(env_id, "differentiable")
    assert module not in sys.modules
    with pytest.raises(errors.UnknownEnvError, match="Absent-v0"):
        envhub.make(env_id)
    assert module in sys.modules


@pytest.mark.parametrize("suite", ["gymnasium", "pufferlib"])
@pytest.mark.parametrize(
    "line", ["raise RuntimeError('no')", "raise SystemExit('no')", "import no"]
)
def test_a_named_module_that_cannot_be_imported_is_named(
    suite: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text(line, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(errors.MissingDependencyError, match=r"'broken_module'.*no"):
        envhub.make(f"{suite}::broken_module:Thing")


@pytest.mark.parametrize("suite", envhub.suites())
def test_an_absent_package_names_the_command(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_versions, "installed_version", lambda distribution: None)
    name = next(iter(registry.get(suite).known_names()))
    expected = rf'pip install "envhub-rl\[{suite.replace("_", "-")}\]"'
    with pytest.raises(errors.MissingDependencyError, match=expected) as caught:
        envhub.make(f"{suite}::{name}")
    assert isinstance(caught.value, ImportError)
    with pytest.raises(errors.MissingDependencyError, match=expected):
        envhub.list_envs(suite)
    assert envhub.capabilities(f"{suite}::{name}")  # answered all the same


def test_with_no_suite_installed_the_list_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_versions, "installed_version", lambda distribution: None)
    assert envhub.list_envs() == []


@pytest.mark.parametrize("found", ["0.0.8", "2.0", "2.0.0rc1"])
def test_an_unsupported_version_names_both(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_versions, "installed_version", lambda distribution: found)
    expected = rf"gymnax {found}.*>=0\.0\.9,<2.*pip"
    with pytest.raises(errors.UnsupportedVersionError, match=expected) as caught:
        envhub.make("gymnax::CartPole-v1")
    assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize(
    ("source", "cause", "remedy"),
    [
        (
            "raise AttributeError('jax.core is gone')",
            "AttributeError('jax.core is gone')",
            'Run: pip install "envhub-rl[gymnax]" --upgrade',
        ),
        # Absent altogether, which is a command; and moved within a package that is here.
        ("import absent_one.b", 'ModuleNotFoundError("No', "Run: pip install absent_one |"),
        ("import jax.no.more", 'ModuleNotFoundError("No', '[gymnax]" --upgrade |'),
    ],
)
def test_a_package_that_fails_to_import_is_not_called_absent(
    source: str, cause: str, remedy: str, tmp_path: Path
) -> None:
    (tmp_path / "gymnax").mkdir()
    (tmp_path / "gymnax" / "__init__.py").write_text(source, encoding="utf-8")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import envhub\n"
        "try: envhub.make('gymnax::CartPole-v1')\n"
        "except envhub.errors.MissingDependencyError as e: print(e, '|', repr(e.__cause__))"
    )
    done = fresh(program)
    assert "is installed, but importing 'gymnax' failed" in done.stdout
    assert f"| {cause}" in done.stdout
    assert remedy in done.stdout


def test_a_package_that_constructing_lacks_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make(name: str, options: object) -> None:
        try:
            importlib.import_module("absent_one.b")
        except ImportError as error:
            raise RuntimeError("this game needs pictures") from error

    monkeypatch.setattr(registry.get("gymnax"), "make", make)
    with pytest.raises(errors.MissingDependencyError, match=r"pip install absent_one$") as caught:
        envhub.make("gymnax::CartPole-v1")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_version_ranges() -> None:
    assert _versions.admits(">=0.0.9,<2", "1.0.1")
    assert _versions.admits(">=0.0.9,<2", "0.0.9")
    assert _versions.admits(">=1.0", "1")
    assert _versions.admits("==1.2.0", "1.2")
    assert not _versions.admits(">=0.0.9,<2", "0.0.8")
    assert not _versions.admits(">=0.0.9,<2", "2")
    assert _versions.admits(">=1.26,!=2.1.0", "2.1.2")
    assert not _versions.admits(">=1.26,!=2.1.0", "2.1")
    assert _versions.admits("==1.*", "1.2")
    assert _versions.admits("~=2.0", "2.5")
    assert not _versions.admits("~=2.0", "3.0")
    assert not _versions.admits(">=1.0", "1.0rc1")
    assert _versions.admits(">=0.9", "1.0rc1")
    assert not _versions.admits("<2", "2.0rc1")
    assert _versions.admits("==1.2", "1.2+cuda12")
    assert not _versions.admits(">=0", "no version")


@pytest.mark.parametrize(
    ("version", "found"),
    [("0.9", "1.0"), ("1.0", "1.0"), ("1.1", "1.0"), ("1.2.3", "1.2"), ("2", "1.2"), (None, "1.2")],
)
def test_the_facts_of_a_version_are_of_the_closest_one_before(
    version: str | None, found: str
) -> None:
    assert _versions.closest(["1.0", "1.2"], version) == found


@pytest.mark.parametrize(
    ("env_id", "keyword", "accepted"),
    [
        ("gymnax::CartPole-v1", "gravty", "gravity"),
        ("gymnax::Catch-bsuite", "row", "rows"),
        ("navix::Navix-Empty-5x5-v0", "max_step", "max_steps"),
        ("navix::Navix-Empty-5x5-v0", "height", "observation_fn"),
        ("craftax::Craftax-Classic-Symbolic-v1", "auto_reset", "static_env_params"),
        ("brax::hopper", "batch_size", "action_repeat"),
    ],
)
def test_an_unknown_keyword_lists_what_is_accepted(
    env_id: str, keyword: str, accepted: str
) -> None:
    with pytest.raises(errors.InvalidOptionError, match=f"does not take '{keyword}'") as caught:
        envhub.make(env_id, **{keyword: 1})
    assert accepted in str(caught.value).partition("It takes:")[2]
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("gymnax::CartPole-v1", {"gravity": "heavy"}),
        ("gymnax::CartPole-v1", {"gravity": None}),
        ("gymnax::CartPole-v1", {"gravity": [9.8, 9.8]}),
        ("gymnax::CartPole-v1", {"gravity": np.zeros(2)}),
        ("gymnax::CartPole-v1", {"max_steps_in_episode": 2.5}),
        ("gymnax::CartPole-v1", {"max_steps_in_episode": 2**70}),
        ("gymnax::Catch-bsuite", {"rows": "ten"}),
        ("gymnax::Reacher-misc", {"num_joints": 3}),
        ("gymnax::CartPole-v1", {"transition_gradients": True}),
        ("gymnax::Pendulum-v1", {"transition_gradients": "yes"}),
        ("navix::Navix-Empty-5x5-v0", {"observation_fn": "no such"}),
        ("navix::Navix-Empty-5x5-v0", {"observation_fn": 3}),
        ("craftax::Craftax-Classic-Symbolic-v1", {"static_env_params": 3}),
        ("brax::hopper", {"backend": "bullet"}),
        ("brax::hopper", {"backend": ["mjx"]}),
        ("brax::hopper", {"action_repeat": 0}),
        ("brax::hopper", {"action_repeat": True}),
        ("brax::hopper", {"n_frames": "many"}),
    ],
)
def test_a_refused_value_is_an_invalid_option(env_id: str, options: dict[str, object]) -> None:
    if "transition_gradients" in options and not registry.get("gymnax").at_least("1.0"):
        expected = "does not take"
    else:
        expected = next(iter(options))
    with pytest.raises(errors.InvalidOptionError, match=expected):
        envhub.make(env_id, **options)


def test_a_constructor_keyword_reaches_the_suite() -> None:
    env, params = envhub.make("gymnax::Catch-bsuite", rows=6, columns=3)
    assert env.observation_space(params).shape == (6, 3)
    assert dict(env.spec.kwargs) == {"rows": 6, "columns": 3}


def test_overridden_params_are_in_force_when_a_call_gives_none() -> None:
    env, params = envhub.make("gymnax::CartPole-v1", max_steps_in_episode=1)
    _, state = env.reset(jax.random.key(0))
    assert env.step(jax.random.key(1), state, 0).truncated
    longer = params.replace(max_steps_in_episode=9)
    assert not env.step(jax.random.key(1), state, 0, longer).truncated
    _, untouched = envhub.make("gymnax::CartPole-v1")
    assert untouched.max_steps_in_episode == 500


@pytest.mark.parametrize("env_id", ["gymnax::CartPole-v1", "gymnasium::CartPole-v1"])
def test_a_deep_copy_is_the_environment_and_takes_its_states(env_id: str) -> None:
    env, _ = envhub.make(env_id)
    copied = copy.deepcopy({"env": env})["env"]
    assert copied is env
    exported = copy.deepcopy(to_gymnax(env))  # which rejax does
    obs, state = exported.reset(jax.random.key(0))
    np.testing.assert_array_equal(obs, env.reset(jax.random.key(0))[0])
    assert exported.step(jax.random.key(0), state, 0)[2] == 1


class TestCalls:
    """What `reset` and `step` refuse."""

    env, params = envhub.make("gymnax::CartPole-v1")
    key = jax.random.key(0)
    state = env.reset(key, params)[1]

    @pytest.mark.parametrize(
        "bad", [0, None, "key", 1.5, np.zeros(2), np.zeros(3, np.uint32), jnp.zeros((), jnp.uint32)]
    )
    def test_a_key_that_is_none(self, bad: object) -> None:
        for call in (
            lambda: self.env.reset(bad, self.params),
            lambda: self.env.step(bad, self.state, 0, self.params),
        ):
            with pytest.raises(errors.InvalidKeyError, match=r"jax\.random\.key\(seed\)") as caught:
                call()
            assert isinstance(caught.value, TypeError)

    @pytest.mark.parametrize("typed", [True, False])
    def test_a_batch_of_keys_is_told_to_vmap(self, typed: bool) -> None:
        keys = jax.random.split(jax.random.key(0) if typed else jax.random.PRNGKey(0), 3)
        with pytest.raises(errors.InvalidKeyError, match=r"jax\.vmap"):
            self.env.reset(keys, self.params)
        jax.vmap(self.env.reset, in_axes=(0, None))(keys, self.params)

    @pytest.mark.parametrize("bad", [3, {}, "params", (1, 2), object()])
    def test_params_of_another_structure(self, bad: object) -> None:
        with pytest.raises(errors.InvalidParamsError, match="default_params") as caught:
            self.env.reset(self.key, bad)
        assert isinstance(caught.value, TypeError)

    def test_params_of_another_environment(self) -> None:
        _, others = envhub.make("gymnax::Pendulum-v1")
        with pytest.raises(errors.InvalidParamsError, match="default_params"):
            self.env.step(self.key, self.state, 0, others)

    def test_params_that_no_array_holds(self) -> None:
        with pytest.raises(errors.InvalidParamsError, match=r"params\.gravity is 'heavy'"):
            self.env.reset(self.key, self.params.replace(gravity="heavy"))

    @pytest.mark.parametrize("bad", [0.5, np.array([1]), True, None, "left", [0, 1], np.zeros(2)])
    def test_an_action_of_another_shape_or_kind(self, bad: object) -> None:
        with pytest.raises(errors.InvalidActionError, match="action") as caught:
            self.env.step(self.key, self.state, bad, self.params)
        assert isinstance(caught.value, ValueError)

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, int])
    def test_an_integer_of_any_width_is_an_action(self, dtype: type) -> None:
        expected = self.env.step(self.key, self.state, jnp.int32(1), self.params).obs
        assert jnp.array_equal(
            self.env.step(self.key, self.state, dtype(1), self.params).obs, expected
        )

    def test_a_state_of_another_environment(self) -> None:
        other, params = envhub.make("gymnax::Pendulum-v1")
        _, state = other.reset(self.key, params)
        with pytest.raises(errors.InvalidStateError, match="CartPole") as caught:
            self.env.step(self.key, state, 0, self.params)
        assert isinstance(caught.value, TypeError)

    def test_nothing_is_lost_after_an_error(self) -> None:
        with pytest.raises(errors.InvalidActionError):
            self.env.step(self.key, self.state, 0.5, self.params)
        assert self.env.step(self.key, self.state, 0, self.params).reward == 1

    def test_render_refuses_a_traced_state(self) -> None:
        env, params = envhub.make("gymnax::Catch-bsuite")
        _, state = env.reset(self.key, params)
        with pytest.raises(errors.RenderError, match="outside jit"):
            jax.jit(lambda state: env.render(state, params))(state)

    def test_closing_twice_is_fine(self) -> None:
        self.env.close()
        self.env.close()


def test_rendering_what_cannot_be_drawn_says_why() -> None:
    env, params = envhub.make("gymnax::DeepSea-bsuite")
    _, state = env.reset(jax.random.key(0), params)
    with pytest.raises(errors.MissingCapabilityError, match="draws nothing"):
        env.render(state, params)


def test_environments_are_freed() -> None:
    import gc
    import weakref

    env, params = envhub.make("gymnax::CartPole-v1")
    env.step(jax.random.key(0), env.reset(jax.random.key(0), params)[1], 0, params)
    gone = weakref.ref(env)
    del env
    gc.collect()
    assert gone() is None


class TestCapabilities:
    def test_every_false_flag_has_a_reason(self) -> None:
        with pytest.raises(ValueError, match="renderable"):
            envhub.Capabilities(*[True] * 9, renderable=False)

    def test_they_are_hashable_and_equal_by_value(self) -> None:
        one, same = (envhub.capabilities("brax::hopper", backend="spring") for _ in range(2))
        assert one == same
        assert hash(one) == hash(same)
        assert one != envhub.capabilities("brax::hopper", backend="mjx")

    def test_they_answer_for_the_options(self) -> None:
        plain = envhub.capabilities("gymnax::Pendulum-v1")
        assert not plain.differentiable
        if registry.get("gymnax").at_least("1.0"):
            assert "transition_gradients=True" in plain.why("differentiable")
            with_gradients = {"transition_gradients": True}
            assert envhub.capabilities("gymnax::Pendulum-v1", **with_gradients).differentiable
        with pytest.raises(errors.InvalidOptionError, match="spring"):
            envhub.capabilities("brax::hopper", backend="bullet")

    def test_an_unknown_flag_lists_all(self) -> None:
        for ask in (
            lambda: envhub.capabilities("brax::hopper").why("forkble"),
            lambda: envhub.list_envs(forkble=True),
            lambda: envhub.require("brax::hopper", "forkble"),
        ):
            with pytest.raises(errors.InvalidOptionError, match="forkable"):
                ask()

    def test_require_returns_what_it_was_given(self) -> None:
        assert envhub.require("brax::hopper", "forkable", "vmap_safe") == "brax::hopper"
        env, _ = envhub.make("gymnax::CartPole-v1")
        assert envhub.require(env, "forkable") is env
        assert envhub.require(env) is env
        assert envhub.require("ale::pong", "forkable", forkable=True) == "ale::pong"
        with pytest.raises(errors.MissingCapabilityError, match="forkable=True"):
            envhub.require("ale::pong", "forkable")
        with pytest.raises(errors.InvalidOptionError, match="Pass forkable to make"):
            envhub.require(env, "forkable", forkable=True)

    def test_require_names_flag_reason_and_alternatives(self) -> None:
        env, _ = envhub.make("gymnax::DeepSea-bsuite")
        for given in (env, "gymnax::DeepSea-bsuite"):
            with pytest.raises(errors.MissingCapabilityError) as caught:
                envhub.require(given, "forkable", "renderable")
            message = str(caught.value)
            assert "renderable: gymnax's visualizer draws nothing" in message
            assert "gymnax::Asterix-MinAtar" in message
            assert "list_envs(forkable=True, renderable=True)" in message
            assert "forkable:" not in message
            assert isinstance(caught.value, TypeError)

    def test_list_envs_filters(self) -> None:
        all_ids = envhub.list_envs()
        assert all_ids == sorted(all_ids)
        drawn, not_drawn = (envhub.list_envs("gymnax", renderable=value) for value in (True, False))
        assert sorted(drawn + not_drawn) == envhub.list_envs("gymnax")
        assert "gymnax::Catch-bsuite" in drawn
        assert "gymnax::DeepSea-bsuite" in not_drawn
        assert "brax::swimmer" in all_ids  # a gap is listed all the same
        runs = registry.get("brax").gap("swimmer", {}) is None
        assert ("brax::swimmer" in envhub.list_envs("brax", forkable=True)) == runs


@pytest.mark.parametrize("suite", envhub.suites())
def test_the_known_names_are_the_live_ones(suite: str) -> None:
    described = registry.get(suite)
    needed(described.module)
    live = set(described.live_names())
    if suite == "gymnasium":  # other tests and packages register theirs
        known = described.load("envs.registration").registry
        live = {name for name in live if str(known[name].entry_point).startswith("gymnasium.")}
    assert sorted(described.known_names()) == sorted(live)
    assert described.example in described.known_names()


# What is given to `make` and is not what it takes.


@pytest.mark.parametrize(
    "wrappers",
    [np.array(3), jax.random.key(0),
     2, "x", TimeLimit, [2], ["x"], [None], [dict], [lambda env: None], {"a": 1},
     [lambda env: TimeLimit(env, max_steps=3)]],
)  # fmt: skip
def test_what_is_no_list_of_wrappers_is_refused(wrappers: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match=r"wrappers=|TimeLimit|dict"):
        envhub.make("gymnax::CartPole-v1", wrappers=wrappers)


def test_no_wrappers_may_be_none() -> None:
    env, _ = envhub.make("gymnax::CartPole-v1", wrappers=None)
    assert not isinstance(env, Wrapper)


@pytest.mark.parametrize("suite", ["gymnax", "gymnasium"])
def test_a_whole_number_for_a_float_is_a_float(suite: str) -> None:
    for given in (2**31, -(2**40), 10):
        env, params = envhub.make(f"{suite}::CartPole-v1", gravity=given)
        assert type(params.gravity) is float
        assert params.gravity == given
        _, state = env.reset(jax.random.key(0), params)
        assert np.isfinite(env.step(jax.random.key(1), state, 0, params).obs).all()


@pytest.mark.parametrize(
    "value", [10**400, 10**5000, -(10**39), 1e300], ids=["e400", "e5000", "e39", "1e300"]
)
def test_a_number_that_the_dtype_of_a_param_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match=r"gravity=.*cannot be printed|dtype can"):
        envhub.make("gymnax::CartPole-v1", gravity=value)


def test_an_int_beyond_32_bits_is_refused_for_a_param_of_ints() -> None:
    for value in (2**31, np.int64(2**40)):
        with pytest.raises(errors.InvalidOptionError, match="max_steps_in_episode"):
            envhub.make("gymnax::CartPole-v1", max_steps_in_episode=value)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("ale::PongNoFrameskip-v4", "ale::pong"),
        ("gymnax::ALE/Pong-v5", "ale::pong"),
        ("gymnax::Ant-v5", "gymnasium::Ant-v5"),
        ("navix::CartPole-v1", "gymnax::CartPole-v1"),
        ("CartPole-v1", "gymnasium::CartPole-v1"),
        ("CartPole-v1", "gymnax::CartPole-v1"),
        ("hopper", "brax::hopper"),
        ("gymnasium:CartPole-v1", "gymnasium::CartPole-v1"),
    ],
)
def test_what_was_meant_is_suggested_from_all_suites(asked: str, meant: str) -> None:
    for ask in (envhub.make, envhub.capabilities):
        with pytest.raises((errors.InvalidEnvIdError, errors.UnknownEnvError)) as caught:
            ask(asked)
        assert repr(meant) in str(caught.value)
