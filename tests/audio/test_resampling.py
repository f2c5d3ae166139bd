"""Resampling keeps tones, lengths and alignment."""

import numpy as np
import pytest

from wavejax.audio.resampling import resample


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44100, 16000), (48000, 22050), (8000, 16000), (22050, 24000)])
@pytest.mark.parametrize("num_samples", [9973, 20000])
def test_a_tone_stays_where_it_was(from_rate: int, to_rate: int, num_samples: int) -> None:
    time = np.arange(num_samples) / from_rate
    x = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    y = resample(x, from_rate, to_rate)
    assert y.dtype == np.float32
    assert abs(len(y) - num_samples * to_rate / from_rate) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(y)) / to_rate)
    middle = slice(1000, len(y) - 1000)
    np.testing.assert_allclose(y[middle], expected[middle], atol=1e-4)


def test_what_the_new_rate_cannot_hold_is_removed() -> None:
    x = np.sin(2 * np.pi * 10000 * np.arange(44100) / 44100).astype(np.float32)
    assert np.max(np.abs(resample(x, 44100, 16000)[500:-500])) < 1e-3


def test_equal_rates_and_empty_waveforms_pass() -> None:
    x = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(resample(x, 16000, 16000), x)
    assert resample(np.zeros(0, np.float32), 16000, 8000).shape == (0,)


def test_bad_rates_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="to_rate is 0; expected a positive sample rate in Hz"):
        resample(np.zeros(5, np.float32), 16000, 0)
