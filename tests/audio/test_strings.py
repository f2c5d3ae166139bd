"""Strings: what is taken out rings again, where a stiff string would, and no longer."""

import dataclasses

import numpy as np
import pytest

from tests.audio.strings import RATE, string
from wavejax.audio.notes import NOTE_SPECS, NoteSpec
from wavejax.audio.partials import cents_between, measure_partials
from wavejax.audio.resampling import change_speed
from wavejax.audio.strings import ENVELOPE_TIMES, StringSpec, linear_predictor, partial_decays, stiff_partials

STIFFNESS = 4e-4
STRINGS = StringSpec(inharmonicity=((60.0, STIFFNESS),), decay=((60.0, 3.0),), damping=1.0)
PIANO = NOTE_SPECS["piano"]


def energy(waveform: np.ndarray, begin: float, end: float) -> float:
    part = waveform[round(begin * RATE) : round(end * RATE)]
    return 10.0 * np.log10(np.mean(np.square(part, dtype=np.float64)))


@pytest.mark.parametrize("midi", [21, 60, 69.5, 108])
def test_ringing_undoes_damping(midi):
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    damped = PIANO.damp(noise, midi, onset=0.02, shift=2.5)
    np.testing.assert_allclose(PIANO.ring(damped, midi, onset=0.02, shift=2.5), noise, atol=1e-4)
    # What rings is louder or weaker by far, and float32 has its end.
    rung = PIANO.ring(noise, midi, onset=0.02)
    np.testing.assert_allclose(PIANO.damp(rung, midi, onset=0.02), noise, atol=2e-2)
    bare = dataclasses.replace(PIANO, strings=None)
    np.testing.assert_array_equal(bare.damp(noise, midi, onset=0.02), noise)
    np.testing.assert_array_equal(bare.ring(noise, midi, onset=0.02), noise)


def test_a_click_rings_as_the_string_it_strikes():
    fundamental = 220.0
    click = np.zeros(2 * RATE, np.float32)
    click[0] = 1.0
    sound = STRINGS.filter(60, fundamental, RATE).ring(click, 0)
    found = measure_partials(sound[800 : 800 + RATE], RATE, fundamental)
    assert abs(cents_between(found.fundamental, fundamental)) < 0.1
    assert found.inharmonicity == pytest.approx(STIFFNESS, rel=0.02)
    partials = STRINGS.partials(60, fundamental, 3000.0)
    falls, levels = partial_decays(sound[800:], RATE, partials)
    assert (levels > 0).sum() >= 5
    np.testing.assert_allclose(falls[levels > 0], STRINGS.decays(60, partials)[levels > 0], rtol=0.05)


def test_a_note_is_damped_to_its_stroke_and_noise():
    fundamental = 220.0 * np.sqrt(1 + STIFFNESS)
    struck = string(220.0, stiffness=STIFFNESS, decay=2.0, lead=0.02)
    left = STRINGS.filter(60, fundamental, RATE).damp(struck, 320)
    assert energy(left, 0.2, 1.0) < energy(struck, 0.2, 1.0) - 25.0
    assert energy(left, 0.02, 0.025) > energy(struck, 0.02, 0.025) - 10.0
    # A semitone away there is nothing to take out.
    off = STRINGS.filter(60, 220.0 * 2 ** (1 / 12), RATE).damp(struck, 320)
    assert energy(off, 0.2, 1.0) > energy(left, 0.2, 1.0) + 15.0


def test_a_recording_played_faster_is_damped_as_it_was_and_played_faster():
    rate, shift = 24_000, 2.5
    struck = string(220.0, stiffness=STIFFNESS, decay=2.0, rate=rate, seconds=1.0)
    faster = change_speed(struck, rate, RATE, shift)
    spec = NoteSpec(name="s", sample_rate=RATE, hop_length=160, tuning=((57.0, 0.0),), strings=STRINGS)
    before = change_speed(STRINGS.filter(57, spec.frequency(57), rate).damp(struck, 0), rate, RATE, shift)
    after = spec.damp(faster, 57, onset=0.0, shift=shift)
    assert energy(after - before[: len(after)], 0.1, 0.7) < energy(faster, 0.1, 0.7) - 30.0


def test_colour_is_taken_out_and_put_back():
    # A spectrum that falls by 60 dB from 0 to 8 kHz, 20 dB less at the top key than at the bottom one.
    coloured = dataclasses.replace(STRINGS, colour=((25.0,), (-5.0,)))
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)

    def level(waveform: np.ndarray, low: float, high: float) -> float:
        power = np.square(np.abs(np.fft.rfft(waveform)))
        hertz = np.fft.rfftfreq(len(waveform), 1.0 / RATE)
        return 10.0 * np.log10(np.mean(power[(hertz >= low) & (hertz < high)]))

    falls = []
    for midi in (21, 108):
        made = coloured.filter(midi, 9000.0, RATE)  # no partial below half the sample rate
        assert len(made.sections) == 0
        sound = made.ring(noise, 0)
        falls.append(level(sound, 0, 1000) - level(sound, 7000, 8000))
        np.testing.assert_allclose(made.damp(sound, 0), noise, atol=1e-4)
        flat = made.damp(sound, 0)
        assert abs(level(flat, 0, 1000) - level(flat, 7000, 8000)) < 1.0
    expected = [slope * (np.cos(np.pi * 0.05) - np.cos(np.pi * 0.75)) for slope in (30.0, 20.0)]
    np.testing.assert_allclose(falls, expected, atol=2.0)
    # Played an octave faster, the spectrum is twice as wide.
    half = coloured.filter(21, 9000.0, RATE, speed=2.0).ring(noise, 0)
    assert level(half, 0, 1000) - level(half, 3000, 4000) < 0.5 * falls[0]
    np.testing.assert_allclose(linear_predictor(np.zeros(65))[1:], 0.0, atol=1e-12)


def test_the_level_of_each_moment_is_taken_out_and_put_back():
    # Silent before the stroke; then it falls by 6 dB with every doubling of the time, at the top key 20 dB louder.
    levels = np.asarray([-80.0 if time < 0 else -10.0 - 20.0 * np.log10(time / 0.1) for time in ENVELOPE_TIMES])
    spec = dataclasses.replace(
        PIANO, strings=dataclasses.replace(STRINGS, envelope=(tuple(levels), (10.0,) * len(levels)))
    )
    noise = np.random.default_rng(0).normal(0, 1.0, 3 * RATE).astype(np.float32)
    assert spec.strings is not None
    for midi, more in ((21, -10.0), (108, 10.0)):
        filtered = spec.strings.filter(midi, 9000.0, RATE)
        sound = filtered.ring(noise, 0.5 * RATE)
        assert energy(sound, 0.0, 0.4) == pytest.approx(-80.0 + more, abs=0.5)
        assert energy(sound, 0.598, 0.602) == pytest.approx(-10.0 + more, abs=1.5)
        assert energy(sound, 2.0, 2.2) == pytest.approx(-10.0 - 20.0 * np.log10(16.0) + more, abs=0.5)
        assert energy(filtered.damp(sound, 0.5 * RATE), 1.0, 2.0) == pytest.approx(0.0, abs=0.2)
    # Played twice as fast it falls in half the time.
    faster = spec.strings.filter(21, 9000.0, RATE, speed=2.0).gains(RATE, 0.0)
    slower = spec.strings.filter(21, 9000.0, RATE).gains(2 * RATE, 0.0)
    np.testing.assert_allclose(faster, slower[::2], rtol=1e-9)


def test_partials_of_a_stiff_string_are_fletchers():
    partials = stiff_partials(100.0 * np.sqrt(1 + 1e-3), 1e-3, np.arange(1, 5))
    np.testing.assert_allclose(partials, [n * 100.0 * np.sqrt(1 + 1e-3 * n * n) for n in range(1, 5)])
    assert STRINGS.partials(60, 500.0, 1600.0).size == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decay": ()}, "the decay of strings must list keys"),
        ({"inharmonicity": ((60.0, 1e-4), (60.0, 2e-4))}, "must list keys in rising order"),
        ({"decay": ((60.0, 0.0),)}, "the decay of strings must be positive"),
        ({"bandwidth": 0.0}, r"bandwidth of strings is 0\.0"),
        ({"damping": -1.0}, r"damping of strings is -1\.0"),
        ({"colour": ((1.0, 2.0), (1.0,))}, "rows of colour of strings must have one length"),
        ({"envelope": ((1.0, 2.0),)}, "rows of envelope of strings must have 16 values"),
    ],
)
def test_strings_that_cannot_be_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(STRINGS, **change)
