"""Thin bindings: what the conformance suite has to be told about each suite."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from envhub.adapters.pufferlib.facts import OCEAN

import envhub
from envhub import registry
from envhub.host import BRIDGE_OPTIONS
from envhub.spaces._text import encode_text
from envhub.suite import keywords
from envhub.testing import Own, Trial, label
from envhub.testing.comparison import NotRunError
from envhub.testing.reports import limit_of
from envhub.testing.second_process import SecondProcess

Transition = tuple[Any, Any, Any, Any, Any]  # obs, the suite's state, reward, done, info


@dataclasses.dataclass(frozen=True)
class Case:
    """One environment to examine."""

    suite: str
    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def id(self) -> str:
        return f"{self.suite}::{self.name}"

    @property
    def recipe(self) -> dict[str, Any]:
        return {"id": self.id, "kwargs": dict(self.options)}

    def make(self) -> tuple[envhub.Environment, Any]:
        return envhub.make(self.id, **dict(self.options))

    def own(self, env: envhub.Environment) -> Own:
        """What to compare it with."""
        binding = BINDINGS[self.suite]
        if binding.incomparable:
            raise NotRunError(binding.incomparable)
        return Own(*binding.direct(env), binding.own_state, binding.own_done)

    def at_limit(self, first_obs: Any, seen: Any) -> tuple[Any, Any]:
        """What a limit does not change of the first observations."""
        if self.suite == "ale" and not self.name.startswith("ALE/"):
            # ALE's vector environment shows older frames where an episode ends, and so do these.
            return jax.tree.map(lambda leaf: leaf[:-1], first_obs), seen[:-1]
        return registry.get(self.suite).without_limit(self.name, first_obs), seen

    def trial(self, other: SecondProcess) -> Trial:
        """It, under examination."""
        env, params = self.make()
        return Trial(
            env,
            params,
            self.recipe,
            other,
            limit=limit_of(env, params),
            own=lambda: self.own(env),
            at_limit=self.at_limit,
        )

    def __str__(self) -> str:
        return label(self.id, dict(self.options))


@dataclasses.dataclass(frozen=True)
class Binding:
    """What differs between the suites, in the eyes of a test.

    Attributes:
        sample: names and options that stand for the suite in the default run.
        incomparable: why the suite's own cannot be run beside it here.
        of_families: the name that stands for a family, if it is not the first that runs.
        comparable: options without which the suite's own would draw from another generator, or a
            limit would count more than steps.
        direct: from the environment, the suite's reset and its step that never resets, as
            functions of (key, params) and (key, state, action, params).
        own_state: the suite's state inside the hub's.
        own_done: the flags that the suite's own `done` stands for.
    """

    sample: tuple[tuple[str, dict[str, Any]], ...]
    direct: Callable[[Any], tuple[Callable[..., Any], Callable[..., Any]]]
    own_state: Callable[[Any], Any] = lambda state: state
    own_done: Callable[[Any], Any] = lambda result: result.done
    incomparable: str = ""
    of_families: Mapping[str, str] = dataclasses.field(default_factory=dict)
    comparable: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _of_gymnax(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    return env.unwrapped.reset_env, env.unwrapped.step_env


def _of_navix(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        timestep = env.unwrapped.reset(key)
        return timestep.observation, timestep

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = env.unwrapped._step(state, action)  # noqa: SLF001 (navix's step that never resets)
        return after.observation, after, after.reward, after.is_done(), after.info

    return reset, step


def _of_brax(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """Brax's interface, which MuJoCo Playground has too."""

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        state = env.unwrapped.reset(key)
        return state.obs, state

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = env.unwrapped.step(state, action)
        return after.obs, after, after.reward, after.done, {**after.metrics, **after.info}

    return reset, step


def _of_jumanji(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    own, seen = env.unwrapped, env.reset_shapes[0]

    def shown(timestep: Any) -> Any:
        """The fields by name; what several agents share is there for each."""
        fields = _by_name(timestep.observation)
        return jax.tree.map(lambda leaf, given: jnp.broadcast_to(leaf, given.shape), fields, seen)

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        state, timestep = own.reset(key)
        return shown(timestep), state

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after, timestep = own.step(state, action)
        done = timestep.last() | (timestep.discount == 0)  # an agent may be done before the others
        return shown(timestep), after, timestep.reward, done, timestep.extras

    return reset, step


def _of_pgx(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    own = env.unwrapped

    def shown(state: Any) -> Any:
        seen = {"observation": state.observation, "action_mask": state.legal_action_mask}
        return {**seen, "current_player": state.current_player} if own.num_players > 1 else seen

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        state = own.init(key)
        return shown(state), state

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = own.step(state, action, key)
        done = jnp.broadcast_to(after.terminated | after.truncated, after.rewards.shape)
        return shown(after), after, after.rewards.squeeze(), done.squeeze(), {}

    return reset, step


def _of_jaxmarl(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    own = env.unwrapped
    is_by_place = isinstance(own.agents[0], int)  # STORM's
    masks = {"SMAX": "get_avail_actions", "Hanabi": "get_legal_moves"}.get(env.family)

    def joined(in_order: Any) -> Any:
        by_name = dict(zip(env.agents, in_order, strict=True))
        return by_name if env.observation_agents == "by_name" else env.stack_agents(by_name)

    def shown(obs: Any, state: Any) -> Any:
        if env.spec.name == "storm":
            both = zip(obs["observations"], obs["inventory"].T, strict=True)
            return joined([{"observations": seen, "inventory": held} for seen, held in both])
        if not masks:
            return joined([obs[agent] for agent in own.agents])
        legal = getattr(own, masks)(state)
        shared = {"world_state": obs["world_state"]} if "world_state" in obs else {}
        return joined(
            {"observation": obs[agent], "action_mask": legal[agent].astype(bool), **shared}
            for agent in own.agents
        )

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        obs, state = own.reset(key)
        return shown(obs, state), state

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        is_by_name = env.observation_agents == "by_name"
        given = action if is_by_name else env.by_agent(action)
        in_order = [given[name] for name in env.agents]
        actions = in_order if is_by_place else dict(zip(own.agents, in_order, strict=True))
        obs, after, rewards, dones, info = own.step_env(key, state, actions)
        if is_by_place:
            rewards = dict(zip(own.agents, rewards, strict=True))
        reward = env.stack_agents({str(agent): rewards[agent] for agent in own.agents})
        done = {str(agent): dones.get(agent, False) | dones["__all__"] for agent in own.agents}
        return shown(obs, after), after, reward, env.stack_agents(done), info

    return reset, step


def _of_kinetix(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """kinetix's own, made of the file of the level, without its reset."""
    suite, name = registry.get("kinetix"), env.spec.name
    level, sizes, own_params = suite.load("util.saving").load_from_json_file(name)
    types = suite.load("environment")
    kinds = types.ActionType.CONTINUOUS, types.ObservationType.SYMBOLIC_FLAT
    own = types.make_kinetix_env(*kinds, None, own_params, sizes, auto_reset=False)

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        return own.reset(key, own_params, level)

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        limited = own_params.replace(max_timesteps=params.max_timesteps)
        return own.step(key, state, action, limited)

    return reset, step


def _of_octax(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        state, obs, _ = env.unwrapped.reset(key)
        return obs, state

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after, obs, reward, terminated, _, info = env.unwrapped.step(state, action)
        return obs, after, reward, terminated, info

    return reset, step


def _of_xminigrid(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    own, static = registry.get("xminigrid").load().make(env.spec.name)

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        timestep = own.reset(static, key)
        return timestep.observation, timestep

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = own.step(static, state, action)
        return after.observation, after, after.reward, after.last(), {}

    return reset, step


def _by_name(observed: Any) -> Any:
    if isinstance(observed, tuple):
        return {name: _by_name(part) for name, part in observed._asdict().items()}
    if dataclasses.is_dataclass(observed):
        return {name: _by_name(part) for name, part in vars(observed).items()}
    return observed


def _of_gymnasium(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    import gymnasium

    own = gymnasium.make(env.spec.name, **_own_options(env))
    if env.capabilities.jax_native:
        return _of_functional(own.unwrapped.func_env, env)
    entries = {name: (shape, dtype) for name, shape, dtype in env.info_entries}

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        obs, _ = own.reset(seed=envhub.host_seed(key))
        return jax.tree.map(jnp.asarray, obs), ()

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        given = jax.tree.map(np.asarray, action)
        obs, reward, terminated, _, info = own.step(given.item() if given.ndim == 0 else given)
        kept = {name: jnp.asarray(info[name], dtype) for name, (_, dtype) in entries.items()}
        return jax.tree.map(jnp.asarray, obs), (), reward, terminated, kept

    return reset, step


def _of_crafter(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """crafter's own, made anew for each seed; its first creatures are too few to be reordered."""
    import crafter

    own: list[Any] = []

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        is_shown = env.spec.name == "CrafterReward-v1"
        own[:] = [crafter.Env(seed=envhub.host_seed(key), reward=is_shown, **_own_options(env))]
        return jnp.asarray(own[0].reset()), ()

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        obs, reward, _, info = own[0].step(int(action))
        kept = {}
        for name, _, dtype in env.info_entries:
            group, _, inside = name.partition(".")
            kept[name] = jnp.asarray(info[group][inside] if inside else info[group], dtype)
        return jnp.asarray(obs), (), reward, info["discount"] == 0, kept

    return reset, step


def _of_bsuite(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """bsuite's own, made anew for each seed, with generators that the seed decides."""
    import bsuite
    from bsuite import sweep

    own: list[Any] = []

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        name, seed = env.spec.name, envhub.host_seed(key)
        own[:] = [bsuite.load(name.partition("/")[0], sweep.SETTINGS[name])]
        inner = getattr(own[0], "raw_env", own[0])
        vars(inner)["_rng"] = np.random.RandomState(seed)  # bsuite has no other way to seed
        if inner is not own[0]:
            vars(own[0])["_rng"] = np.random.RandomState([seed, 1])
        return jnp.asarray(own[0].reset().observation), ()

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = own[0].step(int(action))
        info = {"discount": after.discount, **own[0].bsuite_info()}
        kept = {name: jnp.asarray(info[name], dtype) for name, _, dtype in env.info_entries}
        return jnp.asarray(after.observation), (), after.reward, after.last(), kept

    return reset, step


def _of_plugin(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """What Gymnasium makes of the package, whose missions are encoded as the hub encodes text."""
    import gymnasium

    module = registry.get(env.spec.suite).module
    own = gymnasium.make(f"{module}:{env.spec.name}", **_own_options(env))

    def shown(obs: Any) -> Any:
        return jax.tree.map(jnp.asarray, encode_text(env.observation_space(), obs))

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        return shown(own.reset(seed=envhub.host_seed(key))[0]), ()

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        obs, reward, terminated, _, info = own.step(np.asarray(action))
        kept = {name: jnp.asarray(info[name], dtype) for name, _, dtype in env.info_entries}
        return shown(obs), (), reward, terminated, kept

    return reset, step


def _of_ogbench(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """OGBench's own, beside which the hub's was made, so that it has one space of actions to seed.

    It draws from NumPy's own generator, which goes on from where this episode left it.
    """
    import gymnasium

    own = gymnasium.make(env.spec.name, disable_env_checker=True, **_own_options(env))
    has_goal = isinstance(env.observation_space(env.default_params), envhub.spaces.Dict)
    drawn: list[Any] = []
    goal: list[Any] = []

    def shown(obs: Any) -> Any:
        seen = {"goal": goal[0], "observation": obs} if has_goal else obs
        return jax.tree.map(jnp.asarray, seen)

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        seed = envhub.host_seed(key)
        own.unwrapped.action_space.seed(seed)
        drawn[:] = [np.random.RandomState(seed).get_state()]
        with _from_state(drawn):
            obs, info = own.reset(seed=seed)
        goal[:] = [info["goal"]]
        return shown(obs), ()

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        with _from_state(drawn):
            obs, reward, terminated, _, info = own.step(np.asarray(action)[()])
        kept = {name: jnp.asarray(info[name], dtype) for name, _, dtype in env.info_entries}
        return shown(obs), (), reward, terminated, kept

    return reset, step


@contextlib.contextmanager
def _from_state(drawn: list[Any]) -> Iterator[None]:
    """Let NumPy's own generator go on from a state, keep where it comes to, and put it back."""
    before = np.random.get_state()
    np.random.set_state(drawn[0])
    try:
        yield
    finally:
        drawn[0] = np.random.get_state()
        np.random.set_state(before)


def _of_functional(own: Any, env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """What `FunctionalJaxEnv` does, with a key given and not split off its own."""

    def given(params: Any) -> dict[str, Any]:
        # Its default params are Python's numbers, which XLA rounds in another order. Those of
        # tabular are rules and none, and its reward cannot take them.
        return {"params": params} if env.spec.name.startswith("phys2d/") else {}

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        state = own.initial(rng=key, **given(params))
        return own.observation(state, key, **given(params)), state

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = own.transition(state, action, key, **given(params))
        obs, done = (f(after, key, **given(params)) for f in (own.observation, own.terminal))
        reward = own.reward(state, action, after, key, **given(params))
        return obs, after, reward, done, own.transition_info(state, action, after)

    return reset, step


def _own_options(env: Any) -> dict[str, Any]:
    return {key: value for key, value in env.spec.kwargs.items() if key not in BRIDGE_OPTIONS}


def _of_ale(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """`AtariEnv` for the ids of Gymnasium, `AtariVectorEnv` of one environment for the others."""
    from ale_py.env import AtariEnv
    from ale_py.vector_env import AtariVectorEnv
    from envhub.adapters.ale.facts import game_of

    is_raw = env.spec.name.startswith("ALE/")
    game, options = game_of(env.spec.name), _own_options(env)
    options.pop("engine", None)
    own = AtariEnv(game, **options) if is_raw else AtariVectorEnv(game, 1, **options)

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        obs, _ = own.reset(seed=0)
        return jnp.asarray(obs if is_raw else obs[0]), ()

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        given = int(action) if is_raw else np.array([action])
        obs, reward, terminated, _, info = own.step(given)
        first = (
            [obs, reward, terminated] if is_raw else [each[0] for each in (obs, reward, terminated)]
        )
        # Its own `frame_number` goes on over resets.
        kept = {name: jnp.int32(np.squeeze(info[name])) for name, _, _ in env.info_entries}
        return jnp.asarray(first[0]), (), first[1], first[2], kept

    return reset, step


def _of_envpool(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """EnvPool's own loop over a pool of one, which is made anew for each seed."""
    import envpool

    options = {key: value for key, value in _own_options(env).items() if key != "seeding"}
    pool: list[Any] = []

    def first(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), tree)

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        seeds = {"num_envs": 1, "env_seed": [envhub.host_seed(key)]}
        pool[:] = [envpool.make(env.spec.name, env_type="gymnasium", **seeds, **options)]
        obs, _ = pool[0].reset()
        return first(obs), ()

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        obs, reward, terminated, _, info = pool[0].step(np.asarray(action)[None])
        kept = {name: first(info[name]) for name, *_ in env.info_entries}
        return first(obs), (), reward[0], terminated[0], kept

    return reset, step


def _of_dm_control(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """dm_control's own, which is made anew for each seed."""
    suite = registry.get("dm_control").load("suite")
    domain, _, task = env.spec.name.partition("-")
    own: list[Any] = []

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        seed = envhub.host_seed(key)
        drawn = 0 if domain == "lqr" else seed  # its model, too
        own[:] = [suite.load(domain, task, task_kwargs={"random": drawn})]
        own[0].task.random.seed(seed)
        return jax.tree.map(jnp.asarray, dict(own[0].reset().observation)), ()

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = own[0].step(np.asarray(action))
        obs, info = dict(after.observation), {"discount": jnp.float32(after.discount)}
        return jax.tree.map(jnp.asarray, obs), (), after.reward, after.discount == 0, info

    return reset, step


def _of_pufferlib(env: Any) -> tuple[Callable[..., Any], Callable[..., Transition]]:
    """PufferLib's own, fresh; it plays one episode."""
    import gymnasium

    emulation, name = registry.get("pufferlib").load("emulation"), env.spec.name
    if name in OCEAN:
        creator = registry.get("pufferlib").load("ocean").env_creator(f"puffer_{name}")
        one = {"num_envs": 1} if "num_envs" in keywords(creator) else {}
        own = creator(**one, **AS_THE_HUB.get(name, {}), **_own_options(env))
    else:
        own = emulation.GymnasiumPufferEnv(env=gymnasium.make(name, **_own_options(env)))

    def shown(array: Any) -> Any:
        return jnp.asarray(array if env.num_agents > 1 else array[0])

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        own.reset(seed=envhub.host_seed(key))
        return shown(own.observations), ()

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        space = own.single_action_space
        own.step(np.asarray(action, space.dtype).reshape(env.num_agents, *space.shape))
        return shown(own.observations), (), shown(own.rewards), shown(own.terminals), {}

    return reset, step


def _plugin(*sample: tuple[str, dict[str, Any]]) -> Binding:
    """That of a row of the table of what Gymnasium's registry makes."""
    return Binding(
        sample=sample,
        direct=_of_plugin,
        own_state=lambda state: (),
        own_done=lambda result: result.terminated,
    )


GYMNASIUM_1_1 = registry.get("gymnasium").at_least("1.1")
GYMNAX_1 = registry.get("gymnax").at_least("1.0")
HAS_OCEAN = "breakout" in registry.get("pufferlib").known_names()
# What the hub gives to Ocean's, which would draw it, or fail without.
AS_THE_HUB = {"enduro": {"seed": 0}, "connect4": {"report_interval": np.iinfo(np.int32).max}}
WITHOUT_NOOPS = {"noop_max": 0, "use_fire_reset": False}

BINDINGS = {
    "ale": Binding(
        sample=(
            ("ALE/Breakout-v5", {"repeat_action_probability": 0.0}),
            ("pong", WITHOUT_NOOPS),
            ("pong", {**WITHOUT_NOOPS, "engine": "python"}),
        ),
        direct=_of_ale,
        own_state=lambda state: (),
        own_done=lambda result: result.terminated,
        comparable=WITHOUT_NOOPS,
        incomparable="" if GYMNASIUM_1_1 else "ale-py's own environments need gymnasium 1.1",
    ),
    "dm_control": Binding(
        # The second draws a target, which is part of its model, in each reset.
        sample=(("cartpole-swingup", {}), ("reacher-easy", {})),
        direct=_of_dm_control,
        own_state=lambda state: (),
        own_done=lambda result: result.terminated,
    ),
    "envpool": Binding(
        sample=(("CartPole-v1", {}), ("MiniGrid-DoorKey-5x5-v0", {"seeding": "exact"})),
        direct=_of_envpool,
        # Of other names the first episodes end in a few steps, or every reset is the same, or
        # players take turns, which tests/quirks compares with EnvPool and with pgx.
        of_families={
            "highway": "Parking-v0",
            "jumanji": "Snake-v1",
            "mujoco.myosuite": "MyoHandWineglassRandom-v0",
            "pgx": "Play2048-v1",
            "vizdoom": "DefendTheCenter-v1",
        },
        own_state=lambda state: (),
        own_done=lambda result: result.terminated,
    ),
    "gymnax": Binding(
        sample=(
            ("CartPole-v1", {}),
            ("Pendulum-v1", {"transition_gradients": True} if GYMNAX_1 else {}),
            ("Breakout-MinAtar", {}),
            ("Catch-bsuite", {}),
            ("MemoryChain-bsuite", {}),
            ("MetaMaze-misc", {}),
            ("GaussianBandit-misc", {}),
        ),
        direct=_of_gymnax,
        # gymnax 0.0.9 merges the time limit into it.
        own_done=lambda result: result.terminated if GYMNAX_1 else result.done,
    ),
    "gymnasium": Binding(
        sample=(
            ("CartPole-v1", {}),
            ("CartPole-v1", {"forkable": False}),
            ("Blackjack-v1", {}),
            ("Hopper-v5", {}),
            ("LunarLander-v3", {}),
            ("LunarLander-v3", {"forkable": True}),  # by replay
            ("phys2d/CartPole-v1", {}),
            ("tabular/Blackjack-v0", {}),
        ),
        direct=_of_gymnasium,
        own_state=lambda state: getattr(state, "env", ()),
        own_done=lambda result: result.terminated,
    ),
    "bsuite": Binding(
        sample=(("catch/0", {}), ("cartpole_noise/0", {"forkable": True})),
        direct=_of_bsuite,
        of_families={"bandit": "bandit_noise/0", "mountain_car": "mountain_car_noise/0"},
        own_state=lambda state: (),
        own_done=lambda result: result.done,
    ),
    "crafter": Binding(
        sample=(("CrafterReward-v1", {}),),
        direct=_of_crafter,
        own_state=lambda state: (),
        own_done=lambda result: result.terminated,
    ),
    "highway": _plugin(("racetrack-v0", {})),
    "minigrid": _plugin(
        ("MiniGrid-Empty-Random-5x5-v0", {}), ("BabyAI-GoToLocal-v0", {"forkable": True})
    ),
    "ogbench": Binding(
        # The second draws in its resets from a space of actions, and needs a replay to be forked.
        sample=(("pointmaze-medium-v0", {}), ("puzzle-3x3-singletask-v0", {"forkable": True})),
        direct=_of_ogbench,
        of_families={"powderworld": "powderworld-easy-v0"},
        own_state=lambda state: (),
        own_done=lambda result: result.terminated,
    ),
    "popgym": _plugin(
        ("popgym-RepeatFirstEasy-v0", {}),
        ("popgym-PositionOnlyPendulumEasy-v0", {"forkable": True}),
    ),
    "pufferlib": Binding(
        sample=(
            ("CartPole-v1", {}),
            # One agent in C, and three of them, whose episodes end together.
            *((name, {}) for name in ("breakout", "trash_pickup") if HAS_OCEAN),
            *((name, {"forkable": True}) for name in ("trash_pickup",) if HAS_OCEAN),  # by replay
        ),
        direct=_of_pufferlib,
        own_state=lambda state: (),
        own_done=lambda result: result.terminated,
    ),
    "pgx": Binding(
        sample=(("tic_tac_toe", {}), ("minatar-breakout", {})),
        direct=_of_pgx,
        own_state=lambda state: state.tree,
    ),
    "jaxmarl": Binding(
        # With the agents first, and with agents of different spaces.
        sample=(("switch_riddle", {}), ("MPE_simple_crypto_v3", {})),
        direct=_of_jaxmarl,
        own_state=lambda state: state.tree,
    ),
    "kinetix": Binding(sample=(("s/h4_thrust_aim", {}),), direct=_of_kinetix),
    "octax": Binding(
        sample=(("brix", {}),),
        direct=_of_octax,
        own_done=lambda result: result.terminated,
    ),
    "xminigrid": Binding(
        sample=(("XLand-MiniGrid-R1-9x9", {}),),
        direct=_of_xminigrid,
        of_families={"MiniGrid": "MiniGrid-DoorKey-5x5"},
    ),
    "navix": Binding(
        sample=(
            ("Navix-DoorKey-5x5-v0", {}),
            ("Navix-KeyCorridorS3R1-v0", {"observation_fn": "categorical"}),
        ),
        direct=_of_navix,
    ),
    "craftax": Binding(sample=(("Craftax-Classic-Symbolic-v1", {}),), direct=_of_gymnax),
    "jumanji": Binding(
        sample=(("Game2048-v1", {}), ("Snake-v1", {})),
        direct=_of_jumanji,
    ),
    "playground": Binding(
        sample=(("CartpoleBalance", {}),),
        direct=_of_brax,
        own_state=lambda state: state.env,
        own_done=lambda result: result.terminated,
    ),
    "brax": Binding(
        sample=(
            ("inverted_pendulum", {"backend": "mjx"}),
            ("fast", {"backend": "spring"}),
        ),
        direct=_of_brax,
        own_state=lambda state: state.env,
        own_done=lambda result: result.terminated,
    ),
}


# Samples whose checks take the most time: they run with `--slow`. The others of a suite stay.
SLOW = (
    "ale::ALE/Breakout-v5,repeat_action_probability=0.0",
    "ale::pong,noop_max=0,use_fire_reset=False,engine=python",
    "brax::inverted_pendulum,backend=mjx",
    "craftax::Craftax-Classic-Symbolic-v1",
    "crafter::CrafterReward-v1",
    "gymnasium::tabular/Blackjack-v0",
    "highway::racetrack-v0",
    "jaxmarl::MPE_simple_crypto_v3",
    "navix::Navix-KeyCorridorS3R1-v0,observation_fn=categorical",
    "octax::brix",
    "playground::CartpoleBalance",
    "xminigrid::XLand-MiniGrid-R1-9x9",
)


@functools.cache
def sample_cases() -> tuple[Case, ...]:
    """What stands for each suite in the default run."""
    return tuple(
        Case(suite, name, tuple(options.items()))
        for suite, binding in BINDINGS.items()
        for name, options in binding.sample
    )


def candidates(suite: str) -> list[Case]:
    """What may be examined beyond the sample: every name in its first variant.

    The first name of the sample comes in all of its variants, before the others.
    """
    first = BINDINGS[suite].sample[0][0]
    names = sorted(registry.get(suite).known_names(), key=lambda name: (name != first, name))
    found = [
        case for name in names for case in variants(suite, name)[: None if name == first else 1]
    ]
    return [case for case in found if case not in sample_cases()]


def variants(suite: str, name: str) -> list[Case]:
    """A name with each of the options that its suite declares for it."""
    comparable = BINDINGS[suite].comparable
    every = [{**comparable, **options} for options in registry.get(suite).variants(name)]
    return [Case(suite, name, tuple(options.items())) for options in every]


def every_case() -> Iterator[Case]:
    """The sample, and every name of every suite in all of its variants."""
    yield from sample_cases()
    for suite in BINDINGS:
        for name in sorted(registry.get(suite).known_names()):
            yield from (case for case in variants(suite, name) if case not in sample_cases())


def gap_of(case: Case) -> envhub.Gap | None:
    return registry.get(case.suite).gap(case.name, dict(case.options))
