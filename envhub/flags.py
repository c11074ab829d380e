"""What an environment can do, said before it is constructed."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from envhub._display import lines, table
from envhub.errors import InvalidOptionError

Claim = Literal[True] | str
"""A flag as an adapter states it: `True`, or the reason why not."""


@dataclasses.dataclass(frozen=True, repr=False)
class Capabilities:
    """Explicit flags, each a claim that a probe in `envhub.testing.probes` checks.

    Build one with `Capabilities.claim`, which takes a reason for every flag that is false.

    Attributes:
        jax_native: `step` is pure XLA: no host callback, runs on the accelerator.
        forkable: stepping one state twice gives the same result, and one branch never disturbs
            another: tree search, replay from any state.
        vmap_safe: `vmap` over keys, states, actions and params, nested too, means what it means
            for a pure function.
        has_env_params: `params` is a pytree that may be changed, batched with `vmap` and traced
            without rebuilding the environment.
        isolated_reset: `reset` never invalidates a state returned earlier.
        reproducible: the key decides everything, in another process as well.
        checkpointable: a saved state, restored in another process, continues bit for bit.
        differentiable: gradients flow through `step`, from the next observation to the action,
            finite and not identically zero.
        multi_device: works inside `shard_map` over several devices.
        renderable: `env.render` works without a display.
        reasons: for each false flag, the pair of its name and the reason.

    Examples:
        >>> caps = Capabilities.native(renderable="there is nothing to see.")
        >>> caps.forkable, caps.renderable, caps.why("renderable")
        (True, False, 'there is nothing to see.')
    """

    jax_native: bool
    forkable: bool
    vmap_safe: bool
    has_env_params: bool
    isolated_reset: bool
    reproducible: bool
    checkpointable: bool
    differentiable: bool
    multi_device: bool
    renderable: bool
    reasons: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        unexplained = [name for name in FLAGS if not getattr(self, name) and not self.why(name)]
        if unexplained:
            raise ValueError(f"a flag that is False needs a reason: {', '.join(unexplained)}")

    @classmethod
    def claim(cls, **claims: Claim) -> Capabilities:
        """Build from one claim a flag: `True`, or the reason why it is false."""
        flags = {name: claim is True for name, claim in claims.items()}
        reasons = [(name, claim) for name, claim in claims.items() if isinstance(claim, str)]
        return cls(**flags, reasons=tuple(reasons))

    @classmethod
    def native(cls, **claims: Claim) -> Capabilities:
        """The claims of a JAX-native suite: everything is true but what the caller denies."""
        everything: dict[str, Claim] = dict.fromkeys(FLAGS, True)
        return cls.claim(**everything | claims)

    @classmethod
    def none(cls, reason: str) -> Capabilities:
        """No capability at all, for an environment that cannot run."""
        return cls.claim(**dict.fromkeys(FLAGS, reason))

    def without(self, **reasons: str) -> Capabilities:
        """These, less some flags, with the reasons why; a flag that is false keeps its reason."""
        lost = {flag: reason for flag, reason in reasons.items() if getattr(self, flag)}
        flags = self.as_dict() | dict.fromkeys(lost, False)
        return Capabilities(**flags, reasons=(*self.reasons, *lost.items()))

    def why(self, flag: str) -> str:
        """The reason why a flag is false, with the option that makes it true if there is one.

        Args:
            flag: the name of a flag.

        Returns:
            The reason; empty if the flag is true.

        Raises:
            InvalidOptionError: if there is no flag of that name.
        """
        check_flags([flag])
        return dict(self.reasons).get(flag, "")

    def as_dict(self) -> dict[str, bool]:
        """The flags alone, by name, in the order of the contract."""
        return {name: getattr(self, name) for name in FLAGS}

    def __repr__(self) -> str:
        return lines("Capabilities", self.answers())

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        return table(self.answers().items())

    def answers(self) -> dict[str, str]:
        """By flag `yes`, or `no` and why."""
        flags = self.as_dict().items()
        return {flag: "yes" if is_true else f"no: {self.why(flag)}" for flag, is_true in flags}


FLAGS: tuple[str, ...] = tuple(
    field.name for field in dataclasses.fields(Capabilities) if field.name != "reasons"
)


def check_flags(names: Any) -> None:
    """Refuse names that are no capability.

    Raises:
        InvalidOptionError: naming the unknown flags and all that exist.
    """
    unknown = [name for name in names if name not in FLAGS]
    if unknown:
        raise InvalidOptionError(
            f"unknown capability {', '.join(map(repr, unknown))}. There are: {', '.join(FLAGS)}."
        )
