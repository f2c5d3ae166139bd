"""Names that others have chosen: of folders beside the steps, of objects in a bucket, of files in a step's manifest.

Nothing is written, read or removed under such a name before it has been looked at here.
"""

import os
import re
import stat
from pathlib import Path

_STEP = re.compile("0|[1-9][0-9]{0,17}")


def step_number(name: str) -> int | None:
    """The step that a folder of this name holds; None where it is another folder, such as `007` or `50.bak`."""
    return int(name) if _STEP.fullmatch(name) else None


def marked_step(name: str, mark: str) -> int | None:
    """The step of a folder whose name is `mark` and a step, such as `damaged-50`; None where it is another folder."""
    return step_number(name.removeprefix(mark)) if name.startswith(mark) else None


def is_below(name: str) -> bool:
    """Whether a relative name, its parts joined by "/", can only lie below the folder that it is relative to."""
    return not {"", ".", ".."} & set(name.split("/")) and "\0" not in name and not Path(name).is_absolute()


def place_below(folder: Path, name: str) -> Path:
    """Where a file of this name is to be written.

    Raises:
      ValueError: that would not lie below the folder.
    """
    place = folder / name
    if not is_below(name) or not _resolved(place).is_relative_to(_resolved(folder)):
        raise ValueError(f"{name!r} is no name of a file below {folder}: nothing is written there")
    return place


def opened_below(folder: Path, name: str) -> tuple[Path, int]:
    """A regular file that was named by what lies in a folder, and its size in bytes.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it would not lie below the folder, or is no regular file: opening it could wait, or never end.
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
    """`Path.resolve`, but for a circle of links, which it refuses in some versions of Python and we do by `stat`."""
    return Path(os.path.realpath(path))


def irregular(folder: Path) -> str | None:
    """The name, below a folder, of the first thing in it that is neither a folder nor a regular file (or a link to
    one), such as a pipe, a device or a link to a folder; None where there is none."""
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
