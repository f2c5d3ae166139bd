"""The held-out utterances that are judged: the lists ship with the package, so that nobody can select favourites."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavejax.data import Corpus
from wavejax.data.corpus import Utterance
from wavejax.data.manifest import SPLITS
from wavejax.documents import read_json

LISTS = Path(__file__).parent / "lists"
SHORTEST_SECONDS = 1.0
"""Without a list, shorter utterances are left out, because judges need a sentence."""


class ListeningError(ValueError):
    """The recordings cannot be judged this way; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Utterances that are judged, and how they were chosen."""

    utterances: tuple[Utterance, ...]
    chosen: str
    """How they were chosen, in words, for the report."""


def select(corpus: Corpus, split: str = "test", listed: str | None = None, at_most: int = 0) -> Selection:
    """The held-out utterances that are judged.

    Args:
        corpus: the corpus of the utterances.
        split: their split.
        listed: a file like those in wavejax/evaluation/lists ({"test": [ids], ...}), or the name of one of those.
            Default: the shipped list whose ids are all in this corpus; if there is none, all utterances of the split
            that last at least a second.
        at_most: if above 0, the largest number of utterances, which are then spread evenly over the selection.

    Raises:
        ListeningError: a listed utterance is missing or belongs to another split (it may have been trained on).
    """
    position = {entry.id: index for index, entry in enumerate(corpus.entries)}
    name, ids = _list_for(position.keys(), split, listed)
    if ids is None:
        shortest = SHORTEST_SECONDS * corpus.sample_rate
        entries = [corpus.entries[index] for index in corpus.indices(split)]
        ids = [entry.id for entry in entries if entry.num_samples >= shortest]
        name = f"all of at least {SHORTEST_SECONDS:g} s"
    for each in ids:
        if each not in position:
            raise ListeningError(f"the list {name} names {each!r}, which this corpus does not hold: give another list")
        found = corpus.entries[position[each]].split
        if found != split:
            raise ListeningError(
                f"the list {name} has {each!r} for {split}, but this corpus was prepared with it in {found}: a model "
                "may have learnt it. Prepare the corpus with the default splits, or give another list"
            )
    if not ids:
        raise ListeningError(f"no utterance of {split} lasts {SHORTEST_SECONDS:g} s: give a list of what to judge")
    total = len(ids)
    if 0 < at_most < total:
        ids = [ids[round(k)] for k in np.linspace(0, total - 1, at_most)]
    utterances = tuple(corpus.utterance(position[each]) for each in ids)
    of_all = f" of {total}" if len(ids) < total else ""
    return Selection(utterances=utterances, chosen=f"{len(ids)}{of_all} utterances of {split}, list: {name}")


def _list_for(known: Collection[str], split: str, listed: str | None) -> tuple[str, list[str] | None]:
    if listed is not None:
        path = Path(listed) if Path(listed).is_file() else LISTS / f"{listed}.json"
        if not path.is_file():
            names = ", ".join(sorted(each.stem for each in LISTS.glob("*.json")))
            raise ListeningError(f"there is no list {listed}: give a file, or one of {names}")
        return path.stem, _read_list(path, split)
    for path in sorted(LISTS.glob("*.json")):
        ids = {part: _read_list(path, part) for part in SPLITS[1:]}
        if ids.get(split) and all(each in known for part in ids.values() for each in part):
            return path.stem, ids[split]
    return "", None


def _read_list(path: Path, split: str) -> list[str]:
    try:
        ids = read_json(path).get(split, [])
    except (ValueError, AttributeError) as error:
        raise ListeningError(f'{path} is no list ({error}): expected {{"test": ["id", ...]}}') from None
    return [str(each) for each in ids]
