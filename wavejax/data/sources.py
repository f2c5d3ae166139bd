"""What a folder of recordings holds: which files, whose voice, which words.

Three layouts are understood, and told apart by what is there:

- `ljspeech`: metadata.csv (id|transcript[|cleaned transcript], or with a header line that starts with `id|`) and the
  recordings in wavs/ (or wav/, or beside it), one speaker named after the folder.
- `speakers`: one folder per speaker, either each an `ljspeech` folder, or VCTK's wav48*/SPEAKER/NAME.* with
  txt/SPEAKER/NAME.txt, or (only when asked for) plain SPEAKER/**/NAME.*.
- `folder`: any folder of audio, one speaker; NAME.txt beside NAME.wav is its transcript.

An optional splits.csv (id|split) in an `ljspeech` folder fixes the split of some utterances.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wavejax.audio.files import AUDIO_SUFFIXES
from wavejax.data.manifest import SPLITS

Layout = Literal["auto", "ljspeech", "speakers", "folder"]
LAYOUTS: tuple[str, ...] = ("auto", "ljspeech", "speakers", "folder")


class SourceError(ValueError):
    """The source folder cannot be read as recordings; the message says what was found and what to do."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording to prepare."""

    id: str
    path: Path
    speaker: str
    transcript: str = ""
    split: str | None = None
    """Fixed by the source, or None: drawn by hash."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a source folder holds, and what in it cannot be used."""

    layout: str
    recordings: tuple[Recording, ...]
    skipped: tuple[tuple[str, str], ...]
    """(name, reason)"""


@dataclass(frozen=True, kw_only=True)
class MetadataRow:
    """One line of metadata.csv."""

    id: str
    transcript: str
    split: str | None


@dataclass
class _Found:
    recordings: list[Recording] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def list_source(source: Path, layout: str = "auto") -> Listing:
    """All recordings of a folder, sorted by id. Raises SourceError if it is no folder, or holds no recording."""
    if layout not in LAYOUTS:
        raise SourceError(f"unknown layout {layout!r}; layouts are {', '.join(LAYOUTS)}")
    if not source.is_dir():
        what = "is a file, not a folder" if source.exists() else "does not exist"
        raise SourceError(f"{source} {what}; give the folder that holds the recordings")
    chosen = _detect(source) if layout == "auto" else layout
    found = {"ljspeech": _ljspeech, "speakers": _speakers, "folder": _folder}[chosen](source)
    _drop_repeated_ids(found)
    if not found.recordings:
        listed = "; ".join(f"{name}: {reason}" for name, reason in found.skipped[:5])
        raise SourceError(
            f"{source} holds no recording to prepare (read as layout {chosen!r}; looked for "
            f"{', '.join(AUDIO_SUFFIXES)})"
            + (f". Skipped: {listed}" if listed else "; check the path, or name the layout")
        )
    found.recordings.sort(key=lambda recording: recording.id)
    return Listing(layout=chosen, recordings=tuple(found.recordings), skipped=tuple(found.skipped))


def read_metadata(path: Path) -> list[MetadataRow]:
    """The rows of a metadata.csv. Raises SourceError naming the first line that has no `id|transcript`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text ({error}); convert it, e.g. with iconv") from error
    header = [name.strip() for name in lines[0].split("|")] if lines else []
    named = bool(header) and header[0] == "id"
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (named and number == 1):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 2 or not cells[0]:
            raise SourceError(f"{path}, line {number}: expected `id|transcript`, got {line[:80]!r}")
        by_name = dict(zip(header, cells, strict=False)) if named else {}
        split = by_name.get("split") or None
        if split is not None and split not in SPLITS:
            raise SourceError(f"{path}, line {number}: unknown split {split!r}; splits are {', '.join(SPLITS)}")
        transcript = by_name.get("transcript", "") if named else cells[2] if len(cells) > 2 else cells[1]
        rows.append(MetadataRow(id=cells[0], transcript=transcript, split=split))
    return rows


def _detect(source: Path) -> str:
    if (source / "metadata.csv").is_file():
        return "ljspeech"
    folders = [folder for folder in source.iterdir() if folder.is_dir()]
    if any((folder / "metadata.csv").is_file() for folder in folders):
        return "speakers"
    return "speakers" if _vctk_audio(source) is not None else "folder"


def _ljspeech(source: Path) -> _Found:
    metadata = source / "metadata.csv"
    if not metadata.is_file():
        raise SourceError(f"{source} has no metadata.csv, which the layout 'ljspeech' needs; use layout 'folder'")
    audio = next((source / name for name in ("wavs", "wav") if (source / name).is_dir()), source)
    files = {path.relative_to(audio).with_suffix("").as_posix(): path for path in _audio_files(audio)}
    fixed = _read_splits(source / "splits.csv")
    found = _Found()
    speaker = source.resolve().name
    for row in read_metadata(metadata):
        path = files.pop(row.id, None)
        if path is None:
            found.skipped.append((row.id, f"is in metadata.csv but has no recording in {audio}"))
            continue
        split = fixed.get(row.id, row.split)
        found.recordings.append(
            Recording(id=row.id, path=path, speaker=speaker, transcript=row.transcript, split=split)
        )
    found.skipped += [(str(path.relative_to(source)), "is not in metadata.csv") for path in files.values()]
    return found


def _read_splits(path: Path) -> dict[str, str]:
    """id -> split from lines `id|split`; nothing where the file is missing."""
    splits: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else (), start=1):
        name, _, split = line.strip().partition("|")
        if line.strip() and split not in SPLITS:
            raise SourceError(
                f"{path}, line {number}: expected `id|split` with a split of {', '.join(SPLITS)}, got {line.strip()!r}"
            )
        if line.strip():
            splits[name] = split
    return splits


def _speakers(source: Path) -> _Found:
    folders = sorted(folder for folder in source.iterdir() if folder.is_dir())
    if any((folder / "metadata.csv").is_file() for folder in folders):
        return _merge(source, folders)
    audio = _vctk_audio(source) or source
    found = _Found()
    for folder in sorted(folder for folder in audio.iterdir() if folder.is_dir()):
        for path in _audio_files(folder):
            name = path.relative_to(folder).with_suffix("").as_posix()
            base = name.removesuffix("_mic1").removesuffix("_mic2")
            if name.endswith("_mic2") and path.with_stem(path.stem.removesuffix("_mic2") + "_mic1").exists():
                found.skipped.append((str(path.relative_to(source)), "is the second microphone of the same reading"))
                continue
            transcript = _text(source / "txt" / folder.name / f"{base}.txt") or _text(path.with_suffix(".txt"))
            identity = name if name.startswith(folder.name) else f"{folder.name}/{name}"
            found.recordings.append(Recording(id=identity, path=path, speaker=folder.name, transcript=transcript))
    return found


def _merge(source: Path, folders: Iterable[Path]) -> _Found:
    """Several `ljspeech` folders side by side, each one speaker."""
    found = _Found()
    for folder in folders:
        if not (folder / "metadata.csv").is_file():
            found.skipped.append((f"{folder.name}/", "has no metadata.csv, as its neighbours have"))
            continue
        inner = _ljspeech(folder)
        found.skipped += [(f"{folder.name}/{name}", reason) for name, reason in inner.skipped]
        for r in inner.recordings:
            found.recordings.append(
                Recording(
                    id=f"{folder.name}/{r.id}", path=r.path, speaker=folder.name, transcript=r.transcript, split=r.split
                )
            )
    return found


def _folder(source: Path) -> _Found:
    speaker = source.resolve().name
    recordings = [
        Recording(
            id=path.relative_to(source).with_suffix("").as_posix(),
            path=path,
            speaker=speaker,
            transcript=_text(path.with_suffix(".txt")),
        )
        for path in _audio_files(source)
    ]
    return _Found(recordings=recordings)


def _vctk_audio(source: Path) -> Path | None:
    """VCTK's folder of speakers, if `source` is laid out like it."""
    candidates = [*sorted(source.glob("wav48*")), source / "wavs", source / "wav"]
    if not (source / "txt").is_dir():
        return None
    return next((folder for folder in candidates if folder.is_dir()), None)


def _audio_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )


def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _drop_repeated_ids(found: _Found) -> None:
    by_id: dict[str, list[Recording]] = defaultdict(list)
    for recording in found.recordings:
        by_id[recording.id].append(recording)
    for identity, same in by_id.items():
        found.skipped += [(str(r.path), f"has the same name ({identity}) as {same[0].path}") for r in same[1:]]
    found.recordings = [same[0] for same in by_id.values()]
