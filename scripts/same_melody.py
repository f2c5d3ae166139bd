"""How often two harmonisations of one melody, both by the corpus' composer, agree: what a harmoniser can be asked for.

    python scripts/same_melody.py JSB16            # a corpus of scores made by `wavejax prepare`

Pairs of pieces whose first voices sound alike, transposed and shifted by whole beats if need be, and how often their
lower voices sound the same pitch (in that transposition).
"""

import itertools
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro

from wavejax.data import ScoreCorpus
from wavejax.data.manifest import SPLITS
from wavejax.evaluation.music import mean_with_interval, sounding

SHIFTS = 2
"""Beats by which one of two pieces may begin later."""
_FEWEST_BEATS = 24


class Pair(NamedTuple):
    """Two pieces of one melody."""

    melody: float
    """Share of the steps at which the melodies sound the same."""
    agreement: float
    """The same of the lower voices."""


def compared(one: np.ndarray, other: np.ndarray, beat: int) -> Pair | None:
    """Two pieces in the shift in which their melodies are most alike; None where they are too short."""
    found = []
    for shift in range(-SHIFTS * beat, SHIFTS * beat + 1, beat):
        a, b = one[max(shift, 0) :], other[max(-shift, 0) :]
        length = min(len(a), len(b))
        both = (a[:length] > 0) & (b[:length] > 0)
        if length < _FEWEST_BEATS * beat or np.mean(both[:, 0]) < 0.8 or not both[:, 1:].any():
            continue
        apart = a[:length] - b[:length]
        steps = int(np.median(apart[both[:, 0], 0]))
        found.append(Pair(np.mean(apart[both[:, 0], 0] == steps), np.mean((apart == steps)[:, 1:][both[:, 1:]])))
    return max(found, default=None)


def main(corpus: Annotated[Path, tyro.conf.Positional], alike: float = 0.9, voices: int = 4) -> None:
    """Print how many pairs there are and how often they agree.

    Args:
        corpus: a folder of scores.
        alike: share of the steps at which the first voices must sound the same.
        voices: of each piece.
    """
    opened = ScoreCorpus.open(corpus)
    pieces = [sounding(codes) for split in SPLITS if opened.has(split) for _, codes in opened.voices(split, voices)]
    beat = opened.steps_per_quarter
    pairs = [compared(*both, beat) for both in itertools.combinations(pieces, 2)]
    found = [pair for pair in pairs if pair is not None and pair.melody >= alike]
    # Of two that agree nearly throughout one is a copy of the other.
    agreements = [pair.agreement for pair in found if pair.agreement < 0.97]
    mean = mean_with_interval(agreements)
    if mean is None:
        raise SystemExit(f"error: {corpus} has fewer than two pairs of pieces with one melody: lower --alike")
    print(
        f"{len(agreements)} pairs of {len(pieces)} pieces have melodies that are {100 * alike:g} % the same; their "
        f"other voices agree at {100 * mean.mean:.1f} % [{100 * mean.low:.1f}, {100 * mean.high:.1f}] of the steps "
        f"(median {100 * np.median(agreements):.1f} %)"
    )


if __name__ == "__main__":
    tyro.cli(main)
