"""Log-mel features in numpy, for worker processes that must not import jax."""

import numpy as np
from jaxtyping import Float, Num

from wavejax.audio.feature_spec import FeatureSpec, check_length
from wavejax.audio.filterbanks import high_pass_taps
from wavejax.audio.orientation import frames_first
from wavejax.audio.waveforms import check_waveform, scaled

# Frames transformed at a time: their spectra fit in the second-level cache, which takes half the time of 1,024 frames.
_BLOCK = 64
# Samples held in float64 at a time; a shorter waveform is one part.
_PART = 1 << 22


def log_mel_numpy(waveform: Num[np.ndarray, " time"], spec: FeatureSpec) -> Float[np.ndarray, "frame band"]:
    """float32 features [F, n_mels] of one waveform [T]: like `log_mel`, but computed in float64 and without jax.

    ``waveform`` is floating point in [-1, 1] or int16. Raises ValueError if it is neither (see `check_waveform`), not
    one-dimensional or too short for one frame.
    """
    signal = check_waveform(waveform)
    if signal.ndim != 1:
        raise ValueError(f"waveform has shape {signal.shape}; expected one channel, [T]. Features of a batch: log_mel.")
    check_length(signal.shape[0], spec)
    num_frames = spec.num_frames(signal.shape[0])
    window, filterbank = spec.frame_window, spec.filterbank.astype(np.float64)
    features = np.empty((num_frames, spec.n_mels), np.float32)
    part = max(_BLOCK, _PART // spec.hop_length // _BLOCK * _BLOCK)
    for first in range(0, num_frames, part):
        frames = _frames(signal, spec, first, min(first + part, num_frames))
        for start in range(0, len(frames), _BLOCK):
            spectrum = np.fft.rfft(frames[start : start + _BLOCK] * window)
            energy = np.square(spectrum.real) + np.square(spectrum.imag) + spec.magnitude_epsilon
            mel = (energy if spec.power == 2 else np.sqrt(energy)) @ filterbank
            features[first + start : first + start + len(mel)] = spec.compress(mel)
    return frames_first(features)


def _frames(signal: np.ndarray, spec: FeatureSpec, first: int, stop: int) -> Float[np.ndarray, "some n_fft"]:
    """Frames first .. stop - 1 of the padded signal, float64: a view of a copy of only the samples that they need."""
    length, start = len(signal), first * spec.hop_length - spec.pad_left
    end = (stop - 1) * spec.hop_length - spec.pad_left + spec.n_fft
    if first == 0 and stop == spec.num_frames(length):
        end = length + spec.pad_right(length)  # the whole signal: one that is shorter than its padding needs all of it
    # Samples that are mirrored at an end must lie within the part.
    low, high = max(0, min(start, length - spec.n_fft)), min(length, max(end, spec.n_fft))
    part = _filtered(signal, low, high, spec)
    left, right = max(0, -start), max(0, end - length)
    padded = np.pad(part, (left, right), mode="reflect" if spec.pad_mode == "reflect" else "constant")
    wanted = padded[start + left - low : end + left - low]
    return np.lib.stride_tricks.sliding_window_view(wanted, spec.n_fft)[:: spec.hop_length][: stop - first]


def _filtered(signal: np.ndarray, low: int, high: int, spec: FeatureSpec) -> Float[np.ndarray, " part"]:
    """Samples low .. high - 1 of the signal after high-pass and pre-emphasis, float64."""
    taps = high_pass_taps(spec.sample_rate, spec.high_pass) if spec.high_pass else np.ones(1)
    margin = len(taps) // 2 + 1
    before, after = max(0, low - margin), min(len(signal), high + margin)
    part = scaled(signal[before:after], np.float64)
    if spec.high_pass:
        part = _convolve_same(part, taps)
    if spec.pre_emphasis:
        part = part - spec.pre_emphasis * np.concatenate([[0.0], part[:-1]])
    return part[low - before : high - before]


def _convolve_same(signal: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Convolution with an odd number of symmetric taps, delay removed. The result is as long as the signal, even if
    the signal is shorter than the taps."""
    half = len(taps) // 2
    return np.convolve(signal, taps)[half : half + len(signal)]
