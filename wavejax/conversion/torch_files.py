"""Files of `torch.save`: the ZIP form (PyTorch 1.6 and later) and the older one, without PyTorch."""

import functools
from collections.abc import Callable

import numpy as np

from wavejax.conversion.archives import Archive
from wavejax.conversion.pickles import PickleBytes
from wavejax.conversion.source import LIMITS, RefusedFile, SourceFile, shown
from wavejax.conversion.tensors import Part, StoredTensor, span, strided
from wavejax.conversion.torch_pickles import Record, Storage, TorchPickles, find_parts

LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes of the older form: a pickle of its magic number."""

_LEGACY_VERSION = 1001


def read_zip(source: SourceFile, archive: Archive) -> dict[str, Part]:
    """The dicts of tensors in a file of PyTorch 1.6 or later; tensors are read when they are asked for.

    The archive holds, in one folder, `data.pkl` and the storages `data/0`, `data/1`, ..., not compressed.
    """
    (main,) = (name for name in archive.members if name.endswith("/data.pkl"))
    folder = main.removesuffix("data.pkl")
    if any(member.is_compressed for member in archive.members.values()):
        raise source.refused("its archive is compressed, which PyTorch's never is: unpack it and save it again")
    _refuse_large(source, archive.members[main].size)
    swap = f"{folder}byteorder" in archive.members and archive.read(f"{folder}byteorder") == b"big"

    def accept(storage: Storage) -> None:
        name, size = f"{folder}data/{storage.key}", storage.size * storage.dtype.itemsize
        if name not in archive.members or archive.members[name].size != size:
            there = f"{archive.members[name].size} bytes" if name in archive.members else "nothing"
            raise RefusedFile(
                f"storage {shown(storage.key)} announces {size} bytes, and the archive has {there} for it"
            )

    @functools.cache
    def offset_of(key: str) -> int:
        archive.verify(f"{folder}data/{key}")
        return archive.data_offset(f"{folder}data/{key}")

    pickles = TorchPickles(accept)
    tree = pickles.read(PickleBytes(archive.read(main)))
    return _stored(source, find_parts(tree), offset_of, swap)


def read_legacy(source: SourceFile) -> dict[str, Part]:
    """The dicts of tensors in a file of PyTorch before 1.6.

    Five pickles (a magic number, a version, facts of the machine, the object, the storages' names in order), and then
    of each storage its length in 8 bytes and its numbers.
    """
    pickles = TorchPickles(lambda storage: None)
    given = PickleBytes(source.read(0, min(source.size, LIMITS.pickle_bytes), "its pickles"))
    magic, version, facts = (pickles.read(given) for _ in range(3))
    if magic != 0x1950A86A20F9469CFC6C or version != _LEGACY_VERSION or not isinstance(facts, dict):
        raise RefusedFile(f"its version is {shown(version)}, expected {_LEGACY_VERSION} of PyTorch's older form")
    tree, keys = pickles.read(given), pickles.read(given)
    if not isinstance(keys, list) or set(map(type, keys)) - {str} or sorted(keys) != sorted(pickles.storages):
        raise RefusedFile("the storages that it lists are not those that its tensors use: the file is damaged")
    offsets, at = {}, given.tell()
    for key in keys:
        storage = pickles.storages[key]
        size = int.from_bytes(source.read(at, 8, f"the length of storage {shown(key)}"), "little", signed=True)
        end = at + 8 + storage.size * storage.dtype.itemsize
        if size != storage.size or end > source.size:
            raise RefusedFile(
                f"storage {shown(key)} announces {storage.size} elements; its place says {size}, and the file has "
                f"{max(0, source.size - at - 8)} bytes from there on: it is cut off or damaged"
            )
        offsets[key], at = at + 8, end
    if at != source.size:
        raise RefusedFile(f"{source.size - at} bytes follow the last storage: the file is damaged")
    swap = facts.get("little_endian") is False
    return _stored(source, find_parts(tree), offsets.__getitem__, swap)


def _stored(
    source: SourceFile, parts: dict[str, dict[str, Record]], offset_of: Callable[[str], int], swap: bool
) -> dict[str, Part]:
    def tensor(record: Record) -> StoredTensor:
        read = functools.partial(_read, source, record, offset_of, swap)
        reach = span(record.shape, record.strides) * record.storage.dtype.itemsize
        return StoredTensor(record.shape, record.storage.dtype, read, reach)

    return {name: {key: tensor(record) for key, record in part.items()} for name, part in parts.items()}


def _read(source: SourceFile, record: Record, offset_of: Callable[[str], int], swap: bool) -> np.ndarray:
    storage, width = record.storage, record.storage.dtype.itemsize
    begin = offset_of(storage.key) + (storage.first + record.offset) * width
    data = source.read(begin, span(record.shape, record.strides) * width, f"storage {shown(storage.key)}")
    if swap:
        data = bytearray(np.frombuffer(data, f"u{width}").byteswap().tobytes())
    return strided(data, storage.dtype, record.shape, record.strides)


def _refuse_large(source: SourceFile, size: int) -> None:
    if size > LIMITS.pickle_bytes:
        raise source.refused(f"its pickle has {size} bytes; the most is {LIMITS.pickle_bytes}")
