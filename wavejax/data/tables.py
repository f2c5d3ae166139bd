"""The tables beside recordings, metadata.csv and splits.csv, and the search for the recording of each row.

metadata.csv is `id|transcript`, `id|transcript|cleaned transcript` or `id|speaker|transcript`, or it names its columns
in a first line that starts with `id|`. An id is the recording's name without suffix. People also write the suffix, the
folder before it, or the whole path, and files from a Mac may store accents as two characters: all of these are found.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wavejax.audio.files import AUDIO_SUFFIXES
from wavejax.data.manifest import SPLITS
from wavejax.data.texts import SourceError, composed, read_text, shown, text_lines

_NAMES = {
    **dict.fromkeys(("id", "file", "filename", "file_name", "audio", "audio_file", "path", "wav"), "id"),
    **dict.fromkeys(("transcript", "text", "sentence", "transcription"), "transcript"),
    **dict.fromkeys(("speaker", "speaker_id", "speaker_name"), "speaker"),
    "split": "split",
}
"""The names that a header may use for the columns that are read."""


@dataclass(frozen=True, kw_only=True)
class MetadataRow:
    """One line of metadata.csv."""

    id: str
    """The id as the table spells it."""
    transcript: str
    split: str | None
    speaker: str = ""
    """Empty if the table names none."""
    line: int = 0
    """Counted from 1."""


@dataclass
class Metadata:
    """The contents of a metadata.csv."""

    rows: list[MetadataRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Remarks on parts that may not be read as the author meant them."""


def read_metadata(path: Path) -> list[MetadataRow]:
    """The rows of a metadata.csv. Raises SourceError naming the first line that has no `id|transcript`."""
    return read_metadata_and_notes(path).rows


def read_metadata_and_notes(path: Path) -> Metadata:
    """The rows of a metadata.csv, with notes on them. Raises SourceError as `read_metadata` does."""
    lines = [(n, line) for n, line in enumerate(text_lines(read_text(path)), start=1) if line.strip()]
    header = _header(lines[0][1]) if lines else None
    if header is None:
        return _without_header(path, lines)
    found = Metadata()
    if "transcript" not in header:
        found.notes.append(f"its header {lines[0][1].strip()!r} names no column `transcript`: no words are read")
    surplus = []
    for number, line in lines[1:]:
        cells = _cells(path, number, line, most=len(header) if header[-1] == "transcript" else 0)
        by_name = dict(zip(header, cells, strict=False))
        if not by_name["id"]:
            raise SourceError(f"{shown(path)}, line {number}: has no id, got {line[:80]!r}")
        surplus += [number] if len(cells) > len(header) else []
        split = by_name.get("split") or None
        if split is not None and split not in SPLITS:
            raise SourceError(f"{shown(path)}, line {number}: unknown split {split!r}; splits are {', '.join(SPLITS)}")
        found.rows.append(
            MetadataRow(
                id=by_name["id"],
                transcript=by_name.get("transcript", ""),
                split=split,
                speaker=by_name.get("speaker", ""),
                line=number,
            )
        )
    if surplus:
        found.notes.append(f"{_lines(surplus)} more columns than its header: what is beyond them is not read")
    return found


def _header(line: str) -> tuple[str, ...] | None:
    """Names of the columns (our own names for those that are read), or None for a line of data."""
    names = [cell.strip() for cell in line.split("|")]
    known = [_NAMES.get(name.casefold()) for name in names]
    is_header = len(names) > 1 and known[0] == "id" and (names[0].casefold() == "id" or None not in known)
    if not is_header:
        return None
    taken: set[str] = {name.casefold() for name in names} & {"transcript", "speaker"}
    header = []
    for name, ours in zip(names, known, strict=True):
        use = ours is not None and (ours not in taken or name.casefold() == ours)
        header.append(ours if ours is not None and use else f"({name})")
        taken |= {ours} if ours is not None and use else set()
    return tuple(header)


def _without_header(path: Path, lines: Sequence[tuple[int, str]]) -> Metadata:
    table = [(number, _cells(path, number, line)) for number, line in lines]
    found = Metadata()
    is_spoken_by = _names_speakers([cells for _, cells in table])
    for number, cells in table:
        last = cells[2] if len(cells) > 2 else ""
        speaker = cells[1] if is_spoken_by else ""
        transcript = last if is_spoken_by else last or cells[1]
        found.rows.append(MetadataRow(id=cells[0], transcript=transcript, split=None, speaker=speaker, line=number))
    if is_spoken_by:
        names = sorted({cells[1] for _, cells in table})
        found.notes.append(
            f"its second of three columns is read as speakers ({', '.join(names[:5])}{', ...' if names[5:] else ''}); "
            "a first line `id|speaker|transcript` or `id|transcript|cleaned` says what it is"
        )
    if surplus := [number for number, cells in table if any(cells[3:])]:
        found.notes.append(f"{_lines(surplus)} more than three columns: what is beyond them is not read")
    return found


def _cells(path: Path, number: int, line: str, most: int = 0) -> list[str]:
    """The cells of a line, at most `most` of them if given: the last one then holds the rest with its separators."""
    cells = [cell.strip() for cell in line.split("|", most - 1 if most else -1)]
    if len(cells) < 2 or not cells[0]:
        raise SourceError(f"{shown(path)}, line {number}: expected `id|transcript`, got {line[:80]!r}")
    return cells


def _names_speakers(table: Sequence[Sequence[str]]) -> bool:
    """Whether the second of three columns names speakers.

    A transcript determines its cleaned version, and few sentences occur twice; a speaker occurs with several
    transcripts.
    """
    if not table or any(len(cells) != 3 for cells in table):
        return False
    said: dict[str, set[str]] = defaultdict(set)
    for _, second, third in table:
        said[second].add(third)
    return "" not in said and 2 * len(said) <= len(table) and any(len(words) > 1 for words in said.values())


def _lines(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:5])) + (", ..." if numbers[5:] else "")
    return f"{'line' if len(numbers) == 1 else 'lines'} {listed} {'has' if len(numbers) == 1 else 'have'}"


def read_splits(path: Path) -> dict[str, str]:
    """id as the table spells it -> split, from lines `id|split`. Raises SourceError naming the first line that is
    anything else or that contradicts an earlier one."""
    splits: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(text_lines(read_text(path)), start=1):
        name, _, split = (part.strip() for part in line.partition("|"))
        if not line.strip() or (not splits and (name.casefold(), split.casefold()) == ("id", "split")):
            continue
        if split not in SPLITS:
            raise SourceError(
                f"{shown(path)}, line {number}: expected `id|split` with a split of {', '.join(SPLITS)}, "
                f"got {line.strip()!r}"
            )
        earlier, where = splits.setdefault(name, (split, number))
        if earlier != split:
            raise SourceError(
                f"{shown(path)}, line {number}: puts {name!r} in {split}, line {where} in {earlier}; leave one of them"
            )
    return {name: split for name, (split, _) in splits.items()}


@dataclass(frozen=True)
class Named:
    """The recording of a row."""

    id: str
    """Its name as the table spells it, without folder and suffix."""
    path: Path


class RecordingNames:
    """Finds the recording of a table's row among those of a folder."""

    def __init__(self, folder: Path, recordings: Iterable[tuple[str, Path]]) -> None:
        """`recordings`: (name below `folder` without suffix, file); of several with one name the last one is used."""
        self._folder = folder
        self._by_name: dict[str, Path] = {}
        self._others: dict[str, list[Path]] = defaultdict(list)
        for name, path in recordings:
            if name in self._by_name:
                self._others[name].append(self._by_name[name])
            self._by_name[name] = path
        self._folded: dict[str, str] | None = None
        self._bare: dict[str, str] = {}
        self._spellings: dict[str, str | None] = {}  # None: two files differ only in how accents are stored
        if any(not name.isascii() for name in self._by_name):
            for name in self._by_name:
                self._spellings[composed(name)] = None if composed(name) in self._spellings else name

    def find(self, written: str) -> Named | None:
        """The recording with this name, or None."""
        if written in self._by_name:
            return Named(written, self._by_name[written])
        for candidate in self._candidates(written):
            name = candidate if candidate in self._by_name else self._spellings.get(composed(candidate))
            if name is not None:
                return Named(composed(candidate), self._by_name[name])
            stem, suffix = os.path.splitext(candidate)
            name = stem if stem in self._by_name else self._spellings.get(composed(stem))
            if name is not None and suffix.lower() in AUDIO_SUFFIXES:
                same = [self._by_name[name], *self._others[name]]
                return Named(composed(stem), next((path for path in same if path.suffix == suffix), same[0]))
        return None

    def hint(self, written: str) -> str:
        """A suggestion for a name that is not found: a likely recording and how to write it; "" if there is none."""
        if self._folded is None:
            self._folded = {composed(name).casefold(): name for name in self._by_name}
            self._bare = {composed(os.path.basename(name)): name for name in self._by_name if "/" in name}
        wanted = [composed(each) for each in self._candidates(written)]
        wanted += [os.path.splitext(each)[0] for each in wanted]
        for each in wanted:
            if each.casefold() in self._folded:
                return f"there is {self._folded[each.casefold()]}, and capitals count"
        inside = next((self._bare[each] for each in map(os.path.basename, wanted) if each in self._bare), "")
        return f"there is {inside}: the id of a recording in a folder names the folder" if inside else ""

    def _candidates(self, written: str) -> list[str]:
        """Names below the folder that `written` may mean, with their suffix if there is one."""
        plain = re.sub(r"^(\./+)+", "", written.replace("\\", "/"))
        found = [plain]
        head, folder, tail = plain.rpartition(f"{self._folder.name}/")
        if folder and tail and (not head or head.endswith("/")):
            found.append(tail)
        if os.path.isabs(plain):
            real = os.path.realpath(os.path.dirname(plain)), os.path.realpath(self._folder)
            if f"{real[0]}/".startswith(f"{real[1]}/"):
                found.append(os.path.relpath(os.path.join(real[0], os.path.basename(plain)), real[1]))
        return found


def split_of_each(
    written: Mapping[str, str], names: RecordingNames, table: str
) -> tuple[dict[Path, str], list[tuple[str, str]]]:
    """(file -> split, notes) of a table of splits; ids without a recording are noted."""
    fixed: dict[Path, str] = {}
    notes = []
    for name, split in written.items():
        meant = names.find(name)
        if meant is None:
            notes.append((name, f"is in {table} but matches no recording"))
        elif fixed.setdefault(meant.path, split) != split:
            raise SourceError(
                f"{table} puts {shown(meant.path)} both in {fixed[meant.path]} and in {split}; choose one"
            )
    return fixed, notes
