"""Reads parameters for inference from a checkpoint or an exported folder, without the model."""

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

from wavejax.checkpoints.errors import CheckpointDamaged, CheckpointNotFound, DamageReport, first_few
from wavejax.checkpoints.export import CONFIG_NAME, load_params
from wavejax.checkpoints.fetching import fetched
from wavejax.checkpoints.folder import local_folder, saved_steps
from wavejax.checkpoints.leaves import Accept, nested
from wavejax.checkpoints.manifest import damaged_files

STATISTICS = "model_state/statistics/"
"""Prefix of a model's running statistics: a checkpoint stores them apart; for inference they join the parameters."""

_LOGGER = logging.getLogger(__name__)


class LoadedParams(NamedTuple):
    """Parameters as a nested dict of NumPy arrays, the description saved with them, and the step (None: exported)."""

    params: dict[str, Any]
    meta: dict[str, Any]
    step: int | None


def read_checkpoint_params(
    directory: str | os.PathLike[str],
    step: int | None = None,
    *,
    subtree: str = "ema_params",
    accept: Accept | None = None,
) -> LoadedParams:
    """The averaged parameters of the newest sound checkpoint, running statistics included, all verified.

    Nothing is written or removed, so the checkpoints of a running training can be read.

    Args:
      directory: the folder of a `CheckpointStore`.
      step: one of its steps; None for the newest sound one.
      subtree: the part of the saved state to read, e.g. "params".
      accept: called with the description and the leaves to read, before they are read; it raises to refuse.

    Raises:
      CheckpointNotFound: there is no (such) checkpoint, or it has no such part.
      CheckpointDamaged: no sound checkpoint is left.
      ValueError: the folder's path is not valid UTF-8.
    """
    from wavejax.checkpoints.storage import DamagedStep  # imports Orbax, which exported parameters do not need

    folder = local_folder(directory)
    steps = saved_steps(folder)
    if not steps or (step is not None and step not in steps):
        asked = "checkpoint" if step is None else f"checkpoint of step {step}"
        found = f"; steps found: {', '.join(map(str, steps))}" if steps else ""
        raise CheckpointNotFound(f"no {asked} in {folder}{found}")
    reports: list[DamageReport] = []
    for candidate in reversed(steps) if step is None else [step]:
        try:
            loaded = _read_subtree(folder / str(candidate), candidate, subtree, accept)
        except DamagedStep as damage:
            reports.append(damage.report)
            continue
        for report in reports:
            _LOGGER.warning("damaged checkpoint in %s: %s. Step %d is used instead", folder, report, candidate)
        return loaded
    details = "\n".join(f"  {report}" for report in reports)
    raise CheckpointDamaged(f"no sound checkpoint in {folder}:\n{details}", tuple(reports))


def load_any(path: str | os.PathLike[str], step: int | None = None, *, accept: Accept | None = None) -> LoadedParams:
    """Parameters from an exported folder, a folder of checkpoints, or a run's working folder (which contains such a
    folder named `checkpoints`).

    Args:
      path: one of these folders, or its URL: then only the needed files are fetched.
      step: a checkpoint's step; None for the newest sound one.
      accept: called with the description and the declared leaves before any array is read; it raises to refuse.

    Raises:
      CheckpointNotFound: the path is none of these.
      CheckpointDamaged: no sound parameters are left.
      BucketError: the bucket cannot be read.
    """
    folder = fetched(path, step)
    if (folder / CONFIG_NAME).exists() or (folder.is_dir() and any(folder.glob("params*.npz"))):
        return LoadedParams(*load_params(folder, accept=accept), None)
    for candidate in (folder, folder / "checkpoints"):
        if saved_steps(candidate):
            return read_checkpoint_params(candidate, step, accept=accept)
    if not folder.exists():
        raise CheckpointNotFound(f"{folder} does not exist; give an exported folder or a folder of checkpoints")
    raise CheckpointNotFound(
        f"{folder} holds neither exported parameters ({CONFIG_NAME}) nor checkpoints (folders named by step)"
    )


def _read_subtree(folder: Path, step: int, subtree: str, accept: Accept | None) -> LoadedParams:
    from wavejax.checkpoints.storage import read_arrays, read_record

    record = read_record(folder, step)
    prefix = subtree + "/"
    places = {name: name.removeprefix(prefix) for name in record.leaves if name.startswith(prefix)}
    if not places:
        parts = sorted({name.partition("/")[0] for name in record.leaves})
        raise CheckpointNotFound(f"the checkpoint {folder} has no part {subtree!r}; it has {first_few(parts)}")
    places |= {name: name.removeprefix(STATISTICS) for name in record.leaves if name.startswith(STATISTICS)}
    if accept is not None:
        accept(record.meta, {place: record.leaves[name] for name, place in places.items()})
    arrays = read_arrays(folder, step, record, dict.fromkeys(places), damaged_files(folder))
    return LoadedParams(nested({place: arrays[name] for name, place in places.items()}), record.meta, step)
