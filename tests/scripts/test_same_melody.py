"""Two harmonisations of one melody are found in another key and a beat apart, and their agreement is counted."""

import numpy as np
import pytest

from tests.scripts.test_demo_folder import SCRIPTS

RNG = np.random.default_rng(0)
MELODY = np.repeat(RNG.integers(60, 72, 40), 4)
LOWER = np.repeat(RNG.integers(40, 55, (40, 3)), 4, axis=0)


@pytest.fixture
def compared(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from same_melody import compared

    return compared


def test_a_pair_is_compared_where_its_melodies_meet(compared):
    one = np.column_stack([MELODY, LOWER])
    other = one + 3
    other[:, 1] = np.where(np.arange(160) < 80, other[:, 1] + 1, other[:, 1])  # half of the altos differ
    assert compared(one, other, 4) == pytest.approx((1, 5 / 6))
    late = np.concatenate([np.full((4, 4), 62), other])
    assert compared(one, late, 4) == pytest.approx((1, 5 / 6))


def test_what_is_too_short_or_silent_is_no_pair(compared):
    one = np.column_stack([MELODY, LOWER])
    assert compared(one[:60], one[:60], 4) is None
    assert compared(one, np.column_stack([0 * MELODY, LOWER]), 4) is None
    unlike = compared(one, np.column_stack([MELODY[::-1], LOWER]), 4)
    assert unlike.melody < 0.5
