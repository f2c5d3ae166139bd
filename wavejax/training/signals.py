"""Being asked to end: the first signal is kept, so that the step under way can finish and be saved."""

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

REPEAT_SECONDS = 5.0
"""A second SIGTERM within so long of the first is the same one, sent to every process of a job."""


class SignalFlag:
    """Keeps the number of the first SIGINT or SIGTERM; the handlers of before act on a second one, and return on exit.

    A SIGTERM that soon follows another says the same again: schedulers send it to every process of a job, and a
    supervisor passes its own on. Signals reach the main thread only; elsewhere it changes nothing.
    """

    def __init__(self) -> None:
        self.number = 0
        self._received = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "SignalFlag":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if not self.number:
            self.number, self._received = number, time.monotonic()
            self._restore(signal.SIGINT)
        elif number != self.number or time.monotonic() - self._received > REPEAT_SECONDS:
            self._restore(number)
            os.kill(os.getpid(), number)

    def _restore(self, *numbers: int) -> None:
        for number in numbers:
            if number in self._previous:
                handler = self._previous.pop(number)
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def __exit__(self, *exception: object) -> None:
        self._restore(*tuple(self._previous))
