"""The errors of checkpoints, and the report on a damaged one."""

from dataclasses import dataclass


class CheckpointError(RuntimeError):
    """Base class of all checkpoint errors."""


class CheckpointNotFound(CheckpointError, FileNotFoundError):
    """There is no checkpoint (or exported folder) at the given place."""


class CheckpointWriteError(CheckpointError, OSError):
    """A checkpoint could not be written: full disk, read-only folder. Older checkpoints are intact."""

    step: int | None = None
    """The step whose write failed, if one was being written; it may be earlier than the step now being saved."""


class BucketError(CheckpointError, OSError):
    """A bucket cannot be reached, read or written. Its complete steps are intact."""


class CheckpointMismatch(CheckpointError):
    """The checkpoint is sound, but its model (or optimizer) is not the one of the restore target."""


class CheckpointDamaged(CheckpointError):
    """No sound checkpoint is left; names the leaves and files of each damaged one.

    Attributes:
      reports: one per damaged step, newest first.
    """

    def __init__(self, message: str, reports: "tuple[DamageReport, ...]" = ()) -> None:
        super().__init__(message)
        self.reports = reports


@dataclass(frozen=True, kw_only=True)
class DamageReport:
    """What is wrong with one saved step.

    Attributes:
      step: the step.
      leaves: names of the leaves whose checksum is wrong or missing, e.g. "ema_params/layers/kernel"; empty if the
        arrays could not be read at all.
      files: files that are missing or have changed since the save, relative to the step's folder, with the problem.
      reason: what failed, in words.
    """

    step: int
    leaves: tuple[str, ...]
    files: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        files = f"; damaged files: {', '.join(self.files)}" if self.files else ""
        return f"step {self.step}: {self.reason}{files}"


def first_few(names: list[str] | tuple[str, ...], limit: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
