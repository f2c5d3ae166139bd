"""Checkpoints that detect a single changed byte, and small folders of parameters for inference.

This is the only package of wavejax that uses Orbax. Names are imported on first use: Orbax takes longer to import than
JAX, and reading exported parameters does not need it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavejax.checkpoints.checksums import leaf_checksum, tree_checksums
    from wavejax.checkpoints.errors import (
        BucketError,
        CheckpointDamaged,
        CheckpointError,
        CheckpointMismatch,
        CheckpointNotFound,
        CheckpointWriteError,
        DamageReport,
    )
    from wavejax.checkpoints.export import export_params, load_params
    from wavejax.checkpoints.fetching import fetched
    from wavejax.checkpoints.leaves import LeafInfo
    from wavejax.checkpoints.opening import AnyStore, open_store
    from wavejax.checkpoints.reading import LoadedParams, load_any, read_checkpoint_params
    from wavejax.checkpoints.record import VALIDATION_LOSS
    from wavejax.checkpoints.store import CheckpointStore, Restored
    from wavejax.checkpoints.urls import below, working_folder

_MODULES = {
    "checksums": ("leaf_checksum", "tree_checksums"),
    "errors": (
        *("BucketError", "CheckpointDamaged", "CheckpointError", "CheckpointMismatch", "CheckpointNotFound"),
        *("CheckpointWriteError", "DamageReport"),
    ),
    "export": ("export_params", "load_params"),
    "fetching": ("fetched",),
    "leaves": ("LeafInfo",),
    "opening": ("AnyStore", "open_store"),
    "reading": ("LoadedParams", "load_any", "read_checkpoint_params"),
    "record": ("VALIDATION_LOSS",),
    "store": ("CheckpointStore", "Restored"),
    "urls": ("below", "working_folder"),
}
_LAZY_NAMES = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}

__all__ = [
    "VALIDATION_LOSS",
    "AnyStore",
    "BucketError",
    "CheckpointDamaged",
    "CheckpointError",
    "CheckpointMismatch",
    "CheckpointNotFound",
    "CheckpointStore",
    "CheckpointWriteError",
    "DamageReport",
    "LeafInfo",
    "LoadedParams",
    "Restored",
    "below",
    "export_params",
    "fetched",
    "leaf_checksum",
    "load_any",
    "load_params",
    "open_store",
    "read_checkpoint_params",
    "tree_checksums",
    "working_folder",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    value = getattr(importlib.import_module(_LAZY_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_NAMES})
