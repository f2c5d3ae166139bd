"""Error rates of texts: the fewest changes, what they consist of, and intervals."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from wavejax.evaluation.bootstrap import Interval, paired_bootstrap


class Edits(NamedTuple):
    """The fewest changes that turn what was said into what was read."""

    substitutions: int
    deletions: int
    insertions: int
    length: int
    """Of what was said."""

    @property
    def errors(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions


def pairs(said: Sequence[Hashable], read: Sequence[Hashable]) -> list[tuple[Hashable | None, Hashable | None]]:
    """What was said beside what was read, None where nothing stands against it, in one best alignment.

    Levenshtein 1966; where several are best, substitutions come first.
    """
    table = np.zeros((len(said) + 1, len(read) + 1), np.int64)
    table[:, 0], table[0] = np.arange(len(said) + 1), np.arange(len(read) + 1)
    for i, expected in enumerate(said, 1):
        for j, got in enumerate(read, 1):
            table[i, j] = min(table[i - 1, j - 1] + (expected != got), table[i - 1, j] + 1, table[i, j - 1] + 1)
    i, j = len(said), len(read)
    found: list[tuple[Hashable | None, Hashable | None]] = []
    while i or j:
        differs = bool(i and j and said[i - 1] != read[j - 1])
        if i and j and table[i, j] == table[i - 1, j - 1] + differs:
            i, j = i - 1, j - 1
            found.append((said[i], read[j]))
        elif i and table[i, j] == table[i - 1, j] + 1:
            i -= 1
            found.append((said[i], None))
        else:
            j -= 1
            found.append((None, read[j]))
    return found[::-1]


def edits(said: Sequence[Hashable], read: Sequence[Hashable]) -> Edits:
    """The changes of that alignment."""
    beside = pairs(said, read)
    deletions, insertions = (sum(pair[side] is None for pair in beside) for side in (1, 0))
    changed = sum(one != other for one, other in beside)
    return Edits(changed - deletions - insertions, deletions, insertions, len(said))


class Rate(NamedTuple):
    """An error rate: changes for each unit that was said; above 1 where much is read that was not said."""

    interval: Interval
    """Its 95 % interval is of a bootstrap over recordings."""
    total: Edits

    def __str__(self) -> str:
        mean, low, high = (100 * each for each in self.interval)
        parts = f"{self.total.substitutions} substitutions, {self.total.deletions} deletions"
        return (
            f"{mean:.1f} % [{low:.1f}, {high:.1f}] of {self.total.length}: {parts}, {self.total.insertions} insertions"
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {**self.interval._asdict(), **self.total._asdict()}


def rate(each: Sequence[Edits]) -> Rate:
    """The rate over all recordings; those in which nothing is said count by what is read in them.

    Raises ValueError: nothing is said in any of them.
    """
    total = Edits(*(sum(column) for column in zip(*each, strict=True)))
    if not total.length:
        raise ValueError("nothing is said in these recordings: an error rate needs words")
    lengths = np.asarray([max(edit.length, 1) for edit in each], np.float64)
    errors = np.asarray([edit.errors for edit in each], np.float64) / lengths
    if len(each) < 2:  # one recording has no interval
        return Rate(Interval(float(errors[0]), float(errors[0]), float(errors[0])), total)
    return Rate(paired_bootstrap(np.zeros(len(each)), errors, lengths), total)


__all__ = ["Edits", "Rate", "edits", "pairs", "rate"]
