"""The folder of a training, which one training at a time works in."""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import jax

from wavejax.checkpoints import CheckpointWriteError, working_folder
from wavejax.checkpoints.foreign import refuse_foreign_checkpoints
from wavejax.checkpoints.urls import as_url
from wavejax.locks import LockedError, exclusive
from wavejax.parallel import broadcast_bytes
from wavejax.training import JsonLinesLogger

LOCK = "training.lock"
METRICS = "metrics.jsonl"

_LOG = logging.getLogger(__name__)
_KINDS = {kind.__name__: kind for kind in (LockedError, CheckpointWriteError)}


@contextlib.contextmanager
def claimed(workdir: str | Path) -> Iterator[None]:
    """Inside, no other training works in the folder. Of a training of several processes the first holds it for all.

    Every process makes the same call. A bucket knows no locks: of a URL only this machine's copy is held.

    Raises:
      LockedError: another training works there; says which.
      CheckpointWriteError: it cannot be written to, or holds what no training has put there.
    """
    with contextlib.ExitStack() as stack:
        failure: Exception | None = None
        if jax.process_index() == 0:
            try:
                stack.enter_context(_held(working_folder(workdir), str(as_url(workdir) or workdir)))
            except (LockedError, CheckpointWriteError) as error:
                failure = error
            if failure is None and as_url(workdir) is not None:
                _LOG.info("a bucket knows no locks: make sure that no other machine trains in %s", as_url(workdir))
        _tell_all(failure)
        yield


@contextlib.contextmanager
def _held(folder: Path, shown: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder / LOCK, shown, "training in"))
            refuse_foreign_checkpoints(folder / "checkpoints")
            JsonLinesLogger(folder / METRICS).refuse_foreign()
        except OSError as error:
            what = error.strerror or error
            where = f" ({error.filename})" if error.filename not in (None, os.fspath(folder)) else ""
            raise CheckpointWriteError(
                f"cannot train in {shown}: {what}{where}; choose a folder that can be written to, for a training alone"
            ) from error
        yield


def _tell_all(failure: Exception | None) -> None:
    """Raises what went wrong on the first process on all of them: none may wait for another that has ended."""
    said = {} if failure is None else {"kind": type(failure).__name__, "error": str(failure)}
    said = json.loads(broadcast_bytes(json.dumps(said).encode()))
    if failure is not None:
        raise failure
    if said:
        raise _KINDS[said["kind"]](f"process 0: {said['error']}")


__all__ = ["LOCK", "METRICS", "claimed"]
