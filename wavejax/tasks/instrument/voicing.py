"""Voicing: what a trained instrument's notes are corrected by, measured beside the recordings that it learnt from.

The strokes of a model are noise, and excite the strings more or less than a hammer does. On average over draws, the
stroke of a note and the tone of its strings differ in level from the recordings', in a way that changes smoothly over
keys and time; and draws of neighbouring keys differ at random. A voicing holds the smooth difference, which is taken
back, and the smooth level of the recordings, to which each key is brought.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wavejax.atomic import write_json
from wavejax.audio.notes import NoteSpec
from wavejax.audio.strings import ENVELOPE_TIMES, INSTANT, KEYS, envelope_places, key_polynomials
from wavejax.data.notes import LEAD, NoteRecording, prepare_note
from wavejax.documents import read_json
from wavejax.ownership import marked
from wavejax.ranges import Range

VOICING_NAME = "voicing.json"
LEVELLED = (0.01, 0.3)
"""Seconds after the stroke over which the level of a key is measured."""
_MOST_DB = 12.0
"""A correction beyond it is a measurement of silence."""
_ROWS = 3
_LEVEL_ROWS = 4
_FINITE = Range(-200, 200)


@dataclass(frozen=True, kw_only=True)
class Voicing:
    """Corrections in dB; rows are Chebyshev polynomials of the key over the keyboard, columns `ENVELOPE_TIMES`.

    Raises ValueError on tables of another shape.
    """

    stroke: tuple[tuple[float, ...], ...]
    """Of the stroke alone."""
    tone: tuple[tuple[float, ...], ...]
    """Of what the strings make of it."""
    level: tuple[float, ...]
    """The level of a key over `LEVELLED`, in dB of full scale: coefficients of the polynomials."""

    def __post_init__(self) -> None:
        for name, table in (("stroke", self.stroke), ("tone", self.tone), ("level", (self.level,))):
            width = len(ENVELOPE_TIMES) if name != "level" else len(self.level)
            values = [value for row in table for value in row]
            if not values or any(len(row) != width for row in table) or any(value not in _FINITE for value in values):
                raise ValueError(f"the table {name!r} of a voicing must be rows of {width} dB, got {table!r:.80}")

    def apply(self, parts: Float[np.ndarray, "2 time"], midi: float, sample_rate: int) -> Float[np.ndarray, " time"]:
        """The waveform float32 [T] of a note's stroke and tone (`NoteSpec.parts`), struck `LEAD` after sample 0."""
        seconds = np.arange(parts.shape[1]) / sample_rate - LEAD
        places, knots = envelope_places(seconds), envelope_places(np.asarray(ENVELOPE_TIMES))
        key = float(np.clip(midi, *KEYS))
        total = np.zeros(parts.shape[1])
        for part, table in zip(parts, (self.stroke, self.tone), strict=True):
            decibels = np.clip(key_polynomials(key, len(table)) @ np.asarray(table), -_MOST_DB, _MOST_DB)
            total += part * 10.0 ** (np.interp(places, knots, decibels) / 20.0)
        wanted = float(key_polynomials(key, len(self.level)) @ np.asarray(self.level))
        change = np.clip(wanted - note_level(total, sample_rate), -_MOST_DB, _MOST_DB)
        return (total * 10.0 ** (change / 20.0)).astype(np.float32)

    def save(self, folder: str | Path) -> None:
        """Writes `VOICING_NAME` beside exported parameters. Raises OSError where the system refuses."""
        write_json(Path(folder) / VOICING_NAME, marked(dataclasses.asdict(self)))

    @classmethod
    def load(cls, folder: str | Path) -> "Voicing | None":
        """The voicing in an exported folder; None if there is none. Raises ValueError on a damaged one."""
        path = Path(folder) / VOICING_NAME
        if not path.is_file():
            return None
        try:
            content: Mapping[str, list] = read_json(path)
            stroke, tone = (tuple(tuple(map(float, row)) for row in content[name]) for name in ("stroke", "tone"))
            return cls(stroke=stroke, tone=tone, level=tuple(map(float, content["level"])))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is damaged ({error!r:.200}): measure it again, or remove it to play without a voicing"
            ) from error


def note_level(waveform: Float[np.ndarray, " time"], sample_rate: int) -> float:
    """dB of full scale over `LEVELLED` of a note struck `LEAD` after its first sample; -100 for silence."""
    begin, end = (round((LEAD + second) * sample_rate) for second in LEVELLED)
    part = np.asarray(waveform[begin:end], np.float64)
    return 10.0 * float(np.log10(np.mean(np.square(part)) + 1e-10)) if len(part) else -100.0


def measured_voicing(
    spec: NoteSpec,
    recordings: Sequence[NoteRecording],
    drawn: Mapping[float, Float[np.ndarray, "takes time"]],
    gain: float,
) -> Voicing:
    """The voicing of an instrument, from draws of its training notes.

    Args:
        spec: the instrument's notes.
        recordings: of the folder that it learnt from; only those of the split "train" are used.
        drawn: samples of the model, several takes of each of these keys, struck `LEAD` after their first sample.
        gain: of the corpus, by which the recordings were scaled (the loudest sample of all notes became .7).
    """
    keys, differences, levels = list[float](), list[np.ndarray](), list[float]()
    for note in sorted(recordings, key=lambda note: note.midi):
        if note.split != "train" or note.midi not in drawn:
            continue
        takes = drawn[note.midi]
        recorded = np.zeros(takes.shape[1], np.float32)
        prepared = gain * prepare_note(note, spec)[: takes.shape[1]]
        recorded[: len(prepared)] = prepared
        own = spec.parts(spec.damp(recorded, note.midi, onset=LEAD), note.midi, onset=LEAD)
        made = [spec.parts(take, note.midi, onset=LEAD) for take in takes]
        mean = np.mean([_levels(parts, spec.sample_rate) for parts in made], axis=0)
        keys.append(note.midi)
        differences.append(np.clip(_levels(own, spec.sample_rate) - mean, -_MOST_DB, _MOST_DB))
        levels.append(note_level(recorded, spec.sample_rate))
    if len(keys) < _LEVEL_ROWS:
        raise ValueError(f"a voicing is measured on at least {_LEVEL_ROWS} training notes, got {len(keys)}")
    stroke, tone = (_over_keys(keys, np.asarray(differences)[:, place], _ROWS) for place in (0, 1))
    level = _over_keys(keys, np.asarray(levels)[:, None], _LEVEL_ROWS)
    return Voicing(stroke=stroke, tone=tone, level=tuple(row[0] for row in level))


def _levels(parts: Float[np.ndarray, "2 time"], rate: int) -> Float[np.ndarray, "2 times"]:
    """dB of stroke and tone around each of `ENVELOPE_TIMES`, from midpoint to midpoint."""
    places = envelope_places(np.asarray(ENVELOPE_TIMES))
    middles = INSTANT * np.sinh((places[1:] + places[:-1]) / 2.0)
    edges = np.rint((LEAD + np.concatenate([[ENVELOPE_TIMES[0]], middles, [10.0]])) * rate).astype(np.int64)
    edges = np.minimum(edges, parts.shape[1])
    total = np.concatenate([np.zeros((2, 1)), np.cumsum(np.square(parts), axis=1)], axis=1)
    counts = np.maximum(np.diff(edges), 1)
    power = np.diff(total[:, edges], axis=1) / counts
    return 10.0 * np.log10(power + 1e-11)


def _over_keys(keys: Sequence[float], values: np.ndarray, rows: int) -> tuple[tuple[float, ...], ...]:
    terms = np.linalg.lstsq(key_polynomials(np.asarray(keys), rows), values, rcond=None)[0]
    return tuple(tuple(round(value, 1) + 0.0 for value in row) for row in terms.tolist())


__all__ = ["VOICING_NAME", "Voicing", "measured_voicing", "note_level"]
