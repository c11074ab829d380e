"""One environment of a package that registers with Gymnasium."""

from __future__ import annotations

import functools
from collections.abc import Callable

from envhub.host import Instance
from envhub.host.hushing import hushed


def instance_of(create: Callable[[], Instance], *, is_probed: bool) -> Instance:
    """Make an instance that prints nothing; its suite makes the claims if it was probed."""
    instance = create()
    if is_probed:
        instance.claims = {}
    instance.reset = functools.partial(hushed, instance.reset)  # type: ignore[method-assign]
    instance.step = functools.partial(hushed, instance.step)  # type: ignore[method-assign]
    return instance
