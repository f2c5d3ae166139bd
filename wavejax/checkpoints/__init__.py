"""Checkpoints that notice when a byte of them has changed, and small folders of parameters for inference.

The only place of wavejax that knows Orbax.
"""

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
from wavejax.checkpoints.opening import AnyStore, open_store
from wavejax.checkpoints.reading import LoadedParams, load_any, read_checkpoint_params
from wavejax.checkpoints.record import VALIDATION_LOSS
from wavejax.checkpoints.store import CheckpointStore, Restored
from wavejax.checkpoints.urls import below, working_folder

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
