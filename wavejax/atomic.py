"""Writes files completely or not at all: at any moment a file holds either its old content or all of the new.

The content is written to a temporary file in the same folder, which is synced and renamed. This is the only module that
renames files. The temporary name does not contain the target's name, so a target name may have any length that the file
system allows. `prove` checks before long work that its result can be written, and `abandon` removes half-written files
when the process must end immediately.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wavejax import interruption

_LEFTOVER = re.compile(r"\.[0-9a-f]{12}\.partial")
_PROOF_BYTES = 1 << 16  # bytes written to test that a disk accepts data
_TRIES = 10  # attempts to create a folder that another process may be removing
_ABANDON_SECONDS = 1.0  # how long to wait for a hanging write before the process ends anyway

_unfinished: set[Path] = set()  # temporary files and folders that exist now
_changing = threading.RLock()  # held while a temporary file is created or renamed, and forever after `abandon`


class PathNotText(ValueError):
    """A path is not valid UTF-8; the message names it and says what to do."""


def text_path(path: str | os.PathLike[str]) -> str:
    """A path as text, for libraries that take only text: TensorStore (checkpoints), ArrayRecord (prepared corpora).

    A system allows nearly any bytes as a name, and Python represents bytes that are not UTF-8 as lone surrogates. These
    libraries cannot take them: they would fail only when they write.

    Raises PathNotText.
    """
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise PathNotText(
            f"the path {shown} is not UTF-8, and what writes checkpoints and prepared corpora takes no other: rename "
            "the folder, or choose another"
        ) from error
    return text


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file. Makes the folders above it. A pipe or a device (/dev/stdout) is written to as it is.

    Raises OSError as `replacing` does.
    """
    if _is_special(Path(path)):
        with open(path, "wb") as stream:
            stream.write(data)
        return
    with replacing(path) as partial, open(partial, "wb") as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file of UTF-8. Makes the folders above it. Raises OSError as `replacing` does."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], content: Any, *, indent: int | None = None) -> None:
    """Write a JSON file that ends with a new line; without `indent` it is a single line.

    Makes the folders above it. Raises TypeError if JSON cannot represent the content, OSError as `replacing` does.
    """
    separators = (",", ":") if indent is None else None
    write_text(path, json.dumps(content, ensure_ascii=False, indent=indent, separators=separators) + "\n")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields an empty temporary file beside `path`, which replaces `path` if the block succeeds.

    It is for writers that take a path. Makes the folders above it. If the block raises, or the system refuses, the old
    file is unchanged and nothing else is left.

    Raises:
        OSError: the system refuses, or `path` is no ordinary file; the error's filename is `path`.
    """
    target = Path(path)
    if _is_special(target):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(target))
    with _naming(target):
        partial = _new_partial(target.parent, is_folder=False)
    try:
        with _naming(target, only={None, str(partial)}):  # errors of other files keep their own names
            yield partial
        with _changing:
            pass  # a process that is ending waits here
        with _naming(target):
            with open(partial, "r+b") as file:
                os.fsync(file.fileno())
            with _changing:
                os.replace(partial, target)
    finally:
        _remove(partial)
    _sync_folder(target.parent)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields an empty temporary folder beside `path`, which is renamed to `path` if the block succeeds.

    Makes the folders above it. If the block raises, nothing is left.

    Raises:
        OSError: the system refuses, or `path` exists and is not an empty folder; the error's filename is `path`.
    """
    target = Path(path)
    with _naming(target):
        partial = _new_partial(target.parent, is_folder=True)
    try:
        with _naming(target, only={None, str(partial)}):
            yield partial
        with _naming(target), _changing:
            os.rename(partial, target)  # replaces an empty folder, and fails on anything else
    finally:
        _remove(partial)
    _sync_folder(target.parent)


def prove(path: str | os.PathLike[str], *, num_bytes: int = 0) -> None:
    """Checks that a file can be written, before the work that produces its content. Changes nothing.

    Args:
        path: the file; an existing one is not touched.
        num_bytes: its future size, if known.

    Raises:
        OSError: the system refuses, there is too little room, or `path` is a folder; the error's filename is `path`.
    """
    target = Path(path)
    if _is_special(target):
        return
    with _naming(target):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(target).st_mode):  # also raises if the name is too long
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _prove_folder(target.parent, num_bytes)


def prove_folder(path: str | os.PathLike[str], *, num_bytes: int = 0) -> None:
    """Checks that files can be written into a folder, as `prove` does. A missing folder is not created."""
    with _naming(Path(path)):
        _prove_folder(Path(path), num_bytes)


def abandon() -> None:
    """Removes every temporary file and folder of this process, which can write no more files afterwards.

    It is for a process that is about to end, and may be called from any thread or signal handler: writing threads wait
    until the process ends.
    """
    if _changing.acquire(timeout=_ABANDON_SECONDS):  # and never released
        for path in tuple(_unfinished):
            _delete(path)


def is_leftover(name: str) -> bool:
    """Whether a name is that of a temporary file, which a killed process leaves behind."""
    return _LEFTOVER.fullmatch(name) is not None


@contextlib.contextmanager
def _naming(target: Path, only: set[str | None] | None = None) -> Iterator[None]:
    """Raises OSErrors with the target's filename: all of them, or only those of files with these names."""
    try:
        yield
    except OSError as error:
        name = None if error.filename is None else str(error.filename)
        if only is not None and name not in only:
            raise
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(target)) from error


def _is_special(target: Path) -> bool:
    """Whether it exists and is neither a file nor a folder: renaming onto it would replace a device or a pipe."""
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _new_partial(folder: Path, *, is_folder: bool) -> Path:
    """Creates a temporary file or folder that `abandon` will remove."""
    partial = folder / f".{secrets.token_hex(6)}.partial"
    for tries_left in reversed(range(_TRIES)):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _changing:
                _unfinished.add(partial)
                if is_folder:
                    partial.mkdir()
                else:
                    open(partial, "xb").close()
            return partial
        except OSError as error:
            _unfinished.discard(partial)
            if not (isinstance(error, FileNotFoundError) and tries_left):
                raise  # else another process removed the folder that it had briefly made
    raise AssertionError("the last try raises or returns")


def _remove(partial: Path) -> None:
    _delete(partial)
    _unfinished.discard(partial)


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):  # e.g. the folder is a file: then there is nothing to remove
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _prove_folder(folder: Path, num_bytes: int) -> None:
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    try:
        partial = _new_partial(folder, is_folder=False)
        try:
            with open(partial, "wb", buffering=0) as file:
                file.write(bytes(_PROOF_BYTES))
                os.fsync(file.fileno())
            free = shutil.disk_usage(folder).free
        finally:
            _remove(partial)
    finally:
        for above in missing:
            with contextlib.suppress(OSError):  # missing, or not empty because another process uses it
                above.rmdir()
    if free < num_bytes:
        raise OSError(
            errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {num_bytes / 1e6:,.1f} MB are needed, {free / 1e6:,.1f} free"
        )


interruption.at_end(abandon)


def _forget_parent() -> None:
    """Called in a forked child: half-written files belong to the parent."""
    global _changing
    _changing = threading.RLock()
    _unfinished.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


def _sync_folder(folder: Path) -> None:
    """Makes the rename survive a power cut, if the system can sync a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


__all__ = [
    "PathNotText",
    "abandon",
    "is_leftover",
    "new_folder",
    "prove",
    "prove_folder",
    "replacing",
    "text_path",
    "write_bytes",
    "write_json",
    "write_text",
]
