"""The newest checkpoint of a training that another process runs."""

import contextlib
import os
from collections.abc import Callable

from wavejax.checkpoints.bucket import Bucket
from wavejax.checkpoints.errors import BucketError
from wavejax.checkpoints.folder import saved_steps
from wavejax.checkpoints.urls import as_url, working_folder


def newest_step_of(workdir: str | os.PathLike[str]) -> Callable[[], int | None]:
    """A function that looks for the newest step of a training folder or its URL; None where there is none yet.

    Of a URL it looks into the bucket, too; where that does not answer, what it held before counts.
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
    """Refuse a URL that cannot be one, or whose driver is missing; asks no bucket.

    Raises:
      ValueError, MissingExtra: see `Bucket`.
    """
    if url := as_url(path):
        Bucket(url)
