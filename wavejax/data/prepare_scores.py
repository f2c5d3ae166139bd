"""From a folder of MIDI files to a corpus of scores (`wavejax.data.score_corpus`), with a report beside it.

OUT/manifest.json, OUT/notes-HASH.bin       the corpus
OUT/report.json                             counts, what was skipped and why, what was noticed
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wavejax.atomic import is_leftover, prove_folder, write_json
from wavejax.audio.files import AUDIO_SUFFIXES
from wavejax.data.discovery import FolderFiles, find_files
from wavejax.data.manifest import SPLITS, assign_splits
from wavejax.data.midi import MIDI_SUFFIXES, MidiError
from wavejax.data.midi_scores import read_score
from wavejax.data.prepare import PrepareError, exclusive_preparation
from wavejax.data.score_corpus import Piece, ScoreCorpus, is_score_corpus
from wavejax.data.scores import Score, ScoreError
from wavejax.data.sources import SPLITS_NAME
from wavejax.data.tables import read_splits
from wavejax.data.texts import SourceError, composed, shown
from wavejax.ownership import marked

VOICES = 4
"""The report counts the pieces that this number of voices can hold."""
_REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class ScoresReport:
    """The results of a preparation."""

    out: Path
    corpus: ScoreCorpus
    skipped: tuple[tuple[str, str], ...]
    """(file, reason)"""
    notes: tuple[tuple[str, str], ...]
    """(piece or table, remark): what could not be kept of a piece, and what the user may not expect."""
    unvoiced: tuple[tuple[str, str], ...]
    """(piece, reason) of those that `VOICES` voices cannot hold."""

    def __str__(self) -> str:
        count = sum(sum(entry.counts) for entry in self.corpus.entries)
        minutes = sum(entry.frame.seconds for entry in self.corpus.entries) / 60
        lines = [
            f"{len(self.corpus)} pieces, {count:,} notes, {minutes:.1f} minutes in {self.out} ({self.corpus.sizes()}; "
            f"{self.corpus.steps_per_quarter} steps a quarter note)",
            f"{len(self.corpus) - len(self.unvoiced)} of them can be read as {VOICES} voices",
        ]
        lines += [f"skipped {name}: {reason}" for name, reason in self.skipped]
        lines += [f"note on {name}: {note}" for name, note in self.notes]
        lines += [f"no {VOICES} voices: {name}: {reason}" for name, reason in self.unvoiced]
        return "\n".join(lines)

    def save(self) -> None:
        """Writes OUT/report.json. Raises OSError where the system refuses."""
        content = {
            "pieces": {split: sum(entry.split == split for entry in self.corpus.entries) for split in SPLITS},
            "notes_in_all": sum(sum(entry.counts) for entry in self.corpus.entries),
            "steps_per_quarter": self.corpus.steps_per_quarter,
            "skipped": self.skipped,
            "notes": self.notes,
            "unvoiced": self.unvoiced,
        }
        write_json(self.out / _REPORT, marked(content), indent=1)


def prepare_scores(
    source: str | Path,
    out: str | Path,
    *,
    steps_per_quarter: int = 4,
    validation: float = 0.03,
    test: float = 0.03,
    progress: bool = True,
    overwrite: bool = False,
) -> ScoresReport:
    """Prepares a folder of MIDI files for training and returns a report, which is also written beside the corpus.

    Notes last as long as their keys are held, whatever the pedal does: what a voice sings is then not blurred.

    Args:
      source: any folder with MIDI files, in folders of any depth. A splits.csv (id|split) in it fixes splits.
      out: the folder to write; created if missing.
      steps_per_quarter: the grid to which all notes are rounded.
      validation, test: held-out fractions of the pieces, drawn by a hash of their notes: pieces of equal notes, in any
        key, share a split.
      progress: show a bar on standard error.
      overwrite: replace a corpus that was prepared in `out` on another grid.

    Damaged files are skipped and named with the reason. Raises SourceError (nothing to read) or PrepareError (nothing
    usable, another grid, output cannot be written).
    """
    root, folder = Path(source), Path(out)
    if min(validation, test) < 0 or validation + test >= 1:
        raise PrepareError(
            f"validation {validation} and test {test} must be parts of the corpus, 0 or more, below 1 together"
        )
    with _writing_errors(folder):
        _refuse_what_is_not_ours(folder, root, steps_per_quarter, overwrite)
        prove_folder(folder)
    files = midi_files(root)
    with _writing_errors(folder), exclusive_preparation(folder):
        scores, skipped, notes = _read(files, steps_per_quarter, progress)
        if not scores:
            reasons = "\n  ".join(f"{name}: {reason}" for name, reason in skipped[:5])
            raise PrepareError(f"none of the {len(files.paths)} MIDI files in {root} can be used:\n  {reasons}")
        splits, remarks = _splits(root, scores, validation, test)
        corpus = ScoreCorpus.in_memory(
            Piece(name, split, score) for (name, score), split in zip(scores.items(), splits, strict=True)
        )
        corpus.save(folder)
        report = ScoresReport(
            out=folder,
            corpus=corpus,
            skipped=tuple(skipped),
            notes=(*notes, *remarks),
            unvoiced=tuple(corpus.unvoiced(VOICES)),
        )
        report.save()
    return report


def midi_files(source: Path) -> FolderFiles:
    """The MIDI files below a folder. Raises SourceError if it is no folder or holds none."""
    if not source.is_dir():
        what = "is a file, not a folder" if source.exists() else "does not exist"
        raise SourceError(f"{shown(source)} {what}; give the folder that holds the MIDI files")
    try:
        files = find_files(source, MIDI_SUFFIXES)
    except OSError as error:
        raise SourceError(f"{shown(error.filename or source)} cannot be read: {error.strerror or error}") from error
    if not files.paths:
        raise SourceError(f"{shown(source)} holds no MIDI file (looked for {', '.join(MIDI_SUFFIXES)})")
    return files


def is_score_source(source: Path) -> bool:
    """Whether a folder holds MIDI files and no recording: with both, people mean the sound."""
    if not source.is_dir():
        return False
    try:
        found = {path.suffix.lower() for path in find_files(source, (*MIDI_SUFFIXES, *AUDIO_SUFFIXES)).paths}
    except OSError:
        return False  # whoever reads it says so
    return bool(found & set(MIDI_SUFFIXES)) and not found & set(AUDIO_SUFFIXES)


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(
    files: FolderFiles, steps_per_quarter: int, progress: bool
) -> tuple[dict[str, Score], list[tuple[str, str]], list[tuple[str, str]]]:
    """The score of each name, what was skipped, and remarks on what could not be kept."""
    scores: dict[str, Score] = {}
    skipped, notes = list(files.problems), list[tuple[str, str]]()
    names = _names(files)
    columns = (TextColumn("preparing"), BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        for path, name in bar.track(names.items(), total=len(names)):
            try:
                score, remarks = read_score(path, steps_per_quarter, pedal=False)
            except OSError as error:
                skipped.append((shown(path.relative_to(files.root)), f"cannot be read: {error.strerror or error}"))
            except (MidiError, ScoreError) as error:
                skipped.append((shown(path.relative_to(files.root)), str(error).removeprefix(f"{path}: ")))
            else:
                scores[name] = score
                notes += [(name, remark) for remark in remarks]
    return scores, skipped, notes


def _names(files: FolderFiles) -> dict[Path, str]:
    """A name for each file: its path below the source without suffix, or with it where two would share one."""
    plain = {path: composed(os.path.splitext(path.relative_to(files.root).as_posix())[0]) for path in files.paths}
    counts = Counter(plain.values())
    return {
        path: name if counts[name] == 1 else composed(path.relative_to(files.root).as_posix())
        for path, name in plain.items()
    }


def _splits(
    source: Path, scores: dict[str, Score], validation: float, test: float
) -> tuple[list[str], list[tuple[str, str]]]:
    """The split of each piece, and remarks."""
    groups = {name: content_of(score) for name, score in scores.items()}
    fixed, notes = dict[str, str](), list[tuple[str, str]]()
    if (table := source / SPLITS_NAME).is_file():
        for written, split in read_splits(table).items():
            name = composed(written)
            name = name if name in groups else os.path.splitext(name)[0]
            if name not in groups:
                notes.append((written, f"is in {SPLITS_NAME} but matches no piece"))
            elif fixed.setdefault(groups[name], split) != split:
                notes.append((written, f"has the notes of another piece, which {SPLITS_NAME} puts in another split"))
    alike = defaultdict(list)
    for name, group in groups.items():
        alike[group].append(name)
    notes += [(same[0], f"has the same notes as {', '.join(same[1:4])}") for same in alike.values() if len(same) > 1]
    splits = assign_splits(list(groups.values()), validation=validation, test=test, fixed=fixed)
    for split, part in (("train", 1.0), ("validation", validation), ("test", test)):
        if part > 0 and split not in splits:
            notes.append(("the splits", f"{split} is empty: there are too few different pieces"))
    return splits, notes


def content_of(score: Score) -> str:
    """A hash of the notes that is the same in every key: pieces that share it belong to one split."""
    low = (score.pitch_range or (0, 0))[0]
    notes: Sequence[tuple[int, int, int]] = sorted(
        (note.start, note.end, note.pitch - (0 if track.drums else low))
        for track in score.tracks
        for note in track.notes
    )
    return hashlib.sha256(repr(notes).encode()).hexdigest()


# --- the output folder ------------------------------------------------------------------------------------------------


@contextmanager
def _writing_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PrepareError(
            f"cannot write {error.filename or folder}: {error.strerror or error}; make room or choose another folder"
        ) from error


def _refuse_what_is_not_ours(folder: Path, source: Path, steps_per_quarter: int, overwrite: bool) -> None:
    """Refuses a folder that is neither missing nor empty nor a corpus of scores on this grid."""
    if folder.resolve() == source.resolve():
        raise PrepareError(f"{folder} is the source itself; choose another folder to write to")
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not is_score_corpus(folder):
        if any(name != "journal" and not is_leftover(name) for name in names):
            raise PrepareError(
                f"{folder} is not empty and holds no corpus of scores ({', '.join(names[:3])}); choose an empty or a "
                "new folder (nothing was written)"
            )
        return
    try:
        written = ScoreCorpus.open(folder).steps_per_quarter
    except ValueError:
        return  # damaged: it is written again
    if written != steps_per_quarter and not overwrite:
        raise PrepareError(
            f"{folder} was prepared with {written} steps a quarter note, now {steps_per_quarter}; choose another "
            "folder, or replace it with overwrite=True"
        )


__all__ = ["ScoresReport", "content_of", "is_score_source", "midi_files", "prepare_scores"]
