"""`wavejax checkpoints list|verify|prune`."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_folder
from wavejax.documents import read_records
from wavejax.ranges import AT_LEAST_NONE, COUNT

HELP = """\
usage: wavejax checkpoints list|verify|prune FOLDER [OPTIONS]

  list    steps, when they were saved, how large, whether their files are sound, the metrics of that time
  verify  read every leaf and every file, and name what is damaged (exit code 1)
  prune   remove all but some: says what it would remove, and does it with --delete

The checkpoint with the lowest validation loss, of those of whose step it was measured, is listed as (best);
`wavejax export-params RUN VOICE --step STEP` exports it.

FOLDER is a training folder or its checkpoints/, or the URL of one: all its checkpoints are downloaded first.

Example:
  wavejax checkpoints verify run/
  wavejax checkpoints prune run/ --keep-last 3 --keep-every 10000 --delete"""


@dataclass(frozen=True, kw_only=True)
class List:
    """Say what a training folder's checkpoints are: step, time, size, sound or not, metrics."""

    folder: Positional[Path]
    """A training folder, or its checkpoints/."""


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Read every leaf and every file of every checkpoint, and name what is damaged (exit code 1)."""

    folder: Positional[Path]
    """A training folder, or its checkpoints/."""
    step: Annotated[int | None, AT_LEAST_NONE] = None
    """This step only."""


@dataclass(frozen=True, kw_only=True)
class Prune:
    """Remove all checkpoints but some. It says what would go; with --delete it goes.

    The newest checkpoint that is sound, every leaf of it read, always stays.
    """

    folder: Positional[Path]
    """A training folder, or its checkpoints/."""
    keep_last: Annotated[int, COUNT]
    """How many of the newest stay."""
    keep_every: Annotated[int | None, COUNT] = None
    """Steps that are multiples of it stay as well."""
    keep_best: bool = False
    """The one with the lowest validation loss stays as well."""
    delete: bool = False
    """Do remove them."""


def run_checkpoints(arguments: Sequence[str]) -> int:
    """`wavejax checkpoints`."""
    actions: dict[str, Callable[[Sequence[str]], int]] = {"list": _list, "verify": _verify, "prune": _prune}
    if arguments and arguments[0] in actions:
        return actions[arguments[0]](arguments[1:])
    if arguments and arguments[0] in ("-h", "--help"):
        print(HELP)
        return 0
    found = f"there is no {arguments[0]!r}" if arguments else "say what to do"
    raise UsageError(f"{found}: wavejax checkpoints list|verify|prune FOLDER")


def _list(arguments: Sequence[str]) -> int:
    given = parse(List, "checkpoints list", arguments, example="wavejax checkpoints list run/")
    from wavejax.checkpoints.folder import saved_steps
    from wavejax.checkpoints.inspection import find_checkpoints, inspect_step
    from wavejax.checkpoints.record import VALIDATION_LOSS, best_step

    directory = find_checkpoints(given.folder)
    print(f"{'step':>10}  {'saved':<16}  {'size':>10}  {'files':<8} metrics")
    infos = [inspect_step(directory, step, read_leaves=False) for step in saved_steps(directory)]
    best = best_step({info.step: info.metrics.get(VALIDATION_LOSS) for info in infos})
    for info in infos:
        step = info.step
        saved = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.saved_at))
        metrics = {**_logged_metrics(directory.parent / "metrics.jsonl", step), **info.metrics}
        shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        shown += "  (best)" if step in best else ""
        state = "sound" if info.damage is None else "DAMAGED"
        print(f"{step:>10}  {saved:<16}  {info.num_bytes / 1e6:>7.1f} MB  {state:<8} {shown}".rstrip())
    _name_others(directory)
    return 0


def _verify(arguments: Sequence[str]) -> int:
    given = parse(Verify, "checkpoints verify", arguments, example="wavejax checkpoints verify run/")
    from wavejax.checkpoints import CheckpointNotFound
    from wavejax.checkpoints.folder import saved_steps
    from wavejax.checkpoints.inspection import FILES_CHANGED, find_checkpoints, inspect_step

    directory = find_checkpoints(given.folder)
    steps = saved_steps(directory)
    if given.step is not None and given.step not in steps:
        raise CheckpointNotFound(f"no checkpoint of step {given.step} in {directory}; steps found: {steps}")
    reports = []
    for step in steps if given.step is None else (given.step,):
        info = inspect_step(directory, step, read_leaves=True)
        if info.damage is None:
            print(f"step {step}: sound")
            continue
        reports.append(info.damage)
        usable = "; every leaf is sound" if info.damage.reason == FILES_CHANGED else ""
        print(f"{info.damage}{usable}")
        for name in info.damage.leaves:
            print(f"  damaged leaf  {name}")
        for name in info.damage.files:
            print(f"  damaged file  {name}")
    _name_others(directory)
    return 1 if reports else 0


def _prune(arguments: Sequence[str]) -> int:
    example = "wavejax checkpoints prune run/ --keep-last 3 --keep-every 10000 --delete"
    given = parse(Prune, "checkpoints prune", arguments, example=example)
    from wavejax.checkpoints.inspection import find_checkpoints, plan_pruning, remove_steps

    directory = find_checkpoints(given.folder)
    if given.delete:
        check_folder(directory)  # before every leaf is read
    plan = plan_pruning(directory, keep_last=given.keep_last, keep_every=given.keep_every, keep_best=given.keep_best)
    print(f"stay: {_listed(plan.kept)}")
    if plan.newest_sound is None:
        print(f"no checkpoint in {directory} is sound, so none is removed; see `wavejax checkpoints verify`")
        return 1
    if given.delete:
        remove_steps(given.folder, plan.removed)
    words = "removed" if given.delete else "would go (--delete removes them)"
    print(f"{words}: {_listed(plan.removed)}")
    return 0


def _listed(steps: tuple[int, ...]) -> str:
    return ", ".join(map(str, steps)) or "none"


def _name_others(directory: Path) -> None:
    """Folders that a training has set aside."""
    for path in sorted(directory.glob("damaged-*")):
        print(f"{path.name}: found damaged by a training and set aside", file=sys.stderr)


def _logged_metrics(path: Path, step: int) -> dict[str, float]:
    """The losses that the training logged last, up to a step."""
    found: dict[str, float] = {}
    for record in read_records(path):
        at = record.get("step")
        if isinstance(at, int) and at <= step:
            found |= {
                name: record[name] for name in ("loss", "validation/loss") if isinstance(record.get(name), int | float)
            }
    return found


COMMANDS: dict[str, Command] = {"checkpoints": run_checkpoints}
