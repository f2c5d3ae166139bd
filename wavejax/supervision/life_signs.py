"""The half of supervision that runs inside the training: signs of life, and an end when the supervisor is gone."""

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
"""Environment variable by which a supervisor tells its child which file to touch."""

LIFELINE = "WAVEJAX_LIFELINE"
"""Environment variable that names a file descriptor: a pipe whose other end the supervisor alone holds."""

STARTING, COMPILING, STEPPING, FINAL = "starting", "compiling", "step", "final"
"""What the heartbeat file may begin with: before the first step is made; while a program is compiled; afterwards, with
the step's number; after an error that would only come again."""

_BEAT_SECONDS = 2.0
_GRACE_SECONDS = 300.0  # for a training that has lost its supervisor to save
_LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"  # the compiler comes next
_COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def life_signs(heartbeat: str | None, lifeline: str | None = None) -> Iterator[list[Hook]]:
    """Makes this process one that `supervise` can watch; where `heartbeat` is None, nothing happens.

    Args:
      heartbeat: the file that the environment variable `HEARTBEAT` names.
      lifeline: what the environment variable `LIFELINE` holds.

    Yields:
      Hooks for the training.
    """
    if heartbeat is None:
        yield []
        return
    faulthandler.enable(2)  # SIGABRT shows where every thread is
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
    """Writes into a file how far the training is, every few seconds, and when it compiles."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.has_started = False
        self._last = 0.0
        self._phase = STARTING
        self._beat(STARTING)

    def is_due(self, step: int, num_steps: int) -> bool:
        """Whether it is time: after the first step, then rarely enough that the device does not wait for it."""
        return self._phase == STARTING or time.monotonic() - self._last > _BEAT_SECONDS

    def on_start(self, step: int, state: Any) -> None:
        """The training is set up; its first step has yet to be compiled."""
        self.has_started = True
        self._beat(STARTING)

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """A sign of life."""
        self._beat(f"{STEPPING} {step}")

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """The last one: what follows is written in its own time."""
        self._beat(f"{STEPPING} {step}")

    def hear(self, event: str, duration_secs: float, **details: str | int) -> None:
        """Listens to JAX: what is being compiled may take its time."""
        if event == _LOWERED:
            self.write(COMPILING if self._phase == STARTING else f"{COMPILING} after {self._phase}")
        elif event == _COMPILED:
            self._beat(self._phase)

    def write(self, words: str) -> None:
        """Puts words into the file; on a disk that is full, a newer time at least."""
        try:
            self.path.write_text(words, encoding="utf-8")
        except OSError:
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def _beat(self, phase: str) -> None:
        self._last, self._phase = time.monotonic(), phase
        self.write(phase)


def _may_be_mended(error: Exception, has_started: bool) -> bool:
    """Whether the same command may succeed another time: not where it was refused for what it asks or what it found.

    A file that cannot be read or written is a wrong path before training has started, and a sick disk after that.
    """
    refusals = (ValueError, MissingExtra, NonFiniteError, CheckpointMismatch, CheckpointDamaged)
    return not isinstance(error, refusals if has_started else (*refusals, OSError))


def _end_with_supervisor(descriptor: int, grace_seconds: float = _GRACE_SECONDS) -> None:
    """Sends this process one SIGTERM when no one holds the other end of a pipe any more, and SIGKILL after the grace.

    Two trainings must not write into one folder, so a child does not outlive its supervisor; it saves first. (Linux'
    parent-death signal is no way to do this: it comes once for each thread of the parent, and a training that is asked
    to end twice does not save.)
    """

    def watch() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="wavejax lifeline", daemon=True).start()


__all__ = ["HEARTBEAT", "LIFELINE", "HeartbeatHook", "life_signs"]
