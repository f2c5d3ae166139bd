"""Level and lag against what was done to the signal."""

import numpy as np
import pytest

from tests.evaluation.sounds import RATE, later, voice
from wavejax.evaluation.alignment import fit_length, lag_seconds, match_level


@pytest.mark.parametrize("samples", [16, 80, 200, 640])
def test_a_lag_is_found_in_both_directions(samples: int) -> None:
    sound = voice()
    assert lag_seconds(sound, later(sound, samples), RATE) == pytest.approx(samples / RATE, abs=3e-4)
    assert lag_seconds(later(sound, samples), sound, RATE) == pytest.approx(-samples / RATE, abs=3e-4)


def test_noise_and_level_are_no_lag() -> None:
    sound = voice()
    noisy = 0.3 * sound + np.random.default_rng(1).normal(0, 1e-3, len(sound)).astype(np.float32)
    assert abs(lag_seconds(sound, noisy, RATE)) < 1e-3
    assert lag_seconds(sound, np.zeros_like(sound), RATE) == 0.0
    with pytest.raises(ValueError, match="too short for a lag"):
        lag_seconds(sound[:50], sound[:50], RATE)


def test_levels_are_matched_by_loudness() -> None:
    sound = voice()
    matched, difference = match_level(sound * np.float32(0.25), sound, RATE)
    assert difference == pytest.approx(-12.04, abs=0.01)
    np.testing.assert_allclose(matched, sound, atol=1e-5)
    silent, difference = match_level(np.zeros_like(sound), sound, RATE)
    assert not silent.any()
    assert difference < -30


def test_lengths_are_cut_and_filled() -> None:
    np.testing.assert_array_equal(fit_length(np.arange(3.0), 2), [0, 1])
    np.testing.assert_array_equal(fit_length(np.arange(3.0), 5), [0, 1, 2, 0, 0])
