"""OpenCV's INTER_AREA without OpenCV, equal to the bit: every sum in its order and precision."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from envhub.errors import InvalidOptionError


def shrinking(old: tuple[int, int], new: tuple[int, int]) -> Any:
    """A function that shrinks pictures, each pixel becoming the mean of the area it covers.

    Raises:
        InvalidOptionError: if it would stretch them, which `INTER_AREA` does in another way.
    """
    if old == new:
        return lambda picture: picture
    if new[0] > old[0] or new[1] > old[1]:
        raise InvalidOptionError(f"img_height and img_width are at most {old[0]} and {old[1]}.")
    down, across = old[0] // new[0], old[1] // new[1]
    if (down * new[0], across * new[1]) == old:
        return functools.partial(_shrink_evenly, down=down, across=across)
    return functools.partial(_shrink, new=new)


def _shrink_evenly(picture: np.ndarray[Any, Any], down: int, across: int) -> np.ndarray[Any, Any]:
    height, width, *depth = picture.shape
    blocks = picture.reshape(height // down, down, width // across, across, *depth)
    sums = blocks.sum((1, 3), np.int32)
    if (down, across) == (2, 2):
        shrunk: np.ndarray[Any, Any] = ((sums + 2) >> 2).astype(np.uint8)
        return shrunk
    share = np.float32(1) / np.float32(down * across)
    shrunk = np.rint(sums.astype(np.float32) * share).astype(np.uint8)
    return shrunk


def _shrink(picture: np.ndarray[Any, Any], new: tuple[int, int]) -> np.ndarray[Any, Any]:
    turned = picture.swapaxes(0, 1).astype(np.float32, order="C")
    narrow = _mix(turned, new[1]).swapaxes(0, 1)
    mixed = _mix(np.ascontiguousarray(narrow), new[0])
    shrunk: np.ndarray[Any, Any] = np.rint(mixed).astype(np.uint8)
    return shrunk


def _mix(lines: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """So many lines instead, each a weighted sum of those that it covers."""
    flat = lines.reshape(len(lines), -1)
    (first, share), *others = _terms(*flat.shape, count)
    mixed: np.ndarray[Any, Any] = flat[first]
    mixed *= share
    part = np.empty_like(mixed)
    for chosen, share in others:
        np.take(flat, chosen, axis=0, out=part, mode="clip")  # "raise" would copy them twice
        part *= share
        mixed += part
    return mixed.reshape(count, *lines.shape[1:])


@functools.cache
def _terms(old: int, width: int, new: int) -> list[tuple[Any, Any]]:
    """Which lines to add up, and the share of each, spread over a line: that multiplies faster."""
    chosen, weights = _covers(old, new)
    shares = np.ascontiguousarray(np.broadcast_to(weights[..., None], (*weights.shape, width)))
    return list(zip(chosen, shares, strict=True))


def _covers(old: int, new: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """For each of `new` lines, which of `old` lines it covers, and by what share of itself."""
    scale = old / new
    lists = []
    for line in range(new):
        start, end = line * scale, line * scale + scale
        size = min(scale, old - start)
        last = min(math.floor(end), old - 1)
        first = min(math.ceil(start), last)
        covered = [(each, 1.0 / size) for each in range(first, last)]
        if first - start > 1e-3:
            covered.insert(0, (first - 1, (first - start) / size))
        if end - last > 1e-3:
            covered.append((last, min(end - last, 1.0, size) / size))
        lists.append(covered)
    longest = max(map(len, lists))
    padded = [covered + [(0, 0.0)] * (longest - len(covered)) for covered in lists]
    chosen = np.array([[each for each, _ in covered] for covered in padded])
    weights = np.array([[weight for _, weight in covered] for covered in padded], np.float32)
    return chosen.T, weights.T
