"""Measures of notes on strings whose pitch and decay are known, and cheats that some column must flag."""

import numpy as np
import pytest

from tests.audio.strings import RATE, string
from wavejax.audio.partials import cents_between
from wavejax.evaluation.comparison import System, compare
from wavejax.evaluation.measures import Item
from wavejax.evaluation.notes import (
    NO_PITCH,
    NOTE_MEASURES,
    decay_time,
    envelope,
    note_pitch,
    sine_of,
    sounding_length,
)

A3 = string(220.3, stiffness=2e-4, decay=3.0, seconds=3.0, lead=0.02)


@pytest.mark.parametrize("decay", [0.6, 1.5, 3.0])
def test_twenty_decibels_take_a_third_of_sixty(decay):
    tone = string(330.0, decay=decay, seconds=6.0)
    assert decay_time(tone, RATE) == pytest.approx(decay / 3, rel=0.02)
    assert decay_time(tone, RATE, 30.0) == pytest.approx(decay / 2, rel=0.02)


def test_beats_do_not_end_a_decay_early():
    time = np.arange(4 * RATE) / RATE
    beating = (10.0 ** (-3.0 * time / 3.0) * np.cos(2 * np.pi * 1.0 * time) * np.sin(2 * np.pi * 440 * time)).astype(
        np.float32
    )
    level = envelope(beating, RATE, 1 / 440)
    assert np.argmax(level < level.max() / 10) / RATE < 0.3  # the level dips by 20 dB in the first beat
    assert decay_time(beating, RATE) == pytest.approx(1.0, rel=0.25)


def test_silence_has_no_decay():
    assert np.isnan(decay_time(np.zeros(RATE, np.float32), RATE))


def test_a_note_is_judged_while_it_sounds():
    tone = string(440.0, decay=1.2, seconds=4.0)
    assert sounding_length(tone, RATE) / RATE == pytest.approx(1.0, abs=0.06)
    assert sounding_length(tone, RATE, decibels=30.0, least=0.0) / RATE == pytest.approx(0.6, abs=0.06)
    assert sounding_length(tone[: RATE // 2], RATE) == RATE // 2


def test_the_sine_keeps_the_envelope_and_is_in_tune():
    truth = 220.3 * np.sqrt(1.0002)
    made = sine_of(A3, RATE, truth)
    assert abs(cents_between(note_pitch(made, "A3") or 0.0, truth)) < 0.05
    ours, theirs = (envelope(each, RATE, 1 / truth)[RATE // 10 : RATE] for each in (made, A3))
    # Partials that are not quite harmonic make the string's own envelope waver over two periods by less than this.
    assert np.abs(20 * np.log10(ours / theirs)).max() < 1.0


def test_figures_of_known_changes():
    rng = np.random.default_rng(1)
    faster = string(220.3, stiffness=2e-4, decay=1.5, seconds=3.0, lead=0.02)
    sharp = string(220.3 * 2 ** (12 / 1200), stiffness=2e-4, decay=3.0, seconds=3.0, lead=0.02)
    other = string(440.0, decay=2.0, seconds=3.0, lead=0.02, seed=3)
    items = [Item(id="A3", waveform=A3), Item(id="A4", waveform=other)]
    noise = rng.normal(0, 0.05, len(A3)).astype(np.float32)
    systems = [
        System(name=name, takes=((waveform, other),))
        for name, waveform in {
            "same": A3,
            "quiet": 0.5 * A3,
            "fast": faster,
            "sharp": sharp,
            "sine": sine_of(A3, RATE, 220.3),
            "noise": noise,
        }.items()
    ]
    made = compare(items, systems, NOTE_MEASURES)

    def figure(system: str, column: str) -> float:
        return float(made.figures[system][column][0, 0])

    for column in ("pitch", "decay", "log_mel", "level"):
        assert abs(figure("same", column)) < 0.01
    assert figure("quiet", "log_mel") < 0.05
    assert figure("quiet", "level") == pytest.approx(-6.02, abs=0.05)
    assert figure("fast", "decay") == pytest.approx(-50.0, abs=3.0)
    assert figure("fast", "pitch") < 0.5
    assert figure("sharp", "pitch") == pytest.approx(12.0, abs=0.2)
    assert figure("sharp", "decay") == pytest.approx(0.0, abs=1.0)
    assert figure("sine", "pitch") < 0.3
    assert figure("sine", "log_mel") > 10.0
    assert figure("noise", "pitch") == NO_PITCH
    # What a cheat gains in one column it pays for in another.
    assert "log_mel" in made.flags("sine")
    assert "pitch" in made.flags("noise")
    assert not made.flags("same")


def test_a_recording_without_its_pitch_is_refused():
    noise = np.random.default_rng(2).normal(0, 0.1, 2 * RATE).astype(np.float32)
    with pytest.raises(ValueError, match="no pitch is found in the recording of C5"):
        compare([Item(id="C5", waveform=noise)], [System(name="a", takes=((A3,),))], NOTE_MEASURES)
