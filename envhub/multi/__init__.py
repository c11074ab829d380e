"""Different environments as one, by name: `MultiEnv`, and what makes one."""

from envhub.multi._environment import CompileSeconds, MultiEnv, MultiStepResult
from envhub.multi._make import make_multi, make_multi_vec
from envhub.multi._members import Facts

__all__ = [
    "CompileSeconds",
    "Facts",
    "MultiEnv",
    "MultiStepResult",
    "make_multi",
    "make_multi_vec",
]


def __dir__() -> list[str]:
    return sorted(__all__)
