"""Rolls of instruments: out of scores and back, cut into phrases, measured, made by a network."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from tests.tiny.musegan import bass_lines, tiny_published_musegan
from wavejax.data.scores import Note, Score, Track
from wavejax.evaluation.music import Grid
from wavejax.evaluation.track_rolls import ROLL_MEASURES, roll_means
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.running import training_strategy
from wavejax.models.musegan import LOWEST, TRACKS, RollsConfig
from wavejax.tasks.composer.product import ComposingError
from wavejax.tasks.composer.published_musegan import RollComposer
from wavejax.tasks.composer.rolls import open_rolls, roll_of_score, score_of_roll, track_of

CONFIG = tiny_published_musegan()
ALL = slice(None)
GRID = Grid(steps_per_beat=12, steps_per_bar=48)


def test_instruments_belong_to_five_tracks():
    programs = {0: "piano", 7: "piano", 24: "guitar", 33: "bass", 48: "strings", 56: "strings", 10: "strings"}
    assert {number: track_of(Track(program=number)) for number in programs} == programs
    assert track_of(Track(program=33, drums=True)) == "drums"


def test_a_score_becomes_a_roll_and_again_a_score():
    model = RollsConfig(version="v3")
    notes = {"bass": [Note(0, 30, 40), Note(40, 200, 43)], "strings": [Note(10, 12, 60), Note(12, 14, 64)]}
    programs = {"bass": 33, "strings": 48}
    tracks = tuple(Track(name=name, program=programs[name], notes=tuple(each)) for name, each in notes.items())
    score = Score(tracks=(*tracks, Track(name="too high", notes=(Note(0, 5, 127),))), steps_per_quarter=12)
    roll = roll_of_score(score, 0, model)
    assert roll.shape == (4, 48, 84, 5)
    assert roll[..., TRACKS.index("piano")].sum() == 0
    assert roll[0, 11, 60 - LOWEST, TRACKS.index("strings")]
    again = score_of_roll(roll.reshape(-1, 84, 5), model, 120)
    found = {track.name: [(note.start, note.end, note.pitch) for note in track.notes] for track in again.tracks}
    assert found["bass"] == [(0, 30, 40), (40, 192, 43)]
    assert found["strings"] == [(10, 12, 60), (12, 14, 64)]
    assert [track.drums for track in again.tracks] == [name == "drums" for name in TRACKS]
    late = roll_of_score(score, 20, model)
    np.testing.assert_array_equal(late.reshape(-1, 84, 5)[:172], roll.reshape(-1, 84, 5)[20:])


def test_phrases_begin_with_bars_and_batches_are_functions_of_their_step():
    data, strategy = open_rolls(CONFIG, bass_lines()), training_strategy(CONFIG, jax.devices()[:1])
    assert {split: len(places) for split, places in data.places.items()} == {"train": 5, "validation": 1, "test": 0}
    whole = list(itertools.islice(data.training(0, ALL, strategy), 4))
    later = next(data.training(3, slice(5, 9), strategy))
    np.testing.assert_array_equal(whole[3]["examples"][5:9], later["examples"])
    assert whole[0]["examples"].shape == (64, 4, 48, 84, 1)
    [batch] = data.held_out("validation", ALL)
    np.testing.assert_array_equal(batch["mask"], np.arange(64) < 1)
    assert batch["examples"][0].sum() == 16 * 10  # a note of ten steps in each beat
    with pytest.raises(
        ExperimentError, match="no phrase of 4 bars of 4/4 in the split 'test', it has train, validation"
    ):
        next(data.held_out("test", ALL))
    with pytest.raises(ExperimentError, match="24 steps a quarter note, and the network 12: prepare it with --steps"):
        open_rolls(CONFIG, bass_lines(24))


def test_each_measure_on_a_roll_where_it_is_known():
    roll = np.zeros((96, 84, 2), bool)
    roll[:24, 36, 0] = roll[:24, 43, 0] = roll[30:31, 48, 0] = True
    found = {name: measure(roll, GRID) for name, measure in ROLL_MEASURES.items()}
    assert found == pytest.approx(
        {
            "empty bars": 3 / 4,
            "pitch classes a bar and track": 2,
            "notes of a 32nd or longer": 2 / 3,
            "notes at once in a track": (24 * 2 + 1) / 25,
        }
    )
    empty = {name: measure(0 * roll > 0, GRID) for name, measure in ROLL_MEASURES.items()}
    assert empty["empty bars"] == 1
    assert all(np.isnan(value) for name, value in empty.items() if name != "empty bars")
    means = roll_means([roll, roll, roll & False], GRID)
    assert means["empty bars"] is not None
    assert means["empty bars"].mean == pytest.approx((3 / 4 + 3 / 4 + 1) / 3)
    assert roll_means([roll & False], GRID)["empty bars"] is None


def test_what_a_network_cannot_do_is_said():
    composer = RollComposer(config=CONFIG, params={})
    for options in ({"key": "G"}, {"takes": 2}, {"given": Score(tracks=())}):
        with pytest.raises(ComposingError, match="keeps no voices, aims at no key and has no likelihood"):
            composer.bars(4, **options)
    with pytest.raises(ComposingError, match="a piece has 1 to 4096 bars, got bars=0"):
        composer.bars(0)
    with pytest.raises(ValueError, match="thinner must divide 128"):
        dataclasses.replace(CONFIG.model, thinner=3)
    with pytest.raises(ValueError, match="tracks must be the first of bass, drums, guitar, piano, strings"):
        dataclasses.replace(CONFIG.model, tracks=("piano",))
