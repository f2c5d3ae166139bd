"""The checkpoints of a run: saved asynchronously and atomically, verified when restored."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from wavejax.checkpoints.errors import CheckpointDamaged, CheckpointNotFound, CheckpointWriteError, DamageReport
from wavejax.checkpoints.folder import StepFolder, local_folder, saved_steps
from wavejax.checkpoints.leaves import named_leaves, nested
from wavejax.checkpoints.manifest import damaged_files, write_manifest
from wavejax.checkpoints.record import best_step, json_copy
from wavejax.checkpoints.storage import ARRAYS, RECORD, DamagedStep, read_arrays, read_record, waiting_for_no_other
from wavejax.checkpoints.targets import as_target, check_same_tree, describe, placement
from wavejax.types import PyTree

_LOGGER = logging.getLogger(__name__)


class Restored(NamedTuple):
    """A verified checkpoint: the state on its devices, the caller's description, the step."""

    state: PyTree
    meta: dict[str, Any]
    step: int


class CheckpointStore:
    """The checkpoints of one run in one folder, a sub-folder per step. Close it, or use it in a `with` statement.

    A save is atomic: a process killed at any moment leaves every earlier step intact, and the next store that opens the
    folder removes what was half-written. Each leaf's checksum is computed on the device before the save and compared
    after a restore; `restore` skips damaged steps and returns the newest sound one.

    Args:
      directory: the folder; created if it does not exist.
      keep_last: how many of the newest steps to keep; 2 or more, so that a damaged newest one has a predecessor.
      keep_every: steps that are multiples of this are never removed; None for no such steps.
      best: ("validation/loss", "min") also keeps the step with the least value of this metric; "max" the greatest.
      read_only: nothing is written or removed, so the checkpoints of a running training can be read.
      alone: of several processes only this one opens the folder. Arrays must then be on this process's devices or its
        host, and `restore` gives NumPy arrays (PRNG keys as their uint32 words).

    Attributes:
      directory: the folder.
      damage_reports: the damage that `restore` has found so far.

    Raises:
      CheckpointWriteError: the folder cannot be created or written to.
      ValueError: arguments out of range, or the URL of an object store.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        keep_last: int = 3,
        keep_every: int | None = None,
        best: tuple[str, Literal["min", "max"]] | None = None,
        read_only: bool = False,
        alone: bool = False,
    ) -> None:
        if keep_last < 2:
            raise ValueError(
                f"keep_last={keep_last} must be 2 or more: a damaged newest checkpoint needs a predecessor"
            )
        if keep_every is not None and keep_every < 1:
            raise ValueError(f"keep_every={keep_every} must be 1 or more, or None")
        if best is not None and best[1] not in ("min", "max"):
            raise ValueError(f"best={best!r} must be a metric's name with 'min' or 'max'")
        self.directory = local_folder(directory)
        self._shown = str(self.directory)  # in messages
        self._folder = StepFolder(self.directory, alone=alone)
        self.damage_reports: list[DamageReport] = []
        self._keep_last, self._keep_every, self._best, self._read_only = keep_last, keep_every, best, read_only
        self._metrics: dict[int, dict[str, float]] = {}
        self._saving: int | None = None
        self._manager: ocp.CheckpointManager | None = None
        if not read_only:
            self._open()

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.close()

    def save(
        self,
        step: int,
        state: PyTree,
        meta: Mapping[str, Any],
        *,
        metrics: Mapping[str, float] | None = None,
        force: bool = False,
    ) -> bool:
        """Starts to save a state and returns once it may be changed or donated; writing continues in the background.

        Args:
          step: the number of updates made.
          state: a pytree of arrays (PRNG keys and Python numbers included).
          meta: JSON-able description (config, feature spec), returned by `restore`.
          metrics: numbers by which `best` is chosen.
          force: replace an already saved step; the old version is kept until the new one is complete.

        Returns:
          False if the step is already saved and `force` is not given: nothing was done.

        Raises:
          CheckpointWriteError: this save could not be started, or an earlier one could not be finished.
          TypeError: `meta` is not JSON-able.
        """
        manager = self._writable()
        self.wait()
        with self._writing(step):
            self._folder.check()
            if self._folder.of(step).is_file():
                raise FileExistsError(
                    f"{self._folder.of(step)} is a file, and the checkpoint needs a folder of that name"
                )
        exists = step in self.steps()
        if exists and not force:
            self._save_began(step, is_new=False)
            return False
        record, arrays = describe(state, json_copy(meta, "meta"), json_copy(dict(metrics or {}), "metrics"), int(step))
        if self._folder.alone:
            arrays = {name: np.asarray(array) for name, array in arrays.items()}
        if exists:
            self._folder.set_aside(step)
            self._reload()
        self._saving = step
        with self._writing(step):
            manager.save(
                step,
                args=ocp.args.Composite(
                    **{ARRAYS: ocp.args.StandardSave(nested(arrays)), RECORD: ocp.args.JsonSave(record.to_json())}
                ),
                force=True,
            )
        self._save_began(step, is_new=True)
        return True

    def restore(self, target: PyTree, step: int | None = None) -> Restored:
        """The newest sound checkpoint (or the given step), every leaf verified.

        Damaged steps are skipped with a warning, listed in `damage_reports` and renamed to `damaged-STEP`, so that
        training can save those steps again; nothing is deleted.

        Args:
          target: the tree to restore into: arrays, or `jax.ShapeDtypeStruct`s with the wanted sharding (it may differ
            from the saved one), e.g. `strategy.abstract(state)`. NumPy leaves and Python numbers come back as such.
          step: a step of `steps()`; None for the newest sound one.

        Raises:
          CheckpointNotFound: there is no (such) checkpoint.
          CheckpointMismatch: it holds another model; names the leaves that differ.
          CheckpointDamaged: no sound step is left (or the given one is damaged); names leaves and files of each.
        """
        self.wait()
        steps = self.steps()
        self._folder.wait_for_all("checkpoints listed")
        if not steps or (step is not None and step not in steps):
            asked = "checkpoint" if step is None else f"checkpoint of step {step}"
            found = f"; steps found: {', '.join(map(str, steps))}" if steps else ""
            raise CheckpointNotFound(f"no {asked} in {self._shown}{found}")
        reports: list[DamageReport] = []
        for candidate in reversed(steps) if step is None else [step]:
            try:
                restored = self._restore_step(candidate, target)
            except DamagedStep as damage:
                reports.append(damage.report)
                continue
            self._step_over(reports, restored.step)
            return restored
        details = "\n".join(f"  {report}" for report in reports)
        advice = "restore a copy of the folder" if step is None else "restore another step, or leave it to None"
        raise CheckpointDamaged(f"no sound checkpoint in {self._shown}:\n{details}\n{advice}", tuple(reports))

    def steps(self) -> tuple[int, ...]:
        """Steps on disk, ascending; a step that is being written is not included."""
        return saved_steps(self.directory)

    def wait(self) -> None:
        """Returns once everything is on disk, and removes the steps that need not stay.

        Raises:
          CheckpointWriteError: the last save could not be finished; earlier steps are intact.
        """
        if self._manager is None:
            return
        if self._saving is not None:
            step = self._saving
            with self._writing(step):
                self._manager.wait_until_finished()
                self._manager.check_for_errors()
            self._saving = None
            self._folder.committed(step)
        self._prune()

    def close(self) -> None:
        """Waits, then closes the store; a second call does nothing."""
        manager = self._manager
        if manager is None:
            return
        try:
            self.wait()
        finally:
            self._manager = None
            with contextlib.suppress(Exception):  # a failed save has been reported by wait()
                manager.close()

    def _open(self) -> None:
        try:
            self._folder.open()
            options = ocp.CheckpointManagerOptions(
                create=not self._folder.alone,  # Orbax creates only for all processes together; it exists
                async_options=ocp.options.AsyncOptions(post_finalization_callback=self._seal),
                multiprocessing_options=(
                    waiting_for_no_other() if self._folder.alone else ocp.options.MultiprocessingOptions()
                ),
            )
            self._manager = ocp.CheckpointManager(self.directory, options=options)
        except OSError as error:
            raise CheckpointWriteError(
                f"cannot keep checkpoints in {self.directory}: {error}; choose a folder that can be written to"
            ) from error

    def _writable(self) -> ocp.CheckpointManager:
        if self._manager is None:
            how = "is read-only" if self._read_only else "is closed"
            raise ValueError(f"the checkpoint store of {self._shown} {how}; open another one to save")
        return self._manager

    def _save_began(self, step: int, *, is_new: bool) -> None:
        """Called when a save has begun, for subclasses; `is_new` is False if the step was already saved."""

    @contextlib.contextmanager
    def _writing(self, step: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._saving = None
            self._folder.abandon(step)
            intact = ", ".join(map(str, saved_steps(self.directory))) or "none"
            failure = CheckpointWriteError(
                f"cannot write the checkpoint of step {step} to {self.directory}: {error}. Free space or make the "
                f"folder writable, then start again; checkpoints on disk, untouched: {intact}"
            )
            failure.step = step
            raise failure from error

    def _seal(self) -> None:
        """Called by Orbax when all files of a step are written, before the rename that commits it."""
        if self._saving is not None:
            for folder in self._folder.unfinished(self._saving):
                write_manifest(folder)

    def _reload(self) -> None:
        if self._manager is not None:
            self._manager.reload()

    def _restore_step(self, step: int, target: PyTree) -> Restored:
        folder = self._folder.of(step)
        record = read_record(folder, step)
        wanted = named_leaves(target)
        check_same_tree(record, wanted, f"the checkpoint of step {step} in {self._shown}")
        files = damaged_files(folder)
        places = {name: None if self._folder.alone else placement(leaf) for name, leaf in wanted.items()}
        arrays = read_arrays(folder, step, record, places, files)
        if files:
            reason = "every leaf is sound, so the step is used, but its files have changed"
            report = DamageReport(step=step, leaves=(), files=tuple(files), reason=reason)
            self.damage_reports.append(report)
            _LOGGER.warning("checkpoint in %s: %s", self._shown, report)
        leaves = [as_target(arrays[name], leaf) for name, leaf in wanted.items()]
        return Restored(jax.tree.unflatten(jax.tree.structure(target), leaves), record.meta, step)

    def _step_over(self, reports: list[DamageReport], used: int) -> None:
        for report in reports:
            self.damage_reports.append(report)
            _LOGGER.warning("damaged checkpoint in %s: %s. Step %d is used instead", self._shown, report, used)
        if reports and not self._read_only:
            self._folder.quarantine(report.step for report in reports)
            self._reload()

    def _prune(self) -> None:
        """Removes the steps that need not stay."""
        if jax.process_index() != 0:
            return
        steps = saved_steps(self.directory)
        kept = self._kept(steps, self._metric)
        if kept != set(steps):
            self._folder.delete(step for step in steps if step not in kept)
            self._reload()

    def _kept(self, steps: Sequence[int], metric: Callable[[int, str], float | None]) -> set[int]:
        """Which of these steps (ascending) must be kept; `metric(step, name)` gives a step's metric."""
        kept = set(steps[-self._keep_last :])
        if self._keep_every is not None:
            kept |= {step for step in steps if step % self._keep_every == 0}
        if self._best is not None:
            name, mode = self._best
            kept |= best_step({step: metric(step, name) for step in steps}, mode)
        return kept

    def _metric(self, step: int, name: str) -> float | None:
        if step not in self._metrics:
            try:
                self._metrics[step] = read_record(self._folder.of(step), step).metrics
            except DamagedStep:
                self._metrics[step] = {}
        return self._metrics[step].get(name)
