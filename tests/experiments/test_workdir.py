"""One training at a time works in a folder, and in none that holds what no training has put there."""

import json
import os
from pathlib import Path

import pytest

from wavejax.checkpoints import CheckpointWriteError
from wavejax.experiments import workdir
from wavejax.experiments.workdir import LOCK, claimed
from wavejax.locks import LockedError


def test_a_second_training_in_a_folder_is_refused(tmp_path: Path) -> None:
    with claimed(tmp_path / "run"):
        assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]
        with pytest.raises(LockedError, match=rf"/run: process {os.getpid()} on \S+ is training in it since"):
            with claimed(tmp_path / "run"):
                raise AssertionError("both are inside")
        with claimed(tmp_path / "other"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_of_a_bucket_this_machines_copy_is_held(monkeypatch, tmp_path: Path, caplog) -> None:
    monkeypatch.setenv("WAVEJAX_CACHE", str(tmp_path))
    with caplog.at_level("INFO"), claimed("memory://bucket/run"):
        assert (tmp_path / "runs" / "memory" / "bucket" / "run" / LOCK).is_file()
        with pytest.raises(LockedError, match=r"^memory://bucket/run: process"), claimed("memory:/bucket/run/"):
            pass
    assert "a bucket knows no locks: make sure that no other machine trains in memory://bucket/run" in caplog.text


def test_what_no_training_has_put_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("epoch,loss\n")
    with pytest.raises(CheckpointWriteError, match=r"cannot train in .*: it is no log of .*metrics\.jsonl\)"):
        with claimed(tmp_path):
            pass
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "checkpoints" / "7" / "default").mkdir(parents=True)
    with pytest.raises(CheckpointWriteError, match=r"it holds checkpoints of another program \(7\) \(.*checkpoints\)"):
        with claimed(tmp_path):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointWriteError, match=r"cannot train in .*file: File exists; choose a folder that can be"):
        with claimed(tmp_path / "file"):
            pass


def test_the_other_processes_of_a_training_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process holds the folder for all of them; where it cannot, nobody waits for it."""
    said = []

    def broadcast(data: bytes) -> bytes:
        said.append(json.loads(data))
        return json.dumps(said[0]).encode()

    monkeypatch.setattr(workdir, "broadcast_bytes", broadcast)
    with claimed(tmp_path):
        said.clear()
        with pytest.raises(LockedError, match="is training in it"), claimed(tmp_path):
            pass
        monkeypatch.setattr("jax.process_index", lambda: 1)
        with pytest.raises(LockedError, match=f"^process 0: .* process {os.getpid()} on .* is training in it"):
            with claimed(tmp_path):
                pass
    said[:] = [{}]
    with claimed(tmp_path / "elsewhere"):
        assert not (tmp_path / "elsewhere").exists()
