"""A corpus of single notes: recordings of an instrument, each also resampled to nearby pitches.

A folder of notes holds `notes.csv` (a header, then one line file|note|split per note) and `wavs/`. Resampling a note by
s semitones shifts its pitch together with the timbre and the decay of its key. Frames state both the key and the shift,
so that a model can separate the effect of the pitch from that of the key.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wavejax.audio.files import read_audio
from wavejax.audio.notes import LARGEST_SHIFT, NoteSpec, midi_number, note_name
from wavejax.audio.partials import Partials, cents_between, measure_partials
from wavejax.audio.resampling import change_speed
from wavejax.audio.strings import (
    COLOURED,
    ENVELOPE_TIMES,
    INSTANT,
    StringSpec,
    colour_cosines,
    envelope_places,
    key_polynomials,
    partial_decays,
    stiff_partials,
)
from wavejax.data.corpus import Corpus, StruckNote, Utterance
from wavejax.data.manifest import SPLITS, ManifestError
from wavejax.data.texts import is_inside, read_text, text_lines

NOTES_NAME = "notes.csv"
STORED_RATE = 24_000
"""Hz at which recordings are read: after resampling down by `LARGEST_SHIFT` they still reach 8 kHz."""
LEAD = 0.02
"""Seconds of near-silence before the onset."""
LONGEST = 8.0
"""Most seconds that are kept of a note."""
SHORTEST = 0.5
"""Seconds that are kept of most resampled notes."""
_PEAK = 0.7
_ONSET_DB = 30.0
_HIGHEST_MEASURED = 8000.0
_COLOUR_SECONDS = 2.0
_COLOUR_WINDOW = 1024
_COLOUR_COSINES = 11
_COLOUR_POLYNOMIALS = 3
_ENVELOPE_POLYNOMIALS = 4
_LEVEL = 0.04
"""RMS level of an excitation over its whole length: low enough that almost no sample is clipped."""
_FAINTEST = -110.0
"""dB: below it there is only the noise of the converter."""


@dataclass(frozen=True, kw_only=True)
class NoteRecording:
    """One recorded note of an instrument: one key is struck once and left to ring."""

    midi: float
    waveform: Float[np.ndarray, " time"]
    """float32, as recorded."""
    sample_rate: int
    split: str
    """One of `SPLITS`."""


def read_notes(folder: str | Path) -> list[NoteRecording]:
    """The recordings listed in a folder's notes.csv, at `STORED_RATE`.

    Raises ManifestError if notes.csv is missing, or if a line is not file|note|split or names a file outside wavs/.
    """
    path = Path(folder) / NOTES_NAME
    if not path.is_file():
        raise ManifestError(
            f"{folder} holds no {NOTES_NAME}, so it is no folder of notes; `scripts/fetch_notes DATA` brings one"
        )
    lines = text_lines(read_text(path))
    if not lines or lines[0].split("|") != ["file", "note", "split"]:
        raise ManifestError(f"line 1 of {path} is {''.join(lines[:1])!r:.80}; expected the header file|note|split")
    recordings = []
    for number, line in enumerate(lines[1:], start=2):
        parts = line.split("|")
        if len(parts) != 3 or parts[2] not in SPLITS:
            raise ManifestError(f"line {number} of {path} is {line!r}; expected file|note|{'/'.join(SPLITS)}")
        wavs = path.parent / "wavs"
        if not is_inside(wavs, parts[0]):
            raise ManifestError(f"line {number} of {path} names {parts[0]!r}, which is no file in {wavs}")
        waveform, rate = read_audio(wavs / parts[0], STORED_RATE)
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
    """A corpus of the notes at `spec.sample_rate`; training notes are also resampled to `num_shifts` nearby pitches.

    The shifts divide +-max_shift semitones into equal parts; each shift is drawn within its part from (seed, note), so
    that the notes together leave no gap in pitch. All notes get one common gain (the loudest sample becomes 0.7). They
    start `LEAD` before their onset and last at most `LONGEST`; seven of eight shifted notes last `SHORTEST`, so that a
    third of the sound is onsets. If the spec has strings, the samples are their excitation.

    Raises ValueError on a shift that frames cannot represent.
    """
    if num_shifts < 0 or not 0.0 <= max_shift <= LARGEST_SHIFT:
        raise ValueError(
            f"num_shifts {num_shifts} must be 0 or more and max_shift {max_shift} within {LARGEST_SHIFT} semitones"
        )
    notes = sorted(recordings, key=lambda note: note.midi)
    gain = common_gain(notes)
    wanted: list[tuple[NoteRecording, float, float]] = []
    for number, note in enumerate(notes):
        wanted.append((note, 0.0, LONGEST))
        if note.split == "train" and num_shifts:
            inside = np.random.default_rng((seed, number)).random(num_shifts)
            shifts = (2.0 * (np.arange(num_shifts) + inside) / num_shifts - 1.0) * max_shift
            for place, shift in enumerate(shifts.tolist()):
                if _fits(note.midi, shift, spec):
                    wanted.append((note, shift, SHORTEST if place % 8 else LONGEST))
    with ThreadPoolExecutor(num_threads) as pool:
        utterances = list(pool.map(lambda each: _utterance(*each, spec=spec, gain=gain), wanted))
    return Corpus.in_memory(spec, utterances, [note.split for note, *_ in wanted])


def open_notes(folder: str | Path, spec: NoteSpec) -> Corpus:
    """`note_corpus` of a folder's recordings. Raises ManifestError, see `read_notes`."""
    return note_corpus(read_notes(folder), spec)


def measured_tuning(recordings: Sequence[NoteRecording]) -> tuple[tuple[float, float], ...]:
    """(MIDI number, cents) of the training notes in the form of `NoteSpec.tuning`, rounded to a tenth of a cent.

    Measured over one second, which starts a tenth of a second after the onset (less for short notes).
    """
    tuning = []
    for note in sorted(recordings, key=lambda note: note.midi):
        if note.split == "train":
            tempered = 440.0 * 2.0 ** ((note.midi - 69.0) / 12.0)
            tuning.append((note.midi, round(cents_between(_measured(note).fundamental, tempered), 1) + 0.0))
    return tuple(tuning)


def measured_strings(recordings: Sequence[NoteRecording]) -> StringSpec:
    """How the strings of the training notes ring, in the form of `NoteSpec.strings`, rounded to three digits.

    Stiffness is measured on notes with at least four audible partials and extrapolated to higher keys, which have too
    few. Decay is measured on the levels of all partials, smoothed over the keys, because strings and their damping
    vary smoothly. Colour is the mean log spectrum of the excitation in the first two seconds, smoothed over keys and
    frequency.

    Raises ValueError if fewer than three notes can be measured.
    """
    notes = sorted((note for note in recordings if note.split == "train"), key=lambda note: note.midi)
    keys = np.asarray([note.midi for note in notes])
    found = [_measured(note) for note in notes]
    known = [i for i, each in enumerate(found) if each.count >= 4 and each.inharmonicity > 0.0]
    if len(known) < 3:
        raise ValueError(f"only {len(known)} training notes have partials enough to be measured; expected three")
    last = known[-5:]
    rise = np.polyfit(keys[last], np.log([found[i].inharmonicity for i in last]), 1)
    stiffness = [(float(keys[i]), _short(found[i].inharmonicity)) for i in known]
    stiffness += [(midi, _short(float(np.exp(np.polyval(rise, midi))))) for midi in keys[known[-1] + 1 :].tolist()]
    heard = []
    for note, each in zip(notes, found, strict=True):
        partials = stiff_partials(each.fundamental, each.inharmonicity, np.arange(1, 400))
        partials = partials[partials < _HIGHEST_MEASURED]
        heard.append((partials, *partial_decays(_after_stroke(note), note.sample_rate, partials)))
    damping = _damping(heard)
    slow = np.asarray([_weighted_median(falls - damping * (hz / 1000.0) ** 2, levels) for hz, falls, levels in heard])
    smooth = np.exp(np.polyval(np.polyfit(keys[slow > 0.0], np.log(slow[slow > 0.0]), 2), keys))
    bare = StringSpec(
        inharmonicity=tuple(stiffness),
        decay=tuple((midi, _short(value)) for midi, value in zip(keys.tolist(), smooth, strict=True)),
        damping=_short(damping),
    )
    return _with_colour_and_envelope(bare, notes, [each.fundamental for each in found])


def _with_colour_and_envelope(
    strings: StringSpec, notes: Sequence[NoteRecording], fundamentals: Sequence[float]
) -> StringSpec:
    """`colour` and `envelope` by least squares over all notes; the common level becomes `_LEVEL`."""
    keys = np.asarray([note.midi for note in notes])
    gain = common_gain(notes)
    struck = [_from_lead(gain * note.waveform, note.sample_rate) for note in notes]
    spectra = []
    for note, fundamental, waveform in zip(notes, fundamentals, struck, strict=True):
        rate = note.sample_rate
        left = strings.filter(note.midi, fundamental, rate).whiten(waveform[: round(_COLOUR_SECONDS * rate)])
        windows = np.lib.stride_tricks.sliding_window_view(left, _COLOUR_WINDOW)[:: _COLOUR_WINDOW // 2]
        power = np.square(np.abs(np.fft.rfft(windows * np.hanning(_COLOUR_WINDOW)))) + 1e-14
        hertz = np.fft.rfftfreq(_COLOUR_WINDOW, 1.0 / rate)
        inside = hertz < min(COLOURED, 0.45 * rate)
        cosines = np.concatenate([np.ones((inside.sum(), 1)), colour_cosines(hertz[inside], _COLOUR_COSINES)], axis=1)
        mean = 10.0 * np.log10(power[:, inside]).mean(axis=0)
        spectra.append(np.linalg.lstsq(cosines, mean, rcond=None)[0][1:])
    coloured = dataclasses.replace(strings, colour=_over_keys(keys, np.asarray(spectra), _COLOUR_POLYNOMIALS))
    levels = []
    for note, fundamental, waveform in zip(notes, fundamentals, struck, strict=True):
        left = coloured.filter(note.midi, fundamental, note.sample_rate).whiten(waveform)
        levels.append(_levels(left, note.sample_rate) - 20.0 * np.log10(_LEVEL))
    return dataclasses.replace(coloured, envelope=_over_keys(keys, np.asarray(levels), _ENVELOPE_POLYNOMIALS))


def _levels(excitation: np.ndarray, rate: int) -> Float[np.ndarray, " times"]:
    """Level in dB around each of `ENVELOPE_TIMES`, from midpoint to midpoint; at least `_FAINTEST`."""
    places = envelope_places(np.asarray(ENVELOPE_TIMES))
    middles = INSTANT * np.sinh((places[1:] + places[:-1]) / 2.0)
    edges = np.rint((LEAD + np.concatenate([[ENVELOPE_TIMES[0]], middles, [LONGEST]])) * rate).astype(np.int64)
    found: list[float] = []
    for begin, end in itertools.pairwise(np.minimum(edges, len(excitation)).tolist()):
        part = excitation[begin:end]
        found.append(max(10.0 * np.log10(np.mean(np.square(part)) + 1e-20), _FAINTEST) if len(part) else found[-1])
    return np.asarray(found)


def _over_keys(keys: np.ndarray, values: np.ndarray, rows: int) -> tuple[tuple[float, ...], ...]:
    """Coefficients [rows, N] of polynomials in the key that fit the values [keys, N], rounded to a tenth."""
    terms = np.linalg.lstsq(key_polynomials(keys, min(rows, len(keys))), values, rcond=None)[0]
    return tuple(tuple(round(value, 1) + 0.0 for value in row) for row in terms.tolist())


def _measured(note: NoteRecording) -> Partials:
    tempered = 440.0 * 2.0 ** ((note.midi - 69.0) / 12.0)
    return measure_partials(_after_stroke(note)[: note.sample_rate], note.sample_rate, tempered)


def _from_lead(waveform: Float[np.ndarray, " time"], rate: int) -> Float[np.ndarray, " length"]:
    """The part from `LEAD` before the onset (zeros before the recording starts), at most `LONGEST` long."""
    lead, onset = round(LEAD * rate), find_onset(waveform, rate)
    silence = np.zeros(max(lead - onset, 0), np.float32)
    return np.concatenate([silence, waveform[max(onset - lead, 0) :]])[: round(LONGEST * rate)]


def _after_stroke(note: NoteRecording) -> Float[np.ndarray, " time"]:
    """The waveform from a tenth of a second after the onset."""
    return note.waveform[find_onset(note.waveform, note.sample_rate) + note.sample_rate // 10 :]


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _damping(heard: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
    """The damping, 1 / s at 1 kHz, that best explains the decay rates, given one more decay rate of its own per key."""

    def unexplained(damping: float) -> float:
        total = 0.0
        for frequencies, falls, levels in heard:
            rest = falls - damping * (frequencies / 1000.0) ** 2
            total += float(np.sum(np.sqrt(levels) * np.abs(rest - _weighted_median(rest, levels))))
        return total

    return min(np.geomspace(0.01, 2.0, 100).tolist(), key=unexplained)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weights[order]), 0.5 * np.sum(weights))])


def find_onset(waveform: Float[np.ndarray, " time"], sample_rate: int) -> int:
    """The first sample of the first millisecond whose level is within 30 dB of the loudest millisecond."""
    block = max(sample_rate // 1000, 1)
    levels = np.add.reduceat(np.square(waveform, dtype=np.float64), np.arange(0, len(waveform), block))
    loud = levels >= np.max(levels) * 10.0 ** (-_ONSET_DB / 10.0)
    return int(np.argmax(loud)) * block


def common_gain(notes: Sequence[NoteRecording]) -> np.float32:
    """The gain that scales the loudest sample of all notes to `_PEAK`."""
    return np.float32(_PEAK / max(float(np.max(np.abs(note.waveform))) for note in notes))


def _fits(midi: float, shift: float, spec: NoteSpec) -> bool:
    return spec.frequency(midi, shift) < 0.45 * spec.sample_rate


def prepare_note(note: NoteRecording, spec: NoteSpec, *, shift: float = 0.0) -> Float[np.ndarray, " time"]:
    """A recording as a corpus stores it, except for the gain: resampled by `shift` semitones, at `spec.sample_rate`,
    from `LEAD` before its onset (zeros before the recording starts), at most `LONGEST` long."""
    kept = note.waveform[: int(2 * (LONGEST + 1) * note.sample_rate)]
    waveform = change_speed(kept, note.sample_rate, spec.sample_rate, shift)
    return _from_lead(waveform, spec.sample_rate)


def rung(samples: Float[np.ndarray, " time"], utterance: Utterance, spec: NoteSpec) -> Float[np.ndarray, " time"]:
    """The waveform of an utterance's samples, or of generated ones in their place: the strings of `note_corpus` ring.

    Raises ValueError if the utterance is not a note.
    """
    if utterance.note is None:
        raise ValueError(f"the utterance {utterance.id!r} is no note, so no string rings; take one of a `note_corpus`")
    return spec.ring(samples, utterance.note.midi, onset=LEAD, shift=utterance.note.shift)


def _utterance(note: NoteRecording, shift: float, seconds: float, *, spec: NoteSpec, gain: np.float32) -> Utterance:
    recorded = gain * prepare_note(note, spec, shift=shift)[: round(seconds * spec.sample_rate)]
    waveform = spec.damp(recorded, note.midi, onset=LEAD, shift=shift)
    return Utterance(
        id=f"{note_name(note.midi)}{shift:+.3f}",
        waveform=waveform,
        frames=spec.frames(note.midi, spec.num_frames(len(waveform)), onset=LEAD, shift=shift),
        speaker=0,
        transcript="",
        note=StruckNote(note.midi, shift),
    )
