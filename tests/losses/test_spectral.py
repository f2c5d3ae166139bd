"""Spectral losses against plain numpy, and their gradients at silence."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.audio import get_spec, log_mel_numpy
from wavejax.losses import RESOLUTIONS, Resolution, mel_l1, multi_resolution_stft, stft_losses, weighted_sums

SMALL = Resolution(n_fft=64, hop_length=16, win_length=48)
RNG = np.random.default_rng(0)
REAL, FAKE = (0.1 * RNG.normal(size=(3, 500)).astype(np.float32) for _ in range(2))
SPEECH = get_spec("speech-16k")


def by_hand(real: np.ndarray, fake: np.ndarray, resolution: Resolution) -> tuple[list[float], list[float]]:
    n_fft, hop, win = resolution.n_fft, resolution.hop_length, resolution.win_length
    left = (n_fft - win) // 2
    window = np.zeros(n_fft)
    window[left : left + win] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win) / win)

    def spectrum(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x.astype(np.float64), n_fft // 2, mode="reflect")
        starts = range(0, len(padded) - n_fft + 1, hop)
        return np.abs([np.fft.rfft(padded[start : start + n_fft] * window) for start in starts])

    convergence, log_magnitude = [], []
    for r, f in zip(real, fake, strict=True):
        r_mag, f_mag = spectrum(r), spectrum(f)
        convergence.append(np.sqrt(np.sum((r_mag - f_mag) ** 2)) / np.sqrt(np.sum(r_mag**2)))
        floor = np.sqrt(1e-7)
        log_magnitude.append(np.mean(np.abs(np.log(np.maximum(r_mag, floor)) - np.log(np.maximum(f_mag, floor)))))
    return convergence, log_magnitude


@pytest.mark.parametrize("resolution", [SMALL, Resolution(n_fft=50, hop_length=7, win_length=50)])
def test_one_resolution_is_the_papers_formula(resolution: Resolution) -> None:
    losses = stft_losses(jnp.asarray(REAL), jnp.asarray(FAKE), resolution)
    convergence, log_magnitude = by_hand(REAL, FAKE, resolution)
    np.testing.assert_allclose(losses.convergence, convergence, rtol=2e-5)
    np.testing.assert_allclose(losses.log_magnitude, log_magnitude, rtol=2e-5)
    np.testing.assert_allclose(losses.total, np.add(convergence, log_magnitude), rtol=2e-5)


def test_several_resolutions_are_averaged() -> None:
    other = Resolution(n_fft=32, hop_length=8, win_length=32)
    losses = multi_resolution_stft(jnp.asarray(REAL), jnp.asarray(FAKE), (SMALL, other))
    both = [by_hand(REAL, FAKE, resolution) for resolution in (SMALL, other)]
    np.testing.assert_allclose(losses.convergence, np.mean([one[0] for one in both], axis=0), rtol=2e-5)
    np.testing.assert_allclose(losses.log_magnitude, np.mean([one[1] for one in both], axis=0), rtol=2e-5)
    assert [(r.n_fft, r.hop_length, r.win_length) for r in RESOLUTIONS] == [
        (1024, 120, 600),
        (2048, 240, 1200),
        (512, 50, 240),
    ]


@pytest.mark.parametrize("spec", [SPEECH, dataclasses.replace(get_spec("hifi-gan"), f_max=None)])
def test_mel_loss_is_the_specs_arithmetic(spec) -> None:
    real, fake = (0.1 * RNG.normal(size=(2, 3000)).astype(np.float32) for _ in range(2))
    pairs = zip(real, fake, strict=True)
    expected = [np.mean(np.abs(log_mel_numpy(r, spec) - log_mel_numpy(f, spec))) for r, f in pairs]
    np.testing.assert_allclose(mel_l1(jnp.asarray(real), jnp.asarray(fake), spec), expected, rtol=1e-4)


def test_an_example_counts_for_itself() -> None:
    """Losses do not depend on the batch that an example is in."""
    whole = multi_resolution_stft(jnp.asarray(REAL), jnp.asarray(FAKE), (SMALL,))
    alone = multi_resolution_stft(jnp.asarray(REAL[1:2]), jnp.asarray(FAKE[1:2]), (SMALL,))
    np.testing.assert_allclose(whole.total[1:2], alone.total, rtol=1e-6)


@jax.jit
@jax.value_and_grad
def _value_and_gradient(fake: jax.Array, real: jax.Array) -> jax.Array:
    return jnp.sum(multi_resolution_stft(real, fake, (SMALL,)).total + mel_l1(real, fake, SPEECH))


@pytest.mark.parametrize("real", ["silence", "sound"])
@pytest.mark.parametrize("fake", ["silence", "sound"])
def test_losses_and_gradients_are_finite_at_silence(real: str, fake: str) -> None:
    """Of each beside the other, and of each beside itself."""
    sounds = {"silence": jnp.zeros((1, 1200)), "sound": 0.1 * jnp.asarray(RNG.normal(size=(1, 1200)), jnp.float32)}

    value, gradient = _value_and_gradient(sounds[fake], sounds[real])
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert (value == 0) == (real == fake)


def test_losses_of_half_precision_are_float32() -> None:
    real, fake = jnp.asarray(REAL), jnp.asarray(FAKE).astype(jnp.bfloat16)
    losses = stft_losses(real, fake, SMALL)
    assert losses.convergence.dtype == losses.log_magnitude.dtype == jnp.float32
    expected, _ = by_hand(REAL, np.asarray(fake.astype(jnp.float32)), SMALL)
    np.testing.assert_allclose(losses.convergence, expected, rtol=2e-5)


def test_weighted_sums_leave_out_what_weighs_nothing() -> None:
    losses = jnp.asarray([1.0, jnp.nan, 3.0], jnp.float32)
    total, weight = weighted_sums(losses, jnp.asarray([True, False, True]))
    assert (float(total), float(weight)) == (4.0, 2.0)
    total, weight = weighted_sums(losses, jnp.asarray([0.5, 0.0, 2.0]))
    assert (float(total), float(weight)) == (6.5, 2.5)
    total, weight = weighted_sums(losses[::2])
    assert (float(total), float(weight)) == (4.0, 2.0)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"must have one shape \[B, T\], got \(3, 500\) and \(3, 400\)"):
        stft_losses(jnp.asarray(REAL), jnp.asarray(FAKE[:, :400]), SMALL)
    with pytest.raises(ValueError, match=r"must have one shape \[B, T\], got \(3, 500\) and \(3, 400\)"):
        mel_l1(jnp.asarray(REAL), jnp.asarray(FAKE[:, :400]), SPEECH)
    with pytest.raises(ValueError, match="resolutions is empty"):
        multi_resolution_stft(jnp.asarray(REAL), jnp.asarray(FAKE), ())
    with pytest.raises(ValueError, match="win_length must be 1 to n_fft=64 samples, got 65"):
        dataclasses.replace(SMALL, win_length=65)
    with pytest.raises(ValueError, match="hop_length must be 1 to win_length=48 samples, got 49"):
        dataclasses.replace(SMALL, hop_length=49)
