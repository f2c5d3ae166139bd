"""Published vocoders are measured beside torch, which must make the same waveforms."""

import pytest

from benchmarks import torch_hifi_gan, vocoding
from benchmarks.harness import WrongResult

pytest.importorskip("torch")


@pytest.mark.slow
def test_waveforms_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = vocoding.run(quick=True, peers=("torch",))
    assert [row["labels"]["case"] for row in figures["rows"]] == ["wavejax", "torch"] * 4
    for ours, theirs in zip(figures["rows"][::2], figures["rows"][1::2], strict=True):
        assert ours["labels"]["preset"] == theirs["labels"]["preset"]
        assert 0 <= theirs["check"]["apart"] < vocoding.TOLERANCE
        assert ours["details"]["times_torch"] > 0
    right = torch_hifi_gan.generated
    monkeypatch.setattr(torch_hifi_gan, "generated", lambda *given: 1.01 * right(*given))
    with pytest.raises(WrongResult, match=r"hifi-gan-v3: torch's waveform is .* of the loudest sample from wavejax's"):
        vocoding.run(quick=True, presets=("hifi-gan-v3",), peers=("torch",))
