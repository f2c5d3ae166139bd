"""Worse conditions: as loud as they say, in the band that they say."""

import numpy as np
import pytest

from wavejax.evaluation.conditions import degraded

RATE = 16_000
TIME = np.arange(2 * RATE) / RATE
TONES = (0.2 * np.sin(2 * np.pi * 1000 * TIME) + 0.2 * np.sin(2 * np.pi * 6000 * TIME)).astype(np.float32)


@pytest.mark.parametrize(("condition", "decibels"), [("noise-20", 20), ("noise-10", 10)])
def test_noise_is_as_far_below_the_recording_as_it_says(condition: str, decibels: float) -> None:
    heard = degraded(TONES, RATE, condition, "one")
    noise = heard - TONES
    assert 10 * np.log10(np.mean(TONES**2) / np.mean(noise**2)) == pytest.approx(decibels, abs=0.1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert power[200:400].mean() > 4 * power[2000:4000].mean(), "pink"
    np.testing.assert_array_equal(heard, degraded(TONES, RATE, condition, "one"))
    assert not np.array_equal(heard, degraded(TONES, RATE, condition, "two"))


def test_a_telephone_passes_its_band() -> None:
    heard = degraded(TONES, RATE, "telephone", "one")
    assert heard.shape == TONES.shape
    before, after = (np.abs(np.fft.rfft(each)) for each in (TONES, heard))
    assert after[2000] == pytest.approx(before[2000], rel=0.05), "1000 Hz"
    assert after[12_000] < 0.01 * before[12_000], "6000 Hz"
    assert not np.any(degraded(np.zeros(801, np.float32), RATE, "telephone", "one"))


def test_a_room_adds_an_echo_as_loud_as_the_sound_that_dies_away() -> None:
    click = np.zeros(RATE, np.float32)
    click[0] = 0.5
    heard = degraded(click, RATE, "room", "one")
    assert heard.shape == click.shape
    assert np.sum(heard**2) == pytest.approx(np.sum(click**2), rel=1e-4), "as loud as before"
    assert heard[0] ** 2 == pytest.approx(np.sum(heard[1:] ** 2), rel=1e-3), "the direct sound is half of it"
    early, late = (np.mean(heard[round(at * RATE) : round((at + 0.05) * RATE)] ** 2) for at in (0.05, 0.3))
    assert 10 * np.log10(early / late) == pytest.approx(60 * 0.25 / 0.5, abs=2), "60 dB in half a second"
    np.testing.assert_array_equal(heard, degraded(click, RATE, "room", "one"))
    assert not np.array_equal(heard, degraded(click, RATE, "room", "two"))
    assert not np.any(degraded(np.zeros(801, np.float32), RATE, "room", "one"))
