"""A run killed by SIGKILL at any moment and started again ends as if nothing had happened, bit for bit.

Real processes: tests/checkpoints/run_training.py. The last step of a run is 10, checkpoints are 3, 6, 9 and the last.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.checkpoints.run_training import WIDTH
from tests.checkpoints.states import META, assert_equal_bits, tiny_state, trained
from wavejax.checkpoints import CheckpointStore
from wavejax.parallel import get_strategy
from wavejax.training import TrainState

ROOT = Path(__file__).resolve().parents[2]
NUM_STEPS = 10


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tests/checkpoints/run_training.py"), str(folder), str(NUM_STEPS), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def uninterrupted() -> TrainState:
    return get_strategy("spmd").fetch(trained(NUM_STEPS, tiny_state(WIDTH)))


def _assert_finished_as(folder: Path, uninterrupted: TrainState) -> None:
    strategy = get_strategy("spmd")
    with CheckpointStore(folder) as store:
        restored = store.restore(strategy.abstract(jax.eval_shape(lambda: tiny_state(WIDTH))))
        assert store.damage_reports == []
        assert store.steps() == (9, 10)
    assert (restored.step, restored.meta) == (NUM_STEPS, META)
    assert_equal_bits(strategy.fetch(restored.state), uninterrupted)


def _kill_and_resume(folder: Path, moment: str, step: int, delay: float, resumes_from: set[int]) -> None:
    killed = _run(folder, moment, str(step), str(delay))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "finished" not in killed.stdout
    resumed = _run(folder)
    assert resumed.returncode == 0, resumed.stderr
    first, last = resumed.stdout.splitlines()
    assert int(first.removeprefix("starts from step ")) in resumes_from
    assert last == f"finished step {NUM_STEPS}"
    leftovers = [path.name for path in folder.iterdir() if path.is_dir() and not path.name.isdecimal()]
    assert leftovers == []


def test_killed_in_the_middle_of_a_save(tmp_path: Path, uninterrupted: TrainState) -> None:
    _kill_and_resume(tmp_path, "sealed", 6, 0, {3})
    _assert_finished_as(tmp_path, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "step", "delay", "resumes_from"),
    [
        ("step", 2, 0, {0}),  # before the first checkpoint
        ("sealed", 3, 0, {0}),  # in the first save
        ("step", 8, 0, {3, 6}),  # the save of step 6 may still be under way
        ("saved", 6, 0, {6}),
        ("deleting", 9, 0, {6, 9}),
        ("sealed", 10, 0, {9}),  # in the last save
        *(("writing", 6, delay, {3, 6}) for delay in np.linspace(0, 0.06, 9).round(4).tolist()),
    ],
)
def test_killed_at_any_moment(
    moment: str, step: int, delay: float, resumes_from: set[int], tmp_path: Path, uninterrupted: TrainState
) -> None:
    _kill_and_resume(tmp_path, moment, step, delay, resumes_from)
    _assert_finished_as(tmp_path, uninterrupted)
