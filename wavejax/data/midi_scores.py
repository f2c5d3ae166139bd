"""Scores from MIDI files as people have them, and back."""

import math
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from wavejax.data.keys import key_name, key_signature
from wavejax.data.midi import (
    CONTROL,
    DRUM_CHANNEL,
    KEY,
    METRE,
    NAME,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM,
    TEMPO,
    Event,
    MidiFile,
    read_midi,
    text_of,
    write_midi,
)
from wavejax.data.scores import MOST_STEPS, TEMPOS, Note, Score, ScoreError, Track

_MICROSECONDS = 60_000_000  # a minute
_USUAL_TEMPO = 120.0  # the format's own, where a file states none
_PEDAL, _SOUND_OFF, _NOTES_OFF = 64, 120, 123
_TICKS = 480


class ReadScore(NamedTuple):
    """A score, and what could not be kept of its file."""

    score: Score
    remarks: tuple[str, ...]
    """Sentences such as "its tempo changes 3 times; the score has the one that holds longest"."""


def read_score(path: str | os.PathLike[str], steps_per_quarter: int = 4, *, pedal: bool = True) -> ReadScore:
    """The score of a MIDI file.

    There is one track for each channel of each of the file's tracks that has a note; channel 10 is drums. Times are
    rounded to the nearest step. A note that is rounded to nothing gets one step, unless a longer one of its track
    begins there: then it is an ornament, and left out, as notes without any length are. A note that is struck again
    while it sounds ends there. Notes without an end last until the file's.

    Files that count time in frames of film (SMPTE) have no beats: their seconds become quarter notes of the tempo that
    they state first, 120 a minute if none.

    Args, and what is raised: see `Score.from_midi`.
    """
    file = read_midi(path)
    played = _Performance(pedal)
    for event in sorted(file.events, key=lambda event: event.tick):  # stable: at one tick in the order of the tracks
        played.take(event)
    last_tick = max((event.tick for event in file.events), default=0)
    played.finish(last_tick)
    tempos, remarks = _tempos(file), list[str]()
    per_quarter = file.ticks_per_quarter
    if file.ticks_per_second is not None:
        per_quarter = file.ticks_per_second * 60.0 / (tempos[0][1] if tempos else _USUAL_TEMPO)
        remarks.append("it counts seconds instead of beats (SMPTE); they were converted at its first tempo")
    scale = steps_per_quarter / per_quarter
    if last_tick * scale > MOST_STEPS - 1:
        raise ScoreError(
            f"{os.fspath(path)}: it lasts {last_tick * scale:,.0f} steps, more than the {MOST_STEPS:,} of a score; its "
            "last event may be misplaced"
        )
    tracks, lost = _tracks(played, file, scale)
    if not tracks:
        raise ScoreError(f"{os.fspath(path)}: it holds no note")
    remarks += _counted(
        lost, "is shorter than the grid shows, and left out", "are shorter than the grid shows, left out"
    )
    remarks += _counted(
        played.endless, "has no end and lasts until the file's", "have no end and last until the file's"
    )
    score = Score(
        tracks=tracks,
        steps_per_quarter=steps_per_quarter,
        tempo=_longest(tempos, last_tick, "tempo", remarks) or _USUAL_TEMPO,
        metre=_longest(_metres(file), last_tick, "metre", remarks) or (4, 4),
        key=_longest(_keys(file), last_tick, "key", remarks),
        title=_title(file),
        source=os.path.basename(os.fspath(path)),
    )
    return ReadScore(score, tuple(remarks))


def _counted(count: int, one: str, many: str) -> list[str]:
    return [f"{count} note{'' if count == 1 else 's'} {one if count == 1 else many}"] if count else []


# --- notes of events --------------------------------------------------------------------------------------------------


@dataclass
class _Played:
    start: int
    pitch: int
    velocity: int
    program: int
    end: int = -1


@dataclass
class _Performance:
    """Pairs the beginnings and ends of notes."""

    pedal: bool
    notes: dict[tuple[int, int], list[_Played]] = field(default_factory=lambda: defaultdict(list))
    """Of each (track, channel), by start."""
    endless: int = 0
    _open: dict[int, dict[tuple[int, int], deque[_Played]]] = field(default_factory=lambda: defaultdict(dict))
    """Notes that are held by their keys: of each channel, of each (track, pitch)."""
    _ringing: dict[int, list[_Played]] = field(default_factory=lambda: defaultdict(list))
    """Notes that are held by the pedal alone, of each channel."""
    _down: set[int] = field(default_factory=set)
    _programs: dict[int, int] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """The next event in time."""
        if event.kind == NOTE_ON and event.data[1]:
            note = _Played(event.tick, event.data[0], event.data[1], self._programs.get(event.channel, 0))
            self.notes[event.track, event.channel].append(note)
            self._open[event.channel].setdefault((event.track, event.data[0]), deque()).append(note)
        elif event.kind in (NOTE_ON, NOTE_OFF):
            self._release(event.tick, event.channel, (event.track, event.data[0]))
        elif event.kind == PROGRAM:
            self._programs[event.channel] = event.data[0]
        elif event.kind == CONTROL:
            self._control(event)

    def finish(self, tick: int) -> None:
        """Ends what still sounds, and cuts each note where its key is struck again."""
        for keys in self._open.values():
            for held in keys.values():
                for note in held:
                    note.end = tick
                    self.endless += 1
        for ringing in self._ringing.values():
            for note in ringing:
                note.end = tick
        for played in self.notes.values():
            following: dict[int, int] = {}
            for note in reversed(played):
                note.end = min(note.end, following.get(note.pitch, note.end))
                following[note.pitch] = note.start

    def _release(self, tick: int, channel: int, key: tuple[int, int]) -> None:
        """Ends the note of a key that was struck first and still sounds, if any."""
        if held := self._open[channel].get(key):
            note = held.popleft()
            note.end = tick
            if channel in self._down:
                self._ringing[channel].append(note)
            if not held:
                del self._open[channel][key]

    def _control(self, event: Event) -> None:
        number, value = event.data
        if number == _PEDAL and self.pedal:
            if value >= 64:
                self._down.add(event.channel)
            else:
                self._down.discard(event.channel)
                self._lift(event)
        elif number in (_SOUND_OFF, _NOTES_OFF):
            for key, held in tuple(self._open[event.channel].items()):
                for _ in tuple(held):
                    self._release(event.tick, event.channel, key)
            if number == _SOUND_OFF:
                self._lift(event)

    def _lift(self, event: Event) -> None:
        for note in self._ringing.pop(event.channel, ()):
            note.end = event.tick


def _tracks(played: _Performance, file: MidiFile, scale: float) -> tuple[tuple[Track, ...], int]:
    """The score's tracks, and how many notes were left out."""
    names = {event.track: text_of(event.data) for event in reversed(file.events) if event.kind == NAME}
    tracks, lost = list[Track](), 0
    for (number, channel), notes in sorted(played.notes.items()):
        is_drums = channel == DRUM_CHANNEL
        kept = _on_grid(notes, scale, is_drums)
        lost += len(notes) - len(kept)
        if kept:
            program = Counter(note.program for note in notes).most_common(1)[0][0]
            name = names.get(number, "") if file.num_tracks > 1 else ""
            tracks.append(Track(name=name, program=program, drums=is_drums, notes=tuple(kept)))
    return tuple(tracks), lost


def _on_grid(played: Sequence[_Played], scale: float, is_drums: bool) -> list[Note]:
    """The notes in steps, at most one of each pitch at a time."""
    notes, brief, longer = list[Note](), list[Note](), set[int]()
    for each in played:
        start, end = (math.floor(tick * scale + 0.5) for tick in (each.start, each.end))
        note = Note(start, max(end, start + 1), each.pitch, each.velocity)
        if end > start:
            notes.append(note)
            longer.add(start)
        elif is_drums or each.end > each.start:
            brief.append(note)
    notes += [note for note in brief if is_drums or note.start not in longer]
    return _single(notes)


def _single(notes: Iterable[Note]) -> list[Note]:
    """The notes, at most one of each pitch at a time: where it is struck again, the one before ends."""
    longest: dict[tuple[int, int], Note] = {}
    for note in sorted(notes):
        longest[note.pitch, note.start] = note  # of those that begin together
    ordered = [longest[place] for place in sorted(longest)]
    return [
        note._replace(end=min(note.end, after.start)) if after is not None and after.pitch == note.pitch else note
        for note, after in zip(ordered, [*ordered[1:], None], strict=True)
    ]


# --- tempo, metre, key, title -----------------------------------------------------------------------------------------


def _metas(file: MidiFile, kind: int, size: int) -> Iterable[Event]:
    found = (event for event in file.events if event.kind == kind and len(event.data) >= size)
    return sorted(found, key=lambda event: event.tick)


def _tempos(file: MidiFile) -> list[tuple[int, float]]:
    stated = [(event.tick, int.from_bytes(event.data[:3], "big")) for event in _metas(file, TEMPO, 3)]
    tempos = [(tick, round(_MICROSECONDS / each, 3)) for tick, each in stated if each]
    return [(tick, tempo) for tick, tempo in tempos if tempo in TEMPOS]


def _metres(file: MidiFile) -> list[tuple[int, tuple[int, int]]]:
    stated = [(event.tick, event.data[0], event.data[1]) for event in _metas(file, METRE, 2)]
    return [(tick, (beats, 2**power)) for tick, beats, power in stated if 1 <= beats <= 64 and power <= 6]


def _keys(file: MidiFile) -> list[tuple[int, str]]:
    stated = [(event.tick, (event.data[0] + 128) % 256 - 128, event.data[1]) for event in _metas(file, KEY, 2)]
    return [(tick, key_name(sharps, mode == 1)) for tick, sharps, mode in stated if abs(sharps) <= 7 and mode in (0, 1)]


def _longest(stated: Sequence[tuple[int, Any]], last: int, what: str, remarks: list[str]) -> Any:
    """The value that holds longest until tick `last`, and a remark where there are others; None if there is none."""
    if not stated:
        return None
    times: dict[Any, int] = defaultdict(int)
    changes, before = 0, stated[0][1]
    ends = [tick for tick, _ in stated[1:]]
    for (tick, value), end in zip(stated, [*ends, max(last, stated[-1][0])], strict=True):
        times[value] += end - tick
        changes += value != before
        before = value
    if changes:
        held = f"changes {'once' if changes == 1 else f'{changes} times'}"
        remarks.append(f"its {what} {held}; the score has the one that holds longest")
    return max(times, key=lambda value: times[value])


def _title(file: MidiFile) -> str:
    """The name of the first track, which is that of the piece."""
    names = (text_of(event.data) for event in file.events if event.kind == NAME and event.track == 0)
    return next(names, "")


# --- writing ----------------------------------------------------------------------------------------------------------


def write_score(score: Score, path: str | os.PathLike[str]) -> None:
    """Writes a MIDI file of type 1: a track with tempo, metre, key and title, then the score's own tracks."""
    step = max(_TICKS // score.steps_per_quarter, 1)
    microseconds = round(_MICROSECONDS / score.tempo)
    head = [
        Event(0, 0, NAME, 0, score.title.encode(errors="replace")),
        Event(0, 0, TEMPO, 0, min(microseconds, 2**24 - 1).to_bytes(3, "big")),
        Event(0, 0, METRE, 0, bytes((score.metre[0], score.metre[1].bit_length() - 1, 24, 8))),
    ]
    if score.key is not None:
        sharps, is_minor = key_signature(score.key)
        head.append(Event(0, 0, KEY, 0, bytes((sharps % 256, is_minor))))
    channels = _channels(score.tracks)
    programs = defaultdict[int, set[int]](set)
    for track, channel in zip(score.tracks, channels, strict=True):
        programs[channel].add(track.program)
    bodies = [
        _track_events(track, channel, step, is_shared=len(programs[channel]) > 1)
        for track, channel in zip(score.tracks, channels, strict=True)
    ]
    write_midi(path, [head, *bodies], score.steps_per_quarter * step)


def _channels(tracks: Sequence[Track]) -> list[int]:
    """A channel for each track: the tenth for drums, one for each of the others as long as there are any, and then
    the one of another track with the same program, if there is one."""
    free = [channel for channel in range(16) if channel != DRUM_CHANNEL]
    of_program: dict[int, int] = {}
    chosen = list[int]()
    for number, track in enumerate(tracks):
        if track.drums:
            chosen.append(DRUM_CHANNEL)
        else:
            chosen.append(free.pop(0) if free else of_program.get(track.program, number % DRUM_CHANNEL))
            of_program.setdefault(track.program, chosen[-1])
    return chosen


def _track_events(track: Track, channel: int, step: int, *, is_shared: bool) -> list[Event]:
    """A track's events; where instruments share a channel, each note names its own."""
    program = bytes((track.program,))
    events = [Event(0, 0, NAME, 0, track.name.encode(errors="replace")), Event(0, 0, PROGRAM, channel, program)]
    notes = _single(track.notes)
    events += [Event(note.end * step, 0, NOTE_OFF, channel, bytes((note.pitch, 64))) for note in notes]
    for note in notes:  # at one tick after the ends, so that a repeated note is struck again
        if is_shared:
            events.append(Event(note.start * step, 0, PROGRAM, channel, program))
        events.append(Event(note.start * step, 0, NOTE_ON, channel, bytes((note.pitch, note.velocity))))
    return events


__all__ = ["ReadScore", "read_score", "write_score"]
