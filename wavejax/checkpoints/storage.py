"""Reads the record and arrays of one saved step through Orbax, and reports what is wrong with them."""

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from wavejax.checkpoints.checksums import tree_checksums
from wavejax.checkpoints.errors import DamageReport, first_few
from wavejax.checkpoints.leaves import LeafInfo, is_key, nested
from wavejax.checkpoints.manifest import damaged_files
from wavejax.checkpoints.names import irregular
from wavejax.checkpoints.record import Record
from wavejax.documents import why_not_regular
from wavejax.limits import MOST_DOCUMENT_BYTES, shown

ARRAYS = "state"
RECORD = "meta"


def waiting_for_no_other() -> ocp.options.MultiprocessingOptions:
    """Options with which Orbax works in this process only and waits for no other."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"wavejax-{this}"
    )


class DamagedStep(Exception):
    """A saved step is damaged; carries the report."""

    def __init__(self, report: DamageReport) -> None:
        super().__init__(str(report))
        self.report = report


def read_record(folder: Path, step: int) -> Record:
    """The record of a saved step.

    Raises:
      DamagedStep: the record cannot be read, has changed, or is another step's; or the folder holds irregular files.
    """
    if (name := irregular(folder)) is not None:
        raise DamagedStep(DamageReport(step=step, leaves=(), files=(), reason=f"{name} is no regular file"))
    try:
        _check_files(folder)
        handler = ocp.JsonCheckpointHandler()
        with ocp.Checkpointer(handler, multiprocessing_options=waiting_for_no_other()) as reader:
            data = reader.restore(folder / RECORD, args=ocp.args.JsonRestore())
        record = Record.from_json(data)
    except Exception as error:
        files = tuple(damaged_files(folder))
        reason = f"its record cannot be read: {_first_line(error)}"
        raise DamagedStep(DamageReport(step=step, leaves=(), files=files, reason=reason)) from error
    if record.step not in (None, step):
        reason = f"it is a copy of step {record.step}: give the folder that name, or remove it"
        raise DamagedStep(DamageReport(step=step, leaves=(), files=(), reason=reason))
    return record


def _check_files(folder: Path) -> None:
    """Raises ValueError if a step holds an irregular or oversized file: Orbax would read a FIFO forever."""
    for path in folder.rglob("*"):
        if (kind := why_not_regular(path)) is not None:
            raise ValueError(f"{shown(path.relative_to(folder).as_posix())} is {kind}")
    for path in (*folder.glob("*"), *(folder / RECORD).glob("*"), *(folder / ARRAYS).glob("*")):
        if path.is_file() and path.stat().st_size > MOST_DOCUMENT_BYTES and path.suffix != ".ocdbt":
            raise ValueError(f"{shown(path.name)} is larger than {MOST_DOCUMENT_BYTES:,} bytes")


def read_arrays(
    folder: Path,
    step: int,
    record: Record,
    targets: Mapping[str, jax.ShapeDtypeStruct | None],
    files: Sequence[str],
) -> dict[str, Any]:
    """Some or all arrays of a saved step, verified.

    Args:
      folder: the step's folder.
      step: its number.
      record: its record.
      targets: by leaf name: a `jax.ShapeDtypeStruct` with a sharding (gives a JAX array, typed keys included), or None
        (gives a NumPy array; PRNG keys as their uint32 words).
      files: the result of `damaged_files` for the folder; if not empty, each leaf is read separately, so that the
        damaged leaves can be named.

    Raises:
      DamagedStep: leaves cannot be read, or have a wrong checksum.
    """
    stored = {name: _stored_form(target, record.leaves[name]) for name, target in targets.items()}
    wanted = {name: form for name, form in stored.items() if not record.leaves[name].is_empty}
    if files:
        arrays, wrong = _rescued(folder, wanted, record)
    else:
        try:
            _check_announced(folder / ARRAYS, wanted, record)
            arrays = _restore(folder / ARRAYS, wanted)
        except Exception as error:
            reason = f"its arrays cannot be read: {_first_line(error)}"
            raise DamagedStep(DamageReport(step=step, leaves=(), files=(), reason=reason)) from error
        wrong = _changed_leaves(arrays, wanted, record)
    if wrong:
        reason = f"checksum mismatch or unreadable: {first_few(wrong)}"
        raise DamagedStep(DamageReport(step=step, leaves=tuple(wrong), files=tuple(files), reason=reason))
    return {name: _finished(arrays.get(name), target, record.leaves[name]) for name, target in targets.items()}


def _rescued(
    folder: Path, wanted: Mapping[str, jax.ShapeDtypeStruct], record: Record
) -> tuple[dict[str, Any], list[str]]:
    """The sound leaves of a step whose files have changed, each read separately via the host; and the lost names."""
    arrays: dict[str, Any] = {}
    wrong = []
    for name, form in wanted.items():
        on_host = {name: _stored_form(None, record.leaves[name])}
        try:
            _check_announced(folder / ARRAYS, on_host, record)
            read = _restore(folder / ARRAYS, on_host)
        except Exception:  # reading a damaged file may raise anything
            wrong.append(name)
            continue
        if _changed_leaves(read, on_host, record):
            wrong.append(name)
        else:
            arrays[name] = read[name] if form.sharding is None else _on_devices(read[name], form.sharding)
    return arrays, wrong


def _on_devices(host: np.ndarray, sharding: jax.sharding.Sharding) -> jax.Array:
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _stored_form(target: jax.ShapeDtypeStruct | None, info: LeafInfo) -> Any:
    """The array to request from Orbax: keys are stored as their uint32 words; target None means one on the host."""
    if target is None or not is_key(target):
        sharding = None if target is None else target.sharding
        dtype = np.dtype(np.uint32) if info.is_key else np.dtype(info.dtype)
        return jax.ShapeDtypeStruct(info.shape, dtype, sharding=sharding)
    words = jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(target.shape, target.dtype))
    return jax.ShapeDtypeStruct(words.shape, words.dtype, sharding=target.sharding)


def _check_announced(folder: Path, wanted: Mapping[str, jax.ShapeDtypeStruct], record: Record) -> None:
    """Raises ValueError if an array read to the host announces more elements than the record declares.

    Orbax allocates what an array's own header announces, and each chunk of it, before anything is compared. An array
    that is read to devices is not checked: its allocation is that of its target.
    """
    import tensorstore  # a dependency of Orbax

    files, opened = {"driver": "ocdbt", "base": folder.absolute().as_uri()}, {}
    for name, form in wanted.items():
        if form.sharding is None:
            spec = {"driver": "zarr", "kvstore": {**files, "path": name.replace("/", ".") + "/"}}
            opened[name] = tensorstore.open(spec, open=True)
    for name, future in opened.items():
        array, info = future.result(), record.leaves[name]
        pieces = array.chunk_layout.read_chunk.shape or ()  # None for a scalar
        most = max(math.prod(info.shape) * (8 if info.is_key else 1), 1)
        if math.prod(array.shape) > most or math.prod(size or 0 for size in pieces) > most:
            raise ValueError(f"{name} announces the shape {shown(tuple(array.shape))}, not {info}")


def _restore(folder: Path, wanted: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, Any]:
    def how(form: jax.ShapeDtypeStruct) -> ocp.RestoreArgs:
        if form.sharding is not None:
            return ocp.ArrayRestoreArgs(sharding=form.sharding, global_shape=form.shape, dtype=form.dtype)
        return ocp.RestoreArgs(restore_type=np.ndarray)

    if not wanted:
        return {}
    target = nested(wanted)
    handler = ocp.PyTreeCheckpointHandler()
    with ocp.Checkpointer(handler, multiprocessing_options=waiting_for_no_other()) as reader:
        tree = reader.restore(
            folder,
            args=ocp.args.PyTreeRestore(item=target, restore_args=jax.tree.map(how, target), partial_restore=True),
        )
    return {name: functools.reduce(operator.getitem, name.split("/"), tree) for name in wanted}


def _changed_leaves(arrays: Mapping[str, Any], wanted: Mapping[str, Any], record: Record) -> list[str]:
    """Names of leaves whose shape, dtype or checksum differs from the record, or that Orbax did not find."""

    def has_form(name: str) -> bool:
        info, array = record.leaves[name], arrays[name]
        if not isinstance(array, jax.Array | np.ndarray):
            return False  # for a name missing from its index Orbax returns the placeholder
        return array.dtype == wanted[name].dtype and (info.is_key or tuple(array.shape) == info.shape)

    formed = {name: array for name, array in arrays.items() if has_form(name)}
    sums = tree_checksums(formed)
    return [name for name in arrays if name not in formed or sums[name] != record.checksums[name]]


def _finished(array: Any, target: jax.ShapeDtypeStruct | None, info: LeafInfo) -> Any:
    if array is None:  # it has no elements, so nothing was saved
        empty = np.zeros(info.shape, np.dtype(info.dtype))
        return empty if target is None else _on_devices(empty, target.sharding)
    return array if target is None else as_keys(array, target)


def from_host(host: np.ndarray, target: jax.ShapeDtypeStruct) -> jax.Array:
    """Puts an array that every process has on the devices of a target; uint32 words become typed PRNG keys."""
    return as_keys(_on_devices(host, target.sharding), target)


def as_keys(array: jax.Array, target: jax.ShapeDtypeStruct) -> jax.Array:
    """Wraps uint32 words as typed PRNG keys if the target holds keys; other arrays are returned unchanged."""
    if not is_key(target):
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
