"""Pitch and pace of voices, from sounds whose pitch and pauses are known."""

import math

import numpy as np
import pytest

from wavejax.evaluation.prosody import prosody_figures

RATE = 16_000


def buzz(hertz: float, seconds: float) -> np.ndarray:
    """Harmonics of a pitch, as a voice has them."""
    time = np.arange(round(seconds * RATE)) / RATE
    parts = [np.cos(2 * np.pi * hertz * number * time) / number for number in range(1, 20)]
    return (0.1 * np.sum(parts, axis=0)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def test_figures_of_two_tones_and_a_pause() -> None:
    pytest.importorskip("pyworld")
    low, high = 150.0, 150.0 * 2 ** (4 / 12)
    sound = np.concatenate([silence(0.3), buzz(low, 1.0), silence(0.5), buzz(high, 1.0), silence(0.4)])
    found = prosody_figures([sound, sound], RATE, [10, 20])
    assert low - 2 < found.pitch < high + 2
    assert found.deviation == pytest.approx(2.0, abs=0.3)
    assert found.pace == pytest.approx(30 / 4.0, rel=0.03)
    assert found.pauses == pytest.approx(0.5 / 2.5, abs=0.02)
    assert "semitones; 7.5 phonemes a second, 20 % pauses" in str(found)


def test_a_short_gap_is_no_pause_and_silence_has_no_pitch() -> None:
    pytest.importorskip("pyworld")
    sound = np.concatenate([buzz(200.0, 0.5), silence(0.06), buzz(200.0, 0.5)])
    assert prosody_figures([sound], RATE, [10]).pauses == 0
    assert math.isnan(prosody_figures([silence(1.0)], RATE, [0]).pitch)
