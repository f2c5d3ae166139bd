"""Distances of known changes: gain, filtering, identity."""

import dataclasses

import numpy as np
import pytest

from wavejax.audio.specs import get_spec
from wavejax.evaluation.spectra import band_level_differences, log_mel_distance, mel_decibels

SPEC = get_spec("speech-16k")


def noise(length: int = 8007, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).normal(size=length)).astype(np.float32)


def test_a_gain_of_six_decibels_is_a_distance_of_six_decibels() -> None:
    x = noise()
    assert log_mel_distance(x, x, SPEC) == 0.0
    assert log_mel_distance(x, x / 2, SPEC) == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert log_mel_distance(x, x[:-7], SPEC) < 0.5
    assert log_mel_distance(x, noise(seed=1), SPEC) > 4.0


def test_log_base_power_and_normalisation_do_not_matter() -> None:
    x, y = noise(), noise(seed=1)
    expected = log_mel_distance(x, y, SPEC)
    for change in ({"log_base": "db20"}, {"scale": 0.3, "offset": 2.0}):
        assert log_mel_distance(x, y, dataclasses.replace(SPEC, **change)) == pytest.approx(expected, rel=1e-4)
    power = dataclasses.replace(SPEC, power=2, floor=1e-10)
    assert log_mel_distance(x, x / 2, power) == pytest.approx(20 * np.log10(2), abs=1e-3)


@pytest.mark.parametrize("power", [1, 2])
def test_zero_decibels_is_a_full_scale_sine_in_the_best_band(power: int) -> None:
    spec = dataclasses.replace(SPEC, power=power, mel_norm="none")
    frequency = 16000 / 1024 * 100
    sine = np.sin(2 * np.pi * frequency / 16000 * np.arange(4000)).astype(np.float32)
    assert mel_decibels(sine, spec)[5:-5].max() == pytest.approx(0.0, abs=4.0)
    quiet = mel_decibels(0.01 * sine, spec)[5:-5].max() - mel_decibels(sine, spec)[5:-5].max()
    assert quiet == pytest.approx(-40.0, abs=0.01)


def test_lengths_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"8007 and 7807 samples; expected less than one hop \(200\)"):
        log_mel_distance(noise(), noise()[:-200], SPEC)


def test_bands_measure_levels_where_they_are() -> None:
    time = np.arange(16000) / 16000
    low, high = np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * 3000 * time)
    original = (0.1 * low + 0.1 * high).astype(np.float32)
    generated = (0.2 * low + 0.01 * high).astype(np.float32)
    difference = band_level_differences(original, np.tile(generated, 2), 16000)
    assert difference.shape == (5,)
    np.testing.assert_allclose(difference[[0, 3]], [20 * np.log10(2), -20.0], atol=1e-3)
    silence = band_level_differences(original, np.zeros(777, np.float32), 16000)
    np.testing.assert_allclose(silence[[0, 3]], -120.0 - 10 * np.log10(0.1**2 / 2), atol=1e-3)


def test_white_noise_fills_bands_by_their_width() -> None:
    widths = band_level_differences(noise(160000), noise(160000, 1), 16000, (0.0, 1000.0, 4000.0, 8000.0))
    np.testing.assert_allclose(widths, 0.0, atol=0.2)


@pytest.mark.parametrize("bands", [(0.0,), (0.0, 0.0), (0.0, 9000.0), (500.0, 100.0)])
def test_bad_bands_are_refused(bands: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"ascending edges between 0 and 8000\.0 Hz"):
        band_level_differences(noise(), noise(), 16000, bands)


def test_an_empty_recording_has_no_level() -> None:
    with pytest.raises(ValueError, match="0 samples has no level"):
        band_level_differences(noise(), noise(0), 16000)
