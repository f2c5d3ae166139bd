"""MIDI files as people have them: every kind is read as it sounds, or refused with the true reason."""

import resource
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data.midi_files import END, damaged, meta, midi, note, number, random_score
from wavejax.data.midi import MOST_EVENTS, MidiError, parse_midi
from wavejax.data.midi_scores import ReadScore, read_score
from wavejax.data.scores import Note, Score, ScoreError, Track


def read(tmp_path: Path, data: bytes, steps: int = 4, **options: bool) -> ReadScore:
    path = tmp_path / "tune.mid"
    path.write_bytes(data)
    return read_score(path, steps, **options)


def notes_of(tmp_path: Path, track: bytes, **options: bool) -> list[tuple[int, int, int]]:
    """(start, end, pitch) of a file of one track, 4 steps a quarter note of 96 ticks."""
    score = read(tmp_path, midi(track, kind=0), **options).score
    return [note[:3] for note in score.tracks[0].notes]


@pytest.mark.parametrize("division", [24, 96, 120, 384, 480, 1024, 7])
def test_every_resolution_is_rounded_to_the_grid(tmp_path: Path, division: int) -> None:
    quarters = b"".join(note(60 + n, division) for n in range(4)) + END
    score = read(tmp_path, midi(quarters, division=division)).score
    assert [n[:3] for n in score.tracks[0].notes] == [(4 * n, 4 * n + 4, 60 + n) for n in range(4)]


def test_types_0_and_1_and_what_is_said_of_type_2(tmp_path: Path) -> None:
    both = note(60, 96) + note(64, 96, channel=3) + note(36, 10, channel=9) + END
    score = read(tmp_path, midi(both, kind=0)).score
    assert [(track.drums, track.notes[0].pitch) for track in score.tracks] == [(False, 60), (False, 64), (True, 36)]
    score = read(tmp_path, midi(meta(3, b"tune") + note(60, 96) + END, note(64, 96) + END)).score
    assert [track.notes[0][:3] for track in score.tracks] == [(0, 4, 60), (0, 4, 64)]
    assert score.title == score.tracks[0].name == "tune"
    with pytest.raises(MidiError, match=r"tune\.mid: it is of type 2, whose tracks are patterns"):
        read(tmp_path, midi(note(60, 96) + END, kind=2))


def test_tempo_metre_and_key_that_change(tmp_path: Path) -> None:
    head = (
        meta(0x51, (500_000).to_bytes(3, "big"))
        + meta(0x58, b"\x03\x02\x18\x08")
        + meta(0x59, b"\xfd\x01")
        + meta(0x51, (1_000_000).to_bytes(3, "big"), wait=96)
        + meta(0x58, b"\x06\x03\x18\x08", wait=900)
        + END
    )
    found = read(tmp_path, midi(head, note(60, 1000) + END))
    assert (found.score.tempo, found.score.metre, found.score.key) == (60.0, (3, 4), "C minor")
    assert found.remarks == (
        "its tempo changes once; the score has the one that holds longest",
        "its metre changes once; the score has the one that holds longest",
    )
    nonsense = meta(0x51, b"\0\0\0") + meta(0x58, b"\0\xff\0\0") + meta(0x59, b"\x50\x07") + meta(0x51, b"") + END
    score = read(tmp_path, midi(nonsense, note(60, 96) + END)).score
    assert (score.tempo, score.metre, score.key) == (120.0, (4, 4), None)


def test_running_status_also_across_meta_events(tmp_path: Path) -> None:
    track = b"\x00\x90\x3c\x40" + b"\x60\x3c\x00" + meta(1, b"word") + b"\x00\x3e\x40" + b"\x60\x3e\x00" + END
    assert notes_of(tmp_path, track) == [(0, 4, 60), (4, 8, 62)]


def test_notes_without_end_without_length_and_without_beginning(tmp_path: Path) -> None:
    track = b"\x00\x80\x30\x00" + b"\x00\x90\x3c\x40" + note(64, 0) + note(67, 96) + END
    found = read(tmp_path, midi(track, kind=0))
    assert [n[:3] for n in found.score.tracks[0].notes] == [(0, 4, 60), (0, 4, 67)]
    assert found.remarks == (
        "1 note is shorter than the grid shows, and left out",
        "1 note has no end and lasts until the file's",
    )


def test_equal_notes_that_overlap(tmp_path: Path) -> None:
    # Two notes of one key, each longer than the time to the next: the first release ends the first of them.
    legato = b"\x00\x90\x3c\x40" + b"\x60\x3c\x40" + b"\x06\x80\x3c\x00" + b"\x5a\x3c\x00" + END
    assert notes_of(tmp_path, legato) == [(0, 4, 60), (4, 8, 60)]
    twice = b"\x00\x90\x3c\x40" + b"\x00\x3c\x40" + b"\x60\x80\x3c\x00" + b"\x60\x3c\x00" + END
    assert notes_of(tmp_path, twice) == [(0, 8, 60)]


def test_ornaments_are_left_out_and_staccato_is_kept(tmp_path: Path) -> None:
    grace = note(59, 3) + note(60, 93) + note(62, 3, wait=0) + END
    assert notes_of(tmp_path, grace) == [(0, 4, 60), (4, 5, 62)]
    drums = note(36, 0, channel=9) + note(38, 0, channel=9) + note(40, 96, channel=9) + END
    assert [n for n in notes_of(tmp_path, drums)] == [(0, 1, 36), (0, 1, 38), (0, 4, 40)]


def test_the_sustain_pedal_is_heard_or_not(tmp_path: Path) -> None:
    down, up = b"\x00\xb0\x40\x7f", b"\x60\xb0\x40\x00"
    track = down + note(60, 24) + note(64, 24) + note(60, 24) + up + END
    assert notes_of(tmp_path, track) == [(0, 2, 60), (1, 7, 64), (2, 7, 60)]
    assert notes_of(tmp_path, track, pedal=False) == [(0, 1, 60), (1, 2, 64), (2, 3, 60)]
    assert notes_of(tmp_path, down + note(60, 24) + note(64, 96) + END) == [(0, 5, 60), (1, 5, 64)]
    hushed = b"\x00\x90\x3c\x40" + b"\x60\xb0\x7b\x00" + note(64, 96) + END  # all notes off
    assert notes_of(tmp_path, hushed) == [(0, 4, 60), (4, 8, 64)]


def test_programs_names_and_odd_text(tmp_path: Path) -> None:
    japanese = "笛".encode("shift_jis")
    first = meta(3, b"Fl\xf6te\x00\x1b[2J") + b"\x00\xc0\x49" + note(60, 96) + b"\x00\xc0\x00" + note(62, 96) + END
    score = read(tmp_path, midi(first + END, meta(3, japanese) + note(50, 96, channel=1) + END)).score
    assert [(track.name, track.program) for track in score.tracks] == [("Flöte  [2J", 73), ("J", 0)]


def test_riff_smpte_foreign_chunks_and_lengths_that_are_wrong(tmp_path: Path) -> None:
    plain = midi(note(60, 96) + END)
    riff = b"RIFF" + struct.pack("<I", len(plain) + 12) + b"RMIDdata" + struct.pack("<I", len(plain)) + plain
    assert read(tmp_path, riff).score.num_notes == 1
    film = midi(note(60, 50) + END, division=(256 - 25) << 8 | 40)  # 25 frames of 40 ticks: milliseconds
    found = read(tmp_path, film)
    assert found.score.tracks[0].notes[0][:2] == (0, 1)  # 50 ms of 120 quarter notes a minute are .4 steps
    assert "counts seconds instead of beats" in found.remarks[0]
    assert read(tmp_path, plain.replace(b"MTrk", b"XFIH\0\0\0\x02hiMTrk")).score.num_notes == 1
    long = plain.replace(b"MTrk\0\0\0", b"MTrk\x40\0\0")  # announces a gigabyte, but says where it ends
    assert read(tmp_path, long).score.num_notes == 1


HEADER = midi()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"the file is empty"),
        (b"PK\x03\x04 a zip file", r"it is no MIDI file: it starts with b'PK"),
        (b"MThd\0\0\0\x06\0", r"its header is cut off: the file ends after 9 bytes"),
        (b"RIFF\0\0\0\0WAVEfmt ", r"it is no MIDI file: it starts with b'RIFF'"),
        (b"RIFF\0\0\0\0RMIDjunk\0\0\0\0", r"without a chunk `data`"),
        (midi(END, kind=3), r"announces type 3"),
        (midi(END, division=0), r"announces 0 ticks to a quarter note"),
        (midi(END, division=0xFF00), r"no such unit of time"),
        (midi(END, announced=3), r"announces 3 tracks and holds 1: the file was cut short"),
        (midi(END), r"it holds no note"),
        (midi(note(60, 96) + END)[:-9], r"track 1 ends in the middle of an event: the file was cut short"),
        (midi(b"\x00\x3c\x40"), r"track 1 starts with data instead of an event"),
        (midi(b"\x00\x90\x3c\xf0" + END), r"should be a value below 128, the event 0x90"),
        (midi(b"\x00\xf4" + END), r"is 0xf4, which has no place in a file"),
        (midi(b"\xff\xff\xff\xff\x7f" + END), r"more than four bytes"),
        (midi(b"\x00\xff\x01\xff\xff\xff\x7f" + END), r"ends in the middle of an event"),
        (midi(b"\x00\xff"), r"ends in the middle of an event"),
        (midi(note(60, 2**28 - 1) + END), r"lasts 11,184,81\d steps, more than the 262,144 of a score"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises((MidiError, ScoreError), match=rf"tune\.mid: .*{reason}"):
        read(tmp_path, data)


def test_limits_hold_whatever_a_file_announces(tmp_path: Path) -> None:
    # Half a million notes that never end, then as many "all notes off": both are counted, neither takes long.
    many = b"\x00\x90\x3c\x40" + b"\x00\x3c\x40" * MOST_EVENTS + END
    with pytest.raises(MidiError, match=r"more than the 500,000 events"):
        parse_midi(midi(many))
    with pytest.raises(MidiError, match=r"more than the 1024 tracks"):
        parse_midi(midi(*[END] * 1025))
    (tmp_path / "large.mid").write_bytes(b"")
    with (tmp_path / "large.mid").open("r+b") as file:
        file.truncate(2**33)
    with pytest.raises(MidiError, match=r"large\.mid is larger than the 16,777,216 bytes"):
        Score.from_midi(tmp_path / "large.mid")
    with pytest.raises(MidiError, match=r"is a device, not a regular file"):
        Score.from_midi("/dev/zero")
    with pytest.raises(FileNotFoundError):
        Score.from_midi(tmp_path / "none.mid")


def test_many_open_notes_and_many_controls_end_soon(tmp_path: Path) -> None:
    opened = b"\x00\x90\x3c\x40" + b"".join(bytes((0, n % 128, 64)) for n in range(100_000))
    hushed = b"\x00\xb1\x7b\x00" + b"\x00\x7b\x00" * 100_000
    score = read(tmp_path, midi(opened + hushed + note(60, 96, channel=2) + END)).score
    assert score.num_notes == 129


@pytest.mark.parametrize("seed", range(150))
def test_damaged_files_are_read_or_refused(tmp_path: Path, seed: int) -> None:
    check_hostile(tmp_path, seed)


@pytest.mark.slow
def test_a_thousand_damaged_files_are_read_or_refused_in_bounded_memory(tmp_path: Path) -> None:
    before = peak_memory()
    outcomes = [check_hostile(tmp_path, seed) for seed in range(1000, 2000)]
    assert peak_memory() - before < 500 * 2**20
    assert 100 < sum(outcomes) < 900  # some are read, some are refused: the damage is of both kinds


def peak_memory() -> int:
    """The most bytes that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def check_hostile(tmp_path: Path, seed: int) -> bool:
    """Whether a damaged file was read; anything but a score or a reasoned refusal is raised."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "hostile.mid"
    random_score(rng).to_midi(path)
    path.write_bytes(damaged(path.read_bytes(), rng))
    refused = None
    try:
        score = Score.from_midi(path, int(rng.choice([1, 4, 12])))
    except (MidiError, ScoreError) as error:
        refused = str(error)
    if refused is not None:
        assert "hostile.mid" in refused
        assert "\n" not in refused
        return False
    assert score.num_notes
    score.to_midi(path)
    return True


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read_again(tmp_path: Path, seed: int) -> None:
    score = random_score(np.random.default_rng(seed))
    path = tmp_path / "tune.mid"
    score.to_midi(path)
    again = Score.from_midi(path, score.steps_per_quarter)
    single = [cut_where_struck_again(track) for track in score.tracks]
    assert sorted(again.tracks, key=repr) == sorted(single, key=repr)
    assert (again.metre, again.length) == (score.metre, max(n.end for track in single for n in track.notes))
    assert again.tempo == pytest.approx(score.tempo, rel=1e-4)


def cut_where_struck_again(track: Track) -> Track:
    """As a file holds it: no two notes of one pitch at once."""
    notes = list[Note]()
    for each in track.notes:
        later = [other.start for other in track.notes if other.pitch == each.pitch and other.start > each.start]
        notes.append(each._replace(end=min([each.end, *later])))
    return Track(name=track.name.strip(), program=track.program, drums=track.drums, notes=tuple(notes))


def test_numbers_of_seven_bits() -> None:
    assert [number(value) for value in (0, 127, 128, 2**28 - 1)] == [b"\0", b"\x7f", b"\x81\0", b"\xff\xff\xff\x7f"]
