"""Text files from users (tables and transcripts), packed or not, and file names as text.

A line ends at LF, CRLF or CR and nowhere else: U+2028, a form feed or U+0085 inside a transcript are part of it.
"""

import gzip
import lzma
import os
import re
import stat
import sys
import unicodedata
import zlib
from pathlib import Path

MAX_TRANSCRIPT_BYTES = 2**20
"""A transcript holds the words of one recording; a larger file is something else."""
MAX_TABLE_BYTES = 2**28
"""Limit for metadata.csv and similar tables: more than two million rows."""
NOT_TEXT = f"not {sys.getfilesystemencoding().upper()} text"
"""Message for a name that `is_text` refuses: its bytes are invalid in the file system's encoding."""
_LINE_END = re.compile(r"\r\n|\n|\r")


class SourceError(ValueError):
    """The source folder cannot be read as recordings; the message says what was found and what to do."""


def text_lines(text: str) -> list[str]:
    """The lines of a text without their line ends; the last line needs none."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def read_text(path: Path, limit: int = MAX_TABLE_BYTES) -> str:
    """The text of a UTF-8 file, with or without a byte-order mark; that of NAME.gz or NAME.xz is unpacked.

    Raises SourceError if it is not a regular file (a pipe or a device would hang, or never end), is larger than `limit`
    bytes, is unreadable, cannot be unpacked, or has another encoding.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{shown(path)} is not a regular file, so it is not read as text")
        with path.open("rb") as file:
            match path.suffix.lower():
                case ".gz":
                    with gzip.GzipFile(fileobj=file) as unpacked:
                        data = unpacked.read(limit + 1)
                case ".xz":
                    with lzma.LZMAFile(file) as unpacked:
                        data = unpacked.read(limit + 1)
                case _:
                    data = file.read(min(status.st_size, limit) + 1)
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise SourceError(f"{shown(path)} cannot be unpacked ({error}): it was cut short, or is damaged") from error
    except OSError as error:
        raise SourceError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
    if len(data) > limit:
        raise SourceError(f"{shown(path)} is larger than {limit} bytes, more than is read of such a file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{shown(path)} is not UTF-8 text ({error}); convert it, e.g. with iconv") from error


def compressed(text: str, path: Path) -> bytes:
    """What `read_text` reads again from a file of this name: packed if its suffix is .gz or .xz."""
    data = text.encode()
    match path.suffix.lower():
        case ".gz":
            return gzip.compress(data, mtime=0)
        case ".xz":
            return lzma.compress(data)
    return data


def is_inside(folder: Path, name: str) -> bool:
    """Whether a name from a user's table is that of a regular file in a folder or below it.

    The name must be relative and without "..", so that it cannot lead out of the folder. The file itself may be a link:
    anyone who can create a link there can also create a file.
    """
    parts = Path(name).parts
    is_below = bool(parts) and not Path(name).is_absolute() and ".." not in parts and "\0" not in name
    return is_below and (folder / name).is_file()


def is_text(name: str) -> bool:
    """Whether a file's name is text: on disk it may be any bytes, and Python represents invalid ones as surrogates."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str | os.PathLike[str]) -> str:
    """A path in readable form; bytes that are not text are written as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def composed(name: str) -> str:
    """The composed form (NFC) of a name: "é" is then always one character, however it was typed or stored."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
