"""The alignments of a whole corpus, made by a recogniser: `alignments.jsonl`."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wavejax.data.alignments import (
    ALIGNMENTS_NAME,
    AlignedUtterance,
    Interval,
    read_alignments,
    write_alignments,
)
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.recognizer.recordings import opened
from wavejax.tasks.recognizer.transcripts import aligned
from wavejax.text import TextError
from wavejax.text.phonemic import in_phonemes
from wavejax.text.spec import BOUNDARY

_SAVE_EVERY = 50
"""Recordings between two writes: at most this many are aligned again after a run was stopped."""


@dataclass(frozen=True, kw_only=True)
class AlignedCorpus:
    """What was done."""

    path: Path
    aligned: int
    """Recordings, now."""
    before: int
    """Recordings that were in the file already."""
    left_out: dict[str, str]
    """Id of a recording that could not be aligned -> why."""


def align_corpus(
    recognizer: Recognizer, folder: Path, *, overwrite: bool = False, say: Callable[[str], None] = lambda said: None
) -> AlignedCorpus:
    """Lay the transcripts of a prepared corpus on its recordings, and write `alignments.jsonl` into its folder.

    A recogniser of phonemes reads transcripts of letters aloud first.

    The file is saved as it grows, and a run that was stopped goes on: recordings that are in it are not aligned again.

    Args:
        recognizer: its symbols (letters or phonemes) become the file's phones.
        folder: of the corpus.
        overwrite: begin anew.
        say: is told how far it is.

    Raises:
        ExperimentError, SpecMismatch, ManifestError, RecordError: the corpus does not fit the model, or is damaged.
        AlignmentError: a line of a file that is there is no alignment.
        OSError: the file cannot be written.
    """
    data, path = opened(recognizer, str(folder)), folder / ALIGNMENTS_NAME
    if overwrite:
        path.unlink(missing_ok=True)
    done = read_alignments(path) if path.is_file() else {}
    before, left_out, fresh = len(done), dict[str, str](), 0
    for position, entry in enumerate(data.corpus.entries):
        if entry.id in done:
            continue
        try:
            said = data.transcript(entry) or in_phonemes(entry.transcript, recognizer.text)
            found = aligned(recognizer.align(data.corpus.utterance(position).waveform, said), entry.id)
            done[entry.id] = _with_silence(found) if said.startswith(f"{BOUNDARY} ") else found
        except (TextError, ExperimentError) as error:
            left_out[entry.id] = str(error)
            continue
        fresh += 1
        if not fresh % _SAVE_EVERY:
            write_alignments(path, done.values())
            say(f"{before + fresh} of {len(data.corpus)} recordings are aligned")
    if fresh:
        write_alignments(path, done.values())
    return AlignedCorpus(path=path, aligned=fresh, before=before, left_out=left_out)


def _with_silence(found: AlignedUtterance) -> AlignedUtterance:
    """The same, with the silence before the first phone, which is part of what was said."""
    first = found.phones[0]
    return dataclasses.replace(found, phones=(Interval(" ", 0.0, first.start), *found.phones))


__all__ = ["AlignedCorpus", "align_corpus"]
