"""What happens around the steps of a run: logging, checkpoints, and whatever a task adds."""

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
"""A host is reported that needs more than so many times the median host's time for its own part of a step..."""
SLOW_PART = 0.1
"""...where the difference is more than this part of the step."""


class Hook:
    """Called by `fit`; the methods do nothing here, so a hook defines those that it needs.

    Attributes:
      every: `on_step` is called after each step that is a multiple of it, and after the last one.
    """

    every: int = 1

    def is_due(self, step: int, num_steps: int) -> bool:
        """Whether `on_step` is called after update number `step` of `num_steps`."""
        return step % self.every == 0 or step == num_steps

    def on_start(self, step: int, state: Any) -> None:
        """Before the first step; `step` updates have been made by earlier runs."""

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """After a step. The state is valid only during the call (the next step donates it): copy what must stay.

        Args:
          step: updates made.
          state: the state after them, known to be sound.
          metrics: means over the steps since the last call (`learning_rate`: the last value), and the seconds of a
            step, see `fit`.
        """

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """Once, however the run ends: a reason of `FitResult`; or "failed", where state is None."""

    def last_checkpoint(self) -> str | None:
        """Names the newest checkpoint that this hook knows to be good, for error messages."""
        return None


def _checked_interval(every: int) -> int:
    if every < 1:
        raise ValueError(f"every={every} must be 1 step or more")
    return every


class CallHook(Hook):
    """Calls `function(step, state, metrics)` every so many steps: an evaluation, an audio sample."""

    def __init__(self, function: Callable[[int, Any, Mapping[str, float]], None], *, every: int) -> None:
        self.function = function
        self.every = _checked_interval(every)

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Calls the function."""
        self.function(step, state, metrics)


class LogHook(Hook):
    """Writes the metrics and the throughput to a logger; put it first, so that it is closed last.

    `data_wait_share` is the part of a step that was spent waiting for its batch. In a run of several processes, on each
    of which it has to stand, it compares them: `step_seconds_max` and `step_seconds_median`, the same of `own_seconds`
    (see `fit`), and `slowest_process`, the one with the largest of these; one that is much slower than the others is
    warned about by name, on process 0.

    Args:
      logger: where to; closed at the end of the run.
      every: steps between two records.
      units_per_step: what one step works through, e.g. batch size times samples of a crop; None for no throughput.
      unit: its name: the metric is `{unit}_per_second`.
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
        """Tells the logger where the run starts."""
        self.logger.start(step)
        self._hosts = host_names()

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Writes one record; `finite`, which is 1 for every step that a hook sees, is left out."""
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
    """What a record says of the hosts, and a sentence about one that holds the others up (None: there is none).

    All hosts end a step together, so a slow one shows in the time that it needs itself: the others wait that long. A
    device that is slow by itself does not show here; a profile has it.

    Args:
      seconds: [processes, 3]: of a step in all, of the process' own part, and of that the wait for the batch.
      names: of the hosts, [processes].
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

        Raises what went wrong with the earlier one; False where the step is saved already.
        """
        ...

    def wait(self) -> None:
        """Returns once everything is on disk; raises what went wrong."""
        ...

    def steps(self) -> tuple[int, ...]:
        """Steps that are on disk, ascending."""
        ...


class CheckpointHook(Hook):
    """Saves the state every so many steps and at the end, an interrupted end too; the caller closes the store.

    Args:
      store: where to.
      meta: JSON-able description that every checkpoint carries (config, feature spec).
      every: steps between two checkpoints.
      measured: gives what is known of a step, to be saved with it (the store may choose by it which steps to keep).
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
        self._newest: int | None = None  # known to have been on disk
        self._saving: int | None = None

    def on_start(self, step: int, state: Any) -> None:
        """Looks what is there."""
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
            if getattr(error, "step", None) == step:  # so the earlier one was written
                self._newest = self._newest if saving is None else saving
            raise
        self._newest = self._newest if saving is None else saving
        self._saving = step

    def _wait(self) -> None:
        saving, self._saving = self._saving, None
        self.store.wait()
        self._newest = self._newest if saving is None else saving

    def last_checkpoint(self) -> str | None:
        """The newest step on disk; where none is there any more, what the newest was."""
        self._wait()
        steps = self.store.steps()
        if steps:
            return f"step {steps[-1]}"
        return None if self._newest is None else f"step {self._newest}, which is not there any more"
