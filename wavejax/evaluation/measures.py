"""The parts of a judgement: items, columns, and the measures that need no learned model.

A measure sees all items once (`open`), then returns its columns' figures for one candidate of one item at a time.
Candidates are level-matched, cut to the item's length, and at the item's rate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from wavejax.audio.specs import get_spec
from wavejax.evaluation.alignment import lag_seconds
from wavejax.evaluation.pitch import load_world, pitch, pitch_errors
from wavejax.evaluation.spectra import (
    band_level_differences,
    log_mel_distance,
    long_term_spectrum_error,
    pause_noise_difference,
)

JUDGED_RATE = 16_000
"""Everything is judged at this rate, because most judges were trained at it."""

Better = Literal["higher", "lower", "zero"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One utterance that is judged."""

    id: str
    waveform: Float[np.ndarray, " time"]
    """The recording, float32 at `JUDGED_RATE`."""
    transcript: str = ""
    speaker: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One figure of the table."""

    name: str
    title: str
    better: Better
    bar: float
    """A figure beyond it is flagged: below it (higher), above it (lower), or further than it from 0 (zero)."""
    digits: int = 2

    def passes(self, value: float) -> bool:
        """Whether a mean lies within the bar; NaN counts as within."""
        if np.isnan(value):
            return True
        if self.better == "higher":
            return value >= self.bar
        return (abs(value) if self.better == "zero" else value) <= self.bar


class Candidate(NamedTuple):
    """One system's waveform for one item."""

    item: int
    """Index of the item."""
    waveform: Float[np.ndarray, " time"]
    """float32, level-matched, as long as the item."""
    level: float
    """How much louder than the item it was before level matching, dB."""


Scorer = Callable[[Candidate], tuple[float, ...]]
"""A candidate -> one figure per column; NaN for a missing figure."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Columns, and the function that computes their figures."""

    name: str
    columns: tuple[Column, ...]
    open: Callable[[Sequence[Item]], Scorer]
    """Raises MissingExtra, which says what to install, if a package is missing."""
    aligned: bool = True
    """False if the measure is also valid for speech that is not aligned in time with the recording."""


def _open_level(items: Sequence[Item]) -> Scorer:
    return lambda candidate: (candidate.level,)


def _open_lag(items: Sequence[Item]) -> Scorer:
    def score(candidate: Candidate) -> tuple[float, ...]:
        return (1000.0 * lag_seconds(items[candidate.item].waveform, candidate.waveform, JUDGED_RATE),)

    return score


def _open_spectrum(items: Sequence[Item]) -> Scorer:
    def score(candidate: Candidate) -> tuple[float, ...]:
        pair = items[candidate.item].waveform, candidate.waveform
        error = long_term_spectrum_error(*pair, JUDGED_RATE)
        return error, float(band_level_differences(*pair, JUDGED_RATE, (4000.0, 8000.0))[0])

    return score


def _open_frames(items: Sequence[Item]) -> Scorer:
    spec = get_spec("speech-16k")

    def score(candidate: Candidate) -> tuple[float, ...]:
        pair = items[candidate.item].waveform, candidate.waveform
        return log_mel_distance(*pair, spec), pause_noise_difference(*pair, JUDGED_RATE)

    return score


def _open_pitch(items: Sequence[Item]) -> Scorer:
    load_world()
    references = [pitch(item.waveform, JUDGED_RATE) for item in items]

    def score(candidate: Candidate) -> tuple[float, ...]:
        return pitch_errors(references[candidate.item], pitch(candidate.waveform, JUDGED_RATE))

    return score


METRICS: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            name="level",
            columns=(Column(name="level", title="level before matching (dB)", better="zero", bar=2.0),),
            open=_open_level,
            aligned=False,
        ),
        Measure(
            name="lag",
            columns=(Column(name="lag", title="lag (ms)", better="zero", bar=6.0, digits=1),),
            open=_open_lag,
        ),
        Measure(
            name="spectrum",
            columns=(
                Column(name="spectrum", title="long-term spectrum error (dB)", better="lower", bar=2.0),
                Column(name="high_band", title="level of 4-8 kHz (dB)", better="zero", bar=3.0),
            ),
            open=_open_spectrum,
            aligned=False,
        ),
        Measure(
            name="frames",
            columns=(
                Column(name="log_mel", title="log-mel distance (dB)", better="lower", bar=5.0),
                Column(name="pauses", title="noise in pauses (dB)", better="zero", bar=6.0, digits=1),
            ),
            open=_open_frames,
        ),
        Measure(
            name="pitch",
            columns=(
                Column(name="f0", title="F0 error (cents)", better="lower", bar=30.0, digits=1),
                Column(name="voicing", title="voiced/unvoiced error (%)", better="lower", bar=8.0, digits=1),
            ),
            open=_open_pitch,
        ),
    )
}
"""Measures of signals; only `pitch` needs a package (pyworld, extra `eval`)."""
