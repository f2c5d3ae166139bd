"""Restarts a program that dies or hangs, until it finishes or makes no more progress.

`supervise` runs in a process that uses no device, so it survives any failure of the training: out of memory, a crash in
native code, a collective that waits forever. `life_signs` runs inside the training: it touches a file as steps are
made, and marks an error that would occur again. If a job has several processes, each has its own supervisor, and the
supervisors communicate through `Incidents`.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from wavejax.supervision.incidents import Incident, Incidents
from wavejax.supervision.life_signs import FINAL, HEARTBEAT, LIFELINE, STEPPING

_USAGE = 2  # exit code of a wrong command line
_STOPPED = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # exit codes of a child that finished or was asked to end
_POLL_SECONDS = 0.1
_TRACEBACK_SECONDS = 5.0  # time for a hanging child to print its traceback


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """When to restart, and when to give up."""

    restarts: int = 3
    """Consecutive restarts without progress (no new checkpoint) before giving up."""
    hang_seconds: float = 1800.0
    """A child without a step for this long counts as hanging. It must cover validation and audio, not compilation."""
    compile_seconds: float = 7200.0
    """The same limit for a child that is starting or compiling a program."""
    first_delay_seconds: float = 5.0
    """Delay before the first restart; doubled for each further restart without progress."""
    longest_delay_seconds: float = 300.0
    grace_seconds: float = 300.0
    """Time for a child to save when it is asked to end; then it is killed."""

    def __post_init__(self) -> None:
        if self.restarts < 1:
            raise ValueError(f"restarts={self.restarts} must be 1 or more")
        for name in (
            "hang_seconds",
            "compile_seconds",
            "first_delay_seconds",
            "longest_delay_seconds",
            "grace_seconds",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")

    def delay_seconds(self, failures: int) -> float:
        """The wait after this many failures (1 or more) without progress."""
        return min(self.first_delay_seconds * 2.0 ** (failures - 1), self.longest_delay_seconds)


def supervise(
    command: Sequence[str],
    progress: Callable[[], int | None],
    policy: RestartPolicy,
    say: Callable[[str], None],
    *,
    incidents: Incidents | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Runs a command until it succeeds, restarting it when it dies or hangs.

    A child counts as hanging when it has not touched the file in the environment variable `HEARTBEAT` for
    `hang_seconds` (before its first step and while it compiles: `compile_seconds`). It is then told by SIGABRT to print
    its traceback, and killed. It is not restarted after a wrong command line (exit code 2) or an error that
    `life_signs` has marked as one that would occur again; nor after exit code 130 or 143, which means that it was asked
    to end and has saved. SIGINT and SIGTERM are passed on to the child; it ends, and this function returns. If this
    process is killed, the child notices (`LIFELINE`), saves and ends. Call this function in the main thread.

    If one process of a job of several fails, all of them are killed and restarted by their supervisors.

    Args:
      command: the program and its arguments; a restarted program must continue where the last one stopped.
      progress: returns the progress of the job (the newest checkpoint's step); None if there is none yet.
      policy: the limits and delays.
      say: receives one sentence per event.
      incidents: messages between the supervisors of a job of several processes; None for one process.
      environment: the child's environment; None for this process's own.

    Returns:
      0 if it succeeded; if it was stopped or given up, the exit code of the last child (128 + N if signal N ended it);
      if another process's supervisor ended the job, that supervisor's code.
    """
    with _Forwarding(policy, say, incidents) as signals, tempfile.TemporaryDirectory(prefix="wavejax-") as folder:
        job = _Job(signals, progress, policy, say, incidents)
        base = dict(os.environ if environment is None else environment)
        while True:
            child = _Child(command, Path(folder) / "heartbeat", base)
            code = signals.watch(child)
            child.cut_lifeline()
            final = job.after(child, code)
            if final is not None:
                return final


class _Job:
    """The decisions between two starts of the command."""

    def __init__(
        self,
        signals: "_Forwarding",
        progress: Callable[[], int | None],
        policy: RestartPolicy,
        say: Callable[[str], None],
        incidents: Incidents | None,
    ) -> None:
        self.signals, self.progress, self.policy, self.say = signals, progress, policy, say
        self.incidents = incidents
        self.failures: list[str] = []
        self.best = progress()

    def after(self, child: "_Child", code: int) -> int | None:
        """Waits until the next start is due, and returns None; if there is no further start, returns the exit code."""
        if self.signals.received or code in _STOPPED:
            return self._over(f"it ended with exit code {code}", code)
        reached = self.progress()
        if reached is None and self.best is not None:
            self.say(
                f"{child.ending()}; step {self.best} was saved, and now no checkpoint is there: the folder has "
                "vanished. Another start would begin anew, so there is none"
            )
            return self._over("its checkpoints have vanished", code)
        if reached is not None and (self.best is None or reached > self.best):
            self.failures, self.best = [], reached
        elsewhere = self.signals.elsewhere
        self.failures.append(child.ending() if elsewhere is None else _elsewhere(elsewhere))
        if elsewhere is None and child.failed_for_good():
            self.say(f"{self.failures[-1]}; another start would end the same way, so there is none. {self._newest()}")
            return self._over(self.failures[-1], code)
        if elsewhere is None and self.incidents is not None:
            elsewhere = self.incidents.report(self.failures[-1])
            if elsewhere is not None:
                self.failures[-1] += f" ({_elsewhere(elsewhere)})"
        if elsewhere is not None and elsewhere.code is not None:
            self.say(f"{self.failures[-1]}; the job is over, so there is no other start. {self._newest()}")
            return elsewhere.code
        if len(self.failures) > self.policy.restarts:
            listed = "\n".join(f"  {number}. {ending}" for number, ending in enumerate(self.failures, 1))
            count = len(self.failures)
            self.say(f"given up: {count} starts in a row made no progress:\n{listed}\n{self._newest()}")
            return self._over("its supervisor gave up", code)
        return self._wait()

    def _wait(self) -> int | None:
        number = len(self.failures)
        delay = self.policy.delay_seconds(number)
        self.say(f"{self.failures[-1]}; restart {number} of {self.policy.restarts} in {delay:.3g} s. {self._newest()}")
        if self.signals.wait(delay):
            return self._over("its supervisor was told to end", 128 + self.signals.received)
        elsewhere = self.signals.elsewhere
        if elsewhere is not None and elsewhere.code is not None:
            self.say(f"{_elsewhere(elsewhere)}; the job is over, so there is no other start. {self._newest()}")
            return elsewhere.code
        return None

    def _over(self, what: str, code: int) -> int:
        if self.incidents is not None:
            self.incidents.report(what, code)
        return code

    def _newest(self) -> str:
        return "There is no checkpoint yet" if self.best is None else f"The newest checkpoint is step {self.best}"


def _elsewhere(incident: Incident) -> str:
    return f"process {incident.process}: {incident.what}"


class _Child:
    """One start of the command."""

    def __init__(self, command: Sequence[str], heartbeat: Path, environment: dict[str, str]) -> None:
        self.heartbeat = heartbeat
        heartbeat.unlink(missing_ok=True)
        self.started = time.monotonic()
        self.hung_for: float | None = None
        self._seen: tuple[int, float] | None = None
        reading, self._lifeline = os.pipe()  # the OS closes this process's end when it ends, in any way
        signs = {HEARTBEAT: str(heartbeat), LIFELINE: str(reading)}
        # In a new session, so that the terminal's Ctrl-C reaches only the supervisor, which passes it on once.
        self.process = subprocess.Popen(
            command, env={**environment, **signs}, start_new_session=True, pass_fds=[reading]
        )
        os.close(reading)

    def cut_lifeline(self) -> None:
        """Closes the lifeline; call it once, when the child has ended."""
        os.close(self._lifeline)

    def silence(self) -> float:
        """Seconds since the last heartbeat, by this process's clock."""
        try:
            stamp = self.heartbeat.stat().st_mtime_ns
        except FileNotFoundError:
            return time.monotonic() - self.started
        if self._seen is None or self._seen[0] != stamp:
            self._seen = (stamp, time.monotonic())
        return time.monotonic() - self._seen[1]

    def send(self, number: int) -> None:
        """Sends a signal to the child if it is still running."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def hangs(self, policy: RestartPolicy) -> bool:
        """Whether the child has been silent for too long; while it compiles, the limit is longer."""
        silence = self.silence()
        if silence <= min(policy.hang_seconds, policy.compile_seconds):
            return False
        is_stepping = self.last_words().startswith(STEPPING)
        return silence > (policy.hang_seconds if is_stepping else policy.compile_seconds)

    def kill_hung(self) -> None:
        """Lets the child print where it hangs, then kills it and its child processes."""
        self.hung_for = self.silence()
        self.send(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_TRACEBACK_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kills the child and its child processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        """The contents of the heartbeat file."""
        with contextlib.suppress(OSError):
            return self.heartbeat.read_text(encoding="utf-8")
        return ""

    def failed_for_good(self) -> bool:
        """Whether another start would end the same way."""
        code = self.process.returncode
        return self.hung_for is None and (code == _USAGE or (code > 0 and self.last_words() == FINAL))

    def ending(self) -> str:
        """How it ended, in words."""
        said, code = self.last_words(), self.process.returncode
        where = f" at {said}" if said.startswith(STEPPING) else f" while {said}" if said not in ("", FINAL) else ""
        if self.hung_for is not None:
            return f"the training hung: no sign of life for {self.hung_for:.0f} s{where}; it was killed"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            likely = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"the training was ended by {name}{likely}{where}"
        return f"the training failed with exit code {code}{where}"


class _Forwarding:
    """Waits for children, and passes SIGINT and SIGTERM on to them."""

    def __init__(self, policy: RestartPolicy, say: Callable[[str], None], incidents: Incidents | None) -> None:
        self.policy, self.say, self.incidents = policy, say, incidents
        self.received = 0
        self.elsewhere: Incident | None = None
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
        """Waits for a child and returns its exit code, 128 + N if signal N ended it.

        A child is killed if it hangs, or if another process of the job has failed. If another process has ended the
        job, the child may first end by itself.
        """
        self._child, self.elsewhere = child, None
        if self.received:  # the signal came while the child was being started
            child.send(self.received)
        while child.process.poll() is None:
            if (self.received or self.elsewhere) and time.monotonic() > self._deadline:
                self.say(f"it did not end within {self.policy.grace_seconds:.3g} s and is killed")
                child.kill()
            elif not self.received and child.hangs(self.policy):
                child.kill_hung()
            else:
                self._listen(child)
                time.sleep(_POLL_SECONDS)
        code = child.process.wait()
        return code if code >= 0 else 128 - code

    def _listen(self, child: _Child) -> None:
        if self.incidents is None or self.received or self.elsewhere:
            return
        self.elsewhere = self.incidents.news()
        if self.elsewhere is not None:
            self._deadline = time.monotonic() + self.policy.grace_seconds
            if self.elsewhere.code is None:
                child.kill()

    def wait(self, seconds: float) -> bool:
        """Waits between two starts. Returns True at once on a signal, False at once if another process ends the job."""
        self._child, self.elsewhere = None, None
        end = time.monotonic() + seconds
        while not self.received and time.monotonic() < end:
            time.sleep(min(_POLL_SECONDS, seconds))
            if self.incidents is not None:  # ignore failures of others meanwhile: all will restart anyway
                self.elsewhere = self.incidents.news()
                if self.elsewhere is not None and self.elsewhere.code is not None:
                    break
        return bool(self.received)


__all__ = ["RestartPolicy", "supervise"]
