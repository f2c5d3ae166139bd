"""What happens around the steps of a run: logging, checkpoints, and whatever a task adds."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from wavejax.training.loggers import Logger


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
          metrics: means over the steps since the last call (`learning_rate`: the last value), and `step_seconds`.
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

    def on_start(self, step: int, state: Any) -> None:
        """Tells the logger where the run starts."""
        self.logger.start(step)

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Writes one record; `finite`, which is 1 for every step that a hook sees, is left out."""
        record = {name: value for name, value in metrics.items() if name not in ("finite", "step_seconds")}
        seconds = metrics.get("step_seconds")
        if seconds:
            record["steps_per_second"] = 1 / seconds
            if self.units_per_step is not None:
                record[f"{self.unit}_per_second"] = self.units_per_step / seconds
        self.logger.scalars(step, record)

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """Closes the logger."""
        self.logger.close()


@runtime_checkable
class Store(Protocol):
    """Where checkpoints go, e.g. `wavejax.checkpoints.CheckpointStore`."""

    def save(self, step: int, state: Any, meta: Mapping[str, Any]) -> bool:
        """Starts to save and returns once the state may be changed; False where the step is saved already."""
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
    """

    def __init__(self, store: Store, meta: Mapping[str, Any], *, every: int) -> None:
        self.store = store
        self.meta = meta
        self.every = _checked_interval(every)

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        """Starts a save."""
        self.store.save(step, state, self.meta)

    def on_end(self, step: int, state: Any, reason: str) -> None:
        """Saves the last state, unless the run failed, and waits until it is on disk."""
        if reason != "failed" and step > 0:
            self.store.save(step, state, self.meta)
        self.store.wait()

    def last_checkpoint(self) -> str | None:
        """The newest step on disk."""
        self.store.wait()
        steps = self.store.steps()
        return f"step {steps[-1]}" if steps else None
