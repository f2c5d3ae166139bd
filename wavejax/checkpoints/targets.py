"""Converts between a state in memory and its arrays and record on disk."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from wavejax.checkpoints.checksums import tree_checksums
from wavejax.checkpoints.errors import CheckpointMismatch
from wavejax.checkpoints.leaves import compare, is_key, leaf_info, named_leaves
from wavejax.checkpoints.record import Record
from wavejax.types import PyTree

_SHOWN_DIFFERENCES = 6


def describe(
    state: PyTree, meta: dict[str, Any], metrics: dict[str, float], step: int
) -> tuple[Record, dict[str, Any]]:
    """The record of a state, and its arrays by name as stored: PRNG keys as uint32 words, empty arrays left out."""
    leaves = named_leaves(state)
    infos = {name: leaf_info(leaf) for name, leaf in leaves.items()}
    arrays = {name: jax.random.key_data(leaf) if is_key(leaf) else leaf for name, leaf in leaves.items()}
    arrays = {name: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf) for name, leaf in arrays.items()}
    record = Record(meta=meta, metrics=metrics, leaves=infos, checksums=tree_checksums(arrays), step=step)
    return record, {name: array for name, array in arrays.items() if not infos[name].is_empty}


def check_same_tree(record: Record, wanted: Mapping[str, Any], where: str) -> None:
    """Compares the saved leaves with those to restore.

    Raises:
      CheckpointMismatch: they differ; names the first differing leaves and the saved configuration.
    """
    differences = compare(record.leaves, {name: leaf_info(leaf) for name, leaf in wanted.items()})
    if not differences:
        return
    lines = [f"  {line}" for line in differences[:_SHOWN_DIFFERENCES]]
    if len(differences) > len(lines):
        lines.append(f"  and {len(differences) - len(lines)} more")
    listed = "\n".join(lines)
    raise CheckpointMismatch(
        f"{where} holds another model or optimizer:\n{listed}\nIt was saved with {_summary(record.meta)}\n"
        "Use that configuration, or another folder for this run"
    )


def placement(leaf: Any) -> jax.ShapeDtypeStruct | None:
    """Where to read a target's leaf to: devices, or the host (None)."""
    if not isinstance(leaf, jax.Array | jax.ShapeDtypeStruct):
        return None
    sharding = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def as_target(array: Any, leaf: Any) -> Any:
    """Converts an array to the target leaf's kind: Python numbers come back as such."""
    return type(leaf)(array.item()) if isinstance(leaf, bool | int | float | complex) else array


def _summary(meta: dict[str, Any], limit: int = 600) -> str:
    text = ", ".join(f"{name}={value!r}" for name, value in meta.items()) or "no description"
    return text if len(text) <= limit else text[: limit - 3] + "..."
