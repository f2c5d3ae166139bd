"""Which phone is said when: the sidecar `alignments.jsonl` of a corpus, one JSON object a line, times in seconds.

    {"id": "heart_0001", "phones": [["HH", 0.125, 0.1625], ...], "words": [["hello", 0.125, 0.4375], ...]}

Phones stand in order and do not overlap; they include the symbols between words (a space, a comma, ...), whose time may
be nothing at all. What lies between two phones belongs to whichever of them is such a boundary (`durations`). Further
keys of an object are not read. `wavejax prepare` takes the file along from the folder of recordings. (Floor 2, no jax.)
"""

import dataclasses
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from wavejax.atomic import write_text
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.data.texts import shown
from wavejax.documents import Malformed, parse_json, read_bytes
from wavejax.limits import MOST_LINE_BYTES, MOST_MANIFEST_BYTES
from wavejax.limits import shown as shown_value

ALIGNMENTS_NAME = "alignments.jsonl"
"""Of the file, beside the recordings' metadata.csv and in a prepared corpus."""
_LONGEST_SECONDS = 1e6
_EXCEEDING = 1.5
"""Frames by which the last phone may end after its recording: times are rounded, and a recording may be cut there."""


class AlignmentError(ValueError):
    """Alignments cannot be read, or do not fit their recording; the message says where and what to do."""


@dataclass(frozen=True)
class Interval:
    """What is said, and from when to when in seconds."""

    text: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class AlignedUtterance:
    """The phones and words of a recording, in order.

    Raises AlignmentError at construction on intervals that overlap, run backwards or say nothing.
    """

    id: str
    phones: tuple[Interval, ...]
    words: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        if not self.phones:
            raise AlignmentError(f"{self.id} has no phones")
        for kind, intervals in (("phone", self.phones), ("word", self.words)):
            _check_order(self.id, kind, intervals)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The phones without their times."""
        return tuple(phone.text for phone in self.phones)

    def durations(self, num_frames: int, spec: FeatureSpec) -> Int[np.ndarray, " phones"]:
        """Frames of each phone, int32; together they are all `num_frames` frames of the recording.

        A phone's borders are rounded to frames. Silence before the first phone, after the last one and between two of
        them goes to the one that is no letter (a space, a comma, ...), and to the earlier one if both or neither are.

        Raises AlignmentError if the phones go on after the recording.
        """
        seconds = spec.hop_length / spec.sample_rate
        if self.phones[-1].end > (num_frames + _EXCEEDING) * seconds:
            raise AlignmentError(
                f"{self.id} is aligned up to {self.phones[-1].end:.3f} s, but the recording has {num_frames} frames, "
                f"{num_frames * seconds:.3f} s: the alignment belongs to another version of it"
            )
        shift = _first_border(spec)
        borders = [0]
        for one, other in zip(self.phones, self.phones[1:], strict=False):
            moment = one.end if _is_boundary(other.text) and not _is_boundary(one.text) else other.start
            borders.append(round(moment / seconds - shift))
        borders = [min(max(border, 0), num_frames) for border in borders]
        return np.diff(np.asarray([*borders, num_frames])).astype(np.int32)

    def to_json(self) -> dict[str, Any]:
        """The object of its line; times are rounded to 0.1 ms."""
        found: dict[str, Any] = {"id": self.id}
        for name, intervals in (("phones", self.phones), ("words", self.words)):
            found[name] = [[each.text, round(each.start, 4), round(each.end, 4)] for each in intervals]
        return found


def read_alignments(path: str | Path) -> dict[str, AlignedUtterance]:
    """Alignments by the id of their utterance.

    Raises:
        AlignmentError: a line that holds no alignment, or an id for the second time; names the line.
        OSError: the file is not there, or no regular one.
    """
    try:
        data = read_bytes(path, MOST_MANIFEST_BYTES).decode("utf-8")
    except (Malformed, UnicodeDecodeError) as error:
        raise AlignmentError(f"{shown(path)} cannot be read as alignments: {error}") from None
    found: dict[str, AlignedUtterance] = {}
    for number, line in enumerate(data.split("\n"), 1):
        if not line.strip():
            continue
        try:
            aligned = alignment_of(_object(line))
        except (AlignmentError, Malformed) as error:
            raise AlignmentError(f"{shown(path)}, line {number}: {error}") from None
        if aligned.id in found:
            raise AlignmentError(f"{shown(path)}, line {number}: {aligned.id!r} is aligned for the second time")
        found[aligned.id] = aligned
    return found


def write_alignments(path: str | Path, alignments: Iterable[AlignedUtterance]) -> None:
    """Write the file at once: it is there whole, or as before."""
    lines = [json.dumps(aligned.to_json(), ensure_ascii=False, separators=(",", ":")) for aligned in alignments]
    write_text(path, "".join(f"{line}\n" for line in lines))


def collected_alignments(source: Path, ids: Collection[str]) -> list[AlignedUtterance]:
    """The alignments in a folder of recordings, and of its speakers' folders, whose ids are among these.

    A speaker's folder names its own recordings; in the corpus their ids begin with the folder's name.

    Raises AlignmentError as `read_alignments`.
    """
    found = []
    for folder in sorted({source, *(path.parent for path in source.glob(f"*/{ALIGNMENTS_NAME}"))}):
        if not (folder / ALIGNMENTS_NAME).is_file():
            continue
        prefix = "" if folder == source else f"{folder.name}/"
        for name, aligned in read_alignments(folder / ALIGNMENTS_NAME).items():
            if f"{prefix}{name}" in ids:
                found.append(dataclasses.replace(aligned, id=f"{prefix}{name}"))
    return found


def alignment_of(record: Mapping[str, Any]) -> AlignedUtterance:
    """The alignment that a line's JSON object describes. Raises AlignmentError, which says what is wrong with it."""
    name = record.get("id")
    if not isinstance(name, str) or not name:
        raise AlignmentError(f"expected an object with an id, phones and words, got the id {shown_value(name)}")
    return AlignedUtterance(
        id=name,
        phones=_intervals(name, "phones", record.get("phones")),
        words=_intervals(name, "words", record.get("words", [])),
    )


def _object(line: str) -> Mapping[str, Any]:
    if len(line) > MOST_LINE_BYTES:
        raise AlignmentError(f"the line has {len(line):,} characters, more than one recording's phones have")
    record = parse_json(line)
    if not isinstance(record, dict):
        raise AlignmentError(f"expected an object with an id, phones and words, got {shown_value(record)}")
    return record


def _intervals(name: str, kind: str, given: Any) -> tuple[Interval, ...]:
    if not isinstance(given, list):
        raise AlignmentError(f"{name} has the {kind} {shown_value(given)}: expected a list of [text, start, end]")
    found = []
    for each in given:
        if not (isinstance(each, list) and len(each) == 3 and isinstance(each[0], str)):
            raise AlignmentError(f"{name} has {shown_value(each)} among its {kind}: expected [text, start, end]")
        if not (_is_number(each[1]) and _is_number(each[2])):
            raise AlignmentError(f"{name} has {shown_value(each)} among its {kind}: times are numbers, in seconds")
        found.append(Interval(each[0], float(each[1]), float(each[2])))
    return tuple(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LONGEST_SECONDS


def _check_order(name: str, kind: str, intervals: Sequence[Interval]) -> None:
    before = 0.0
    for each in intervals:
        if not each.text:
            raise AlignmentError(f"{name} has a {kind} without text at {each.start:.3f} s")
        if not (math.isfinite(each.start) and math.isfinite(each.end) and each.start <= each.end):
            raise AlignmentError(
                f"{name} has the {kind} {each.text!r} from {each.start:.3f} to {each.end:.3f} s: expected seconds "
                "from its start to its end"
            )
        if each.start < before - 5e-4:
            raise AlignmentError(
                f"{name} has the {kind} {each.text!r} at {each.start:.3f} s, before the end of what precedes it "
                f"({before:.3f} s): sort the {kind}s, and let none overlap"
            )
        before = each.end


def _is_boundary(text: str) -> bool:
    return not any(character.isalpha() for character in text)


def _first_border(spec: FeatureSpec) -> float:
    """Where the first frame begins, in frames: half a hop before its centre."""
    return spec.frame_centre / spec.hop_length - 0.5


__all__ = [
    "ALIGNMENTS_NAME",
    "AlignedUtterance",
    "AlignmentError",
    "Interval",
    "alignment_of",
    "collected_alignments",
    "read_alignments",
    "write_alignments",
]
