"""An update of both players is measured beside torch, which must agree with it."""

import numpy as np
import pytest

from benchmarks import adversarial_training, torch_hifi_gan
from benchmarks.harness import WrongResult

pytest.importorskip("torch")


@pytest.mark.slow
def test_an_update_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = adversarial_training.run(quick=True, peers=("torch",))
    assert [row["labels"]["case"] for row in figures["rows"]] == [
        "wavejax",
        "torch, same windows",
        "torch, as published",
    ]
    ours, same, _ = figures["rows"]
    assert np.isfinite(list(ours["check"].values())).all()
    assert max(same["check"].values()) < adversarial_training.TOLERANCE
    assert ours["details"]["times_fastest_torch"] > 0
    monkeypatch.setattr(torch_hifi_gan, "POWER_ITERATIONS", 1)
    with pytest.raises(WrongResult, match="but wavejax's first update said"):
        adversarial_training.run(quick=True, peers=("torch",))
