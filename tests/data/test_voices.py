"""Voices of scores: lines as they are, chords led through voices, and what cannot be."""

import numpy as np
import pytest

from wavejax.data.scores import Note, Score, ScoreError, Track
from wavejax.data.voices import (
    line_of,
    transposed_codes,
    voice_leading,
    without_empty_holds,
)


def score_of(*tracks: tuple[Note, ...], **fields: object) -> Score:
    return Score(tracks=tuple(Track(notes=notes) for notes in tracks), **fields)


def test_holds_and_attacks_of_repeated_notes_stay_apart() -> None:
    score = score_of((Note(0, 2, 60), Note(2, 4, 60), Note(5, 6, 62)))
    assert score.voices(1)[:, 0].tolist() == [60, -1, 60, -1, 0, 62]


def test_lines_are_ordered_by_pitch_or_by_their_names() -> None:
    low, high = (Note(0, 4, 40),), (Note(0, 4, 70),)
    assert score_of(low, high).voices(3)[0].tolist() == [70, 40, 0]
    named = Score(tracks=(Track(name="Bass ", notes=high), Track(name="soprano", notes=low)))
    assert named.voices(4)[0].tolist() == [40, 0, 0, 70]
    assert named.voices(2)[0].tolist() == [40, 70]
    twice = Score(tracks=(Track(name="bass", notes=low), Track(name="bass", notes=high)))
    assert twice.voices(2)[0].tolist() == [70, 40]


def test_a_legato_line_is_cut_and_chords_are_no_line() -> None:
    assert line_of((Note(0, 5, 60), Note(4, 8, 62))) == (Note(0, 4, 60), Note(4, 8, 62))
    assert line_of((Note(0, 8, 60), Note(2, 8, 62))) is None
    assert line_of((Note(0, 4, 60), Note(0, 4, 64))) is None
    assert line_of(()) == ()


def test_chords_are_led_through_voices_without_crossing() -> None:
    rng = np.random.default_rng(3)
    codes, pitches = np.zeros((64, 4), np.int16), np.asarray([74, 67, 60, 48])
    for step in range(0, 64, 4):
        pitches = np.asarray([72, 65, 58, 47]) + rng.integers(-3, 4, 4)
        codes[step], codes[step + 1 : step + 4] = pitches, -1
    score = Score.from_voices(codes)
    one_track = score_of(tuple(note for track in score.tracks for note in track.notes))
    np.testing.assert_array_equal(one_track.voices(4), codes)


def test_a_held_note_keeps_its_voice_and_a_missing_voice_rests() -> None:
    chord = (Note(0, 4, 72), Note(0, 8, 64), Note(0, 8, 55), Note(0, 8, 48))
    later = (Note(4, 8, 65), Note(8, 12, 74), Note(8, 12, 47))
    codes = score_of((*chord, *later)).voices(4)
    assert codes[0].tolist() == [72, 64, 55, 48]
    assert codes[4].tolist() == [65, -1, -1, -1]
    assert codes[8].tolist() == [74, 0, 0, 47]


def test_the_cheapest_assignment_is_the_best_of_all() -> None:
    import itertools

    from wavejax.data import voices

    rng = np.random.default_rng(0)
    for _ in range(200):
        parts = [voices._Voice(float(home)) for home in sorted(rng.integers(40, 80, 5), reverse=True)]
        for part in parts:
            part.notes.append(Note(0, int(rng.choice([4, 9])), int(rng.integers(40, 80))))
        free = [number for number, part in enumerate(parts) if part.end <= 5]
        new = [Note(5, 8, int(pitch)) for pitch in sorted(rng.choice(range(40, 80), 5, False), reverse=True)]
        new = new[: int(rng.integers(0, len(free) + 1))]
        held = [(n, part.notes[-1].pitch) for n, part in enumerate(parts) if part.end > 5]

        def cost(places: tuple[int, ...], new: list = new, parts: list = parts, held: list = held) -> float:
            crossed = sum(
                (pitch > note.pitch) != (other < place) and pitch != note.pitch
                for note, place in zip(new, places, strict=True)
                for other, pitch in held
            )
            return 1000.0 * crossed + sum(parts[p].cost(n.pitch) for n, p in zip(new, places, strict=True))

        best = min(map(cost, itertools.combinations(free, len(new))), default=0.0)
        assert cost(voices._assigned(parts, 5, new)) == pytest.approx(best)


def test_doublings_are_one_note_and_legato_chords_are_cut() -> None:
    tune = (Note(0, 4, 60), Note(4, 8, 62))
    assert score_of(tune, tune, tune).voices(2)[:, 0].tolist() == [60, -1, -1, -1, 62, -1, -1, -1]
    legato = (Note(0, 9, 60), Note(0, 9, 64), Note(8, 16, 62), Note(8, 16, 65))
    assert score_of(legato).voices(2)[8].tolist() == [65, 62]


def test_too_many_notes_are_refused_unless_few_are_left_out() -> None:
    thick = tuple(Note(0, 4, 60 + n) for n in range(5))
    with pytest.raises(ScoreError, match=r"for 4 voices: 1 of its 5 notes find no voice; 5 sound at step 0"):
        score_of(thick).voices(4)
    assert score_of(thick).voices(5)[0].tolist() == [64, 63, 62, 61, 60]
    lines = tuple(Note(step, step + 1, 60 + n) for step in range(1, 64) for n in range(4))
    codes = score_of((*(note._replace(end=1) for note in thick), *lines)).voices(4)
    assert codes[0].tolist() == [64, 63, 62, 60]  # an inner note goes, the outer ones stay
    with pytest.raises(ScoreError, match="20 sound at step 0"):
        score_of(tuple(Note(0, 4, 40 + n) for n in range(20))).voices(4)


def test_drums_are_no_voice_and_pitch_0_has_no_code() -> None:
    drums = Track(drums=True, notes=(Note(0, 4, 36),))
    score = Score(tracks=(drums, Track(notes=(Note(0, 4, 60),))))
    assert score.voices(2)[0].tolist() == [60, 0]
    with pytest.raises(ScoreError, match="pitch 0 has no code"):
        score_of((Note(0, 1, 0),)).voices(1)


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        ([[-1]], r"voice 1 holds at step 0, where no note of it sounds \(1 such holds in all\)"),
        ([[60, 0], [-1, -1]], r"voice 2 holds at step 1"),
        ([[128]], r"pitches up to 127, got 128 to 128"),
        ([[-2]], r"got -2"),
        ([60, 62], r"voices are integers \[steps, voices\]"),
        ([[60.0]], r"got float64"),
    ],
)
def test_codes_that_cannot_be_are_refused(codes: list, sentence: str) -> None:
    with pytest.raises(ScoreError, match=sentence):
        Score.from_voices(codes)


def test_codes_are_mended_moved_and_made_to_sound() -> None:
    codes = np.asarray([[-1, 60], [62, -1], [-1, 0], [0, -1], [-1, 61]])
    mended = without_empty_holds(codes)
    assert mended.tolist() == [[0, 60], [62, -1], [-1, 0], [0, 0], [0, 61]]
    Score.from_voices(mended)
    assert transposed_codes(mended, 2).tolist() == [[0, 62], [64, -1], [-1, 0], [0, 0], [0, 63]]
    with pytest.raises(ScoreError, match=r"pitches are 60 to 62, so they can be transposed by -59 to 65"):
        transposed_codes(mended, 66)
    assert without_empty_holds(np.zeros((0, 4), np.int16)).shape == (0, 4)


def test_no_notes_are_silent_voices() -> None:
    assert Score(tracks=(), length=3).voices(2).tolist() == [[0, 0]] * 3
    assert voice_leading([], 2) == [[], []]
    with pytest.raises(ScoreError, match="1 to 16 voices, got 0"):
        Score(tracks=()).voices(0)
