"""`train_and_evaluate` over several real processes equals one process, and goes on with any other number of them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.tasks.run_process import CONFIG, STEPS, Kept, observe_batches, sizes
from tests.tasks.tiny import tiny_config, tiny_corpus
from wavejax.checkpoints import CheckpointStore
from wavejax.tasks import training

ROOT = Path(__file__).resolve().parents[2]


def run(
    folder: Path, num_steps: int, processes: int, devices: int, stop_at: int = 0, shard: bool = False
) -> list[dict]:
    """What each process reports."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags}
    script = str(ROOT / "tests/tasks/run_process.py")
    started = [
        subprocess.Popen(
            [
                sys.executable,
                script,
                str(folder),
                *map(str, (num_steps, processes, process, port, stop_at, int(shard))),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(processes)
    ]
    reports = []
    try:
        for process in started:
            output, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
            (line,) = [line for line in output.splitlines() if line.startswith("{")]  # Gloo writes others
            reports.append(json.loads(line))
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert all(report["devices"] == processes * devices for report in reports)
    return reports


def here(folder: Path, num_steps: int, devices: int, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The same in this process."""
    logged, batches = Kept(), []
    with monkeypatch.context() as patched:
        patched.setattr(training, "training_batches", training.training_batches)
        observe_batches(batches)
        config, chosen = tiny_config(num_steps=num_steps, **CONFIG), jax.devices()[:devices]
        state = training.train_and_evaluate(config, folder, corpus=tiny_corpus(2), console=logged, devices=chosen)
    return {"records": logged.records, "batches": batches, "averages": sizes(state.ema_params)}


def assert_same_numbers(got: list[dict], expected: list[dict]) -> None:
    assert [sorted(record) for record in got] == [sorted(record) for record in expected]
    for one, other in zip(got, expected, strict=True):
        for name, value in other.items():
            np.testing.assert_allclose(one[name], value, rtol=1e-5, atol=1e-5, err_msg=f"{name} of {other}")


def assert_same_batches(reports: list[dict], expected: list[list[int]], first: int, last: int) -> None:
    """The processes' rows, one after another, are the rows of one process; the input pipeline may read ahead."""
    for step in range(first, last):
        rows = [row for report in reports for row in report["batches"][step - first]]
        assert rows == expected[step], f"step {step}"


def check_part(reports: list[dict], whole: dict, first: int, last: int) -> None:
    expected = [record for record in whole["records"] if first < record["step"] <= last]
    assert_same_numbers(reports[0]["records"], expected)
    assert_same_batches(reports, whole["batches"], first, last)
    assert all(report["records"] == [] for report in reports[1:])  # process 0 alone logs


@pytest.mark.slow
def test_two_processes_equal_one_and_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = here(tmp_path / "whole", STEPS, 1, monkeypatch)
    # The last process alone is told to stop after step 2; both do, two steps later, and both have saved that step.
    reports = run(tmp_path / "parts", STEPS, 2, 1, stop_at=2)
    assert [report["ending"] for report in reports] == [[4, "terminated"]] * 2
    check_part(reports, whole, 0, 4)
    with CheckpointStore(tmp_path / "parts" / "checkpoints", read_only=True) as store:
        assert store.steps() == (2, 4)
    check_part([here(tmp_path / "parts", STEPS, 2, monkeypatch)], whole, 4, STEPS)
    lines = [json.loads(line)["step"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert sorted(set(lines)) == list(range(1, STEPS + 1))


@pytest.mark.slow
def test_any_topology_goes_on_with_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = here(tmp_path / "whole", STEPS, 8, monkeypatch)
    # Moments and averages are split over the devices, whole, and split over others.
    for first, last, processes, devices, shard in [(0, 2, 2, 4, True), (2, 4, 1, 2, False), (4, 6, 4, 2, True)]:
        reports = run(tmp_path / "parts", last, processes, devices, shard=shard)
        check_part(reports, whole, first, last)
        assert all((report["split"] > 5) == shard for report in reports)
    for report in reports:  # each fetched the whole of what all of them hold
        np.testing.assert_allclose(report["averages"], whole["averages"], rtol=1e-5, atol=1e-5)
