"""Rooms and telephones made of features, held against those made of waveforms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from tests.tiny.models import cheap_jit
from wavejax.audio import log_mel_numpy
from wavejax.audio.specs import get_spec
from wavejax.data import embedded_corpus
from wavejax.evaluation.conditions import telephone
from wavejax.nn import acoustics
from wavejax.nn.acoustics import in_a_room, over_a_telephone, telephone_band
from wavejax.nn.spec_augment import SpecAugmentConfig, spec_augment

SPEC = get_spec("speech-16k")
FLOOR = float(np.log(SPEC.floor))


def applied(function: object, x: np.ndarray, share: float, count: int | None = None, seeds: int = 1) -> np.ndarray:
    """The features under each of several keys [seeds, frames, channels]."""
    keys = jax.random.split(jax.random.key(0), seeds)
    frames = jnp.int32(len(x) if count is None else count)
    one = functools.partial(function, share=share, spec=SPEC)
    return np.asarray(cheap_jit(jax.vmap(lambda key: one(jnp.asarray(x), frames, key)))(keys))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return np.asarray(embedded_corpus().utterance(0).waveform, np.float32)


def test_a_click_fades_by_60_db_in_the_drawn_time_with_the_drawn_power() -> None:
    x = np.full((120, 80), -25.0, np.float32)
    x[20] = 0.0
    found = applied(in_a_room, x, 1.0, seeds=40)
    np.testing.assert_allclose(found[:, :21], np.broadcast_to(x[:21], found[:, :21].shape), atol=0.4)
    tail = found[:, 21:24, :] * 20 / np.log(10)
    decibels_per_second = (tail[:, 0] - tail[:, 2]) / 2 * SPEC.frame_rate
    seconds = 60 / decibels_per_second
    assert 0.1 - 1e-3 <= seconds[:, 0].min() < 0.2
    assert 0.45 < seconds[:, 0].max() <= 0.6 + 1e-3
    assert (seconds[:, -1] <= seconds[:, 0] + 1e-4).all(), "high sounds fade sooner"
    assert (seconds[:, -1] >= 0.5 * seconds[:, 0] - 1e-4).all()
    echo = np.sum(np.exp(2 * found[:, 21:].astype(np.float64)) - np.exp(-50.0), axis=1)
    ratio = -10 * np.log10(echo[:, 0])
    assert -0.1 < ratio.min() < 3
    assert 12 < ratio.max() < 15.1


def test_it_is_the_plain_sum_over_the_frames_before() -> None:
    x = np.random.default_rng(0).normal(-3, 1, (30, 80)).astype(np.float32)
    click = np.full((30, 80), FLOOR, np.float32)
    click[0] = 5.0  # so loud that the floor is nothing
    response = np.exp(2 * (applied(in_a_room, click, 1.0)[0].astype(np.float64) - 5))
    power = np.exp(2 * x.astype(np.float64))
    slow = np.stack([sum(response[k] * power[t - k] for k in range(t + 1)) for t in range(30)])
    np.testing.assert_allclose(applied(in_a_room, x, 1.0)[0], 0.5 * np.log(slow), atol=1e-3)


def test_a_room_of_features_is_near_a_room_of_samples(speech: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """The echo is a noise that decays by 60 dB in 0.4 s, as strong as the speech: one of samples, one of features."""
    rng = np.random.default_rng(0)
    decay = 10 ** (-3 * np.arange(8000) / (0.4 * SPEC.sample_rate))
    tail = rng.normal(size=8000) * decay
    tail /= np.sqrt(np.sum(np.square(tail)))
    wet = speech + np.concatenate([[0], scipy.signal.fftconvolve(speech, tail)[: len(speech) - 1]])
    monkeypatch.setattr(acoustics, "_DECAY_SECONDS", (0.4, 0.4))
    monkeypatch.setattr(acoustics, "_DIRECT_DECIBELS", (0.0, 0.0))
    monkeypatch.setattr(acoustics, "_HIGH_DECAY", 1.0)
    dry = log_mel_numpy(speech, SPEC)
    real, ours = log_mel_numpy(wet.astype(np.float32), SPEC), applied(in_a_room, dry, 1.0)[0]
    before, after = np.abs(real - dry).mean(), np.abs(real - ours).mean()
    assert before > 0.8
    assert after < 0.5, "the rest is how the echo's sinusoids happen to meet"
    assert abs((real - ours).mean()) < 0.2


def test_a_telephone_of_features_is_near_one_of_samples(speech: np.ndarray) -> None:
    real = log_mel_numpy(telephone(speech, 16_000, np.random.default_rng(0)), SPEC)
    dry = log_mel_numpy(speech, SPEC)
    ours = applied(over_a_telephone, dry, 1.0, seeds=8)
    passed, noise = telephone_band(SPEC)
    inside = passed > np.log(0.9)
    assert 45 < inside.sum() < 55
    assert noise.sum() == pytest.approx(1)
    loud = dry.max(axis=1) > dry.max() - 3
    apart = ours[:, loud][..., inside].mean(axis=(0, 1)) - real[loud][:, inside].mean(axis=0)
    assert np.abs(apart).max() < 0.5, "some of our lines are noisier than this one, which tells in its weak channels"
    assert ours[..., -10:].max() == pytest.approx(FLOOR, abs=1e-4)
    assert real[..., -10:].mean() < FLOOR + 1.5
    assert (ours >= FLOOR - 1e-5).all()


def test_a_share_of_the_examples_is_changed_and_never_the_padding() -> None:
    x = np.random.default_rng(0).normal(-3, 1, (30, 80)).astype(np.float32)
    for function in (in_a_room, over_a_telephone):
        found = applied(function, x, 0.5, count=20, seeds=64)
        changed = (found != x).any(axis=(1, 2))
        assert 20 < changed.sum() < 44
        np.testing.assert_array_equal(found[:, 20:], np.broadcast_to(x[20:], found[:, 20:].shape))
        assert np.isfinite(found).all()
        loud = x + np.where(np.arange(30) < 20, 0, 20).astype(np.float32)[:, None]
        np.testing.assert_array_equal(applied(function, loud, 0.5, count=20, seeds=64)[:, :20], found[:, :20])
        np.testing.assert_array_equal(applied(function, x, 0.0)[0], x)


def test_augmentation_needs_the_spec_for_them() -> None:
    config = SpecAugmentConfig(frequency_masks=0, time_masks=0, rooms=1.0, telephone=1.0)
    x = jnp.zeros((2, 30, 80)) - 3
    keys, counts = jax.random.split(jax.random.key(0), 2), jnp.asarray([30, 20], jnp.int32)
    with pytest.raises(ValueError, match=r"augment\.rooms and augment\.telephone need the spec of the features"):
        spec_augment(x, counts, keys, config, -5.0)
    found = np.asarray(cheap_jit(lambda *given: spec_augment(*given, config, -5.0, SPEC))(x, counts, keys))
    assert found[0, :, -1].max() < -10, "a telephone has no high sounds"
    np.testing.assert_array_equal(found[1, 20:], -3)
