"""`train_and_evaluate` over several real processes equals one process, and goes on with any other number of them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.experiments.run_process import CONFIG, STEPS, Kept, observe_batches, sizes
from tests.tiny.experiments import tiny_config, tiny_corpus
from wavejax.checkpoints import CheckpointStore, load_any
from wavejax.checkpoints.folder import saved_steps
from wavejax.checkpoints.urls import CACHE
from wavejax.experiments.autoregressive import data
from wavejax.tasks import families

LONG = 20
ROOT = Path(__file__).resolve().parents[2]


def run(
    folder: Path | str,
    num_steps: int,
    processes: int,
    devices: int,
    stop_at: int = 0,
    shard: bool = False,
    wait: float = 0,
    caches: Sequence[Path] = (),
    failing: str = "",
) -> list[dict]:
    """What each process reports; each may have a cache of its own. Where they are to fail, with these words."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags}
    script = str(ROOT / "tests/experiments/run_process.py")
    started = [
        subprocess.Popen(
            [
                sys.executable,
                script,
                str(folder),
                *map(str, (num_steps, processes, process, port, stop_at, int(shard), wait)),
            ],
            env=environment | ({CACHE: str(caches[process])} if caches else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(processes)
    ]
    reports = []
    try:
        for process in started:
            output, errors = process.communicate(timeout=900)
            if failing:
                assert process.returncode == 1, errors
                assert failing in errors
                continue
            assert process.returncode == 0, errors
            (line,) = [line for line in output.splitlines() if line.startswith("{")]  # Gloo writes others
            reports.append(json.loads(line))
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert all(report["devices"] == processes * devices for report in reports)
    return reports


def here(folder: Path | str, num_steps: int, devices: int, monkeypatch: pytest.MonkeyPatch, **options: str) -> dict:
    """The same in this process."""
    logged, batches = Kept(), []
    with monkeypatch.context() as patched:
        patched.setattr(data, "training_batches", data.training_batches)
        observe_batches(batches)
        config, chosen = tiny_config(num_steps=num_steps, **CONFIG, **options), jax.devices()[:devices]
        state = families.train_and_evaluate(config, folder, corpus=tiny_corpus(2), console=logged, devices=chosen)
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
    # It is also slow at bringing its data, which the first process, and it alone, warns about.
    reports = run(tmp_path / "parts", STEPS, 2, 1, stop_at=2, wait=1.0)
    assert [report["ending"] for report in reports] == [[4, "terminated"]] * 2
    assert any(f"process 1 ({socket.gethostname()}) holds the others up" in line for line in reports[0]["warnings"])
    assert reports[1]["warnings"] == []
    check_part(reports, whole, 0, 4)
    with CheckpointStore(tmp_path / "parts" / "checkpoints", read_only=True) as store:
        assert store.steps() == (2, 4)
    check_part([here(tmp_path / "parts", STEPS, 2, monkeypatch)], whole, 4, STEPS)
    lines = [json.loads(line)["step"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert sorted(set(lines)) == list(range(1, STEPS + 1))


@pytest.mark.slow
def test_processes_without_a_common_disk_share_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = here(tmp_path / "whole", STEPS, 1, monkeypatch)
    bucket, machines = tmp_path / "bucket", [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    url = f"file://{bucket}"
    check_part(run(url, 2, 2, 1, caches=machines[:2]), whole, 0, 2)
    assert saved_steps(bucket / "checkpoints") == (2,)
    assert not machines[1].exists()  # process 0 alone keeps copies
    # Process 0 is on another machine, and moments and averages are split over the devices.
    reports = run(url, 4, 2, 1, shard=True, caches=[machines[1], machines[0]])
    check_part(reports, whole, 2, 4)
    assert reports[0]["split"] > 5
    # The bucket is full, which shows when the last step is uploaded: every process ends with the same sentence.
    sentence = "cannot upload the checkpoint of step 6"
    (bucket / "full").touch()
    run(url, STEPS, 2, 1, caches=[machines[2], machines[0]], failing=sentence)
    (bucket / "full").unlink()
    assert saved_steps(bucket / "checkpoints")[-1] == 4
    monkeypatch.setenv(CACHE, str(tmp_path / "d"))
    check_part([here(url, STEPS, 2, monkeypatch)], whole, 4, STEPS)
    monkeypatch.setenv(CACHE, str(tmp_path / "e"))
    found = load_any(url)
    assert found.step == STEPS
    np.testing.assert_allclose(sizes(found.params), whole["averages"], rtol=1e-5, atol=1e-5)
    lines = [json.loads(line)["step"] for line in (bucket / "metrics.jsonl").read_text().splitlines()]
    assert sorted(set(lines)) == list(range(1, STEPS + 1))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Twenty steps on 1 process x 8 devices."""
    with pytest.MonkeyPatch.context() as patched:
        return here(tmp_path_factory.mktemp("whole"), LONG, 8, patched)


@pytest.mark.slow
def test_any_topology_goes_on_with_the_same_run(tmp_path: Path, whole: dict) -> None:
    # Moments and averages are split over the devices, whole, and split over others.
    parts = [(0, 6, 2, 4, True), (6, 12, 1, 2, False), (12, LONG, 4, 2, True)]
    for first, last, processes, devices, shard in parts:
        reports = run(tmp_path / "parts", last, processes, devices, shard=shard)
        check_part(reports, whole, first, last)
        assert all((report["split"] > 5) == shard for report in reports)
        print_distance(f"{processes} x {devices}, steps {first} to {last}", reports[0]["records"], whole)
    for report in reports:  # each fetched the whole of what all of them hold
        np.testing.assert_allclose(report["averages"], whole["averages"], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "devices"), [(2, 4), (4, 2)])
def test_every_topology_makes_the_same_steps(tmp_path: Path, whole: dict, processes: int, devices: int) -> None:
    reports = run(tmp_path, LONG, processes, devices)
    check_part(reports, whole, 0, LONG)
    print_distance(f"{processes} x {devices}", reports[0]["records"], whole)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 8])
def test_pmap_makes_the_same_steps(tmp_path: Path, whole: dict, devices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report = here(tmp_path, LONG, devices, monkeypatch, strategy="pmap")
    check_part([report], whole, 0, LONG)
    print_distance(f"pmap, 1 x {devices}", report["records"], whole)


def print_distance(what: str, records: list[dict], whole: dict) -> None:
    losses = {record["step"]: record["loss"] for record in whole["records"] if "loss" in record}
    pairs = [(record["loss"], losses[record["step"]]) for record in records if "loss" in record]
    print(f"{what}: {len(pairs)} losses, largest difference {max(abs(a - b) for a, b in pairs):.1e}")
