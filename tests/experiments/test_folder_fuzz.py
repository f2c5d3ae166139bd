"""700 seeded mutations of exported folders, checkpoints and logs: each loads or is refused, in bounded memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_no_mutated_folder_ends_in_a_traceback(seed: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tests.experiments.fuzz_folders", str(seed)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,  # a hang: alone on a core it takes 15 s
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["failures"], "\n".join(found["failures"][:5])
    assert sum(found["counts"].values()) == 700
    kinds = ("change_config", "change_archive", "change_checkpoint")
    assert set(found["counts"]) == {f"{kind}: {end}" for kind in kinds for end in ("loaded", "refused")} | {"read"}
    assert found["counts"]["change_config: refused"] > found["counts"]["change_config: loaded"]
    assert found["peak_mb"] < 700
    assert found["cpu"] < 60
    assert found["slowest"] < 5
