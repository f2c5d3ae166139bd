"""A weight file as bytes: what may be asked of it, how much, and the error of all refusals.

A weight file comes from a stranger. Nothing in it is run, every length in it is compared with the bytes that are there
before memory is taken, and every count has an end, which stands here.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType


class RefusedFile(ValueError):
    """A weight file that is damaged, hostile or of an unknown kind; the message says what was found, in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a weight file may hold. Public checkpoints stay below a tenth of each."""

    tensors: int = 20_000
    dimensions: int = 8
    name_length: int = 512
    depth: int = 64
    """Containers inside containers."""
    operations: int = 300_000
    """Of all pickles of a file; a tensor takes about 40."""
    pickle_bytes: int = 16 << 20
    """Of all pickles of a file."""
    text_bytes: int = 64 << 10
    """One text or one run of bytes in a pickle."""
    members: int = 40_000
    """Files in an archive."""
    directory_bytes: int = 8 << 20
    """An archive's table of contents, and the header of a safetensors file."""
    expansion: int = 16
    """Bytes of all files in a compressed archive, for each byte of the archive."""
    sharing: int = 2
    """Bytes of all tensors that are read at once, for each byte of the file: tensors may share their numbers, and may
    lie between those of others."""


LIMITS = Limits()


def shown(text: object) -> str:
    """Something from a file, for a message: short, in quotes, without what a terminal would obey."""
    if isinstance(text, int) and abs(text) >= 1 << 64:
        return f"a number of {text.bit_length()} bits"
    if isinstance(text, str | bytes | int | float | bool | None):
        clipped = text[:60] if isinstance(text, str | bytes) else text
        return repr(clipped) + ("..." if clipped != text and clipped == clipped else "")
    return f"a {type(text).__name__}"


class SourceFile:
    """A regular file that is open for reading, as a context manager.

    Args:
        path: the file. FIFOs, devices and folders are refused without opening them.

    Raises:
        RefusedFile: it is not a regular file. OSError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._refuse_irregular(os.stat(self.path))  # before it is opened: to open some devices is an act
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        self._file = os.fdopen(os.open(self.path, flags), "rb", buffering=0)
        try:
            found = os.fstat(self._file.fileno())
            self._refuse_irregular(found)
        except BaseException:
            self._file.close()
            raise
        self.size = found.st_size

    def __enter__(self) -> "SourceFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def refused(self, why: str) -> RefusedFile:
        """The error that names this file."""
        return RefusedFile(f"{self.path}: {why}")

    def read(self, offset: int, count: int, what: str) -> bytearray:
        """Exactly `count` bytes from `offset` on. Raises RefusedFile, with `what`, where they are not all there."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise self.refused(
                f"{what} would be bytes {shown(offset)} to {shown(offset + count)}, and the file has {self.size}: it "
                "is cut off or damaged; get it again"
            )
        self._file.seek(offset)
        data = bytearray(count)
        view, done = memoryview(data), 0
        while done < count:
            got = self._file.readinto(view[done:])
            if not got:
                raise self.refused(f"{what} ends early: the file has changed while it was read; try again")
            done += got
        return data

    def _refuse_irregular(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a device or a socket"
            raise self.refused(f"this is {kind}, and weights are read from a regular file; give the file itself")
