"""Distinguishes files written by wavejax from the user's: only the former are overwritten or removed.

JSON files carry a mark. Other files lie beside a marked JSON file, are named after the hash of their content, or have a
mark of their own kind (`wavejax.audio.files.is_first_part`).
"""

import errno
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MARK = "made_by"
_NAME = "wavejax"


def marked(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a JSON file with the mark as its first entry."""
    return {MARK: _NAME, **content}


def is_marked(path: str | os.PathLike[str]) -> bool:
    """Whether a file is JSON that carries the mark."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8")) if Path(path).is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get(MARK) == _NAME


def refuse_foreign(path: str | os.PathLike[str]) -> None:
    """Checks that a JSON file may be written here: the path is free, an empty file, an earlier file of ours, or a pipe.

    Raises:
      FileExistsError: another file is there.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    if stat.S_ISREG(found.st_mode) and found.st_size and not is_marked(path):
        raise _not_ours(path)


def refuse_foreign_report(folder: str | os.PathLike[str], names: Iterable[str] = ("index.html", "report.md")) -> None:
    """Checks that a report may be written into a folder: it holds no report, or an earlier one of ours.

    Args:
      folder: the folder, which may also hold other files.
      names: files of a report beside its report.json, which carries the mark.

    Raises:
      FileExistsError: one of these files exists and is not ours.
    """
    root = Path(folder)
    refuse_foreign(root / "report.json")
    if not (root / "report.json").exists():
        for name in names:
            if (root / name).exists() or (root / name).is_symlink():
                raise _not_ours(root / name)


def _not_ours(path: str | os.PathLike[str]) -> FileExistsError:
    words = "it is there already, and wavejax has not written it, or not this version; it is left as it is"
    return FileExistsError(errno.EEXIST, words, os.fspath(path))


__all__ = ["MARK", "is_marked", "marked", "refuse_foreign", "refuse_foreign_report"]
