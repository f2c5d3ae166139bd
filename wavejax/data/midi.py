"""Standard MIDI Files of types 0 and 1: bytes to events, and events to bytes. Notes are paired in `midi_scores`.

The format is that of the MIDI Manufacturers Association's RP-001. A file is untrusted: no length that it announces is
believed beyond the bytes that are there, and what it may hold is limited, so time and memory are bounded by its size.
"""

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wavejax.atomic import write_bytes
from wavejax.documents import Malformed, NotRegular, read_bytes

MIDI_SUFFIXES: tuple[str, ...] = (".mid", ".midi", ".smf", ".kar", ".rmi")
MOST_BYTES = 2**24
"""The largest file that is read: 16 MiB. The longest symphonies take 1 MB."""
MOST_EVENTS = 500_000
"""Of all tracks together: the longest symphonies have 100,000."""
MOST_TRACKS = 1024
DRUM_CHANNEL = 9
"""Counted from 0: General MIDI's channel 10."""

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x80, 0x90, 0xB0, 0xC0
META = 0x100
"""Added to the type of a meta event, so that one number tells all kinds of events apart."""
NAME, END, TEMPO, METRE, KEY = META + 0x03, META + 0x2F, META + 0x51, META + 0x58, META + 0x59
_KEPT = {NAME, END, TEMPO, METRE, KEY}
_SMPTE_RATES = {24: 24.0, 25: 25.0, 29: 30_000 / 1001, 30: 30.0}


class MidiError(ValueError):
    """A file is no MIDI file, is damaged, or of a kind that is not read; the message says which and where."""


class Event(NamedTuple):
    """One event of a track. Events that say nothing about notes, tempo, metre, key or names are not kept."""

    tick: int
    """From the beginning of the file."""
    track: int
    kind: int
    """Status without the channel (`NOTE_ON`, ...), or `META` + type."""
    channel: int
    """0 to 15; 0 for meta events."""
    data: bytes
    """Its two data bytes (one for a program), or the content of a meta event."""


@dataclass(frozen=True, kw_only=True)
class MidiFile:
    """The events of a file, in the order of the tracks."""

    ticks_per_quarter: float
    """None of a file that counts time in frames of film: see `ticks_per_second`."""
    ticks_per_second: float | None
    """Of a file that counts time in frames of film (SMPTE): its ticks have no relation to a beat. Else None."""
    num_tracks: int
    events: tuple[Event, ...]


def read_midi(path: str | os.PathLike[str]) -> MidiFile:
    """The events of a file of type 0 or 1, also of one that is wrapped in RIFF (.rmi).

    Raises MidiError, which names the file and what is wrong, and OSError where the file cannot be opened.
    """
    try:
        return parse_midi(read_bytes(path, MOST_BYTES))
    except NotRegular as error:
        raise MidiError(str(error)) from None
    except (Malformed, MidiError) as error:
        message = str(error)
        raise MidiError(message if message.startswith(os.fspath(path)) else f"{os.fspath(path)}: {message}") from None


def parse_midi(data: bytes) -> MidiFile:
    """The events of a file's bytes. Raises MidiError."""
    begin, stop = _unwrapped(data)
    if data[begin : begin + 4] != b"MThd" or stop - begin < 14:
        raise MidiError(_what_else(data))
    length, kind, announced, division = struct.unpack_from(">IHHH", data, begin + 4)
    if kind == 2:
        raise MidiError("it is of type 2, whose tracks are patterns that need not sound together; save it as type 1")
    if kind > 2 or length < 6:
        raise MidiError(f"its header announces type {kind} and {length} bytes; expected type 0 or 1, and 6: damaged")
    per_quarter, per_second = _ticks(division)
    events, tracks, budget = list[Event](), 0, MOST_EVENTS
    for name, at, end, is_cut in _chunks(data, begin + 8 + length, stop):
        if name != b"MTrk":
            continue  # the format lets other programs add chunks
        if tracks == MOST_TRACKS:
            raise MidiError(f"it has more than the {MOST_TRACKS} tracks that are read")
        found, budget = _track_events(data, at, end, tracks, budget, is_cut)
        events += found
        tracks += 1
    if tracks < announced:
        raise MidiError(f"it announces {announced} tracks and holds {tracks}: the file was cut short")
    return MidiFile(ticks_per_quarter=per_quarter, ticks_per_second=per_second, num_tracks=tracks, events=tuple(events))


def _what_else(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data[:4] == b"MThd":
        return f"its header is cut off: the file ends after {len(data)} bytes"
    return f"it is no MIDI file: it starts with {data[:4]!r}, a MIDI file with b'MThd' (or RIFF with RMID)"


def _unwrapped(data: bytes) -> tuple[int, int]:
    """Where the MIDI file begins and ends: all of the bytes, or the chunk `data` of a RIFF file of kind RMID."""
    if data[:4] != b"RIFF" or data[8:12] != b"RMID":
        return 0, len(data)
    at = 12
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"data":
            return at + 8, min(at + 8 + length, len(data))
        at += 8 + length + length % 2
    raise MidiError("it is RIFF of kind RMID without a chunk `data`: the MIDI file inside is missing")


def _ticks(division: int) -> tuple[float, float | None]:
    """(ticks a quarter note, None) or (0, ticks a second)."""
    if division & 0x8000:
        rate, per_frame = 256 - (division >> 8), division & 0xFF
        if rate not in _SMPTE_RATES or not per_frame:
            raise MidiError(f"its ticks are {per_frame} to each of {rate} frames a second; no such unit of time exists")
        return 0.0, _SMPTE_RATES[rate] * per_frame
    if not division:
        raise MidiError("it announces 0 ticks to a quarter note, so that no time in it means anything: damaged")
    return float(division), None


def _chunks(data: bytes, at: int, stop: int) -> Iterable[tuple[bytes, int, int, bool]]:
    """(name, begin, end, whether the file ends before the announced end) of each chunk."""
    while at + 8 <= stop:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        yield name, at + 8, min(at + 8 + length, stop), at + 8 + length > stop
        at += 8 + length


def _track_events(data: bytes, at: int, stop: int, track: int, budget: int, is_cut: bool) -> tuple[list[Event], int]:
    """The events of one track, and how many more the file may have."""
    events, tick, status = list[Event](), 0, 0
    while at < stop:
        budget -= 1
        if budget < 0:
            raise MidiError(f"it has more than the {MOST_EVENTS:,} events that are read of a file")
        delta, at = _number(data, at, stop, track)
        tick += delta
        first = data[at] if at < stop else _cut(track)
        if first in (0xFF, 0xF0, 0xF7):
            kind = META + data[at + 1] if first == 0xFF and at + 1 < stop else 0
            length, begin = _number(data, at + 1 + (first == 0xFF), stop, track)
            at = begin + length
            if at > stop:
                _cut(track)
            if kind in _KEPT:
                events.append(Event(tick, track, kind, 0, data[begin:at]))
            if kind == END:
                return events, budget
            continue
        if first >= 0xF0:
            raise MidiError(f"byte {at} of track {track + 1} is {first:#x}, which has no place in a file: damaged")
        at += first >= 0x80
        status = first if first >= 0x80 else status
        size = 1 if status >> 4 in (0xC, 0xD) else 2
        values = data[at : min(at + size, stop)]
        if not status or len(values) < size or max(values) >= 0x80:
            raise MidiError(_damage(track, at, status, values, size))
        at += size
        if status & 0xF0 in (NOTE_OFF, NOTE_ON, CONTROL, PROGRAM):
            events.append(Event(tick, track, status & 0xF0, status & 0x0F, values))
    if is_cut:
        _cut(track)
    return events, budget


def _damage(track: int, at: int, status: int, values: bytes, size: int) -> str:
    if len(values) < size:
        return f"track {track + 1} ends in the middle of an event: the file was cut short"
    if not status:
        return f"track {track + 1} starts with data instead of an event (byte {at}): damaged"
    return (
        f"byte {at} in track {track + 1} should be a value below 128, the event {status:#x} holds {values!r}: damaged"
    )


def _number(data: bytes, at: int, stop: int, track: int) -> tuple[int, int]:
    """A number of one to four bytes of seven bits, and where it ends."""
    value = 0
    for place in range(at, min(at + 4, stop)):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    if at + 4 <= stop:
        raise MidiError(f"the number at byte {at} in track {track + 1} has more than four bytes: damaged")
    return _cut(track), at


def _cut(track: int) -> int:
    raise MidiError(f"track {track + 1} ends in the middle of an event: the file was cut short")


def text_of(data: bytes) -> str:
    """The text of a meta event: UTF-8, or else Latin-1; without control characters, at most 200 characters."""
    try:
        text = data[:1000].decode("utf-8")
    except UnicodeDecodeError:
        text = data[:1000].decode("latin-1")
    return "".join(each if each.isprintable() else " " for each in text).strip()[:200]


# --- writing ----------------------------------------------------------------------------------------------------------


def midi_bytes(tracks: Sequence[Iterable[Event]], ticks_per_quarter: int) -> bytes:
    """A file of type 1: the given tracks, whose events may stand in any order (at one tick they keep theirs)."""
    header = struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), ticks_per_quarter)
    return header + b"".join(map(_track_bytes, tracks))


def write_midi(path: str | os.PathLike[str], tracks: Sequence[Iterable[Event]], ticks_per_quarter: int) -> None:
    """Writes a file of type 1, whole or not at all. Raises OSError where the system refuses."""
    write_bytes(path, midi_bytes(tracks, ticks_per_quarter))


def _track_bytes(events: Iterable[Event]) -> bytes:
    parts, tick = list[bytes](), 0
    for event in sorted(events, key=lambda event: event.tick):
        parts.append(_number_bytes(event.tick - tick))
        tick = event.tick
        if event.kind >= META:
            parts += [bytes((0xFF, event.kind - META)), _number_bytes(len(event.data)), event.data]
        else:
            parts += [bytes((event.kind | event.channel,)), event.data]
    content = b"".join(parts) + b"\x00\xff\x2f\x00"
    return b"MTrk" + len(content).to_bytes(4, "big") + content


def _number_bytes(value: int) -> bytes:
    if not 0 <= value < 2**28:
        raise MidiError(f"a MIDI file holds numbers below {2**28:,}, got {value}: two events are too far apart")
    sevens = [value & 0x7F]
    while value := value >> 7:
        sevens.append(0x80 | value & 0x7F)
    return bytes(reversed(sevens))


__all__ = [
    "DRUM_CHANNEL",
    "MIDI_SUFFIXES",
    "Event",
    "MidiError",
    "MidiFile",
    "midi_bytes",
    "parse_midi",
    "read_midi",
    "text_of",
    "write_midi",
]
