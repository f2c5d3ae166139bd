"""How high and how fast a voice speaks, from its sound alone, so that any voice can stand beside another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from wavejax.evaluation.pitch import pitch

_FRAME_SECONDS = 0.01
_QUIET_DB = 35.0
"""By which a frame is below the loudest ones where nobody speaks."""
_PAUSE_SECONDS = 0.1
"""Of quiet that are a pause, and no closed mouth before a stop."""


@dataclass(frozen=True, kw_only=True)
class ProsodyFigures:
    """Of a voice, over several recordings."""

    pitch: float
    """Median F0 of all voiced frames, Hz; NaN where nothing is voiced."""
    deviation: float
    """Standard deviation of F0 around the mean of its log, semitones."""
    pace: float
    """Phonemes a second, pauses left out."""
    pauses: float
    """Share of the time between the first and the last sound in which nobody speaks."""

    def __str__(self) -> str:
        return (
            f"F0 median {self.pitch:.0f} Hz, deviation {self.deviation:.1f} semitones; {self.pace:.1f} phonemes a "
            f"second, {100 * self.pauses:.0f} % pauses"
        )


def prosody_figures(
    waveforms: Sequence[Float[np.ndarray, " time"]], sample_rate: int, num_phones: Sequence[int]
) -> ProsodyFigures:
    """The figures of recordings of which it is known how many phonemes are said in each.

    Raises MissingExtra without pyworld.
    """
    tracks = [pitch(waveform, sample_rate) for waveform in waveforms]
    voiced = np.concatenate([track[track > 0] for track in tracks]) if tracks else np.zeros(0)
    spans = [_spoken(waveform, sample_rate) for waveform in waveforms]
    whole, quiet = (sum(each) for each in zip(*spans, strict=True)) if spans else (0.0, 0.0)
    return ProsodyFigures(
        pitch=float(np.median(voiced)) if len(voiced) else math.nan,
        deviation=float(np.std(12 * np.log2(voiced))) if len(voiced) else math.nan,
        pace=sum(num_phones) / (whole - quiet) if whole > quiet else math.nan,
        pauses=quiet / whole if whole else math.nan,
    )


def _spoken(waveform: Float[np.ndarray, " time"], sample_rate: int) -> tuple[float, float]:
    """Seconds from the first to the last sound, and seconds of pauses between them."""
    size = round(_FRAME_SECONDS * sample_rate)
    frames = waveform[: len(waveform) // size * size].astype(np.float64).reshape(-1, size)
    level = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-12)
    if not len(level):
        return 0.0, 0.0
    heard = np.flatnonzero(level > np.percentile(level, 95) - _QUIET_DB)
    gaps = np.diff(heard) - 1
    pauses = gaps[gaps * _FRAME_SECONDS >= _PAUSE_SECONDS].sum()
    return float(heard[-1] - heard[0] + 1) * _FRAME_SECONDS, float(pauses) * _FRAME_SECONDS


__all__ = ["ProsodyFigures", "prosody_figures"]
