"""Each thing the doctor looks for, made on purpose, is found and named; what is sound is left alone."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.tiny import commands as tiny
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus, Utterance
from wavejax.evaluation.findings import check_parameters
from wavejax.experiments.autoregressive import diagnosis
from wavejax.experiments.autoregressive import product as product_module
from wavejax.experiments.autoregressive.diagnosis import Excerpts
from wavejax.tasks.babbler.product import Babbler
from wavejax.tasks.vocoder.product import SampleVocoder

SPEC = get_spec("speech-16k")


@pytest.fixture(scope="module")
def vocoder():
    config = tiny.config()
    return SampleVocoder(config=config, params=jax.tree.map(lambda leaf: leaf * 5, tiny.params_of(config)))


def excerpts_of(waveform, mel=None):
    return Excerpts(tuple(f"u{i}" for i in range(len(waveform))), np.asarray(waveform, np.float32), mel, None)


def noisy(frames=5, batch=2):
    rng = np.random.default_rng(0)
    mel = rng.normal(-5, 2, (batch, frames, SPEC.n_mels)).astype(np.float32)
    return excerpts_of(rng.uniform(-0.4, 0.4, (batch, frames * SPEC.hop_length)), mel)


def of_constant(probability):
    """A babbler that gives silence this probability, and the other 15 classes the rest evenly."""
    config = tiny.unconditional()
    params = jax.tree.map(np.zeros_like, tiny.params_of(config))
    bias = np.zeros(16, np.float32)
    bias[8] = np.log(probability / ((1 - probability) / 15))
    return Babbler(config=config, params={**params, "tail_1_bias": bias})


def test_parameters_that_are_not_finite_are_counted_by_name(vocoder):
    assert check_parameters(vocoder.params).verdict == "good"
    kernel = vocoder.params["input_kernel"].copy()
    kernel[0, :2, 1] = np.inf
    broken = {**vocoder.params, "input_kernel": kernel}
    finding = check_parameters(broken)
    assert finding.verdict == "bad"
    assert "input_kernel (2 values)" in finding.words
    later = list(diagnosis.diagnose(dataclasses.replace(vocoder, params=broken), noisy()))
    assert [each.check for each in later] == ["parameters"]


def test_parallel_and_step_form_agree_with_and_without_features(vocoder):
    for each, excerpts in ((vocoder, noisy()), (of_constant(0.5), noisy()._replace(frames=None))):
        finding = diagnosis.check_forms(each, excerpts)
        assert finding.verdict == "good"
        assert "over 2 x 0.1 s" in finding.words
        assert "cumulative probabilities" in finding.words


def test_a_step_form_of_another_model_is_found(vocoder, monkeypatch):
    def wrong_pack(model, params, original=product_module.pack):
        return original(model, {**params, "input_kernel": params["input_kernel"] * 1.1})

    product_module._replayed.clear_cache()
    monkeypatch.setattr(product_module, "pack", wrong_pack)
    finding = diagnosis.check_forms(vocoder, noisy())
    product_module._replayed.clear_cache()
    assert finding.verdict == "bad"
    assert "parallel and step form differ by" in finding.words


def test_bits_of_a_known_model_are_exact():
    half_silent = np.zeros((2, 1000))
    half_silent[:, ::2] = 0.5
    bits = diagnosis.teacher_forced_bits(of_constant(0.5), excerpts_of(half_silent))
    coding = of_constant(0.5).model.coding
    silent = np.mean(np.asarray(coding.encode(half_silent.astype(np.float32))) == 8)
    assert bits == pytest.approx(silent * 1 + (1 - silent) * np.log2(30), rel=1e-5)


def test_a_model_that_guesses_is_told_to_train_longer():
    findings = diagnosis.check_likelihood(of_constant(1 / 16), noisy()._replace(frames=None))
    assert [finding.verdict for finding in findings] == ["bad"]
    assert "recordings cost 4.00 bits per sample; guessing among 4-bit values costs 4.00" in findings[0].words
    assert "learnt next to nothing" in findings[0].words


@pytest.mark.parametrize(
    ("spoken", "verdict", "words"),
    [
        (lambda rng, shape: rng.uniform(-1, 1, shape), "bad", "free-running audio is far less likely than real speech"),
        (lambda rng, shape: np.zeros(shape), "bad", "free-running audio is far more likely than real speech"),
        (lambda rng, shape: np.full(shape, np.nan), "bad", "not finite from sample 0"),
        (None, "good", "free-running audio is as likely as real speech"),
    ],
)
def test_free_running_audio_is_compared_with_recordings(monkeypatch, spoken, verdict, words):
    rng = np.random.default_rng(1)
    real = np.where(rng.uniform(size=(2, 2000)) < 0.55, 0.0, rng.uniform(-0.9, 0.9, (2, 2000)))
    excerpts = excerpts_of(real)
    made = real[:, ::-1] if spoken is None else spoken(rng, real.shape)
    monkeypatch.setattr(Babbler, "generate", lambda *_, **__: np.asarray(made, np.float32))
    finding = diagnosis.check_likelihood(of_constant(0.6), excerpts)[-1]
    assert (finding.check, finding.verdict) == ("free-running", verdict)
    assert words in finding.words


def test_a_model_that_does_not_listen_is_found(vocoder):
    params = jax.tree.map(np.zeros_like, vocoder.params)
    bias = np.zeros(256, np.float32)
    bias[128] = 12.0
    deaf = dataclasses.replace(vocoder, params={**params, "tail_1_bias": bias})
    excerpts = noisy()._replace(waveform=np.zeros((2, 1000), np.float32))
    findings = {finding.check: finding for finding in diagnosis.check_likelihood(deaf, excerpts)}
    assert findings["teacher-forced"].verdict == "good"
    assert findings["conditioning"].verdict == "bad"
    assert "does not listen to its features" in findings["conditioning"].words


def test_excerpts_are_as_long_as_the_shortest_allows():
    def utterance(number, length):
        mel = np.zeros((length // 200, 80), np.float32)
        return Utterance(
            id=f"u{number}", waveform=np.full(length, 0.1, np.float32), frames=mel, speaker=0, transcript=""
        )

    corpus = Corpus.in_memory(SPEC, [utterance(n, length) for n, length in enumerate((900, 1700, 1300))], ["test"] * 3)
    vocoder = SampleVocoder(config=tiny.config(), params={})
    excerpts = diagnosis.held_out_excerpts(vocoder, corpus, "test", count=2)
    assert excerpts.names == ("u1", "u2")
    assert excerpts.waveform.shape == (2, 1200)
    assert excerpts.frames.shape == (2, 6, 80)
    assert diagnosis.held_out_excerpts(vocoder, corpus, "test", seconds=0.025).waveform.shape == (3, 400)
    short = Corpus.in_memory(SPEC, [utterance(0, 900), utterance(1, 150)], ["test"] * 2)
    with pytest.raises(ValueError, match="shorter than one frame"):
        diagnosis.held_out_excerpts(vocoder, short, "test")
