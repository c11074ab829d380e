"""The keywords of `make` that callback environments take, and the capabilities they decide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from envhub.errors import InvalidOptionError, MissingCapabilityError
from envhub.flags import FLAGS, Capabilities, Claim

BRIDGE_OPTIONS = (
    "forkable", "snapshots", "replay_steps", "replay_cache", "max_instances", "snapshot_size",
    "snapshot_key", "workers", "num_workers", "ray_options", "timeout",
)  # fmt: skip
SNAPSHOTS = ("saved", "replay")
BY_REPLAY = "by replay: a restore resets an instance with the seed and plays the actions again"
BY_SAVING = "by saving: a restore puts an instance into the state that was saved"
WORKERS = ("serial", "thread", "process", "ray")
# Ray would restart an actor without its instances, and repeat calls that have moved some.
DECIDED_OF_ACTORS = (
    "name", "lifetime", "get_if_exists", "max_restarts", "max_task_retries", "max_concurrency",
    "max_pending_calls", "concurrency_groups", "allow_out_of_order_execution",
)  # fmt: skip
# jax 0.4.35 does in one program of a few hundred; 0.10 and newer do not, and what lies between was
# not tried.
CALLBACKS_HANG = "before 0.5, jax sometimes hangs in callbacks on several CPU devices."
FIXED = "nothing of it can be changed while it lives."
UNKNOWN = "not known before it is made: envhub.make finds out."
# What shows in the episodes of two instances, or in neither: the seed decides them, or not.
OF_EPISODES = ("reproducible", "vmap_safe", "isolated_reset", "multi_device")
MIN_KEY, MAX_KEY = 16, 64  # bytes; BLAKE2b takes no more


def host_capabilities(
    options: Mapping[str, Any], can_be_forked: Claim, **claims: Claim
) -> Capabilities:
    """Return the capabilities of a callback environment.

    Args:
        options: the keywords of `make`; `forkable=False` omits snapshots.
        can_be_forked: whether an instance can be saved and restored, or the reason why not.
        **claims: the claims of the suite: `has_env_params`, `renderable`, and any other flag.

    Examples:
        >>> none = {"has_env_params": "there are none.", "renderable": "there is nothing to see."}
        >>> caps = host_capabilities({}, True, **none)
        >>> caps.jax_native, caps.forkable
        (False, True)
    """
    return capabilities_of(
        options, {**dict.fromkeys(FLAGS, True), "forkable": can_be_forked, **claims}
    )


def capabilities_of(options: Mapping[str, Any], claims: Mapping[str, Claim]) -> Capabilities:
    """Return the capabilities for claims by flag; other flags are unknown until it is made."""
    claims = {**dict.fromkeys(FLAGS, UNKNOWN), **claims}
    forkable = claims["forkable"]
    if forkable is True and options.get("forkable", True) is False:
        forkable = "it was made with forkable=False."
    leaves = "a state without a snapshot cannot leave its process: "
    decided: dict[str, Claim] = {
        "jax_native": "it is a callback environment: its steps run in Python on the CPU.",
        "forkable": forkable,
        "checkpointable": forkable if forkable in (True, UNKNOWN) else f"{leaves}{forkable}",
        "differentiable": "no gradient flows through a callback.",
    }
    import jax

    if jax.__version_info__ < (0, 5) and claims["multi_device"] is True:
        decided["multi_device"] = CALLBACKS_HANG
    found = Capabilities.claim(**claims | decided)
    is_replayed = asks_for_replay(options, True)
    return found.noting("forkable", BY_REPLAY if is_replayed else BY_SAVING)


def asks_for_replay(options: Mapping[str, Any], can_be_saved: Claim) -> bool:
    """Tell whether options ask for snapshots by replay, where instances can be saved or not."""
    if options.get("snapshots") is None:
        return options.get("forkable") is True and can_be_saved is not True
    return isinstance(options["snapshots"], str) and options["snapshots"] == "replay"


def of_one_instance(capabilities: Capabilities) -> tuple[Capabilities, dict[str, Any]]:
    """Return the capabilities of an environment with a single instance, reused by every reset.

    Returns:
        The capabilities, and the options of such an environment.

    Examples:
        >>> env, params = envhub.make("gymnasium::CartPole-v1")
        >>> caps, options = of_one_instance(env.capabilities)
        >>> caps.vmap_safe, options
        (False, {'max_instances': 1})
    """
    reason = "it is one live environment. Give envhub.wrap a function that makes it."
    lost = ("forkable", "checkpointable", "vmap_safe", "isolated_reset", "multi_device")
    return capabilities.without(**dict.fromkeys(lost, reason)), {"max_instances": 1}


def check_options(env_id: str, options: Mapping[str, Any], capabilities: Capabilities) -> None:
    """Refuse invalid values of options.

    Raises:
        MissingCapabilityError: if `forkable=True` is given and the environment cannot be forkable.
        InvalidOptionError: if another option is invalid.
    """
    check_snapshots(options)
    if (options.get("forkable") or options.get("snapshots")) and not capabilities.forkable:
        raise MissingCapabilityError(f"{env_id} is not forkable: {capabilities.why('forkable')}")
    _check_key(env_id, options.get("snapshot_key"), capabilities)
    check_timeout(options)
    workers = options.get("workers")
    if workers not in (None, *WORKERS):
        known = ", ".join(map(repr, WORKERS))
        raise InvalidOptionError(f"workers must be one of {known}, got {workers!r}.")
    if workers in (None, "serial") and options.get("num_workers") is not None:
        raise InvalidOptionError(
            "num_workers needs workers='thread', 'process' or 'ray'; serial instances have none."
        )
    if options.get("ray_options") is not None:
        if workers != "ray":
            raise InvalidOptionError("ray_options needs workers='ray', which runs actors of Ray.")
        _check_ray_options(options["ray_options"])


def check_snapshots(options: Mapping[str, Any]) -> None:
    """Refuse invalid numbers and kinds of snapshots. This comes before any proof of replays.

    Raises:
        InvalidOptionError: if one is invalid; the message names the value.
    """
    forkable, snapshots = options.get("forkable"), options.get("snapshots")
    if forkable is not None and type(forkable) is not bool:  # 0 would be taken for nothing
        raise InvalidOptionError(f"forkable must be True or False, got {forkable!r}.")
    if snapshots is not None and not (isinstance(snapshots, str) and snapshots in SNAPSHOTS):
        raise InvalidOptionError(f"snapshots must be 'saved' or 'replay', got {snapshots!r}.")
    if snapshots and forkable is False:
        raise InvalidOptionError(
            f"snapshots={snapshots!r} asks for snapshots, and forkable=False for none; omit one."
        )
    cache = options.get("replay_cache")
    if cache is not None and (type(cache) is not int or cache < 0):
        raise InvalidOptionError(
            f"replay_cache must be a number of bytes, 0 for no copies, got {cache!r}."
        )
    for name in ("max_instances", "snapshot_size", "num_workers", "replay_steps"):
        value = options.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise InvalidOptionError(f"{name} must be a positive integer, got {value!r}.")


def check_timeout(options: Mapping[str, Any]) -> None:
    """Refuse an invalid timeout. This comes before any trial, because trials respect it.

    Raises:
        InvalidOptionError: if it is invalid; the message names the value.
    """
    timeout = options.get("timeout")
    if timeout is not None and (type(timeout) not in (int, float) or not 0 < timeout < math.inf):
        raise InvalidOptionError(f"timeout must be a positive number of seconds, got {timeout!r}.")


def _check_ray_options(given: Any) -> None:
    """Refuse options of actors that envhub decides; Ray checks the others."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidOptionError(
            f"ray_options must be a dict of the options of Ray's actors, got {given!r}."
        )
    decided = [name for name in given if name in DECIDED_OF_ACTORS]
    if decided:
        raise InvalidOptionError(
            f"envhub decides {', '.join(map(repr, decided))} of an actor; omit it from ray_options."
        )


def own_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the suite, without those of all callback environments."""
    return {key: value for key, value in options.items() if key not in BRIDGE_OPTIONS}


def _check_key(env_id: str, key: Any, capabilities: Capabilities) -> None:
    if key is None:
        return
    if not isinstance(key, bytes) or not MIN_KEY <= len(key) <= MAX_KEY:
        given = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
        raise InvalidOptionError(
            f"snapshot_key must be {MIN_KEY} to {MAX_KEY} bytes that only you know, such as "
            f"secrets.token_bytes(32); got {given}."
        )
    if not capabilities.forkable:
        raise InvalidOptionError(
            f"{env_id} has no snapshots that snapshot_key could protect: "
            f"{capabilities.why('forkable')}"
        )
