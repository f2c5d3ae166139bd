"""The training loop: generic, interruptible, and stopped by any loss or gradient that is not finite."""

import contextlib
import logging
import math
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import numpy as np

from wavejax.parallel import Vote
from wavejax.training.compilations import CompilationWatch
from wavejax.training.hooks import Hook
from wavejax.training.signals import SignalFlag

LOOKAHEAD = 2
"""Steps that may be dispatched before the loop reads the oldest one's metrics, so that the device never waits."""

LAST_VALUE_METRICS = frozenset({"learning_rate", "discriminator_learning_rate"})
"""Metrics for which a hook gets the last value; for all others it gets the mean since its last call."""

Reason = Literal["finished", "interrupted", "terminated", "exhausted", "failed"]

_LOG = logging.getLogger(__name__)
_MOST_ALARMS = 5  # the most warnings about compilations in one run
_TIME_IS_UP = 1  # below every signal's number
_ENDINGS: dict[int, Reason] = {
    _TIME_IS_UP: "exhausted",
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
}


class NonFiniteError(FloatingPointError):
    """A step's loss or gradient was not finite; the run stopped, with the state from before the step.

    Attributes:
      step: the update that failed (the first is 1).
      batch_ids: the `id` entries of its batch; empty if it has none.
      checkpoint: the last good checkpoint, as named by a hook, or None.
      metrics: the metrics of the step.
    """

    def __init__(self, step: int, batch_ids: Sequence[Any], checkpoint: str | None, metrics: Mapping[str, float]):
        self.step, self.batch_ids, self.checkpoint, self.metrics = step, tuple(batch_ids), checkpoint, dict(metrics)
        ids = ", ".join(map(str, self.batch_ids)) or "unknown (the batch has no 'id')"
        shown = {"loss": metrics.get("loss"), "gradient norm": metrics.get("gradient_norm")}
        shown |= {name: value for name, value in metrics.items() if not math.isfinite(value)}
        numbers = ", ".join(f"{name} {value}" for name, value in shown.items() if name != "gradient_norm")
        super().__init__(
            f"step {step}: {numbers}: not finite. Batch ids: {ids}. Last good checkpoint: {checkpoint or 'none'}. "
            "Lower the learning rate, clip the gradient (clip_norm), or look at these examples; then start again, "
            "which resumes from that checkpoint"
        )


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How a run ended.

    Attributes:
      state: the last state.
      step: its number of updates.
      reason: `finished` (num_steps reached), `interrupted` (Ctrl-C), `terminated` (SIGTERM) or `exhausted` (no more
        batches, or no more time).
    """

    state: Any
    step: int
    reason: Reason


def fit(
    step: Callable[[Any, Any], tuple[Any, Mapping[str, Any]]],
    state: Any,
    batches: Iterable[Any],
    hooks: Sequence[Hook] = (),
    *,
    num_steps: int,
    max_seconds: float | None = None,
    num_shapes: int = 1,
) -> FitResult:
    """Trains until `num_steps` updates have been made in total, counted by `state.step`.

    Metrics are fetched a few steps behind the device, so that the device never waits. When a hook is due, the loop
    catches up first, so a hook never sees (or saves) a state after a skipped non-finite step. A hook gets the mean of
    each metric over the steps since its last call. It also gets three times, means over these steps without those that
    compile (the first with each shape of batches), and without the time spent in hooks: `step_seconds`, the wall time;
    `data_seconds`, the wait for the batch; and `own_seconds`, the process's own part, spent waiting for neither other
    processes nor devices (the batch, and the dispatch unless the backend runs the step in it).

    A program that is compiled in any other step causes a warning: something changes its shape or type.

    On Ctrl-C and SIGTERM the current step finishes, the hooks' `on_end` are called, and the result's reason is
    `interrupted` or `terminated`. A second signal acts immediately (a second SIGTERM: after `REPEAT_SECONDS`). Hooks'
    `on_end` run in the reverse order of the hooks, also after a failure (with state None and reason "failed"); the
    error carries a note that names the last good checkpoint.

    In a run of several processes all end after the same step, even if the signal reached only one of them, or their
    clocks differ: `LOOKAHEAD` steps after they have exchanged it.

    Args:
      step: compiled `step(state, batch) -> (state, metrics)`; metrics are scalars. `finite` (1 or
        0) says whether the state was updated; without it, all metrics must be finite.
      state: has an attribute `step`; the caller's copy is donated.
      batches: the batches from this state's step on (`fit` draws exactly one per step); equally many on every process.
      hooks: called in order.
      num_steps: total number of updates; a state that already has them is returned unchanged.
      max_seconds: no step begins after this time.
      num_shapes: how many shapes batches come in; the first step with each of them compiles.

    Raises:
      NonFiniteError: names the step, the ids of its batch and the last good checkpoint.
    """
    loop = _Loop(state, hooks, max_seconds, num_shapes)
    iterator = iter(batches)
    with SignalFlag() as stop, loop.compilations:
        try:
            for hook in hooks:
                hook.on_start(loop.step, loop.state)
            reason = loop.run(step, iterator, num_steps, stop)
        except BaseException as error:
            _note(error, _end_hooks(hooks, loop.step, None, "failed"), hooks)
            raise
        failures = _end_hooks(hooks, loop.step, loop.state, reason)
        if failures:
            _note(failures[0], failures[1:], hooks)
            raise failures[0]
    return FitResult(state=loop.state, step=loop.step, reason=reason)


@dataclass
class _Pending:
    """A dispatched step whose metrics have not been read yet."""

    step: int
    batch_ids: list[Any]
    metrics: Mapping[str, Any]


@dataclass
class _Means:
    """Metrics summed since a hook's last call."""

    sums: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    count: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    timed: int = 0

    def add(self, metrics: Mapping[str, float]) -> None:
        self.last = dict(metrics)
        self.count += 1
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def time(self, seconds: Mapping[str, float]) -> None:
        self.timed += 1
        for name, value in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        means = {
            name: self.last[name] if name in LAST_VALUE_METRICS else self.sums[name] / self.count for name in self.last
        }
        means |= {name: value / self.timed for name, value in self.seconds.items()}
        self.sums, self.last, self.count, self.seconds, self.timed = {}, {}, 0, {}, 0
        return means


class _Loop:
    """The state of one call of `fit`."""

    def __init__(self, state: Any, hooks: Sequence[Hook], max_seconds: float | None, num_shapes: int) -> None:
        self.num_shapes = num_shapes
        self.shapes: set[Any] = set()
        self.deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds
        self.vote = Vote(LOOKAHEAD)
        self.compilations = CompilationWatch()
        self.alarms = 0
        self.dispatch_runs_the_step = jax.default_backend() == "cpu"
        self.state = state
        self.step = int(state.step)
        self.hooks = hooks
        self.pending: deque[_Pending] = deque()
        self.means = [_Means() for _ in hooks]

    def run(self, step: Callable[..., Any], iterator: Iterator[Any], num_steps: int, stop: SignalFlag) -> Reason:
        started = time.perf_counter()
        while self.step < num_steps:
            if ending := self.vote.cast(stop.number or (_TIME_IS_UP if time.monotonic() >= self.deadline else 0)):
                self.check_pending(0)
                return _ENDINGS[ending]
            asked = time.perf_counter()
            self.compilations.names.clear()
            try:
                batch = next(iterator)
            except StopIteration:
                self.check_pending(0)
                return "exhausted"
            drawn = time.perf_counter()
            self.state, metrics = step(self.state, batch)
            dispatched = time.perf_counter()
            self.step += 1
            self.pending.append(_Pending(self.step, _batch_ids(batch), metrics))
            due = [i for i, hook in enumerate(self.hooks) if hook.is_due(self.step, num_steps)]
            compiles = self.is_new_shape(batch)
            if not compiles:
                self.raise_alarm()
            self.check_pending(0 if due or compiles else LOOKAHEAD)
            if not compiles:
                own = drawn - asked if self.dispatch_runs_the_step else dispatched - asked
                total = time.perf_counter() - started
                for means in self.means:
                    means.time({"step_seconds": total, "data_seconds": drawn - asked, "own_seconds": own})
            self.call_hooks(due)
            started = time.perf_counter()
        self.check_pending(0)
        return "finished"

    def is_new_shape(self, batch: Any) -> bool:
        """Whether a batch is the first of its shape, and no more shapes have come than were announced."""
        if len(self.shapes) >= self.num_shapes:
            return False
        shape = tuple((np.shape(leaf), getattr(leaf, "dtype", None)) for leaf in jax.tree.leaves(batch))
        is_new = shape not in self.shapes
        self.shapes.add(shape)
        return is_new

    def raise_alarm(self) -> None:
        """Warns if the step, or the code that drew its batch, has compiled something."""
        names = self.compilations.names
        if not names or self.alarms >= _MOST_ALARMS:
            return
        self.alarms += 1
        last = "; later ones are not reported" if self.alarms == _MOST_ALARMS else ""
        _LOG.warning(
            "step %d compiled again: %s. Only the first step%s should compile. Look for a batch, or a part of the "
            "state, whose shape or type has changed%s",
            self.step,
            ", ".join(dict.fromkeys(names)),
            f" with each of {self.num_shapes} shapes of batches" if self.num_shapes > 1 else "",
            last,
        )

    def call_hooks(self, due: list[int]) -> None:
        for i in due:
            self.hooks[i].on_step(self.step, self.state, self.means[i].take())

    def check_pending(self, allowed: int) -> None:
        """Reads the metrics of dispatched steps until at most `allowed` are unread."""
        while len(self.pending) > allowed:
            seen = self.pending.popleft()
            metrics = {name: float(value) for name, value in jax.device_get(dict(seen.metrics)).items()}
            if not metrics.get("finite", all(map(math.isfinite, metrics.values()))):
                raise NonFiniteError(seen.step, seen.batch_ids, _last_checkpoint(self.hooks), metrics)
            for means in self.means:
                means.add(metrics)


def _batch_ids(batch: Any) -> list[Any]:
    if not isinstance(batch, Mapping) or "id" not in batch:
        return []
    ids = batch["id"]
    if isinstance(ids, jax.Array) and not ids.is_fully_addressable:
        return []
    return np.asarray(ids).reshape(-1).tolist()


def _end_hooks(hooks: Sequence[Hook], step: int, state: Any, reason: Reason) -> list[Exception]:
    """Calls every `on_end`, in reverse order, even if one of them fails; returns the failures."""
    failures = []
    for hook in reversed(hooks):
        try:
            hook.on_end(step, state, reason)
        except Exception as error:
            failures.append(error)
    return failures


def _note(error: BaseException, failures: Sequence[Exception], hooks: Sequence[Hook]) -> None:
    for failure in failures:
        error.add_note(f"The end of a hook failed, too: {failure!r}")
    if not isinstance(error, NonFiniteError):  # its message says so itself
        with contextlib.suppress(Exception):  # the folder may have become unreadable
            error.add_note(f"Last good checkpoint: {_last_checkpoint(hooks) or 'none'}")


def _last_checkpoint(hooks: Sequence[Hook]) -> str | None:
    """The last good checkpoint, as named by the last hook that knows one."""
    named = [name for hook in hooks if (name := hook.last_checkpoint()) is not None]
    return named[-1] if named else None
