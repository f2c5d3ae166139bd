"""A loss of pitch and voicing: the normalised autocorrelations of two waveforms, compared frame by frame."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from wavejax.audio.spectral import frame_window, stft

_WINDOW, _HOP = 0.04, 0.005
"""Seconds of a frame, and between two."""
_LOWEST, _HIGHEST = 60, 500
"""Hz of a pitch."""
_PASSED, _STOPPED = 800, 1100
"""Hz where the low pass begins and ends. Below are the strongest harmonics of every voice."""
_DIRECT = 40
"""Hz below which there is no voice."""
_NOISE, _VOICE = 0.3, 0.8
"""A frame whose largest autocorrelation is the first or less counts nothing; from the second on it counts fully."""
_FEWEST = 20
"""The sum over voiced frames is divided by this number or more: a short voiced stretch counts less than a long one."""
_SILENCE = 1e-6
"""A frame's energy is taken to be this or more, so that silence divides by no zero."""


class _Plan(NamedTuple):
    window: Float[np.ndarray, " n_fft"]
    hop_length: int
    cosines: Float[np.ndarray, "bins lags"]
    """From the powers of a frame to its energy (lag 0) and autocorrelations, already divided by those of the window."""


def autocorrelation_l1(
    real: Float[Array, "batch time"], fake: Float[Array, "batch fake_time"], sample_rate: int
) -> Float[Array, " batch"]:
    """Mean absolute difference of normalised autocorrelations where the real waveform is voiced, [B] float32, 0 to 2.

    Frames of 40 ms every 5 ms, low-passed at 800 to 1,100 Hz, at the lags of pitches from 60 to 500 Hz; divided by
    those of the window (Boersma 1993, equation 9). A frame counts by its largest autocorrelation in the real waveform:
    nothing up to .3, fully from .8 on. Phases and loudness do not matter, so weakly voiced beginnings and ends of
    sounds, in which spectral losses hear little, count as much as the rest.

    Raises:
        ValueError: waveforms of different shapes, or a sample rate below 2,200 Hz.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real and fake waveforms must have one shape [B, T], got {real.shape} and {fake.shape}")
    if sample_rate < 2 * _STOPPED:
        raise ValueError(f"autocorrelations hear up to {_STOPPED} Hz and need twice that rate, got {sample_rate} Hz")
    plan = _plan(sample_rate)
    theirs, ours = _autocorrelations(real, plan), _autocorrelations(fake, plan)
    voiced = jnp.clip((jnp.max(theirs, axis=-1) - _NOISE) / (_VOICE - _NOISE), 0.0, 1.0)
    distance = jnp.sum(voiced * jnp.mean(jnp.abs(theirs - ours), axis=-1), axis=-1)
    return distance / jnp.maximum(jnp.sum(voiced, axis=-1), jnp.float32(_FEWEST))


def _plan(sample_rate: int) -> _Plan:
    length = round(_WINDOW * sample_rate)
    lags = np.r_[0, sample_rate // _HIGHEST : sample_rate // _LOWEST + 1 : max(sample_rate // 8000, 1)]
    n_fft = 2 ** (length + int(lags[-1]) - 1).bit_length()
    frequencies = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    frequencies = frequencies[frequencies < _STOPPED]
    response = np.clip((_STOPPED - frequencies) / (_STOPPED - _PASSED), 0, 1) * (frequencies >= _DIRECT)
    window = frame_window(n_fft, length, round(_HOP * sample_rate))
    own = np.fft.irfft(np.abs(np.fft.rfft(np.float64(window))) ** 2)
    cosines = np.cos(2 * np.pi * np.outer(frequencies / sample_rate, lags)) / (own[lags] / own[0])
    return _Plan(window, round(_HOP * sample_rate), (response[:, None] * cosines).astype(np.float32))


def _autocorrelations(waveform: Float[Array, "batch time"], plan: _Plan) -> Float[Array, "batch frames lags"]:
    half = len(plan.window) // 2
    spectrum = stft(waveform, window=plan.window, hop_length=plan.hop_length, pad_left=half, pad_right=half)
    spectrum = spectrum[..., : len(plan.cosines)]
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    sums = jnp.matmul(power, jnp.asarray(plan.cosines), precision=lax.Precision.HIGHEST)
    return sums[..., 1:] / jnp.maximum(sums[..., :1], jnp.float32(_SILENCE))


__all__ = ["autocorrelation_l1"]
