"""Checks names from outside: folders beside the steps, objects in a bucket, files in a step's manifest.

Nothing is written, read or removed under such a name before it has been checked here.
"""

import os
import re
import stat
from pathlib import Path

_STEP = re.compile("0|[1-9][0-9]{0,17}")


def step_number(name: str) -> int | None:
    """The step that a folder of this name holds; None if it is no step's folder, such as `007` or `50.bak`."""
    return int(name) if _STEP.fullmatch(name) else None


def marked_step(name: str, mark: str) -> int | None:
    """The step of a folder named `mark` + step, such as `damaged-50`; None for any other folder."""
    return step_number(name.removeprefix(mark)) if name.startswith(mark) else None


def is_below(name: str) -> bool:
    """Whether a relative name, with parts joined by "/", cannot lead out of the folder that it is relative to."""
    return not {"", ".", ".."} & set(name.split("/")) and "\0" not in name and not Path(name).is_absolute()


def place_below(folder: Path, name: str) -> Path:
    """The path for writing a file of this name.

    Raises:
      ValueError: the path would not lie below the folder.
    """
    place = folder / name
    if not is_below(name) or not _resolved(place).is_relative_to(_resolved(folder)):
        raise ValueError(f"{name!r} is no name of a file below {folder}: nothing is written there")
    return place


def opened_below(folder: Path, name: str) -> tuple[Path, int]:
    """The path of a regular file whose name comes from a file in the folder, and its size in bytes.

    Raises:
      FileNotFoundError: it does not exist.
      ValueError: it would not lie below the folder, or is not a regular file: reading it could block or never end.
    """
    place = folder / name
    if not is_below(name):
        raise ValueError("no name of a file below the step")
    real = _resolved(place)
    if not real.is_relative_to(_resolved(folder)):
        raise ValueError("a link out of the step")
    found = real.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("no regular file")
    return place, found.st_size


def _resolved(path: Path) -> Path:
    """Like `Path.resolve`, which in some versions of Python raises on a loop of links; here `stat` raises later."""
    return Path(os.path.realpath(path))


def irregular(folder: Path) -> str | None:
    """The relative name of the first entry in a folder that is neither a folder nor a regular file (or a link to one),
    such as a pipe, a device or a link to a folder; None if there is none."""
    for parent, folders, files in os.walk(folder):
        for name in sorted(folders):
            path = Path(parent, name)
            if path.is_symlink():
                return path.relative_to(folder).as_posix()
        for name in sorted(files):
            path = Path(parent, name)
            if path.exists() and not path.is_file():
                return path.relative_to(folder).as_posix()
    return None
