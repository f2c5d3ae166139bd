"""Weight files as PyTorch, safetensors and NumPy write them, made by hand: the tests need none of the writers."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence

import ml_dtypes
import numpy as np

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
KINDS = {
    "float64": "Double",
    "float32": "Float",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
}
SAFE = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "bool": "BOOL"}


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def group(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def mapping(items: Mapping[str, bytes]) -> bytes:
    inside = b"".join(text(key) + value for key, value in items.items())
    return named("collections", "OrderedDict") + b")R(" + inside + b"u"


def storage(kind: str, key: str, size: int, *view: bytes) -> bytes:
    return group(text("storage"), named("torch", f"{kind}Storage"), text(key), text("cpu"), number(size), *view) + b"Q"


def tensor(of: bytes, offset: int, shape: Sequence[int], strides: Sequence[int]) -> bytes:
    sizes = [group(*map(number, values)) for values in (shape, strides)]
    arguments = group(of, number(offset), *sizes, b"\x89", mapping({}))
    return named("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def pickled(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def steps(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))


def described(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The state dict of arrays that each have a storage of their own: 0, 1, ..."""
    items = {}
    for index, (name, array) in enumerate(arrays.items()):
        of = storage(KINDS[str(array.dtype)], str(index), array.size)
        items[name] = tensor(of, 0, array.shape, steps(array.shape))
    return mapping(items)


def torch_zip(body: bytes, storages: Mapping[str, bytes], *, more: Mapping[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(body))
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", b"3\n")
        for name, data in (more or {}).items():
            archive.writestr(name, data)
    return buffer.getvalue()


def torch_new(arrays: Mapping[str, np.ndarray], place: str | None = None) -> bytes:
    body = described(arrays) if place is None else mapping({place: described(arrays), "epoch": number(3)})
    return torch_zip(body, {str(i): array.tobytes() for i, array in enumerate(arrays.values())})


def legacy(body: bytes, storages: Mapping[str, tuple[int, bytes]]) -> bytes:
    facts = b"}(" + text("protocol_version") + number(1001) + text("little_endian") + b"\x88u"
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    data = b"".join(struct.pack("<q", size) + numbers for size, numbers in storages.values())
    return MAGIC + b"".join(map(pickled, (number(1001), facts, body, keys))) + data


def torch_old(arrays: Mapping[str, np.ndarray], place: str | None = None) -> bytes:
    body = described(arrays) if place is None else mapping({place: described(arrays)})
    return legacy(body, {str(i): (array.size, array.tobytes()) for i, array in enumerate(arrays.values())})


def safetensors(arrays: Mapping[str, np.ndarray], **changes: object) -> bytes:
    """`changes` replaces entries of the header."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, array in arrays.items():
        offsets = [at, at := at + array.nbytes]
        header[name] = {"dtype": SAFE[str(array.dtype)], "shape": list(array.shape), "data_offsets": offsets}
    return with_header(json.dumps(header | changes), b"".join(array.tobytes() for array in arrays.values()))


def with_header(header: str | bytes, data: bytes = b"") -> bytes:
    encoded = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(encoded)) + encoded + data


def npz(arrays: Mapping[str, np.ndarray], compressed: bool = False) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def examples() -> dict[str, np.ndarray]:
    """One array of each dtype and rank that weights have."""
    random = np.random.default_rng(0)
    floats = random.normal(size=(3, 2, 5))
    return {
        "conv.weight_v": floats.astype(np.float32),
        "conv.bias": floats[0, 0].astype(np.float64),
        "half.weight": floats[0].astype(np.float16),
        "brain.weight": floats[1].astype(ml_dtypes.bfloat16),
        "norm.num_batches_tracked": np.array(7, np.int64),
        "mask": np.array([True, False, True]),
        "empty": np.zeros((0, 4), np.float32),
    }
