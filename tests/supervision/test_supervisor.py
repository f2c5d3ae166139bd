"""The supervisor: programs that die, hang, refuse and are told to end. The real training is in the slow tests."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wavejax.supervision.supervisor import RestartPolicy, supervise

# Each start follows the next word of its plan, the last one for good: CHECKPOINT-ENDING.
STUB = """
import json, os, signal, sys, time
from pathlib import Path

folder, plan = Path(sys.argv[1]), sys.argv[2:]
starts = json.loads((folder / "starts").read_text()) if (folder / "starts").exists() else []
checkpoint, ending = plan[min(len(starts), len(plan) - 1)].split("-")
beat = Path(os.environ["WAVEJAX_HEARTBEAT"])
beat.write_text(os.environ.get("PHASE", f"step {checkpoint}"))

def asked(number, frame):
    (folder / "asked").write_text(str(number))
    if ending == "obey":
        sys.exit(128 + number)

signal.signal(signal.SIGTERM, asked)
signal.signal(signal.SIGINT, asked)
if int(checkpoint):
    (folder / "checkpoint").write_text(checkpoint)
(folder / "starts.new").write_text(json.dumps([*starts, time.time()]))
os.replace(folder / "starts.new", folder / "starts")  # whole, whenever it is read
if ending == "final":
    beat.write_text("final")
    sys.exit(1)
if ending in ("late", "refuse", "done"):  # not before the other process has started as often
    other = folder.parent / "0" / "starts"
    while not other.exists() or len(json.loads(other.read_text() or "[]")) <= len(starts):
        time.sleep(0.05)
if ending == "refuse":
    beat.write_text("final")
    sys.exit(1)
if ending == "vanish":
    (folder / "checkpoint").unlink(missing_ok=True)
    sys.exit(1)
if ending == "done":
    sys.exit(0)
if ending.isdecimal():
    sys.exit(int(ending))
if ending in ("kill", "late"):
    os.kill(os.getpid(), signal.SIGKILL)
while True:
    time.sleep(0.05)
"""

QUICK = RestartPolicy(restarts=2, first_delay_seconds=0.01, longest_delay_seconds=0.02)


class Job:
    """A stub under a supervisor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    def run(self, *plan: str, policy: RestartPolicy = QUICK) -> int:
        def progress() -> int | None:
            checkpoint = self.folder / "checkpoint"
            return int(checkpoint.read_text()) if checkpoint.exists() else None

        before = signal.getsignal(signal.SIGTERM)
        command = [sys.executable, "-S", "-c", STUB, str(self.folder), *plan]
        code = supervise(command, progress, policy, self.said.append)
        assert signal.getsignal(signal.SIGTERM) == before
        return code

    @property
    def starts(self) -> int:
        return len(json.loads((self.folder / "starts").read_text()))

    def silence(self) -> float:
        """Seconds since its last start."""
        path = self.folder / "starts"
        return time.time() - json.loads(path.read_text())[-1] if path.exists() else 0.0


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_what_dies_is_started_again_until_it_is_done(job: Job) -> None:
    assert job.run("0-kill", "5-1", "5-kill", "9-0") == 0
    assert job.starts == 4
    assert job.said == [
        "the training was ended by SIGKILL (out of memory?) at step 0; restart 1 of 2 in 0.01 s. "
        "There is no checkpoint yet",
        "the training failed with exit code 1 at step 5; restart 1 of 2 in 0.01 s. The newest checkpoint is step 5",
        "the training was ended by SIGKILL (out of memory?) at step 5; restart 2 of 2 in 0.02 s. "
        "The newest checkpoint is step 5",
    ]


def test_progress_starts_the_count_anew(job: Job) -> None:
    policy = RestartPolicy(restarts=1, first_delay_seconds=0.01)
    assert job.run("1-kill", "2-kill", "3-kill", "4-kill", "5-0", policy=policy) == 0


def test_it_gives_up_and_says_how_each_start_ended(job: Job) -> None:
    assert job.run("7-1", "7-kill") == 128 + signal.SIGKILL
    assert job.starts == 3
    assert job.said[-1] == (
        "given up: 3 starts in a row made no progress:\n  1. the training failed with exit code 1 at step 7\n"
        "  2. the training was ended by SIGKILL (out of memory?) at step 7\n"
        "  3. the training was ended by SIGKILL (out of memory?) at step 7\nThe newest checkpoint is step 7"
    )


def test_what_hangs_is_killed_and_started_again(job: Job) -> None:
    policy = RestartPolicy(restarts=1, hang_seconds=4, compile_seconds=600, first_delay_seconds=0.01)
    assert job.run("3-hang", "4-0", policy=policy) == 0
    (sentence,) = job.said
    assert sentence.startswith("the training hung: no sign of life for 4 s at step 3; it was killed; restart 1 of 1")


@pytest.mark.parametrize(("ending", "code"), [("final", 1), ("2", 2)])
def test_what_would_fail_again_is_not_started_again(job: Job, ending: str, code: int) -> None:
    assert job.run(f"6-{ending}") == code
    assert job.starts == 1
    assert "another start would end the same way, so there is none. The newest checkpoint is step 6" in job.said[0]


def test_where_the_checkpoints_have_vanished_nothing_is_begun_anew(job: Job) -> None:
    assert job.run("6-kill", "0-vanish") == 1
    assert job.starts == 2
    assert "step 6 was saved, and now no checkpoint is there: the folder has vanished" in job.said[-1]


@pytest.mark.parametrize("code", [130, 143])
def test_what_was_asked_to_end_is_not_started_again(job: Job, code: int) -> None:
    assert job.run(f"6-{code}") == code
    assert (job.starts, job.said) == (1, [])


def when(condition: Callable[[], bool], number: int) -> threading.Thread:
    """Sends a signal to this process once a condition holds."""

    def send() -> None:
        while not condition():
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on_and_the_child_may_save(job: Job, number: signal.Signals) -> None:
    thread = when((job.folder / "starts").exists, number)
    assert job.run("3-obey") == 128 + number
    thread.join()
    assert (job.folder / "asked").read_text() == str(int(number))
    assert job.starts == 1


def test_a_child_that_does_not_end_in_time_is_killed(job: Job) -> None:
    when((job.folder / "starts").exists, signal.SIGTERM)
    policy = RestartPolicy(grace_seconds=0.3)
    assert job.run("3-stay", policy=policy) == 128 + signal.SIGKILL
    assert job.said == ["it did not end within 0.3 s and is killed"]
    assert (job.folder / "asked").exists()


def test_a_signal_between_two_starts_ends_the_wait(job: Job) -> None:
    when(lambda: bool(job.said), signal.SIGTERM)
    assert job.run("3-kill", policy=RestartPolicy(first_delay_seconds=600, longest_delay_seconds=600)) == 143
    assert job.starts == 1


def test_the_wait_doubles_up_to_a_limit() -> None:
    policy = RestartPolicy(first_delay_seconds=5, longest_delay_seconds=300)
    assert [policy.delay_seconds(failures) for failures in (1, 2, 3, 7, 8, 100)] == [5, 10, 20, 300, 300, 300]
    for wrong in ({"restarts": 0}, {"hang_seconds": 0}, {"grace_seconds": float("nan")}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.* must be"):
            RestartPolicy(**wrong)


def test_what_compiles_does_not_hang(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RestartPolicy(restarts=1, hang_seconds=2, compile_seconds=600, first_delay_seconds=0.01)
    monkeypatch.setenv("PHASE", "compiling after step 3")
    thread = when(lambda: job.silence() > 3, signal.SIGTERM)
    assert job.run("3-obey", policy=policy) == 143
    thread.join()
    assert (job.starts, job.said) == (1, [])
    monkeypatch.setenv("PHASE", "starting")
    limited = RestartPolicy(restarts=1, hang_seconds=600, compile_seconds=3, first_delay_seconds=0.01)
    (job.folder / "starts").unlink()
    assert job.run("0-hang", "4-0", policy=limited) == 0
    assert job.said[0].startswith("the training hung: no sign of life for 3 s while starting; it was killed; restart")


class Member(threading.Thread):
    """One of several supervisors of a job, in a process of its own: signal handlers belong to main threads."""

    def __init__(self, folder: Path, name: str, *plan: str, restarts: int = 2) -> None:
        super().__init__(daemon=True)
        (folder / name).mkdir()
        self.folder = folder / name
        self.command = [sys.executable, "-c", MEMBER, str(folder), name, str(restarts), STUB, *plan]
        self.code: int | None = None
        self.said = ""

    def run(self) -> None:
        done = subprocess.run(self.command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
        self.code, self.said = done.returncode, done.stdout + done.stderr

    @property
    def starts(self) -> int:
        path = self.folder / "starts"
        return len(json.loads(path.read_text())) if path.exists() else 0


MEMBER = """
import sys
from pathlib import Path
from wavejax.supervision import incidents
from wavejax.supervision.supervisor import RestartPolicy, supervise

shared, name, restarts, stub, *plan = sys.argv[1:]
incidents.POLL_SECONDS = 0.05

def progress():
    steps = [int(path.read_text()) for path in Path(shared).glob("*/checkpoint")]
    return max(steps, default=None)

policy = RestartPolicy(restarts=int(restarts), first_delay_seconds=1.0, longest_delay_seconds=1.0, grace_seconds=1)
told = incidents.Incidents(Path(shared) / "restarts.jsonl", name)
command = [sys.executable, "-S", "-c", stub, str(Path(shared) / name), *plan]
sys.exit(supervise(command, progress, policy, print, incidents=told))
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def run_together(*members: Member) -> None:
    for member in members:
        member.start()
    for member in members:
        member.join(timeout=120)
        assert not member.is_alive()


def test_when_one_process_of_a_job_dies_all_start_again(tmp_path: Path) -> None:
    """The first waits for the second, as in a collective, until both are started anew."""
    first = Member(tmp_path, "0", "0-hang", "5-hang", "9-0")
    second = Member(tmp_path, "1", "0-late", "0-late", "0-done")
    run_together(first, second)
    assert (first.code, second.code) == (0, 0), (first.said, second.said)
    assert (first.starts, second.starts) == (3, 3)
    assert first.said.count("process 1: the training was ended by SIGKILL (out of memory?) at step 0; restart 1") == 2
    assert second.said.count("the training was ended by SIGKILL (out of memory?) at step 0; restart 1") == 2


def test_what_ends_the_job_on_one_host_ends_it_on_all(tmp_path: Path) -> None:
    waiting, refused = Member(tmp_path, "0", "3-obey"), Member(tmp_path, "1", "3-refuse")
    run_together(waiting, refused)
    assert (waiting.code, refused.code) == (1, 1), (waiting.said, refused.said)
    assert (waiting.starts, refused.starts) == (1, 1)
    assert "it did not end within 1 s and is killed" in waiting.said  # it was given time to end by itself
    assert "process 1: the training failed with exit code 1; the job is over, so there is no other" in waiting.said
