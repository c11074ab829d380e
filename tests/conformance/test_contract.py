"""The contract, clause by clause, over every suite: see `docs/contract.md`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from envhub.adapters.brax import CLIP_STILL_TAKES_THEM
from envhub.adapters.gymnasium import MUJOCO, MUJOCO_V3

import envhub
from envhub import probes, registry, second_process
from envhub.probes import Subject

from .cases import BINDINGS, Case
from .conftest import chosen
from .episodes import LANES, SHORT, Episodes, optimised, stack


def shapes(tree: Any) -> Any:
    return [(jnp.shape(leaf), leaf.dtype) for leaf in jax.tree.leaves(tree)]


def test_nothing_but_declared_gaps_is_left_out(pytestconfig: pytest.Config) -> None:
    """Each of them is shown to be one in `tests/quirks`."""
    running, gaps = chosen(pytestconfig)
    assert running
    variants = pytestconfig.getoption("variants")
    expected = {"gymnax::MNISTBandit-bsuite"}
    if variants or not CLIP_STILL_TAKES_THEM:  # with it, brax's default backend runs
        expected.add("brax::swimmer")
    if not registry.get("gymnax").at_least("1.0"):
        expected.add("gymnax::SimpleBandit-bsuite")
    expected.add("gymnasium::Pusher-v4")
    if not registry.get("gymnasium").at_least("1.2"):
        expected |= {f"gymnasium::{name}-v2" for name in MUJOCO.split()}
        expected |= {f"gymnasium::{name}-v3" for name in MUJOCO_V3.split()}
    every = variants or pytestconfig.getoption("full")
    assert {case.id for case in gaps} == (expected if every else set())


def test_every_other_variant_resets_and_steps(variant: Case) -> None:
    """`--variants` examines them as thoroughly as the others, which takes an hour."""
    env, params = variant.make()
    obs, state = env.reset(jax.random.key(0), params)
    action = env.action_space(params).sample(jax.random.key(1))
    result = env.step(jax.random.key(2), state, action, params)
    for seen in (obs, result.obs):
        assert env.observation_space(params).contains(seen)
    assert jax.tree.structure(result.state) == jax.tree.structure(state)
    assert np.isfinite(result.reward).all()
    jax.clear_caches()


# Section 1: one line


def test_params_are_the_default_params_and_make_shares_nothing(
    case: Case, subject: Subject
) -> None:
    assert subject.params is subject.env.default_params
    another, _ = case.make()
    assert another is not subject.env
    assert another.unwrapped is not subject.env.unwrapped


def test_keyword_of_a_param_overrides_its_field(case: Case, subject: Subject) -> None:
    if subject.params is None:
        assert not subject.env.capabilities.has_env_params
        return
    binding = BINDINGS[case.suite]
    field = dataclasses.fields(subject.params)[-1].name if binding.on_host else binding.limit
    default = np.asarray(getattr(subject.params, field))
    changed = (default != 1).astype(default.dtype)
    value = changed if changed.ndim else changed.item()
    env, params = envhub.make(case.id, **{**dict(case.options), field: value})
    assert np.all(getattr(params, field) == value)
    assert np.all(getattr(env.default_params, field) == value)
    assert not np.all(getattr(subject.env.default_params, field) == value)


def test_spec_says_where_it_comes_from(case: Case, subject: Subject) -> None:
    spec = subject.env.spec
    assert spec is not None
    assert (spec.id, spec.suite, spec.name) == (case.id, case.suite, case.name)
    assert dict(spec.kwargs) == dict(case.options)
    assert spec.version == registry.get(case.suite).installed()


# Section 2: reset and step


def test_step_returns_the_documented_types(subject: Subject) -> None:
    env = subject.env
    assert env.spec is not None
    assert env.spec.num_agents == env.num_agents
    agents = () if env.num_agents == 1 else (env.num_agents,)
    for result in subject.path:
        obs, state, reward, terminated, truncated, info = result
        assert (reward.shape, reward.dtype) == (agents, jnp.float32)
        assert (terminated.shape, terminated.dtype) == (agents, jnp.bool_)
        assert (truncated.shape, truncated.dtype) == (agents, jnp.bool_)
        assert (result.done == (terminated | truncated)).all()
        assert isinstance(info, dict)
        assert obs is result.obs
        assert state is result.state


def test_structure_shapes_and_dtypes_never_change(subject: Subject) -> None:
    obs, state = subject.start
    for result in subject.path:
        assert jax.tree.structure(result.state) == jax.tree.structure(state)
        assert shapes(result.state) == shapes(state)
        assert shapes(result.obs) == shapes(obs)
        assert shapes(result.info) == shapes(subject.path[0].info)


def test_no_array_of_a_state_is_empty(subject: Subject) -> None:
    """See `envhub/nonempty.py`: they crash jaxlib."""
    assert all(leaf.size for leaf in jax.tree.leaves(subject.start[1]))


def test_nothing_is_64_bit_or_weakly_typed(subject: Subject) -> None:
    for leaf in jax.tree.leaves((subject.start, subject.path)):
        assert isinstance(leaf, jax.Array)
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            assert not leaf.weak_type
            assert leaf.dtype.itemsize <= 4


def test_no_second_compilation_after_the_first_step(subject: Subject) -> None:
    assert len(subject.path) > 1
    assert subject.env._compiled_step._cache_size() == 1


def test_observations_lie_in_the_space_until_the_end(subject: Subject, episodes: Episodes) -> None:
    assert subject.env.observation_space(subject.params).contains(subject.start[0])
    assert episodes.contained[episodes.alive].all()
    assert episodes.reward_finite[episodes.alive].all()


def test_random_actions_reach_the_end(episodes: Episodes) -> None:
    assert episodes.ended[:, :LANES].any(), "no episode ended: nothing is known about the end"


def test_a_time_limit_is_a_truncation(limited: Episodes) -> None:
    alive, terminated, truncated = limited.alive, limited.terminated, limited.truncated
    short = np.s_[:, LANES:]
    assert not (truncated[short] & alive[short])[: SHORT - 1].any(), "truncated before the limit"
    at_limit = alive[SHORT - 1, LANES:]
    assert (truncated | terminated)[SHORT - 1, LANES:][at_limit].all(), "no end at the limit"
    if at_limit.any() and not terminated[SHORT - 1, LANES:][at_limit].all():
        only_cut = at_limit & ~terminated[SHORT - 1, LANES:]
        assert truncated[SHORT - 1, LANES:][only_cut].all()
    else:
        assert terminated[:SHORT, LANES:].any(), "no lane reached the limit, and none terminated"


def test_the_limit_does_not_terminate(limited: Episodes) -> None:
    """The same keys without the limit: what terminated then, and nothing else, terminates now."""
    seen = limited.alive[:SHORT, :LANES] & limited.alive[:SHORT, LANES:]
    whole, short = limited.terminated[:SHORT, :LANES], limited.terminated[:SHORT, LANES:]
    assert (whole == short)[seen].all()


def test_the_observation_at_the_limit_is_the_last_and_not_a_reset(
    case: Case, limited: Episodes
) -> None:
    seen = limited.alive[:SHORT, :LANES] & limited.alive[:SHORT, LANES:]
    first_obs = limited.first_obs
    if case.name == "DiscountingChain-bsuite":
        first_obs = first_obs[..., :1]  # the rest is the time as a fraction of the limit
    if case.suite == "ale" and not case.name.startswith("ALE/"):
        # ALE's vector environment shows older frames where an episode ends, and so do these names.
        seen = seen[:-1]
        first_obs = first_obs[: SHORT - 1]
    for leaf in jax.tree.leaves(first_obs):
        whole, short = leaf[:, :LANES][seen], leaf[:, LANES:][seen]
        np.testing.assert_allclose(whole, short, rtol=1e-3, atol=1e-3)


def test_reset_and_step_equal_the_suites_own_bit_for_bit(case: Case, subject: Subject) -> None:
    env, incomparable = subject.env, BINDINGS[case.suite].incomparable
    if incomparable:
        pytest.skip(reason=incomparable)
    if differing(case, subject, (env.reset, env.step), jax.jit):
        # Unoptimised, XLA may compile one function in two ways (brax's halfcheetah): ask it again.
        functions = optimised(env.reset), optimised(env.step)
        assert not differing(case, subject, functions, optimised)


def differing(case: Case, subject: Subject, hub: Any, compiler: Any) -> list[str]:
    """What the hub and the suite show differently over a few steps."""
    binding, params = BINDINGS[case.suite], subject.params
    reset, step = hub
    direct = binding.direct(subject.env)
    in_python = not subject.env.capabilities.jax_native
    own_reset, own_step = direct if in_python else map(compiler, direct)
    (obs, state), (own_obs, own) = (f(subject.keys[0], params) for f in (reset, own_reset))
    pairs = [((obs, case.own_state(state)), (own_obs, own))]
    for key, action in zip(subject.keys[1:5], subject.actions, strict=False):
        result = step(key, state, action, params)
        own_obs, own, reward, done, info = own_step(key, own, action, params)
        state = result.state
        seen = (result.obs, case.own_state(state), result.reward)
        theirs = (own_obs, own, jnp.float32(reward), jnp.asarray(done, bool), info)
        pairs.append(((*seen, binding.own_done(result), result.info), theirs))
        if in_python and result.done.all():
            break  # what follows is undefined there, and a latch here
    return [
        f"{a} and {b}"
        for pair in pairs
        for a, b in zip(*map(second_process.pack, pair), strict=True)
        if a.dtype != b.dtype or a.tobytes() != b.tobytes()
    ]


def test_typed_and_legacy_keys_give_the_same_episode(subject: Subject) -> None:
    legacy_obs, _ = subject.env.reset(jax.random.key_data(subject.keys[0]), subject.params)
    for a, b in zip(jax.tree.leaves(subject.start[0]), jax.tree.leaves(legacy_obs), strict=True):
        assert np.array_equal(a, b)


def test_while_loops_and_conditions_under_vmap(case: Case, subject: Subject) -> None:
    """Lanes that take different numbers of steps, and skip one, end where plain steps end."""
    env, params = subject.env, subject.params
    actions, keys = jnp.stack(subject.actions), subject.keys[1:]

    def advance(shown: Any, last: Any) -> Any:
        def keep_or_step(carry: Any) -> Any:
            turn, taken, shown = carry

            def step(shown: Any) -> Any:
                result = env.step(keys[taken], shown[1], actions[taken], params)
                return result.obs, result.state

            skipped = turn == 1
            shown = jax.lax.cond(skipped, lambda shown: shown, step, shown)
            return turn + 1, taken + jnp.where(skipped, 0, 1), shown

        start = (jnp.int32(0), jnp.int32(0), shown)
        return jax.lax.while_loop(lambda carry: carry[1] < last, keep_or_step, start)[2]

    starts = stack([env.reset(subject.keys[0], params) for _ in range(2)])
    obs, states = jax.jit(jax.vmap(advance))(starts, jnp.array([1, 3]))
    ends = second_process.pack((obs, case.own_state(states)))
    for lane, steps in enumerate([1, 3]):
        result = subject.path[steps - 1]
        expected = second_process.pack((result.obs, case.own_state(result.state)))
        for a, b in zip(expected, ends, strict=True):
            if not a.size:
                continue  # brax's mjx: no lane has anything there
            np.testing.assert_allclose(a, b[lane], rtol=1e-2, atol=1e-2)


def test_x64_mode_keeps_the_dtypes_or_is_a_declared_gap(
    case: Case, subject: Subject, x64_process: second_process.SecondProcess
) -> None:
    place = "tests.conformance.x64:examine"
    seen = x64_process.call(place, recipe=case.recipe)
    if seen["gap"]:
        assert "x64" in seen["gap"]
        assert seen["error"] == "UnavailableEnvError", "the gap is closed: remove it"
    else:
        expected = [str(leaf.dtype) for leaf in jax.tree.leaves(subject.start[0])]
        assert seen["obs"] == seen["obs_after"] == expected
        assert seen["scalars"] == ["float32", "bool", "bool"]
        assert seen["same_state"]


# Section 3: capabilities


@pytest.mark.parametrize("flag", probes.FLAGS)
def test_flag_is_what_its_probe_finds(
    flag: str, subject: Subject, record_property: Callable[[str, object], None]
) -> None:
    claimed = getattr(subject.env.capabilities, flag)
    on_host = not subject.env.capabilities.jax_native
    if flag == "multi_device" and on_host and jax.__version_info__ < (0, 5):
        assert not claimed
        pytest.skip(reason="jax 0.4.35 waits for ever now and then: callbacks on several devices")
    finding = probes.examine(subject, [flag])[flag]
    record_property("flag", flag)
    record_property("holds", finding.holds)
    assert finding.holds is not None, f"the probe did not run: {finding.detail}"
    assert finding.holds or not claimed, f"a false claim: {finding.detail}"
    assert claimed or not finding.holds, "an unclaimed capability"


def test_capabilities_are_those_that_were_announced(case: Case, subject: Subject) -> None:
    announced = envhub.capabilities(case.id, **dict(case.options))
    assert announced == subject.env.capabilities
    assert all(announced.why(flag) for flag in probes.FLAGS if not getattr(announced, flag))
