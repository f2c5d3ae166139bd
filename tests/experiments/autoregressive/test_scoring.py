"""Bits per sample of held-out utterances against a direct computation over whole recordings."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny import commands as tiny
from tests.tiny.models import parallel_outputs
from wavejax.audio.conversion import SpecMismatch
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus, Utterance
from wavejax.data.records import dequantize_waveform, quantize_waveform
from wavejax.evaluation import linear_prediction_bits, order1_bits, paired_bootstrap, unigram_bits
from wavejax.experiments.autoregressive import scoring
from wavejax.models.wavenet import WaveNet
from wavejax.tasks.babbler.product import Babbler
from wavejax.tasks.vocoder.product import SampleVocoder

SPEC = get_spec("speech-16k")
LENGTHS = (1701, 1000, 2399, 1200, 801)
SPLITS = ("test", "train", "test", "test", "train")


def utterance(number, length, mel_of=None):
    rng = np.random.default_rng(number)
    raw = np.cumsum(rng.normal(0, 0.02, length)).astype(np.float32)
    waveform = dequantize_waveform(quantize_waveform(np.clip(raw, -0.9, 0.9)))
    mel = log_mel_numpy(waveform, SPEC)
    if mel_of is not None:
        mel = mel_of[np.arange(len(mel)) % len(mel_of)]
    return Utterance(id=f"u{number}", waveform=waveform, frames=mel, speaker=0, transcript="")


UTTERANCES = [utterance(number, length) for number, length in enumerate(LENGTHS)]
CORPUS = Corpus.in_memory(SPEC, UTTERANCES, SPLITS)
CONFIG = tiny.config()
PARAMS = jax.tree.map(lambda leaf: leaf * 10, tiny.params_of(CONFIG))
VOCODER = SampleVocoder(config=CONFIG, params=PARAMS)


def direct_bits(utterance):
    """Of one whole recording at once."""
    model = WaveNet(CONFIG.model)
    values = np.asarray(model.coding.encode(utterance.waveform))[None]
    params = jax.tree.map(jnp.asarray, PARAMS)
    outputs = parallel_outputs(model, params, values, {"local_conditioning": utterance.frames[None]})
    return float(-jnp.mean(model.distribution.log_prob(outputs, jnp.asarray(values))) / np.log(2.0))


def test_crops_add_up_to_whole_recordings():
    scores = scoring.score(VOCODER, CORPUS, "test", batch_size=3)
    assert scores.ids == ("u0", "u2", "u3")
    np.testing.assert_array_equal(scores.num_samples, [1701, 2399, 1200])
    expected = [direct_bits(UTTERANCES[number]) for number in (0, 2, 3)]
    np.testing.assert_allclose(scores.bits, expected, rtol=1e-5)
    assert scores.mean == pytest.approx(np.dot(expected, [1701, 2399, 1200]) / 5300, rel=1e-5)


def test_another_mel_is_the_next_utterances_repeated_or_cut():
    swapped = [utterance(a, LENGTHS[a], UTTERANCES[b].frames) for a, b in ((0, 2), (2, 3), (3, 0))]
    scores = scoring.score(VOCODER, CORPUS, "test", frames="other", batch_size=4)
    np.testing.assert_allclose(scores.bits, [direct_bits(each) for each in swapped], rtol=1e-5)
    own = scoring.score(VOCODER, CORPUS, "test", batch_size=4)
    assert np.abs(scores.bits - own.bits).max() > 1e-2


def test_one_compilation_serves_right_and_other_features(monkeypatch):
    traces = []

    def counted(config, original=scoring.crop_loss):
        loss_fn = original(config)

        def loss(*arguments):
            traces.append(1)
            return loss_fn(*arguments)

        return loss

    monkeypatch.setattr(scoring, "crop_loss", counted)
    config = dataclasses.replace(CONFIG, name="counted")
    counted_vocoder = SampleVocoder(config=config, params=PARAMS)
    scoring.score(counted_vocoder, CORPUS, "test", batch_size=2)
    scoring.score(counted_vocoder, CORPUS, "test", frames="other", batch_size=2)
    assert len(traces) == 1


def test_the_report_holds_baselines_over_the_same_classes():
    report = scoring.score_report(VOCODER, CORPUS, "test", batch_size=3)
    assert json.loads(json.dumps(report)) == report
    coding = CONFIG.model.coding
    codes = [np.asarray(coding.encode(each.waveform)) for each in UTTERANCES]
    train, test = [codes[1], codes[4]], [codes[0], codes[2], codes[3]]
    bits = report["bits_per_sample"]
    assert bits["unigram"] == pytest.approx(unigram_bits(train, test, 256).mean)
    assert bits["order1"] == pytest.approx(order1_bits(train, test, 256, silence=128).mean)
    assert bits["linear_prediction"] == pytest.approx(linear_prediction_bits(test, coding).mean)
    right = scoring.score(VOCODER, CORPUS, "test", batch_size=3)
    other = scoring.score(VOCODER, CORPUS, "test", frames="other", batch_size=3)
    interval = paired_bootstrap(right.bits, other.bits, right.num_samples)
    assert report["differences"]["other_frames"] == interval._asdict()
    assert report["differences"]["order1"]["mean"] == pytest.approx(bits["order1"] - bits["model"])
    assert report["utterances"]["u2"]["model"] == right.bits[1]


def test_what_cannot_be_scored_is_refused():
    babble = tiny.unconditional()
    with pytest.raises(ValueError, match="babble is not conditioned on features: there are no others to give it"):
        scoring.score(Babbler(config=babble, params=tiny.params_of(babble)), CORPUS, "test", frames="other")
    alone = Corpus.in_memory(SPEC, UTTERANCES[:1], ["test"])
    with pytest.raises(ValueError, match="'test' holds one utterance: there are no other features"):
        scoring.score(VOCODER, alone, "test", frames="other")
    with pytest.raises(ValueError, match="the split 'validation' of this corpus is empty"):
        scoring.score(VOCODER, CORPUS, "validation")
    other = Corpus.in_memory(dataclasses.replace(SPEC, f_max=7600.0), UTTERANCES, SPLITS)
    with pytest.raises(SpecMismatch, match="f_max"):
        scoring.score(VOCODER, other, "test")
