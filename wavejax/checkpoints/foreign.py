"""Checkpoints of other programs, which are never renamed or removed."""

import errno
from pathlib import Path

from wavejax.checkpoints.errors import first_few
from wavejax.checkpoints.manifest import BOOKKEEPING_NAME, MANIFEST_NAME

_ITEMS = ("state", "meta")  # as `wavejax.checkpoints.storage` calls them, which takes Orbax to import
_OURS = (MANIFEST_NAME, BOOKKEEPING_NAME, "meta")


def refuse_foreign_checkpoints(directory: Path) -> None:
    """Whether a training may keep its checkpoints in a folder: it has none yet, or at least one that is ours.

    Raises:
      FileExistsError: it holds checkpoints, and all of them are another program's.
    """
    if not directory.is_dir():
        return
    steps = sorted(path.name for path in directory.iterdir() if path.name.isdecimal() and path.is_dir())
    full = [name for name in steps if any((directory / name).iterdir())]
    if full and not any((directory / name / ours).exists() for name in full for ours in _OURS):
        raise FileExistsError(errno.EEXIST, f"it holds checkpoints of another program ({first_few(full)})", directory)


def is_own_unfinished(folder: Path) -> bool:
    """Whether a step that was never committed is one that wavejax was writing: it holds nothing else than ours do."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return False
    return all(name.startswith((*_ITEMS, "_", MANIFEST_NAME, BOOKKEEPING_NAME, ".")) for name in names)


__all__ = ["is_own_unfinished", "refuse_foreign_checkpoints"]
