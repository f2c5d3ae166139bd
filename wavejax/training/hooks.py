"""Hooks around the steps of a run: logging, checkpoints, and what a task adds."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from wavejax.parallel import gather_over_processes, host_names
from wavejax.training.loggers import Logger

_LOG = logging.getLogger(__name__)
_SECONDS = ("step_seconds", "own_seconds", "data_seconds")
SLOW_HOST = 1.5
"""A host is reported as slow if its own part of a step takes more than this many times the median..."""
SLOW_PART = 0.1
"""...and the difference is more than this fraction of the step."""


class Hook:
    """Called by `fit`. The methods here do nothing; a hook overrides those that it needs.

    Attributes:
      every: `on_step` is called after each step that is a multiple of this, and after the last step.
    """

    every: int = 1

    def is_due(self, step: int, num_steps: int) -> bool:
        """Whether `on_step` is called after update number `step` of `num_steps`."""
        return step % self.every == 0 or step == num_steps

    def on_start(self, step: int, state: Any) -> None:
        """Called before the first step; `step` updates have been made by earlier runs."""

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Called after a step. The state is valid only during the call (the next step donates it): copy what you keep.

        Args:
          step: number of updates made.
          state: the state after them, known to be finite.
          metrics: means over the steps since the last call (`learning_rate`: the last value), and times per step in
            seconds (see `fit`).
        """

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """Called once at the end, with a reason of `FitResult`, or with "failed" and state None."""

    def last_checkpoint(self) -> str | None:
        """The newest checkpoint that this hook knows to be good, for error messages."""
        return None


def _checked_interval(every: int) -> int:
    if every < 1:
        raise ValueError(f"every={every} must be 1 step or more")
    return every


class CallHook(Hook):
    """Calls `function(step, state, metrics)` at regular steps, e.g. for an evaluation or an audio sample."""

    def __init__(self, function: Callable[[int, Any, Mapping[str, float]], None], *, every: int) -> None:
        self.function = function
        self.every = _checked_interval(every)

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Calls the function."""
        self.function(step, state, metrics)


class LogHook(Hook):
    """Writes the metrics and the throughput to a logger. Put it first, so that it is closed last.

    `data_wait_share` is the fraction of a step that was spent waiting for its batch. In a run of several processes,
    every process needs this hook, and it compares them: `step_seconds_max` and `step_seconds_median`, the same for
    `own_seconds` (see `fit`), and `slowest_process`, the process with the largest `own_seconds`. Process 0 warns about
    a process that is much slower than the others.

    Args:
      logger: the destination; closed at the end of the run.
      every: steps between two records.
      units_per_step: units that one step processes, e.g. batch size times samples of a crop; None for no throughput.
      unit: the unit's name: the metric is `{unit}_per_second`.
    """

    def __init__(
        self, logger: Logger, *, every: int = 10, units_per_step: float | None = None, unit: str = "samples"
    ) -> None:
        self.logger = logger
        self.every = _checked_interval(every)
        self.units_per_step = units_per_step
        self.unit = unit
        self._hosts: tuple[str, ...] = ()

    def on_start(self, step: int, state: Any) -> None:
        """Tells the logger the step at which the run starts."""
        self.logger.start(step)
        self._hosts = host_names()

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Writes one record, without `finite`, which is 1 for every step that a hook sees."""
        record = {name: value for name, value in metrics.items() if name not in ("finite", *_SECONDS)}
        seconds = metrics.get("step_seconds")
        if seconds:
            record["steps_per_second"] = 1 / seconds
            if self.units_per_step is not None:
                record[f"{self.unit}_per_second"] = self.units_per_step / seconds
            if "data_seconds" in metrics:
                record["data_wait_share"] = metrics["data_seconds"] / seconds
        if len(self._hosts) > 1 and all(name in metrics for name in _SECONDS):
            gathered = gather_over_processes([metrics[name] for name in _SECONDS])
            compared, slow = compare_hosts(gathered, self._hosts)
            record |= compared
            if slow is not None and jax.process_index() == 0:
                _LOG.warning("step %d: %s", step, slow)
        self.logger.scalars(step, record)

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """Closes the logger."""
        self.logger.close()


def compare_hosts(seconds: np.ndarray, names: Sequence[str]) -> tuple[dict[str, float], str | None]:
    """The metrics of a record that compare the hosts, and a sentence about a host that slows the others (or None).

    All hosts end a step together, so a slow host is recognised by its own part of the step: the others wait for it. A
    slow device is not visible here; a profile shows it.

    Args:
      seconds: [processes, 3]: time of a whole step, of the process's own part, and of the wait for the batch within it.
      names: the hosts' names, [processes].
    """
    total, own, data = np.asarray(seconds, np.float64).T
    slowest, median = int(np.argmax(own)), float(np.median(own))
    sentence = None
    if own[slowest] > SLOW_HOST * median and own[slowest] - median > SLOW_PART * np.median(total):
        sentence = (
            f"process {slowest} ({names[slowest]}) holds the others up: of each step's {np.median(total):.3g} s it "
            f"needs {own[slowest]:.3g} s itself, where the median process needs {median:.3g} s; for "
            f"{data[slowest]:.3g} s of them it waits for its data"
        )
    return {
        "step_seconds_max": float(np.max(total)),
        "step_seconds_median": float(np.median(total)),
        "own_seconds_max": float(own[slowest]),
        "own_seconds_median": median,
        "slowest_process": float(slowest),
    }, sentence


@runtime_checkable
class Store(Protocol):
    """Where checkpoints go, e.g. `wavejax.checkpoints.CheckpointStore`."""

    def save(self, step: int, state: Any, meta: Mapping[str, Any], *, metrics: Mapping[str, float]) -> bool:
        """Waits for an earlier save, starts this one and returns once the state may be changed.

        Raises the error of a failed earlier save; returns False if the step is already saved.
        """
        ...

    def wait(self) -> None:
        """Returns once everything is on disk; raises the error of a failed save."""
        ...

    def steps(self) -> tuple[int, ...]:
        """Steps that are on disk, ascending."""
        ...


class CheckpointHook(Hook):
    """Saves the state at regular steps and at the end, also if interrupted; the caller closes the store.

    Args:
      store: the checkpoint store.
      meta: JSON-able description that every checkpoint carries (config, feature spec).
      every: steps between two checkpoints.
      measured: returns the metrics known for a step, which are saved with it (the store may use them to choose steps).
    """

    def __init__(
        self,
        store: Store,
        meta: Mapping[str, Any],
        *,
        every: int,
        measured: Callable[[int], Mapping[str, float]] = lambda step: {},
    ) -> None:
        self.store = store
        self.meta = meta
        self.measured = measured
        self.every = _checked_interval(every)
        self._newest: int | None = None  # newest step known to have been on disk
        self._saving: int | None = None

    def on_start(self, step: int, state: Any) -> None:
        """Looks up the newest saved step."""
        self._newest = max(self.store.steps(), default=None)

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Starts a save."""
        self._save(step, state)

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """Saves the last state, unless the run failed, and waits until it is on disk."""
        if reason != "failed" and step > 0:
            self._save(step, state)
        self._wait()

    def _save(self, step: int, state: Any) -> None:
        saving, self._saving = self._saving, None
        try:
            self.store.save(step, state, self.meta, metrics=self.measured(step))
        except OSError as error:
            if getattr(error, "step", None) == step:  # this step failed, so the earlier one was written
                self._newest = self._newest if saving is None else saving
            raise
        self._newest = self._newest if saving is None else saving
        self._saving = step

    def _wait(self) -> None:
        saving, self._saving = self._saving, None
        self.store.wait()
        self._newest = self._newest if saving is None else saving

    def last_checkpoint(self) -> str | None:
        """The newest step on disk; if there is none any more, the step that was the newest."""
        self._wait()
        steps = self.store.steps()
        if steps:
            return f"step {steps[-1]}"
        return None if self._newest is None else f"step {self._newest}, which is not there any more"
