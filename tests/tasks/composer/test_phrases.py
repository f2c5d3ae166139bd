"""Phrases as data: cut from bars, in one key, struck at their beginning; the same for every start and row."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from tests.tiny.musegan import tiny_musegan
from tests.tiny.scores import corpus
from wavejax.data.score_corpus import Piece, ScoreCorpus
from wavejax.data.scores import Score
from wavejax.evaluation.music import key_of, sounding
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.running import training_strategy
from wavejax.tasks.composer.phrases import PhraseData, open_phrases, shift_to_one_key

ALL = slice(None)
STRATEGY = training_strategy(tiny_musegan(), jax.devices()[:1])


def chorale(root: int, bars: int = 3) -> np.ndarray:
    """A cadence in the major key on a root, whose voices last over the bar lines."""
    chords = np.asarray([[12, 7, 4, 0], [12, 9, 5, 5], [11, 7, 2, 7], [12, 7, 4, 0]])
    codes = np.full((16 * bars, 4), -1, np.int16)
    codes[2::4] = np.resize(chords, (4 * bars, 4)) + root
    codes[0] = chords[0] + root
    return codes


def data(root: int = 50, *, one_key: bool = True) -> PhraseData:
    config = tiny_musegan()
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, one_key=one_key))
    pieces = [Piece(f"{split}", split, Score.from_voices(chorale(root))) for split in ("train", "validation")]
    return open_phrases(config, ScoreCorpus.in_memory(pieces))


def codes_of(examples: np.ndarray, lowest: int = 44) -> np.ndarray:
    return np.where(examples < 2, -examples, examples + lowest - 2)


def test_every_key_has_its_way_to_c_major_or_a_minor():
    shifts = [shift_to_one_key(key) for key in range(24)]
    assert all(-5 <= shift <= 6 for shift in shifts)
    assert {(key % 12 + shift) % 12 for key, shift in enumerate(shifts[:12])} == {0}
    assert {(key % 12 + shift) % 12 for key, shift in enumerate(shifts[12:])} == {9}


@pytest.mark.parametrize("root", [47, 50, 55])
def test_phrases_are_in_one_key_and_begin_with_what_sounds(root):
    found = data(root)
    assert [len(found.phrases[split]) for split in ("train", "validation")] == [3, 3]
    [batch] = itertools.islice(found.held_out("validation", ALL), 1)
    assert batch["examples"].shape == (80, 16, 4)
    np.testing.assert_array_equal(batch["mask"], np.arange(80) < 3)
    piece = found.pieces["validation"][0].codes
    assert key_of(piece) == root % 12
    for number, phrase in enumerate(codes_of(batch["examples"][:3])):
        assert (phrase[0] > 0).all()
        assert (phrase[1:] == -1).any()
        part = sounding(piece)[16 * number : 16 * number + 16]
        apart = np.unique(sounding(phrase) - part)
        assert apart.size == 1
        assert (root + int(apart[0])) % 12 == 0


def test_otherwise_examples_come_in_all_keys_that_fit():
    found = data(50, one_key=False)
    drawn = np.concatenate([batch["examples"] for batch in itertools.islice(found.training(0, ALL, STRATEGY), 4)])
    lowest = {int(row.min()) - 50 for row in (sounding(codes)[sounding(codes) > 0] for codes in codes_of(drawn))}
    assert lowest == set(range(-5, 7))


def test_a_batch_is_a_function_of_its_step_and_rows():
    found = data(one_key=False)
    whole = list(itertools.islice(found.training(0, ALL, STRATEGY), 5))
    later = list(itertools.islice(found.training(3, slice(10, 30), STRATEGY), 2))
    for one, other in zip(whole[3:], later, strict=True):
        np.testing.assert_array_equal(one["examples"][10:30], other["examples"])
    assert (whole[0]["examples"] != whole[1]["examples"]).any()


def test_what_cannot_be_is_said():
    found = open_phrases(tiny_musegan(), corpus())
    assert found.has("train")
    config = tiny_musegan()
    long = dataclasses.replace(config, model=dataclasses.replace(config.model, bars=20))
    with pytest.raises(ExperimentError, match="no phrase of 20 bars in the split 'train', it has nothing"):
        next(open_phrases(long, corpus()).training(0, ALL, STRATEGY))
    with pytest.raises(ExperimentError, match="the corpus has 2 steps a quarter note, and the model 4: prepare it"):
        open_phrases(config, corpus(steps_per_quarter=2))
    with pytest.raises(ValueError, match=r"training\.batch_size 81 is not a multiple of the critic's 2 turns"):
        dataclasses.replace(config, training=dataclasses.replace(config.training, batch_size=81, split_rows=True))
