"""What a supervised training tells, and that it ends, saved, when its supervisor is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from wavejax.checkpoints import CheckpointWriteError
from wavejax.supervision import life_signs as module
from wavejax.supervision.life_signs import HEARTBEAT, LIFELINE, HeartbeatHook, life_signs

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("error", "has_started", "is_final"),
    [
        (ValueError("a batch of 3 rows cannot be split"), False, True),
        (FileNotFoundError("no corpus there"), False, True),
        (OSError("the disk is full"), True, False),
        (CheckpointWriteError("the disk is full"), True, False),
        (RuntimeError("RESOURCE_EXHAUSTED"), True, False),
        (RuntimeError("DEADLINE_EXCEEDED: no coordinator"), False, False),
    ],
)
def test_errors_that_would_come_again_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, has_started: bool, is_final: bool
) -> None:
    monkeypatch.setattr("faulthandler.enable", lambda file: None)
    path = tmp_path / "beat"

    def train() -> None:
        with life_signs(str(path)) as (hook,):
            assert path.read_text() == "starting"
            if has_started:
                hook.on_start(4, None)
                assert path.read_text() == "starting"
                hook.on_step(5, None, {})
                assert path.read_text() == "step 5"
            raise error

    with pytest.raises(type(error)):
        train()
    assert path.read_text() == ("final" if is_final else "step 5" if has_started else "starting")
    with life_signs(None) as hooks:
        assert hooks == []


def test_heartbeats_are_rare_once_a_step_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    hook = HeartbeatHook(tmp_path / "beat")
    hook.on_start(0, None)
    assert hook.is_due(1, 10)  # that the first step is made is to be known at once
    hook.on_step(1, None, {})
    assert not hook.is_due(2, 10)
    now += 3
    assert hook.is_due(2, 10)
    hook.on_step(2, None, {})
    assert not hook.is_due(3, 10)
    assert (tmp_path / "beat").read_text() == "step 2"
    # What programs of other languages are told:
    assert (HEARTBEAT, LIFELINE) == ("WAVEJAX_HEARTBEAT", "WAVEJAX_LIFELINE")


def test_a_full_disk_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = HeartbeatHook(tmp_path / "beat")
    os.utime(tmp_path / "beat", (1, 1))

    def full(path: Path, words: str, encoding: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    hook.on_step(3, None, {})
    assert (tmp_path / "beat").stat().st_mtime > 1
    (tmp_path / "beat").unlink()
    hook.on_step(4, None, {})  # and a file that has gone ends nothing


def test_while_jax_compiles_the_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faulthandler.enable", lambda file: None)
    path = tmp_path / "beat"
    written: list[str] = []
    original = HeartbeatHook.write

    def observed(hook: HeartbeatHook, words: str) -> None:
        written.append(words)
        original(hook, words)

    monkeypatch.setattr(HeartbeatHook, "write", observed)
    number = jnp.float32(3)
    with life_signs(str(path)) as (hook,):
        jax.jit(lambda x: x * 17 + 1)(number).block_until_ready()
        assert written == ["starting", "compiling", "starting"]
        hook.on_step(8, None, {})
        jax.jit(lambda x: x * 19 + 1)(number).block_until_ready()
        assert written[3:] == ["step 8", "compiling after step 8", "step 8"]
    jax.jit(lambda x: x * 23 + 1)(number).block_until_ready()
    assert len(written) == 6  # nobody listens any more


# A supervisor with many threads, as NumPy's and JAX's are, and a child that counts how often it is asked to end.
_SUPERVISOR = """
import os, subprocess, sys, threading, time
for _ in range(8):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
reading, writing = os.pipe()
environment = {**os.environ, "WAVEJAX_LIFELINE": str(reading)}
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]], env=environment, pass_fds=[reading])
os.close(reading)
child.wait()
"""
_CHILD = """
import os, signal, sys, time
from pathlib import Path
from wavejax.supervision.life_signs import _end_with_supervisor

folder, stays, count = Path(sys.argv[1]), sys.argv[2] == "stays", 0

def asked(number, frame):
    global count
    count += 1

signal.signal(signal.SIGTERM, asked)
_end_with_supervisor(int(os.environ["WAVEJAX_LIFELINE"]), grace_seconds=1.0)
(folder / "pid").write_text(str(os.getpid()))
while not count:
    time.sleep(0.01)
(folder / "asked").write_text("once")
time.sleep(0.3)
(folder / "asked").write_text(str(count))
while stays:
    time.sleep(0.01)
"""


@pytest.mark.parametrize("behaviour", ["ends", "stays"])
def test_a_child_whose_supervisor_is_killed_is_asked_to_end_once(tmp_path: Path, behaviour: str) -> None:
    command = [sys.executable, "-c", _SUPERVISOR, _CHILD, str(tmp_path), behaviour]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as supervisor:
        pid = tmp_path / "pid"
        wait_until(lambda: pid.exists() and pid.read_text() != "")
        assert not (tmp_path / "asked").exists()
        os.kill(supervisor.pid, signal.SIGKILL)
    child = int(pid.read_text())
    wait_until(lambda: not os.path.exists(f"/proc/{child}/exe"))  # the one that stays is killed
    assert (tmp_path / "asked").read_text() == "1"


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
