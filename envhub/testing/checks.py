"""The clauses of the contract: each is a function of a `Trial` that raises if it does not hold.

`Refuted` says what is wrong, and `NotRunError` says why the check cannot run. Any other exception
counts as a refusal too.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub.errors import InvalidActionError, InvalidOptionError, did_you_mean
from envhub.testing import probes, second_process
from envhub.testing.comparison import NotRunError, Refuted, close, same, visible
from envhub.testing.episodes import LANES, SHORT, optimised, stack
from envhub.testing.probes import PROBES
from envhub.testing.remedies import LONGER, OWN, SHOWS_TIME
from envhub.testing.trial import Own, Trial

Check = Callable[[Trial], None]


def insist(holds: Any, otherwise: str) -> None:
    """Raise `Refuted`, with a reason, if a condition does not hold."""
    if not holds:
        raise Refuted(otherwise)


def no_array_of_a_state_is_empty(trial: Trial) -> None:
    """Empty arrays crash jaxlib; see `envhub/_nonempty.py`."""
    insist(all(leaf.size for leaf in _leaves(trial.start[1])), "an array of the state is empty")


def typed_and_legacy_keys_give_the_same_episode(trial: Trial) -> None:
    """`jax.random.key` and `jax.random.PRNGKey` of the same seed start the same episode."""
    legacy_obs, _ = trial.env.reset(jax.random.key_data(trial.keys[0]), trial.params)
    for a, b in zip(_leaves(trial.start[0]), _leaves(legacy_obs), strict=True):
        insist(np.array_equal(a, b), "a legacy key and the typed key start different episodes")


def step_returns_the_documented_types(trial: Trial) -> None:
    """Rewards and flags are scalars (arrays for several agents), and `info` is a dict."""
    env = trial.env
    agents = () if env.num_agents == 1 else (env.num_agents,)
    wanted = {"reward": jnp.float32, "terminated": jnp.bool_, "truncated": jnp.bool_}
    done = jnp.zeros(agents, bool)
    for result in trial.path:
        insist((result.done | ~done).all(), "an agent that was done is not done any more")
        done = result.done & ~result.done.all()  # what follows the end is the suite's
        for name, dtype in wanted.items():
            leaf = getattr(result, name)
            given, asked = f"{leaf.dtype}{list(leaf.shape)}", f"{np.dtype(dtype)}{list(agents)}"
            insist(given == asked, f"{name} is {given}, not {asked}")
        insist(
            (result.done == (result.terminated | result.truncated)).all(),
            "done is not terminated | truncated",
        )
        for form in FORMS:
            form(env, result)
        insist(isinstance(result.info, dict), f"info is a {type(result.info).__name__}, not a dict")


def _refute_agents(env: Any, result: Any) -> None:
    """The form of several agents."""
    insist(
        len(env.agents) == len(set(env.agents)) == env.num_agents,
        f"agents must be {env.num_agents} different names, got {env.agents}",
    )
    if env.observation_agents == "by_name":
        for what, shown in (("obs", result.obs), ("actions", env.action_space())):
            insist(set(shown) == set(env.agents), f"{what} has the names {sorted(shown)}")


def _refute_turns(env: Any, result: Any) -> None:
    """The form of a game of turns."""
    if env.turn_based:
        names = {"action_mask", "current_player", "observation"}
        is_form = isinstance(result.obs, dict) and result.obs.keys() == names
        insist(is_form, f"obs of a game of turns must be a dict of {sorted(names)}")
        insist(0 <= result.obs["current_player"] < env.num_agents, "there is no such player")
        over, mask = result.done.all(), result.obs["action_mask"]
        insist(not over or mask.all(), "action_mask is not all true after the end")


FORMS = (_refute_agents, _refute_turns)


def structure_shapes_and_dtypes_never_change(trial: Trial) -> None:
    """State, observation and info are a `lax.scan` carry."""
    obs, state = trial.start
    first = trial.path[0]
    for result in trial.path:
        for what, before, after in (
            ("the state", state, result.state),
            ("the observation", obs, result.obs),
            ("info", first.info, result.info),
        ):
            structures: list[Any] = list(map(jax.tree.structure, (before, after)))
            insist(structures[0] == structures[1], f"a step changed the structure of {what}")
            insist(_shapes(before) == _shapes(after), f"a step changed a shape or dtype of {what}")


def nothing_is_64_bit_or_weakly_typed(trial: Trial) -> None:
    """Leaves are JAX arrays of at most 32 bits, so that all steps share one program."""
    for leaf in _leaves((trial.start, trial.path)):
        insist(isinstance(leaf, jax.Array), f"{leaf!r} is not a JAX array")
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            insist(
                not leaf.weak_type, f"an array of {leaf.dtype}{list(leaf.shape)} is weakly typed"
            )
            insist(leaf.dtype.itemsize <= 4, f"an array is {leaf.dtype}")


def no_second_compilation_after_the_first_step(trial: Trial) -> None:
    """Steps outside `jit` share one program; a callback environment may need none."""
    insist(len(trial.path) > 1, "only one step was taken")
    least = 1 if trial.env.capabilities.jax_native else 0
    insist(least <= trial.env._compiled_step._cache_size() <= 1, "a later step was compiled again")


def the_step_takes_what_the_action_space_holds(trial: Trial) -> None:
    """`step` accepts every sample of the space, and refuses an action of another shape."""
    space = trial.env.action_space(trial.params)
    for action in trial.actions:
        insist(space.contains(action), f"a sample of {space} is not in it: {action}")
    insist(trial.path, "no step was taken")
    wrong = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), trial.actions[0])
    try:
        jax.eval_shape(trial.env.step, trial.keys[1], trial.start[1], wrong, trial.params)
    except InvalidActionError:
        return
    raise Refuted("an action with an extra axis is not refused")


def spaces_are_known_inside_jit(trial: Trial) -> None:
    """Shapes and dtypes are concrete under traced params too; bounds may be traced."""
    refute_spaces_inside_jit(trial.env, trial.params)


def refute_spaces_inside_jit(env: Any, params: Any) -> None:
    """Trace the spaces of an environment, without compiling anything.

    Raises:
        Refuted: if they differ from those outside `jit`.
    """
    key = jax.random.key(0)
    for space_of in (env.observation_space, env.action_space):
        name, outside = space_of.__name__, space_of(params)

        def sample(key: Any, traced: Any, space_of: Any = space_of, outside: Any = outside) -> Any:
            insist(space_of(params) == outside, "concrete params give another space inside jit")
            return space_of(traced).sample(key)

        found, wanted = jax.eval_shape(sample, key, params), jax.eval_shape(outside.sample, key)
        insist(found == wanted, f"{name} holds {found} inside jit, but {wanted} outside")


def observations_lie_in_the_space_until_the_end(trial: Trial) -> None:
    """All observations of whole episodes lie in the space, and rewards are finite."""
    space, seen = trial.env.observation_space(trial.params), trial.episodes
    insist(space.contains(trial.start[0]), f"the observation of a reset is not in {space}")
    outside = np.argwhere(seen.alive & ~seen.contained)
    insist(not len(outside), f"the observation of step {outside[:1, 0]} is not in {space}")
    insist(seen.reward_finite[seen.alive].all(), "a reward is not a finite number")


def random_actions_reach_the_end(trial: Trial) -> None:
    """Random actions end an episode; otherwise nothing is known about the end."""
    seen = trial.episodes
    if not seen.ended[:, :LANES].any():
        raise NotRunError(
            f"no episode of random actions ended within {len(seen.alive)} steps. "
            f"{trial.remedy(LONGER)}"
        )


def a_time_limit_is_a_truncation(trial: Trial) -> None:
    """Episodes with a limit of `SHORT` steps are truncated at that step, not before."""
    seen = trial.limited
    alive, terminated, truncated, contained = (
        array[:, LANES:] for array in (seen.alive, seen.terminated, seen.truncated, seen.contained)
    )
    insist((contained | ~alive).all(), "an observation of a limited episode is not in the space")
    before = (truncated & alive)[: SHORT - 1]
    insist(not before.any(), f"truncated before the limit of {SHORT} steps")
    at_limit = alive[SHORT - 1]
    ended = (truncated | terminated)[SHORT - 1]
    insist(ended[at_limit].all(), f"the episode goes on after its limit of {SHORT} steps")
    only_cut = at_limit & ~terminated[SHORT - 1]
    insist(truncated[SHORT - 1][only_cut].all(), "an end at the limit is not a truncation")
    insist(only_cut.any(), "no lane was cut by the limit, and one goes on without it")


def the_limit_does_not_terminate(trial: Trial) -> None:
    """With the same keys, the same episodes terminate with and without the limit."""
    terminated, seen = trial.limited.terminated, trial.seen_by_both
    whole, short = terminated[:SHORT, :LANES], terminated[:SHORT, LANES:]
    insist((whole == short)[seen].all(), "an episode terminates because of its limit")


def the_observation_at_the_limit_is_the_last_and_not_a_reset(trial: Trial) -> None:
    """It equals that of the same episode without the limit, unless the suite declares otherwise."""
    first_obs, seen = trial.at_limit(trial.limited.first_obs, trial.seen_by_both)
    leaves = jax.tree_util.tree_flatten_with_path(first_obs)[0]
    insist(leaves, "every part of the observation is declared to depend on the limit")
    for path, leaf in leaves:
        whole, short = leaf[:, :LANES][seen], leaf[:, LANES:][seen]
        same = np.allclose(whole, short, rtol=1e-3, atol=1e-3, equal_nan=True)
        where = f"obs{jax.tree_util.keystr(path)}"
        insist(same, f"{where} differs with and without a limit. {trial.remedy(SHOWS_TIME)}")


def reset_and_step_equal_the_suites_own_bit_for_bit(trial: Trial) -> None:
    """A few steps equal those of the suite's own functions."""
    if trial.own is None:
        raise NotRunError(f"there is nothing to compare with. {trial.remedy(OWN)}")
    own, env = trial.own(), trial.env
    found = _differing(trial, own, (env.reset, env.step), jax.jit)
    if found and env.capabilities.jax_native:
        # Unoptimised, XLA may compile one function in two ways (brax's halfcheetah): ask it again.
        again = optimised(env.reset), optimised(env.step)
        found = _differing(trial, own, again, optimised)
    insist(not found, f"a result differs from the suite's own: {found[:1]}")


def while_loops_and_conditions_under_vmap(trial: Trial) -> None:
    """Lanes that take different numbers of steps, and skip one, continue as after plain steps."""
    loop, taken = jax.jit(_loop_of(trial)), [1, 3]
    states = stack([trial.env.reset(trial.keys[0], trial.params)[1] for _ in taken])
    ends = loop(states, jnp.array(taken), skipped=1)
    for lane, steps in enumerate(taken):
        what = f"what follows {steps} steps in a while_loop under vmap"
        found = visible(trial.walk(ends[lane], steps, steps + 1))
        try:
            close(what, found, visible([trial.path[steps]]))
        except Refuted:
            if not trial.env.capabilities.jax_native:
                raise
            # A solver that stops before it has converged makes much of how a program rounds (brax's
            # ant, 0.12.1 in MJX): ask the same one, where no lane differs and none skips.
            alike = loop(states, jnp.full(len(taken), steps), skipped=-1)
            same(what, visible(trial.walk(alike[lane], steps, steps + 1)), found)


def _loop_of(trial: Trial) -> Callable[..., list[Any]]:
    """Return a function from states, numbers of steps and the skipped turn to the last states."""
    actions, keys = stack(trial.actions), trial.keys[1:]

    def advance(state: Any, last: Any, skipped: Any) -> Any:
        def keep_or_step(carry: Any) -> Any:
            turn, taken, state = carry

            def step(state: Any) -> Any:
                action = jax.tree.map(lambda leaf: leaf[taken], actions)
                return trial.env.step(keys[taken], state, action, trial.params).state

            keeps = turn == skipped
            state = jax.lax.cond(keeps, lambda state: state, step, state)
            return turn + 1, taken + jnp.where(keeps, 0, 1), state

        start = (jnp.int32(0), jnp.int32(0), state)
        return jax.lax.while_loop(lambda carry: carry[1] < last, keep_or_step, start)[2]

    def loop(states: Any, last: Any, skipped: Any) -> list[Any]:
        ends = jax.vmap(advance, in_axes=(0, 0, None))(states, last, skipped)
        return [jax.tree.map(operator.itemgetter(lane), ends) for lane in range(len(last))]

    return loop


def _differing(trial: Trial, own: Own, hub: Any, compiler: Any) -> list[str]:
    """Return the differences between the hub and the suite over a few steps."""
    in_python = not trial.env.capabilities.jax_native
    own_reset, own_step = (
        (own.reset, own.step) if in_python else map(compiler, (own.reset, own.step))
    )
    return [
        f"{a.tolist()} and {b.tolist()}"[:200]
        for pair in _pairs(trial, own, hub, own_reset, own_step)
        for a, b in zip(*map(second_process.arrays_of, pair), strict=True)
        if a.dtype != b.dtype or a.tobytes() != b.tobytes()
    ]


def _pairs(
    trial: Trial, own: Own, hub: Any, own_reset: Any, own_step: Any
) -> Iterator[tuple[Any, Any]]:
    (reset, step), params = hub, trial.params
    (obs, state), (own_obs, theirs) = (f(trial.keys[0], params) for f in (reset, own_reset))
    yield (obs, own.state(state)), (own_obs, theirs)
    for key, action in zip(trial.keys[1:5], trial.actions, strict=False):
        result = step(key, state, action, params)
        own_obs, theirs, reward, done, info = own_step(key, theirs, action, params)
        state = result.state
        shown = (result.obs, own.state(state), result.reward, own.done(result), result.info)
        yield shown, (own_obs, theirs, jnp.float32(reward), jnp.asarray(done, bool), info)
        if not trial.env.capabilities.jax_native and result.done.all():
            return  # what follows is undefined there, and a latch here


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree)


def _shapes(tree: Any) -> Any:
    return [(jnp.shape(leaf), leaf.dtype) for leaf in _leaves(tree)]


CHECKS_BY_COLUMN: dict[str, tuple[Check, ...]] = {
    "resets": (no_array_of_a_state_is_empty, typed_and_legacy_keys_give_the_same_episode),
    "steps": (
        step_returns_the_documented_types,
        structure_shapes_and_dtypes_never_change,
        nothing_is_64_bit_or_weakly_typed,
        no_second_compilation_after_the_first_step,
    ),
    "actions": (the_step_takes_what_the_action_space_holds,),
    "observations": (spaces_are_known_inside_jit, observations_lie_in_the_space_until_the_end),
    "ends": (random_actions_reach_the_end,),
    "truncation": (a_time_limit_is_a_truncation, the_limit_does_not_terminate),
    "final_obs": (the_observation_at_the_limit_is_the_last_and_not_a_reset,),
    "control_flow": (while_loops_and_conditions_under_vmap,),
    "own_bits": (reset_and_step_equal_the_suites_own_bit_for_bit,),
    **{flag: (probe,) for flag, probe in PROBES.items()},
}
"""The checks of each column of the matrix."""

CHECKS: dict[str, Check] = {
    check.__name__: check for checks in CHECKS_BY_COLUMN.values() for check in checks
}
"""All checks by name, in the order in which they run."""

COMPARED = {
    check.__name__
    for check in (
        typed_and_legacy_keys_give_the_same_episode,
        the_limit_does_not_terminate,
        the_observation_at_the_limit_is_the_last_and_not_a_reset,
        while_loops_and_conditions_under_vmap,
        reset_and_step_equal_the_suites_own_bit_for_bit,
        probes.forkable,
        probes.vmap_safe,
        probes.isolated_reset,
        probes.checkpointable,
        probes.multi_device,
    )
}
"""The checks that compare two runs; they show nothing if runs are not reproducible."""


def names_of(checks: Iterable[str]) -> list[str]:
    """Return the names of checks.

    Raises:
        InvalidOptionError: if there is no such check, or they are not a list of names.
    """
    names = list(checks)
    for name in names:
        if isinstance(checks, str) or name not in CHECKS:
            raise InvalidOptionError(
                f"checks must be a list of names in envhub.testing.CHECKS, got {checks!r}."
                f"{did_you_mean(str(name), CHECKS)}"
            )
    return names
