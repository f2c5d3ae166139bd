"""Log-mel features in numpy, for worker processes that must not import jax."""

import numpy as np
from jaxtyping import Float

from wavejax.audio.feature_spec import FeatureSpec, check_length
from wavejax.audio.filterbanks import high_pass_taps

# Frames transformed at a time: their spectra stay in the second-level cache, half the time of 1,024.
_BLOCK = 64


def log_mel_numpy(waveform: Float[np.ndarray, " time"], spec: FeatureSpec) -> Float[np.ndarray, "frame band"]:
    """float32 features [F, n_mels] of one waveform [T]: what `log_mel` computes, in float64 and without jax.

    Raises ValueError when the waveform is not one-dimensional or too short for one frame.
    """
    signal = np.asarray(waveform, np.float64)
    if signal.ndim != 1:
        raise ValueError(f"waveform has shape {signal.shape}; expected one channel, [T]. Features of a batch: log_mel.")
    check_length(signal.shape[0], spec)
    num_frames, pad_right = spec.num_frames(signal.shape[0]), spec.pad_right(signal.shape[0])
    if spec.high_pass:
        signal = _convolve_same(signal, high_pass_taps(spec.sample_rate, spec.high_pass))
    if spec.pre_emphasis:
        signal = signal - spec.pre_emphasis * np.concatenate([[0.0], signal[:-1]])
    padded = np.pad(signal, (spec.pad_left, pad_right), mode="reflect" if spec.pad_mode == "reflect" else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[:: spec.hop_length][:num_frames]
    window, filterbank = spec.frame_window, spec.filterbank.astype(np.float64)
    features = np.empty((num_frames, spec.n_mels), np.float32)
    for start in range(0, num_frames, _BLOCK):
        spectrum = np.fft.rfft(frames[start : start + _BLOCK] * window)
        energy = np.square(spectrum.real) + np.square(spectrum.imag) + spec.magnitude_epsilon
        features[start : start + _BLOCK] = spec.compress((energy if spec.power == 2 else np.sqrt(energy)) @ filterbank)
    return features


def _convolve_same(signal: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Convolution with an odd number of symmetric taps, the delay removed: as long as the signal, even a short one."""
    half = len(taps) // 2
    return np.convolve(signal, taps)[half : half + len(signal)]
