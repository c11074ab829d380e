"""Ctrl-C, as somebody presses it: again, if nothing happens."""

from __future__ import annotations

import os
import signal
import threading

SECONDS = 2.0  # without an answer, until it is pressed again


class Presses(threading.Thread):
    """Presses Ctrl-C after a delay, and again while the block goes on.

    On a busy machine one in some hundreds of interrupts is lost on its way through JAX.

    Attributes:
        count: how often it was pressed.
    """

    def __init__(self, after: float) -> None:
        super().__init__(daemon=True)
        self.count, self._after, self._is_over = 0, after, threading.Event()

    def run(self) -> None:
        wait = self._after
        while not self._is_over.wait(wait):
            self.count, wait = self.count + 1, SECONDS
            os.kill(os.getpid(), signal.SIGINT)

    def __enter__(self) -> Presses:
        try:
            self.start()
        except BaseException:  # the first press, already
            self._is_over.set()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join()
