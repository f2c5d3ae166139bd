"""Composers: bars as asked for, given voices kept, likelihoods, sentences for what cannot be, and judgements."""

import dataclasses

import numpy as np
import pytest

from tests.tiny.chorale import codes
from tests.tiny.scores import melody, scores, untrained
from wavejax.data.scores import Score
from wavejax.evaluation.music import sounding
from wavejax.evaluation.music_report import HELD_OUT
from wavejax.generation import generate
from wavejax.tasks.composer.data import Piece, classes_of
from wavejax.tasks.composer.diagnosis import DoctorOptions
from wavejax.tasks.composer.evaluation import EvaluateOptions
from wavejax.tasks.composer.product import ComposingError, key_called, key_number

COMPOSER = untrained()


def test_a_piece_is_as_long_as_asked_for_and_of_its_seed():
    score = COMPOSER.compose(3, tempo=72, seed=5)
    assert (score.num_bars, score.length, score.tempo, score.metre) == (3, 48, 72, (4, 4))
    assert [track.name for track in score.tracks] == ["soprano", "alto", "tenor", "bass"]
    again = np.concatenate(list(COMPOSER.bars(3, seed=5)))
    np.testing.assert_array_equal(score.voices(4), again)
    assert [len(bar) for bar in COMPOSER.bars(3, seed=5)] == [16, 16, 16]
    assert not np.array_equal(np.concatenate(list(COMPOSER.bars(3, seed=6))), again)
    careful = [np.concatenate(list(COMPOSER.bars(2, seed=seed, temperature=0.0))) for seed in (1, 2)]
    np.testing.assert_array_equal(*careful)


def test_a_melody_is_harmonised_and_kept():
    tune = melody(24)
    made = COMPOSER.compose(given=tune, seed=1)
    assert (made.length, made.tempo) == (32, tune.tempo)
    kept = made.voices(4)
    np.testing.assert_array_equal(kept[:24, 0], tune.voices(1)[:, 0])
    assert (kept[:, 1:] > 0).any(axis=0).all()
    bass = COMPOSER.compose(given=melody(16, name="Bass"), seed=1).voices(4)
    np.testing.assert_array_equal(bass[:, 3], melody(16).voices(1)[:, 0])


def test_a_beginning_is_continued_after_its_upbeat():
    opening = Score.from_voices(codes(COMPOSER.config.model, 20, 3), upbeat=4)
    bars = list(COMPOSER.bars(3, given=opening, seed=2))
    assert [len(bar) for bar in bars] == [4, 16, 16, 16]
    np.testing.assert_array_equal(np.concatenate(bars)[:20], opening.voices(4))
    assert COMPOSER.compose(3, given=opening, seed=2).upbeat == 4


def test_another_key_or_end_changes_what_is_drawn():
    plain, told = (np.concatenate(list(COMPOSER.bars(2, seed=3, key=key))) for key in (None, "Eb"))
    assert not np.array_equal(plain, told)
    longer = np.concatenate(list(COMPOSER.bars(4, seed=3)))[:32]
    np.testing.assert_array_equal(plain[:24], longer[:24])  # both have more than five steps to go
    assert [key_called(number) for number in (0, 10, 12, 21)] == ["C major", "Bb major", "C minor", "A minor"]
    assert [key_number(name) for name in ("C", "Bb major", "Cm", "A minor")] == [0, 10, 12, 21]


def test_what_a_piece_costs_does_not_depend_on_what_stands_beside_it():
    piece = Piece("a", codes(COMPOSER.config.model, 40, 1), 2, 16)
    nats = COMPOSER.nats(piece)
    assert nats.shape == (40, 4)
    assert (nats > 0).all()
    np.testing.assert_allclose(COMPOSER.nats(piece._replace(codes=piece.codes[:25])), nats[:25], atol=1e-5)
    harmony = COMPOSER.nats(piece, given=("alto", "bass"))
    assert (harmony[:, [1, 3]] == 0).all()
    assert (harmony[:, [0, 2]] > 0).all()


def test_the_most_probable_of_several_takes_is_kept():
    model = COMPOSER.config.model
    frames = COMPOSER._frames(16, None, None)
    options = {"seed": 3, "temperature": 1.0, "local_conditioning": frames[None]}
    takes = [generate(model.build(), COMPOSER.params, stream_ids=np.asarray([n]), **options) for n in range(4)]
    codes = np.rint(np.asarray(takes)).astype(np.int16).reshape(4, 16, 4)
    classes = classes_of(model, codes)
    costs = COMPOSER._costs(classes, frames, np.zeros_like(classes)).sum(axis=(1, 2))
    best = np.concatenate(list(COMPOSER.bars(1, seed=3, temperature=1.0, takes=4)))
    np.testing.assert_array_equal(best, codes[np.argmin(costs)])
    np.testing.assert_array_equal(np.concatenate(list(COMPOSER.bars(1, seed=3, temperature=1.0))), codes[0])
    assert len(set(costs.tolist())) == 4


def test_the_bars_of_several_takes_are_those_of_one():
    opening = Score.from_voices(codes(COMPOSER.config.model, 20, 3), upbeat=4)
    bars = list(COMPOSER.bars(3, given=opening, seed=2, takes=2))
    assert [len(bar) for bar in bars] == [4, 16, 16, 16]
    np.testing.assert_array_equal(np.concatenate(bars)[:20], opening.voices(4))


def test_to_hold_and_to_strike_again_may_count_as_one():
    piece = codes(COMPOSER.config.model, 24, 1)
    step, voice = (int(number) for number in np.argwhere(piece == -1)[3])
    struck = piece.copy()
    struck[step, voice] = sounding(piece)[step, voice]
    both = [COMPOSER.nats(each)[step, voice] for each in (piece, struck)]
    merged = [COMPOSER.nats(each, merge_repeats=True)[step, voice] for each in (piece, struck)]
    np.testing.assert_allclose(merged, -np.log(np.exp(-both[0]) + np.exp(-both[1])), rtol=1e-4)
    plain, all_merged = COMPOSER.nats(piece), COMPOSER.nats(piece, merge_repeats=True)
    assert (all_merged <= plain + 1e-5).all()
    before = np.concatenate([np.zeros((1, 4)), sounding(piece)[:-1]])
    alone = (piece != -1) & ((piece == 0) | (piece != before))
    np.testing.assert_array_equal(all_merged[alone], plain[alone])


def test_what_cannot_be_composed_is_said():
    with pytest.raises(ComposingError, match="a piece has 1 to 4096 bars, got bars=0"):
        COMPOSER.compose(0)
    with pytest.raises(ComposingError, match="the given score has no notes: leave it out, or give a melody"):
        COMPOSER.compose(given=Score(tracks=(), length=4))
    with pytest.raises(ComposingError, match=r"1 steps a quarter note, and the model 4: read it with Score\.from_midi"):
        COMPOSER.compose(given=dataclasses.replace(melody(), steps_per_quarter=1))
    with pytest.raises(ComposingError, match=r"pitches from 70 to 76, and the model knows 55 to 66: transpose it"):
        COMPOSER.compose(given=melody().transposed(12))
    five = Score(tracks=melody().tracks * 5)
    with pytest.raises(ComposingError, match=r"has 5 tracks with notes, and the model 4 voices \(soprano, alto"):
        COMPOSER.compose(given=five)
    with pytest.raises(ComposingError, match="there is no voice 'viola': the model has soprano, alto, tenor, bass"):
        COMPOSER.nats(codes(COMPOSER.config.model, 4), given=("viola",))
    with pytest.raises(ComposingError, match="takes must be at least 1 and at most 1024, got 0"):
        COMPOSER.compose(1, takes=0)
    with pytest.raises(ValueError, match="'H' is no key"):
        COMPOSER.compose(1, key="H")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return scores(tmp_path_factory.mktemp("corpus") / "scores")


def test_the_doctor_finds_nothing_learnt_in_an_untrained_composer(corpus):
    found = {finding.check: finding for finding in DoctorOptions(corpus=corpus)(COMPOSER)}
    assert list(found) == ["parameters", "forms", "likelihood", "given voices", "free-running"]
    assert found["forms"].verdict == "good"
    assert found["likelihood"].verdict == "bad"
    assert "guessing costs 2.64" in found["likelihood"].words
    broken = {**COMPOSER.params, "output_bias": np.full((4, 14), np.nan, np.float32)}
    [finding] = DoctorOptions(corpus=corpus)(dataclasses.replace(COMPOSER, params=broken))
    assert "parameters that are not finite: output_bias" in finding.words


def test_an_evaluation_has_likelihood_harmony_and_pieces(corpus, tmp_path):
    report = EvaluateOptions(corpus=corpus, split="validation", pieces=2, bars=3)(COMPOSER, lambda said: None)
    assert [system.name for system in report.systems] == [
        HELD_OUT,
        "chorales",
        "independent codes",
        "Markov chain",
        "training bars in a row",
    ]
    content = report.to_json()
    assert len(content["nats"]) == 2
    assert content["steps"] == [42, 50]
    text = "\n".join(report.lines())
    assert "nats per step (all voices): " in text
    assert "harmonised melodies: same pitch as the original: " in text
    page = report.write(tmp_path / "report")
    assert {path.name for path in (tmp_path / "report" / "pieces").iterdir()} == {
        f"{number:02d}{ending}" for number in range(2) for ending in (".mid", ".wav", ".png")
    }
    assert "2 pieces, unpicked" in page.read_text()
