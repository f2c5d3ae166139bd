"""Scores: what may be, bars, parts, transposition, and the round trip through MIDI files."""

from pathlib import Path

import numpy as np
import pytest

from wavejax.data.keys import key_name, key_signature, key_tonic, parse_key, transposed_key
from wavejax.data.scores import Note, Score, ScoreError, Track


def random_codes(rng: np.random.Generator, steps: int, voices: int) -> np.ndarray:
    """Voices in which pitches, holds and rests come in any order that can be."""
    codes = rng.choice([-1, -1, -1, 0, 40, 60, 61, 62, 127, 1], (steps, voices)).astype(np.int16)
    for voice in range(voices):
        sounds = False
        for step in range(steps):
            if codes[step, voice] == -1 and not sounds:
                codes[step, voice] = 0
            sounds = codes[step, voice] == -1 or codes[step, voice] > 0
    return codes


def two_bars() -> Score:
    notes = (Note(0, 16, 60), Note(16, 20, 64), Note(20, 32, 67, 100))
    drums = Track(drums=True, notes=(Note(0, 1, 36),))
    return Score(tracks=(Track(name="tune", program=5, notes=notes), drums), key="C", tempo=90.0)


@pytest.mark.parametrize("voices", [1, 2, 4, 7])
@pytest.mark.parametrize("steps_per_quarter", [1, 4, 12])
def test_voices_go_there_and_back(tmp_path: Path, voices: int, steps_per_quarter: int) -> None:
    codes = random_codes(np.random.default_rng(voices), 97, voices)
    codes[0] = 60 - np.arange(voices)  # each voice has a note, so that each is in the file
    score = Score.from_voices(
        codes, steps_per_quarter=steps_per_quarter, tempo=72.5, metre=(3, 4), key="Em", program=19, title="Ä tune"
    )
    np.testing.assert_array_equal(score.voices(voices), codes)
    assert score.voices(voices).dtype == np.int16
    path = tmp_path / "new" / "tune.mid"
    score.to_midi(path)
    again = Score.from_midi(path, steps_per_quarter)
    end = again.length  # a file does not say how long the silence at its end lasts
    np.testing.assert_array_equal(again.voices(voices), codes[:end])
    assert not (codes[end:] > 0).any()
    assert (again.metre, again.key, again.title) == ((3, 4), "E minor", "Ä tune")
    assert again.tempo == pytest.approx(72.5, abs=1e-3)
    assert {track.program for track in again.tracks} == {19}


def test_a_score_of_many_tracks_goes_through_a_file(tmp_path: Path) -> None:
    tracks = [Track(name=f"part {n}", program=n, notes=(Note(n, n + 4, 30 + n, 20 + n),)) for n in range(20)]
    tracks.append(Track(name="drums", drums=True, notes=(Note(0, 1, 36), Note(0, 1, 42), Note(1, 2, 36))))
    score = Score(tracks=tuple(tracks))
    score.to_midi(tmp_path / "many.mid")
    again = Score.from_midi(tmp_path / "many.mid")
    assert again.tracks == score.tracks
    assert again.num_notes == 23


def test_bars_and_parts() -> None:
    score = two_bars()
    assert (score.steps_per_bar, score.num_bars, score.length) == (16, 2, 32)
    assert score.seconds == pytest.approx(8 * 60 / 90)
    second = score.bars(1)
    assert second.tracks[0].notes == (Note(0, 4, 64), Note(4, 16, 67, 100))
    assert second.length == 16
    part = score.cut(8, 18)
    assert part.tracks[0].notes == (Note(0, 8, 60), Note(8, 10, 64))
    assert part.upbeat == 8
    assert part.num_bars == 1
    with pytest.raises(ScoreError, match=r"the score has 2 bars; there are no 2 from bar 1"):
        score.bars(1, 2)
    with pytest.raises(ScoreError, match=r"has 32 steps; there is no part from step 32 to 40"):
        score.cut(32, 40)
    upbeat = Score(tracks=score.tracks, upbeat=4)
    assert upbeat.bars(0).tracks[0].notes[0] == Note(0, 12, 60)
    assert upbeat.bars(0).upbeat == 0


def test_a_bar_of_no_whole_number_of_steps_says_which_grid_to_use() -> None:
    score = Score(tracks=(), metre=(3, 8), steps_per_quarter=1)
    with pytest.raises(ScoreError, match=r"a bar of 3/8 has 3/2 steps at 1 a quarter note.*use 2 steps"):
        _ = score.steps_per_bar


def test_transposition_moves_notes_and_key_but_no_drums() -> None:
    higher = two_bars().transposed(3)
    assert [note.pitch for note in higher.tracks[0].notes] == [63, 67, 70]
    assert higher.tracks[1] == two_bars().tracks[1]
    assert higher.key == "Eb major"
    assert higher.transposed(-3) == two_bars()
    assert two_bars().transposed(0) == two_bars()
    with pytest.raises(ScoreError, match=r"pitches are 60 to 67, so it can be transposed by -59 to 60 semitones"):
        two_bars().transposed(61)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"steps_per_quarter": 0}, r"steps_per_quarter must be at least 1 and at most 96, got 0"),
        ({"tempo": 0.0}, r"the tempo must be at least 1 and at most 1000 quarter notes a minute, got 0"),
        ({"tempo": float("nan")}, r"the tempo must be"),
        ({"metre": (4, 3)}, r"the metre is 4/3; expected 1 to 64 of a note value of 1, 2, 4"),
        ({"key": "H"}, r"'H' is no key: write G, Bb major, F# minor or Em"),
        ({"upbeat": -1}, r"the upbeat is -1"),
        ({"length": 2**18 + 1}, r"longer than the 262144"),
    ],
)
def test_a_score_that_cannot_be_is_refused(fields: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Score(tracks=(), **fields)


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        (Note(4, 4, 60), r"lasts from step 4 to 4; expected an end after the start"),
        (Note(-1, 4, 60), r"lasts from step -1 to 4"),
        (Note(0, 4, 128), r"has pitch 128 and velocity 80; expected a pitch from 0 to 127"),
        (Note(0, 4, 60, 0), r"velocity 0; expected .* a velocity from 1 to 127"),
    ],
)
def test_a_note_that_cannot_be_is_refused(note: Note, sentence: str) -> None:
    with pytest.raises(ScoreError, match=sentence):
        Track(name="tune", notes=(note,))


def test_keys_by_name() -> None:
    assert parse_key("e") == parse_key("Em") == parse_key("E minor") == "E minor"
    assert parse_key("Bb") == "Bb major"
    assert key_signature("Eb major") == (-3, False)
    assert key_signature("F# minor") == (3, True)
    assert key_name(-3, True) == "C minor"
    assert [key_tonic(key) for key in ("C", "F#", "Cb major", "a")] == [0, 6, 11, 9]
    for sharps in range(-7, 8):
        for is_minor in (False, True):
            assert key_signature(key_name(sharps, is_minor)) == (sharps, is_minor)
    assert transposed_key("C major", 7) == "G major"
    assert transposed_key("A minor", -1) == "G# minor"
    with pytest.raises(ValueError, match="up to seven"):
        key_name(8, False)
