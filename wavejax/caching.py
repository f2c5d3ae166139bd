"""The folder of this machine in which wavejax keeps what it can make again, and a store of sealed files in it.

Everything here is a convenience: whoever reads from a store must be able to do without, so a store never raises what a
file system raises. It says once what is wrong and goes on without.
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
"""Environment variable that names the folder; by default ~/.cache/wavejax."""

_LOGGER = logging.getLogger(__name__)
_SEAL_BYTES = hashlib.sha256().digest_size
_UNFINISHED_SECONDS = 3600.0  # after which nobody is still writing a temporary file


def cache_root() -> Path:
    """Where this machine keeps what can be made or fetched again: $WAVEJAX_CACHE, or wavejax in the user's cache.

    Raises:
      RuntimeError: no variable names a folder and the user has no home.
    """
    root = os.environ.get(CACHE) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavejax"
    return Path(root).absolute()


class SealedStore:
    """Bytes by name in a folder: each file is sealed with a checksum, written whole or not at all, and the folder's
    size is bounded. What has no such seal was put there by somebody else and is not removed to make room.

    Several processes may use one folder at once. What was changed, torn or misnamed is not returned, and is removed;
    what has not been used for longest goes first when the bound is reached.

    Args:
      root: the folder that is bounded, with all sub-folders; it is made when something is first put into it.
      section: the sub-folder of this store. Others of the same root are never read, but do count and are removed when
        they are the oldest.
      max_bytes: what the root may hold.
      max_age_days: what has not been used for so long is removed.
    """

    def __init__(self, root: Path, section: str, *, max_bytes: int, max_age_days: float = 90.0) -> None:
        self.root, self.folder = root, root / section
        self.max_bytes, self.max_age_seconds = max_bytes, 86400 * max_age_days
        self._held: int | None = None  # bytes below the root when it was last looked at, and what was put there since
        self._is_refused = False

    def get(self, name: str) -> bytes | None:
        """What was put under this name, or None: nothing, or nothing sound."""
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
            os.utime(path)  # what is used stays
        return value

    def put(self, name: str, value: bytes) -> None:
        """Keeps a value, in place of what had the name before. What is larger than the bound is not kept."""
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
        """Removes what is too old, then the least recently used until `allowed` bytes are left; returns those left."""
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
            with contextlib.suppress(OSError):  # only an empty one goes
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
    """Each file below a folder's sub-folders, when it was last used, and its bytes."""
    for path in root.glob("*/*"):
        with contextlib.suppress(OSError):  # another process may remove it meanwhile
            found = path.stat()
            yield path, found.st_mtime, found.st_size
