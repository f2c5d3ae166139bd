"""A corpus of single notes: recordings of an instrument, each also resampled to the pitches around its own.

A folder of notes holds `notes.csv` (file|note|split, one line each, the header first) and `wavs/`. Resampling a note by
s semitones moves its pitch and, with it, the colour and the decay of its key; frames state both the key and the shift,
so that a model can tell what pitch does from what the key does.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wavejax.audio.files import read_audio
from wavejax.audio.notes import LARGEST_SHIFT, NoteSpec, midi_number, note_name
from wavejax.audio.partials import cents_between, measure_partials
from wavejax.audio.resampling import change_speed
from wavejax.data.corpus import Corpus, Utterance
from wavejax.data.manifest import SPLITS, ManifestError

NOTES_NAME = "notes.csv"
STORED_RATE = 24_000
"""Hz at which a folder's recordings are read: resampled down by `LARGEST_SHIFT`, they still reach 8 kHz."""
LEAD = 0.02
"""Seconds of near-silence before the onset."""
LONGEST = 8.0
"""Seconds kept of a note."""
_PEAK = 0.7
_ONSET_DB = 30.0


@dataclass(frozen=True, kw_only=True)
class NoteRecording:
    """One recorded note of an instrument, one key struck once and left to ring."""

    midi: float
    waveform: Float[np.ndarray, " time"]
    """float32, as recorded."""
    sample_rate: int
    split: str
    """One of `SPLITS`."""


def read_notes(folder: str | Path) -> list[NoteRecording]:
    """The recordings that a folder's notes.csv lists, at `STORED_RATE`.

    Raises ManifestError where there is no such file, or a line of it is not file|note|split.
    """
    path = Path(folder) / NOTES_NAME
    if not path.is_file():
        raise ManifestError(
            f"{folder} holds no {NOTES_NAME}, so it is no folder of notes; `scripts/fetch_notes DATA` brings one"
        )
    recordings = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], start=2):
        parts = line.split("|")
        if len(parts) != 3 or parts[2] not in SPLITS:
            raise ManifestError(f"line {number} of {path} is {line!r}; expected file|note|{'/'.join(SPLITS)}")
        waveform, rate = read_audio(path.parent / "wavs" / parts[0], STORED_RATE)
        recordings.append(
            NoteRecording(midi=midi_number(parts[1]), waveform=waveform, sample_rate=rate, split=parts[2])
        )
    return recordings


def note_corpus(
    recordings: Iterable[NoteRecording],
    spec: NoteSpec,
    *,
    num_shifts: int = 48,
    max_shift: float = 3.5,
    seed: int = 0,
    num_threads: int = 2,
) -> Corpus:
    """A corpus of the notes at `spec.sample_rate`, training notes also at `num_shifts` pitches around their own.

    The shifts are spread evenly over +-max_shift semitones, each moved within its own part by a draw of (seed, note),
    so that together the notes leave no gap of pitch. All notes get one common gain (the loudest sample becomes 0.7),
    start `LEAD` before their onset and last `LONGEST` at most.

    Raises ValueError on a shift beyond what frames can state.
    """
    if num_shifts < 0 or not 0.0 <= max_shift <= LARGEST_SHIFT:
        raise ValueError(
            f"num_shifts {num_shifts} must be 0 or more and max_shift {max_shift} within {LARGEST_SHIFT} semitones"
        )
    notes = sorted(recordings, key=lambda note: note.midi)
    gain = _PEAK / max(float(np.max(np.abs(note.waveform))) for note in notes)
    wanted: list[tuple[NoteRecording, float]] = []
    for number, note in enumerate(notes):
        wanted.append((note, 0.0))
        if note.split == "train" and num_shifts:
            inside = np.random.default_rng((seed, number)).random(num_shifts)
            shifts = (2.0 * (np.arange(num_shifts) + inside) / num_shifts - 1.0) * max_shift
            wanted += [(note, float(shift)) for shift in shifts if _fits(note.midi, float(shift), spec)]
    with ThreadPoolExecutor(num_threads) as pool:
        utterances = list(pool.map(lambda pair: _utterance(pair[0], pair[1], spec, gain), wanted))
    return Corpus.in_memory(spec, utterances, [note.split for note, _ in wanted])


def open_notes(folder: str | Path, spec: NoteSpec) -> Corpus:
    """`note_corpus` of a folder's recordings. Raises ManifestError, see `read_notes`."""
    return note_corpus(read_notes(folder), spec)


def measured_tuning(recordings: Sequence[NoteRecording]) -> tuple[tuple[float, float], ...]:
    """(MIDI number, cents) of the training notes, as `NoteSpec.tuning` wants them, to a tenth of a cent.

    Measured over the second after a tenth of a second from the onset (less for short notes).
    """
    tuning = []
    for note in sorted(recordings, key=lambda note: note.midi):
        if note.split == "train":
            tempered = 440.0 * 2.0 ** ((note.midi - 69.0) / 12.0)
            begin = find_onset(note.waveform, note.sample_rate) + note.sample_rate // 10
            part = note.waveform[begin : begin + note.sample_rate]
            found = measure_partials(part, note.sample_rate, tempered).fundamental
            tuning.append((note.midi, round(cents_between(found, tempered), 1) + 0.0))
    return tuple(tuning)


def find_onset(waveform: Float[np.ndarray, " time"], sample_rate: int) -> int:
    """The first sample of the first millisecond that is within 30 dB of the loudest one."""
    block = max(sample_rate // 1000, 1)
    levels = np.add.reduceat(np.square(waveform, dtype=np.float64), np.arange(0, len(waveform), block))
    loud = levels >= np.max(levels) * 10.0 ** (-_ONSET_DB / 10.0)
    return int(np.argmax(loud)) * block


def _fits(midi: float, shift: float, spec: NoteSpec) -> bool:
    return spec.frequency(midi, shift) < 0.45 * spec.sample_rate


def prepare_note(note: NoteRecording, spec: NoteSpec, *, shift: float = 0.0) -> Float[np.ndarray, " time"]:
    """A recording as a corpus holds it, but for the gain: resampled by `shift` semitones, at `spec.sample_rate`, from
    `LEAD` before its onset (zeros where it starts later) to at most `LONGEST`."""
    kept = note.waveform[: int(2 * (LONGEST + 1) * note.sample_rate)]
    waveform = change_speed(kept, note.sample_rate, spec.sample_rate, shift)
    lead = round(LEAD * spec.sample_rate)
    onset = find_onset(waveform, spec.sample_rate)
    silence = np.zeros(max(lead - onset, 0), np.float32)
    return np.concatenate([silence, waveform[max(onset - lead, 0) :]])[: round(LONGEST * spec.sample_rate)]


def _utterance(note: NoteRecording, shift: float, spec: NoteSpec, gain: float) -> Utterance:
    waveform = np.float32(gain) * prepare_note(note, spec, shift=shift)
    name = f"{note_name(note.midi)}{shift:+.3f}"
    return Utterance(
        id=name,
        waveform=waveform,
        log_mel=spec.frames(note.midi, spec.num_frames(len(waveform)), onset=LEAD, shift=shift),
        speaker=0,
        transcript=name,
    )
