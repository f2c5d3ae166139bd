"""Checkpoints in a bucket: the same files under the same names as in a local folder.

A step is complete while its manifest is there. The manifest is uploaded last and removed first, so an upload or a
removal that is interrupted leaves an incomplete step, which is ignored.
"""

import functools
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from wavejax.checkpoints.errors import BucketError
from wavejax.checkpoints.folder import FETCHING
from wavejax.checkpoints.manifest import MANIFEST_NAME, damaged_files
from wavejax.checkpoints.names import is_below, place_below, step_number
from wavejax.checkpoints.urls import as_url
from wavejax.extras import MissingExtra, require_extra

T = TypeVar("T")

WAITS = (1.0, 5.0, 25.0)
"""Seconds to wait before each retry of a failed request to a bucket."""

_LOGGER = logging.getLogger(__name__)
_FOR_GOOD = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


class Bucket:
    """A folder of an object store.

    A failed request is retried a few times (`WAITS`), except after a permanent error: no such bucket, no permission.

    Args:
      url: a URL of any file system that fsspec supports, e.g. gs://bucket/run, s3://bucket/run, file:///mnt/run.

    Raises:
      MissingExtra: the file system's driver is not installed.
      ValueError: not a URL, or a scheme that fsspec does not support.
    """

    def __init__(self, url: str) -> None:
        checked = as_url(url)
        if checked is None:
            raise ValueError(f"{url} is no URL such as gs://bucket/run")
        self.url = checked
        scheme = checked.partition(":")[0]
        fsspec = require_extra("fsspec", "cloud", f"the bucket {checked}")
        options = {"auto_mkdir": True} if scheme in ("file", "local") else {}
        try:
            self._fs, self._root = fsspec.core.url_to_fs(checked, **options)
        except ImportError as error:
            raise MissingExtra(
                f"the bucket {checked} needs a driver of {scheme}:// ({error}): pip install 'wavejax-audio[cloud]'"
            ) from error
        except ValueError as error:
            raise ValueError(f"{checked}: {error}; give gs://bucket/run, s3://bucket/run or a path") from error
        self._root = str(self._root).rstrip("/")

    def names(self) -> dict[str, int]:
        """Sizes in bytes of all objects, by name below the URL; empty if there are none.

        An object of zero bytes whose name ends in "/" is left out: store consoles create one for an empty folder.

        Raises:
          BucketError: the bucket cannot be read, or an object's name would lead out of a folder.
        """

        def listed() -> dict[str, dict[str, Any]]:
            self._fs.invalidate_cache()
            return self._fs.find(self._root, detail=True)

        found = self._trying("list", listed) or {}
        names: dict[str, int] = {}
        for name, entry in found.items():
            below, size = name.removeprefix(f"{self._root}/"), int(entry["size"] or 0)
            if name.rstrip("/") == self._root or (name.endswith("/") and not size):
                continue
            named = name.startswith(f"{self._root}/") and is_below(below)
            if not named or not _is_file(name, entry):
                what = "no regular file" if named else "no name of a file below a folder"
                raise BucketError(
                    f"{self.url} holds {below!r}, which is {what}: nothing is fetched from there; remove it if the "
                    "bucket is yours"
                )
            names[below] = size
        return names

    def steps(self) -> tuple[int, ...]:
        """The complete steps, ascending.

        Raises:
          BucketError: it cannot be read.
        """
        return complete_steps(self.names())

    def put(self, step: int, folder: Path) -> None:
        """Uploads a committed step, its manifest last; earlier files of this step are removed first.

        Raises:
          BucketError: the bucket cannot be written; the step is not complete there.
        """
        self.delete(step)
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in _files(folder)}
        for name in sizes:
            if name != MANIFEST_NAME:
                self.put_file(f"{step}/{name}", folder / name)
        arrived = {name: size for name, size in self.names().items() if name.startswith(f"{step}/")}
        expected = {f"{step}/{name}": size for name, size in sizes.items() if name != MANIFEST_NAME}
        if arrived != expected:
            wrong = sorted(name for name in arrived.keys() | expected if arrived.get(name) != expected.get(name))
            raise BucketError(f"{self.url} does not hold what was uploaded: {', '.join(wrong[:5])}")
        self.put_file(f"{step}/{MANIFEST_NAME}", folder / MANIFEST_NAME)

    def fetch(self, step: int, folder: Path) -> list[str]:
        """Downloads a step into a folder, which appears atomically; an existing folder is kept.

        Returns:
          Files that still differ from the step's manifest after a second try, as `damaged_files` names them.

        Raises:
          BucketError: the bucket cannot be read.
          OSError: the folder cannot be written.
        """
        temporary = folder.with_name(f"{FETCHING}{folder.name}-{os.getpid()}")
        wrong: list[str] = []
        try:
            for _ in range(2):
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir(parents=True)
                for name in self.names():
                    if name.startswith(f"{step}/"):
                        self.get_file(name, temporary, name.partition("/")[2])
                wrong = damaged_files(temporary)
                if not wrong:
                    break
            if not folder.exists():
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return wrong

    def delete(self, step: int) -> None:
        """Removes a step, complete or not, its manifest first.

        Raises:
          BucketError: it cannot be changed.
        """
        names = sorted(name for name in self.names() if name.startswith(f"{step}/"))
        names.sort(key=lambda name: name != f"{step}/{MANIFEST_NAME}")
        for name in names:
            remove = functools.partial(self._fs.rm_file, self._path(name))
            self._trying(f"remove {name} from", remove, missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """The contents of an object; None where there is none.

        Raises:
          BucketError: it cannot be read.
        """
        return self._trying(f"read {name} of", lambda: self._fs.cat_file(self._path(name)), missing_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Writes or replaces an object.

        Raises:
          BucketError: it cannot be written.
        """
        self._trying(f"write {name} to", lambda: self._fs.pipe_file(self._path(name), data))

    def put_file(self, name: str, path: Path) -> None:
        """Uploads one file.

        Raises:
          BucketError: it cannot be written.
        """
        self._trying(f"write {name} to", lambda: self._fs.put_file(str(path), self._path(name)))

    def get_file(self, name: str, folder: Path, below: str | None = None) -> None:
        """Downloads one object into a folder, under its own name or under `below`; sub-folders are made.

        Raises:
          BucketError: it cannot be read.
          ValueError: that name leads out of the folder.
        """
        path = place_below(folder, name if below is None else below)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._trying(f"read {name} of", lambda: self._fs.get_file(self._path(name), str(path)))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _trying(self, what: str, do: Callable[[], T], *, missing_ok: bool = False) -> T | None:
        waits = iter(WAITS)
        while True:
            try:
                return do()
            except Exception as error:
                if missing_ok and isinstance(error, FileNotFoundError):
                    return None
                said, wait = str(error) or type(error).__name__, next(waits, None)
                if wait is None or isinstance(error, _FOR_GOOD):
                    raise BucketError(f"cannot {what} {self.url}: {said}") from error
                _LOGGER.warning("cannot %s %s: %s; another try in %g s", what, self.url, said, wait)
                time.sleep(wait)


def complete_steps(names: "dict[str, int]") -> tuple[int, ...]:
    """The steps, ascending, whose manifest is among the names of a bucket's objects."""
    found = (
        step_number(folder) for folder, _, name in (each.partition("/") for each in names) if name == MANIFEST_NAME
    )
    return tuple(sorted(step for step in found if step is not None))


def _is_file(name: str, entry: dict[str, Any]) -> bool:
    """Whether an object is a regular file (or a link to one): file:// also lists pipes and devices, which never end."""
    return entry.get("type", "file") == "file" or (bool(entry.get("islink")) and os.path.isfile(name))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
