"""What renderers of suites draw, as pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from envhub.errors import EnvHubError, RenderError


def picture_of(env: Any, draw: Callable[[], Any]) -> np.ndarray[Any, Any]:
    """Return what a function draws, uint8[H, W, 3].

    Args:
        env: the environment, for errors.
        draw: the function.

    Raises:
        RenderError: if the function raises, or does not return a picture.
    """
    try:
        picture = np.asarray(draw())
        if picture.dtype.kind == "f":  # a cast would make black of what lies in [0, 1]
            raise TypeError(f"the picture has dtype {picture.dtype} instead of uint8")
        return picture.astype(np.uint8, copy=False)
    except EnvHubError:
        raise
    except Exception as error:
        raise RenderError(
            f"{env} cannot draw this state: {type(error).__name__}: {error}"
        ) from error
