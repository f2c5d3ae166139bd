"""Remembers the first signal to end, so that the current step can finish and be saved."""

import contextlib
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from wavejax import interruption

REPEAT_SECONDS = 5.0
"""A second SIGTERM within this time after the first counts as the same request, sent to every process of a job."""


class SignalFlag:
    """Keeps the number of the first SIGINT or SIGTERM. Previous handlers act on a second signal, and return on exit.

    A SIGTERM shortly after another is the same request: schedulers send it to every process of a job, and a supervisor
    passes its own on. Signals reach the main thread only; in another thread this class does nothing. In a command,
    whose signals `wavejax.interruption` handles, a second signal acts immediately, whatever the main thread is doing.
    """

    def __init__(self) -> None:
        self.number = 0
        self._received = 0.0
        self._previous: dict[int, Any] = {}
        self._command = contextlib.ExitStack()

    def __enter__(self) -> "SignalFlag":
        if interruption.is_installed():
            self._command.enter_context(interruption.reacting(self._is_kept))
        elif threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def _is_kept(self, number: int) -> bool:
        """Keeps the first signal; for a later one, returns whether it is the same request again."""
        if not self.number:
            self.number, self._received = number, time.monotonic()
            return True
        is_same = number == self.number == signal.SIGTERM
        return is_same and time.monotonic() - self._received <= REPEAT_SECONDS

    def _receive(self, number: int, frame: FrameType | None) -> None:
        is_first = not self.number
        if not self._is_kept(number):
            self._restore(number)
            os.kill(os.getpid(), number)
        elif is_first:
            self._restore(signal.SIGINT)

    def _restore(self, *numbers: int) -> None:
        for number in numbers:
            if number in self._previous:
                handler = self._previous.pop(number)
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def __exit__(self, *exception: object) -> None:
        self._command.close()
        self._restore(*tuple(self._previous))
