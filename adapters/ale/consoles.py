"""The form of a saved console, checked before the emulator loads it.

ALE (0.12) believes what it loads: a length that is too large, or the count of a memory, makes it
write beyond what it has, and the process crashes. So the bytes are compared with a console that the
emulator saved itself.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

from envhub.errors import InvalidStateError

HEAD = struct.Struct("<7i")  # paddles, frame numbers, mode, difficulty, and the length of the rest
TAIL = 8  # bytes: the range of the paddles
MD5 = 36  # bytes, with its length: of the ROM
DEVICES = (b"M6502Low", b"M6532", b"TIA", b"TIASound")
TRUE, FALSE = (struct.pack("<I", pattern) for pattern in (0xFAB1FAB2, 0xBAD1BAD2))
NO_TEXT = bytes(4)  # where a length and so many digits stand
BANKS = 8  # no cartridge of the games has more
# Of the numbers behind a cartridge's name: which one counts a memory, and which ones are banks.
CARTRIDGES = {
    b"Cartridge2K": ([], []),
    b"Cartridge4K": ([], []),
    b"CartridgeFE": ([], []),
    b"CartridgeF8": ([], [0]),
    b"CartridgeF6": ([], [0]),
    b"CartridgeF8SC": ([1], [0]),
    b"CartridgeF6SC": ([1], [0]),
    b"CartridgeDPC": ([1], [0]),
    b"CartridgeE0": ([0], [1, 2, 3, 4]),
}


class Parts(NamedTuple):
    """What a saved console consists of."""

    mode: int
    difficulty: int
    start: bytes  # which ROM it is, and the name of the first device
    random: bytes  # the text of a random generator, of any length
    devices: bytes


class Console:
    """What is the same in all consoles that run one ROM.

    Args:
        saved: one of them, as ALE serialized it, after the console's reset.

    Raises:
        ValueError: if it is not as ALE 0.12 has it.
    """

    def __init__(self, saved: bytes) -> None:
        self._model = _parts(saved)
        self._place = HEAD.size + len(self._model.start) + 4  # of the generator's text
        self._text = struct.pack("<I", len(self._model.random)) + self._model.random
        devices = self._model.devices
        cartridge = _cartridge_of(devices)
        names, starts = [*DEVICES, cartridge], [0]
        for name in names:
            starts.append(_behind(devices, name, starts[-1]))
        starts.pop(0)
        ends = [*(start - 4 - len(name) for start, name in zip(starts, names, strict=True))][1:]
        spans = zip(starts, [*ends, len(devices)], strict=True)
        numbers = np.concatenate([np.arange(start, end, 4) for start, end in spans])
        counts, banks = (
            [starts[-1] + 4 * index for index in indices] for indices in CARTRIDGES[cartridge]
        )
        is_flag = [devices[place : place + 4] in (TRUE, FALSE) for place in numbers]
        self._flags, self._banks = _bytes_at(numbers[is_flag]), _bytes_at(banks)
        is_fixed = np.ones(len(devices), bool)
        is_fixed[_bytes_at(numbers)] = False
        is_fixed[_bytes_at([starts[1], *counts])] = True  # the memory of the M6532 is counted too
        self._fixed = np.flatnonzero(is_fixed)
        self._devices = np.frombuffer(devices, np.uint8)

    def shorten(self, saved: bytes) -> bytes:
        """Leave out the text of the generator, 6.7 of 8 KB, which only resets draw from.

        A text that is not the one after a reset is kept.
        """
        place, end = self._place, self._place + len(self._text)
        is_usual = saved[place:end] == self._text
        return saved[:place] + NO_TEXT + saved[end:] if is_usual else saved

    def lengthen(self, shortened: bytes) -> bytes:
        """The inverse of `shorten`; all else is returned as it is."""
        place, end = self._place, self._place + len(NO_TEXT)
        is_short = shortened[place:end] == NO_TEXT
        return shortened[:place] + self._text + shortened[end:] if is_short else shortened

    def check(self, saved: bytes) -> tuple[int, int]:
        """Refuse what is no console that runs this ROM.

        Args:
            saved: a console, and fewer than 256 zeros.

        Returns:
            Its mode and difficulty.

        Raises:
            InvalidStateError: saying what is wrong.
        """
        try:
            parts = _parts(saved)
        except (ValueError, struct.error) as error:
            raise _refusal(str(error)) from error
        if parts.start != self._model.start:
            raise _refusal("it runs another ROM")
        if len(parts.devices) != len(self._devices):
            raise _refusal("a device is longer or shorter than it was")
        devices = np.frombuffer(parts.devices, np.uint8)
        if (devices[self._fixed] != self._devices[self._fixed]).any():
            raise _refusal("a device has another name or size")
        flags = devices[self._flags].view("<u4")
        if not np.isin(flags, np.frombuffer(TRUE + FALSE, "<u4")).all():
            raise _refusal("a flag is neither true nor false")
        if (devices[self._banks].view("<u4") >= BANKS).any():
            raise _refusal("the cartridge has no such bank")
        return parts.mode, parts.difficulty


def _parts(saved: bytes) -> Parts:
    *_, mode, difficulty, length = HEAD.unpack_from(saved)
    body, rest = saved[HEAD.size : HEAD.size + max(length, 0)], saved[HEAD.size + length + TAIL :]
    if length < 0 or len(body) != length or len(saved) < HEAD.size + length + TAIL:
        raise ValueError("it is cut")
    if len(rest) > 255 or any(rest):
        raise ValueError("something follows it")
    text = _behind(body, b"System", MD5) + 4
    (size,) = struct.unpack_from("<I", body, text)
    random = body[text + 4 : text + 4 + size]
    if len(random) != size or not random.replace(b" ", b"").isdigit():
        raise ValueError("its generator is no text of numbers")
    return Parts(mode, difficulty, body[: text - 4], random, body[text + 4 + size :])


def _cartridge_of(devices: bytes) -> bytes:
    place = devices.index(b"Cartridge")
    (size,) = struct.unpack_from("<I", devices, place - 4)
    name = devices[place : place + size]
    if name not in CARTRIDGES:
        raise ValueError(f"{name.decode()} is not known")
    return name


def _behind(data: bytes, name: bytes, start: int) -> int:
    """Where the numbers begin behind a name, which has its length before it."""
    return data.index(struct.pack("<I", len(name)) + name, start) + 4 + len(name)


def _bytes_at(places: Any) -> np.ndarray[Any, Any]:
    """The indices of the four bytes of each number."""
    return (np.asarray(places, np.intp)[:, None] + np.arange(4)).ravel()


def _refusal(why: str) -> InvalidStateError:
    return InvalidStateError(f"the snapshot holds no console of this game: {why}; not restored.")
