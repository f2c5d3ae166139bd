"""The other benchmarks run at their smallest, and refuse what is wrong."""

import numpy as np
import pytest

from benchmarks import data, dsp, run, training
from benchmarks.harness import WrongResult
from wavejax.audio import get_spec
from wavejax.audio.features import log_mel_numpy
from wavejax.data import embedded_corpus


def test_a_signal_that_differs_is_refused() -> None:
    waveform = dsp.make_sound(0.5)
    case = dsp._case("scale", "us", lambda: waveform * 1.01, lambda: waveform, 1e-5, 0.5)
    with pytest.raises(WrongResult, match="scale by us is off by"):
        case.check()
    case = dsp._case("scale", "us", lambda: waveform[1:], lambda: waveform, 1e-5, 0.5)
    with pytest.raises(WrongResult, match="has shape"):
        case.check()


def test_librosa_computes_the_same_features() -> None:
    librosa = pytest.importorskip("librosa")
    spec, waveform = get_spec("speech-16k"), dsp.make_sound(1.0)
    np.testing.assert_allclose(
        dsp.librosa_log_mel(librosa, waveform, spec), log_mel_numpy(waveform, spec), rtol=0, atol=2e-3
    )


def test_a_gradient_that_differs_is_refused() -> None:
    gradient = np.ones((2, 3))
    assert training.compare("a", 5.0, gradient, (5.0, gradient)) == {"loss": 5.0, "gradient_error": 0.0}
    with pytest.raises(WrongResult, match=r"a: loss 5\.1"):
        training.compare("a", 5.1, gradient, (5.0, gradient))
    with pytest.raises(WrongResult, match="its gradient is off by"):
        training.compare("a", 5.0, gradient * 1.01, (5.0, gradient))


def test_conditioning_is_the_same_at_both_rates() -> None:
    batch = training.make_batch(2, 350)
    assert batch["samples"].shape == (2, 350, 80)
    between = batch["frames"][:, 1] + (batch["frames"][:, 2] - batch["frames"][:, 1]) * np.float32(50 / 200)
    np.testing.assert_allclose(batch["samples"][:, 150], between, atol=1e-6)


@pytest.mark.slow
def test_both_rates_have_the_same_loss_and_gradient() -> None:
    for name in training.WAVEJAX:
        checked = training.make_case(name, 1, 300).check()
        assert checked["gradient_error"] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", ["dsp", "data", "memory", "compile", "folding", "startup"])
def test_a_quick_run_gives_rows(benchmark: str, tmp_path) -> None:
    pytest.importorskip("librosa" if benchmark == "dsp" else "grain")
    figures = run.main([benchmark, "--quick", "--json", str(tmp_path / "out.json")])
    assert figures["benchmark"] == benchmark
    assert len(figures["rows"]) >= 3
    assert all(row["median"] > 0 or row["unit"] == "share" for row in figures["rows"])


def test_the_pipeline_is_compared_with_what_training_consumes() -> None:
    pytest.importorskip("grain")
    config = data.preset("speech-16k")
    row = data._pipeline_row(config, "embedded", embedded_corpus(config.spec), 1, 1000.0, batches=2, repeats=2)
    assert row["details"]["times_consumed"] == pytest.approx(row["median"] / 1000.0)
