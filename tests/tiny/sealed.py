"""Exported folders that a stranger has changed and sealed again, so that every digest fits."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wavejax.checkpoints.record import digest


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The folder with its record changed in place; all seals fit."""
    content = json.loads((folder / "config.json").read_text())
    change(content["record"])
    return sealed(folder, content)


def sealed(folder: Path, content: dict[str, Any]) -> Path:
    """The folder with this description under a digest that fits."""
    record = content["record"]
    if isinstance(record, dict):
        record.pop("sha256", None)
        record["sha256"] = digest(record)
    content.pop("sha256", None)
    content["sha256"] = digest(content)
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def with_archive(folder: Path, data: bytes) -> Path:
    """The folder with another archive under a digest that fits."""
    (folder / "params.npz").write_bytes(data)
    content = json.loads((folder / "config.json").read_text())
    content["archive_sha256"] = hashlib.sha256(data).hexdigest()
    return sealed(folder, content)


def with_config(folder: Path, path: str, value: object) -> Path:
    """The folder with one field of its configuration changed: "model.dilations"."""

    def change(record: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        place = record["meta"]["config"]
        for name in parents:
            place = place[name]
        place[last] = value

    return changed(folder, change)


def packed(arrays: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def entries(folder: Path) -> dict[str, bytes]:
    """What the archive of a folder holds."""
    with zipfile.ZipFile(folder / "params.npz") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def npy(array: np.ndarray) -> bytes:
    """An array as a file of NumPy's."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()
