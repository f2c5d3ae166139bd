"""NumPy files of features: headers are checked before they are trusted, and files that wavejax wrote carry a mark."""

import io
import math
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wavejax.audio.orientation import frames_first

MOST_UNPACKED = 1 << 28
MOST_RATIO = 16
"""An .npz member may unpack to `MOST_UNPACKED` bytes, or to `MOST_RATIO` times its compressed size."""
_LARGEST_HEADER = 10_000
_MARK = b"wavejax: frames, bands\n"
"""Written after the data of our .npy files: other readers ignore it, and a square array is no longer ambiguous."""


class ArrayFileError(ValueError):
    """An .npy or .npz file is damaged or holds something else; the message says what is wrong but names no file."""


def read_array(path: Path, preferred: str = "mel") -> np.ndarray:
    """The array of an .npy file, or of an .npz file that holds one (or one called ``preferred``).

    The sizes in the headers are compared with the actual bytes before memory is allocated. Raises ArrayFileError
    (damaged, pickled, several arrays, unpacks to far more than its compressed size) and the system's OSError.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        is_archive = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        if not is_archive:
            array = _read_npy(file, size)
            return frames_first(array) if file.read(len(_MARK) + 1) == _MARK else array
        return _read_archive(file, preferred)


def array_bytes(features: np.ndarray) -> bytes:
    """The bytes of an .npy file of features [F, C]; the mark tells `read_array` which axis is which."""
    buffer = io.BytesIO()
    np.save(buffer, features)
    return buffer.getvalue() + _MARK


def _read_archive(file: BinaryIO, preferred: str) -> np.ndarray:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if len(members) != 1 and preferred not in members:
                raise ArrayFileError(
                    f"holds the arrays {', '.join(sorted(members)[:8]) or '(none)'}: call the features "
                    f"`{preferred}`, or save them alone"
                )
            info = members[preferred] if preferred in members else next(iter(members.values()))
            if info.file_size > max(MOST_UNPACKED, MOST_RATIO * info.compress_size):
                raise ArrayFileError(
                    f"unpacks to {info.file_size} bytes out of {info.compress_size}: that is no array of features. "
                    "Save them again with numpy.save"
                )
            with archive.open(info) as member:
                return _read_npy(member, info.file_size)
    except (ArrayFileError, OSError):
        raise
    except Exception as error:  # zipfile and zlib raise many kinds of error on damaged bytes
        raise ArrayFileError(f"is no sound NumPy file ({_brief(error)}): write it again with numpy.save") from error


def _read_npy(file: Any, size: int) -> np.ndarray:
    """The array at the start of a file, or member, of ``size`` bytes."""
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if reader is None:
            raise ValueError(f"version {version[0]}.{version[1]} of the format is not read")
        shape, by_columns, dtype = reader(file, max_header_size=_LARGEST_HEADER)
    except Exception as error:  # numpy evaluates the header as Python, which may raise any error
        raise ArrayFileError(f"is no sound NumPy file ({_brief(error)}): write it again with numpy.save") from error
    if dtype.hasobject:
        raise ArrayFileError("holds Python objects (pickled), which are not read: save an array of float32")
    expected, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or expected > there:
        raise ArrayFileError(
            f"is no sound NumPy file (it announces {'x'.join(map(str, shape))} values, {expected} bytes, and {there} "
            "are there): write it again with numpy.save"
        )
    content = bytearray()
    while len(content) < expected:
        piece = file.read(min(expected - len(content), 1 << 24))
        if not piece:
            raise ArrayFileError(f"is no sound NumPy file (it ends after {len(content)} of {expected} bytes)")
        content += piece
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
