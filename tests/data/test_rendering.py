"""The sound of scores: each note once, in its place, at its level."""

from collections.abc import Sequence

import numpy as np
import pytest

from wavejax.data.players import NotePlayer, PlayedNote, Sine
from wavejax.data.rendering import PEAK, render
from wavejax.data.scores import Note, Score, ScoreError, Track


class Clicks:
    """Plays every note as one sample of its velocity in thousandths."""

    sample_rate = 1000

    def __init__(self) -> None:
        self.asked: list[list[PlayedNote]] = []

    def sounds(self, notes: Sequence[PlayedNote]) -> list[np.ndarray]:
        self.asked.append(list(notes))
        return [np.asarray([note.velocity / 1000], np.float32) for note in notes]


def test_equal_notes_are_played_once_and_stand_in_their_places() -> None:
    notes = (Note(0, 2, 60), Note(2, 4, 60), Note(4, 8, 60), Note(4, 6, 64, 40))
    player = Clicks()
    drums = Track(drums=True, notes=(Note(0, 1, 36),))
    score = Score(tracks=(Track(notes=notes, program=3), drums), tempo=60.0)
    sound = score.waveform(player)
    assert sound.dtype == np.float32
    assert len(sound) == 2000
    assert player.asked == [
        [PlayedNote(60, 0.5, 80, 3), PlayedNote(60, 1.0, 80, 3), PlayedNote(64, 0.5, 40, 3)],
    ]
    assert {int(at): round(float(sound[at]), 3) for at in np.flatnonzero(sound)} == {0: 0.08, 500: 0.08, 1000: 0.12}


def test_drums_sound_where_the_player_has_them() -> None:
    player = Clicks()
    player.plays_drums = True
    Score(tracks=(Track(drums=True, notes=(Note(0, 1, 36),)),)).waveform(player)
    assert player.asked[0][0].drums


def test_the_sum_keeps_below_the_peak_and_the_last_sound_rings_out() -> None:
    tracks = tuple(Track(notes=(Note(0, 4, 60, 127),)) for _ in range(40))
    sound = Score(tracks=tracks, tempo=60.0).waveform("sine")
    assert np.max(np.abs(sound)) == pytest.approx(PEAK, abs=1e-5)
    assert len(sound) == round(1.05 * 16_000)
    assert sound[-1] == pytest.approx(0.0, abs=1e-3)
    assert not Score(tracks=(), length=4, tempo=60.0).waveform("sine").any()


def test_a_sine_has_its_pitch_and_its_level() -> None:
    [sound] = Sine(sample_rate=8000).sounds([PlayedNote(69, 1.0, 127)])
    spectrum = np.abs(np.fft.rfft(sound[:8000]))
    assert int(np.argmax(spectrum)) == 440
    assert 0.19 < np.max(np.abs(sound)) <= 0.2
    [high] = Sine(sample_rate=8000).sounds([PlayedNote(127, 1.0, 127)])
    assert not high.any()  # beyond half the sample rate: silent rather than another pitch


class Broken(Clicks):
    def sounds(self, notes: Sequence[PlayedNote]) -> list[np.ndarray]:
        return [np.full(3, np.nan, np.float32) for _ in notes]


def test_what_plays_no_notes_is_refused() -> None:
    score = Score(tracks=(Track(notes=(Note(0, 4, 60),)),))
    with pytest.raises(ScoreError, match=r"the instrument 'trumpet' plays no notes: give \"sine\""):
        score.waveform("trumpet")
    with pytest.raises(ScoreError, match=r"was asked for 1 notes and returned 1 arrays of shapes \[\(3,\)\]"):
        render(score, Broken())
    with pytest.raises(ScoreError, match=r"lasts 72\.8 hours, at most 2 are rendered"):
        Score(tracks=(), length=2**18, tempo=60.0, steps_per_quarter=1).waveform("sine")
    assert isinstance(Sine(), NotePlayer)
