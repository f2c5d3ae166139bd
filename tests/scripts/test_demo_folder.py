"""A demo replaces what a demo has written, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def open_folder(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from demo_folder import open_folder

    return open_folder


def test_a_new_an_empty_and_an_own_folder_are_taken(open_folder, tmp_path):
    for _ in range(2):
        open_folder(tmp_path / "new" / "demo")
    (tmp_path / "empty").mkdir()
    open_folder(tmp_path / "empty")
    for folder in (tmp_path / "new" / "demo", tmp_path / "empty"):
        assert any(folder.iterdir()), "it carries the mark by which the next demo knows it"


@pytest.mark.parametrize("script", ["train_and_vocode.py", "speak_and_report.py"])
def test_a_training_of_the_users_own_is_not_removed(tmp_path, script):
    kept = tmp_path / "run" / "metrics.jsonl"
    kept.parent.mkdir()
    kept.write_text("{}")
    command = [sys.executable, SCRIPTS / script, "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"error: {tmp_path} is there and was not made by a demo" in done.stderr
    assert kept.read_text() == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_file_is_not_replaced_by_a_folder(open_folder, tmp_path):
    (tmp_path / "demo").write_text("precious")
    with pytest.raises(SystemExit, match="was not made by a demo"):
        open_folder(tmp_path / "demo")
