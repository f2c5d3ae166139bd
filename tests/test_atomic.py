"""Files that appear whole or not at all."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wavejax import atomic
from wavejax.atomic import (
    PathNotText,
    is_leftover,
    new_folder,
    prove,
    prove_folder,
    replacing,
    text_path,
    write_bytes,
    write_json,
    write_text,
)

LONGEST = "é" * 125 + ".json"  # 255 bytes, the most that a name may have


def test_bytes_text_and_json_are_written_with_the_folders_above(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "data", b"\x00\xff")
    write_text(str(tmp_path / "text"), "é\n")
    write_json(tmp_path / "compact.json", {"b": [1, None], "a": "é"})
    write_json(tmp_path / "wide.json", {"b": [1]}, indent=1)
    assert (tmp_path / "a" / "b" / "data").read_bytes() == b"\x00\xff"
    assert (tmp_path / "text").read_bytes() == "é\n".encode()
    assert (tmp_path / "compact.json").read_text(encoding="utf-8") == '{"b":[1,null],"a":"é"}\n'
    assert (tmp_path / "wide.json").read_text() == '{\n "b": [\n  1\n ]\n}\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "compact.json", "text", "wide.json"]


def test_a_name_of_255_bytes_is_written(tmp_path: Path) -> None:
    assert len(LONGEST.encode()) == 255
    write_json(tmp_path / LONGEST, {"a": 1})
    write_json(tmp_path / LONGEST, {"a": 2})
    assert json.loads((tmp_path / LONGEST).read_text()) == {"a": 2}
    assert [path.name for path in tmp_path.iterdir()] == [LONGEST]


def test_a_streaming_writer_gets_a_hidden_file_in_the_same_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "pieces"
    with replacing(target) as first, replacing(target) as second:
        assert first.parent == second.parent == target.parent
        assert first.name != second.name
        assert is_leftover(first.name)
        assert first.read_bytes() == b""
        first.write_text("first")
        second.write_text("second")
        assert not target.exists()
    assert target.read_text() == "first"  # the outer block ended last
    assert [path.name for path in target.parent.iterdir()] == ["pieces"]


def test_other_hidden_files_are_no_leftovers() -> None:
    assert is_leftover(".0123456789ab.partial")
    assert not any(is_leftover(name) for name in ("params.npz", ".partial", ".speech.wav.partial", ".git"))


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing(tmp_path / "old") as partial:
        partial.write_text("half \ud800", encoding="utf-8")
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "old", {"a": object()})
    assert (tmp_path / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_refusal_inside_the_block_names_the_target_or_what_was_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=rf"full: '{re.escape(str(tmp_path / 'new'))}'$"), replacing(tmp_path / "new"):
        raise OSError(errno.ENOSPC, "full")
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "new") as partial:
        partial.write_bytes(missing.read_bytes())
    assert caught.value.filename == str(missing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["builtins.open", "os.fsync", "os.replace"])
def test_a_refusal_names_the_target_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "old"
    path.write_text("old")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "another name", None, "a second name")

    with monkeypatch.context() as patched:
        patched.setattr(call, refuse)
        with pytest.raises(OSError, match=rf"No space left on device: '{re.escape(str(path))}'$") as caught:
            write_text(path, "new")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["old"]


def test_files_and_folders_in_the_way_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "file" / "new", tmp_path / "folder"):
        with pytest.raises(OSError, match=rf": '{re.escape(str(target))}'$"):
            write_text(target, "new")
    assert (tmp_path / "file").read_text() == "in the way"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert list((tmp_path / "folder").iterdir()) == []


def test_the_file_is_synced_before_it_is_renamed_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if os.path.isdir(f"/dev/fd/{descriptor}") else "file")
        sync(descriptor)

    def replaced(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr("os.fsync", synced)
    monkeypatch.setattr("os.replace", replaced)
    write_text(tmp_path / "a", "b")
    assert done == ["file", "rename", "folder"]


def test_a_path_that_is_no_text_is_refused_and_shown(tmp_path):
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xff"))
    with pytest.raises(PathNotText, match=r"/r\\xff is not UTF-8.*rename the folder, or choose another$"):
        text_path(named)
    assert text_path(tmp_path / "r\u00e9") == str(tmp_path / "r\u00e9")


def test_a_proof_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    before = (tmp_path / "old").stat()
    prove(tmp_path / "old")
    prove(tmp_path / "a" / "b" / "new", num_bytes=1000)
    prove_folder(tmp_path / "c" / "d")
    prove_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").stat().st_mtime_ns == before.st_mtime_ns


def test_what_cannot_be_written_is_found_out_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    refused = {
        tmp_path / "file" / "new": errno.ENOTDIR,
        tmp_path / "folder": errno.EISDIR,
        tmp_path / ("x" * 256): errno.ENAMETOOLONG,
    }
    for target, code in refused.items():
        with pytest.raises(OSError, match=rf": '{re.escape(str(target))}'$") as caught:
            prove(target)
        assert caught.value.errno == code
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        prove_folder(tmp_path / "file")
    with pytest.raises(OSError, match=r"No space left on device: 1,000,000,000\.0 MB are needed, .* free: '.*new'$"):
        prove(tmp_path / "new", num_bytes=10**15)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        prove(tmp_path / "a" / "new")
    assert caught.value.filename == str(tmp_path / "a" / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_pipe_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    prove(pipe)
    write_json(pipe, {"a": 1})
    assert os.read(reading, 100) == b'{"a":1}\n'
    os.close(reading)
    with pytest.raises(OSError, match="it is a pipe or a device, not a file"), replacing(pipe):
        pass
    assert pipe.is_fifo()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / ("é" * 127)) as partial:
        (partial / "inside").write_text("x")
        assert is_leftover(partial.name)
        assert [path.name for path in (tmp_path / "a").iterdir()] == [partial.name]
    assert [path.name for path in (tmp_path / "a" / ("é" * 127)).iterdir()] == ["inside"]
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "a" / ("é" * 127)):
        pass
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "b") as partial:
        (partial / "inside").write_text(str(1 / 0))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert len(list((tmp_path / "a").iterdir())) == 1


def test_a_folder_that_another_process_removes_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, mkdir = [], Path.mkdir

    def removed(self: Path, *arguments: object, **options: object) -> None:
        mkdir(self, *arguments, **options)
        made.append(self)
        if len(made) < 3:
            self.rmdir()

    monkeypatch.setattr("pathlib.Path.mkdir", removed)
    write_text(tmp_path / "folder" / "new", "x")
    assert (tmp_path / "folder" / "new").read_text() == "x"
    assert len(made) == 3


ABANDON = """
import os, sys, threading
from pathlib import Path
from wavejax import atomic
folder = Path(sys.argv[1])
started = threading.Barrier(3)

def write(name, make):
    with make(folder / name) as partial:
        started.wait()
        threading.Event().wait(0.5)

for name, make in (("file", atomic.replacing), ("folder", atomic.new_folder)):
    threading.Thread(target=write, args=(name, make), daemon=True).start()
started.wait()
assert len(list(folder.iterdir())) == 2
atomic.abandon()
assert list(folder.iterdir()) == []
threading.Thread(target=atomic.write_text, args=(folder / "late", "x"), daemon=True).start()
threading.Event().wait(1.0)
assert list(folder.iterdir()) == []
os._exit(0)
"""


def test_a_process_that_ends_at_once_leaves_nothing_half_written(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ABANDON, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert atomic._unfinished == set()
