"""A corpus of scores: pieces with fixed splits, in memory or in a folder that `wavejax prepare` made of MIDI files.

    OUT/manifest.json           {"made_by": "wavejax", "kind": "scores", "format": 1, ...}, written last
    OUT/notes-HASH.bin          the notes of all pieces: int32 [N, 5], little-endian (track, start, end, pitch,
                                velocity)

The file of notes is named after its content, and the manifest holds its SHA-256: a corpus is sound, or refused.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int16, Int32

from wavejax.atomic import write_bytes, write_json
from wavejax.data.manifest import MANIFEST_NAME, SPLITS, ManifestError
from wavejax.data.scores import Note, Score, ScoreError, Track
from wavejax.data.texts import shown
from wavejax.documents import NotRegular, read_bytes, read_json
from wavejax.limits import MOST_MANIFEST_BYTES
from wavejax.ownership import marked
from wavejax.terminal import quoted

KIND = "scores"
FORMAT = 1
_MOST_NOTES_BYTES = 2**31
_COLUMNS = 5
_BYTES = 4 * _COLUMNS


class Piece(NamedTuple):
    """One piece of a corpus."""

    name: str
    """Unique within the corpus."""
    split: str
    """One of "train", "validation" and "test"."""
    score: Score


@dataclass(frozen=True, kw_only=True)
class PieceEntry:
    """The manifest's entry of one piece: everything but its notes."""

    name: str
    split: str
    frame: Score
    """The score without its notes: tracks, tempo, metre, key, length, title, source."""
    counts: tuple[int, ...]
    """Notes of each track."""
    first: int
    """Row of the first note."""


class ScoreCorpus:
    """Pieces and their splits. A piece's score is made when it is asked for.

    `ScoreCorpus.open(folder)` opens the output of `wavejax prepare`; `ScoreCorpus.in_memory(pieces)` needs no folder.
    """

    def __init__(self, entries: Sequence[PieceEntry], notes: Int32[np.ndarray, "notes 5"]) -> None:
        self.entries: tuple[PieceEntry, ...] = tuple(entries)
        self._notes = notes

    @classmethod
    def in_memory(cls, pieces: Iterable[Piece]) -> "ScoreCorpus":
        """A corpus of the given pieces. Raises ScoreError on two of one name, an unknown split, or two grids."""
        entries, rows = list[PieceEntry](), list[np.ndarray]()
        first = 0
        for piece in pieces:
            tracks = piece.score.tracks
            frame = replace(piece.score, tracks=tuple(replace(track, notes=()) for track in tracks))
            counts = tuple(len(track.notes) for track in tracks)
            entries.append(PieceEntry(name=piece.name, split=piece.split, frame=frame, counts=counts, first=first))
            found = [(number, *note) for number, track in enumerate(tracks) for note in track.notes]
            rows.append(np.asarray(found, np.int32).reshape(-1, _COLUMNS))
            first += len(found)
        _check(entries)
        return cls(entries, np.concatenate(rows) if rows else np.zeros((0, _COLUMNS), np.int32))

    @classmethod
    def open(cls, path: str | Path) -> "ScoreCorpus":
        """Opens a prepared folder and verifies it. Raises ManifestError, which says what is missing or damaged."""
        folder = Path(path)
        content = _manifest(folder)
        where = folder / MANIFEST_NAME
        try:
            entries = _entries(content)
            _check(entries)
            name, digest = str(content["notes"]["file"]), content["notes"]["sha256"]
            if not name or name in (".", "..") or set(name) & set("/\\\0"):
                raise ValueError(f"the file of notes {name!r:.60} is no plain file name; it lies beside the manifest")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ManifestError(f"{where} is damaged ({error!r:.300}); run `wavejax prepare` again") from error
        rows = sum(sum(entry.counts) for entry in entries)
        return cls(entries, _read_notes(folder / name, digest, rows))

    def save(self, folder: str | Path) -> None:
        """Writes the corpus into a folder: the notes, then the manifest; what an earlier one left is removed last.

        Raises OSError where the system refuses.
        """
        root, data = Path(folder), np.ascontiguousarray(self._notes, "<i4").tobytes()
        digest = hashlib.sha256(data).hexdigest()
        name = f"notes-{digest[:12]}.bin"
        write_bytes(root / name, data)
        content = {
            "kind": KIND,
            "format": FORMAT,
            "steps_per_quarter": self.steps_per_quarter,
            "notes": {"file": name, "sha256": digest},
            "pieces": [_entry_dict(entry) for entry in self.entries],
        }
        write_json(root / MANIFEST_NAME, marked(content))
        for path in root.glob("notes-????????????.bin"):
            if path.name != name:
                with contextlib.suppress(OSError):
                    path.unlink()

    @property
    def steps_per_quarter(self) -> int:
        """Of the grid of all pieces; 4 of a corpus without any."""
        return self.entries[0].frame.steps_per_quarter if self.entries else 4

    def __len__(self) -> int:
        return len(self.entries)

    def has(self, split: str) -> bool:
        """Whether "train", "validation" or "test" has a piece. Raises ValueError on the name of another split."""
        _check_split(split)
        return any(entry.split == split for entry in self.entries)

    def indices(self, split: str = "train") -> tuple[int, ...]:
        """Numbers of the pieces of a split. Raises ValueError if it is empty."""
        _check_split(split)
        found = tuple(number for number, entry in enumerate(self.entries) if entry.split == split)
        if not found:
            raise ValueError(f"the split {split!r} of this corpus of scores is empty ({self.sizes()})")
        return found

    def sizes(self) -> str:
        """The number of pieces in each split, in words."""
        counts = Counter(entry.split for entry in self.entries)
        return ", ".join(f"{split} {counts[split]}" for split in SPLITS)

    def piece(self, number: int) -> Piece:
        """One piece. Raises ManifestError if its notes cannot be."""
        entry = self.entries[number]
        tracks, at = list[Track](), entry.first
        try:
            for index, (track, count) in enumerate(zip(entry.frame.tracks, entry.counts, strict=True)):
                rows = self._notes[at : at + count].tolist()
                if any(row[0] != index for row in rows):
                    raise ScoreError(f"notes of another track stand among those of track {index}")
                tracks.append(replace(track, notes=tuple(Note(*row[1:]) for row in rows)))
                at += count
            return Piece(entry.name, entry.split, replace(entry.frame, tracks=tuple(tracks)))
        except ScoreError as error:
            raise ManifestError(f"the piece {entry.name!r} is damaged ({error}); prepare the corpus again") from error

    def pieces(self, split: str = "train") -> Iterator[Piece]:
        """The pieces of one split, in order. Raises ValueError if it is empty."""
        return map(self.piece, self.indices(split))

    def voices(self, split: str = "train", count: int = 4) -> Iterator[tuple[Piece, Int16[np.ndarray, "steps voices"]]]:
        """Each piece of one split that `count` voices can hold, with its codes (`Score.voices`); others are passed
        over: see `unvoiced`. Raises ValueError if the split is empty."""
        for piece in self.pieces(split):
            with contextlib.suppress(ScoreError):
                yield piece, piece.score.voices(count)

    def unvoiced(self, count: int = 4) -> list[tuple[str, str]]:
        """(name, reason) of each piece that `count` voices cannot hold."""
        found = []
        for piece in map(self.piece, range(len(self))):
            try:
                piece.score.voices(count)
            except ScoreError as error:
                found.append((piece.name, str(error)))
        return found


def is_score_corpus(folder: str | Path) -> bool:
    """Whether a folder's manifest says that it is a corpus of scores, sound or not."""
    try:
        content = read_json(Path(folder) / MANIFEST_NAME, MOST_MANIFEST_BYTES)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("kind") == KIND


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; splits are {', '.join(SPLITS)}")


def _check(entries: Sequence[PieceEntry]) -> None:
    counts = Counter(entry.name for entry in entries)
    if counts and max(counts.values()) > 1:
        raise ScoreError(f"two pieces are called {counts.most_common(1)[0][0]!r}; each needs its own name")
    for entry in entries:
        _check_split(entry.split)
    if len(grids := {entry.frame.steps_per_quarter for entry in entries}) > 1:
        raise ScoreError(f"the pieces have {sorted(grids)} steps a quarter note; a corpus has one grid")


# --- the manifest -----------------------------------------------------------------------------------------------------


def _manifest(folder: Path) -> Mapping[str, Any]:
    path = folder / MANIFEST_NAME
    try:
        content = read_json(path, MOST_MANIFEST_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ManifestError(
            f"{folder} is no corpus of scores (it has no {MANIFEST_NAME}); make one of a folder of MIDI files with "
            f"`wavejax prepare MIDI_FOLDER {quoted(folder)}`"
        ) from error
    except (ValueError, NotRegular) as error:
        raise ManifestError(f"{path} is damaged ({error}); run `wavejax prepare` again") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ManifestError(
            f"{folder} is no corpus of scores: its {MANIFEST_NAME} is of recordings, or of something else. Scores are "
            "made of MIDI files with `wavejax prepare MIDI_FOLDER OUT`"
        )
    if content.get("format") != FORMAT:
        raise ManifestError(
            f"{path} has format {content.get('format')!r:.40}, this wavejax reads format {FORMAT} of scores; prepare "
            "the corpus again"
        )
    return content


def _entry_dict(entry: PieceEntry) -> dict[str, Any]:
    frame = entry.frame
    return {
        "name": entry.name,
        "split": entry.split,
        "title": frame.title,
        "source": frame.source,
        "tempo": frame.tempo,
        "metre": frame.metre,
        "key": frame.key,
        "upbeat": frame.upbeat,
        "length": frame.length,
        "tracks": [
            [track.name, track.program, track.drums, count]
            for track, count in zip(frame.tracks, entry.counts, strict=True)
        ],
    }


def _entries(content: Mapping[str, Any]) -> list[PieceEntry]:
    """The entries of a manifest. Raises what a damaged one makes Python raise."""
    entries, first, steps = list[PieceEntry](), 0, _of(int, content["steps_per_quarter"])
    for each in _of(list, content["pieces"]):
        tracks, counts = list[Track](), list[int]()
        for name, program, drums, count in each["tracks"]:
            tracks.append(Track(name=_of(str, name), program=_of(int, program), drums=_of(bool, drums)))
            counts.append(_of(int, count))
        if min(counts, default=0) < 0:
            raise ValueError(f"a track of {each['name']!r:.60} has {min(counts)} notes")
        beats, unit = each["metre"]
        frame = Score(
            tracks=tuple(tracks),
            steps_per_quarter=steps,
            tempo=float(each["tempo"]),
            metre=(_of(int, beats), _of(int, unit)),
            key=None if each["key"] is None else _of(str, each["key"]),
            upbeat=_of(int, each["upbeat"]),
            length=_of(int, each["length"]),
            title=_of(str, each["title"]),
            source=_of(str, each["source"]),
        )
        name, split = _of(str, each["name"]), _of(str, each["split"])
        entries.append(PieceEntry(name=name, split=split, frame=frame, counts=tuple(counts), first=first))
        first += sum(counts)
    return entries


def _of(kind: type, value: Any) -> Any:
    """The value, which must be of exactly this type: JSON's true does not count as a number."""
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, got {value!r:.60}")
    return value


def _read_notes(path: Path, digest: str, rows: int) -> Int32[np.ndarray, "notes 5"]:
    try:
        data = read_bytes(path, _MOST_NOTES_BYTES)
    except (OSError, ValueError) as error:
        raise ManifestError(f"{shown(path)} cannot be read ({error}); run `wavejax prepare` again") from error
    if hashlib.sha256(data).hexdigest() != digest or len(data) != rows * _BYTES:
        raise ManifestError(
            f"{shown(path)} is damaged: its {len(data)} bytes are not those that the manifest describes "
            f"({rows} notes); run `wavejax prepare` again"
        )
    return np.frombuffer(data, "<i4").reshape(-1, _COLUMNS)


__all__ = ["Piece", "PieceEntry", "ScoreCorpus", "is_score_corpus"]
