"""File locks for one process at a time; they name their holder, and are released when it ends in any way.

A lock is an operating-system lock (`flock`) on a file beside what it guards. On network disks that support locks, such
as NFS, it also works between machines. If a disk does not support locks, there is no guarantee, and a warning says so.
"""

import contextlib
import errno
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wavejax import interruption

try:
    import fcntl
except ImportError:  # a system without flock
    fcntl = None  # type: ignore[assignment]

_LOGGER = logging.getLogger(__name__)
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_MOST_BYTES = 4096  # the most that is read of a lock file

_held: dict[int, Path] = {}  # descriptor -> lock file


class LockedError(ValueError):
    """Another process holds the lock; the message says which, and since when."""


@contextlib.contextmanager
def exclusive(path: str | os.PathLike[str], place: str, doing: str) -> Iterator[None]:
    """Holds a lock inside the block: no other process, and no other call in this process, can hold the same lock file.

    The file and the folders above it are created. At the end the file is removed, and so are those folders if they are
    empty. If the process is killed, the file stays behind but is no longer locked.

    Args:
      path: the lock file.
      place: the name, in messages, of what it guards.
      doing: the activity, in messages, such as "training in".

    Raises:
      LockedError: the lock is already held; there is no waiting.
      OSError: the file cannot be created or written.
    """
    file = Path(path)
    made = [above for above in file.parents if not above.exists()]
    descriptor = _taken(file, place, doing)
    _held[descriptor] = file
    try:
        _leave_word(descriptor, doing)
        yield
    finally:
        if _held.pop(descriptor, None) is not None:  # otherwise this is a forked child, which holds no lock
            _remove(file)
            os.close(descriptor)
        for above in made:
            with contextlib.suppress(OSError):  # it is not empty
                above.rmdir()


def abandon() -> None:
    """Removes the lock files of a process that is about to end; the locks themselves end with the process."""
    for file in tuple(_held.values()):
        _remove(file)


def _remove(file: Path) -> None:
    """Removes the lock file; called while it is locked, so the next process to open the path creates a new file."""
    with contextlib.suppress(OSError):
        file.unlink()


def _taken(file: Path, place: str, doing: str) -> int:
    """Opens the lock file, locks it if the disk supports locks, and returns its descriptor."""
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        except FileNotFoundError:
            continue  # the holder has removed the folder, too
        try:
            is_locked = _lock(descriptor, file, place, doing)
            if not is_locked or _is_same(descriptor, file):
                _warn_of_another_machine(descriptor, place)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the holder has removed the file meanwhile


def _lock(descriptor: int, file: Path, place: str, doing: str) -> bool:
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(
            f"{place}: {_holder(descriptor)}. Wait for it, end it, or choose another place (its lock is {file})"
        ) from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        _LOGGER.warning(
            "%s is on a disk without locks (%s): nothing keeps another process from %s it at the same time, so make "
            "sure that none does",
            place,
            error.strerror,
            doing,
        )
        return False
    return True


def _is_same(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _read(descriptor: int) -> dict[str, Any]:
    try:
        said = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _holder(descriptor: int) -> str:
    said = _read(descriptor)
    if not said:
        return "another process is at work there"
    return f"process {said.get('process')} on {said.get('machine')} is {said.get('doing')} it since {said.get('since')}"


def _warn_of_another_machine(descriptor: int, place: str) -> None:
    """Warns of a lock file from another machine: its holder was killed, or this disk's locks do not reach it."""
    said = _read(descriptor)
    if said and said.get("machine") != socket.gethostname():
        _LOGGER.warning(
            "%s: %s, or was killed there. If it still runs, end one of the two: this disk does not pass locks on",
            place,
            _holder(descriptor),
        )


def _leave_word(descriptor: int, doing: str) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    said = {"process": os.getpid(), "machine": socket.gethostname(), "doing": doing, "since": since}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(said).encode() + b"\n", 0)
    os.fsync(descriptor)


interruption.at_end(abandon)


def _close_in_child() -> None:
    """Closes the parent's locks in a forked child, which must not keep them held."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


__all__ = ["LockedError", "abandon", "exclusive"]
