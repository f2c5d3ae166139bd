"""The folder of a run's checkpoints: a sub-folder per committed step, and special names for steps in transition.

Every change is one rename, so a process may be killed at any moment. In a run of several processes only process 0
changes the folder, and the processes wait for each other.
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
    """The absolute path.

    Raises:
      ValueError: it is a URL, such as gs://bucket/run, or not valid UTF-8.
    """
    if url := as_url(path):
        raise ValueError(
            f"{url} is a URL, and this needs a folder: each checkpoint is committed by renaming one, which object "
            "stores cannot do at once. `wavejax.checkpoints.open_store` keeps checkpoints in a bucket"
        )
    return Path(text_path(Path(path).absolute()))


def saved_steps(directory: Path) -> tuple[int, ...]:
    """The committed steps of a directory, ascending; empty if it does not exist.

    Other folders in it, such as the user's own copies, are ignored.
    """
    if not directory.is_dir():
        return ()
    steps = ((step_number(path.name), path) for path in directory.iterdir())
    return tuple(sorted(step for step, path in steps if step is not None and path.is_dir()))


def wait_for_all_processes(name: str) -> None:
    """Returns when every process of the run has reached the barrier of this name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"wavejax: {name}")


def _is_half_done(name: str) -> bool:
    """Whether a folder's name marks it as half-written or half-deleted by a killed process."""
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
      alone: of several processes only this one uses the folder, so there is no waiting between processes.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        self.path = path
        self.alone = alone
        self._inode: int | None = None

    def of(self, step: int) -> Path:
        """The sub-folder of a committed step."""
        return self.path / str(step)

    def open(self) -> None:
        """Creates the folder, removes what a killed process left half-written or half-deleted, restores replaced steps.

        Raises:
          OSError: it cannot be created or written to, or holds another program's checkpoints.
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
        """Checks, before a save begins, that the folder still exists and can be written to.

        Otherwise Orbax would create a vanished folder anew. If it cannot create it, its threads wait for it for five
        minutes, and the process does not end before they do.

        Raises:
          OSError: it has vanished, was replaced, or cannot be written to.
        """
        if self.path.stat().st_ino != self._inode:
            raise FileNotFoundError("the folder has vanished, and another has taken its place")
        if self._is_first():
            probe = self.path / _PROBE  # if a kill leaves it behind, `open` removes it
            probe.mkdir(exist_ok=True)
            probe.rmdir()

    def unfinished(self, step: int) -> list[Path]:
        """The temporary folders in which a step is being written; empty on all processes but the first."""
        return list(self.path.glob(f"{step}{TEMPORARY_MARK}*")) if self._is_first() else []

    def set_aside(self, step: int) -> None:
        """Renames the old version of a step to make room for a new one; it is kept until `committed`."""
        self.wait_for_all("checkpoint to be replaced")
        if self._is_first() and self.of(step).exists():
            self.of(step).rename(self.path / f"{_REPLACED}{step}")

    def committed(self, step: int) -> None:
        """Hashes Orbax's own files, now final, and removes the old version: the new one is complete."""
        if self._is_first():
            with contextlib.suppress(OSError):  # these hashes protect nothing that is read
                write_bookkeeping_manifest(self.of(step))
            shutil.rmtree(self.path / f"{_REPLACED}{step}", ignore_errors=True)

    def abandon(self, step: int) -> None:
        """Removes a step whose write failed, and restores the old version that was set aside."""
        for path in self.unfinished(step):
            shutil.rmtree(path, ignore_errors=True)
        if self._is_first() and (self.path / f"{_REPLACED}{step}").exists():
            self._put_back(step)

    def quarantine(self, steps: Iterable[int]) -> None:
        """Renames damaged steps so that they can be saved again; an earlier damaged version is removed."""
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
            with contextlib.suppress(FileNotFoundError):  # another process is removing it
                self.of(step).rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def _put_back(self, step: int) -> None:
        aside = self.path / f"{_REPLACED}{step}"
        if self.of(step).exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(self.of(step))

    def wait_for_all(self, name: str) -> None:
        """Returns when every process that uses the folder has reached the barrier of this name."""
        if not self.alone:
            wait_for_all_processes(name)

    def _is_first(self) -> bool:
        return self.alone or jax.process_index() == 0
