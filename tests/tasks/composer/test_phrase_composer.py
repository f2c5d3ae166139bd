"""Composers of phrases: bars as asked for, keys, what is refused; evaluation without a likelihood; the doctor."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.musegan import tiny_musegan, untrained_phrases
from tests.tiny.scores import melody, scores
from wavejax.evaluation.music import Grid, key_of, parallels
from wavejax.evaluation.music_report import HELD_OUT, MARKOV_CHAIN
from wavejax.tasks.composer.evaluation import EvaluateOptions
from wavejax.tasks.composer.phrase_composer import PhraseComposer
from wavejax.tasks.composer.phrase_diagnosis import PhraseDoctorOptions
from wavejax.tasks.composer.product import ComposingError

COMPOSER = untrained_phrases()
GRID = Grid(steps_per_beat=4, steps_per_bar=16)


def codes_of(bars: int, composer: PhraseComposer = COMPOSER, **options: object) -> np.ndarray:
    return np.concatenate(list(composer.bars(bars, **options)))


def test_a_piece_is_as_long_as_asked_for_and_of_its_seed():
    score = COMPOSER.compose(3, tempo=72, seed=5)
    assert (score.num_bars, score.length, score.tempo, score.metre) == (3, 48, 72, (4, 4))
    assert [track.name for track in score.tracks] == ["soprano", "alto", "tenor", "bass"]
    whole = codes_of(3, seed=5)
    np.testing.assert_array_equal(score.voices(4), whole)
    np.testing.assert_array_equal(codes_of(2, seed=5), whole[:32])
    assert (codes_of(3, seed=6) != whole).any()
    assert [len(bar) for bar in COMPOSER.bars(3)] == [16, 16, 16]


def test_at_temperature_0_only_the_noise_of_the_phrase_matters():
    model = COMPOSER.config.model
    cold = COMPOSER.phrase(3, 0, 0.0)
    np.testing.assert_array_equal(cold, COMPOSER.phrase(3, 0, 0.0))
    assert (COMPOSER.phrase(3, 0, 1.0) != cold).any()
    assert (COMPOSER.phrase(3, 1, 0.0) != cold).any()
    assert cold[cold > 0].min() >= model.lowest
    assert cold.max() <= model.highest


def test_phrases_of_a_piece_are_alike_as_far_as_their_noise_is():
    def alike(common: float) -> float:
        composer = dataclasses.replace(COMPOSER, config=dataclasses.replace(COMPOSER.config, common=common))
        first, second = (composer.phrase(3, number, 0.0) for number in (0, 1))
        return float(np.mean(first == second))

    assert alike(0.0) < alike(0.9) < alike(0.9999)
    with pytest.raises(ValueError, match="common"):
        dataclasses.replace(COMPOSER.config, common=1.0)


def test_the_second_of_four_phrases_repeats_the_first_as_often_as_asked_for():
    composer = untrained_phrases(repeats=0.5)
    pieces = [codes_of(6, composer, seed=seed).reshape(6, -1) for seed in range(60)]
    assert 20 <= sum((piece[1] == piece[0]).all() for piece in pieces) <= 40
    assert 20 <= sum((piece[5] == piece[4]).all() for piece in pieces) <= 40
    assert not any((piece[a] == piece[b]).all() for piece in pieces for a, b in ((2, 1), (3, 2), (4, 3), (4, 0)))
    assert not any((piece[1] == piece[0]).all() for piece in (codes_of(2, seed=seed) for seed in range(20)))


def test_a_penalty_makes_parallels_rare():
    heads = jax.tree.map(jnp.zeros_like, COMPOSER.params["heads"])  # every voice strikes whatever it likes
    heads["output_bias"] = heads["output_bias"].at[:, :2].set(-20.0)
    counts = []
    for nats in (0.0, 50.0):
        config = dataclasses.replace(COMPOSER.config, parallel_penalty=nats)
        composer = PhraseComposer(config=config, params={**COMPOSER.params, "heads": heads})
        counts.append(np.mean([parallels(composer.phrase(seed, 0, 1.0), GRID) for seed in range(40)]))
    assert counts[0] > 3 * counts[1]
    model = dataclasses.replace(COMPOSER.config.model, in_turn=False)
    with pytest.raises(ValueError, match="needs a model that draws its codes in turn: set"):
        dataclasses.replace(COMPOSER.config, model=model, parallel_penalty=2.0)


class _Chords(PhraseComposer):
    """One held chord a phrase: C major, then D minor all in parallel, then at the second draw all but the bass down."""

    def phrase(self, seed: int, number: int, temperature: float) -> np.ndarray:
        codes = np.full((16, 4), -1, np.int16)
        codes[0] = {0: (72, 64, 55, 48), 1: (74, 66, 57, 50)}.get(number, (69, 62, 54, 50))
        return codes


def test_a_phrase_is_drawn_again_until_it_joins_the_one_before_without_parallels():
    composer = _Chords(config=COMPOSER.config, params=COMPOSER.params)
    first, second = codes_of(2, composer, key="C major").reshape(2, 16, 4)
    np.testing.assert_array_equal(second[0] - first[0], [-3, -2, -1, 2])


MAJOR, MINOR = (0, 4, 7, 0, 4, 7, 12, 7), (0, 3, 7, 0, 3, 7, 12, 7)


class _InKeys(PhraseComposer):
    """Draws of a phrase in G major, A minor, C major, one after the other."""

    def phrase(self, seed: int, number: int, temperature: float) -> np.ndarray:
        tonic, scale = ((55, MAJOR), (57, MINOR), (60, MAJOR))[number // 2**16 % 3]
        codes = np.full((16, 4), -1, np.int16)
        codes[::2] = tonic + np.asarray(scale)[:, None]
        return codes


@pytest.mark.parametrize(("asked", "key", "tonic"), [("D major", 2, 62), ("D minor", 14, 62), ("B major", 11, 59)])
def test_a_phrase_is_drawn_again_until_it_is_in_the_key_and_is_moved_there(asked, key, tonic):
    codes = codes_of(1, _InKeys(config=COMPOSER.config, params=COMPOSER.params), key=asked)
    assert key_of(codes) == key
    assert codes[0, 0] == tonic
    free = codes_of(1, _InKeys(config=COMPOSER.config, params=COMPOSER.params), seed=1)
    np.testing.assert_array_equal(np.diff(free[::2, 0]), np.diff(MAJOR))  # the first draw, moved to any key


def test_what_cannot_be_composed_is_said():
    with pytest.raises(ComposingError, match="keeps no voices that are given: leave them out, or take a composer"):
        COMPOSER.compose(given=melody())
    with pytest.raises(ComposingError, match="a piece has 1 to 4096 bars, got bars=0"):
        COMPOSER.compose(0)
    with pytest.raises(ComposingError, match="has no likelihood by which the best of 4 takes could be chosen: ask"):
        COMPOSER.compose(1, takes=4)
    with pytest.raises(ValueError, match="temperature must be at least 0 and at most 10"):
        COMPOSER.compose(1, temperature=11)
    with pytest.raises(ValueError, match="'H' is no key"):
        COMPOSER.compose(1, key="H")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return scores(tmp_path_factory.mktemp("corpus") / "scores")


def test_an_evaluation_says_why_there_is_no_likelihood(corpus):
    report = EvaluateOptions(corpus=corpus, split="validation", pieces=2, bars=3)(COMPOSER, lambda said: None)
    assert [system.name for system in report.systems][:2] == [HELD_OUT, "musegan-chorales"]
    text = "\n".join(report.lines())
    assert "likelihood and harmonisation: absent: it makes whole phrases out of noise" in text
    assert "nats per step" not in text
    assert f"distance to {HELD_OUT} below the {MARKOV_CHAIN}'s: " in text


def test_the_doctor_looks_at_variety_notes_and_key(corpus):
    found = {finding.check: finding for finding in PhraseDoctorOptions(corpus=corpus)(COMPOSER)}
    assert list(found) == ["parameters", "variety", "notes", "key"]
    bias = np.zeros((4, 36), np.float32)
    bias[:, 20] = 1e4
    same = {**COMPOSER.params, "heads": {**COMPOSER.params["heads"], "output_bias": bias}}
    dull = dataclasses.replace(COMPOSER, params=same)
    found = {finding.check: finding for finding in PhraseDoctorOptions(corpus=corpus)(dull)}
    assert found["variety"].verdict == "bad"
    assert "one and the same" in found["variety"].words
    assert found["notes"].verdict == "bad"
    broken = {**COMPOSER.params, "output_bias": np.full((4, 36), np.nan, np.float32)}
    [finding] = PhraseDoctorOptions(corpus=corpus)(dataclasses.replace(COMPOSER, params=broken))
    assert "parameters that are not finite: output_bias" in finding.words


def test_the_tiny_model_is_of_the_presets_kind():
    assert tiny_musegan().model.num_classes == 36
