"""Scores: music as notes on a grid of steps, in tracks; and the view of it that models read, voices.

    score = Score.from_midi("tune.mid")            # 4 steps a quarter note: sixteenths
    codes = score.voices(4)                        # int16 [T, 4], see `Score.voices`
    Score.from_voices(codes, tempo=90).to_midi("again.mid")

Nothing here imports jax.
"""

import math
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int16
from numpy.typing import ArrayLike

from wavejax.data.keys import parse_key, transposed_key
from wavejax.data.players import NotePlayer, Sine
from wavejax.ranges import Range

HOLD = -1
"""The code of a step in which a voice's note goes on."""
REST = 0
"""The code of a step in which a voice is silent."""
LOWEST, HIGHEST = 0, 127
"""MIDI pitches; voices write 1 to 127, because `REST` is 0."""
VOICE_NAMES: tuple[str, ...] = ("soprano", "alto", "tenor", "bass")
MOST_STEPS = 2**18
"""Of a score: 18 hours of sixteenths at 60 quarter notes a minute."""
MOST_VOICES = 16
TEMPOS = Range(1, 1000)
"""Quarter notes a minute."""
STEPS_PER_QUARTER = Range(1, 96)
_DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)
_LONGEST_METRE = 64


class ScoreError(ValueError):
    """Notes, a score or voices that cannot be; the message says what was found, what was expected and what to do."""


class Note(NamedTuple):
    """One note of a track."""

    start: int
    """The step at which it is struck, from 0."""
    end: int
    """The first step at which it no longer sounds, above `start`."""
    pitch: int
    """MIDI number, 0 to 127; 60 is the middle C."""
    velocity: int = 80
    """How hard it is struck, 1 to 127."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """The notes of one instrument, sorted by start and pitch. Raises ScoreError on notes that cannot be."""

    name: str = ""
    program: int = 0
    """General MIDI's number of the instrument, 0 (a grand piano) to 127."""
    drums: bool = False
    """Whether its pitches name drums (General MIDI's channel 10): such a track is not transposed, and is no voice."""
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.program <= 127:
            raise ScoreError(f"the program of track {self.name!r} is {self.program}; expected 0 to 127")
        ordered = sorted(self.notes, key=lambda note: (note.start, note.pitch, note.end))
        for note in ordered:
            if not 0 <= note.start < note.end <= MOST_STEPS:
                raise ScoreError(
                    f"a note of track {self.name!r} lasts from step {note.start} to {note.end}; expected an end after "
                    f"the start, both from 0 to {MOST_STEPS}"
                )
            if not LOWEST <= note.pitch <= HIGHEST or not 1 <= note.velocity <= 127:
                raise ScoreError(
                    f"the note at step {note.start} of track {self.name!r} has pitch {note.pitch} and velocity "
                    f"{note.velocity}; expected a pitch from {LOWEST} to {HIGHEST} and a velocity from 1 to 127"
                )
        object.__setattr__(self, "notes", tuple(ordered))


@dataclass(frozen=True, kw_only=True)
class Score:
    """A piece of music. Frozen; what changes it returns another one.

    Raises ScoreError on a value that cannot be meant.
    """

    tracks: tuple[Track, ...]
    steps_per_quarter: int = 4
    """Steps of the grid in a quarter note: 4 are sixteenths, 12 also hold triplets."""
    tempo: float = 100.0
    """Quarter notes a minute."""
    metre: tuple[int, int] = (4, 4)
    """Numerator and denominator."""
    key: str | None = None
    """Such as "G major" or "E minor" (see `wavejax.data.keys.parse_key`), where it is known."""
    upbeat: int = 0
    """Steps before the first bar line."""
    length: int = 0
    """Steps, silence at the end included: at least up to the end of the last note, which is what 0 becomes."""
    title: str = ""
    source: str = ""
    """Where it came from: a file, or an edition."""

    def __post_init__(self) -> None:
        if self.steps_per_quarter not in STEPS_PER_QUARTER:
            raise ScoreError(f"steps_per_quarter must be {STEPS_PER_QUARTER}, got {self.steps_per_quarter}")
        if self.tempo not in TEMPOS:
            raise ScoreError(f"the tempo must be {TEMPOS} quarter notes a minute, got {self.tempo}")
        beats, unit = self.metre
        if not 1 <= beats <= _LONGEST_METRE or unit not in _DENOMINATORS:
            raise ScoreError(
                f"the metre is {beats}/{unit}; expected 1 to {_LONGEST_METRE} of a note value of "
                f"{', '.join(map(str, _DENOMINATORS))}, such as 3/4"
            )
        if self.key is not None:
            object.__setattr__(self, "key", parse_key(self.key))
        last = max((note.end for track in self.tracks for note in track.notes), default=0)
        object.__setattr__(self, "length", max(self.length, last))
        if not 0 <= self.length <= MOST_STEPS:
            raise ScoreError(f"a score of {self.length} steps is longer than the {MOST_STEPS} that are allowed")
        if self.upbeat < 0:
            raise ScoreError(f"the upbeat is {self.upbeat} steps; expected 0 or more")

    # --- files ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_midi(cls, path: str | os.PathLike[str], steps_per_quarter: int = 4, *, pedal: bool = True) -> "Score":
        """The score of a MIDI file of type 0 or 1, its times rounded to the grid (see `wavejax.data.midi_scores`).

        Where tempo, metre or key change, the score has those that hold longest.

        Args:
            path: the file.
            steps_per_quarter: of the grid.
            pedal: let notes sound on while the sustain pedal is down; otherwise as long as their keys are held.

        Raises:
            MidiError: no MIDI file, or a damaged one. ScoreError: it cannot be a score. OSError: it cannot be opened.
        """
        from wavejax.data.midi_scores import read_score

        return read_score(path, steps_per_quarter, pedal=pedal).score

    def to_midi(self, path: str | os.PathLike[str]) -> None:
        """Writes a MIDI file of type 1, whole or not at all. Raises OSError where the system refuses."""
        from wavejax.data.midi_scores import write_score

        write_score(self, path)

    def waveform(self, instrument: NotePlayer | str = "sine") -> Float[np.ndarray, " time"]:
        """The sound, float32 [T] at the instrument's sample rate, see `wavejax.data.rendering.render`.

        Args:
            instrument: "sine" (16 kHz), or any `NotePlayer`, such as `wavejax.load("piano")`.

        Raises:
            ScoreError: the score is too long, or the instrument is neither.
        """
        from wavejax.data.rendering import render

        player = Sine() if instrument == "sine" else instrument
        if not isinstance(player, NotePlayer):
            raise ScoreError(
                f'the instrument {instrument!r:.60} plays no notes: give "sine", or an object with `sample_rate` and '
                '`sounds`, such as wavejax.load("piano")'
            )
        return render(self, player)

    # --- voices --------------------------------------------------------------------------------------------------

    def voices(self, count: int = 4) -> Int16[np.ndarray, "steps voices"]:
        """What models read: one row a step, one column a voice, the highest first (soprano, alto, tenor, bass).

        1 to 127 is the MIDI pitch that is struck at this step, `HOLD` (-1) lets the voice's note go on, `REST` (0) is
        silence. A note that is repeated is struck again, so pitch and attack stay apart.

        Tracks that are lines (one note at a time) become voices as they are: by their names, where all are called
        soprano, alto, tenor, bass or "voice 1", ..., else the highest on average first. Chords, or more lines than
        voices, are led through the voices so that each moves little and none crosses another (`voice_leading`).
        Drums are left out. Voices that are not there rest.

        Raises ScoreError, which names step and number of notes, where too many notes sound at once.
        """
        from wavejax.data.voices import voices_of

        return voices_of(self, count)

    @classmethod
    def from_voices(
        cls,
        codes: ArrayLike,
        *,
        steps_per_quarter: int = 4,
        tempo: float = 100.0,
        metre: tuple[int, int] = (4, 4),
        key: str | None = None,
        upbeat: int = 0,
        program: int = 0,
        velocity: int = 80,
        title: str = "",
        source: str = "",
    ) -> "Score":
        """The score of voices [T, V] as `voices` makes them, one track a voice: its inverse.

        Four voices are called soprano, alto, tenor and bass; others "voice 1" and so on. Raises ScoreError on codes
        that cannot be: beyond -1 to 127, or a `HOLD` where no note sounds (`wavejax.data.voices.without_empty_holds`
        makes rests of these).
        """
        from wavejax.data.voices import tracks_of

        array = np.asarray(codes)
        return cls(
            tracks=tracks_of(array, program=program, velocity=velocity),
            steps_per_quarter=steps_per_quarter,
            tempo=tempo,
            metre=metre,
            key=key,
            upbeat=upbeat,
            length=len(array),
            title=title,
            source=source,
        )

    # --- bars, parts and pitches ---------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.length * self.seconds_per_step

    @property
    def seconds_per_step(self) -> float:
        """How long a step lasts at the score's tempo."""
        return 60.0 / (self.tempo * self.steps_per_quarter)

    @property
    def num_notes(self) -> int:
        """Notes of all tracks."""
        return sum(len(track.notes) for track in self.tracks)

    @property
    def steps_per_bar(self) -> int:
        """Raises ScoreError where a bar is no whole number of steps."""
        steps = Fraction(4 * self.steps_per_quarter * self.metre[0], self.metre[1])
        if steps.denominator != 1:
            raise ScoreError(
                f"a bar of {self.metre[0]}/{self.metre[1]} has {steps} steps at {self.steps_per_quarter} a quarter "
                f"note, no whole number: use {self.steps_per_quarter * steps.denominator} steps a quarter note"
            )
        return int(steps)

    @property
    def num_bars(self) -> int:
        """Bars after the upbeat, the last of which may be cut short."""
        return math.ceil(max(self.length - self.upbeat, 0) / self.steps_per_bar)

    def bars(self, first: int, count: int = 1) -> "Score":
        """`count` bars from bar `first` on, counted from 0 after the upbeat. Raises ScoreError as `cut` does."""
        size = self.steps_per_bar
        if not 0 <= first < self.num_bars or not 1 <= count <= self.num_bars - first:
            raise ScoreError(f"the score has {self.num_bars} bars; there are no {count} from bar {first} (from 0) on")
        begin = self.upbeat + first * size
        return self.cut(begin, begin + count * size)

    def cut(self, start: int, stop: int) -> "Score":
        """The steps from `start` to before `stop`, which may lie beyond the end: then silence follows.

        Notes that began before `start` are struck at the beginning, those that last beyond `stop` end there. Raises
        ScoreError on steps that are not there.
        """
        if not 0 <= start < stop or start >= max(self.length, 1):
            raise ScoreError(f"the score has {self.length} steps; there is no part from step {start} to {stop}")

        def part(track: Track) -> Track:
            inside = (note for note in track.notes if note.end > start and note.start < stop)
            notes = (
                note._replace(start=max(note.start - start, 0), end=min(note.end, stop) - start) for note in inside
            )
            return replace(track, notes=tuple(notes))

        upbeat = self.upbeat - start
        if upbeat < 0:
            size = Fraction(4 * self.steps_per_quarter * self.metre[0], self.metre[1])
            upbeat = math.ceil(upbeat % size) if size.denominator == 1 else 0
        return replace(self, tracks=tuple(map(part, self.tracks)), length=stop - start, upbeat=upbeat)

    @property
    def pitch_range(self) -> tuple[int, int] | None:
        """The lowest and the highest pitch of all tracks but drums; None without a note."""
        pitches = [note.pitch for track in self.tracks if not track.drums for note in track.notes]
        return (min(pitches), max(pitches)) if pitches else None

    def transposed(self, semitones: int) -> "Score":
        """The score moved up by a number of semitones; drums stay as they are, and the key moves too.

        Raises ScoreError where a pitch would leave 1 to 127, and says how far it can go.
        """
        low, high = self.pitch_range or (1, HIGHEST)
        if semitones and not 1 - low <= semitones <= HIGHEST - high:
            raise ScoreError(
                f"the score's pitches are {low} to {high}, so it can be transposed by {min(1 - low, 0)} to "
                f"{HIGHEST - high} semitones, got {semitones}"
            )

        def moved(track: Track) -> Track:
            if track.drums:
                return track
            return replace(track, notes=tuple(note._replace(pitch=note.pitch + semitones) for note in track.notes))

        key = None if self.key is None else transposed_key(self.key, semitones) if semitones else self.key
        return replace(self, tracks=tuple(map(moved, self.tracks)), key=key)


__all__ = [
    "HIGHEST",
    "HOLD",
    "LOWEST",
    "MOST_STEPS",
    "REST",
    "VOICE_NAMES",
    "Note",
    "Score",
    "ScoreError",
    "Track",
]
