"""Pitches that are known, of strings as stiff as a piano's."""

import numpy as np
import pytest

from tests.audio.strings import RATE, string
from wavejax.audio.partials import cents_between, measure_partials


def test_cents():
    assert cents_between(440.0 * 2 ** (1 / 12), 440.0) == pytest.approx(100.0)
    assert cents_between(220.0, 440.0) == pytest.approx(-1200.0)


@pytest.mark.parametrize(
    ("f0", "stiffness"),
    [(27.6, 3e-4), (55.0, 9e-5), (185.0, 1.7e-4), (441.0, 6.5e-4), (1250.0, 3.6e-3), (4190.0, 1e-2)],
)
@pytest.mark.parametrize("off", [-40.0, 25.0])
def test_the_first_partial_is_found_to_a_tenth_of_a_cent(f0, stiffness, off):
    truth = f0 * np.sqrt(1.0 + stiffness)
    found = measure_partials(string(f0, stiffness=stiffness), RATE, truth * 2 ** (off / 1200))
    assert abs(cents_between(found.fundamental, truth)) < 0.1
    if found.count > 4:
        assert found.inharmonicity == pytest.approx(stiffness, rel=0.02)


def test_a_harmonic_comb_would_be_out_where_this_is_not():
    # The mean of f_n / n, which a plain comb fits, lies 20 cents above the first partial of this string.
    f0, stiffness = 110.0, 4e-4
    numbers = np.arange(1, 17)
    comb = np.mean(f0 * np.sqrt(1.0 + stiffness * numbers**2))
    truth = f0 * np.sqrt(1.0 + stiffness)
    assert cents_between(comb, truth) > 20.0
    found = measure_partials(string(f0, stiffness=stiffness), RATE, f0).fundamental
    assert abs(cents_between(found, truth)) < 0.1


def test_a_pitch_that_moves_by_three_cents_is_seen():
    low, high = (measure_partials(string(220.0 * 2 ** (c / 1200)), RATE, 220.0).fundamental for c in (0.0, 3.0))
    assert cents_between(high, low) == pytest.approx(3.0, abs=0.1)


def test_a_missing_fundamental_is_inferred_from_the_rest():
    tone = string(55.0, stiffness=1e-4)
    first = 0.1 * np.cos(2 * np.pi * 55.0 * np.sqrt(1.0001) * np.arange(len(tone)) / RATE)
    spectrum = np.fft.rfft(tone)
    spectrum[: round(80 * len(tone) / RATE)] = 0.0
    assert np.abs(first).max() > 0
    found = measure_partials(np.fft.irfft(spectrum, len(tone)).astype(np.float32), RATE, 55.5)
    assert abs(cents_between(found.fundamental, 55.0 * np.sqrt(1.0001))) < 0.5


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match=r"fewer than ten periods of 55\.0 Hz"):
        measure_partials(string(55.0, seconds=0.1), RATE, 55.0)
    rng = np.random.default_rng(0)
    for nothing in (np.zeros(16000), rng.normal(0, 0.1, 16000), np.sin(np.arange(16000) * 2.5)):
        with pytest.raises(ValueError, match=r"no partial of a note near 440\.0 Hz stands out"):
            measure_partials(nothing.astype(np.float32), RATE, 440.0)
