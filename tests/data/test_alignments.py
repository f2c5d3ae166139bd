"""Phones' times beside a corpus: written, read, turned into frames, refused where they make no sense."""

import json
from pathlib import Path

import numpy as np
import pytest

from wavejax.audio.specs import get_spec
from wavejax.data.alignments import (
    AlignedUtterance,
    AlignmentError,
    Interval,
    collected_alignments,
    read_alignments,
    write_alignments,
)

SPEC = get_spec("speech-16k")  # 12.5 ms a frame
HELLO = AlignedUtterance(
    id="heart_0001",
    phones=(
        Interval(" ", 0.0, 0.1),
        Interval("HH", 0.1, 0.15),
        Interval("AH0", 0.15, 0.2),
        Interval("L", 0.2, 0.25),
        Interval("OW1", 0.25, 0.4),
        Interval(".", 0.4, 0.5),
    ),
    words=(Interval("hello", 0.1, 0.4),),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    other = AlignedUtterance(id="Größe", phones=(Interval("OW1", 0.0, 0.25),))
    write_alignments(tmp_path / "alignments.jsonl", [HELLO, other])
    assert read_alignments(tmp_path / "alignments.jsonl") == {"heart_0001": HELLO, "Größe": other}
    first = (tmp_path / "alignments.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["words"] == [["hello", 0.1, 0.4]]


def test_durations_are_the_frames_of_the_recording() -> None:
    durations = HELLO.durations(40, SPEC)
    assert durations.dtype == np.int32
    assert durations.tolist() == [8, 4, 4, 4, 12, 8]
    assert HELLO.durations(39, SPEC).tolist() == [8, 4, 4, 4, 12, 7]


def test_silence_belongs_to_the_boundary_beside_it() -> None:
    phones = (Interval("T", 0.1, 0.2), Interval(" ", 0.2, 0.2), Interval("AH0", 0.3, 0.4), Interval("T", 0.45, 0.5))
    aligned = AlignedUtterance(id="a", phones=phones)
    assert aligned.durations(48, SPEC).tolist() == [16, 8, 12, 12]
    before = AlignedUtterance(id="a", phones=(Interval("T", 0.0, 0.1), Interval(",", 0.2, 0.3)))
    assert before.durations(24, SPEC).tolist() == [8, 16]


@pytest.mark.parametrize("num_frames", [1, 7, 38])
def test_an_alignment_of_another_recording_is_refused(num_frames: int) -> None:
    with pytest.raises(AlignmentError, match=r"aligned up to 0\.500 s, but the recording has \d+ frames"):
        HELLO.durations(num_frames, SPEC)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[1]", "expected an object with an id"),
        ("{", "no JSON"),
        ('{"phones": []}', "got the id None"),
        ('{"id": "a"}', "expected a list of"),
        ('{"id": "a", "phones": []}', "has no phones"),
        ('{"id": "a", "phones": [["A", 0, "1"]]}', "times are numbers"),
        ('{"id": "a", "phones": [["A", 0, true]]}', "times are numbers"),
        ('{"id": "a", "phones": [["A", 0, NaN]]}', "times are numbers"),
        ('{"id": "a", "phones": [["A", 0, 1e300]]}', "times are numbers"),
        ('{"id": "a", "phones": [["A", 2, 1]]}', "from 2.000 to 1.000 s"),
        ('{"id": "a", "phones": [["", 0, 1]]}', "without text"),
        ('{"id": "a", "phones": [["A", 0, 1], ["B", 0.5, 2]]}', "before the end of what precedes it"),
        ('{"id": "a", "phones": [["A", -1, 1]]}', "before the end of what precedes it"),
        ('{"id": "a", "phones": [["A", 0, 1]]}\n{"id": "a", "phones": [["A", 0, 1]]}', "line 2: 'a' is aligned for"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "alignments.jsonl").write_text(line)
    with pytest.raises(AlignmentError, match=why):
        read_alignments(tmp_path / "alignments.jsonl")


def test_speakers_folders_are_collected_under_their_names(tmp_path: Path) -> None:
    (tmp_path / "heart").mkdir()
    write_alignments(tmp_path / "heart" / "alignments.jsonl", [HELLO])
    found = collected_alignments(tmp_path, {"heart/heart_0001", "heart_0001"})
    assert [each.id for each in found] == ["heart/heart_0001"]
    assert collected_alignments(tmp_path, {"heart_0001"}) == []
