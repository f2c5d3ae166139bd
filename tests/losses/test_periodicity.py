"""Autocorrelations against a sum over the samples, and what they hear: pitch, but neither phases nor loudness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.losses import autocorrelation_l1
from wavejax.losses.periodicity import _autocorrelations, _plan

RATE = 16_000
TIME = np.arange(RATE // 2) / RATE


def voice(pitch: float, seed: int = 0) -> np.ndarray:
    """Ten harmonics of random phases, [1, T]."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 10)
    sound = sum(np.sin(2 * np.pi * k * pitch * TIME + phases[k - 1]) / k for k in range(1, 11))
    return np.float32(0.1 * sound)[None]


def noise(seed: int = 0) -> np.ndarray:
    return np.float32(0.1 * np.random.default_rng(seed).normal(size=(1, len(TIME))))


def distance(real: np.ndarray, fake: np.ndarray) -> float:
    (found,) = autocorrelation_l1(jnp.asarray(real), jnp.asarray(fake), RATE)
    return float(found)


def test_autocorrelations_are_those_of_the_samples() -> None:
    """Of a frame in the middle of a tone that is not low-passed: sums of products a lag apart (Boersma 1993)."""
    plan = _plan(RATE)
    sound = np.float32(np.sin(2 * np.pi * 150 * TIME) + 0.4 * np.sin(900 * np.pi * TIME))[None, :4000]
    found = np.asarray(_autocorrelations(jnp.asarray(sound), plan))[0, 25]
    lags = np.arange(32, 267, 2)
    assert found.shape == lags.shape
    middle = 25 * 80
    window = np.float64(np.hanning(641)[:-1])
    frame = sound[0, middle - 320 : middle + 320] * window
    products = np.array([frame[: 640 - lag] @ frame[lag:] for lag in (0, *lags)])
    own = np.array([window[: 640 - lag] @ window[lag:] for lag in (0, *lags)])
    np.testing.assert_allclose(found, (products / own / (products[0] / own[0]))[1:], atol=2e-3)


def test_the_pitch_is_heard_and_not_phases_or_loudness() -> None:
    real = voice(150)
    assert distance(real, real) == 0
    near, far = distance(real, voice(151)), distance(real, voice(180))
    assert distance(real, 3 * real) < 1e-5
    assert distance(real, voice(150, seed=1)) < 0.02
    assert 0.01 < near < far / 3
    assert far > 0.3
    assert distance(real, noise()) > 0.3


def test_unvoiced_frames_count_little() -> None:
    """Noise beside other noise differs, but little of it counts; silence counts nothing."""
    assert distance(np.zeros_like(noise()), noise()) == 0
    assert distance(noise(), voice(150)) < distance(voice(150), noise())
    one = np.concatenate([voice(150)[:, :4000], np.zeros((1, 4000), np.float32)], axis=1)
    other = np.concatenate([voice(180)[:, :4000], noise()[:, 4000:]], axis=1)
    assert distance(one, other) == pytest.approx(distance(voice(150), voice(180)), rel=0.2)


@pytest.mark.parametrize("real", [np.zeros((1, 2000), np.float32), voice(150)[:, :2000]])
@pytest.mark.parametrize("fake", [np.zeros((1, 2000), np.float32), voice(180)[:, :2000]])
def test_gradients_are_finite(real: np.ndarray, fake: np.ndarray) -> None:
    value, gradient = jax.value_and_grad(lambda x: autocorrelation_l1(jnp.asarray(real), x, RATE)[0])(jnp.asarray(fake))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_other_rates_hear_the_same() -> None:
    """Voices of one sound at twice the rate."""
    time = np.arange(RATE) / (2 * RATE)
    real, fake = (
        np.float32(np.sin(2 * np.pi * pitch * time) + np.sin(4 * np.pi * pitch * time))[None] for pitch in (150, 170)
    )
    (found,) = autocorrelation_l1(jnp.asarray(real), jnp.asarray(fake), 2 * RATE)
    (slow,) = autocorrelation_l1(jnp.asarray(real[:, ::2]), jnp.asarray(fake[:, ::2]), RATE)
    np.testing.assert_allclose(found, slow, rtol=0.02)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"must have one shape \[B, T\], got \(1, 8000\) and \(1, 400\)"):
        autocorrelation_l1(jnp.asarray(voice(150)), jnp.asarray(voice(150)[:, :400]), RATE)
    with pytest.raises(ValueError, match="hear up to 1100 Hz and need twice that rate, got 2000 Hz"):
        autocorrelation_l1(jnp.asarray(voice(150)), jnp.asarray(voice(150)), 2000)
