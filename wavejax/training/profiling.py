"""Writes a trace of some steps of a run, for TensorBoard's profiler and Perfetto."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from wavejax.training.hooks import Hook

_LOG = logging.getLogger(__name__)


class ProfileHook(Hook):
    """Writes a `jax.profiler` trace of the steps `first` to `last` (inclusive), one per process.

    The loop waits for the device before the first and after the last of these steps, and tracing itself takes time, so
    the log's times for these steps are not representative. If the run starts within these steps, so does the trace; if
    it starts after them, nothing is written. The first step of a run compiles, so choose later ones.

    Args:
      folder: the output folder; with several processes each has a sub-folder `process-N`. View it with
        `tensorboard --logdir FOLDER` (package xprof), or unpack a trace and open it on ui.perfetto.dev.
      first: number of the first step to trace (the first step of a training is 1).
      last: number of the last step, the same or a later one.

    Raises:
      ValueError: `first` and `last` are not a range of steps.
    """

    def __init__(self, folder: str | os.PathLike[str], first: int, last: int) -> None:
        if not 1 <= first <= last:
            raise ValueError(f"the steps to be profiled, {first} to {last}, must be 1 or more and in order")
        self.folder = Path(folder)
        self.first, self.last = first, last
        self._is_tracing = False

    def is_due(self, step: int, num_steps: int) -> bool:
        """Whether the step is the one before `first`, or `last`."""
        return step + 1 == self.first or step == self.last

    def on_start(self, step: int, state: Any) -> None:
        """Starts the trace if the run starts within the steps."""
        if step >= self.last:
            _LOG.warning("steps %d to %d are not profiled: %d are made already", self.first, self.last, step)
        elif step + 1 >= self.first:
            self._begin()

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Starts or ends the trace."""
        if step == self.last:
            self._end()
        elif not self._is_tracing:
            self._begin()

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """Ends the trace if the run ends before `last`."""
        self._end()

    def _begin(self) -> None:
        folder = self.folder
        if jax.process_count() > 1:  # several processes of one machine would use the same file names
            folder = folder / f"process-{jax.process_index()}"
        jax.profiler.start_trace(str(folder))
        self._is_tracing = True

    def _end(self) -> None:
        if self._is_tracing:
            self._is_tracing = False
            jax.profiler.stop_trace()
            _LOG.info("profile written to %s", self.folder)
