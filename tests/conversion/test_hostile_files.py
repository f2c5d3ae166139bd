"""Files that want to do harm: each is refused in a sentence, fast, in little memory, and nothing of it happens."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conversion import hostile
from tests.conversion.hostile import HOSTILE
from wavejax.conversion.reading import read_weights
from wavejax.conversion.source import RefusedFile

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS, MOST_BYTES = 2.0, 300 << 20


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process did that read all of them, none of Python's events being unseen."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "files").mkdir()
    for name, each in HOSTILE.items():
        (folder / "files" / name).write_bytes(each.content())
    (folder / "files" / "sound").write_bytes(hostile.make.torch_new(hostile.ONE))
    done = subprocess.run(
        [sys.executable, hostile.__file__, "files"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["files"], "something was written"
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence(name: str, watched: dict[str, Any]) -> None:
    said = watched[name]["said"]
    assert re.search(HOSTILE[name].says, said), said
    assert said.count(f"{name}: ") == 1
    assert said.isprintable()
    assert len(said) < 600


def test_nothing_of_a_hostile_file_happens(watched: dict[str, Any]) -> None:
    assert len(HOSTILE) >= 30
    assert watched[""]["harm"] is False
    assert watched[""]["jax"] is False, "reading needs NumPy alone"
    assert watched["sound"]["said"] == ""
    for name in HOSTILE:
        assert watched[name]["said"], f"{name} was not refused"
        assert watched[name]["events"] == [], name


def test_refusing_is_fast_and_takes_little_memory(watched: dict[str, Any]) -> None:
    slow = {name: found["seconds"] for name, found in watched.items() if found.get("seconds", 0) > MOST_SECONDS}
    assert not slow
    assert watched[""]["peak"] < MOST_BYTES


def test_the_watcher_sees_what_a_pickle_does(tmp_path: Path) -> None:
    """The files do harm where Python's own unpickler reads them."""
    pickled = hostile.make.pickled(hostile.make.named("os", "system") + hostile.command() + b"R")
    program = f"import pickle; pickle.loads({pickled!r})"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert (tmp_path / hostile.MARKER).exists()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_regular_files_are_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(RefusedFile, match=r"weights\.pt: this is a .*, and weights are read from a regular file"):
        read_weights(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "none.pt")
