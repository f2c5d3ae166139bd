"""MIDI files as bytes, written plainly, and damaged ones: what tests of the reader are made of."""

import struct

import numpy as np

from wavejax.data.scores import Note, Score, Track


def midi(*tracks: bytes, kind: int = 1, division: int = 96, announced: int | None = None) -> bytes:
    """A file of the given tracks' events."""
    count = len(tracks) if announced is None else announced
    chunks = [b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks]
    return b"MThd" + struct.pack(">IHHH", 6, kind, count, division) + b"".join(chunks)


END = b"\x00\xff\x2f\x00"


def note(pitch: int, ticks: int, *, wait: int = 0, channel: int = 0, velocity: int = 64) -> bytes:
    """The events of one note that begins `wait` ticks after the last event."""
    return number(wait) + bytes((0x90 | channel, pitch, velocity)) + number(ticks) + bytes((0x80 | channel, pitch, 0))


def number(value: int) -> bytes:
    sevens = [value & 0x7F]
    while value := value >> 7:
        sevens.append(0x80 | value & 0x7F)
    return bytes(reversed(sevens))


def meta(kind: int, data: bytes, wait: int = 0) -> bytes:
    return number(wait) + bytes((0xFF, kind)) + number(len(data)) + data


def random_score(rng: np.random.Generator) -> Score:
    """A score of one to eight tracks."""
    tracks = []
    for _ in range(int(rng.integers(1, 9))):
        starts = np.sort(rng.integers(0, 200, int(rng.integers(1, 60)))).tolist()
        notes = {(start, int(rng.integers(0, 128))): int(rng.integers(1, 9)) for start in starts}
        tracks.append(
            Track(
                name="".join(rng.choice(list("abcäßΩ"), 5)),
                program=int(rng.integers(0, 128)),
                drums=bool(rng.random() < 0.2),
                notes=tuple(Note(start, start + length, pitch) for (start, pitch), length in notes.items()),
            )
        )
    return Score(
        tracks=tuple(tracks),
        steps_per_quarter=int(rng.choice([1, 2, 3, 4, 5, 7, 12, 24])),
        tempo=float(rng.uniform(20, 300)),
        metre=(int(rng.integers(1, 13)), int(rng.choice([2, 4, 8, 16]))),
    )


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one of many kinds of damage."""
    content = bytearray(data)
    kind = int(rng.integers(0, 9))
    if kind == 0:  # bits that flipped
        for place in rng.integers(0, len(content), int(rng.integers(1, 20))):
            content[place] ^= 1 << int(rng.integers(0, 8))
    elif kind == 1:  # cut short
        del content[int(rng.integers(0, len(content))) :]
    elif kind == 2:  # a wrong length of a track
        place = data.rfind(b"MTrk") + 4
        content[place : place + 4] = int(rng.choice([0, 1, 2**30, 2**32 - 1])).to_bytes(4, "big")
    elif kind == 3:  # a wrong header
        place = int(rng.integers(4, 14))
        content[place] = int(rng.integers(0, 256))
    elif kind == 4:  # bytes of another file within
        place = int(rng.integers(0, len(content)))
        content[place : place + 40] = rng.bytes(40)
    elif kind == 5:  # nothing but junk
        content = bytearray(rng.bytes(int(rng.integers(0, 2000))))
    elif kind == 6:  # junk after a good header
        content[14:] = rng.bytes(int(rng.integers(0, 5000)))
    elif kind == 7:  # a part that is missing
        place = int(rng.integers(0, len(content)))
        del content[place : place + int(rng.integers(1, 30))]
    else:  # a huge time between two events
        place = data.rfind(b"MTrk") + 8
        content[place : place + 1] = b"\xff\xff\xff\x7f"
    return bytes(content)
