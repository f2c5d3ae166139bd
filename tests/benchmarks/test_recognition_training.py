"""A recogniser's training step is measured beside torch, which must agree with it."""

import pytest

from benchmarks import recognition_training

pytest.importorskip("torch")


@pytest.mark.slow
def test_a_step_is_torchs() -> None:
    rows = recognition_training.run(quick=True, peers=("torch",))["rows"]
    assert [row["labels"]["case"] for row in rows] == ["wavejax", "torch"] * len(recognition_training.NAMES)
    assert all(row["details"]["times_torch"] > 0 for row in rows[::2])
    assert all(row["details"]["gradient_error"] < 1e-3 for row in rows[1::2])
