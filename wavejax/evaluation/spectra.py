"""Differences between the spectra of two recordings, in dB."""

import numpy as np
from jaxtyping import Float

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.host_features import log_mel_numpy
from wavejax.data.manifest import active_blocks

SPEECH_BANDS = (0.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
"""Band edges in Hz for speech at 16 kHz."""

THIRD_OCTAVES = tuple(float(1000.0 * 2.0 ** ((third - 0.5) / 3)) for third in range(-10, 10))
"""Edges in Hz of the 19 third-octave bands from 100 Hz to 7 kHz (centres 99 Hz to 6.35 kHz, powers of 2^(1/3))."""


def log_mel_distance(
    original: Float[np.ndarray, " time"], generated: Float[np.ndarray, " other_time"], spec: FeatureSpec
) -> float:
    """Log-spectral distance in dB >= 0: the root mean square over mel bands in each frame, averaged over frames.

    The waveforms are aligned recordings of the same sound at `spec.sample_rate`. One may be longer by less than one
    hop; its extra samples are ignored. The spec's floor affects the result, its log base and normalisation do not.
    Raises ValueError on other lengths.
    """
    if abs(len(original) - len(generated)) >= spec.hop_length:
        raise ValueError(
            f"the recordings have {len(original)} and {len(generated)} samples; expected less than one hop "
            f"({spec.hop_length}) of difference: cut them to the part that both hold"
        )
    length = min(len(original), len(generated))
    difference = mel_decibels(generated[:length], spec) - mel_decibels(original[:length], spec)
    return float(np.sqrt(np.mean(np.square(difference), axis=1)).mean())


def band_level_differences(
    original: Float[np.ndarray, " time"],
    generated: Float[np.ndarray, " other_time"],
    sample_rate: int,
    bands: tuple[float, ...] = SPEECH_BANDS,
) -> Float[np.ndarray, " band"]:
    """Mean level of `generated` minus that of `original` in each band, dB, float64 [len(bands) - 1].

    `bands` are ascending edges in Hz. Levels are mean powers over whole recordings, which need not be aligned or have
    equal length; levels below -120 dB re full scale count as -120 dB. Raises ValueError on an empty recording or band.
    """
    edges = np.asarray(bands, np.float64)
    if len(edges) < 2 or not (np.diff(edges) > 0).all() or edges[0] < 0 or edges[-1] > sample_rate / 2:
        raise ValueError(f"bands must be ascending edges between 0 and {sample_rate / 2} Hz, got {bands}")
    return _band_levels(generated, sample_rate, edges) - _band_levels(original, sample_rate, edges)


def long_term_spectrum_error(
    original: Float[np.ndarray, " time"], generated: Float[np.ndarray, " other_time"], sample_rate: int
) -> float:
    """Mean |difference| in dB of the third-octave levels from 100 Hz to 7 kHz, over whole recordings."""
    return float(np.abs(band_level_differences(original, generated, sample_rate, THIRD_OCTAVES)).mean())


def pause_noise_difference(
    original: Float[np.ndarray, " time"], generated: Float[np.ndarray, " other_time"], sample_rate: int
) -> float:
    """Mean level of `generated` minus that of `original` where the original pauses, in dB; NaN without a pause.

    A pause is a block of 12.5 ms that is silent by `active_blocks` and whose neighbours within 25 ms are silent too, so
    that the decay after speech does not count. Levels below -90 dB re full scale count as -90 dB. The waveforms must be
    aligned.
    """
    hop = round(0.0125 * sample_rate)
    length = min(len(original), len(generated))
    active = np.pad(active_blocks(original[:length], hop), 2)
    near = np.lib.stride_tricks.sliding_window_view(active, 5).any(axis=1)
    silent = np.repeat(~near, hop)[:length]
    if np.count_nonzero(silent) < 4 * hop:
        return float("nan")
    levels = [
        10.0 * np.log10(max(float(np.mean(np.square(each[:length][silent], dtype=np.float64))), 1e-9))
        for each in (generated, original)
    ]
    return levels[0] - levels[1]


def _band_levels(waveform: np.ndarray, sample_rate: int, edges: np.ndarray) -> np.ndarray:
    """Mean power of each band in dB re full scale (power 1)."""
    if not len(waveform):
        raise ValueError("a recording of 0 samples has no level")
    power = np.square(np.abs(np.fft.rfft(np.asarray(waveform, np.float64)))) * 2.0 / len(waveform) ** 2
    frequency = np.fft.rfftfreq(len(waveform), 1.0 / sample_rate)
    band = np.searchsorted(edges, frequency, side="right") - 1
    band[frequency == edges[-1]] = len(edges) - 2
    inside = (band >= 0) & (band < len(edges) - 1)
    total = np.bincount(band[inside], power[inside], minlength=len(edges) - 1)
    return 10.0 * np.log10(np.maximum(total, 1e-12))


def mel_decibels(waveform: Float[np.ndarray, " time"], spec: FeatureSpec) -> Float[np.ndarray, "frame band"]:
    """Mel magnitudes in dB, float64 [F, n_mels]; 0 dB is a full-scale sine in the band with the largest response."""
    mel = spec.expand(log_mel_numpy(np.asarray(waveform, np.float32), spec))
    full_scale = (spec.filterbank.max() * (spec.frame_window.sum() / 2.0) ** spec.power).astype(np.float64)
    return 20.0 / spec.power * np.log10(np.maximum(mel, spec.floor) / full_scale)
