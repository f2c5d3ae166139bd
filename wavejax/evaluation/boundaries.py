"""How far an alignment's borders are from those that a person or another program set."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from wavejax.data.alignments import Interval

_NEAR = 0.05
"""Seconds."""


class Boundaries(NamedTuple):
    """Distances of borders, in seconds."""

    median: float
    near: float
    """Share of the borders that are at most 50 ms off."""
    borders: int

    def __str__(self) -> str:
        return f"median {1000 * self.median:.0f} ms off, {100 * self.near:.1f} % within 50 ms ({self.borders})"

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return self._asdict()


def distances(found: Sequence[Interval], labelled: Sequence[Interval]) -> list[float]:
    """Seconds between the borders of two alignments of the same symbols, one border for each start; spaces (pauses)
    only bound others.

    Raises ValueError: the symbols are not the same.
    """
    ours, theirs = ([each for each in side if each.text.strip()] for side in (found, labelled))
    if [each.text for each in ours] != [each.text for each in theirs]:
        raise ValueError("borders can be compared only where both sides align the same symbols")
    return [abs(one.start - other.start) for one, other in zip(ours, theirs, strict=True)]


def boundaries(each: Iterable[Sequence[float]]) -> Boundaries | None:
    """Over all recordings' distances; None where there are none."""
    apart = np.asarray([seconds for recording in each for seconds in recording], np.float64)
    if not len(apart):
        return None
    return Boundaries(float(np.median(apart)), float(np.mean(apart <= _NEAR)), len(apart))


__all__ = ["Boundaries", "boundaries", "distances"]
