"""`.safetensors` and `.npz`: formats that can hold nothing but arrays, checked all the same."""

import functools
import json
import math
import re
from typing import Any, Literal, NamedTuple

import numpy as np

from wavejax.conversion.archives import Archive
from wavejax.conversion.source import LIMITS, RefusedFile, SourceFile, shown
from wavejax.conversion.tensors import BFLOAT16, Part, StoredTensor, checked_name, checked_sizes, contiguous, strided

_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}

_NPY_VERSIONS = tuple(b"\x93NUMPY" + bytes((major, 0)) for major in (1, 2, 3))
_LONGEST_NPY_HEADER = 1 << 10
# As NumPy writes it. It reads more than that, with a parser of Python's expressions.
_NPY_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<>|=]?(?:b1|[iu][1248]|f[248]))', 'fortran_order': (?P<order>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n"
)


def read_safetensors(source: SourceFile) -> dict[str, Part]:
    """The tensors of a safetensors file, as the part "".

    8 bytes of length, a header in JSON {name: {dtype, shape, data_offsets}}, and the numbers without gaps
    (github.com/huggingface/safetensors). A name may stand once, and tensors may neither overlap nor leave bytes unused.
    """
    length = int.from_bytes(source.read(0, 8, "the header's length"), "little")
    if length > min(LIMITS.directory_bytes, source.size - 8):
        raise source.refused(
            f"its header announces {length} bytes, and the file has {source.size}; the most is {LIMITS.directory_bytes}"
        )
    try:
        header = json.loads(source.read(8, length, "the header").decode(), object_pairs_hook=_once)
    except RefusedFile:
        raise
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or JSON inside JSON without end
        raise source.refused(f"its header is no JSON ({str(error)[:60]}): it is damaged") from None
    if not isinstance(header, dict) or len(header) > LIMITS.tensors:
        raise source.refused(f"its header is {shown(header)}, expected at most {LIMITS.tensors} tensors by name")
    header.pop("__metadata__", None)
    first = 8 + length
    part, spans = {}, []
    for name, entry in header.items():
        dtype, shape, begin, end = _checked(name, entry)
        read = functools.partial(_read_plain, source, first + begin, dtype, shape, name)
        part[checked_name(name)] = StoredTensor(shape, dtype, read)
        spans.append((begin, end))
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise source.refused(f"its tensors overlap or leave a gap at byte {min(at, begin)} of the numbers")
        at = end
    if first + at != source.size:
        raise source.refused(
            f"its tensors take {at} bytes, and {source.size - first} follow the header: it is cut off or damaged"
        )
    return {"": part}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusedFile("the header of a safetensors file names something twice: it is not clear which one is meant")
    return found


def _checked(name: str, entry: Any) -> tuple[np.dtype, tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise RefusedFile(f"tensor {shown(name)} is {shown(entry)}, expected dtype, shape and data_offsets")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
        raise RefusedFile(f"tensor {shown(name)} has the dtype {shown(entry['dtype'])}; known are {', '.join(_DTYPES)}")
    dtype, shape = _DTYPES[entry["dtype"]], checked_sizes(entry["shape"], f"the shape of {shown(name)}")
    offsets = checked_sizes(entry["data_offsets"], f"data_offsets of {shown(name)}")
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise RefusedFile(f"tensor {shown(name)} of shape {shape} and dtype {dtype} does not fit in bytes {offsets}")
    return dtype, shape, offsets[0], offsets[1]


def _read_plain(source: SourceFile, begin: int, dtype: np.dtype, shape: tuple[int, ...], name: str) -> np.ndarray:
    data = source.read(begin, math.prod(shape) * dtype.itemsize, f"tensor {shown(name)}")
    return strided(data, dtype, shape, contiguous(shape))


def read_npz(source: SourceFile, archive: Archive) -> dict[str, Part]:
    """The arrays of a NumPy archive, as the part "". Arrays of Python objects, which are pickles, are refused."""
    if len(archive.members) > LIMITS.tensors:
        raise source.refused(f"it has {len(archive.members)} arrays; the most is {LIMITS.tensors}")
    part = {}
    for member in archive.members.values():
        if not member.name.endswith(".npy"):
            raise source.refused(f"it holds {shown(member.name)} beside its arrays, which no .npz does")
        form = _npy_form(archive.beginning(member.name, _LONGEST_NPY_HEADER + 12), member.name, member.size)
        read = functools.partial(_read_npy, archive, member.name, form)
        part[checked_name(member.name.removesuffix(".npy"))] = StoredTensor(form.shape, _native(form.dtype), read)
    return {"": part}


class _Form(NamedTuple):
    """What the header of a .npy file says."""

    shape: tuple[int, ...]
    dtype: np.dtype
    order: Literal["C", "F"]
    first: int
    """Where the numbers begin."""


def _npy_form(data: bytes | bytearray, name: str, size: int) -> _Form:
    """The header of a .npy file of `size` bytes, as `numpy.lib.format` describes it."""
    version, width = bytes(data[:8]), 2 if data[6:7] == b"\1" else 4
    length = int.from_bytes(data[8 : 8 + width], "little")
    header = _NPY_HEADER.fullmatch(bytes(data[8 + width : 8 + width + min(length, _LONGEST_NPY_HEADER)]))
    if version not in _NPY_VERSIONS or header is None:
        raise RefusedFile(f"{shown(name)} is no array of numbers in NumPy's format")
    dtype, sizes = np.dtype(header["dtype"].decode()), header["shape"].decode().replace(" ", "").split(",")
    shape = checked_sizes([int(number) for number in sizes if number], f"the shape of {shown(name)}")
    first = 8 + width + length
    if math.prod(shape) * dtype.itemsize != size - first:
        raise RefusedFile(f"{shown(name)} of shape {shape} and dtype {dtype} does not fit in its {size - first} bytes")
    return _Form(shape, dtype, "F" if header["order"] == b"True" else "C", first)


def _read_npy(archive: Archive, name: str, form: _Form) -> np.ndarray:
    flat = np.frombuffer(archive.read(name), np.uint8 if form.dtype.kind == "b" else form.dtype, offset=form.first)
    flat = flat != 0 if form.dtype.kind == "b" else flat
    array = flat.reshape(form.shape, order=form.order)
    return array.astype(_native(form.dtype), copy=False)


def _native(dtype: np.dtype) -> np.dtype:
    return dtype.newbyteorder("=")
