"""One holder at a time, who is named, and whose lock ends with it."""

import errno
import fcntl
import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wavejax import locks
from wavejax.locks import LockedError, exclusive

HOLD = """
import sys, time
from wavejax.locks import exclusive
with exclusive(sys.argv[1], "the folder", "training in"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    file = tmp_path / "run" / "training.lock"
    with exclusive(file, "run/", "training in"):
        said = rf"^run/: process {os.getpid()} on \S+ is training in it since 2\d\d\d-.*Wait for it, end it, or choose"
        with pytest.raises(LockedError, match=said), exclusive(file, "run/", "training in"):
            raise AssertionError("both are inside")
        with exclusive(tmp_path / "run" / "other.lock", "run/", "exporting to"):
            pass
    assert list(tmp_path.iterdir()) == [], "the folder that was made for the lock is gone with it"
    file.parent.mkdir()
    with exclusive(file, "run/", "training in"):
        (file.parent / "result").write_text("kept")
    assert [path.name for path in file.parent.iterdir()] == ["result"]


def test_a_lock_ends_with_its_holder_however_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(LockedError, match=f"process {holder.pid} on .* is training in it"),
            exclusive(file, "x", "y"),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert file.exists(), "it stays behind, and locks nothing"
        with exclusive(file, "x", "y"):
            assert json.loads(file.read_text())["process"] == os.getpid()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert not file.exists()


def test_a_lock_file_that_its_holder_removes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking, the holder ends: the file that was opened is nobody's any more."""
    file, flock, opened = tmp_path / "lock", fcntl.flock, []

    def removed_first(descriptor: int, how: int) -> None:
        opened.append(descriptor)
        if len(opened) == 1:
            file.unlink()
        flock(descriptor, how)

    monkeypatch.setattr("fcntl.flock", removed_first)
    with exclusive(file, "x", "y"):
        assert len(opened) == 2
        with pytest.raises(LockedError), exclusive(file, "x", "y"):
            pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with caplog.at_level(logging.WARNING), exclusive(tmp_path / "lock", "run/", "training in"):
        pass
    assert re.search(r"run/ is on a disk without locks \(.*\): nothing keeps another process from", caplog.text)
    assert list(tmp_path.iterdir()) == []


def test_a_holder_on_another_machine_that_cannot_be_seen_is_warned_of(tmp_path: Path, caplog) -> None:
    said = {"process": 7, "machine": "elsewhere", "doing": "training in", "since": "yesterday"}
    (tmp_path / "lock").write_text(json.dumps(said))
    with caplog.at_level(logging.WARNING), exclusive(tmp_path / "lock", "run/", "training in"):
        pass
    assert "run/: process 7 on elsewhere is training in it since yesterday, or was killed there" in caplog.text


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff{", b'{"process"'])
def test_a_holder_that_says_nothing_is_another_process(tmp_path: Path, content: bytes) -> None:
    with (tmp_path / "lock").open("wb") as file:
        file.write(content)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(LockedError, match="another process is at work there"),
            exclusive(tmp_path / "lock", "x", "y"),
        ):
            pass


def test_a_forked_child_holds_nothing(tmp_path: Path) -> None:
    """Seen from outside: the children of some libraries live longer than their parent."""
    with exclusive(tmp_path / "lock", "x", "y"):
        (descriptor,) = locks._held
        copy = os.dup(descriptor)  # what a child inherits
        os.close(copy)
        locks_before = dict(locks._held)
        locks._close_in_child()
        assert locks._held == {}
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
        assert locks_before
    with exclusive(tmp_path / "lock", "x", "y"):
        pass
