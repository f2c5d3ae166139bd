"""Fundamental frequency, and its difference between two recordings."""

import warnings
from types import ModuleType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from wavejax.extras import require_extra

FRAME_SECONDS = 0.005
"""Step of the F0 track."""


class PitchErrors(NamedTuple):
    """How a candidate's F0 track differs from its reference's."""

    cents: float
    """Mean |1200 log2(candidate / reference)| over the frames that are voiced in both; NaN if there are none."""
    voicing: float
    """Percentage of frames that are voiced in one track and unvoiced in the other."""


def pitch(waveform: Float[np.ndarray, " time"], sample_rate: int) -> Float[np.ndarray, " frame"]:
    """F0 in Hz every 5 ms, float64 [F], 0 where unvoiced: DIO refined by StoneMask (Morise 2009, 2016), 71 to 800 Hz.

    Raises MissingExtra without pyworld.
    """
    world = load_world()
    samples = np.ascontiguousarray(waveform, np.float64)
    raw, times = world.dio(samples, sample_rate, frame_period=1000.0 * FRAME_SECONDS)
    return np.asarray(world.stonemask(samples, raw, times, sample_rate))


def pitch_of_frames(
    waveform: Float[np.ndarray, " time"], sample_rate: int, hop_length: int, frame_centre: int
) -> Float[np.ndarray, " frame"]:
    """F0 in Hz, 0 where unvoiced, at the middle of each frame: samples frame_centre, frame_centre + hop_length, ...

    As `pitch`, with the step of the frames.
    """
    world = load_world()
    samples = np.ascontiguousarray(waveform[frame_centre:], np.float64)
    raw, times = world.dio(samples, sample_rate, frame_period=1000.0 * hop_length / sample_rate)
    return np.asarray(world.stonemask(samples, raw, times, sample_rate))


def pitch_errors(reference: Float[np.ndarray, " frame"], candidate: Float[np.ndarray, " other"]) -> PitchErrors:
    """Errors between two tracks of `pitch`, aligned frame by frame; extra frames at the end of one are ignored."""
    length = min(len(reference), len(candidate))
    if not length:
        raise ValueError("an F0 track of 0 frames has no error: give recordings that last")
    known, heard = reference[:length], candidate[:length]
    both = (known > 0) & (heard > 0)
    cents = 1200.0 * np.abs(np.log2(heard[both] / known[both]))
    voicing = 100.0 * float(np.mean((known > 0) != (heard > 0)))
    return PitchErrors(cents=float(cents.mean()) if both.any() else float("nan"), voicing=voicing)


def load_world() -> ModuleType:
    """The package pyworld. Raises MissingExtra."""
    with warnings.catch_warnings():
        # On import it reads its own version through a deprecated interface.
        warnings.simplefilter("ignore")
        return require_extra("pyworld", "eval", "the F0 track")
