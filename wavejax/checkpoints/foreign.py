"""Recognises checkpoints of other programs, which are never renamed or removed."""

import errno
from pathlib import Path

from wavejax.checkpoints.errors import first_few
from wavejax.checkpoints.manifest import BOOKKEEPING_NAME, MANIFEST_NAME

_ITEMS = ("state", "meta")  # as in `wavejax.checkpoints.storage`, not imported here because it imports Orbax
_OURS = (MANIFEST_NAME, BOOKKEEPING_NAME, "meta")


def refuse_foreign_checkpoints(directory: Path) -> None:
    """Checks that a training may keep its checkpoints in a folder: it holds none, or at least one by wavejax.

    Raises:
      FileExistsError: it holds checkpoints, and another program wrote all of them.
    """
    if not directory.is_dir():
        return
    steps = sorted(path.name for path in directory.iterdir() if path.name.isdecimal() and path.is_dir())
    full = [name for name in steps if any((directory / name).iterdir())]
    if full and not any((directory / name / ours).exists() for name in full for ours in _OURS):
        raise FileExistsError(errno.EEXIST, f"it holds checkpoints of another program ({first_few(full)})", directory)


def is_own_unfinished(folder: Path) -> bool:
    """Whether wavejax was writing this uncommitted step: all its files have names that wavejax or Orbax uses."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return False
    return all(name.startswith((*_ITEMS, "_", MANIFEST_NAME, BOOKKEEPING_NAME, ".")) for name in names)


__all__ = ["is_own_unfinished", "refuse_foreign_checkpoints"]
