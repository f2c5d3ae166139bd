import os
import socket

import pytest

from wavejax.data.discovery import find_files


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _found(root):
    files = find_files(root, {".wav", ".txt"})
    return [path.relative_to(root).as_posix() for path in files.paths], dict(files.problems)


def test_linked_folders_are_read_wherever_they_lead(tmp_path):
    source = tmp_path / "source"
    _touch(source / "here" / "a.wav")
    _touch(tmp_path / "disk" / "s1" / "b.WAV")
    _touch(tmp_path / "disk" / "s1" / "deep" / "c.wav")
    (source / "s1").symlink_to("../disk/s1")
    (source / "d.wav").symlink_to("../disk/s1/b.WAV")
    assert _found(source) == (["d.wav", "here/a.wav", "s1/b.WAV", "s1/deep/c.wav"], {})
    assert find_files(source, {".wav"}).links == {source / "d.wav"}
    (tmp_path / "other").symlink_to("source")
    assert _found(tmp_path / "other")[0] == ["d.wav", "here/a.wav", "s1/b.WAV", "s1/deep/c.wav"]


def test_every_folder_is_read_once_and_no_link_leads_in_a_circle(tmp_path):
    source = tmp_path / "source"
    _touch(source / "a" / "x.wav")
    _touch(source / ".store" / "y.wav")
    _touch(tmp_path / "disk" / "z.wav")
    (source / "again").symlink_to("a")
    (source / "a" / "up").symlink_to("..")
    (source / "out").symlink_to(tmp_path)
    (source / "disk1").symlink_to(tmp_path / "disk")
    (source / "disk2").symlink_to(tmp_path / "disk")
    (source / "kept").symlink_to(".store")
    (tmp_path / "disk" / "round").symlink_to(tmp_path / "disk")
    (source / "self").symlink_to("self")
    paths, problems = _found(source)
    assert paths == ["a/x.wav", "disk1/z.wav", "kept/y.wav"]
    assert problems == {
        ".store": "is a hidden folder, which is not read",
        "again": "is a link to a, which is read itself",
        "a/up": f"is a link to {source}, which holds the folder itself; it is not followed",
        "out": f"is a link to {tmp_path}, which holds the folder itself; it is not followed",
        "disk1/round": "leads to the folder that is read as disk1",
        "disk2": "leads to the folder that is read as disk1",
        "self": "is a link to self: Too many levels of symbolic links",
    }


def test_what_is_no_file_or_has_no_name_is_named(tmp_path):
    _touch(tmp_path / "a.wav")
    _touch(tmp_path / ".hidden.wav")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.wav"))
        (tmp_path / "gone.wav").symlink_to("../annex/none.wav")
        with open(os.fsencode(tmp_path) + b"/mod\xe0.wav", "wb"):
            pass
        os.mkdir(os.fsencode(tmp_path) + b"/fold\xe9r")
        paths, problems = _found(tmp_path)
    assert paths == ["a.wav"]
    assert problems == {
        "pipe.txt": "is a pipe, a socket or a device, not a file",
        "zero.txt": "is a pipe, a socket or a device, not a file",
        "s.wav": "is a pipe, a socket or a device, not a file",
        "gone.wav": "is a link to ../annex/none.wav: No such file or directory",
        "mod\\xe0.wav": "has a name that is not UTF-8 text; rename it",
        "fold\\xe9r": "has a name that is not UTF-8 text, so nothing in it is read; rename it",
    }


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    _touch(tmp_path / "a.wav")
    _touch(tmp_path / "locked" / "b.wav")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert _found(tmp_path) == (["a.wav"], {"locked": "cannot be read: Permission denied"})
    with pytest.raises(PermissionError):
        find_files(tmp_path / "locked", {".wav"})
