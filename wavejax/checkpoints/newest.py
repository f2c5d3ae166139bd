"""Finds the newest checkpoint of a training that runs in another process."""

import contextlib
import os
from collections.abc import Callable

from wavejax.checkpoints.bucket import Bucket
from wavejax.checkpoints.errors import BucketError
from wavejax.checkpoints.folder import saved_steps
from wavejax.checkpoints.urls import as_url, working_folder


def newest_step_of(workdir: str | os.PathLike[str]) -> Callable[[], int | None]:
    """A function that returns the newest step of a training folder or its URL, or None if there is none yet.

    For a URL it also lists the bucket; if the bucket does not answer, its previous listing is used.
    """
    folder, url = working_folder(workdir) / "checkpoints", as_url(workdir)
    remote: list[int] = []

    def look() -> int | None:
        if url is not None:
            with contextlib.suppress(BucketError):
                remote[:] = Bucket(f"{url}/checkpoints").steps()
        return max([*saved_steps(folder), *remote], default=None)

    return look


def check_url(path: str | os.PathLike[str]) -> None:
    """Refuses an invalid URL, or one whose driver is missing, without accessing the bucket.

    Raises:
      ValueError, MissingExtra: see `Bucket`.
    """
    if url := as_url(path):
        Bucket(url)
