"""The files below a user's folder, links followed, and the entries in it that cannot be read."""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from wavejax.data.texts import NOT_TEXT, is_text, shown


@dataclass(frozen=True, kw_only=True)
class FolderFiles:
    """The result of `find_files`."""

    root: Path
    paths: tuple[Path, ...]
    """Regular files with one of the suffixes, sorted: those below `root`, including those in linked folders."""
    links: frozenset[Path]
    """Members of `paths` that are links to files."""
    problems: tuple[tuple[str, str], ...]
    """(name below `root`, why it is not read) of folders, links and files that the user may have meant."""


@dataclass
class _Search:
    root: Path
    real_root: Path
    suffixes: frozenset[str]
    paths: list[Path] = field(default_factory=list)
    links: set[Path] = field(default_factory=set)
    problems: list[tuple[str, str]] = field(default_factory=list)
    read: dict[tuple[int, int], str] = field(default_factory=dict)
    """(device, inode) of each folder that was read -> its name."""

    def name(self, path: str) -> str:
        return shown(os.path.relpath(path, self.root))

    def problem(self, path: str, reason: str) -> None:
        self.problems.append((self.name(path), reason))

    def is_wanted(self, name: str) -> bool:
        return os.path.splitext(name)[1].lower() in self.suffixes


def find_files(root: Path, suffixes: Collection[str]) -> FolderFiles:
    """All files below a folder with one of `suffixes` (lower case, with the dot).

    Links to folders are followed, because people keep recordings on other disks; each folder is read once. A link is
    reported in `problems` instead if it is broken, leads to something that is read already, or leads to a folder that
    contains `root`. Names that start with a dot belong to programs: such files are ignored, such folders reported. Also
    reported are names that are not text, and entries that are neither file nor folder. Raises OSError if `root` itself
    cannot be listed.
    """
    search = _Search(root, root.resolve(), frozenset(suffixes))
    status = root.stat()
    search.read[status.st_dev, status.st_ino] = "."
    pending = [str(root)]
    while pending:
        pending += _read_folder(search, pending.pop())
    return FolderFiles(
        root=root,
        paths=tuple(sorted(search.paths)),
        links=frozenset(search.links),
        problems=tuple(sorted(search.problems)),
    )


def _read_folder(search: _Search, folder: str) -> list[str]:
    """Collects the files of one folder, and returns the folders in it that must be read next."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        if folder == str(search.root):
            raise
        search.problem(folder, f"cannot be read: {error.strerror or error}")
        return []
    folders = []
    for entry in entries:
        if entry.is_symlink():
            is_folder = _follow(search, entry)
        elif is_folder := entry.is_dir():
            is_folder = _enter(search, entry)
        else:
            _take(search, entry)
        if is_folder:
            folders.append(entry.path)
    return folders[::-1]  # the caller reads the last one first


def _take(search: _Search, entry: os.DirEntry[str]) -> None:
    if entry.name.startswith(".") or not search.is_wanted(entry.name):
        return
    if not entry.is_file():
        search.problem(entry.path, "is a pipe, a socket or a device, not a file")
    elif not is_text(entry.name):
        search.problem(entry.path, f"has a name that is {NOT_TEXT}; rename it")
    else:
        path = Path(entry.path)
        search.paths.append(path)
        if entry.is_symlink():
            search.links.add(path)


def _enter(search: _Search, entry: os.DirEntry[str]) -> bool:
    """Whether a folder must be read; if so, it is recorded as read."""
    if entry.name.startswith("."):
        search.problem(entry.path, "is a hidden folder, which is not read")
        return False
    if not is_text(entry.name):
        search.problem(entry.path, f"has a name that is {NOT_TEXT}, so nothing in it is read; rename it")
        return False
    try:
        status = entry.stat()
    except OSError as error:
        search.problem(entry.path, f"cannot be read: {error.strerror or error}")
        return False
    earlier = search.read.setdefault((status.st_dev, status.st_ino), search.name(entry.path))
    if earlier != search.name(entry.path):
        search.problem(entry.path, f"leads to the folder that is read as {earlier}")
        return False
    return True


def _follow(search: _Search, entry: os.DirEntry[str]) -> bool:
    """Collects the file that a link leads to; returns True if the link leads to a folder that must be read."""
    if entry.name.startswith("."):
        return False
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        search.problem(entry.path, f"is a link to {shown(os.readlink(entry.path))}: {error.strerror or error}")
        return False
    if not stat.S_ISDIR(mode):
        _take(search, entry)
        return False
    target = Path(entry.path).resolve()
    if search.real_root.is_relative_to(target):
        search.problem(entry.path, f"is a link to {shown(target)}, which holds the folder itself; it is not followed")
        return False
    if target.is_relative_to(search.real_root):
        inside = target.relative_to(search.real_root)
        if not any(part.startswith(".") for part in inside.parts):
            search.problem(entry.path, f"is a link to {shown(inside)}, which is read itself")
            return False
    return _enter(search, entry)
