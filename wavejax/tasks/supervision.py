"""A program that is started again when it dies or hangs, until it is done or makes no progress any more.

Two halves. `supervise` runs in a process that touches no device, and so survives whatever the training does: out of
memory, a crash in native code, a collective that waits forever. `life_signs` runs inside the training: it touches a
file as steps are made, and marks an error that would only come again.
"""

import contextlib
import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from wavejax.checkpoints import CheckpointDamaged, CheckpointMismatch
from wavejax.extras import MissingExtra
from wavejax.training import Hook, NonFiniteError

HEARTBEAT = "WAVEJAX_HEARTBEAT"
"""Environment variable by which `supervise` tells its child which file to touch."""

_FINAL = "final"  # what the file holds after an error that would only come again
_USAGE = 2  # exit code of a wrong command line
_STOPPED = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # exit codes of a child that is done, or was asked to end
_POLL_SECONDS = 0.1
_BEAT_SECONDS = 2.0
_TRACEBACK_SECONDS = 5.0  # for a hanging child to say where


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """When to start again, and when to give up."""

    restarts: int = 3
    """Restarts in a row that bring no progress (no new checkpoint) before giving up."""
    hang_seconds: float = 1800.0
    """A child that gave no sign of life for so long hangs. Compilation, validation and audio all have to fit in."""
    first_delay_seconds: float = 5.0
    """Before the first restart; doubled with each further one without progress."""
    longest_delay_seconds: float = 300.0
    grace_seconds: float = 300.0
    """How long a child that was asked to end may take to save; then it is killed."""

    def __post_init__(self) -> None:
        if self.restarts < 1:
            raise ValueError(f"restarts={self.restarts} must be 1 or more")
        for name in ("hang_seconds", "first_delay_seconds", "longest_delay_seconds", "grace_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")

    def delay_seconds(self, failures: int) -> float:
        """The wait after so many failures (1 or more) without progress."""
        return min(self.first_delay_seconds * 2.0 ** (failures - 1), self.longest_delay_seconds)


def supervise(
    command: Sequence[str],
    progress: Callable[[], int | None],
    policy: RestartPolicy,
    say: Callable[[str], None],
    *,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Runs a command until it succeeds, restarting it when it dies or hangs.

    A child counts as hanging when it has not touched the file that the environment variable `HEARTBEAT` names for
    `hang_seconds`; it is then asked (SIGABRT) to show where, and killed. It is not started again after a wrong command
    line (exit code 2) or an error that `life_signs` has marked, which would only come again; nor after 130 or 143, by
    which it says that it was asked to end and has saved. SIGINT and SIGTERM are passed on to it; it ends, and so does
    this function. Call it in the main thread.

    Args:
      command: the program and its arguments; it has to go on where an earlier one was stopped.
      progress: how far the job has come (the newest checkpoint's step); None where nothing is there.
      policy: how often, how long.
      say: receives one sentence per event.
      environment: of the child; None for this process's.

    Returns:
      0 when it succeeded; where it was stopped or given up, the exit code of the last child, 128 + N for one that
      signal N ended.
    """
    failures: list[str] = []
    best = progress()
    with tempfile.TemporaryDirectory(prefix="wavejax-") as folder, _Forwarding(policy, say) as signals:
        heartbeat = Path(folder) / "heartbeat"
        while True:
            child = _Child(command, heartbeat, dict(os.environ if environment is None else environment))
            code = signals.watch(child)
            if signals.received or code in _STOPPED:
                return code
            reached = progress()
            if reached is not None and (best is None or reached > best):
                failures, best = [], reached
            failures.append(child.ending())
            if child.failed_for_good():
                say(f"{failures[-1]}; another start would end the same way, so there is none. {_newest(best)}")
                return code
            if len(failures) > policy.restarts:
                listed = "\n".join(f"  {number}. {ending}" for number, ending in enumerate(failures, 1))
                say(f"given up: {len(failures)} starts in a row made no progress:\n{listed}\n{_newest(best)}")
                return code
            delay = policy.delay_seconds(len(failures))
            say(f"{failures[-1]}; restart {len(failures)} of {policy.restarts} in {delay:.3g} s. {_newest(best)}")
            if signals.wait(delay):
                return 128 + signals.received


@contextlib.contextmanager
def life_signs(path: str | None) -> Iterator[list[Hook]]:
    """Makes this process one that `supervise` can watch; where `path` is None, nothing happens.

    Args:
      path: the file that the environment variable `HEARTBEAT` names.

    Yields:
      Hooks for the training.
    """
    if path is None:
        yield []
        return
    faulthandler.enable(2)  # SIGABRT shows where every thread is
    _end_with_parent()
    heartbeat = HeartbeatHook(path)
    try:
        yield [heartbeat]
    except Exception as error:
        if not _may_be_mended(error, heartbeat.has_started):
            Path(path).write_text(_FINAL, encoding="utf-8")
        raise


class HeartbeatHook(Hook):
    """Writes the step into a file, every few seconds."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.has_started = False
        self._last = 0.0

    def is_due(self, step: int, num_steps: int) -> bool:
        """Whether it is time: rarely enough that the device does not wait for it."""
        return time.monotonic() - self._last > _BEAT_SECONDS

    def on_start(self, step: int, state: Any) -> None:
        """The first sign of life."""
        self.has_started = True
        self._beat(step)

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """A sign of life."""
        self._beat(step)

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """The last one: what follows is written in its own time."""
        self._beat(step)

    def _beat(self, step: int) -> None:
        self._last = time.monotonic()
        self.path.write_text(f"step {step}", encoding="utf-8")


def _may_be_mended(error: Exception, has_started: bool) -> bool:
    """Whether the same command may succeed another time: not where it was refused for what it asks or what it found.

    A file that cannot be read or written is a wrong path before training has started, and a sick disk after that.
    """
    refusals = (ValueError, MissingExtra, NonFiniteError, CheckpointMismatch, CheckpointDamaged)
    return not isinstance(error, refusals if has_started else (*refusals, OSError))


def _end_with_parent() -> None:
    """Asks the system for a SIGTERM when the supervisor dies: two trainings must not write into one folder."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _newest(step: int | None) -> str:
    return "There is no checkpoint yet" if step is None else f"The newest checkpoint is step {step}"


class _Child:
    """One start of the command."""

    def __init__(self, command: Sequence[str], heartbeat: Path, environment: dict[str, str]) -> None:
        self.heartbeat = heartbeat
        heartbeat.unlink(missing_ok=True)
        self.started = time.monotonic()
        self.hung_for: float | None = None
        self._seen: tuple[int, float] | None = None
        # A session of its own: the terminal's Ctrl-C reaches the supervisor alone, which passes it on once.
        self.process = subprocess.Popen(command, env={**environment, HEARTBEAT: str(heartbeat)}, start_new_session=True)

    def silence(self) -> float:
        """Seconds since the last sign of life, by this process's clock."""
        try:
            stamp = self.heartbeat.stat().st_mtime_ns
        except FileNotFoundError:
            return time.monotonic() - self.started
        if self._seen is None or self._seen[0] != stamp:
            self._seen = (stamp, time.monotonic())
        return time.monotonic() - self._seen[1]

    def send(self, number: int) -> None:
        """Sends a signal, where it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill_hung(self) -> None:
        """Lets it show where it hangs, then kills it and what it has started."""
        self.hung_for = self.silence()
        self.send(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_TRACEBACK_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kills it and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        """What the file holds."""
        with contextlib.suppress(OSError):
            return self.heartbeat.read_text(encoding="utf-8")
        return ""

    def failed_for_good(self) -> bool:
        """Whether another start would end the same way."""
        code = self.process.returncode
        return self.hung_for is None and (code == _USAGE or (code > 0 and self.last_words() == _FINAL))

    def ending(self) -> str:
        """How it ended, in words."""
        said, code = self.last_words(), self.process.returncode
        where = f" at {said}" if said.startswith("step") else ""
        if self.hung_for is not None:
            return f"the training hung: no sign of life for {self.hung_for:.0f} s{where}; it was killed"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            likely = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"the training was ended by {name}{likely}{where}"
        return f"the training failed with exit code {code}{where}"


class _Forwarding:
    """Waits for children, and passes SIGINT and SIGTERM on to them."""

    def __init__(self, policy: RestartPolicy, say: Callable[[str], None]) -> None:
        self.policy, self.say = policy, say
        self.received = 0
        self._deadline = 0.0
        self._child: _Child | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "_Forwarding":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._child is not None and self._child.process.poll() is None:
            self._child.kill()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received = number
            self._deadline = time.monotonic() + self.policy.grace_seconds
        if self._child is not None:
            self._child.send(number)

    def watch(self, child: _Child) -> int:
        """The exit code of a child, 128 + N where signal N ended it; one that hangs is killed."""
        self._child = child
        if self.received:  # it came while the child was being started
            child.send(self.received)
        while child.process.poll() is None:
            if self.received and time.monotonic() > self._deadline:
                self.say(f"it did not end within {self.policy.grace_seconds:.3g} s and is killed")
                child.kill()
            elif not self.received and child.silence() > self.policy.hang_seconds:
                child.kill_hung()
            else:
                time.sleep(_POLL_SECONDS)
        code = child.process.wait()
        return code if code >= 0 else 128 - code

    def wait(self, seconds: float) -> bool:
        """Waits between two starts; True at once when a signal comes."""
        self._child = None
        end = time.monotonic() + seconds
        while not self.received and time.monotonic() < end:
            time.sleep(min(_POLL_SECONDS, seconds))
        return bool(self.received)


__all__ = ["HEARTBEAT", "HeartbeatHook", "RestartPolicy", "life_signs", "supervise"]
