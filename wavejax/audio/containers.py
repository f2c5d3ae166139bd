"""Compares the lengths in the headers of audio containers with the bytes that the files hold.

libsndfile silently reads the rest of a truncated file; the check here reports the truncation. Dispatch is by content,
not by suffix: a .wav may hold RIFF, RF64, Wave64 or NIST SPHERE.
"""

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from wavejax.audio.errors import AudioError

# Ranges of data lengths that programs write when they stream into a pipe (sox rounds its value down to whole frames).
_PLACEHOLDERS = ((0x7EFF0000, 0x7F010000), (0x7FFE0000, 0x80000000), (0xFFFE0000, 0xFFFFFFFF))
_GUID_TAIL = {b"riff": bytes.fromhex("2e91cf11a5d628db04c10000"), b"data": bytes.fromhex("f3acd3118cd100c04f8edb8a")}
_OGG_PAGE_MOST = 65307
_MAX_CHUNKS = 100_000


def open_container(source: Path) -> io.BufferedReader | None:
    """A file to decode instead of ``source`` if its header must be read differently; usually None.

    A length that was never filled in (a stream into a pipe, a recorder that lost power) counts as unknown: the rest of
    the file is the sound. Raises AudioError if announced data are missing, and the system's OSError.
    """
    with open(source, "rb") as file:
        position = _check(source, file, os.fstat(file.fileno()).st_size)
    return None if position is None else io.BufferedReader(_WithUnknownLength(open(source, "rb"), position))


def _check(source: Path, file: BinaryIO, size: int) -> int | None:
    """Raises AudioError if data are missing; returns the position of a RIFF data length that is 0 before data."""
    head = file.read(40)
    if head[:4] == b"OggS":
        _check_last_page(source, file, size)
        return None
    data = _data_of(head, file, size)
    if data is None:
        return None
    start, length, bits = data
    there = max(0, size - start)
    if length is None or (bits == 32 and any(low <= length <= high for low, high in _PLACEHOLDERS)):
        return None
    if length == 0:
        return start - 4 if head[:4] == b"RIFF" and there and not _are_chunks(file, start, size) else None
    # Some programs include the header, or all but its first eight bytes, in the length of the data.
    if length > there and length not in (size, size - 8):
        raise AudioError(
            f"{source} is cut short: its header announces {length} bytes of audio and {there} are there. Copy or "
            "download it again."
        )
    if bits == 32 and there - length >= 1 << 32:
        raise AudioError(
            f"{source} holds {there} bytes of audio, more than a header of 32 bits can say (it says {length}). Convert "
            "it to FLAC, RF64 or several files."
        )
    return None


def _data_of(head: bytes, file: BinaryIO, size: int) -> tuple[int, int | None, int] | None:
    """(start of the data, their announced bytes or None if unknown, bits of that number); None for other containers."""
    kind = head[:4]
    if kind == b"RIFF" or kind == b"RIFX":
        order = "<" if kind == b"RIFF" else ">"
        found = _find(file, _chunks(file, 12, size, order + "4sI", pad=2), b"data")
        return None if found is None else (*found, 32)
    if kind in (b"RF64", b"BW64"):
        return _rf64_data(file, size)
    if kind == b"riff" and head[4:16] == _GUID_TAIL[b"riff"]:
        found = _find(file, _chunks(file, 40, size, "<16sQ", pad=8, counted=24), b"data" + _GUID_TAIL[b"data"])
        return None if found is None else (*found, 64)
    if kind == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        found = _find(file, _chunks(file, 12, size, ">4sI", pad=2), b"SSND")
        return None if found is None else (*found, 32)
    if kind == b"caff":
        found = _find(file, _chunks(file, 8, size, ">4sq", pad=1), b"data")
        return None if found is None else (found[0], found[1] if found[1] >= 0 else None, 64)
    if kind == b".snd" and len(head) >= 12:
        start, length = struct.unpack(">II", head[4:12])
        return start, length, 32
    return _sphere_data(head, file) if head[:7] == b"NIST_1A" else None


def _chunks(
    file: BinaryIO, start: int, size: int, form: str, pad: int, counted: int = 0
) -> Iterator[tuple[bytes, int, int]]:
    """(name, start of its content, announced bytes of it) of every chunk; `counted`: header bytes in the size."""
    header = struct.calcsize(form)
    for _ in range(_MAX_CHUNKS):
        if start + header > size:
            return
        file.seek(start)
        name, length = struct.unpack(form, file.read(header))
        length -= counted
        yield name, start + header, length
        if length < 0:
            return
        start += header + -(-length // pad) * pad


def _find(file: BinaryIO, chunks: Iterator[tuple[bytes, int, int]], wanted: bytes) -> tuple[int, int] | None:
    return next(((start, length) for name, start, length in chunks if name == wanted), None)


def _are_chunks(file: BinaryIO, start: int, size: int) -> bool:
    """Whether there are only chunks, and no sound, from here to the end."""
    ends = [begin + length + length % 2 for _, begin, length in _chunks(file, start, size, "<4sI", pad=2)]
    return bool(ends) and abs(ends[-1] - size) <= 1


def _rf64_data(file: BinaryIO, size: int) -> tuple[int, int | None, int] | None:
    """RF64 (EBU Tech 3306): a data chunk of 2^32 - 1 bytes has its length in the chunk ds64."""
    long: int | None = None
    for name, start, length in _chunks(file, 12, size, "<4sI", pad=2):
        if name == b"ds64":
            file.seek(start + 8)
            content = file.read(8)
            long = struct.unpack("<Q", content)[0] if len(content) == 8 else None
        if name == b"data":
            return start, (long or None) if length == 0xFFFFFFFF else length, 64
    return None


def _sphere_data(head: bytes, file: BinaryIO) -> tuple[int, int | None, int] | None:
    """NIST SPHERE: a header of text lines `name -i value`; the length of compressed data is unknown."""
    file.seek(0)
    try:
        start = int(head[8:16])
        lines = file.read(min(start, 1 << 16)).split(b"\n")
        fields = dict((words[0], words[2]) for line in lines if len(words := line.split()) == 3)
        if fields.get(b"sample_coding", b"pcm") not in (b"pcm", b"ulaw", b"alaw"):
            return start, None, 64
        sizes = [int(fields[name]) for name in (b"sample_count", b"sample_n_bytes", b"channel_count")]
    except (ValueError, KeyError):
        return None
    return start, sizes[0] * sizes[1] * sizes[2], 64


def _check_last_page(source: Path, file: BinaryIO, size: int) -> None:
    """An Ogg page states its length: a file that ends within a page was truncated. Without a page nothing is raised."""
    offset = max(0, size - 2 * _OGG_PAGE_MOST)
    file.seek(offset)
    tail = file.read()
    start = tail.rfind(b"OggS\0")
    header = tail[start : start + 27]
    if start < 0:
        return
    table = tail[start + 27 : start + 27 + header[26]] if len(header) == 27 else b""
    whole = len(header) == 27 and len(table) == header[26] and start + 27 + len(table) + sum(table) <= len(tail)
    if not whole:
        raise AudioError(
            f"{source} is cut short: its last page is not whole ({size} bytes are there). Copy or download it again."
        )


class _WithUnknownLength(io.RawIOBase):
    """A RIFF file whose data length of 0, at `position`, is read as 2^32 - 1, which decoders treat as unknown."""

    def __init__(self, file: BinaryIO, position: int) -> None:
        self._file, self._position = file, position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        start = self._file.tell()
        data = bytearray(self._file.read(len(buffer)))
        for place in range(max(self._position, start), min(self._position + 4, start + len(data))):
            data[place - start] = 0xFF
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
