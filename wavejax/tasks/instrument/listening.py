"""An instrument judged on notes that it never heard, beside what could be had without it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wavejax.audio.notes import NoteSpec, note_name
from wavejax.data.notes import LEAD, NoteRecording, prepare_note
from wavejax.evaluation.comparison import Comparison, System, compare
from wavejax.evaluation.listening import Say
from wavejax.evaluation.measures import JUDGED_RATE, Item
from wavejax.evaluation.notes import NOTE_MEASURES, note_pitch, sine_of, sounding_length
from wavejax.evaluation.selection import ListeningError
from wavejax.tasks.instrument.product import Instrument

LONGEST_JUDGED = 6.0
"""Seconds of a note that are judged, at most; less where it has died away before."""


def judge_instrument(
    instrument: Instrument,
    recordings: Sequence[NoteRecording],
    split: str,
    *,
    temperatures: Sequence[float],
    num_seeds: int,
    say: Say,
) -> Comparison:
    """Play the notes of a split, once per seed 0, 1, ... and temperature, and judge all of it beside the recordings.

    Anchors: the nearest training notes below and above, resampled to the pitch that the instrument was asked for, and a
    sine at the recording's own pitch with the recording's own envelope.

    Raises ListeningError where the split is empty or the rate is not
    `JUDGED_RATE`.
    """
    spec = instrument.spec
    held_out = sorted((note for note in recordings if note.split == split), key=lambda note: note.midi)
    if not held_out or spec.sample_rate != JUDGED_RATE:
        raise ListeningError(
            f"the split {split!r} has {len(held_out)} notes at {spec.sample_rate} Hz; expected at least one, at "
            f"{JUDGED_RATE} Hz: choose another --split or instrument"
        )
    items = [_item(note, spec) for note in held_out]
    systems = [System(name="original", takes=(tuple(item.waveform for item in items),))]
    systems += anchor_systems(items, held_out, recordings, spec)
    for temperature in temperatures:
        takes = []
        for seed in range(num_seeds):
            say(f"playing {', '.join(item.id for item in items)} at temperature {temperature:g}, seed {seed}")
            takes.append(_play(instrument, held_out, [len(item.waveform) for item in items], temperature, seed))
        systems.append(System.of_seeds(f"instrument T={temperature:g}", takes))
    return compare(items, systems, NOTE_MEASURES, say=say)


def anchor_systems(
    items: Sequence[Item], held_out: Sequence[NoteRecording], recordings: Sequence[NoteRecording], spec: NoteSpec
) -> list[System]:
    """Resampled neighbours and the sine. Raises ListeningError where a note has no training note on both sides."""
    training = sorted((note for note in recordings if note.split == "train"), key=lambda note: note.midi)
    takes: dict[str, list[np.ndarray]] = {"lower note resampled": [], "upper note resampled": [], "sine": []}
    for item, note in zip(items, held_out, strict=True):
        below = [each for each in training if each.midi < note.midi]
        above = [each for each in training if each.midi > note.midi]
        if not below or not above:
            raise ListeningError(f"{item.id} has no training note on both sides; hold out inner notes only")
        wanted = spec.frequency(note.midi)
        for name, neighbour in (("lower note resampled", below[-1]), ("upper note resampled", above[0])):
            shift = 12.0 * np.log2(wanted / spec.frequency(neighbour.midi))
            takes[name].append(_fit(prepare_note(neighbour, spec, shift=float(shift)), len(item.waveform)))
        takes["sine"].append(sine_of(item.waveform, JUDGED_RATE, note_pitch(item.waveform, item.id) or wanted))
    return [System(name=name, takes=(tuple(take),)) for name, take in takes.items()]


def median_figure(comparison: Comparison, system: str, column: str) -> float:
    """The median over all notes and seeds of a system's figure."""
    return float(np.median(comparison.figures[system][column]))


def _item(note: NoteRecording, spec: NoteSpec) -> Item:
    waveform = prepare_note(note, spec)
    waveform = waveform[: round((LEAD + LONGEST_JUDGED) * spec.sample_rate)]
    return Item(id=note_name(note.midi), waveform=waveform[: sounding_length(waveform, spec.sample_rate)])


def _play(
    instrument: Instrument, notes: Sequence[NoteRecording], lengths: Sequence[int], temperature: float, seed: int
) -> tuple[Float[np.ndarray, " time"], ...]:
    """Each note as long as its recording is judged; no fade, as the recordings have none."""
    midis = [note.midi for note in notes]
    made = instrument.strike(midis, max(lengths), seed=seed, temperature=temperature)
    return tuple(waveform[:length] for waveform, length in zip(made, lengths, strict=True))


def _fit(waveform: np.ndarray, length: int) -> np.ndarray:
    return np.pad(waveform[:length], (0, max(0, length - len(waveform)))).astype(np.float32)
