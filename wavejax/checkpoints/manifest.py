"""Hashes of the files of a saved step, which identify a damaged file.

The hashes of the arrays and the record are written into the step's folder before it is committed. Those of Orbax's own
files are written right after, because Orbax changes these files until then."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from wavejax.atomic import is_leftover, write_json
from wavejax.checkpoints.names import opened_below
from wavejax.checkpoints.record import digest
from wavejax.documents import open_regular, read_json

MANIFEST_NAME = "wavejax_files.json"
BOOKKEEPING_NAME = "wavejax_bookkeeping.json"
_LARGEST_MANIFEST = 2**26
"""In bytes. A step has some dozens of files; a manifest of this size would name 400,000."""


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Writes size and hash of every file in a folder's sub-folders into the folder's manifest.

    Files directly in the folder are Orbax's own, which it still changes: see `write_bookkeeping_manifest`.
    """
    _write(folder / MANIFEST_NAME, [path for path in folder.glob("*/**/*") if path.is_file()])


def write_bookkeeping_manifest(folder: Path) -> None:
    """Does the same for the files that lie directly in the folder of a committed step.

    No restore reads them. If the process is killed before this, they have no hashes, and the step is still sound.

    Raises:
      OSError: the manifest could not be written; the step is still sound.
    """
    files = [path for path in folder.iterdir() if path.is_file() and path.name not in (MANIFEST_NAME, BOOKKEEPING_NAME)]
    _write(folder / BOOKKEEPING_NAME, [path for path in files if not is_leftover(path.name)])


def damaged_files(folder: Path) -> list[str]:
    """Files of a folder that differ from its manifests, each with its problem; a damaged manifest is listed itself."""
    wrong = _differences(folder, MANIFEST_NAME)
    return wrong + (_differences(folder, BOOKKEEPING_NAME) if (folder / BOOKKEEPING_NAME).exists() else [])


def _write(manifest: Path, paths: Iterable[Path]) -> None:
    files = {
        path.relative_to(manifest.parent).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(paths)
    }
    write_json(manifest, {"files": files, "sha256": digest(files)})


def _differences(folder: Path, manifest_name: str) -> list[str]:
    try:
        path, num_bytes = opened_below(folder, manifest_name)
        if num_bytes > _LARGEST_MANIFEST:
            raise ValueError("no manifest is as large")
        manifest = read_json(path)
        files = manifest["files"]
        if digest(files) != manifest["sha256"]:
            raise ValueError("the manifest has changed")
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except FileNotFoundError:
        return [f"{manifest_name} (missing)"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError):
        return [f"{manifest_name} (contents changed)"]
    return [f"{name} ({problem})" for name, entry in expected.items() if (problem := _problem(folder, name, *entry))]


def _problem(folder: Path, name: str, num_bytes: int, digest: str) -> str | None:
    try:
        path, actual = opened_below(folder, name)
        if actual != num_bytes:
            return f"{actual} bytes instead of {num_bytes}"
        return None if file_digest(path) == digest else "contents changed"
    except FileNotFoundError:
        return "missing"
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"unreadable: {error}"
