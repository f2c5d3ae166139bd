"""The local cache folder of wavejax for data that can be made again, and a store of checksummed files in it.

A cache is only a convenience, and its users must work without it. So a store never raises a file system's errors: it
reports a problem once and continues without the cache.
"""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from wavejax import atomic

CACHE = "WAVEJAX_CACHE"
"""Environment variable with the cache folder; by default ~/.cache/wavejax."""

_LOGGER = logging.getLogger(__name__)
_SEAL_BYTES = hashlib.sha256().digest_size
_UNFINISHED_SECONDS = 3600.0  # a temporary file older than this is no longer being written


def cache_root() -> Path:
    """The folder for data that can be made or fetched again: $WAVEJAX_CACHE, or wavejax in the user's cache.

    Raises:
      RuntimeError: no variable names a folder, and the user has no home.
    """
    root = os.environ.get(CACHE) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavejax"
    return Path(root).absolute()


class SealedStore:
    """Stores bytes by name in a folder of bounded size. Each file has a checksum and is written completely or not at
    all. Files without such a checksum belong to somebody else and are not removed to make room.

    Several processes may use one folder at once. A changed, incomplete or misnamed file is removed instead of returned.
    When the bound is reached, the least recently used files are removed first.

    Args:
      root: the folder whose size, with all sub-folders, is bounded; created when something is first stored.
      section: the sub-folder of this store. Other sections of the root are never read, but they count towards the
        bound, and their oldest files may be removed.
      max_bytes: the most that the root may hold.
      max_age_days: files that have not been used for this long are removed.
    """

    def __init__(self, root: Path, section: str, *, max_bytes: int, max_age_days: float = 90.0) -> None:
        self.root, self.folder = root, root / section
        self.max_bytes, self.max_age_seconds = max_bytes, 86400 * max_age_days
        self._held: int | None = None  # bytes below the root when last measured, plus bytes stored since
        self._is_refused = False

    def get(self, name: str) -> bytes | None:
        """The value stored under this name, or None if there is none or it is damaged."""
        path = self.folder / name
        try:
            sealed = path.read_bytes()
        except OSError:
            return None
        value = sealed[_SEAL_BYTES:]
        if sealed[:_SEAL_BYTES] != _seal(name, value):
            _LOGGER.debug("%s has changed since it was written: it is made again", path)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # marks it as recently used
        return value

    def put(self, name: str, value: bytes) -> None:
        """Stores a value, replacing an earlier one of this name. A value larger than the bound is not stored."""
        size = _SEAL_BYTES + len(value)
        if self._is_refused or size > self.max_bytes:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(size)
            atomic.write_bytes(self.folder / name, _seal(name, value) + value)
        except OSError as error:
            self._is_refused = True
            _LOGGER.warning(
                "what was compiled cannot be kept in %s: %s; it is compiled again each time (set %s to another folder)",
                self.folder,
                error.strerror or error,
                CACHE,
            )

    def _make_room(self, size: int) -> None:
        if self._held is None or self._held + size > self.max_bytes:
            self._held = self._evict(self.max_bytes - size)
        self._held += size

    def _evict(self, allowed: int) -> int:
        """Removes files that are too old, then the least recently used until at most `allowed` bytes are left; returns
        the bytes left."""
        now, held = time.time(), 0
        files = sorted(_files(self.root), key=lambda file: file[1], reverse=True)
        for path, used, size in files:
            is_dead = atomic.is_leftover(path.name) and now - used > _UNFINISHED_SECONDS
            is_old = now - used > self.max_age_seconds or held + size > allowed
            if is_dead or (is_old and _is_sealed(path)):
                with contextlib.suppress(OSError):
                    path.unlink()
            else:
                held += size
        for folder in self.root.iterdir():
            with contextlib.suppress(OSError):  # only an empty folder is removed
                if folder != self.folder:
                    folder.rmdir()
        return held


def _is_sealed(path: Path) -> bool:
    with contextlib.suppress(OSError):
        sealed = path.read_bytes()
        return sealed[:_SEAL_BYTES] == _seal(path.name, sealed[_SEAL_BYTES:])
    return False


def _seal(name: str, value: bytes) -> bytes:
    digest = hashlib.sha256(name.encode() + b"\0")
    digest.update(value)
    return digest.digest()


def _files(root: Path) -> Iterator[tuple[Path, float, int]]:
    """Each file below a folder's sub-folders, the time of its last use, and its size in bytes."""
    for path in root.glob("*/*"):
        with contextlib.suppress(OSError):  # another process may remove it
            found = path.stat()
            yield path, found.st_mtime, found.st_size
