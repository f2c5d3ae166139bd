"""From a folder of recordings to a prepared corpus: shards, then a manifest.

    OUT/manifest.json           written last; a folder that has it is complete
    OUT/shard-N-HASH.array_record
    OUT/alignments.jsonl        where the source has one: its phones' times (`wavejax.data.alignments`)
    OUT/journal/                settings.json and one file per finished shard, which a later run need not redo
                                (a folder `journal` without our settings.json belongs to the user, and OUT is refused)

The same command resumes a run that was killed. The name of a shard holds a hash of its inputs, so preparing a changed
source does not disturb the existing corpus until the new manifest replaces the old one.
"""

import json
import math
import multiprocessing
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wavejax import interruption
from wavejax.atomic import abandon, is_leftover, prove_folder, text_path, write_json
from wavejax.audio.specs import FeatureSpec, get_spec
from wavejax.data.alignments import ALIGNMENTS_NAME, AlignmentError, collected_alignments, write_alignments
from wavejax.data.manifest import (
    SPLITS,
    Manifest,
    UtteranceEntry,
    entry_from_dict,
)
from wavejax.data.shards import NORMALIZATIONS, Processing, ShardJob, fingerprint, finished, make_shard
from wavejax.data.sources import Listing, Recording, list_source
from wavejax.data.splitting import split_recordings
from wavejax.extras import require_extra
from wavejax.locks import LockedError, exclusive

_SHARD = re.compile(r"shard-[0-9]{5}-[0-9a-f]{12}\.array_record")
_JOURNAL = re.compile(_SHARD.pattern + r"\.json")

RECORDINGS_PER_SHARD = 32
MAX_SHARDS = 512


class PrepareError(ValueError):
    """A corpus cannot be prepared; the message says why, which results were kept and what to do."""


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """The results of a preparation."""

    out: Path
    layout: str
    manifest: Manifest
    skipped: tuple[tuple[str, str], ...]
    """(recording, reason)"""
    notes: tuple[tuple[str, str], ...] = ()
    """(name, remark): tables, transcripts and splits that are not used, or not as the user may expect."""
    clipped: tuple[tuple[str, int], ...]
    """(utterance, number of samples) if normalisation or resampling exceeded full scale."""
    shards_made: int
    shards_kept: int
    """Number of shards that an earlier run had finished."""

    def __str__(self) -> str:
        counts = Counter(utterance.split for utterance in self.manifest.utterances)
        sizes = ", ".join(f"{split} {counts[split]}" for split in SPLITS)
        lines = [
            f"{len(self.manifest.utterances)} utterances, {self.manifest.seconds() / 60:.1f} minutes, "
            f"{len(self.manifest.speakers)} speakers in {self.out} ({sizes}; layout {self.layout}; {self.shards_made} "
            f"shards made, {self.shards_kept} kept)"
        ]
        lines += [f"skipped {name}: {reason}" for name, reason in self.skipped]
        lines += [f"note on {name}: {note}" for name, note in self.notes]
        lines += [f"clipped {name}: {count} samples beyond full scale" for name, count in self.clipped]
        return "\n".join(lines)


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    spec: FeatureSpec | str = "speech-16k",
    layout: str = "auto",
    normalize: str = "none",
    trim: bool = False,
    min_seconds: float = 0.3,
    validation: float = 0.03,
    test: float = 0.03,
    workers: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
) -> PrepareReport:
    """Prepares a folder of recordings for training and returns a report.

    Args:
      source: any folder of audio, an LJSpeech-style folder, or one folder per speaker (see `wavejax.data.sources`).
      out: the folder to write; created if missing. The same call resumes a run that was killed.
      spec: the features; recordings are resampled to its rate and mixed down to one channel.
      layout: "auto", "ljspeech", "speakers" or "folder".
      normalize: "none", "peak" (0.95) or "loudness" (-23 LUFS). trim: cut silent ends except for 50 ms.
      min_seconds: shorter recordings are skipped.
      validation, test: held-out fractions of the corpus, drawn by a hash of the words (or of the id if there are none).
      workers: number of processes; default: every core. 1 works in this process.
      progress: show a bar on standard error.
      overwrite: replace a corpus that was prepared in `out` with other settings.

    Broken, empty, silent and too-short recordings are skipped and reported. Raises SourceError (nothing to read) or
    PrepareError (nothing usable, settings differ, output cannot be written).
    """
    require_extra("array_record.python.array_record_module", "train", "preparing a corpus")
    chosen = get_spec(spec) if isinstance(spec, str) else spec
    _check_arguments(normalize, min_seconds, validation, test, workers)
    processing = Processing(spec=chosen, normalize=normalize, trim=trim, min_seconds=min_seconds)
    folder = Path(text_path(out))
    with _writing_errors(folder):  # before the search of a large source
        _refuse_what_is_not_ours(folder, Path(source))
        prove_folder(folder)
    listing = list_source(Path(source), layout)
    jobs = _jobs(listing, folder, processing)
    with _writing_errors(folder), exclusive_preparation(folder):
        _check_settings(folder, processing, overwrite)
        journals = {job.number: journal for job in jobs if (journal := finished(job)) is not None}
        kept = len(journals)
        pending = [job for job in jobs if job.number not in journals]
        journals |= _run(pending, jobs, workers or _available_cores(), progress)
        manifest, skipped, clipped, notes = _assemble(Path(source), listing, jobs, journals, chosen, validation, test)
        notes += _take_alignments(Path(source), folder, manifest, trim)
        manifest.save(folder)
        _remove_leftovers(folder, jobs, manifest)
    return PrepareReport(
        out=folder,
        layout=listing.layout,
        manifest=manifest,
        skipped=skipped,
        notes=(*listing.notes, *notes),
        clipped=clipped,
        shards_made=len(pending),
        shards_kept=kept,
    )


def _check_arguments(normalize: str, min_seconds: float, validation: float, test: float, workers: int | None) -> None:
    if normalize not in NORMALIZATIONS:
        raise PrepareError(f"unknown normalisation {normalize!r}; choose {', '.join(NORMALIZATIONS)}")
    if min_seconds < 0:
        raise PrepareError(f"min_seconds is {min_seconds}; it must be 0 or more")
    if min(validation, test) < 0 or validation + test >= 1:
        raise PrepareError(
            f"validation {validation} and test {test} must be parts of the corpus, 0 or more, below 1 together"
        )
    if workers is not None and workers < 1:
        raise PrepareError(f"workers is {workers}; it must be 1 or more")


# --- the output folder ------------------------------------------------------------------------------------------------


@contextmanager
def _writing_errors(folder: Path) -> Iterator[None]:
    """Turns the system's errors on writing into a PrepareError."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise PrepareError(
            f"cannot write {where}: {error.strerror or error}. Finished shards in {folder} are kept; make room or "
            f"choose a folder that can be written, then run the same command again"
        ) from error


@contextmanager
def exclusive_preparation(folder: Path) -> Iterator[None]:
    """Creates the folder and holds its lock, so that two preparations cannot write to it at the same time."""
    try:
        with exclusive(folder / "journal" / "lock", str(folder), "preparing"):
            yield
    except LockedError as error:
        raise PrepareError(f"another preparation is writing to {folder}: {error}") from error


def _refuse_what_is_not_ours(folder: Path, source: Path) -> None:
    """Refuses to prepare a corpus in a folder unless it is missing, empty, or the output of an earlier preparation."""
    if folder.resolve() == source.resolve():
        raise PrepareError(f"{folder} is the source itself; choose another folder to write to")
    if not folder.is_dir():
        return
    # Another preparation that is just starting may be proving that it can write here.
    names = sorted(path.name for path in folder.iterdir() if not is_leftover(path.name))
    journal = folder / "journal"
    inside = [path.name for path in journal.iterdir()] if journal.is_dir() else []
    if not names or _settings(folder) is not None or any(map(_JOURNAL.fullmatch, inside)):
        return
    if names == ["journal"] and journal.is_dir() and all(name == "lock" or is_leftover(name) for name in inside):
        return  # a preparation was killed just after its start
    raise PrepareError(
        f"{folder} is not empty and holds no prepared corpus ({', '.join(names[:3])}); choose an empty or a new folder "
        "(nothing was written)"
    )


def _settings(folder: Path) -> dict[str, Any] | None:
    """The settings that an earlier preparation saved; None if there are none, or another program's."""
    try:
        written = json.loads((folder / "journal" / "settings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return written if isinstance(written, dict) and {"spec", "normalize", "trim"} <= written.keys() else None


def _check_settings(folder: Path, processing: Processing, overwrite: bool) -> None:
    """Refuses to mix settings in one folder, and saves the settings in use."""
    path = folder / "journal" / "settings.json"
    wanted = json.loads(json.dumps(processing.to_dict()))
    written = _settings(folder) or wanted
    if written != wanted and not overwrite:
        differing = [
            f"{key} was {written.get(key)}, now {wanted[key]}" for key in wanted if written.get(key) != wanted[key]
        ]
        raise PrepareError(
            f"{folder} was prepared with other settings ({'; '.join(differing)}); choose another folder, or replace "
            f"it with overwrite=True"
        )
    write_json(path, wanted)


def _remove_leftovers(folder: Path, jobs: Sequence[ShardJob], manifest: Manifest) -> None:
    """Deletes shards and journals of earlier sources or settings, and the unfinished files of a killed run.

    Files with names that a preparation never uses belong to the user and are kept.
    """
    used = {name for name, _ in manifest.shards} | {job.journal.name for job in jobs}
    for path in [*folder.iterdir(), *(folder / "journal").iterdir()]:
        is_ours = is_leftover(path.name) or _SHARD.fullmatch(path.name) or _JOURNAL.fullmatch(path.name)
        if is_ours and path.name not in used and not path.is_dir():
            path.unlink()


# --- the work ---------------------------------------------------------------------------------------------------------


def _jobs(listing: Listing, folder: Path, processing: Processing) -> list[ShardJob]:
    size = max(RECORDINGS_PER_SHARD, math.ceil(len(listing.recordings) / MAX_SHARDS))
    groups = [listing.recordings[start : start + size] for start in range(0, len(listing.recordings), size)]
    return [
        ShardJob(
            number=number,
            out=folder,
            recordings=group,
            processing=processing,
            fingerprint=fingerprint(group, processing),
        )
        for number, group in enumerate(groups)
    ]


def _run(
    pending: Sequence[ShardJob], jobs: Sequence[ShardJob], workers: int, progress: bool
) -> dict[int, dict[str, Any]]:
    """Makes the pending shards and returns their journals, by number."""
    total = sum(len(job.recordings) for job in jobs)
    columns = (
        TextColumn("preparing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("recordings"),
        TimeRemainingColumn(),
    )
    journals = {}
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("", total=total, completed=total - sum(len(job.recordings) for job in pending))
        results = map(_numbered, pending) if min(workers, len(pending)) <= 1 else _in_processes(pending, workers)
        for job, journal in results:
            journals[job.number] = journal
            bar.advance(task, len(job.recordings))
    return journals


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _numbered(job: ShardJob) -> tuple[ShardJob, dict[str, Any]]:
    return job, make_shard(job)


def _in_processes(pending: Sequence[ShardJob], workers: int) -> Iterator[tuple[ShardJob, dict[str, Any]]]:
    # Processes are spawned, not forked: the caller may have started jax, whose threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    count = min(workers, len(pending))
    stopping = threading.Event()
    with ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker) as executor:

        def stop(number: int) -> bool:
            if stopping.is_set():
                return False  # a second signal does not wait
            stopping.set()
            for process in multiprocessing.active_children():
                process.terminate()  # finished shards are kept
            return True

        with interruption.unseen_by_children():
            futures = [executor.submit(_numbered, job) for job in pending]
        try:
            with interruption.reacting(stop):
                for future in as_completed(futures):
                    yield future.result()
        except BrokenProcessPool as error:
            if stopping.is_set():
                raise KeyboardInterrupt from None
            raise PrepareError(
                "a worker process ended unexpectedly (out of memory, or a script without an "
                "`if __name__ == '__main__'` around its work). Finished shards are kept: run the same command again, "
                "with fewer workers if memory was short"
            ) from error
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leaves Ctrl-C to the parent, and makes the worker exit if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: _leave(128 + number))
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            _leave(1)

    threading.Thread(target=follow, daemon=True).start()


def _leave(code: int) -> None:
    abandon()
    os._exit(code)


# --- the manifest -----------------------------------------------------------------------------------------------------


def _assemble(
    source: Path,
    listing: Listing,
    jobs: Sequence[ShardJob],
    journals: Mapping[int, Mapping[str, Any]],
    spec: FeatureSpec,
    validation: float,
    test: float,
) -> tuple[Manifest, tuple[tuple[str, str], ...], tuple[tuple[str, int], ...], list[tuple[str, str]]]:
    """Manifest, skipped recordings, clipped utterances and notes on the splits, from the journals of all shards."""
    by_id = {recording.id: recording for recording in listing.recordings}
    used = [job for job in jobs if journals[job.number]["entries"]]
    found = [
        (entry, by_id[entry["id"]], shard, index)
        for shard, job in enumerate(used)
        for index, entry in enumerate(journals[job.number]["entries"])
    ]
    skipped = [*listing.skipped, *(tuple(pair) for job in jobs for pair in journals[job.number]["skipped"])]
    if not found:
        reasons = "\n  ".join(f"{name}: {reason}" for name, reason in skipped[:5])
        raise PrepareError(f"none of the {len(listing.recordings)} recordings in {source} can be used:\n  {reasons}")
    speakers = tuple(sorted({recording.speaker for _, recording, _, _ in found}))
    splits, notes = split_recordings([recording for _, recording, _, _ in found], validation, test)
    utterances = [
        _entry(entry, recording, split, source, speakers.index(recording.speaker), (shard, index))
        for (entry, recording, shard, index), split in zip(found, splits, strict=True)
    ]
    manifest = Manifest(
        spec=spec,
        speakers=speakers,
        shards=tuple((job.name, len(journals[job.number]["entries"])) for job in used),
        utterances=tuple(utterances),
    )
    clipped = tuple((entry["id"], entry["clipped"]) for entry, _, _, _ in found if entry["clipped"])
    return manifest, tuple((name, reason) for name, reason in skipped), clipped, notes


def _take_alignments(source: Path, folder: Path, manifest: Manifest, trim: bool) -> list[tuple[str, str]]:
    """Write the source's alignments of what the corpus holds, if there are any; returns remarks on them."""
    try:
        found = collected_alignments(source, {utterance.id for utterance in manifest.utterances})
    except AlignmentError as error:
        raise PrepareError(f"{error}. Correct or remove the file, then run the same command again") from error
    if not found:
        (folder / ALIGNMENTS_NAME).unlink(missing_ok=True)
        return []
    if trim:
        raise PrepareError(
            f"{source} has phones' times ({ALIGNMENTS_NAME}), which trimming would make wrong: prepare it without "
            "trimming, or remove that file"
        )
    write_alignments(folder / ALIGNMENTS_NAME, found)
    missing = len(manifest.utterances) - len(found)
    return [(ALIGNMENTS_NAME, f"has no alignment of {missing} utterances")] if missing else []


def _entry(
    entry: Mapping[str, Any], recording: Recording, split: str, source: Path, speaker: int, place: tuple[int, int]
) -> UtteranceEntry:
    return entry_from_dict(
        {
            **entry,
            "transcript": recording.transcript,
            "speaker": speaker,
            "split": split,
            "source": recording.path.relative_to(source).as_posix(),
            "shard": place[0],
            "index": place[1],
        }
    )
