"""Distances of borders."""

import pytest

from wavejax.data.alignments import Interval
from wavejax.evaluation.boundaries import boundaries, distances


def test_starts_are_compared_and_pauses_only_bound_them() -> None:
    ours = [Interval("d", 0.1, 0.2), Interval("aa", 0.2, 0.3), Interval("n", 0.5, 0.6)]
    theirs = [Interval("d", 0.1, 0.25), Interval("aa", 0.25, 0.3), Interval(" ", 0.3, 0.44), Interval("n", 0.44, 0.6)]
    apart = distances(ours, theirs)
    assert apart == pytest.approx([0, 0.05, 0.06])
    found = boundaries([apart, [0.0]])
    assert found is not None
    assert found.median == pytest.approx(0.025)
    assert (found.near, found.borders) == (0.75, 4)
    assert boundaries([]) is None
    with pytest.raises(ValueError, match="only where both sides align the same symbols"):
        distances(ours[:2], theirs)
