"""Held-out bits under the right id, wrong ones and none, against `score` of corpora and models changed by hand."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from tests.tiny import commands as tiny
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus, Utterance
from wavejax.experiments.autoregressive.scoring import score
from wavejax.experiments.autoregressive.speakers import score_speakers, speaker_bits_table
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.vocoder.product import SampleVocoder

SPEC = get_spec("speech-16k")
NAMES = ("anna", "bert", "carl")
LENGTHS = (1000, 1400, 801, 1201, 900, 1600)
CONFIG = dataclasses.replace(tiny.config(num_speakers=3, global_channels=2), name="trio")
PARAMS = jax.tree.map(lambda leaf: leaf * 10, tiny.params_of(CONFIG))
TRIO = SampleVocoder(config=CONFIG, params=PARAMS, labels={"speakers": NAMES})


def corpus(names=NAMES, whose=(0, 1, 2, 0, 1, 2)) -> Corpus:
    """Five validation utterances and one to train on, utterance k spoken by names[whose[k]]."""
    utterances = []
    for k, length in enumerate(LENGTHS):
        walk = np.cumsum(np.random.default_rng(k).normal(0, 0.02, length))
        waveform = (np.round(np.clip(walk, -0.9, 0.9) * 32768) / 32768).astype(np.float32)
        mel = log_mel_numpy(waveform, SPEC)
        utterances.append(Utterance(id=f"u{k}", waveform=waveform, frames=mel, speaker=whose[k], transcript=""))
    return Corpus.in_memory(SPEC, utterances, ["validation"] * 5 + ["train"], names)


@pytest.fixture(scope="module")
def report():
    return score_speakers(TRIO, corpus(), batch_size=4)


def test_right_wrong_and_no_id_are_what_score_says_of_them(report):
    assert json.loads(json.dumps(report)) == report
    right = score(TRIO, corpus(), "validation", batch_size=4)
    wrong = [
        score(TRIO, corpus(whose=[(each + k) % 3 for each in (0, 1, 2, 0, 1, 2)]), "validation", batch_size=4).bits
        for k in (1, 2)
    ]
    mean = PARAMS["speaker_embedding"].mean(axis=0, keepdims=True)
    nobody = {**PARAMS, "speaker_embedding": np.repeat(mean, 3, axis=0)}
    none = score(SampleVocoder(config=CONFIG, params=nobody), corpus(), "validation", batch_size=4)
    for number, name in enumerate(right.ids):
        found = report["utterances"][name]
        assert found["num_samples"] == LENGTHS[number]
        assert found["right"] == right.bits[number]
        assert found["wrong"] == pytest.approx((wrong[0][number] + wrong[1][number]) / 2, rel=1e-12)
        assert found["none"] == none.bits[number]
    assert report["bits_per_sample"]["right"] == pytest.approx(right.mean)
    assert np.abs(wrong[0] - right.bits).max() > 1e-3, "the id must matter for this test to mean anything"


def test_differences_are_per_speaker_too(report):
    anna = report["speakers"]["anna"]
    assert anna["num_utterances"] == 2
    assert anna["num_samples"] == 1000 + 1201
    bits = anna["bits_per_sample"]
    assert anna["differences"]["wrong"]["mean"] == pytest.approx(bits["wrong"] - bits["right"])
    alone = report["speakers"]["carl"]["differences"]["none"]
    assert alone["low"] == alone["mean"] == alone["high"], "one utterance has no interval"
    table = speaker_bits_table(report)
    assert "trio on 5 validation utterances" in table
    assert f"{bits['wrong'] - bits['right']:+.3f}" in next(line for line in table.splitlines() if "anna" in line)


def test_speakers_are_matched_by_name_not_by_number(report):
    """A corpus that lists its speakers in another order, or only some of them."""
    reordered = score_speakers(TRIO, corpus(("carl", "anna", "bert"), (1, 2, 0, 1, 2, 0)), batch_size=4)
    assert reordered["utterances"] == report["utterances"]
    right = [report["utterances"][f"u{number}"]["right"] for number in range(5)]
    turned = corpus(("carl", "anna", "bert"), (1, 2, 0, 1, 2, 0))
    assert score(TRIO, turned, "validation", batch_size=4).bits.tolist() == right, "evaluate, too"
    entries = corpus(("bert",), (0,) * 6)
    some = score_speakers(TRIO, entries, batch_size=4)
    assert some["utterances"]["u1"] == report["utterances"]["u1"]
    assert set(some["speakers"]) == {"bert"}


def test_fewer_utterances_are_the_same_ones_evenly_spread(report):
    some = score_speakers(TRIO, corpus(), at_most=1, batch_size=4)
    assert set(some["utterances"]) == {"u0", "u1", "u2"}, "the first of each speaker"
    assert some["utterances"]["u2"] == report["utterances"]["u2"]
    assert score_speakers(TRIO, corpus(), at_most=9, batch_size=4) == report


def test_a_model_that_does_not_listen_to_the_id_shows_no_difference():
    stack = {**PARAMS["stack"], "global_kernel": np.zeros_like(PARAMS["stack"]["global_kernel"])}
    deaf = dataclasses.replace(TRIO, params={**PARAMS, "stack": stack})
    found = score_speakers(deaf, corpus(), batch_size=4)
    assert found["differences"]["wrong"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert found["differences"]["none"]["mean"] == 0.0


def test_what_has_no_speakers_is_refused():
    alone = tiny.config()
    with pytest.raises(ExperimentError, match="speech-16k-small knows no speakers by id: this is about models of two"):
        score_speakers(SampleVocoder(config=alone, params=tiny.params_of(alone)), corpus())
    with pytest.raises(ExperimentError, match="has 3 speaker ids and 0 names: train it on a corpus that names them"):
        score_speakers(dataclasses.replace(TRIO, labels={}), corpus())
    with pytest.raises(
        ExperimentError, match="the corpus has the speaker dora, whom trio does not know: it knows anna"
    ):
        score_speakers(TRIO, corpus(("anna", "bert", "dora")))
