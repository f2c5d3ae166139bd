"""The part of supervision that runs inside the training: heartbeats, and an end when the supervisor is gone."""

import contextlib
import faulthandler
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from wavejax.checkpoints import CheckpointDamaged, CheckpointMismatch
from wavejax.extras import MissingExtra
from wavejax.training import Hook, NonFiniteError

HEARTBEAT = "WAVEJAX_HEARTBEAT"
"""Environment variable with the heartbeat file that the supervisor's child must touch."""

LIFELINE = "WAVEJAX_LIFELINE"
"""Environment variable with a file descriptor: a pipe whose other end only the supervisor holds."""

STARTING, COMPILING, STEPPING, FINAL = "starting", "compiling", "step", "final"
"""First words of the heartbeat file: before the first step; while a program is compiled; after a step, with its number;
after an error that would occur again."""

_BEAT_SECONDS = 2.0
_GRACE_SECONDS = 300.0  # time to save for a training that has lost its supervisor
_LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"  # the compiler comes next
_COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def life_signs(heartbeat: str | None, lifeline: str | None = None) -> Iterator[list[Hook]]:
    """Lets `supervise` watch this process; does nothing if `heartbeat` is None.

    Args:
      heartbeat: the value of the environment variable `HEARTBEAT`.
      lifeline: the value of the environment variable `LIFELINE`.

    Yields:
      Hooks for the training.
    """
    if heartbeat is None:
        yield []
        return
    faulthandler.enable(2)  # on SIGABRT it prints every thread's traceback
    if lifeline is not None:
        _end_with_supervisor(int(lifeline))
    hook = HeartbeatHook(heartbeat)
    jax.monitoring.register_event_duration_secs_listener(hook.hear)
    try:
        yield [hook]
    except Exception as error:
        if not _may_be_mended(error, hook.has_started):
            hook.write(FINAL)
        raise
    finally:
        jax.monitoring.unregister_event_duration_listener(hook.hear)


class HeartbeatHook(Hook):
    """Writes the training's progress to a file every few seconds, and when it compiles."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.has_started = False
        self._last = 0.0
        self._phase = STARTING
        self._beat(STARTING)

    def is_due(self, step: int, num_steps: int) -> bool:
        """Whether a heartbeat is due: after the first step, then rarely enough that the device does not wait for it."""
        return self._phase == STARTING or time.monotonic() - self._last > _BEAT_SECONDS

    def on_start(self, step: int, state: Any) -> None:
        """Writes that the training is set up; its first step is not yet compiled."""
        self.has_started = True
        self._beat(STARTING)

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Writes a heartbeat."""
        self._beat(f"{STEPPING} {step}")

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """Writes the last heartbeat; the work after the steps may take longer."""
        self._beat(f"{STEPPING} {step}")

    def hear(self, event: str, duration_secs: float, **details: str | int) -> None:
        """Listens to JAX's events and writes that a program is being compiled, which may take long."""
        if event == _LOWERED:
            self.write(COMPILING if self._phase == STARTING else f"{COMPILING} after {self._phase}")
        elif event == _COMPILED:
            self._beat(self._phase)

    def write(self, words: str) -> None:
        """Writes words into the file; if the disk is full, at least updates its time."""
        try:
            self.path.write_text(words, encoding="utf-8")
        except OSError:
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def _beat(self, phase: str) -> None:
        self._last, self._phase = time.monotonic(), phase
        self.write(phase)


def _may_be_mended(error: Exception, has_started: bool) -> bool:
    """Whether the same command may succeed if repeated: not if its arguments or its inputs were refused.

    An unreadable or unwritable file is a wrong path before training has started, and a failing disk after that.
    """
    refusals = (ValueError, MissingExtra, NonFiniteError, CheckpointMismatch, CheckpointDamaged)
    return not isinstance(error, refusals if has_started else (*refusals, OSError))


def _end_with_supervisor(descriptor: int, grace_seconds: float = _GRACE_SECONDS) -> None:
    """Sends this process one SIGTERM when the other end of a pipe is closed, and SIGKILL after the grace period.

    Two trainings must not write into one folder, so a child saves and ends when its supervisor is gone. (Linux's
    parent-death signal cannot be used: it is sent once for each thread of the parent, and a training that gets two
    signals does not save.)
    """

    def watch() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="wavejax lifeline", daemon=True).start()


__all__ = ["HEARTBEAT", "LIFELINE", "HeartbeatHook", "life_signs"]
