"""The checkpoints of one run in a bucket: written to a local folder first, then uploaded."""

import json
import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from wavejax.checkpoints.bucket import Bucket, complete_steps
from wavejax.checkpoints.errors import BucketError, CheckpointWriteError, DamageReport
from wavejax.checkpoints.folder import saved_steps
from wavejax.checkpoints.names import step_number
from wavejax.checkpoints.record import Record
from wavejax.checkpoints.storage import RECORD, DamagedStep
from wavejax.checkpoints.store import CheckpointStore, Restored
from wavejax.checkpoints.urls import cache_folder
from wavejax.documents import parse_json
from wavejax.types import PyTree

RUN_NAME = "wavejax_run.json"
"""A file beside the steps, in the bucket and in the local folder, that identifies their run."""

BESIDE = ("metrics.jsonl",)
"""Files of the parent folder that are uploaded and fetched with the checkpoints."""

_LOGGER = logging.getLogger(__name__)


class MirroredStore(CheckpointStore):
    """A `CheckpointStore` that uploads every committed step to a bucket in the background.

    A failed upload is raised by the next `save` or by `wait`; the message names the newest steps of the bucket and of
    the local folder. `restore` fetches a step that is missing or damaged on this machine.

    The local folder is a cache ($WAVEJAX_CACHE, by default ~/.cache/wavejax): missing steps come from the bucket,
    so a run can continue from an empty cache. It may hold a step whose upload a kill prevented; that step is uploaded
    once it has been restored. At most one upload runs at a time: the next save waits for it.

    Args:
      url: a folder in a bucket, e.g. "gs://bucket/run/checkpoints".
      keep_last, keep_every, best, alone: as for `CheckpointStore`; the same rules apply to the steps in the bucket.

    Raises:
      BucketError: the bucket cannot be reached or written.
      CheckpointWriteError: the local folder cannot be created or written to.
      MissingExtra, ValueError: arguments out of range, no driver for the URL.
    """

    def __init__(
        self,
        url: str,
        *,
        keep_last: int = 3,
        keep_every: int | None = None,
        best: tuple[str, Literal["min", "max"]] | None = None,
        alone: bool = False,
    ) -> None:
        self._bucket = Bucket(url)
        self.url = self._bucket.url
        self._above = _above(self.url)
        self._remote = frozenset(self._open_bucket())
        folder = cache_folder(self.url, "runs")
        self._join_run(folder)
        self._uploading: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wavejax upload")
        super().__init__(folder, keep_last=keep_last, keep_every=keep_every, best=best, alone=alone)
        self._shown = self.url
        self._fetch_beside()

    def steps(self) -> tuple[int, ...]:
        """Steps in the local folder or in the bucket (as found on opening, plus this store's changes), ascending."""
        return tuple(sorted({*saved_steps(self.directory), *self._remote}))

    def wait(self) -> None:
        """Returns once everything is on disk and in the bucket, and steps that need not stay are removed from both.

        Raises:
          CheckpointWriteError: see `save`.
        """
        uploading, self._uploading = self._uploading, None
        if uploading is None:
            super().wait()
        else:
            uploading.result()

    def close(self) -> None:
        """Waits, then closes the store; a second call does nothing."""
        try:
            super().close()
        finally:
            self._thread.shutdown()

    def _open_bucket(self) -> tuple[int, ...]:
        """Removes what an interrupted upload has left, and returns the complete steps."""
        names = self._bucket.names()
        complete = complete_steps(names)
        found = {step_number(name.partition("/")[0]) for name in names}
        for step in sorted(step for step in found.difference(complete) if step is not None):
            _LOGGER.warning("%s: the upload of step %d was interrupted; it is removed", self._bucket.url, step)
            self._bucket.delete(step)
        return complete

    def _join_run(self, folder: Path) -> None:
        """Sets a local folder of another run aside: the bucket may have been emptied and used for a new run."""
        local, remote = folder / RUN_NAME, self._bucket.read(RUN_NAME)
        if remote is None:
            remote = json.dumps({"run": uuid.uuid4().hex}).encode()
            self._bucket.write(RUN_NAME, remote)
        try:
            if local.exists() and local.read_bytes() != remote:
                aside = folder.with_name(f"{folder.name}-of-another-run-{uuid.uuid4().hex[:8]}")
                _LOGGER.warning(
                    "%s belongs to a run that %s does not hold any more; it is now %s", folder, self.url, aside
                )
                folder.rename(aside)
                for path in _existing(folder.parent):
                    path.rename(aside / path.name)
            folder.mkdir(parents=True, exist_ok=True)
            if not local.exists():
                local.write_bytes(remote)
        except OSError as error:
            raise CheckpointWriteError(
                f"cannot keep copies of {self.url} in {folder}: {error}; set WAVEJAX_CACHE to a folder that can be "
                "written to"
            ) from error

    def _save_began(self, step: int, *, is_new: bool) -> None:
        if is_new or step not in self._remote:
            self._upload(step)

    def _upload(self, step: int) -> None:
        self._uploading = self._thread.submit(self._finish, step)

    def _finish(self, step: int) -> None:
        """In the thread: waits until a step is on disk, and brings it into the bucket."""
        super().wait()
        try:
            self._remote -= {step}
            self._bucket.put(step, self._folder.of(step))
        except (BucketError, OSError) as error:
            newest = f"step {max(self._remote)}" if self._remote else "none"
            local = saved_steps(self.directory)
            raise CheckpointWriteError(
                f"cannot upload the checkpoint of step {step}: {error}. Newest checkpoint in the bucket: {newest}; on "
                f"this machine: {f'step {local[-1]}' if local else 'none'} ({self.directory}). Start again once the "
                "bucket can be written: here, to lose nothing, or elsewhere, from the bucket"
            ) from error
        self._remote |= {step}
        self._tidy()

    def _tidy(self) -> None:
        """Removes old steps from the bucket and uploads the files beside the steps; a failure does not stop the run."""
        steps = sorted(self._remote)
        try:
            kept = self._kept(steps, self._remote_metric)
            for step in steps:
                if step not in kept:
                    self._bucket.delete(step)
                    self._remote -= {step}
            if self._above is not None:
                for path in _existing(self.directory.parent):
                    self._above.write(path.name, path.read_bytes())
        except (BucketError, OSError, ValueError) as error:
            _LOGGER.warning("%s; the checkpoint itself is in the bucket", error)

    def _fetch_beside(self) -> None:
        if self._above is None:
            return
        for name in BESIDE:
            path = self.directory.parent / name
            if not path.exists() and (data := self._above.read(name)) is not None:
                path.write_bytes(data)

    def _remote_metric(self, step: int, name: str) -> float | None:
        if step in saved_steps(self.directory):
            return self._metric(step, name)
        if step not in self._metrics:
            data = self._bucket.read(f"{step}/{RECORD}/metadata")
            try:
                record = Record.from_json(parse_json(data or b""))
                self._metrics[step] = record.metrics if record.step in (None, step) else {}
            except ValueError:
                self._metrics[step] = {}
        return self._metrics[step].get(name)

    def _restore_step(self, step: int, target: PyTree) -> Restored:
        is_here = step in saved_steps(self.directory)
        if not is_here:
            self._fetch(step)
        try:
            return super()._restore_step(step, target)
        except DamagedStep as damage:
            if not is_here or step not in self._remote:
                raise
            _LOGGER.warning("damaged checkpoint in %s: %s. It is fetched from %s", self.directory, damage, self.url)
        self._folder.quarantine([step])
        self._fetch(step)
        return super()._restore_step(step, target)

    def _fetch(self, step: int) -> None:
        _LOGGER.info("fetching step %d of %s", step, self.url)
        self._bucket.fetch(step, self._folder.of(step))
        self._reload()

    def _step_over(self, reports: list[DamageReport], used: int) -> None:
        super()._step_over(reports, used)
        self._remote -= {report.step for report in reports}  # their files stay there until they are saved again
        if used not in self._remote:
            self._upload(used)


def _above(url: str) -> Bucket | None:
    """The parent of a folder of checkpoints; None if the folder is the root of a bucket."""
    scheme, rest = url.split("://")
    return Bucket(f"{scheme}://{rest.rpartition('/')[0]}") if "/" in rest.strip("/") else None


def _existing(folder: Path) -> Iterator[Path]:
    """The files of a training folder that are uploaded with the checkpoints."""
    return (path for name in BESIDE if (path := folder / name).is_file())
