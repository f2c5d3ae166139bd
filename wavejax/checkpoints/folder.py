"""The folder of a run's checkpoints: a sub-folder per committed step, and names for those in between.

Every change is one rename, before or after which anything may be killed. In a run of several processes the first one
changes the folder, and the others neither run ahead of it nor fall behind.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import jax
from jax.experimental import multihost_utils

from wavejax.atomic import text_path
from wavejax.checkpoints.foreign import is_own_unfinished, refuse_foreign_checkpoints
from wavejax.checkpoints.manifest import write_bookkeeping_manifest
from wavejax.checkpoints.names import marked_step, step_number
from wavejax.checkpoints.urls import as_url

TEMPORARY_MARK = ".orbax-checkpoint-tmp"
_DELETING = ".deleting-"
_REPLACED = ".replaced-"
_DAMAGED = "damaged-"
FETCHING = ".fetching-"
_PROBE = f"{_DELETING}probe"


def local_folder(path: str | os.PathLike[str]) -> Path:
    """A path as an absolute one.

    Raises:
      ValueError: it is a URL, such as gs://bucket/run, or no UTF-8.
    """
    if url := as_url(path):
        raise ValueError(
            f"{url} is a URL, and this needs a folder: each checkpoint is committed by renaming one, which object "
            "stores cannot do at once. `wavejax.checkpoints.open_store` keeps checkpoints in a bucket"
        )
    return Path(text_path(Path(path).absolute()))


def saved_steps(directory: Path) -> tuple[int, ...]:
    """The committed steps of a directory, ascending; empty where there is no directory.

    Other folders in it, such as copies under names of one's own, are left alone.
    """
    if not directory.is_dir():
        return ()
    steps = ((step_number(path.name), path) for path in directory.iterdir())
    return tuple(sorted(step for step, path in steps if step is not None and path.is_dir()))


def wait_for_all_processes(name: str) -> None:
    """Returns when every process of the run has come to the point of this name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"wavejax: {name}")


def _is_half_done(name: str) -> bool:
    """Whether a folder has the name of one that a killed process left half-written or half-deleted."""
    begun, mark, _ = name.partition(TEMPORARY_MARK)
    fetched, dash, process = name.removeprefix(FETCHING).partition("-")
    return (
        name == _PROBE
        or marked_step(name, _DELETING) is not None
        or (bool(mark) and step_number(begun) is not None)
        or (name.startswith(FETCHING) and bool(dash) and step_number(fetched) is not None and process.isdecimal())
    )


class StepFolder:
    """The changes that a checkpoint store makes to its folder.

    Args:
      path: the folder.
      alone: this process, of several, has the folder for itself; no other waits for it or is waited for.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        self.path = path
        self.alone = alone
        self._inode: int | None = None

    def of(self, step: int) -> Path:
        """The sub-folder of a committed step."""
        return self.path / str(step)

    def open(self) -> None:
        """Makes the folder, removes what a killed process left half-written or half-deleted, puts back the rest.

        Raises:
          OSError: it cannot be made or written to, or holds another program's checkpoints.
        """
        refuse_foreign_checkpoints(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError("the folder is not writable")
        if self._is_first():
            for path in sorted(self.path.iterdir()):
                if _is_half_done(path.name) and (TEMPORARY_MARK not in path.name or is_own_unfinished(path)):
                    shutil.rmtree(path, ignore_errors=True)
                elif (step := marked_step(path.name, _REPLACED)) is not None:
                    self._put_back(step)
        self.wait_for_all("checkpoint folder opened")
        self._inode = self.path.stat().st_ino

    def check(self) -> None:
        """Whether it is still there and can be written to, before a save begins.

        Orbax would make a folder that has vanished anew, and where it cannot make one its threads wait for it for five
        minutes, without which the process does not end.

        Raises:
          OSError: it has vanished, was replaced, or cannot be written to.
        """
        if self.path.stat().st_ino != self._inode:
            raise FileNotFoundError("the folder has vanished, and another has taken its place")
        if self._is_first():
            probe = self.path / _PROBE  # left behind by a kill, it is removed with others of this name
            probe.mkdir(exist_ok=True)
            probe.rmdir()

    def unfinished(self, step: int) -> list[Path]:
        """The temporary folders in which a step is being written; empty on every process but the first."""
        return list(self.path.glob(f"{step}{TEMPORARY_MARK}*")) if self._is_first() else []

    def set_aside(self, step: int) -> None:
        """Makes room for a new version of a step; the old one stays until `committed`."""
        self.wait_for_all("checkpoint to be replaced")
        if self._is_first() and self.of(step).exists():
            self.of(step).rename(self.path / f"{_REPLACED}{step}")

    def committed(self, step: int) -> None:
        """Hashes what has changed until now, and removes what was set aside: the new version is complete."""
        if self._is_first():
            with contextlib.suppress(OSError):  # these hashes protect nothing that is read
                write_bookkeeping_manifest(self.of(step))
            shutil.rmtree(self.path / f"{_REPLACED}{step}", ignore_errors=True)

    def abandon(self, step: int) -> None:
        """Removes a step that could not be written, and puts back the version that was set aside for it."""
        for path in self.unfinished(step):
            shutil.rmtree(path, ignore_errors=True)
        if self._is_first() and (self.path / f"{_REPLACED}{step}").exists():
            self._put_back(step)

    def quarantine(self, steps: Iterable[int]) -> None:
        """Renames damaged steps, so that they can be saved again; an older damaged version is removed."""
        self.wait_for_all("checkpoints verified")
        if self._is_first():
            for step in steps:
                aside = self.path / f"{_DAMAGED}{step}"
                shutil.rmtree(aside, ignore_errors=True)
                self.of(step).rename(aside)

    def delete(self, steps: Iterable[int]) -> None:
        """Removes committed steps."""
        for step in steps:
            doomed = self.path / f"{_DELETING}{step}"
            with contextlib.suppress(FileNotFoundError):  # another process removes it at the same time
                self.of(step).rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def _put_back(self, step: int) -> None:
        aside = self.path / f"{_REPLACED}{step}"
        if self.of(step).exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(self.of(step))

    def wait_for_all(self, name: str) -> None:
        """Returns when every process that has the folder has come to the point of this name."""
        if not self.alone:
            wait_for_all_processes(name)

    def _is_first(self) -> bool:
        return self.alone or jax.process_index() == 0
