"""Reads small files of unknown origin completely, if they are regular files of a plausible size.

A read from a FIFO may never return, a device has no end, and JSON may be nested too deeply for a parser. Each of these
is refused with one sentence, in bounded time and memory (`wavejax.limits`).
"""

import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wavejax.limits import DEEPEST_NESTING, MOST_DOCUMENT_BYTES, MOST_LINE_BYTES


class NotRegular(OSError):
    """A path is a FIFO, a device or a socket instead of a regular file."""


class Malformed(ValueError):
    """A file is too large, or not valid JSON."""


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Opens a regular file, or a link to one, for binary reading.

    Raises:
        NotRegular: it is something else; reading it might never end.
        OSError: it cannot be opened.
    """
    if not stat.S_ISREG(mode := os.stat(path).st_mode):  # before opening, which has effects on some devices
        raise NotRegular(f"{os.fspath(path)} is {_kind(mode)}, not a regular file")
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (the caller closes it)
    if not stat.S_ISREG(mode := os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotRegular(f"{os.fspath(path)} is {_kind(mode)}, not a regular file")
    return file


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file as `open` does, but does not wait for a writer if it is a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def why_not_regular(path: Path) -> str | None:
    """What a path is, in words, if it is neither a regular file nor a folder (links are followed); else None."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else f"{_kind(mode)}, not a regular file"


def read_bytes(path: str | os.PathLike[str], most: int = MOST_DOCUMENT_BYTES) -> bytes:
    """The contents of a regular file of at most `most` bytes.

    Raises:
        Malformed: it is larger.
        OSError: as for `open_regular`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1) if size <= most else b""
    if max(size, len(data)) > most:
        raise Malformed(f"{os.fspath(path)} is larger than the {most:,} bytes that such a file may have")
    return data


def read_json(path: str | os.PathLike[str], most: int = MOST_DOCUMENT_BYTES) -> Any:
    """The parsed contents of a JSON file of at most `most` bytes.

    Raises:
        Malformed: it is not JSON, nested too deeply, or too large.
        OSError: as `open_regular`.
    """
    return parse_json(read_bytes(path, most))


def parse_json(data: bytes | str) -> Any:
    """Parses JSON in UTF-8.

    Raises:
        Malformed: it is not JSON, or nested too deeply.
    """
    try:
        value = json.loads(data if isinstance(data, str) else data.decode("utf-8"))
    except RecursionError:
        raise Malformed(f"its JSON is nested deeper than {DEEPEST_NESTING} levels") from None
    except ValueError as error:
        raise Malformed(f"it is no JSON: {error}") from None
    if _depth(value) > DEEPEST_NESTING:
        raise Malformed(f"its JSON is nested deeper than {DEEPEST_NESTING} levels")
    return value


def read_records(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a log with one object per line; other lines, such as one cut short by a kill, are skipped.

    Yields nothing if the file does not exist. Raises OSError, as `open_regular` does, if it cannot be read.
    """
    if not os.path.exists(path):
        return
    with open_regular(path) as file:
        while line := file.readline(MOST_LINE_BYTES):
            if not line.endswith(b"\n") and len(line) == MOST_LINE_BYTES:
                while (rest := file.readline(MOST_LINE_BYTES)) and not rest.endswith(b"\n"):
                    pass
                continue
            try:
                record = parse_json(line)
            except Malformed:
                continue
            if isinstance(record, dict):
                yield record


def _depth(value: Any) -> int:
    """Levels of nested lists and objects, counted up to one more than is allowed."""
    level, depth = [value] if isinstance(value, dict | list) else [], 0
    while level and depth <= DEEPEST_NESTING:
        parts = (item.values() if isinstance(item, dict) else item for item in level)
        level, depth = [inner for part in parts for inner in part if isinstance(inner, dict | list)], depth + 1
    return depth


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
    return {**kinds, stat.S_IFDIR: "a folder"}.get(stat.S_IFMT(mode), "something else")


__all__ = [
    "Malformed",
    "NotRegular",
    "open_regular",
    "parse_json",
    "read_bytes",
    "read_json",
    "read_records",
    "why_not_regular",
]
