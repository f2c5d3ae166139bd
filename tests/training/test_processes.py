"""Training over several real processes equals training in one, and checkpoints move between both."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.checkpoints.states import trained
from wavejax.parallel import get_strategy

ROOT = Path(__file__).resolve().parents[2]


def _run(folder: Path, num_steps: int, num_processes: int, num_devices: int) -> list[tuple[str, np.ndarray]]:
    """What each process says of itself, and its final state as one vector."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={num_devices}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags}
    script = str(ROOT / "tests/training/run_process.py")
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(folder), *map(str, (num_steps, num_processes, process_id, port))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process_id in range(num_processes)
    ]
    results = []
    try:
        for process in processes:
            output, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
            (line,) = [line for line in output.splitlines() if "devices, from step" in line]  # Gloo writes others
            description, _, numbers = line.partition(":")
            results.append((description, np.asarray(numbers.split(), np.float64)))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return results


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """What the slow tests do with the whole training, for a network of two layers."""
    (first, one), (second, other) = _run(tmp_path, 3, 2, 1)
    assert first == second == "2 devices, from step 0"
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(one, _expected(3), rtol=0, atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["2", "3"]


def _expected(steps: int) -> np.ndarray:
    state = get_strategy("spmd").fetch(trained(steps))
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(state)])


@pytest.mark.slow
def test_processes_and_topologies_agree(tmp_path: Path) -> None:
    # The same run, moved from 2 x 4 devices to 1 x 2 and to 4 x 2, where all have to step over a damaged checkpoint.
    for num_steps, num_processes, num_devices, first in [(3, 2, 4, 0), (5, 1, 2, 3), (7, 4, 2, 4)]:
        if num_steps == 7:
            (tmp_path / "5" / "meta" / "metadata").write_text("{}")
        results = _run(tmp_path, num_steps, num_processes, num_devices)
        for description, values in results:
            assert description == f"{num_processes * num_devices} devices, from step {first}"
            np.testing.assert_array_equal(values, results[0][1])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["4", "6", "7", "damaged-5"]
    np.testing.assert_allclose(results[0][1], _expected(7), rtol=0, atol=1e-5)
