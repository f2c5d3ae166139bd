"""Reads arrays from a NumPy archive (npz) of unknown origin.

NumPy allocates whatever an array's header announces, and decompresses whatever is compressed. Here the record states
each array's shape and dtype first, and an array that disagrees is not read. `export_params` stores arrays uncompressed,
so an archive holds as many bytes as its arrays.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from wavejax.checkpoints.checksums import tree_checksums
from wavejax.checkpoints.leaves import LeafInfo
from wavejax.checkpoints.record import Record

_MOST_HEADER_BYTES = 4096
"""Upper bound for one array: its own header and its entries in the archive's directory, without its name."""


def largest_archive(leaves: Mapping[str, LeafInfo]) -> int:
    """The largest possible size, in bytes, of an archive of these leaves."""
    return 2**16 + sum(info.num_bytes + _MOST_HEADER_BYTES + 16 * len(name) for name, info in leaves.items())


def read_archive(data: bytes, record: Record) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of an archive, and the names of those that are missing, unreadable or changed."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        if sum(entry.file_size for entry in archive.infolist()) > len(data):
            raise ValueError("its arrays share bytes, or are packed")
    except Exception:  # a damaged archive fails in many ways, all of which mean the same
        return {}, list(record.leaves)
    arrays: dict[str, np.ndarray] = {}
    wrong = []
    for name, info in record.leaves.items():
        array = _read_leaf(archive, name, info)
        if array is None or tree_checksums({name: array})[name] != record.checksums[name]:
            wrong.append(name)
        else:
            arrays[name] = array
    return arrays, wrong


def _read_leaf(archive: zipfile.ZipFile, name: str, info: LeafInfo) -> np.ndarray | None:
    try:
        entry = archive.getinfo(f"{name}.npy")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > info.num_bytes + _MOST_HEADER_BYTES:
            return None
        with archive.open(entry) as file:
            shape, in_columns, dtype = _read_header(file)
            if shape != info.shape or dtype.hasobject or dtype.itemsize != np.dtype(info.dtype).itemsize:
                return None
            content = file.read(info.num_bytes + 1)
        stored = np.frombuffer(bytearray(content), dtype).reshape(shape, order="F" if in_columns else "C")
        return stored if str(stored.dtype) == info.dtype else stored.view(np.dtype(info.dtype))
    except Exception:  # see `read_archive`
        return None


def _read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    major, _ = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    return read(file)
