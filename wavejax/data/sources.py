"""Lists a folder of recordings: files, speakers and transcripts.

Three layouts are supported and recognised by their files:

- `ljspeech`: metadata.csv (see `wavejax.data.tables`) and the recordings in wavs/ (or wav/, or beside it); one speaker,
  named after the folder, unless the table names speakers.
- `speakers`: one folder per speaker: each is an `ljspeech` folder, or the layout is VCTK's wav48*/SPEAKER/NAME.* with
  txt/SPEAKER/NAME.txt, or (only on request) plain SPEAKER/**/NAME.*.
- `folder`: any folder of audio, one speaker; NAME.txt beside NAME.wav is its transcript.

An optional splits.csv (id|split) fixes the split of some utterances. Folders may be links to other places. Every file
that the user may have meant is either used, or reported with the reason why not.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from wavejax.audio.files import AUDIO_SUFFIXES
from wavejax.data.discovery import FolderFiles, find_files
from wavejax.data.midi import MIDI_SUFFIXES
from wavejax.data.tables import (
    MetadataRow,
    RecordingNames,
    read_metadata,
    read_metadata_and_notes,
    read_splits,
    split_of_each,
)
from wavejax.data.texts import NOT_TEXT, SourceError, composed, is_text, shown
from wavejax.data.transcripts import Transcripts, is_link_out

Layout = Literal["auto", "ljspeech", "speakers", "folder"]
LAYOUTS: tuple[str, ...] = ("auto", "ljspeech", "speakers", "folder")
METADATA_NAME, SPLITS_NAME = "metadata.csv", "splits.csv"
UNREAD_SUFFIXES: tuple[str, ...] = (
    *(".m4a", ".mp4", ".aac", ".wma", ".webm", ".oga", ".sph", ".w64", ".rf64", ".au", ".snd", ".caf", ".amr", ".aifc"),
    *(".ape", ".wv", ".raw", ".pcm"),
)
"""Suffixes of audio formats that are not read: such files are reported."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording to prepare."""

    id: str
    path: Path
    speaker: str
    transcript: str = ""
    split: str | None = None
    """The split that the source fixes, or None: it is drawn by hash."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The recordings of a source folder, and the files in it that cannot be used."""

    layout: str
    recordings: tuple[Recording, ...]
    skipped: tuple[tuple[str, str], ...]
    """(name, reason)"""
    notes: tuple[tuple[str, str], ...] = ()
    """(name, remark): tables, rows and transcripts that are not used, or not as the user may expect."""


@dataclass
class _Found:
    recordings: list[Recording] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    passed_over: set[str] = field(default_factory=set)
    """Folders that are reported as a whole."""
    tables: set[Path] = field(default_factory=set)
    """Tables that are read."""


def list_source(source: Path, layout: str = "auto") -> Listing:
    """All recordings of a folder, sorted by id. Raises SourceError if it is not a folder or holds no recording."""
    if layout not in LAYOUTS:
        raise SourceError(f"unknown layout {layout!r}; layouts are {', '.join(LAYOUTS)}")
    if not source.is_dir():
        what = "is a file, not a folder" if source.exists() else "does not exist"
        raise SourceError(f"{shown(source)} {what}; give the folder that holds the recordings")
    if not is_text(str(source.resolve())):
        raise SourceError(f"{shown(source.resolve())} is a name that is {NOT_TEXT}; rename the folder")
    try:
        files, scores = _listed(source)
        chosen = _detect(source) if layout == "auto" else layout
        found = {"ljspeech": _ljspeech_alone, "speakers": _speakers, "folder": _folder}[chosen](source, files)
    except OSError as error:
        raise SourceError(f"{shown(error.filename or source)} cannot be read: {error.strerror or error}") from error
    _drop_repeated_ids(found)
    if chosen != "ljspeech":  # an ljspeech folder uses the table's ids
        _fix_splits(source, source, found)
    found.skipped += files.problems
    _name_the_rest(source, files, found, chosen)
    if scores:
        many = f" (one of {len(scores)})" if len(scores) > 1 else ""
        found.notes.append(
            (scores[0], f"is a MIDI file{many}, which a corpus of recordings leaves out; the layout scores reads those")
        )
    if not found.recordings:
        listed = "; ".join(f"{name}: {reason}" for name, reason in found.skipped[:5])
        raise SourceError(
            f"{source} holds no recording to prepare (read as layout {chosen!r}; looked for "
            f"{', '.join(AUDIO_SUFFIXES)})"
            + (f". Skipped: {listed}" if listed else "; check the path, or name the layout")
        )
    found.recordings.sort(key=lambda recording: recording.id)
    return Listing(
        layout=chosen, recordings=tuple(found.recordings), skipped=tuple(found.skipped), notes=tuple(found.notes)
    )


def _listed(source: Path) -> tuple[FolderFiles, list[str]]:
    """The relevant files of the source, and the names of MIDI files in it; audio with a suffix that is not read is
    listed in the problems."""
    files = find_files(source, (*AUDIO_SUFFIXES, *UNREAD_SUFFIXES, *MIDI_SUFFIXES, ".txt", ".csv", ".tsv"))
    scores = [path for path in files.paths if path.suffix.lower() in MIDI_SUFFIXES]
    files = replace(files, paths=tuple(path for path in files.paths if path.suffix.lower() not in MIDI_SUFFIXES))
    names = [path.relative_to(source).as_posix() for path in scores]
    unread = [path for path in files.paths if path.suffix.lower() in UNREAD_SUFFIXES]
    if not unread:
        return files, names
    problems = [
        (
            path.relative_to(source).as_posix(),
            f"has suffix {path.suffix}, which is not read; convert it to .wav or .flac",
        )
        for path in unread
    ]
    paths = tuple(path for path in files.paths if path.suffix.lower() not in UNREAD_SUFFIXES)
    return replace(files, paths=paths, problems=(*files.problems, *problems)), names


def _detect(source: Path) -> str:
    if _is_table(source / METADATA_NAME):
        return "ljspeech"
    folders = [folder for folder in source.iterdir() if folder.is_dir()]
    if any(_is_table(folder / METADATA_NAME) for folder in folders):
        return "speakers"
    return "speakers" if _vctk_audio(source) is not None else "folder"


def _is_table(path: Path) -> bool:
    """Whether an entry with a table's name exists; this includes a broken link, which is refused by name later."""
    return os.path.lexists(path) and not path.is_dir()


# --- the layouts ------------------------------------------------------------------------------------------------------


def _ljspeech_alone(source: Path, files: FolderFiles) -> _Found:
    return _ljspeech(source, source, files.paths, files.problems)


def _ljspeech(source: Path, folder: Path, paths: Iterable[Path], problems: Iterable[tuple[str, str]]) -> _Found:
    """The recordings of an `ljspeech` folder: the source itself or one speaker's folder in it. Names are relative to
    `folder`, whose files are `paths`."""
    metadata = folder / METADATA_NAME
    if not _is_table(metadata):
        raise SourceError(f"{folder} has no metadata.csv, which the layout 'ljspeech' needs; use layout 'folder'")
    audio = next((folder / name for name in ("wavs", "wav") if (folder / name).is_dir()), folder)
    depth, sounds = len(audio.parts), _sounds(paths)
    recorded = [(_name_below(audio, path), path) for path in sounds if path.parts[:depth] == audio.parts]
    beside = [(_name_below(folder, path), path) for path in sounds if path.parts[:depth] != audio.parts]
    _refuse_links_out(source, (metadata, folder / SPLITS_NAME), [path for _, path in recorded])
    names, table = RecordingNames(audio, recorded), read_metadata_and_notes(metadata)
    names_beside = RecordingNames(folder, beside)
    found = _Found(notes=[(METADATA_NAME, note) for note in table.notes], tables={metadata})
    problem_of = {composed(os.path.splitext(os.path.basename(name))[0]): (name, why) for name, why in problems}
    nameless, first = composed(folder.resolve().name), dict[Path, MetadataRow]()
    for row in table.rows:
        meant = names.find(row.id) or names_beside.find(row.id)
        if meant is None:
            found.skipped.append((row.id, _why_absent(row.id, audio, names, problem_of)))
        elif meant.path in first:
            found.notes.append((row.id, _repeated(first[meant.path], row)))
        else:
            first[meant.path] = row
            speaker = composed(row.speaker) or nameless
            found.recordings.append(
                Recording(id=meant.id, path=meant.path, speaker=speaker, transcript=row.transcript, split=row.split)
            )
    for name, path in recorded:
        if path not in first:
            meant = names.find(name)
            used = meant is not None and meant.path in first and meant.path != path
            reason = f"has the same name ({name}) as {meant.path}" if meant and used else "is not in metadata.csv"
            found.skipped.append((str(path.relative_to(folder)), reason))
    _fix_splits(folder, audio, found)
    return found


def _why_absent(written: str, audio: Path, names: RecordingNames, problem_of: Mapping[str, tuple[str, str]]) -> str:
    """The reason why a row has no recording."""
    said = f"is in metadata.csv but has no recording in {audio}"
    last = composed(os.path.basename(written.replace("\\", "/")))
    for key in (last, os.path.splitext(last)[0]):
        if key in problem_of:
            return f"{said}: {' '.join(problem_of[key])}"
    hint = names.hint(written)
    return f"{said}; {hint}" if hint else said


def _repeated(first: MetadataRow, row: MetadataRow) -> str:
    same = (first.transcript, first.speaker, first.split) == (row.transcript, row.speaker, row.split)
    if same:
        return f"is twice in metadata.csv: line {row.line} repeats line {first.line}"
    return f"is twice in metadata.csv, and line {row.line} differs from line {first.line}, which is used"


def _speakers(source: Path, files: FolderFiles) -> _Found:
    folders = _folders(source, files)
    if any(_is_table(folder / METADATA_NAME) for folder in folders):
        return _merge(source, folders, files)
    audio = _vctk_audio(source) or source
    texts, found = Transcripts(files), _Found()
    by_folder = _by_first_folder(audio, _sounds(files.paths))
    heard = {str(path) for path in files.paths}
    named: list[tuple[str, str, Recording]] = []
    for folder in _folders(audio, files):
        speaker = composed(folder.name)
        for path in by_folder.get(folder.name, ()):
            name = _name_below(folder, path)
            base = name.removesuffix("_mic1").removesuffix("_mic2")
            if name.endswith("_mic2") and f"{str(path)[: -len(path.suffix) - 1]}1{path.suffix}" in heard:
                found.skipped.append((str(path.relative_to(source)), "is the second microphone of the same reading"))
                continue
            places = (source / "txt" / folder.name / f"{base}.txt", path.with_suffix(".txt"))
            short = name if name.startswith(folder.name) else f"{folder.name}/{name}"
            recording = Recording(id=short, path=path, speaker=speaker, transcript=texts.of(path, places))
            named.append((short, f"{folder.name}/{name}", recording))
    found.recordings = _with_distinct_ids(named)
    found.notes = texts.notes()
    return found


def _with_distinct_ids(named: Iterable[tuple[str, str, Recording]]) -> list[Recording]:
    """Recordings from (short name, full name, recording); those that share a short name get the full name as id."""
    listed = list(named)
    ids = [short for short, _, _ in listed]
    while True:
        meant: dict[str, set[str]] = defaultdict(set)
        for identity, (_, full, _) in zip(ids, listed, strict=True):
            meant[identity].add(full)
        clash = [i for i, (_, full, _) in enumerate(listed) if len(meant[ids[i]]) > 1 and ids[i] != full]
        if not clash:
            return [replace(recording, id=ids[i]) for i, (_, _, recording) in enumerate(listed)]
        for i in clash:
            ids[i] = listed[i][1]


def _merge(source: Path, folders: Iterable[Path], files: FolderFiles) -> _Found:
    """Several `ljspeech` folders side by side, one per speaker."""
    found = _Found()
    by_folder = _by_first_folder(source, files.paths)
    for folder in folders:
        if not _is_table(folder / METADATA_NAME):
            found.skipped.append((f"{folder.name}/", "has no metadata.csv, as its neighbours have"))
            found.passed_over.add(folder.name)
            continue
        own = [(n.removeprefix(f"{folder.name}/"), why) for n, why in files.problems if n.startswith(f"{folder.name}/")]
        inner = _ljspeech(source, folder, by_folder.get(folder.name, ()), own)
        found.skipped += [(f"{folder.name}/{name}", reason) for name, reason in inner.skipped]
        found.notes += [(f"{folder.name}/{name}", note) for name, note in inner.notes]
        found.recordings += [replace(r, id=f"{folder.name}/{r.id}") for r in inner.recordings]
        found.tables |= inner.tables
    return found


def _folder(source: Path, files: FolderFiles) -> _Found:
    speaker, texts = composed(source.resolve().name), Transcripts(files)
    recordings = [
        Recording(
            id=_name_below(source, path),
            path=path,
            speaker=speaker,
            transcript=texts.of(path, (path.with_suffix(".txt"),)),
        )
        for path in _sounds(files.paths)
    ]
    return _Found(recordings=recordings, notes=texts.notes())


def _vctk_audio(source: Path) -> Path | None:
    """The folder of speakers in VCTK's layout, if `source` has this layout."""
    candidates = [*sorted(source.glob("wav48*")), source / "wavs", source / "wav"]
    if not (source / "txt").is_dir():
        return None
    return next((folder for folder in candidates if folder.is_dir()), None)


# --- what they share --------------------------------------------------------------------------------------------------


def _sounds(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES]


def _name_below(folder: Path, path: Path) -> str:
    return os.path.splitext(path.relative_to(folder).as_posix())[0]


def _folders(folder: Path, files: FolderFiles) -> list[Path]:
    """The direct subfolders that are read."""
    unread = {name for name, _ in files.problems}
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    return [path for path in below if shown(path.relative_to(files.root)) not in unread]


def _by_first_folder(root: Path, paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Paths below `root`, grouped by the name of their top-level folder in it."""
    depth = len(root.parts)
    grouped: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        if len(path.parts) > depth + 1 and path.parts[:depth] == root.parts:
            grouped[path.parts[depth]].append(path)
    return grouped


def _refuse_links_out(source: Path, tables: Iterable[Path], recordings: Sequence[Path]) -> None:
    """Raises SourceError on a table that is a link unless it leads below the source or to where recordings lead."""
    for table in tables:
        if table.is_symlink() and table.exists() and is_link_out(source, table, recordings):
            raise SourceError(
                f"{table} is a link out of the source, to {shown(table.resolve())}: put the file itself there, or give "
                "the folder in which it is"
            )


def _fix_splits(folder: Path, audio: Path, found: _Found) -> None:
    """Applies a folder's splits.csv, if there is one. It overrides metadata.csv, and a note reports that."""
    path = folder / SPLITS_NAME
    if not _is_table(path):
        return
    found.tables.add(path)
    names = RecordingNames(audio, [(recording.id, recording.path) for recording in found.recordings])
    fixed, notes = split_of_each(read_splits(path), names, SPLITS_NAME)
    found.notes += notes
    for index, recording in enumerate(found.recordings):
        split = fixed.get(recording.path, recording.split)
        if recording.split not in (None, split):
            found.notes.append(
                (recording.id, f"is {recording.split} in {METADATA_NAME} but {split} in {SPLITS_NAME}, which is used")
            )
        found.recordings[index] = replace(recording, split=split) if split != recording.split else recording


def _drop_repeated_ids(found: _Found) -> None:
    by_id: dict[str, list[Recording]] = defaultdict(list)
    for recording in found.recordings:
        by_id[recording.id].append(recording)
    for identity, same in by_id.items():
        found.skipped += [(str(r.path), f"has the same name ({identity}) as {same[0].path}") for r in same[1:]]
    found.recordings = [same[0] for same in by_id.values()]


def _name_the_rest(source: Path, files: FolderFiles, found: _Found, layout: str) -> None:
    """Reports the files that the user may have meant and that are neither used nor reported yet."""
    used = {recording.path for recording in found.recordings} | found.tables
    named = {name for name, _ in found.skipped}
    beside: dict[str, list[str]] = defaultdict(list)
    for path in files.paths:
        if path in used or path.suffix.lower() == ".txt":
            continue
        name = path.relative_to(source).as_posix()
        first = name.split("/", 1)[0]
        if name in named or str(path) in named or first in found.passed_over:
            continue
        if path.suffix.lower() in AUDIO_SUFFIXES:
            beside[first].append(name)
        else:
            found.notes.append((name, f"is a table that the layout {layout!r} does not read"))
    for first, names in beside.items():
        many = f"{first}/ ({len(names)} recordings)"
        which = names[0] if len(names) == 1 else many
        found.skipped.append((which, f"lies where the layout {layout!r} looks for no recording"))


__all__ = [
    "LAYOUTS",
    "Layout",
    "Listing",
    "MetadataRow",
    "Recording",
    "SourceError",
    "list_source",
    "read_metadata",
]
