"""Lists, verifies and prunes the checkpoints of a folder, sound or damaged, without the model."""

from dataclasses import dataclass
from pathlib import Path

from wavejax.checkpoints.errors import CheckpointNotFound, DamageReport
from wavejax.checkpoints.fetching import checkpoints_of, fetched
from wavejax.checkpoints.folder import StepFolder, local_folder, saved_steps
from wavejax.checkpoints.manifest import MANIFEST_NAME, damaged_files
from wavejax.checkpoints.record import VALIDATION_LOSS, best_step
from wavejax.checkpoints.storage import DamagedStep, read_arrays, read_record
from wavejax.checkpoints.urls import as_url

FILES_CHANGED = "its files have changed since it was saved"
"""The reason in the report of a step that may still be used, if every leaf of it has been read."""


@dataclass(frozen=True, kw_only=True)
class StepInfo:
    """Information about one saved step.

    Attributes:
      step: the step.
      saved_at: when it was completed, Unix seconds; for a copy without the original times, when it was copied.
      num_bytes: its size on disk.
      metrics: the numbers saved with it; empty if its record cannot be read.
      damage: what is wrong with it; None if nothing is. If every leaf was read (`read_leaves`) and the report names
        files but no leaves, the step may still be used.
    """

    step: int
    saved_at: float
    num_bytes: int
    metrics: dict[str, float]
    damage: DamageReport | None


def find_checkpoints(path: str | Path) -> Path:
    """The folder of checkpoints that a path refers to: itself, or (of a training folder) its sub-folder `checkpoints`.

    For a URL, all checkpoints are fetched, damaged ones too.

    Raises:
      CheckpointNotFound: neither holds a checkpoint.
      BucketError: the bucket cannot be read.
      ValueError: the path is not valid UTF-8.
    """
    given = local_folder(fetched(path, every=True))
    for folder in (given, given / "checkpoints"):
        if saved_steps(folder):
            return folder
    what = "holds no checkpoint" if given.is_dir() else "is no folder"
    raise CheckpointNotFound(f"{path} {what}: give a training folder, or its checkpoints/ (folders named by step)")


def inspect_step(directory: Path, step: int, *, read_leaves: bool) -> StepInfo:
    """Inspects one saved step; every file is compared with its hash.

    Args:
      directory: the folder of a `CheckpointStore`.
      step: one of its steps.
      read_leaves: also read every array and compare its checksum, as a restore does.
    """
    folder = directory / str(step)
    files = [path for path in folder.rglob("*") if path.is_file()]
    stamp = folder / MANIFEST_NAME
    metrics: dict[str, float] = {}
    wrong = tuple(damaged_files(folder))
    damage = None
    if wrong:
        damage = DamageReport(step=step, leaves=(), files=wrong, reason=FILES_CHANGED)
    try:
        record = read_record(folder, step)
        metrics = record.metrics
        if read_leaves:
            read_arrays(folder, step, record, dict.fromkeys(record.leaves), wrong)
    except DamagedStep as error:
        damage = DamageReport(
            step=step, leaves=error.report.leaves, files=wrong or error.report.files, reason=error.report.reason
        )
    return StepInfo(
        step=step,
        saved_at=(stamp if stamp.exists() else folder).stat().st_mtime,
        num_bytes=sum(path.stat().st_size for path in files),
        metrics=metrics,
        damage=damage,
    )


@dataclass(frozen=True, kw_only=True)
class PruningPlan:
    """Which steps to keep and which to remove.

    Attributes:
      kept: steps to keep, ascending.
      removed: steps to remove, ascending.
      newest_sound: the newest step whose leaves and files are all sound, always kept; None if there is none.
    """

    kept: tuple[int, ...]
    removed: tuple[int, ...]
    newest_sound: int | None


def plan_pruning(
    directory: Path, *, keep_last: int, keep_every: int | None = None, keep_best: bool = False
) -> PruningPlan:
    """Decides which steps to remove; removes nothing.

    Args:
      directory: the folder of a `CheckpointStore`.
      keep_last: how many of the newest steps to keep, 1 or more.
      keep_every: also keep the steps that are multiples of this.
      keep_best: also keep the step with the lowest validation loss, even if its files are damaged.

    Raises:
      ValueError: arguments out of range.
    """
    if keep_last < 1 or (keep_every is not None and keep_every < 1):
        raise ValueError(f"keep_last={keep_last} and keep_every={keep_every} must be 1 or more")
    steps = saved_steps(directory)
    kept = set(steps[-keep_last:])
    if keep_every is not None:
        kept |= {step for step in steps if step % keep_every == 0}
    if keep_best:
        losses = {step: inspect_step(directory, step, read_leaves=False).metrics.get(VALIDATION_LOSS) for step in steps}
        kept |= best_step(losses)
    sound = (step for step in reversed(steps) if inspect_step(directory, step, read_leaves=True).damage is None)
    newest_sound = next(sound, None)
    if newest_sound is not None:
        kept.add(newest_sound)
    else:
        kept = set(steps)  # no step is sound: keep them all, as one may still be rescued
    removed = tuple(step for step in steps if step not in kept)
    return PruningPlan(kept=tuple(sorted(kept)), removed=removed, newest_sound=newest_sound)


def remove_steps(path: str | Path, steps: tuple[int, ...]) -> None:
    """Removes steps. Each is renamed first (in a bucket: its manifest is removed first), so none is seen half removed.

    Args:
      path: as for `find_checkpoints`.
      steps: the steps to remove.

    Raises:
      OSError: the folder or the bucket cannot be changed.
    """
    if as_url(path) is None:
        StepFolder(find_checkpoints(path)).delete(steps)
        return
    bucket = checkpoints_of(path)
    for step in steps:
        bucket.delete(step)
