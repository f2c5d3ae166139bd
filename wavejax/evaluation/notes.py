"""How close a generated note is to its recording: pitch, decay, spectrum. Items are named after their notes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wavejax.audio.notes import midi_number
from wavejax.audio.partials import cents_between, measure_partials
from wavejax.audio.specs import get_spec
from wavejax.evaluation.measures import JUDGED_RATE, METRICS, Candidate, Column, Item, Measure, Scorer
from wavejax.evaluation.spectra import log_mel_distance

PITCH_PART = (0.1, 1.1)
"""The part of a note, in seconds, over which its pitch is measured, by the partials' phases in one long window."""
NO_PITCH = 100.0
"""The error in cents of a note without a measurable pitch."""
DECAY_DB = 20.0
SOUNDING_DB = 50.0
_LEVEL_SECONDS = 0.05


def decay_time(waveform: Float[np.ndarray, " time"], sample_rate: int, decibels: float = DECAY_DB) -> float:
    """Seconds from the loudest 50 ms until the energy still to come has fallen by `decibels` from its first value.

    Backward integration (Schroeder 1965, JASA 37(3)): unlike a level, it does not fluctuate with beats between strings.
    The energy after the waveform's end counts as 0, so compare only waveforms of equal length. NaN for silence.
    """
    energy = np.square(np.asarray(waveform, np.float64))
    block = max(round(_LEVEL_SECONDS * sample_rate), 1)
    total = np.concatenate([[0.0], np.cumsum(energy)])
    if total[-1] <= 0.0 or len(waveform) <= block:
        return float("nan")
    start = int(np.argmax(total[block:] - total[:-block]))
    left = total[-1] - total[start:]
    return float(np.argmax(left <= left[0] * 10.0 ** (-decibels / 10.0))) / sample_rate


def sounding_length(
    waveform: Float[np.ndarray, " time"], sample_rate: int, *, decibels: float = SOUNDING_DB, least: float = 1.0
) -> int:
    """Samples until the level (50 ms) stays `decibels` below the loudest to the end; at least `least` seconds."""
    block = round(_LEVEL_SECONDS * sample_rate)
    power = np.add.reduceat(np.square(np.asarray(waveform, np.float64)), np.arange(0, len(waveform), block))
    last = int(np.flatnonzero(power >= np.max(power) * 10.0 ** (-decibels / 10.0))[-1])
    return min(len(waveform), max((last + 1) * block, round(least * sample_rate)))


def envelope(waveform: Float[np.ndarray, " time"], sample_rate: int, period: float) -> Float[np.ndarray, " time"]:
    """Level at each sample: the root mean square over two periods (seconds) around it, at least 10 ms."""
    width = max(round(2.0 * period * sample_rate), round(0.01 * sample_rate)) | 1
    total = np.concatenate([[0.0], np.cumsum(np.square(np.asarray(waveform, np.float64)))])
    places = np.arange(len(waveform))
    high, low = np.minimum(places + width // 2 + 1, len(waveform)), np.maximum(places - width // 2, 0)
    return np.sqrt((total[high] - total[low]) / (high - low))


def sine_of(waveform: Float[np.ndarray, " time"], sample_rate: int, frequency: float) -> Float[np.ndarray, " time"]:
    """A sine of this frequency (Hz) with the waveform's envelope: perfectly in tune, but not a piano."""
    time = np.arange(len(waveform)) / sample_rate
    level = envelope(waveform, sample_rate, 1.0 / frequency)
    return (np.sqrt(2.0) * level * np.sin(2.0 * np.pi * frequency * time)).astype(np.float32)


def note_pitch(waveform: Float[np.ndarray, " time"], note: str) -> float | None:
    """Hz of a note's first partial, at `JUDGED_RATE`, over `PITCH_PART`; None if none is found near the note's pitch.

    Notes that are shorter are measured to their end.
    """
    tempered = 440.0 * 2.0 ** ((midi_number(note) - 69.0) / 12.0)
    begin, end = (round(second * JUDGED_RATE) for second in PITCH_PART)
    try:
        return measure_partials(waveform[begin:end], JUDGED_RATE, tempered).fundamental
    except ValueError:
        return None


def _open_pitch(items: Sequence[Item]) -> Scorer:
    known = []
    for item in items:
        found = note_pitch(item.waveform, item.id)
        if found is None:
            raise ValueError(f"no pitch is found in the recording of {item.id}: is it that note?")
        known.append(found)

    def score(candidate: Candidate) -> tuple[float, ...]:
        found = note_pitch(candidate.waveform, items[candidate.item].id)
        return (NO_PITCH if found is None else abs(cents_between(found, known[candidate.item])),)

    return score


def _open_decay(items: Sequence[Item]) -> Scorer:
    known = [decay_time(item.waveform, JUDGED_RATE) for item in items]

    def score(candidate: Candidate) -> tuple[float, ...]:
        return (100.0 * (decay_time(candidate.waveform, JUDGED_RATE) / known[candidate.item] - 1.0),)

    return score


def _open_spectrum(items: Sequence[Item]) -> Scorer:
    spec = get_spec("speech-16k")

    def score(candidate: Candidate) -> tuple[float, ...]:
        return (log_mel_distance(items[candidate.item].waveform, candidate.waveform, spec),)

    return score


NOTE_MEASURES: tuple[Measure, ...] = (
    Measure(
        name="note pitch",
        columns=(Column(name="pitch", title="pitch error (cents)", better="lower", bar=20.0, digits=1),),
        open=_open_pitch,
    ),
    Measure(
        name="decay",
        columns=(Column(name="decay", title="decay time to -20 dB (%)", better="zero", bar=30.0, digits=0),),
        open=_open_decay,
    ),
    Measure(
        name="note spectrum",
        columns=(Column(name="log_mel", title="log-mel distance (dB)", better="lower", bar=10.0),),
        open=_open_spectrum,
    ),
    METRICS["level"],
    METRICS["spectrum"],
)
"""Measures of single notes; none needs a package."""
