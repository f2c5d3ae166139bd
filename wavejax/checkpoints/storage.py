"""One saved step on disk: reading its record and arrays through Orbax, and telling what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from wavejax.checkpoints.checksums import tree_checksums
from wavejax.checkpoints.errors import DamageReport, first_few
from wavejax.checkpoints.leaves import LeafInfo, is_key, nested
from wavejax.checkpoints.manifest import damaged_files
from wavejax.checkpoints.record import Record

ARRAYS = "state"
RECORD = "meta"
TEMPORARY_MARK = ".orbax-checkpoint-tmp"


class DamagedStep(Exception):
    """A saved step cannot be trusted; carries the report."""

    def __init__(self, report: DamageReport) -> None:
        super().__init__(str(report))
        self.report = report


def saved_steps(directory: Path) -> tuple[int, ...]:
    """The committed steps of a directory, ascending; empty where there is no directory."""
    if not directory.is_dir():
        return ()
    return tuple(sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal() and path.is_dir()))


def read_record(folder: Path, step: int) -> Record:
    """The record of a saved step.

    Raises:
      DamagedStep: it cannot be read or has changed.
    """
    try:
        with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
            data = reader.restore(folder / RECORD, args=ocp.args.JsonRestore())
        return Record.from_json(data)
    except Exception as error:
        raise DamagedStep(_report(folder, step, (), f"its record cannot be read: {_first_line(error)}")) from error


def read_arrays(
    folder: Path, step: int, record: Record, targets: Mapping[str, jax.ShapeDtypeStruct | None]
) -> dict[str, Any]:
    """Some or all arrays of a saved step, verified.

    Args:
      folder: the step's folder.
      step: its number.
      record: its record.
      targets: by leaf name: a `jax.ShapeDtypeStruct` with a sharding (gives a JAX array, typed keys included), or None
        (gives a NumPy array; keys as their words).

    Raises:
      DamagedStep: they cannot be read, or a checksum is wrong.
    """
    stored = {name: _stored_form(target, record.leaves[name]) for name, target in targets.items()}
    wanted = {name: form for name, form in stored.items() if not record.leaves[name].is_empty}
    try:
        arrays = _flat(_restore(folder / ARRAYS, nested(wanted)), wanted) if wanted else {}
        wrong = _changed_leaves(arrays, wanted, record)
    except Exception as error:
        raise DamagedStep(_report(folder, step, (), f"its arrays cannot be read: {_first_line(error)}")) from error
    if wrong:
        reason = f"checksum mismatch in {first_few(wrong)}"
        raise DamagedStep(_report(folder, step, tuple(wrong), reason))
    return {name: _finished(arrays.get(name), target, record.leaves[name]) for name, target in targets.items()}


def _stored_form(target: jax.ShapeDtypeStruct | None, info: LeafInfo) -> Any:
    """What Orbax is asked for: keys are stored as their uint32 words; None is an array on the host."""
    if target is None or not is_key(target):
        sharding = None if target is None else target.sharding
        dtype = np.dtype(np.uint32) if info.is_key else np.dtype(info.dtype)
        return jax.ShapeDtypeStruct(info.shape, dtype, sharding=sharding)
    words = jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(target.shape, target.dtype))
    return jax.ShapeDtypeStruct(words.shape, words.dtype, sharding=target.sharding)


def _restore(folder: Path, target: dict[str, Any]) -> Any:
    def how(form: Any) -> ocp.RestoreArgs:
        if form.sharding is not None:
            return ocp.ArrayRestoreArgs(sharding=form.sharding, global_shape=form.shape, dtype=form.dtype)
        return ocp.RestoreArgs(restore_type=np.ndarray)

    with ocp.PyTreeCheckpointer() as reader:
        return reader.restore(
            folder,
            args=ocp.args.PyTreeRestore(item=target, restore_args=jax.tree.map(how, target), partial_restore=True),
        )


def _flat(tree: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    flat = {}
    for name in names:
        node = tree
        for part in name.split("/"):
            node = node[part]
        flat[name] = node
    return flat


def _changed_leaves(arrays: Mapping[str, Any], wanted: Mapping[str, Any], record: Record) -> list[str]:
    """Names of leaves whose shape, dtype or checksum is not what was saved."""
    sums = tree_checksums(arrays)

    def is_sound(name: str) -> bool:
        info, array, form = record.leaves[name], arrays[name], wanted[name]
        same_form = array.dtype == form.dtype and (info.is_key or tuple(array.shape) == info.shape)
        return same_form and sums[name] == record.checksums[name]

    return [name for name in arrays if not is_sound(name)]


def _finished(array: Any, target: jax.ShapeDtypeStruct | None, info: LeafInfo) -> Any:
    if array is None:  # it has no element, so nothing was saved
        empty = np.zeros(info.shape, np.dtype(info.dtype))
        return empty if target is None else jax.device_put(empty, target.sharding)
    if target is None or not is_key(target):
        return array
    implementations: list[Any] = []
    abstract = jax.ShapeDtypeStruct(target.shape, target.dtype)
    jax.eval_shape(lambda key: implementations.append(jax.random.key_impl(key)), abstract)
    wrap = jax.jit(
        lambda words: jax.random.wrap_key_data(words, impl=implementations[0]), out_shardings=target.sharding
    )
    return wrap(array)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]


def _report(folder: Path, step: int, leaves: tuple[str, ...], reason: str) -> DamageReport:
    return DamageReport(step=step, leaves=leaves, files=tuple(damaged_files(folder)), reason=reason)
