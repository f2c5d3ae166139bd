"""A trace of some steps of a run, as TensorBoard's profiler and Perfetto read it."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from wavejax.training.hooks import Hook

_LOG = logging.getLogger(__name__)


class ProfileHook(Hook):
    """Writes a trace by `jax.profiler` of the steps `first` to `last`, both included, one per process.

    The loop waits for the device before the first and after the last of them, and the tracing itself takes time: the
    steps are not to be timed by the log. Where the run starts within them, so does the trace; beyond, nothing is
    written. The first step of a run compiles: choose later ones.

    Args:
      folder: where to; with several processes each has a sub-folder `process-N`. Look at it with
        `tensorboard --logdir FOLDER` (package xprof), or unpack a trace and open it on ui.perfetto.dev.
      first: number of a step (the first of all is 1).
      last: number of the same or a later step.

    Raises:
      ValueError: first and last are no range of steps.
    """

    def __init__(self, folder: str | os.PathLike[str], first: int, last: int) -> None:
        if not 1 <= first <= last:
            raise ValueError(f"the steps to be profiled, {first} to {last}, must be 1 or more and in order")
        self.folder = Path(folder)
        self.first, self.last = first, last
        self._is_tracing = False

    def is_due(self, step: int, num_steps: int) -> bool:
        """Before the first of the steps and after the last."""
        return step + 1 == self.first or step == self.last

    def on_start(self, step: int, state: Any) -> None:
        """Begins, where the run does so within the steps."""
        if step >= self.last:
            _LOG.warning("steps %d to %d are not profiled: %d are made already", self.first, self.last, step)
        elif step + 1 >= self.first:
            self._begin()

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Begins or ends."""
        if step == self.last:
            self._end()
        elif not self._is_tracing:
            self._begin()

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """Ends, where the run does so first."""
        self._end()

    def _begin(self) -> None:
        folder = self.folder
        if jax.process_count() > 1:  # several of one machine would write files of one name
            folder = folder / f"process-{jax.process_index()}"
        jax.profiler.start_trace(str(folder))
        self._is_tracing = True

    def _end(self) -> None:
        if self._is_tracing:
            self._is_tracing = False
            jax.profiler.stop_trace()
            _LOG.info("profile written to %s", self.folder)
