"""What PyTorch's pickles name: tensors become records of where their numbers stand, all else a plain or inert value."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from wavejax.conversion.pickles import Known, Name, Opaque, PickleBytes, as_dict, read_pickle
from wavejax.conversion.source import LIMITS, RefusedFile, shown
from wavejax.conversion.tensors import BFLOAT16, checked_name, checked_sizes, span

STORAGES: Mapping[str, np.dtype] = {
    f"torch.{name}Storage": np.dtype(dtype)
    for name, dtype in {
        "Double": "<f8",
        "Float": "<f4",
        "Half": "<f2",
        "BFloat16": BFLOAT16,
        "Long": "<i8",
        "Int": "<i4",
        "Short": "<i2",
        "Char": "i1",
        "Byte": "u1",
        "Bool": "?",
    }.items()
}
"""PyTorch's names of a storage's element type."""

_DROPPED = (
    *("argparse.Namespace", "_codecs.encode", "torch.device"),
    *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")),
    *("numpy.dtype", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath"),
    *(f"torch.{name}" for name in ("float32", "float16", "bfloat16", "float64", "int64")),
)
"""Beside their weights, training scripts save options, figures and places of theirs; these are not kept."""


class Storage(NamedTuple):
    """A run of numbers in the file."""

    key: str
    dtype: np.dtype
    size: int
    """Elements."""
    first: int = 0
    """Where a view of an older file's storage begins, in elements of the storage with that key."""


class Record(NamedTuple):
    """A tensor: which elements of which storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class TorchPickles:
    """Reads the pickles of one file, and remembers the storages that they name.

    Args:
        accept: called with each new storage; raises RefusedFile where its bytes are not there.
    """

    def __init__(self, accept: Callable[[Storage], None]) -> None:
        self.storages: dict[str, Storage] = {}
        self._accept = accept
        self._tensors = 0
        self._pairs = 0
        self._known: Known = {
            "collections.OrderedDict": self._ordered_dict,
            "collections.defaultdict": lambda *_: {},
            "torch.Size": lambda sizes: checked_sizes(sizes, "a size"),
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor_v2,
            "torch._utils._rebuild_parameter": lambda data, requires_grad, hooks: data,
            "torch._utils._rebuild_parameter_with_state": lambda data, requires_grad, hooks, state: data,
            **dict.fromkeys((*STORAGES, *_DROPPED)),
        }

    def read(self, source: PickleBytes) -> Any:
        """The next object. Raises RefusedFile."""
        return read_pickle(source, self._known, self._storage)

    def _storage(self, given: Any) -> Storage:
        """("storage", type, key, device, elements) and, of older files, a view (key, offset, elements) or None."""
        if not isinstance(given, tuple) or len(given) not in (5, 6) or given[0] != "storage":
            raise RefusedFile(f"the pickle refers to {shown(given)}, which is no storage of a tensor")
        _, kind, key, _, size = given[:5]
        if not isinstance(kind, Name) or kind not in STORAGES:
            raise RefusedFile(f"a storage holds {shown(kind)}; known are {', '.join(STORAGES)}")
        if not isinstance(key, str):
            raise RefusedFile(f"a storage has the name {shown(key)}, expected a text")
        storage = Storage(checked_name(key), STORAGES[str(kind)], *checked_sizes([size], "a storage's length"))
        if storage.key not in self.storages:
            self._accept(storage)
            self.storages[storage.key] = storage
        elif self.storages[storage.key] != storage:
            raise RefusedFile(f"the storage {shown(key)} is said to be of two kinds or lengths: the file is damaged")
        view = given[5] if len(given) == 6 else None
        if view is None:
            return storage
        if not isinstance(view, tuple) or len(view) != 3:
            raise RefusedFile(f"a view of a storage is {shown(view)}, expected its name, offset and length")
        first, count = checked_sizes(view[1:], "a view of a storage")
        if first + count > storage.size:
            raise RefusedFile(f"a view reaches to element {first + count} of a storage of {storage.size}")
        return storage._replace(first=first, size=count)

    def _tensor(self, storage: Any, offset: Any, shape: Any, strides: Any) -> Record:
        self._tensors += 1
        if self._tensors > LIMITS.tensors:
            raise RefusedFile(f"the file has more than {LIMITS.tensors} tensors")
        if not isinstance(storage, Storage):
            raise RefusedFile(f"a tensor is made of {shown(storage)}, which is no storage: the file is damaged")
        (offset,) = checked_sizes([offset], "a tensor's offset")
        shape, strides = checked_sizes(shape, "a tensor's shape"), checked_sizes(strides, "a tensor's strides")
        if len(shape) != len(strides):
            raise RefusedFile(f"a tensor has {len(shape)} sizes and {len(strides)} strides: the file is damaged")
        if offset + span(shape, strides) > storage.size:
            raise RefusedFile(
                f"a tensor of shape {shape} with strides {strides} from element {offset} on reaches beyond the "
                f"{storage.size} elements of its storage: the file is damaged"
            )
        if math.prod(shape) > storage.size:
            raise RefusedFile(f"a tensor of shape {shape} is made of {storage.size} numbers: it repeats them")
        return Record(storage, offset, shape, strides)

    def _tensor_v2(
        self, storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, metadata: Any = None
    ) -> Record:
        return self._tensor(storage, offset, shape, strides)

    def _ordered_dict(self, pairs: Any = ()) -> dict[Any, Any]:
        """Python 2 gives the items with the call."""
        if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
            raise RefusedFile(f"an ordered dict is made of {shown(pairs)}, expected pairs: the file is damaged")
        self._pairs += len(pairs)  # the same list can be given again and again
        if self._pairs > LIMITS.operations:
            raise RefusedFile(f"the file's dicts have more than {LIMITS.operations} items")
        return as_dict(pairs)


def find_parts(tree: Any) -> dict[str, dict[str, Record]]:
    """All dicts that hold tensors by name, under their place in the tree: "" for the tree itself, else "generator".

    Raises RefusedFile on containers that contain themselves, or too many in each other.
    """
    parts: dict[str, dict[str, Record]] = {}
    _search(tree, (), parts, set(), set())
    return parts


def _search(
    tree: Any, place: tuple[str, ...], parts: dict[str, dict[str, Record]], above: set[int], seen: set[int]
) -> None:
    if id(tree) in above:
        raise RefusedFile(f"a container contains itself ({_joined(place)}): the file is damaged or made to do harm")
    if len(place) > LIMITS.depth:
        raise RefusedFile(f"the file has more than {LIMITS.depth} containers inside containers")
    if not isinstance(tree, dict | list | tuple) or isinstance(tree, Record | Storage | Opaque) or id(tree) in seen:
        return
    seen.add(id(tree))
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    above.add(id(tree))
    found = {}
    for key, value in items:
        if isinstance(tree, dict) and isinstance(key, str) and isinstance(value, Record):
            found[checked_name(key)] = value
        else:
            _search(value, (*place, checked_name(str(key))), parts, above, seen)
    above.remove(id(tree))
    if found:
        if (name := _joined(place)) in parts:
            raise RefusedFile(f"two dicts of tensors are both called {shown(name)}: it is not clear which one is meant")
        parts[name] = found


def _joined(place: tuple[str, ...]) -> str:
    return checked_name("/".join(place)[: LIMITS.name_length])
