"""The split of each recording: fixed by the source, or else drawn by a hash of the words."""

from collections.abc import Sequence

from wavejax.data.manifest import SPLITS, assign_splits, split_group
from wavejax.data.sources import Recording


def split_recordings(
    recordings: Sequence[Recording], validation: float, test: float
) -> tuple[list[str], list[tuple[str, str]]]:
    """(split of each recording, notes on unexpected results).

    A split that the source fixes is kept. Other recordings of the same words get the same split. If the source puts
    equal words in several splits, a note reports it, and the others go to the first of these in the order of `SPLITS`.
    """
    groups = [split_group(recording.transcript, recording.id) for recording in recordings]
    fixed: dict[str, dict[str, str]] = {}
    for group, recording in zip(groups, recordings, strict=True):
        if recording.split is not None:
            fixed.setdefault(group, {}).setdefault(recording.split, recording.id)
    by_group = {group: min(places, key=SPLITS.index) for group, places in fixed.items()}
    drawn = assign_splits(groups, validation=validation, test=test, fixed=by_group)
    splits = [recording.split or split for recording, split in zip(recordings, drawn, strict=True)]
    is_free = any(recording.split is None for recording in recordings)
    return splits, [*_contradictions(fixed), *_empty_splits(splits, is_free, {"validation": validation, "test": test})]


def _contradictions(fixed: dict[str, dict[str, str]]) -> list[tuple[str, str]]:
    torn = [places for places in fixed.values() if len(places) > 1]
    if not torn:
        return []
    examples = " and ".join(f"{name} in {split}" for split, name in torn[0].items())
    count = "1 sentence is" if len(torn) == 1 else f"{len(torn)} sentences are"
    return [("the splits", f"{count} fixed in several splits, such as {examples}: held-out words are trained on")]


def _empty_splits(splits: Sequence[str], is_free: bool, parts: dict[str, float]) -> list[tuple[str, str]]:
    """Notes on splits that are empty although the user did not ask for it; an empty training split is always noted."""
    notes = []
    if "train" not in splits:
        held_out = " and ".join(split for split in SPLITS if split in splits)
        notes.append(("the splits", f"training is empty: the source fixes every recording in {held_out}"))
    for split, part in parts.items():
        if is_free and part > 0 and split not in splits:
            notes.append(("the splits", f"{split} is empty: there are too few different sentences to hold any out"))
    return notes
