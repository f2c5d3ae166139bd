"""Files that are written whole or not at all: at any moment a file holds the old content or all of the new.

The content goes to a temporary file in the same folder, which is synced and renamed. This is the only module that
renames files. The temporary name does not contain the target's, so that a name of any length that the file system
takes can be written.
"""

import contextlib
import errno
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LEFTOVER = re.compile(r"\.[0-9a-f]{12}\.partial")


class PathNotText(ValueError):
    """A path that cannot be written in UTF-8; the message says which, and what to do."""


def text_path(path: str | os.PathLike[str]) -> str:
    """A path as text, for libraries that take no other: TensorStore (checkpoints) and ArrayRecord (prepared corpora).

    A system takes nearly any bytes as a name, and Python carries those that are no UTF-8 as lone surrogates, which
    these libraries cannot be given: they fail where they should have written.

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
    """Write a file. Makes the folders above it. Raises OSError as `replacing` does."""
    with replacing(path) as partial, open(partial, "wb") as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file of UTF-8. Makes the folders above it. Raises OSError as `replacing` does."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], content: Any, *, indent: int | None = None) -> None:
    """Write a file of JSON that ends with a new line, on one line without `indent`.

    Makes the folders above it. Raises TypeError where JSON cannot say the content, OSError as `replacing` does.
    """
    separators = (",", ":") if indent is None else None
    write_text(path, json.dumps(content, ensure_ascii=False, indent=indent, separators=separators) + "\n")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty temporary file beside `path`, which takes its place where the block ends well.

    For writers that take a path. Makes the folders above it. Where the block raises, or the system refuses, the old
    file is untouched and nothing else is left.

    Raises:
        OSError: the system refuses; the error's filename is `path`.
    """
    target = Path(path)
    partial = target.parent / f".{secrets.token_hex(6)}.partial"
    try:
        with _naming(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            open(partial, "xb").close()
        with _naming(target, only={None, str(partial)}):  # what the block reads has a name of its own
            yield partial
        with _naming(target):
            with open(partial, "r+b") as file:
                os.fsync(file.fileno())
            os.replace(partial, target)
    finally:
        with contextlib.suppress(OSError):  # such as a folder that is a file: there is nothing to remove then
            partial.unlink(missing_ok=True)
    _sync_folder(target.parent)


def is_leftover(name: str) -> bool:
    """Whether a file has the name of a temporary one, which a process that was killed leaves behind."""
    return _LEFTOVER.fullmatch(name) is not None


@contextlib.contextmanager
def _naming(target: Path, only: set[str | None] | None = None) -> Iterator[None]:
    """Raise refusals as those of the target: all of them, or only those of files with these names."""
    try:
        yield
    except OSError as error:
        name = None if error.filename is None else str(error.filename)
        if only is not None and name not in only:
            raise
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(target)) from error


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself last through a power cut, where the system can sync a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


__all__ = ["PathNotText", "is_leftover", "replacing", "text_path", "write_bytes", "write_json", "write_text"]
