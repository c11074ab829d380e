"""Register the environments of every installed suite with Gymnasium.

    import gymnasium
    import envhub.gym

    env = gymnasium.make("gymnax/CartPole-v1")
    envs = gymnasium.make_vec("brax/hopper", num_envs=64)

Importing this module registers the known names of each installed suite with Gymnasium, and imports
no suite. `gymnasium.make("envhub.gym:gymnax/CartPole-v1")` imports the module itself.

The id of `"suite::Name"` is `"suite/Name"`, where `-` replaces each character that Gymnasium's
ids cannot have: `"gymnasium::phys2d/CartPole-v1"` is `"gymnasium/phys2d-CartPole-v1"`. `register`
adds other names, such as those of a third party.
"""

from __future__ import annotations

import re
from typing import Any

import envhub
from envhub import registry
from envhub.errors import InvalidEnvIdError, InvalidOptionError
from envhub.export.exchange import Kind
from envhub.export.gymnasium import to_gymnasium
from envhub.export.gymnasium_vec import to_gymnasium_vec
from envhub.hub import find
from envhub.spec import WrapperSpec
from envhub.wrappers.autoreset import Mode
from envhub.wrappers.time_limit import TimeLimit

__all__ = ["make_env", "make_vec_env", "register"]

LIMIT = "max_episode_steps"


def make_env(envhub_id: str, *, render_mode: str | None = None, **kwargs: Any) -> Any:
    """Make one environment; `gymnasium.make` calls this for all ids.

    The environment's `spec.max_episode_steps` is the episode limit, which the registry does not
    know in advance. `gymnasium.make` does not pass on its own keyword `max_episode_steps`: it adds
    a `TimeLimit`, which can only shorten episodes, and whose number `spec` reports, even if the
    environment's own limit is lower. To make episodes longer, pass the suite's own
    keyword; if it has the same name, pass `options={"max_episode_steps": 1000}`.

    Args:
        envhub_id: `"suite::Name"`.
        render_mode: as for `envhub.export.to_gymnasium`.
        **kwargs: as for `envhub.make`.

    Raises:
        EnvHubError: every error that `envhub.make` and `to_gymnasium` raise.

    Examples:
        >>> import gymnasium
        >>> env = gymnasium.make("envhub.gym:gymnax/CartPole-v1", max_steps_in_episode=100)
        >>> env.spec.max_episode_steps, env.reset(seed=0)[0].shape
        (100, (4,))
    """
    try:
        env, params = envhub.make(envhub_id, **kwargs)
    except InvalidOptionError as error:
        # torchrl 0.14's GymEnv gives `frameskip` to every id, and goes on without it where a
        # TypeError has these words.
        if "does not take 'frameskip'" not in str(error):
            raise
        raise InvalidOptionError(f"unexpected keyword argument 'frameskip': {error}") from error
    return to_gymnasium(env, params, render_mode=render_mode)


def make_vec_env(
    envhub_id: str,
    *,
    num_envs: int = 1,
    autoreset: Mode | None = "next_step",
    array: Kind = "numpy",
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
    **kwargs: Any,
) -> Any:
    """Make a batch with `to_gymnasium_vec`; `gymnasium.make_vec` calls this for all ids.

    Args:
        envhub_id: `"suite::Name"`.
        num_envs: the number of environments.
        autoreset: as for `envhub.make_vec`; by default Gymnasium's mode.
        array: as for `to_gymnasium_vec`.
        render_mode: as for `to_gymnasium_vec`.
        max_episode_steps: an additional limit on episodes; for a suite that has a keyword of this
            name, it replaces the suite's own limit.
        **kwargs: as for `envhub.make_vec`.

    Raises:
        EnvHubError: every error that `envhub.make_vec` and `to_gymnasium_vec` raise.

    Examples:
        >>> import gymnasium
        >>> envs = gymnasium.make_vec("envhub.gym:gymnax/CartPole-v1", num_envs=3)
        >>> envs.reset(seed=0)[0].shape, envs.spec.max_episode_steps
        ((3, 4), 500)
    """
    if max_episode_steps is not None:
        suite, name, _ = find(envhub_id, kwargs)
        if suite.limit(name, kwargs) == LIMIT:
            kwargs[LIMIT] = max_episode_steps
        else:
            limit = WrapperSpec(TimeLimit, {LIMIT: max_episode_steps})
            kwargs["wrappers"] = [*(kwargs.get("wrappers") or ()), limit]
    venv, params = envhub.make_vec(envhub_id, num_envs, autoreset=autoreset, **kwargs)
    return to_gymnasium_vec(venv, params, render_mode=render_mode, array=array)


# `gymnasium.make` reads this before it calls the function, and adds the wrappers for the modes
# "human" and "rgb_array_list".
make_env.metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # type: ignore[attr-defined]


def register(env_id: str) -> str:
    """Register one more environment with Gymnasium.

    Args:
        env_id: `"suite::Name"`, with any name that `envhub.make` takes.

    Returns:
        The id in Gymnasium's registry.

    Raises:
        InvalidEnvIdError, UnknownSuiteError, UnknownEnvError: if the id names nothing, or another
            environment already has that id in Gymnasium's registry.

    Examples:
        >>> import envhub.gym
        >>> envhub.gym.register("gymnasium::phys2d/CartPole-v1")
        'gymnasium/phys2d-CartPole-v1'
    """
    gymnasium: Any = registry.get("gymnasium").load()
    suite, name, capabilities = find(env_id, {})
    own_id = f"{suite.name}/{re.sub(r'[^a-zA-Z0-9_.-]', '-', name)}"
    kwargs = {"envhub_id": f"{suite.name}::{name}"}
    known = gymnasium.registry.get(own_id)
    if known is None:
        gymnasium.register(
            own_id,
            entry_point="envhub.gym:make_env",
            vector_entry_point="envhub.gym:make_vec_env",
            nondeterministic=not capabilities.reproducible,
            kwargs=kwargs,
        )
    elif known.kwargs != kwargs:
        raise InvalidEnvIdError(f"Gymnasium already has the id {own_id!r} of {env_id!r}: {known}.")
    return own_id


def _register_installed() -> None:
    for suite_name in envhub.suites():
        with registry.sparing_others(suite_name):
            suite = registry.get(suite_name)
            if suite.installed() is not None:
                for name in suite.known_names():
                    register(f"{suite_name}::{name}")


def __dir__() -> list[str]:
    return sorted(__all__)


_register_installed()
