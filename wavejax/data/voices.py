"""Voices: a score as one row a step and one column a voice, and back; chords led through voices.

A code is a pitch that is struck (1 to 127), `HOLD` (-1) or `REST` (0); see `Score.voices`.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int16, Int64

from wavejax.data.scores import (
    HIGHEST,
    HOLD,
    MOST_STEPS,
    MOST_VOICES,
    REST,
    VOICE_NAMES,
    Note,
    Score,
    ScoreError,
    Track,
)

MOST_LEFT_OUT = 0.02
"""Share of a score's notes that may be left out where more sound at once than there are voices."""
_OVERLAP = 0.25
"""A line may sound this share of its time on beyond the beginning of its next note; it is cut there."""
_HOME = 0.5
"""Weight of a note's distance to its voice's usual pitch, beside 1 of that to the voice's last note."""
_CROSSING = 1000.0
_NUMBERED = re.compile(r"voice ([1-9][0-9]?)")


def voices_of(score: Score, count: int) -> Int16[np.ndarray, "steps voices"]:
    """`Score.voices`."""
    _check_count(count)
    tracks = [track for track in score.tracks if not track.drums and track.notes]
    if any(note.pitch == REST for track in tracks for note in track.notes):
        raise ScoreError(f"pitch {REST} has no code in voices, where it means silence: transpose the score up first")
    lines = [line_of(track.notes) for track in tracks]
    whole = [line for line in lines if line is not None]
    if len(whole) < len(lines) or len(whole) > count:
        led = voice_leading([note for track in tracks for note in track.notes], count)
        return _codes(dict(enumerate(led)), score.length, count)
    places = _named_places([track.name for track in tracks], count)
    if places is None:
        order = sorted(range(len(whole)), key=lambda number: -_mean_pitch(whole[number]))
        places = [order.index(number) for number in range(len(whole))]
    return _codes(dict(zip(places, whole, strict=True)), score.length, count)


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_VOICES:
        raise ScoreError(f"a score is read as 1 to {MOST_VOICES} voices, got {count}")


def line_of(notes: Sequence[Note]) -> tuple[Note, ...] | None:
    """The notes, sorted by start, each cut where the next begins; None where they are chords rather than a line."""
    cut, overlap, total = list[Note](), 0, 0
    for note, after in itertools.zip_longest(notes, notes[1:]):
        end = note.end if after is None else min(note.end, after.start)
        if end <= note.start:
            return None
        overlap, total = overlap + note.end - end, total + note.end - note.start
        cut.append(note._replace(end=end))
    return tuple(cut) if overlap <= _OVERLAP * total else None


def _mean_pitch(line: Sequence[Note]) -> float:
    return sum(note.pitch * (note.end - note.start) for note in line) / sum(note.end - note.start for note in line)


def _named_places(names: Sequence[str], count: int) -> list[int] | None:
    """The column of each track, where all are called by the names of voices, and no two alike."""
    ranks = []
    for name in (name.strip().casefold() for name in names):
        match = _NUMBERED.fullmatch(name)
        if not match and name not in VOICE_NAMES:
            return None
        ranks.append(int(match[1]) - 1 if match else VOICE_NAMES.index(name))
    if len(set(ranks)) < len(ranks):
        return None
    return ranks if max(ranks, default=0) < count else [sorted(ranks).index(rank) for rank in ranks]


def _codes(lines: dict[int, Sequence[Note]], length: int, count: int) -> Int16[np.ndarray, "steps voices"]:
    codes = np.full((length, count), REST, np.int16)
    for place, line in lines.items():
        for note in line:
            codes[note.start + 1 : note.end, place] = HOLD
            codes[note.start, place] = note.pitch
    return codes


# --- chords -----------------------------------------------------------------------------------------------------------


@dataclass
class _Voice:
    home: float
    """Its usual pitch."""
    notes: list[Note] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.notes[-1].end if self.notes else 0

    def cost(self, pitch: int) -> float:
        last = self.notes[-1].pitch if self.notes else self.home
        return abs(pitch - last) + _HOME * abs(pitch - self.home)


def voice_leading(notes: Sequence[Note], count: int) -> list[list[Note]]:
    """`count` lines of the notes of chords, highest first: each moves little, and none crosses another.

    At each onset the new notes go, in the order of their pitch, to voices that are free; among the ways to do so the
    one with the smallest moves is taken. Notes that double another are left out. Where more sound than there are
    voices, notes are cut that have nearly ended, then inner notes are left out, at most `MOST_LEFT_OUT` of all.

    Raises ScoreError where more would have to be left out.
    """
    _check_count(count)
    longest: dict[tuple[int, int], Note] = {}
    for note in sorted(notes):
        longest[note.start, note.pitch] = note  # of two that begin together the longer one, which is sorted later
    single = [longest[place] for place in sorted(longest)]
    thickness = _thickness(single)
    if not single:
        return [[] for _ in range(count)]
    if np.max(thickness) > 3 * count + 4:
        raise _too_thick(thickness, count, "")
    width = min(count, int(np.max(thickness)))
    voices = [_Voice(home) for home in _homes(single, width)]
    left_out = 0
    for start, group in itertools.groupby(single, key=lambda note: note.start):
        left_out += _place(voices, start, sorted(group, key=lambda note: -note.pitch))
    if left_out > MOST_LEFT_OUT * len(single):
        raise _too_thick(thickness, count, f"{left_out} of its {len(single)} notes find no voice; ")
    return [voice.notes for voice in voices] + [[] for _ in range(count - width)]


def _thickness(notes: Sequence[Note]) -> Int64[np.ndarray, " steps"]:
    """How many notes sound at each step."""
    change = np.zeros(MOST_STEPS + 1, np.int64)
    np.add.at(change, [note.start for note in notes], 1)
    np.add.at(change, [note.end for note in notes], -1)
    return np.cumsum(change)


def _too_thick(thickness: np.ndarray, count: int, words: str) -> ScoreError:
    step, most = int(np.argmax(thickness)), int(np.max(thickness))
    return ScoreError(
        f"the score has too many notes at once for {count} voices: {words}{most} sound at step {step} (from 0); leave "
        "tracks out, or ask for more voices"
    )


def _homes(notes: Sequence[Note], width: int) -> list[float]:
    """The mean pitch of the highest, the second, ... note where `width` or more sound at once."""
    chords, sounding = list[list[int]](), list[Note]()
    for start, group in itertools.groupby(notes, key=lambda note: note.start):
        sounding = [note for note in sounding if note.end > start] + list(group)
        if len(sounding) >= width:
            pitches = sorted((note.pitch for note in sounding), reverse=True)
            chords.append([*pitches[: width - 1], pitches[-1]])
    return [float(pitch) for pitch in np.mean(chords, axis=0)]


def _place(voices: list[_Voice], start: int, new: list[Note]) -> int:
    """Gives new notes, the highest first, to voices; returns how many were left out."""
    held = [voice for voice in voices if voice.end > start]
    for voice in sorted(held, key=lambda voice: voice.end):
        last = voice.notes[-1]
        if len(new) > len(voices) - len(held) and last.end - start <= _OVERLAP * (last.end - last.start):
            voice.notes[-1] = last._replace(end=start)
            held.remove(voice)
    num_free = len(voices) - len(held)
    left_out = max(len(new) - num_free, 0)
    if left_out:
        new = [*new[: num_free - 1], new[-1]] if num_free > 1 else new[:num_free]
    for place, note in zip(_assigned(voices, start, new), new, strict=True):
        voices[place].notes.append(note)
    return left_out


def _assigned(voices: Sequence[_Voice], start: int, new: Sequence[Note]) -> tuple[int, ...]:
    """Rising numbers of free voices, one for each new note, of the smallest total cost."""
    free = [number for number, voice in enumerate(voices) if voice.end <= start]
    held = [(number, voice.notes[-1].pitch) for number, voice in enumerate(voices) if voice.end > start]
    # best[j]: (cost, places) of the notes so far in the first j free voices.
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())] * (len(free) + 1)
    for done, note in enumerate(new):
        following: list[tuple[float, tuple[int, ...]]] = [(np.inf, ())] * (done + 1)
        for number, place in enumerate(free[done:], start=done):
            crossed = sum((pitch - note.pitch) * (place - other) < 0 for other, pitch in held)
            cost, places = best[number]
            taken = (cost + voices[place].cost(note.pitch) + _CROSSING * crossed, (*places, place))
            following.append(min(taken, following[-1], key=lambda way: way[0]))
        best = following
    return best[-1][1]


# --- from codes -------------------------------------------------------------------------------------------------------


def tracks_of(codes: np.ndarray, *, program: int = 0, velocity: int = 80) -> tuple[Track, ...]:
    """One track a voice, see `Score.from_voices`."""
    codes = check_codes(codes)
    empty = _empty_holds(codes)
    if empty.any():
        step, voice = (int(number) for number in np.argwhere(empty)[0])
        raise ScoreError(
            f"voice {voice + 1} holds at step {step}, where no note of it sounds ({np.count_nonzero(empty)} such holds "
            "in all): strike a pitch or rest first, or make rests of them with `without_empty_holds`"
        )
    count = codes.shape[1]
    names = VOICE_NAMES if count == len(VOICE_NAMES) else [f"voice {number + 1}" for number in range(count)]
    return tuple(
        Track(name=name, program=program, notes=_notes(column, velocity))
        for name, column in zip(names, codes.T, strict=True)
    )


def check_codes(codes: np.ndarray) -> Int16[np.ndarray, "steps voices"]:
    """Voices as int16. Raises ScoreError on another shape or type, and on codes that mean nothing."""
    if codes.ndim != 2 or not 1 <= codes.shape[1] <= MOST_VOICES or codes.dtype.kind not in "iu":
        raise ScoreError(
            f"voices are integers [steps, voices] with 1 to {MOST_VOICES} voices, got {codes.dtype} {codes.shape}"
        )
    if codes.size and not HOLD <= codes.min() <= codes.max() <= HIGHEST:
        raise ScoreError(
            f"codes of voices are {HOLD} (hold), {REST} (rest) and pitches up to {HIGHEST}, got {codes.min()} to "
            f"{codes.max()}"
        )
    return codes.astype(np.int16)


def _empty_holds(codes: np.ndarray) -> Bool[np.ndarray, "steps voices"]:
    """Where a voice holds although no note of it sounds."""
    steps = np.arange(len(codes))[:, None]
    last = np.maximum.accumulate(np.where(codes != HOLD, steps, -1), axis=0)
    struck = np.take_along_axis(codes, np.maximum(last, 0), axis=0) if len(codes) else codes
    return (codes == HOLD) & ((last < 0) | (struck == REST))


def without_empty_holds(codes: np.ndarray) -> Int16[np.ndarray, "steps voices"]:
    """Voices with a rest wherever a voice would hold although no note of it sounds. Raises ScoreError on no codes."""
    codes = check_codes(codes)
    return np.where(_empty_holds(codes), np.int16(REST), codes)


def transposed_codes(codes: np.ndarray, semitones: int) -> Int16[np.ndarray, "steps voices"]:
    """Voices moved up by a number of semitones; holds and rests stay as they are.

    Raises ScoreError where a pitch would leave 1 to 127, and says how far it can go.
    """
    codes = check_codes(codes)
    pitches = codes[codes > REST]
    low, high = (int(pitches.min()), int(pitches.max())) if pitches.size else (1, HIGHEST)
    if pitches.size and not 1 - low <= semitones <= HIGHEST - high:
        raise ScoreError(
            f"the voices' pitches are {low} to {high}, so they can be transposed by {1 - low} to {HIGHEST - high} "
            f"semitones, got {semitones}"
        )
    return np.where(codes > REST, codes + np.int16(semitones), codes)


def _notes(column: np.ndarray, velocity: int) -> tuple[Note, ...]:
    changes = np.append(np.flatnonzero(column != HOLD), len(column)).tolist()
    return tuple(
        Note(start, end, int(column[start]), velocity)
        for start, end in itertools.pairwise(changes)
        if column[start] > REST
    )


__all__ = [
    "check_codes",
    "line_of",
    "tracks_of",
    "transposed_codes",
    "voice_leading",
    "voices_of",
    "without_empty_holds",
]
