"""Capabilities: what an environment supports, known before it is made."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from envhub.errors import InvalidOptionError

Claim = Literal[True] | str
"""A flag as an adapter states it: `True`, or the reason why not."""


@dataclasses.dataclass(frozen=True, repr=False)
class Capabilities:
    """The capabilities of an environment: flags that the probes in `envhub.testing.probes` check.

    Build them with `Capabilities.claim`, which takes a reason for every flag that is false.

    Attributes:
        jax_native: `step` is pure XLA: it makes no host callback and runs on the accelerator.
        forkable: stepping one state twice gives the same result, and one branch never disturbs
            another. Tree search and replay from any state need this.
        vmap_safe: `vmap` over keys, states, actions and params, also nested, behaves as for a pure
            function.
        has_env_params: `params` is a pytree that may be changed, batched with `vmap` and traced
            without rebuilding the environment.
        isolated_reset: `reset` never invalidates a state returned earlier.
        reproducible: the key determines everything, in another process too.
        checkpointable: a saved state, restored in another process, continues bit for bit.
        differentiable: gradients flow through `step`, from the next observation to the action; they
            are finite and not identically zero.
        multi_device: the environment works inside `shard_map` over several devices.
        renderable: `env.render` works without a display.
        reasons: a pair of name and reason for each false flag.
        notes: pairs of a true flag and a sentence about it, such as what a restore costs.

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
    notes: tuple[tuple[str, str], ...] = dataclasses.field(default=(), compare=False)

    def __post_init__(self) -> None:
        unexplained = [name for name in FLAGS if not getattr(self, name) and not self.why(name)]
        if unexplained:
            raise ValueError(f"a flag that is False needs a reason: {', '.join(unexplained)}")

    @classmethod
    def claim(cls, **claims: Claim) -> Capabilities:
        """Build capabilities from one claim per flag: `True`, or the reason why it is false."""
        flags: dict[str, Any] = {name: claim is True for name, claim in claims.items()}
        reasons = [(name, claim) for name, claim in claims.items() if isinstance(claim, str)]
        return cls(**flags, reasons=tuple(reasons))

    @classmethod
    def native(cls, **claims: Claim) -> Capabilities:
        """Build the capabilities of a JAX-native suite: all true, except those given a reason."""
        everything: dict[str, Claim] = dict.fromkeys(FLAGS, True)
        return cls.claim(**everything | claims)

    @classmethod
    def none(cls, reason: str) -> Capabilities:
        """Build capabilities that are all false, for an environment that cannot run."""
        return cls.claim(**dict.fromkeys(FLAGS, reason))

    def without(self, **reasons: str) -> Capabilities:
        """Return a copy with some flags false for these reasons; false flags keep theirs."""
        lost = {flag: reason for flag, reason in reasons.items() if getattr(self, flag)}
        flags = self.as_dict() | dict.fromkeys(lost, False)
        notes = tuple(note for note in self.notes if note[0] not in lost)
        return Capabilities(**flags, reasons=(*self.reasons, *lost.items()), notes=notes)

    def noting(self, flag: str, note: str) -> Capabilities:
        """Return a copy with a sentence about a true flag, in place of the one that it had."""
        others = [each for each in self.notes if each[0] != flag]
        return dataclasses.replace(self, notes=(*others, (flag, note)))

    def how(self, flag: str) -> str:
        """Return what there is to know about a flag that is true: how, and at what cost.

        Args:
            flag: the name of a flag.

        Returns:
            A sentence; empty if there is nothing to say, or if the flag is false.

        Raises:
            InvalidOptionError: if there is no flag of that name.

        Examples:
            >>> caps = envhub.capabilities("gymnasium::LunarLander-v3", forkable=True)
            >>> caps.how("forkable").partition(":")[0]
            'by replay'
        """
        check_flags([flag])
        return dict(self.notes).get(flag, "") if getattr(self, flag) else ""

    def why(self, flag: str) -> str:
        """Return the reason why a flag is false, and the option that makes it true if one exists.

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
        """Return the flags by name, without reasons, in the order of the contract."""
        return {name: getattr(self, name) for name in FLAGS}

    def __repr__(self) -> str:
        from envhub._display import lines

        return lines("Capabilities", self.answers())

    def _repr_html_(self) -> str:
        """Return a table, for notebooks."""
        from envhub._display import table

        return table(self.answers().items())

    def answers(self) -> dict[str, str]:
        """By flag `yes` and how, or `no` and why."""
        return {
            flag: f"yes: {self.how(flag)}".removesuffix(": ")
            if is_true
            else f"no: {self.why(flag)}"
            for flag, is_true in self.as_dict().items()
        }


FLAGS: tuple[str, ...] = tuple(
    field.name
    for field in dataclasses.fields(Capabilities)
    if field.name not in ("reasons", "notes")
)


def check_flags(names: Any) -> None:
    """Refuse names that are not capabilities.

    Raises:
        InvalidOptionError: if a flag is unknown; the message lists the unknown and all known flags.
    """
    unknown = [name for name in names if name not in FLAGS]
    if unknown:
        raise InvalidOptionError(
            f"unknown capability {', '.join(map(repr, unknown))}. There are: {', '.join(FLAGS)}."
        )
