"""Figures of piano rolls of several instruments, arrays in, numbers out (Dong et al. 2018, section 5.2).

A roll is bool [T, pitches, tracks] on a grid of steps: where a note sounds. Rolls keep no attack, so a note lasts as
long as its pitch sounds without a gap.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from wavejax.evaluation.bootstrap import Interval
from wavejax.evaluation.music import Grid, mean_with_interval

Roll = Bool[np.ndarray, "steps pitches tracks"]


def empty_bars(roll: Roll, grid: Grid) -> float:
    """Share of the bars of single tracks in which nothing sounds."""
    return float(np.mean(~_bars(roll, grid).any(axis=(1, 2))))


def used_pitch_classes(roll: Roll, grid: Grid) -> float:
    """Pitch classes in a bar of a single track, on average over those in which something sounds; NaN without any."""
    classes = np.zeros((12, roll.shape[1]), bool)
    classes[np.arange(roll.shape[1]) % 12, np.arange(roll.shape[1])] = True
    sounds = _bars(roll, grid).any(axis=1)  # [bars, pitches, tracks]
    count = (np.einsum("bpt,cp->bct", sounds, classes) > 0).sum(axis=1)
    return float(count[count > 0].mean()) if (count > 0).any() else np.nan


def qualified_notes(roll: Roll, grid: Grid) -> float:
    """Share of notes that last three steps of 96 a bar or longer (a 32nd note): below it rolls are broken up."""
    padded = np.pad(roll, ((1, 1), (0, 0), (0, 0))).astype(np.int8)
    change = np.diff(padded, axis=0).transpose(1, 2, 0).reshape(-1, len(roll) + 1)
    row, start = np.nonzero(change == 1)
    _, end = np.nonzero(change == -1)
    return float(np.mean(end - start >= 3 * grid.steps_per_bar / 96)) if len(row) else np.nan


def polyphony(roll: Roll, grid: Grid) -> float:
    """Notes that sound at once in a track, on average over the steps at which any does; NaN without notes."""
    del grid
    count = roll.sum(axis=1)
    return float(count[count > 0].mean()) if (count > 0).any() else np.nan


def _bars(roll: Roll, grid: Grid) -> np.ndarray:
    size = grid.steps_per_bar
    bars = roll[: len(roll) // size * size].reshape(-1, size, *roll.shape[1:])
    return bars.astype(bool)


ROLL_MEASURES: Mapping[str, Callable[[Roll, Grid], float]] = {
    "empty bars": empty_bars,
    "pitch classes a bar and track": used_pitch_classes,
    "notes of a 32nd or longer": qualified_notes,
    "notes at once in a track": polyphony,
}
"""What is measured of each phrase, by name. A roll without notes has no value in all but the first."""


def roll_means(rolls: Sequence[Roll], grid: Grid) -> dict[str, Interval | None]:
    """Means of all `ROLL_MEASURES` over rolls, with 95 % intervals; None where fewer than two rolls have a value."""
    return {
        name: mean_with_interval([measure(roll, grid) for roll in rolls]) for name, measure in ROLL_MEASURES.items()
    }


__all__ = ["ROLL_MEASURES", "empty_bars", "polyphony", "qualified_notes", "roll_means", "used_pitch_classes"]
