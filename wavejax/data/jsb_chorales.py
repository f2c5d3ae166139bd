"""The four-part chorales of J. S. Bach in their canonical split, by which published likelihoods are compared.

The split is that of Boulanger-Lewandowski et al. 2012 (229 training, 76 validation, 77 test chorales), in the JSON
files of https://github.com/czhuang/JSB-Chorales-dataset. They are for measuring: wavejax does not ship them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from wavejax.data.manifest import ManifestError
from wavejax.data.score_corpus import Piece, ScoreCorpus
from wavejax.data.scores import HOLD, REST, VOICE_NAMES, Note, Score, Track
from wavejax.data.voices import voice_leading
from wavejax.documents import read_json

_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
_SILENT = -1
_MOST_PITCHES = 16


def jsb_chorales(path: str | Path) -> ScoreCorpus:
    """The corpus of one of the JSON files; pieces are called train-000, validation-000, ..., in the file's order.

    - `Jsb16thSeparated.json` has sixteenths of four voices: 4 steps a quarter note.
    - `jsb-chorales-quarter.json` has quarter notes, each the set of the pitches that sound: 1 step a quarter note. The
      sets are led through four voices (`voice_leading`); where two voices share a pitch, one of them rests.

    Neither tells a held from a repeated note: equal pitches in a row are one note. So the pitches that sound at each
    step are those of the file, exactly.

    Raises ManifestError on a file that is neither, OSError where it cannot be read.
    """
    try:
        content = read_json(path)
        pieces = [
            Piece(f"{split}-{number:03d}", split, _score(chorale, f"{name} {number}"))
            for name, split in _SPLITS.items()
            for number, chorale in enumerate(content[name])
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{path} is no file of the canonical chorales ({error!r:.200}); expected "
            '{"train": [...], "valid": [...], "test": [...]} of steps with pitches'
        ) from error
    grids = {piece.score.steps_per_quarter for piece in pieces}
    if len(grids) != 1:
        raise ManifestError(f"{path} mixes voices and sets of pitches, or holds no chorale; expected one kind")
    return ScoreCorpus.in_memory(pieces)


def _score(steps: Sequence[Sequence[Any]], source: str) -> Score:
    """The score of sixteenths of four voices (with -1 for silence), or of quarter notes of sets of pitches."""
    for step in steps:
        if len(step) > _MOST_PITCHES or any(type(pitch) is not int for pitch in step):
            raise ValueError(f"a step is {step!r:.80}; expected pitches")
    is_sets = all(list(step) == sorted(set(step)) for step in steps)  # voices stand the other way, the highest first
    if is_sets:
        lines = voice_leading(_runs(steps), len(VOICE_NAMES))
        tracks = tuple(Track(name=name, notes=tuple(line)) for name, line in zip(VOICE_NAMES, lines, strict=True))
        return Score(tracks=tracks, steps_per_quarter=1, length=len(steps), source=source)
    pitches = np.asarray(steps, np.int64)
    if pitches.ndim != 2 or pitches.shape[1] != len(VOICE_NAMES):
        raise ValueError(f"steps of shape {pitches.shape}; expected four voices")
    return Score.from_voices(_held(pitches), steps_per_quarter=4, source=source)


def _held(pitches: np.ndarray) -> Int16[np.ndarray, "steps voices"]:
    """Codes of sounding pitches, in which equal pitches in a row are one note."""
    before = np.concatenate([np.full_like(pitches[:1], REST), pitches[:-1]])
    codes = np.where(pitches == _SILENT, REST, np.where(pitches == before, HOLD, pitches))
    return codes.astype(np.int16)


def _runs(steps: Sequence[Sequence[int]]) -> list[Note]:
    """The notes of sets of pitches: a pitch in consecutive sets is one note."""
    notes, begun = list[Note](), dict[int, int]()
    for number, step in enumerate([*steps, ()]):
        for pitch in [pitch for pitch in begun if pitch not in step]:
            notes.append(Note(begun.pop(pitch), number, pitch))
        for pitch in step:
            begun.setdefault(pitch, number)
    return notes


__all__ = ["jsb_chorales"]
