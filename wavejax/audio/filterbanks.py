"""Windows, mel filterbanks and filter taps as numpy constants. No jax here, so worker processes can use them."""

import functools
from typing import Literal

import numpy as np

MelScale = Literal["slaney", "htk"]
MelNorm = Literal["slaney", "none"]
Window = Literal["hann", "sqrt_hann"]

# Slaney's Auditory Toolbox (Interval Technical Report 1998-010): linear below 1 kHz, 27 steps per factor 6.4 above.
_SLANEY_HZ_PER_MEL = 200.0 / 3
_SLANEY_KNEE_HZ = 1000.0
_SLANEY_LOG_STEP = np.log(6.4) / 27.0


def hann_window(win_length: int) -> np.ndarray:
    """Periodic Hann window, float64 [win_length]: 0.5 - 0.5 cos(2 pi n / win_length), centred on win_length / 2."""
    if win_length < 1:
        raise ValueError(f"win_length is {win_length}; expected at least 1 sample.")
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(win_length) / win_length)


def sqrt_hann_window(win_length: int, hop_length: int) -> np.ndarray:
    """Square root of a Hann window at half-sample positions, float64 [win_length], centred on (win_length - 1) / 2.

    Scaled by sqrt(2 hop_length / win_length), so that squared windows at that hop add up to 1. It is the analysis
    window of the ``lws`` package (Le Roux et al., "Fast signal reconstruction from magnitude STFT spectrogram", DAFx
    2010).
    """
    positions = (np.arange(win_length) + 0.5) / win_length
    return np.sqrt((0.5 - 0.5 * np.cos(2.0 * np.pi * positions)) * 2.0 * hop_length / win_length)


@functools.lru_cache(maxsize=32)
def frame_window(n_fft: int, win_length: int, hop_length: int, kind: Window = "hann") -> np.ndarray:
    """Window of win_length samples in the middle of a frame of n_fft (zeros around it), float64 [n_fft], read-only."""
    if not 1 <= win_length <= n_fft:
        raise ValueError(f"win_length is {win_length}; expected between 1 and n_fft ({n_fft}) samples.")
    left = (n_fft - win_length) // 2
    window = hann_window(win_length) if kind == "hann" else sqrt_hann_window(win_length, hop_length)
    window = np.pad(window, (left, n_fft - win_length - left))
    window.setflags(write=False)
    return window


def hz_to_mel(frequency: np.ndarray | float, scale: MelScale = "slaney") -> np.ndarray:
    """Mel value of a frequency in Hz. ``htk``: 2595 log10(1 + f / 700); ``slaney``: linear to 1 kHz, then a log."""
    hertz = np.asarray(frequency, np.float64)
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hertz / 700.0))
    knee = _SLANEY_KNEE_HZ / _SLANEY_HZ_PER_MEL
    above = knee + np.log(np.maximum(hertz, _SLANEY_KNEE_HZ) / _SLANEY_KNEE_HZ) / _SLANEY_LOG_STEP
    return np.where(hertz < _SLANEY_KNEE_HZ, hertz / _SLANEY_HZ_PER_MEL, above)


def mel_to_hz(mel: np.ndarray | float, scale: MelScale = "slaney") -> np.ndarray:
    """Frequency in Hz of a mel value: the inverse of `hz_to_mel`."""
    mels = np.asarray(mel, np.float64)
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mels / 2595.0) - 1.0))
    knee = _SLANEY_KNEE_HZ / _SLANEY_HZ_PER_MEL
    above = _SLANEY_KNEE_HZ * np.exp(_SLANEY_LOG_STEP * (np.maximum(mels, knee) - knee))
    return np.where(mels < knee, mels * _SLANEY_HZ_PER_MEL, above)


@functools.lru_cache(maxsize=32)
def mel_filterbank(
    sample_rate: int,
    n_fft: int,
    n_mels: int = 80,
    f_min: float = 0.0,
    f_max: float | None = None,
    mel_scale: MelScale = "slaney",
    mel_norm: MelNorm = "slaney",
) -> np.ndarray:
    """Triangular mel filters, float32 [n_fft // 2 + 1, n_mels], read-only; spectrum @ filters is the mel spectrum.

    Corners are n_mels + 2 points evenly spaced in mel from f_min to f_max (default half the sample rate). ``mel_norm``
    ``slaney`` scales each filter by 2 / (its width in Hz), ``none`` leaves peaks at 1. Equal to the transpose of
    ``librosa.filters.mel``. Raises ValueError on a frequency range outside [0, sample_rate / 2].
    """
    highest = sample_rate / 2 if f_max is None else f_max
    if not 0 <= f_min < highest <= sample_rate / 2:
        raise ValueError(
            f"mel bands from {f_min} to {highest} Hz at {sample_rate} Hz; expected 0 <= f_min < f_max <= "
            f"{sample_rate / 2}."
        )
    bins = np.arange(n_fft // 2 + 1)[:, None] * (sample_rate / n_fft)
    corners = mel_to_hz(np.linspace(hz_to_mel(f_min, mel_scale), hz_to_mel(highest, mel_scale), n_mels + 2), mel_scale)
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    filters = np.maximum(0.0, np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak)))
    if mel_norm == "slaney":
        filters = filters * (2.0 / (high - low))
    filters = filters.astype(np.float32)
    filters.setflags(write=False)
    return filters


@functools.lru_cache(maxsize=16)
def high_pass_taps(sample_rate: int, cutoff: float, num_taps: int = 255) -> np.ndarray:
    """Taps [num_taps] float64 of a Hamming-windowed sinc high-pass with gain 1 at half the sample rate (window method).

    Equal to ``scipy.signal.firwin(num_taps, cutoff / (sample_rate / 2), pass_zero=False)``. Raises ValueError on an
    even number of taps or a cutoff outside (0, sample_rate / 2).
    """
    if num_taps % 2 == 0 or num_taps < 3:
        raise ValueError(f"num_taps is {num_taps}; a linear-phase high-pass needs an odd number of at least 3.")
    if not 0 < cutoff < sample_rate / 2:
        raise ValueError(f"cutoff is {cutoff} Hz; expected between 0 and half the sample rate ({sample_rate / 2} Hz).")
    position = np.arange(num_taps) - num_taps // 2
    fraction = cutoff / (sample_rate / 2)
    window = 0.54 + 0.46 * np.cos(2 * np.pi * position / (num_taps - 1))
    taps = (np.sinc(position) - fraction * np.sinc(fraction * position)) * window
    taps /= np.sum(taps * np.cos(np.pi * position))
    taps.setflags(write=False)
    return taps
