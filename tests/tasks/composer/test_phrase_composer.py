"""Composers of phrases: bars as asked for, keys, what is refused; evaluation without a likelihood; the doctor."""

import dataclasses

import numpy as np
import pytest

from tests.tiny.musegan import tiny_musegan, untrained_phrases
from tests.tiny.scores import melody, scores
from wavejax.evaluation.music import key_of
from wavejax.evaluation.music_report import HELD_OUT, MARKOV_CHAIN
from wavejax.tasks.composer.evaluation import EvaluateOptions
from wavejax.tasks.composer.phrase_composer import PhraseComposer
from wavejax.tasks.composer.phrase_diagnosis import PhraseDoctorOptions
from wavejax.tasks.composer.phrases import shift_to_one_key
from wavejax.tasks.composer.product import ComposingError

COMPOSER = untrained_phrases()


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


def test_a_key_moves_the_piece_and_chooses_the_mode():
    plain = COMPOSER.phrase(0, 0, 1.0)
    minor = key_of(plain) >= 12
    asked = "D minor" if minor else "D major"
    moved = codes_of(1, seed=0, key=asked)
    struck = plain > 0
    shift = -shift_to_one_key(14 if minor else 2)
    np.testing.assert_array_equal(moved[struck], plain[struck] + shift)
    np.testing.assert_array_equal(moved[~struck], plain[~struck])
    other = codes_of(1, seed=0, key="D major" if minor else "D minor")
    assert (other != moved).any()
    assert (key_of(other) >= 12) != minor


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
