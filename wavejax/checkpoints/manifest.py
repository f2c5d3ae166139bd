"""Hashes of the files of a saved step, written into its folder before it is committed; they name a damaged file."""

import hashlib
import json
from pathlib import Path

from wavejax.checkpoints.record import digest

MANIFEST_NAME = "wavejax_files.json"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Writes size and hash of every file in the sub-folders of a folder into the folder's manifest.

    Files of the folder itself are Orbax's bookkeeping, which it still changes and which no restore reads.
    """
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.glob("*/**/*"))
        if path.is_file()
    }
    text = json.dumps({"files": files, "sha256": digest(files)}, separators=(",", ":"))
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


def damaged_files(folder: Path) -> list[str]:
    """Files of a folder that differ from its manifest, each with what is wrong; a damaged manifest names itself."""
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        files = manifest["files"]
        if digest(files) != manifest["sha256"]:
            raise ValueError("the manifest has changed")
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except FileNotFoundError:
        return [f"{MANIFEST_NAME} (missing)"]
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        return [f"{MANIFEST_NAME} (contents changed)"]
    return [f"{name} ({problem})" for name, entry in expected.items() if (problem := _problem(folder / name, *entry))]


def _problem(path: Path, num_bytes: int, digest: str) -> str | None:
    try:
        actual = path.stat().st_size
        if actual != num_bytes:
            return f"{actual} bytes instead of {num_bytes}"
        return None if file_digest(path) == digest else "contents changed"
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as error:
        return f"unreadable: {error}"
