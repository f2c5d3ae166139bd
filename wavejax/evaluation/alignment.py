"""Alignment of two recordings in level and time before their sound is compared."""

import numpy as np
from jaxtyping import Float

from wavejax.audio.levels import loudness

QUIETEST_LUFS = -70.0
"""The absolute gate of BS.1770: the level of quieter sound cannot be matched."""
LARGEST_LAG_SECONDS = 0.05


def match_level(
    candidate: Float[np.ndarray, " time"], reference: Float[np.ndarray, " other"], sample_rate: int
) -> tuple[Float[np.ndarray, " time"], float]:
    """(candidate at the reference's loudness, float32 within [-1, 1]; how much louder it was before, in dB).

    Loudness is that of BS.1770, which a lag or low-frequency rumble does not change. If either is silent, nothing is
    scaled, and silence counts as -70 LUFS in the difference.
    """
    levels = [loudness(each, sample_rate) for each in (candidate, reference)]
    difference = float(np.subtract(*np.maximum(levels, QUIETEST_LUFS)))
    gain = 10.0 ** (-difference / 20.0) if np.isfinite(levels).all() else 1.0
    return np.clip(np.asarray(candidate, np.float64) * gain, -1.0, 1.0).astype(np.float32), difference


def fit_length(waveform: Float[np.ndarray, " time"], length: int) -> Float[np.ndarray, " length"]:
    """The waveform cut or padded with zeros at its end to `length` samples."""
    return np.pad(waveform[:length], (0, max(0, length - len(waveform))))


def lag_seconds(
    reference: Float[np.ndarray, " time"], candidate: Float[np.ndarray, " other"], sample_rate: int
) -> float:
    """How much later the candidate's sound comes than the reference's, in seconds, within +/- 50 ms.

    The peak of the normalised cross-correlation between the changes of the two energy envelopes (5 ms windows every
    1 ms, in dB over 60 dB of range), refined by a parabola. The phases need not agree; a vocoder does not preserve
    them.
    """
    known, heard = (np.diff(_envelope(each, sample_rate)) for each in (reference, candidate))
    length = min(len(known), len(heard))
    reach = min(round(LARGEST_LAG_SECONDS * 1000), length // 4)
    if reach < 1:
        raise ValueError(f"recordings of {len(reference)} and {len(candidate)} samples are too short for a lag")
    match = np.asarray([_match(known[:length], heard[:length], lag) for lag in range(-reach, reach + 1)])
    best = int(np.argmax(match))
    return 0.001 * (best - reach + _vertex(match[max(best - 1, 0) : best + 2])) if match.any() else 0.0


def _match(known: np.ndarray, heard: np.ndarray, lag: int) -> float:
    """Cosine between the overlapping parts of two equally long signals, the second shifted back by `lag`."""
    first = known[max(-lag, 0) : len(known) - max(lag, 0)]
    second = heard[max(lag, 0) : len(heard) - max(-lag, 0)]
    return float(first @ second) / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12)


def _envelope(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    step = sample_rate / 1000.0
    total = np.concatenate([[0.0], np.cumsum(np.square(np.asarray(waveform, np.float64)))])
    starts = np.round(np.arange(0, max(len(waveform) - 5 * step, 0), step)).astype(int)
    power = (total[starts + round(5 * step)] - total[starts]) / round(5 * step)
    level = 10.0 * np.log10(np.maximum(power, 1e-12))
    return np.maximum(level, level.max(initial=-120.0) - 60.0)


def _vertex(three: np.ndarray) -> float:
    """Position of the peak of a parabola through three points, relative to the middle one; 0 at an end of the range."""
    if len(three) < 3:
        return 0.0
    bend = three[0] - 2 * three[1] + three[2]
    return float(0.5 * (three[0] - three[2]) / bend) if bend < 0 else 0.0
