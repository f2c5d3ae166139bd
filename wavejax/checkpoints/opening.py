"""Opens the checkpoint store of a folder or of a bucket."""

import functools
import os
from typing import Literal

import jax

from wavejax.checkpoints.first_process import FirstProcessStore
from wavejax.checkpoints.mirrored import MirroredStore
from wavejax.checkpoints.store import CheckpointStore
from wavejax.checkpoints.urls import as_url, cache_folder

AnyStore = CheckpointStore | FirstProcessStore


def open_store(
    place: str | os.PathLike[str],
    *,
    keep_last: int = 3,
    keep_every: int | None = None,
    best: tuple[str, Literal["min", "max"]] | None = None,
) -> AnyStore:
    """The checkpoints of a run in a folder that all its processes can access, or in a bucket that process 0 can access.

    Every process makes the same call.

    Args:
      place: a path, or a URL such as gs://bucket/run/checkpoints.
      keep_last: see `CheckpointStore`.
      keep_every: see `CheckpointStore`.
      best: see `CheckpointStore`.

    Raises:
      CheckpointError, MissingExtra, ValueError: see `CheckpointStore` and `MirroredStore`.
    """
    url = as_url(place)
    if url is None:
        return CheckpointStore(place, keep_last=keep_last, keep_every=keep_every, best=best)
    if jax.process_count() == 1:
        return MirroredStore(url, keep_last=keep_last, keep_every=keep_every, best=best)
    opened = functools.partial(MirroredStore, url, keep_last=keep_last, keep_every=keep_every, best=best, alone=True)
    return FirstProcessStore(opened, cache_folder(url, "runs"))
