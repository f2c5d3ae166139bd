"""What a run tells about its speed: waiting for data, slow hosts, compilations, profiles."""

import itertools
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.test_fit import Counter, Recorder, count, numbers
from wavejax.parallel import gather_over_processes, host_names
from wavejax.training import ProfileHook, fit
from wavejax.training.hooks import compare_hosts


def test_the_wait_for_data_is_told_apart_from_the_step() -> None:
    def slow_batches() -> Iterator[dict]:
        for batch in numbers():
            time.sleep(0.02)
            yield batch

    def slow_step(state: Counter, batch: dict) -> tuple:
        time.sleep(0.01)
        return count(state, batch)

    hook = Recorder(every=5)
    fit(slow_step, Counter(), slow_batches(), [hook], num_steps=5)
    metrics = next(entry[4] for entry in hook.journal if entry[1] == "step")
    assert metrics["step_seconds"] - metrics["data_seconds"] >= 0.01
    assert metrics["data_seconds"] >= 0.02
    assert metrics["own_seconds"] == metrics["data_seconds"]  # on a CPU the step runs within its dispatch
    quick = Recorder(every=5)
    fit(slow_step, Counter(), numbers(), [quick], num_steps=5)
    assert next(entry[4] for entry in quick.journal if entry[1] == "step")["data_seconds"] < 0.01


def compiled_step(state: Counter, batch: jax.Array) -> tuple[Counter, dict]:
    return Counter(state.step + 1), {"loss": _loss_of_this_test(batch)}


@jax.jit
def _loss_of_this_test(batch: jax.Array) -> jax.Array:
    return jnp.sum(batch)


def test_a_compilation_after_the_first_step_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    def batches(odd: dict[int, int]) -> Iterator[np.ndarray]:
        for step in itertools.count(1):
            yield np.ones(odd.get(step, 2), np.float32)

    class Compiles(Recorder):
        """A hook may: an evaluation, a picture."""

        def on_step(self, step, state, metrics):
            jax.jit(lambda x: x + step)(np.float32(1))

    with caplog.at_level(logging.WARNING, logger="wavejax"):
        fit(compiled_step, Counter(), batches({}), [Compiles(every=2)], num_steps=6)
        assert caplog.messages == []
        fit(compiled_step, Counter(), batches({4: 3, 5: 3}), num_steps=6)
        (message,) = caplog.messages
        assert message.startswith("step 4 compiled again: ")
        assert "_loss_of_this_test" in message
        assert ". Only the first step should compile. " in message
        caplog.clear()
        fit(compiled_step, Counter(), batches({step: 10 + step for step in range(2, 20)}), num_steps=20)
        assert [message.split()[1] for message in caplog.messages] == ["2", "3", "4", "5", "6"]
        assert caplog.messages[-1].endswith("later ones are not reported")


def test_each_announced_shape_may_compile_once(caplog: pytest.LogCaptureFixture) -> None:
    def batches(sizes: tuple[int, ...]) -> Iterator[np.ndarray]:
        for size in sizes:
            yield np.ones(size, np.float32)

    with caplog.at_level(logging.WARNING, logger="wavejax"):
        hook = Recorder(every=6)
        fit(compiled_step, Counter(), batches((41, 42, 41, 43, 42, 43)), [hook], num_steps=6, num_shapes=3)
        assert caplog.messages == []
        assert "step_seconds" in next(entry[4] for entry in hook.journal if entry[1] == "step")
        fit(compiled_step, Counter(), batches((44, 45, 44, 46, 45)), num_steps=5, num_shapes=2)
    (message,) = caplog.messages
    assert message.startswith("step 4 compiled again: ")
    assert ". Only the first step with each of 2 shapes of batches should compile. " in message


def test_a_host_that_holds_the_others_up_is_named() -> None:
    names = [f"host-{i}" for i in range(4)]
    even = np.asarray([[1.0, 0.20, 0.1], [1.0, 0.21, 0.1], [1.0, 0.22, 0.1], [1.0, 0.25, 0.1]])
    numbers, sentence = compare_hosts(even, names)
    assert sentence is None
    assert numbers == {
        "step_seconds_max": 1.0,
        "step_seconds_median": 1.0,
        "own_seconds_max": 0.25,
        "own_seconds_median": pytest.approx(0.215),
        "slowest_process": 3.0,
    }
    slow = even.copy()
    slow[2] = [1.1, 0.9, 0.8]
    numbers, sentence = compare_hosts(slow, names)
    assert numbers["slowest_process"] == 2
    assert sentence == (
        "process 2 (host-2) holds the others up: of each step's 1 s it needs 0.9 s itself, where the median process "
        "needs 0.23 s; for 0.8 s of them it waits for its data"
    )
    small = even.copy()
    small[:, 1] /= 100  # ten times the others, and nothing in the step
    small[1, 1] = 0.02
    assert compare_hosts(small, names)[1] is None
    assert gather_over_processes([1.5, 2.0]).tolist() == [[1.5, 2.0]]
    assert len(host_names()) == 1


def test_some_steps_are_profiled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[tuple] = []

    class Observed(ProfileHook):
        def _begin(self) -> None:
            calls.append(("begin", seen[-1] if seen else 0))
            super()._begin()

        def _end(self) -> None:
            if self._is_tracing:
                calls.append(("end", seen[-1]))
            super()._end()

    seen: list[int] = []

    def step(state: Counter, batch: dict) -> tuple:
        seen.append(batch["number"])
        return count(state, batch)

    fit(step, Counter(), numbers(), [Observed(tmp_path / "profile", 3, 4)], num_steps=6)
    assert calls == [("begin", 2), ("end", 4)]
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    assert trace.stat().st_size > 0
    calls.clear()
    with caplog.at_level(logging.WARNING):
        fit(step, Counter(4), numbers(5), [Observed(tmp_path / "past", 3, 4)], num_steps=6)
    assert (calls, caplog.messages) == ([], ["steps 3 to 4 are not profiled: 4 are made already"])
    with pytest.raises(ValueError, match=r"3 to 2, must be 1 or more and in order"):
        ProfileHook(tmp_path, 3, 2)


@pytest.mark.slow
def test_a_profile_ends_with_the_run(tmp_path: Path) -> None:
    fit(count, Counter(), numbers(), [ProfileHook(tmp_path / "profile", 1, 100)], num_steps=3)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
