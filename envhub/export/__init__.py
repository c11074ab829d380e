"""Exports: environments in the interfaces of other libraries, one file per library.

Importing this imports none of these libraries. Each function imports its library when it is called,
and raises `MissingDependencyError`, with the install command, if the library is absent.
"""

from envhub.export.brax import to_brax
from envhub.export.dm_env import to_dm_env
from envhub.export.gymnasium import to_gymnasium
from envhub.export.gymnasium_vec import to_gymnasium_vec
from envhub.export.gymnax import to_gymnax
from envhub.export.jaxmarl import to_jaxmarl
from envhub.export.pettingzoo import to_pettingzoo
from envhub.export.pettingzoo_aec import to_pettingzoo_aec
from envhub.export.sb3 import to_sb3
from envhub.export.stoa import to_stoa
from envhub.export.torchrl import to_torchrl

__all__ = [
    "to_brax",
    "to_dm_env",
    "to_gymnasium",
    "to_gymnasium_vec",
    "to_gymnax",
    "to_jaxmarl",
    "to_pettingzoo",
    "to_pettingzoo_aec",
    "to_sb3",
    "to_stoa",
    "to_torchrl",
]


def __dir__() -> list[str]:
    return sorted(__all__)
