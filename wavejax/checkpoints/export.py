"""A small folder for inference: `params.npz` beside `config.json`, checksummed and replaced atomically."""

import hashlib
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wavejax.atomic import is_leftover, new_folder, prove_folder, write_bytes, write_json
from wavejax.checkpoints.archive import largest_archive, read_archive
from wavejax.checkpoints.checksums import tree_checksums
from wavejax.checkpoints.errors import (
    CheckpointDamaged,
    CheckpointNotFound,
    CheckpointWriteError,
    first_few,
)
from wavejax.checkpoints.leaves import Accept, leaf_info, named_leaves, nested
from wavejax.checkpoints.manifest import file_digest
from wavejax.checkpoints.record import Record, digest, json_copy
from wavejax.documents import read_bytes, read_json
from wavejax.locks import exclusive
from wavejax.types import PyTree

CONFIG_NAME = "config.json"

_ARCHIVE = re.compile(r"params-([0-9a-f]{12})\.npz")


def export_params(folder: str | os.PathLike[str], params: PyTree, meta: Mapping[str, Any]) -> Path:
    """Writes parameters and their description into a folder that `load_params` reads; returns the folder.

    Arrays are stored under their paths ("layers/kernel") in an uncompressed NumPy archive, in their own dtypes
    (bfloat16 as its bits). An existing export is replaced atomically: the folder holds one complete export at any
    moment. Other files in the folder are kept.

    Args:
      folder: the target folder; its parents are created.
      params: nested dicts of arrays.
      meta: JSON-able description (model config, feature spec).

    Raises:
      CheckpointWriteError: the folder holds other files and no export, or cannot be written.
      LockedError: another process is exporting to it.
      TypeError: `meta` is not JSON-able.
    """
    target = Path(folder).absolute()
    arrays = {name: np.asarray(jax.device_get(leaf)) for name, leaf in named_leaves(params).items()}
    record = Record(
        meta=json_copy(meta, "meta"),
        metrics={},
        leaves={name: leaf_info(array) for name, array in arrays.items()},
        checksums=tree_checksums(arrays),
    )
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: _as_bits(array) for name, array in arrays.items()})
    data = buffer.getvalue()
    try:
        _write_folder(target, data, record)
    except OSError as error:
        raise _refusal(target, error, f" and has room for {len(data) / 1e6:.1f} MB") from error
    return target


def check_export(folder: str | os.PathLike[str]) -> None:
    """Checks, before the parameters are read, that `export_params` may and can write to a folder. Changes nothing.

    Raises:
      CheckpointWriteError: as for `export_params`.
    """
    target = Path(folder).absolute()
    try:
        _refuse_what_is_not_ours(target)
        prove_folder(target)
    except OSError as error:
        raise _refusal(target, error) from error


def _refusal(target: Path, error: OSError, room: str = "") -> CheckpointWriteError:
    return CheckpointWriteError(
        f"cannot export parameters to {target}: {error}; choose a folder that can be written to{room}"
    )


def load_params(
    folder: str | os.PathLike[str], *, accept: Accept | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads what `export_params` wrote: parameters (nested dicts of NumPy arrays) and description, both verified.

    The folder need not be trusted: only regular files are read, and an array is allocated only if its size in the
    archive is the declared one.

    Args:
      folder: the exported folder.
      accept: called with the description and the declared leaves before any array is read; it raises to refuse.

    Raises:
      CheckpointNotFound: there is no export in the folder.
      CheckpointDamaged: something in it has changed; names the file and, if known, the leaves.
    """
    source = Path(folder)
    config = source / CONFIG_NAME
    if not config.exists():
        raise CheckpointNotFound(f"no exported parameters in {source}: it has no {CONFIG_NAME}")
    try:
        content = read_json(config)
        if content.pop("sha256") != digest(content):
            raise ValueError("its contents have changed since it was written")
        record = Record.from_json(content["record"])
        archive_name, archive_digest = str(content["archive"]), str(content["archive_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise CheckpointDamaged(f"{config} is damaged: {error}; export the parameters again") from error
    if accept is not None:
        accept(record.meta, record.leaves)
    archive = source / Path(archive_name).name
    try:
        data = read_bytes(archive, most=largest_archive(record.leaves))
    except (OSError, ValueError) as error:
        raise CheckpointDamaged(f"{archive} cannot be read: {error}; export the parameters again") from error
    arrays, wrong = read_archive(data, record)
    if wrong or hashlib.sha256(data).hexdigest() != archive_digest:
        leaves = f"; changed or unreadable leaves: {first_few(wrong)}" if wrong else "; every leaf is still sound"
        raise CheckpointDamaged(
            f"{archive} has changed since it was written{leaves}. Copy the folder again, or export the parameters again"
        )
    try:
        return nested(arrays), record.meta
    except ValueError as error:
        raise CheckpointDamaged(f"{config} is damaged: {error}; export the parameters again") from error


def _write_folder(target: Path, data: bytes, record: Record) -> None:
    with exclusive(_lock_of(target), str(target), "exporting to"):
        _refuse_what_is_not_ours(target)
        archive_digest = hashlib.sha256(data).hexdigest()
        if not target.is_dir() or not any(target.iterdir()):
            with new_folder(target) as fresh:
                _write_files(fresh, "params.npz", data, archive_digest, record)
            return
        before = _own_config(target)
        # The config names its archive, so replacing the config replaces both at once.
        name = f"params-{archive_digest[:12]}.npz"
        _write_files(target, name, data, archive_digest, record)
        for path in tuple(target.iterdir()):
            is_old = before is not None and path.name == Path(before["archive"]).name
            if path.name != name and (is_old or is_leftover(path.name) or _is_own_archive(path)):
                path.unlink()


def _lock_of(target: Path) -> Path:
    """The lock file: beside the folder, which appears atomically, and with a short name whatever the folder's name."""
    return target.with_name(f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}.lock")


def _refuse_what_is_not_ours(target: Path) -> None:
    """Checks that a folder may be written to: it does not exist, is empty, or holds an export.

    Raises:
      FileExistsError: it holds something else; names it.
    """
    if not target.is_dir():
        if target.exists() or target.is_symlink():
            raise FileExistsError("the folder exists and holds other things (a file)")
        return
    names = sorted(path.name for path in target.iterdir())
    others = [name for name in names if not (is_leftover(name) or _is_own_archive(target / name))]
    if not others or _own_config(target) is not None:
        return
    if CONFIG_NAME in others:
        raise FileExistsError(
            f"its {CONFIG_NAME} is not that of an export, or has been changed; the folder is left as it is. Choose "
            "another, or remove that file"
        )
    raise FileExistsError(f"the folder exists and holds other things ({first_few(others)})")


def _own_config(folder: Path) -> dict[str, Any] | None:
    """The config of the export in a folder; None if there is no config or it is not an export's."""
    path = folder / CONFIG_NAME
    try:
        content = read_json(path)
    except (ValueError, OSError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("archive"), str):
        return None
    return content if {"archive_sha256", "record", "sha256"} <= content.keys() else None


def _is_own_archive(path: Path) -> bool:
    """Whether an export wrote this archive: its name then holds the hash of its content."""
    named = _ARCHIVE.fullmatch(path.name)
    try:
        return named is not None and path.is_file() and file_digest(path).startswith(named[1])
    except OSError:
        return False


def _write_files(folder: Path, name: str, data: bytes, archive_digest: str, record: Record) -> None:
    config = {"archive": name, "archive_sha256": archive_digest, "record": record.to_json()}
    config["sha256"] = digest(config)
    write_bytes(folder / name, data)
    write_json(folder / CONFIG_NAME, config, indent=1)


def _as_bits(array: np.ndarray) -> np.ndarray:
    """The array itself if NumPy's format supports its dtype, else its bits (bfloat16 and the like)."""
    if array.dtype.isbuiltin == 1:
        return array
    return array.view({1: np.uint8, 2: np.uint16, 4: np.uint32}[array.dtype.itemsize])
