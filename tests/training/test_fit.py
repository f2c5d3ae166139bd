"""The loop: what hooks see and when, how it ends, and that a bad number stops it. The step is a stand-in: no device."""

import dataclasses
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from wavejax.training import CallHook, CheckpointHook, FitResult, Hook, LogHook, NonFiniteError, fit, signals
from wavejax.training.loggers import Logger


@dataclasses.dataclass(frozen=True)
class Counter:
    """A state that remembers which batches it has seen."""

    step: int = 0
    seen: tuple[int, ...] = ()


def count(state: Counter, batch: Mapping[str, Any]) -> tuple[Counter, dict[str, Any]]:
    metrics = {"loss": np.float32(batch["number"]), "gradient_norm": np.float32(1), "learning_rate": batch["number"]}
    if batch.get("bad"):
        return state, {**metrics, "loss": np.float32("nan"), "finite": np.float32(0)}
    return Counter(state.step + 1, (*state.seen, batch["number"])), {**metrics, "finite": np.float32(1)}


def numbers(start: int = 1, bad: int | None = None) -> Iterator[dict[str, Any]]:
    for number in range(start, 1000):
        yield {"number": number, "id": np.asarray([number, 10 * number], np.uint32), "bad": number == bad}


class Recorder(Hook):
    """Writes down everything it is told."""

    def __init__(self, every: int, journal: list[tuple] | None = None, name: str = "recorder") -> None:
        self.every, self.name = every, name
        self.journal: list[tuple] = [] if journal is None else journal

    def on_start(self, step: int, state: Any) -> None:
        self.journal.append((self.name, "start", step, state))

    def on_step(self, step: int, state: Any, metrics: Mapping[str, float]) -> None:
        self.journal.append((self.name, "step", step, state, dict(metrics)))

    def on_end(self, step: int, state: Any, reason: str) -> None:
        self.journal.append((self.name, "end", step, state, reason))


def test_hooks_see_means_at_their_intervals() -> None:
    hook = Recorder(every=4)
    result = fit(count, Counter(), numbers(), [hook], num_steps=10)
    assert result == FitResult(state=Counter(10, tuple(range(1, 11))), step=10, reason="finished")
    kinds = [(entry[1], entry[2]) for entry in hook.journal]
    assert kinds == [("start", 0), ("step", 4), ("step", 8), ("step", 10), ("end", 10)]
    steps = [entry for entry in hook.journal if entry[1] == "step"]
    assert [entry[3].step for entry in steps] == [4, 8, 10]
    assert [entry[4]["loss"] for entry in steps] == [2.5, 6.5, 9.5]
    assert [entry[4]["learning_rate"] for entry in steps] == [4, 8, 10]
    assert all(entry[4]["step_seconds"] > 0 for entry in steps)
    assert hook.journal[-1][3:] == (result.state, "finished")


def test_a_run_goes_on_from_its_state() -> None:
    whole = fit(count, Counter(), numbers(), num_steps=9).state
    half = fit(count, Counter(), numbers(), num_steps=5).state
    hook = Recorder(every=3)
    resumed = fit(count, half, numbers(start=6), [hook], num_steps=9)
    assert resumed.state == whole
    assert [entry[2] for entry in hook.journal] == [5, 6, 9, 9]
    again = fit(count, whole, numbers(), num_steps=9)
    assert (again.step, again.reason, again.state) == (9, "finished", whole)


def test_exactly_one_batch_is_drawn_per_step() -> None:
    batches = numbers()
    fit(count, Counter(), batches, num_steps=7)
    assert next(batches)["number"] == 8


def test_the_end_of_the_batches_ends_the_run() -> None:
    few = [batch for batch, _ in zip(numbers(), range(3), strict=False)]
    hook = Recorder(every=100)
    result = fit(count, Counter(), few, [hook], num_steps=10)
    assert (result.step, result.reason) == (3, "exhausted")
    assert hook.journal[-1][4] == "exhausted"


def test_no_step_begins_when_the_time_is_up() -> None:
    hook = Recorder(every=100)
    result = fit(count, Counter(), numbers(), [hook], num_steps=10, max_seconds=0)
    assert (result.step, result.reason, result.state.seen) == (0, "exhausted", ())
    assert hook.journal[-1][4] == "exhausted"
    assert fit(count, Counter(), numbers(), num_steps=10, max_seconds=600).reason == "finished"


@pytest.mark.parametrize("interval", [1, 3, 100])
def test_a_number_that_is_not_finite_stops_the_run(interval: int) -> None:
    hook, store = Recorder(every=interval), ListStore()
    hooks = [hook, CheckpointHook(store, {}, every=3)]
    with pytest.raises(NonFiniteError) as caught:
        fit(count, Counter(), numbers(bad=8), hooks, num_steps=50)
    error = caught.value
    assert (error.step, error.batch_ids, error.checkpoint) == (8, (8, 80), "step 6")
    message = r"^step 8: loss nan, gradient norm 1.0: not finite. Batch ids: 8, 80. Last good checkpoint: step 6. "
    with pytest.raises(NonFiniteError, match=message):
        raise error
    assert [step for step, _ in store.saved] == [3, 6]
    # Hooks never saw a state that a bad step was skipped in, and the loop did not run far past it.
    assert all(entry[3].seen == tuple(range(1, entry[2] + 1)) for entry in hook.journal if entry[1] == "step")
    assert 8 <= hook.journal[-1][2] <= 10
    assert hook.journal[-1][3:] == (None, "failed")


def test_a_bad_last_step_is_not_missed() -> None:
    with pytest.raises(NonFiniteError, match=r"^step 5: .*Last good checkpoint: none"):
        fit(count, Counter(), numbers(bad=5), num_steps=5)
    nameless = ({"number": i, "bad": i == 2} for i in range(1, 9))
    with pytest.raises(NonFiniteError, match=r"^step 2: .*Batch ids: unknown \(the batch has no 'id'\)"):
        fit(count, Counter(), nameless, num_steps=5)


def test_without_a_flag_every_metric_has_to_be_finite() -> None:
    def bare(state: Counter, batch: Mapping[str, Any]) -> tuple[Counter, dict[str, Any]]:
        return count(state, batch)[0], {"loss": 1.0, "other": np.float32("inf") if batch["bad"] else 2.0}

    assert fit(bare, Counter(), numbers(), num_steps=5).reason == "finished"
    with pytest.raises(NonFiniteError, match=r"^step 3: loss 1\.0, "):
        fit(bare, Counter(), numbers(bad=3), num_steps=5)


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_lets_the_step_finish(number: signal.Signals, reason: str) -> None:
    def interrupting(state: Counter, batch: Mapping[str, Any]) -> tuple[Counter, dict[str, Any]]:
        if batch["number"] == 4:
            os.kill(os.getpid(), number)
        return count(state, batch)

    before = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
    hook, store = Recorder(every=100), ListStore()
    result = fit(interrupting, Counter(), numbers(), [hook, CheckpointHook(store, {"a": 1}, every=100)], num_steps=50)
    assert (result.step, result.reason, result.state.seen) == (4, reason, (1, 2, 3, 4))
    assert hook.journal[-1][2:] == (4, result.state, reason)
    assert store.saved == [(4, result.state)]
    assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == before


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell that starts the tests in the background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_acts_at_once() -> None:
    def impatient(state: Counter, batch: Mapping[str, Any]) -> tuple[Counter, dict[str, Any]]:
        if batch["number"] == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return count(state, batch)

    hook = Recorder(every=100)
    with pytest.raises(KeyboardInterrupt):
        fit(impatient, Counter(), numbers(), [hook], num_steps=50)
    assert hook.journal[-1][3:] == (None, "failed")


@pytest.fixture
def terminable() -> Iterator[list[int]]:
    """What would have ended the process."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("repeat_seconds", [5.0, -1.0])
def test_a_sigterm_that_soon_follows_another_is_the_same(
    terminable: list[int], repeat_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler sends it to every process of a job, and the supervisor among them passes its own on."""
    monkeypatch.setattr(signals, "REPEAT_SECONDS", repeat_seconds)

    def insistent(state: Counter, batch: Mapping[str, Any]) -> tuple[Counter, dict[str, Any]]:
        if batch["number"] == 4:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        return count(state, batch)

    store = ListStore()
    result = fit(insistent, Counter(), numbers(), [CheckpointHook(store, {}, every=100)], num_steps=50)
    assert (result.step, result.reason, store.steps()) == (4, "terminated", (4,))
    assert terminable == ([] if repeat_seconds > 0 else [signal.SIGTERM])


def test_it_runs_in_any_thread() -> None:
    results: list[FitResult] = []
    thread = threading.Thread(target=lambda: results.append(fit(count, Counter(), numbers(), num_steps=3)))
    thread.start()
    thread.join(timeout=30)
    assert results[0].reason == "finished"


def test_every_hook_is_ended_in_reverse_order_after_a_failure() -> None:
    journal: list[tuple] = []

    def fail(step: int, state: Any, metrics: Mapping[str, float]) -> None:
        raise RuntimeError("the evaluation failed")

    class Broken(Recorder):
        def on_end(self, step: int, state: Any, reason: str) -> None:
            super().on_end(step, state, reason)
            raise ValueError("the second hook's end failed")

    hooks = [Recorder(1, journal, "first"), Broken(1, journal, "second"), CallHook(fail, every=2)]
    with pytest.raises(RuntimeError, match="the evaluation failed") as caught:
        fit(count, Counter(), numbers(), hooks, num_steps=50)
    assert caught.value.__notes__ == [
        """The end of a hook failed, too: ValueError("the second hook's end failed")""",
        "Last good checkpoint: none",
    ]
    assert [entry[0] for entry in journal if entry[1] == "end"] == ["second", "first"]
    with pytest.raises(ValueError, match="the second hook's end failed"):
        fit(count, Counter(), numbers(), hooks[:2], num_steps=5)


class ListStore:
    """Keeps what is saved in a list."""

    def __init__(self) -> None:
        self.saved: list[tuple[int, Any]] = []

    def save(self, step: int, state: Any, meta: Mapping[str, Any], *, metrics: Mapping[str, float]) -> bool:
        if step in self.steps():
            return False
        self.saved.append((step, state))
        return True

    def wait(self) -> None:
        pass

    def steps(self) -> tuple[int, ...]:
        return tuple(step for step, _ in self.saved)


def test_checkpoints_are_saved_at_intervals_and_at_the_end() -> None:
    store = ListStore()
    hook = CheckpointHook(store, {}, every=4)
    fit(count, Counter(), numbers(), [hook], num_steps=10)
    assert [(step, state.step) for step, state in store.saved] == [(4, 4), (8, 8), (10, 10)]
    assert hook.last_checkpoint() == "step 10"
    assert CheckpointHook(ListStore(), {}, every=1).last_checkpoint() is None


def test_throughput_is_units_over_seconds() -> None:
    class Kept(Logger):
        records: list[tuple[int, dict[str, float]]]

        def start(self, step: int) -> None:
            self.records = [(step, {})]

        def scalars(self, step: int, values: Mapping[str, float]) -> None:
            self.records.append((step, dict(values)))

    logger = Kept()
    hook = LogHook(logger, every=2, units_per_step=500, unit="frames")
    hook.on_start(6, None)
    seconds = {"step_seconds": 0.25, "own_seconds": 0.1, "data_seconds": 0.05}
    hook.on_step(8, None, {"loss": 3.0, "finite": 1.0, **seconds})
    expected = {"loss": 3.0, "steps_per_second": 4.0, "frames_per_second": 2000.0, "data_wait_share": 0.2}
    assert logger.records == [(6, {}), (8, expected)]
    hook.on_step(10, None, {"loss": 2.0})  # the first step alone: nothing was timed
    assert logger.records[-1] == (10, {"loss": 2.0})


def test_an_interval_is_at_least_one_step() -> None:
    for make in (lambda: LogHook(Logger(), every=0), lambda: CheckpointHook(ListStore(), {}, every=0)):
        with pytest.raises(ValueError, match="every=0 must be 1 step or more"):
            make()


def test_a_failure_names_the_last_good_checkpoint() -> None:
    def fail(step: int, state: Any, metrics: Mapping[str, float]) -> None:
        raise OSError(28, "No space left on device", "metrics.jsonl")

    hooks = [CheckpointHook(ListStore(), {}, every=2), CallHook(fail, every=5)]
    with pytest.raises(OSError, match="No space left") as caught:
        fit(count, Counter(), numbers(), hooks, num_steps=50)
    assert caught.value.__notes__ == ["Last good checkpoint: step 4"]
