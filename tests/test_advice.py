"""What an error advises is done here, and works: `docs/contract.md`, section 5."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, export, wrappers
from envhub.wrappers import AutoReset

PACKAGE = Path(envhub.__file__).parent
CARTPOLE, PENDULUM = "gymnax::CartPole-v1", "gymnax::Pendulum-v1"
DRAWN = "gymnasium::CartPole-v1"  # gymnax 0.0.9 does not draw its own
KEY = jax.random.key(0)
pytestmark = [
    pytest.mark.xdist_group("advice"),  # each error is raised once
    pytest.mark.usefixtures("clean_registry"),
]
NOWHERE = f"{tempfile.gettempdir()}/envhub-records-no-video"
# What the wrappers that are advised take, besides an environment.
OPTIONS: dict[str, dict[str, Any]] = {
    "TimeLimit": {"max_episode_steps": 7},
    "FrameStackObservation": {"stack_size": 2},
    "ClipReward": {"max_reward": 1.0},
    "RecordVideo": {"video_folder": NOWHERE, "episode_trigger": lambda episode: False},
}
NAMES = {
    "envhub": envhub,
    "jax": jax,
    "jnp": jnp,
    **{
        name: getattr(wrappers, name)(**OPTIONS[name]) if name in OPTIONS else kind
        for name, kind in vars(wrappers).items()
        if name in wrappers.__all__
    },
}


@dataclasses.dataclass
class Advice:
    """Something refused, and how to do what the error says.

    Attributes:
        refused: what is called.
        code: finds the code in the text of the error, as the group of a pattern.
        follow: does what the code says.
    """

    refused: Callable[[], Any]
    code: str
    follow: Callable[[str], Any]

    @functools.cached_property
    def text(self) -> str:
        """That of the error."""
        with pytest.raises(errors.EnvHubError) as caught:
            self.refused()
        return str(caught.value)


def made(env_id: str, *around: Any, **options: Any) -> envhub.Environment:
    return envhub.make(env_id, wrappers=around, **options)[0]


def value(code: str, **more: Any) -> Any:
    return eval(code, {**NAMES, **more})


def remade(code: str, env_id: str = CARTPOLE) -> None:
    """Make one and a batch with these keywords, and step both."""
    keywords = value(f"dict({code})")
    env, params = envhub.make(env_id, **keywords)
    stepped(env)
    venv, params = envhub.make_vec(env_id, 2, **keywords)
    _, states = venv.reset(KEY, params)
    venv.step(KEY, states, jnp.zeros(2, int), params)


def stepped(env: envhub.Environment) -> Any:
    _, state = env.reset(KEY)
    return env.step(KEY, state, env.action_space().sample(KEY))


ARRANGED = r"(wrappers=\[.*\], autoreset=None)"


def stepped_behind_another_reset(max_instances: int) -> None:
    env = made(DRAWN, forkable=False, max_instances=max_instances)
    _, state = env.reset(KEY)
    env.reset(KEY)
    env.step(KEY, state, 0)


def mesh() -> jax.sharding.Mesh:
    return jax.sharding.Mesh(np.array(jax.devices()[:1]), ("devices",))


def rewarded(*outer: Any) -> Any:
    """A batch whose observation has an entry "reward"."""
    space = envhub.spaces.Dict({"reward": made(CARTPOLE).observation_space()})
    inner = wrappers.TransformObservation(func=lambda obs: {"reward": obs}, observation_space=space)
    return envhub.make_vec(CARTPOLE, 2, wrappers=[inner, *outer])


def split() -> jax.sharding.NamedSharding:
    return jax.sharding.NamedSharding(mesh(), jax.sharding.PartitionSpec("devices"))


def of_a_batch() -> Any:
    """A state with the statistics of two lanes."""
    env = made(CARTPOLE, wrappers.NormalizeObservation)
    return jax.vmap(env.reset)(jax.random.split(KEY, 2))[1]


def stepped_in_brax(env: envhub.Environment) -> None:
    own = export.to_brax(env)
    own.step(own.reset(KEY), jnp.zeros(own.action_size))


def twice_registered() -> None:
    envhub.register("mine", "a:b")
    envhub.register("mine", "c:d")


def registered_after(code: str) -> None:
    envhub.register("mine", "a:b")
    value(code)
    envhub.register("mine", "c:d")


def rolled_out(key: Any) -> Any:
    return envhub.rollout(made(CARTPOLE), None, None, key, 2, progress=True)


def foraged(form: Callable[[Any, Any], Any]) -> Any:
    """Step with actions that were by name, in this form."""
    env = made("jumanji::LevelBasedForaging-v0")
    return env.step(KEY, env.reset(KEY)[1], form(env, dict.fromkeys(env.agents, 0)))


def of_two(params: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), params)


def line() -> Any:
    """A class of Gymnasium's that nobody has registered."""
    import gymnasium

    class Line(gymnasium.Env):  # type: ignore[misc]
        observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return np.zeros(1, np.float32), {}

        def step(self, action: Any) -> Any:
            return np.zeros(1, np.float32), 1.0, False, False, {}

    return Line


def two_episodes(construct: Any) -> None:
    env, _ = envhub.wrap(construct)
    for seed in range(3):
        env.reset(jax.random.key(seed))


ADVICE = {
    "an AutoReset around an AutoReset": Advice(
        lambda: AutoReset(AutoReset(made(CARTPOLE))), ARRANGED, remade
    ),
    "autoreset= around an AutoReset": Advice(
        lambda: envhub.make(CARTPOLE, wrappers=[AutoReset], autoreset="next_step"), ARRANGED, remade
    ),
    "a batch of AutoReset": Advice(
        lambda: envhub.make_vec(CARTPOLE, 2, wrappers=[NAMES["ClipReward"], AutoReset]),
        ARRANGED,
        remade,
    ),
    "a fleet of AutoReset": Advice(
        lambda: envhub.make_multi(
            [CARTPOLE], wrappers=[AutoReset(mode="next_step")], autoreset="same_step"
        ),
        ARRANGED,
        remade,
    ),
    "an AutoReset around a batch": Advice(
        lambda: AutoReset(envhub.make_vec(CARTPOLE, 2)[0]), ARRANGED, remade
    ),
    "statistics around a batch": Advice(
        lambda: wrappers.NormalizeReward(envhub.make_vec(CARTPOLE, 2)[0]), ARRANGED, remade
    ),
    "a limit around a batch": Advice(
        lambda: wrappers.TimeLimit(envhub.make_vec(CARTPOLE, 2)[0], 7), ARRANGED, remade
    ),
    "a video of a batch": Advice(
        lambda: wrappers.RecordVideo(envhub.make_vec(DRAWN, 2)[0], NOWHERE),
        r"(RecordVideo\(venv\.env)\)",
        lambda code: value(
            f"{code}, {NOWHERE!r})",
            RecordVideo=wrappers.RecordVideo,
            venv=envhub.make_vec(DRAWN, 2)[0],
        ),
    ),
    "statistics inside of AutoReset": Advice(
        lambda: envhub.make_vec(CARTPOLE, 2, wrappers=[wrappers.NormalizeObservation]),
        ARRANGED,
        remade,
    ),
    "statistics and a limit inside": Advice(
        lambda: made(
            CARTPOLE,
            wrappers.NormalizeObservation,
            NAMES["TimeLimit"],
            wrappers.NormalizeReward,
            autoreset="next_step",
        ),
        ARRANGED,
        remade,
    ),
    "a limit outside of AutoReset": Advice(
        lambda: envhub.make_vec(
            CARTPOLE, 2, autoreset=None, wrappers=[AutoReset, NAMES["TimeLimit"]]
        ),
        ARRANGED,
        remade,
    ),
    "frames outside of AutoReset": Advice(
        lambda: made(
            CARTPOLE,
            AutoReset(mode="next_step"),
            wrappers.NormalizeReward,
            NAMES["FrameStackObservation"],
        ),
        ARRANGED,
        remade,
    ),
    "more episodes than lanes": Advice(
        lambda: envhub.evaluate(
            *envhub.make_vec(CARTPOLE, 2, autoreset=None), lambda *_: jnp.zeros(2, int), KEY, 3
        ),
        r"(autoreset=\"same_step\")",
        lambda code: envhub.evaluate(
            *value(f"envhub.make_vec({CARTPOLE!r}, 2, {code})"),
            lambda *_: jnp.zeros(2, int),
            KEY,
            3,
        ),
    ),
    "bins that are too many for one number": Advice(
        lambda: wrappers.DiscretizeObservation(made(PENDULUM), bins=2000),
        r"give (multidiscrete=True)",
        lambda code: stepped(value(f"DiscretizeObservation(bins=2000, {code})")(made(PENDULUM))),
    ),
    "a batch that Stable-Baselines3 cannot take": Advice(
        lambda: export.to_sb3(*envhub.make_vec(CARTPOLE, 2, autoreset="next_step")),
        r"(make_vec\(…, autoreset=\"same_step\"\))",
        lambda code: export.to_sb3(
            *value(code.replace("…", f"{CARTPOLE!r}, 2"), make_vec=envhub.make_vec)
        ).reset(),
    ),
    "a batch that TorchRL cannot take": Advice(
        lambda: export.to_torchrl(*envhub.make_vec(CARTPOLE, 2, autoreset=None)),
        r"(make_vec\(…, autoreset=\"same_step\"\))",
        lambda code: export.to_torchrl(
            *value(code.replace("…", f"{CARTPOLE!r}, 2"), make_vec=envhub.make_vec)
        ).reset(),
    ),
    "a space that TorchRL has no spec for": Advice(
        lambda: export.to_torchrl(*envhub.make_vec("gymnasium::Blackjack-v1", 2)),
        r"(wrappers=\[FlattenObservation\])",
        lambda code: export.to_torchrl(
            *value(f"envhub.make_vec('gymnasium::Blackjack-v1', 2, {code})")
        ).reset(),
    ),
    "names of an observation that TorchRL takes": Advice(
        lambda: export.to_torchrl(*rewarded()),
        r"(wrappers=\[FlattenObservation\])",
        lambda code: export.to_torchrl(*rewarded(*value(f"dict({code})")["wrappers"])).reset(),
    ),
    "a recycled instance": Advice(
        lambda: stepped_behind_another_reset(1),
        r"max_instances=(\d+)",
        lambda code: stepped_behind_another_reset(int(code)),
    ),
    "actions by name of agents on an axis": Advice(
        lambda: foraged(lambda env, actions: actions),
        r"(env\.stack_agents\(actions\))",
        lambda code: foraged(lambda env, actions: value(code, env=env, actions=actions)),
    ),
    "a batch of keys": Advice(
        lambda: made(CARTPOLE).reset(jax.random.split(KEY, 3)),
        r"(jax\.vmap\(.*\)\(keys, params\))",
        lambda code: value(code, env=made(CARTPOLE), keys=jax.random.split(KEY, 3), params=None),
    ),
    "no key": Advice(
        lambda: made(CARTPOLE).reset(0),
        r"(jax\.random\.key\(seed\))",
        lambda code: made(CARTPOLE).reset(value(code, seed=0)),
    ),
    "params of another form": Advice(
        lambda: made(CARTPOLE).reset(KEY, {"gravity": 1.0}),
        r"(params\.replace\(field=value\))",
        lambda code: value(
            code.replace("field", "gravity"), params=made(CARTPOLE).default_params, value=1.0
        ),
    ),
    "wrappers that are no list": Advice(
        lambda: envhub.make(CARTPOLE, wrappers=2),  # type: ignore[arg-type]
        r"(\[TimeLimit\(.*?\)\])",
        lambda code: stepped(made(CARTPOLE, *value(code, TimeLimit=wrappers.TimeLimit))),
    ),
    "workers of what has none": Advice(
        lambda: envhub.make(CARTPOLE, workers="ray"),
        r"(envhub\.make_vec\(.*?\)) steps many",
        lambda code: value(code, num_envs=2)[0].reset(KEY),
    ),
    "a keyword of a batch": Advice(
        lambda: envhub.make(CARTPOLE, num_envs=2),
        r"(envhub\.make_vec\(.*?\))",
        lambda code: value(code, num_envs=2)[0].reset(KEY),
    ),
    "a keyword that has a name of the hub's": Advice(
        lambda: envhub.make(CARTPOLE, params=2),  # type: ignore[arg-type]
        r"give (options=)",
        lambda code: stepped(
            value(
                f"envhub.make(env_id, {code}options)[0]",
                env_id=CARTPOLE,
                options={},
            )
        ),
    ),
    "options of a reset": Advice(
        lambda: export.to_gymnasium(made("gymnasium::CartPole-v1")).reset(options={"low": 0.0}),
        r"envhub\.make\(…, (reset_options=)",
        lambda code: stepped(
            made(
                "gymnasium::CartPole-v1",
                **value(f"dict({code}options)", options={"low": 0.0, "high": 0.01}),
            )
        ),
    ),
    "params of two": Advice(
        lambda: made(CARTPOLE).reset(KEY, of_two(made(CARTPOLE).default_params)),
        r"(make_vec\(…, (batched_params=True)\))",
        lambda code: envhub.make_vec(CARTPOLE, 2, batched_params=True)[0].reset(
            KEY, of_two(made(CARTPOLE).default_params)
        ),
    ),
    "params of one": Advice(
        lambda: envhub.make_vec(CARTPOLE, 2, batched_params=True)[0].reset(
            KEY, made(CARTPOLE).default_params
        ),
        r"(jax\.tree\.map\(.*\))",
        lambda code: envhub.make_vec(CARTPOLE, 2, batched_params=True)[0].reset(
            KEY, value(code, params=made(CARTPOLE).default_params)
        ),
    ),
    "a key of another generator": Advice(
        lambda: made(CARTPOLE).reset(jnp.zeros(4, jnp.uint32)),
        r"(jax\.random\.wrap_key_data\(key, impl=name\))",
        lambda code: made(CARTPOLE).reset(value(code, key=jnp.zeros(4, jnp.uint32), name="rbg")),
    ),
    "discrete actions for brax": Advice(
        lambda: export.to_brax(made(CARTPOLE)),
        r"(envhub\.wrappers\.TransformAction\(.*\))\.",
        lambda code: stepped_in_brax(made(CARTPOLE, value(code))),
    ),
    "two ways to split a batch": Advice(
        lambda: envhub.make_vec(CARTPOLE, 2, mesh=mesh(), sharding=split()),
        r"give either (mesh=) or sharding=",
        lambda code: value(f"envhub.make_vec({CARTPOLE!r}, 2, {code}mesh)", mesh=mesh()),
    ),
    "tensors of a batch that is split": Advice(
        lambda: export.to_gymnasium_vec(
            envhub.make_vec(CARTPOLE, 2, mesh=mesh())[0], array="torch"
        ),
        r"without (mesh=)",
        lambda code: export.to_gymnasium_vec(envhub.make_vec(CARTPOLE, 2)[0], array="torch"),
    ),
    "a name that nobody has": Advice(
        lambda: envhub.make("gymnax::CartPool"),
        r"(envhub\.list_envs\('gymnax'\))",
        lambda code: value(code).index(CARTPOLE),
    ),
    "statistics of a batch": Advice(
        lambda: wrappers.NormalizeObservation(made(CARTPOLE), statistics=of_a_batch().statistics),
        r"(jax\.tree\.map\(.*state\.statistics\))",
        lambda code: wrappers.NormalizeObservation(
            made(CARTPOLE), statistics=value(code, state=of_a_batch())
        ),
    ),
    "an axis that is not there": Advice(
        lambda: stepped(made(CARTPOLE, wrappers.NormalizeReward(axis_name="lanes"))),
        r"jax\.vmap\(…, (axis_name='lanes')\)",
        lambda code: value(
            f"jax.vmap(reset, {code})(keys)",
            reset=made(CARTPOLE, wrappers.NormalizeReward(axis_name="lanes")).reset,
            keys=jax.random.split(KEY, 2),
        ),
    ),
    "no mask": Advice(
        lambda: wrappers.ActionMask(made(CARTPOLE)),
        r"[Gg]ive (mask_fn=)",
        lambda code: stepped(
            value(f"ActionMask({code}mask)", mask=lambda *_: jnp.ones(2, bool))(made(CARTPOLE))
        ),
    ),
    "no button": Advice(
        lambda: wrappers.FireReset(made(CARTPOLE)),
        r"give (fire_action=)",
        lambda code: stepped(value(f"FireReset({code}1)")(made(CARTPOLE))),
    ),
    "a fraction of no limit": Advice(
        lambda: wrappers.TimeAwareObservation(
            made("gymnasium::CartPole-v1", max_episode_steps=-1), normalize_time=True
        ),
        r"give (max_episode_steps=)",
        lambda code: stepped(
            value(f"TimeAwareObservation({code}9, normalize_time=True)")(made(CARTPOLE))
        ),
    ),
    "what cannot be flattened": Advice(
        lambda: wrappers.TimeAwareObservation(made("gymnasium::Blackjack-v1")),
        r"(flatten=False)",
        lambda code: stepped(
            value(f"TimeAwareObservation({code})")(made("gymnasium::Blackjack-v1"))
        ),
    ),
    "floats as floats": Advice(
        lambda: wrappers.ToFloat(made(PENDULUM)),
        r"(RescaleObservation\(.*?\))",
        lambda code: stepped(value(code)(made(PENDULUM))),
    ),
    "lives in steps of their own": Advice(
        lambda: wrappers.EpisodicLife(made("ale::breakout", autoreset="next_step")),
        r"(AutoReset\(mode='same_step'\))",
        lambda code: wrappers.EpisodicLife(made("ale::breakout", value(code))),
    ),
    "a live environment": Advice(
        lambda: two_episodes(functools.partial(lambda one: one, line()())),
        r"(envhub\.wrap\(lambda: MyEnv\(…\)\))",
        lambda code: two_episodes(
            value(code.replace("…", "")[len("envhub.wrap(") : -1], MyEnv=line())
        ),
    ),
    "a capability that is missing": Advice(
        lambda: envhub.require(made(CARTPOLE), "differentiable"),
        r"Others: (envhub\.list_envs\(.*\))",
        lambda code: value(code).index("brax::hopper"),
    ),
    "statistics of all lanes": Advice(
        lambda: envhub.require(
            made(CARTPOLE, wrappers.NormalizeReward(axis_name="envs")), "vmap_safe"
        ),
        r"(axis_name=None) keeps .*(update=False)",
        lambda code: envhub.require(made(CARTPOLE, value(f"NormalizeReward({code})")), "vmap_safe"),
    ),
    "a delay": Advice(
        lambda: envhub.require(
            made("brax::inverted_pendulum", wrappers.DelayObservation(delay=1)), "differentiable"
        ),
        r"(delay=0)",
        lambda code: envhub.require(
            made("brax::inverted_pendulum", value(f"DelayObservation({code})")), "differentiable"
        ),
    ),
    "a game that ends with each life": Advice(
        lambda: wrappers.EpisodicLife(made("ale::breakout", episodic_life=True)),
        r"made with (episodic_life=True), .* leave that out",
        lambda code: stepped(made("ale::breakout", wrappers.EpisodicLife)),
    ),
    "a name that is taken": Advice(
        twice_registered,
        r"call (envhub\.unregister\('mine'\))",
        registered_after,
    ),
    "a bar inside of jit": Advice(
        lambda: jax.jit(rolled_out)(KEY),
        r"(progress=True) shows .* outside jit",
        lambda code: rolled_out(KEY),
    ),
    "more episodes than environments": Advice(
        lambda: envhub.evaluate(
            envhub.make_vec(CARTPOLE, 2, autoreset=None)[0], None, None, KEY, 3
        ),
        r"(autoreset=\".*\")",
        lambda code: envhub.evaluate(
            value(f"envhub.make_vec({CARTPOLE!r}, 2, {code})")[0], None, None, KEY, 3
        ),
    ),
    "a video inside of jit": Advice(
        lambda: jax.jit(made(DRAWN, NAMES["RecordVideo"]).reset)(KEY),
        r"the last of (wrappers=)",
        lambda code: stepped(
            value(f"envhub.make(env_id, {code}[AutoReset, RecordVideo])", env_id=DRAWN)[0]
        ),
    ),
}


# Texts with code that advise nothing, or what cannot be done here.
SAYS_WHAT_IS = [
    "mesh= must be ", "of wrappers= must return", "Start processes with spawn", "wrappers= holds",
    "sharding= must be ", "sharding= must split ", "the vector environments of ",
    "array='torch' needs", "(mode='next_step')", "must return an envhub.StepResult(",
    "is EnvSpec(options=…, params=…) now",
    "to_sb3 takes",  # done in tests/export/test_sb3.py
    "envhub.VectorEnv(env, n) makes a batch of that",  # done in tests/test_evaluate.py
    "a batch that explicit axes of a mesh split",  # done in tests/conformance/test_modes.py
]  # fmt: skip
if importlib.util.find_spec("stable_baselines3") is None:
    del ADVICE["a batch that Stable-Baselines3 cannot take"]
    SAYS_WHAT_IS.append("Stable-Baselines3 resets in the step")
if importlib.util.find_spec("torchrl") is None:
    for name in [name for name in ADVICE if "TorchRL" in name]:
        del ADVICE[name]
    SAYS_WHAT_IS += ["to_torchrl needs", "TorchRL has no spec", "that TorchRL names itself"]
if importlib.util.find_spec("torch") is None:
    del ADVICE["tensors of a batch that is split"]
    SAYS_WHAT_IS.append("a tensor is on one device")


@pytest.mark.parametrize("what", ADVICE)
def test_the_advice_works(what: str) -> None:
    advice = ADVICE[what]
    found = re.search(advice.code, advice.text)
    assert found, advice.text
    advice.follow(found[1])


# Where `cli`, `host` and `testing` advise something, their own tests do it; spaces show themselves.
ELSEWHERE = {"adapters", "cli", "host", "matrix", "spaces", "testing"}
CODE = re.compile(r"\w\((?=[^)]*\))|\b[a-z_]+=(?=$|[\s,;.'\"\w(\[])")


def texts_with_code() -> Iterator[list[str]]:
    """The constant parts of each text in the package that shows code, docstrings aside."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in ELSEWHERE:
            continue
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        inside = {
            id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values
        }
        inside |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if id(node) in inside or not isinstance(node, ast.JoinedStr | ast.Constant):
                continue
            values = node.values if isinstance(node, ast.JoinedStr) else [node]
            parts = [str(part.value) if isinstance(part, ast.Constant) else "\0" for part in values]
            if CODE.search("".join(parts)):
                yield parts


def test_no_other_text_advises_anything() -> None:
    known = "\n".join(advice.text for advice in ADVICE.values())
    texts, unknown = list(texts_with_code()), []
    assert len(texts) > 20
    for parts in texts:
        text = "".join(parts)
        pattern = ".*".join(re.escape(part) for part in parts if part != "\0")
        if not (re.search(pattern, known) or any(part in text for part in SAYS_WHAT_IS)):
            unknown.append(text)
    assert not unknown, "these advise something, and no test does it"
