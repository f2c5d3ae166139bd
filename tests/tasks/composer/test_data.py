"""Crops of scores: functions of (seed, step), every held-out step once, given voices, transposition."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from tests.tiny.scores import corpus, tiny_composer
from wavejax.data.score_corpus import ScoreCorpus
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.running import training_strategy
from wavejax.models.chorale import FREE, ChoraleConfig
from wavejax.nn.scores import HOLD
from wavejax.tasks.composer.data import ScoreData, batch_shapes, classes_of, open_scores

CONFIG = tiny_composer()
ALL = slice(0, CONFIG.training.batch_size)
STRATEGY = training_strategy(CONFIG, jax.devices()[:1])


def data(model: ChoraleConfig = CONFIG.model, **options: object) -> ScoreData:
    changed = dataclasses.replace(CONFIG, model=model, data=dataclasses.replace(CONFIG.data, **options))
    return open_scores(changed, corpus())


def batches(found: ScoreData, start: int, count: int, rows: slice = ALL) -> list:
    return list(itertools.islice(found.training(start, rows, STRATEGY), count))


def test_batches_are_functions_of_the_step_and_of_the_row():
    whole, later, part = (batches(data(), *given) for given in ((0, 4), (2, 2), (0, 4, slice(5, 7))))
    for name in batch_shapes(CONFIG):
        for step in range(4):
            np.testing.assert_array_equal(part[step][name], whole[step][name][5:7])
            if step >= 2:
                np.testing.assert_array_equal(later[step - 2][name], whole[step][name])
    assert not np.array_equal(whole[0]["classes"], whole[1]["classes"])


def test_every_held_out_step_is_scored_once_as_it_stands():
    found, model = data(), CONFIG.model
    for split, number in (("validation", 2), ("test", 1)):
        rows = list(found.held_out(split, ALL))
        classes, frames, mask = (np.concatenate([row[name] for row in rows]) for name in ("classes", "frames", "mask"))
        pieces = found.pieces[split]
        assert len(pieces) == number
        assert mask.sum() == sum(len(piece.codes) for piece in pieces)
        expected = np.concatenate([classes_of(model, piece.codes) for piece in pieces])
        np.testing.assert_array_equal(classes[mask], expected)
        assert (frames[..., :4] == FREE).all()
        assert not frames[..., 5:].any(), "a held-out piece is told neither its end nor its key"
        places = [(np.arange(len(piece.codes)) - piece.upbeat) % 16 for piece in pieces]
        np.testing.assert_array_equal(frames[:, : CONFIG.data.crop_steps, 4][mask], np.concatenate(places))


def test_given_codes_are_those_of_the_piece_and_some_voice_is_free():
    found = data(given_share=1.0, told_share=1.0)
    for batch in batches(found, 0, 3):
        given = batch["frames"][:, : CONFIG.data.crop_steps, :4]
        inside = batch["mask"][..., None] & (given != FREE)
        assert inside.any()
        np.testing.assert_array_equal(given[inside], (batch["classes"] + 1)[inside])
        assert (given == FREE)[batch["mask"]].any(axis=-1).all()
        assert (batch["frames"][..., 5:] > 0).all()


def test_what_sounds_when_a_crop_begins_is_struck_there():
    found = data()
    starts = next(iter(found.held_out("test", ALL)))["classes"][:, 0]
    assert (starts[1] != 1).all(), "the second crop begins within the piece: nothing is held from before it"
    piece = found.pieces["test"][0].codes
    begin = CONFIG.data.crop_steps - CONFIG.data.history
    assert (piece[begin] == HOLD).any()


def test_transposition_keeps_to_the_range_and_can_be_left_out():
    wide, found = dataclasses.replace(CONFIG.model, lowest=53, highest=67), data(transpose=False)
    drawn = np.concatenate([batch["classes"] for batch in batches(data(model=wide), 0, 20)])
    assert {*np.unique(drawn[drawn > 1])} == {*range(2, wide.coding.num_classes)}  # pieces have 55 to 66
    plain, model = np.concatenate([batch["classes"] for batch in batches(found, 0, 20)]), CONFIG.model
    known = {tuple(row) for piece in found.pieces["train"] for row in classes_of(model, piece.codes)}
    assert {tuple(row) for row in plain[:, 1:].reshape(-1, 4)} <= known | {(0, 0, 0, 0)}


def test_without_holds_long_notes_are_struck_again():
    model = dataclasses.replace(CONFIG.model, holds=False)
    found = open_scores(dataclasses.replace(CONFIG, model=model), corpus())
    assert all((piece.codes != HOLD).all() for piece in found.pieces["train"])
    assert all((piece.codes == HOLD).any() for piece in data().pieces["train"])


def test_a_corpus_that_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(ExperimentError, match="the corpus has 2 steps a quarter note, and the model 4: prepare it"):
        open_scores(CONFIG, corpus(steps_per_quarter=2))
    narrow = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, highest=60))
    with pytest.raises(ExperimentError, match=r"has pitches from 55 to 66, but the model knows 55 to 60: set model\."):
        open_scores(narrow, corpus())
    alone = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, voices=("melody",)))
    with pytest.raises(ExperimentError, match=r"no piece of the corpus can be read as 1 voices \(.*set model\.voices"):
        open_scores(alone, corpus())
    training = ScoreCorpus.in_memory(list(corpus().pieces("train")))
    with pytest.raises(ExperimentError, match="no scores in the split 'test', it has train"):
        next(open_scores(CONFIG, training).held_out("test", ALL))
    with pytest.raises(ValueError, match=r"data\.history 24 leaves nothing of data\.crop_steps 24"):
        dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, history=24))
