"""Downloads exports and checkpoints from a URL for reading; nothing in the bucket is changed."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from wavejax.checkpoints.bucket import Bucket, complete_steps
from wavejax.checkpoints.errors import CheckpointNotFound
from wavejax.checkpoints.export import CONFIG_NAME
from wavejax.checkpoints.folder import saved_steps
from wavejax.checkpoints.manifest import MANIFEST_NAME, damaged_files
from wavejax.checkpoints.urls import as_url, cache_folder

_SUB = "checkpoints"
_BESIDE = "metrics.jsonl"


def fetched(path: str | os.PathLike[str], step: int | None = None, *, every: bool = False) -> Path:
    """A local folder with the contents of a path or a URL: the path itself, or a copy of the URL's files in the cache.

    Of several checkpoints the newest is fetched; if its files are damaged, the one before it too, and so on. A cached
    copy of a step that is still in the bucket is not fetched again.

    Args:
      path: an exported folder, a training folder or its `checkpoints/`.
      step: fetch this checkpoint.
      every: fetch all checkpoints, damaged or not.

    Raises:
      BucketError: the bucket cannot be read.
      CheckpointNotFound: there is no export and no (such) checkpoint.
      MissingExtra, ValueError: no driver for the URL, or not a valid URL.
    """
    url = as_url(path)
    if url is None:
        return Path(path)
    bucket, folder = Bucket(url), cache_folder(url, "read")
    names = bucket.names()
    if CONFIG_NAME in names:
        shutil.rmtree(folder, ignore_errors=True)
        for name in names:
            if "/" not in name:
                bucket.get_file(name, folder)
        return folder
    steps = checkpoints_of(url)
    inside = folder if steps.url == url else folder / _SUB
    complete = steps.steps()
    if not complete or (step is not None and step not in complete):
        asked = "checkpoint" if step is None else f"checkpoint of step {step}"
        found = f"; steps found: {', '.join(map(str, complete))}" if complete else ""
        raise CheckpointNotFound(f"no {asked} in {url}{found}, nor exported parameters")
    if _BESIDE in names:
        bucket.get_file(_BESIDE, folder)
    _forget(inside, set(complete))
    wanted = complete if every else (step,) if step is not None else reversed(complete)
    _fetch(steps, wanted, inside, until_sound=not every)
    return folder


def checkpoints_of(path: str | os.PathLike[str]) -> Bucket:
    """The bucket folder of the checkpoints that a URL refers to: the URL itself, or `checkpoints/` below it.

    Raises:
      BucketError: the bucket cannot be read.
      ValueError: not a URL.
    """
    bucket = Bucket(os.fspath(path))
    return bucket if complete_steps(bucket.names()) else Bucket(f"{bucket.url}/{_SUB}")


def _fetch(bucket: Bucket, steps: Iterable[int], folder: Path, *, until_sound: bool) -> None:
    for step in steps:
        here = folder / str(step)
        manifest = here / MANIFEST_NAME
        is_same = manifest.exists() and manifest.read_bytes() == bucket.read(f"{step}/{MANIFEST_NAME}")
        wrong = damaged_files(here) if is_same else None
        if wrong != []:
            shutil.rmtree(here, ignore_errors=True)
            wrong = bucket.fetch(step, here)
        if until_sound and not wrong:
            return


def _forget(folder: Path, remaining: set[int]) -> None:
    """Removes copies of steps that are no longer in the bucket."""
    for step in saved_steps(folder):
        if step not in remaining:
            shutil.rmtree(folder / str(step))
