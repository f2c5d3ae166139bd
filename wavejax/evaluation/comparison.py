"""Comparison of systems on the same utterances: arrays in; figures, intervals and flags out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.evaluation.alignment import fit_length, match_level
from wavejax.evaluation.bootstrap import Interval, paired_bootstrap
from wavejax.evaluation.judges import JudgeUnusable
from wavejax.evaluation.measures import JUDGED_RATE, Candidate, Column, Item, Measure, Scorer
from wavejax.extras import MissingExtra

LARGEST_DIFFERENCE_SECONDS = 0.05
"""A candidate whose length differs by more is not aligned with the recording: aligned columns have no figure."""


@dataclass(frozen=True, kw_only=True)
class System:
    """One source of waveforms for the utterances: a model, an anchor, a folder of recordings."""

    name: str
    takes: tuple[tuple[Float[np.ndarray, "_"], ...], ...]
    """takes[k][i]: take k of item i, float32 at `JUDGED_RATE`. A model has one take per seed."""
    seeds: tuple[int, ...] = ()
    """The seed of each take, if takes differ by a seed."""
    drawn: int | None = 1
    """Number of takes that were made. If more than are scored, someone selected them. None: unknown."""
    is_anchor: bool = True

    @classmethod
    def of_seeds(cls, name: str, takes: Sequence[Sequence[Float[np.ndarray, "_"]]]) -> "System":
        """A model's takes with seeds 0, 1, ...: all that were made."""
        count = len(takes)
        return cls(name=name, takes=tuple(map(tuple, takes)), seeds=tuple(range(count)), drawn=count, is_anchor=False)

    @property
    def draws(self) -> str:
        """Takes scored of takes made, for the table; with "!" if they were, or may have been, selected."""
        made = "? !" if self.drawn is None else f"{self.drawn}{' !' if self.drawn > len(self.takes) else ''}"
        return f"{len(self.takes)} of {made}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All figures of one evaluation."""

    items: tuple[Item, ...]
    systems: tuple[System, ...]
    columns: tuple[Column, ...]
    figures: Mapping[str, Mapping[str, Float[np.ndarray, "take item"]]]
    """figures[system][column]; NaN for a missing figure."""
    unused: Mapping[str, str]
    """Measure that could not be used -> reason."""

    def per_item(self, system: str, column: str) -> Float[np.ndarray, " item"]:
        """Mean over the takes of each item; NaN if a take has no figure."""
        return self.figures[system][column].mean(axis=0)

    def mean(self, system: str, column: str) -> Interval | None:
        """Mean over items with its 95 % interval; None if no item has a figure, zero width if only one item has."""
        values = self.per_item(system, column)
        return _interval(np.zeros(len(values)), values)

    def difference(self, system: str, anchor: str, column: str) -> Interval | None:
        """Paired difference: the system's figure minus the anchor's on the same items."""
        return _interval(self.per_item(anchor, column), self.per_item(system, column))

    def flags(self, system: str) -> tuple[str, ...]:
        """Names of the columns whose mean lies beyond the bar, and "draws" if takes were selected."""
        found = [
            column.name
            for column in self.columns
            if (mean := self.mean(system, column.name)) and not column.passes(mean.mean)
        ]
        chosen = next(each for each in self.systems if each.name == system)
        return (*found, *(["draws"] if "!" in chosen.draws else []))

    def to_json(self) -> dict[str, Any]:
        """All figures, item by item, as JSON types; NaN is null."""
        candidates = [system.name for system in self.systems if not system.is_anchor]
        anchors = [system.name for system in self.systems if system.is_anchor]
        names = [column.name for column in self.columns]
        return {
            "columns": {
                column.name: {"title": column.title, "better": column.better, "bar": column.bar}
                for column in self.columns
            },
            "unused": dict(self.unused),
            "items": [
                {"id": item.id, "seconds": len(item.waveform) / JUDGED_RATE, "transcript": item.transcript}
                for item in self.items
            ],
            "systems": {
                system.name: {
                    "is_anchor": system.is_anchor,
                    "seeds": list(system.seeds),
                    "takes_scored": len(system.takes),
                    "takes_drawn": system.drawn,
                    "flags": list(self.flags(system.name)),
                    "mean": {name: _plain(self.mean(system.name, name)) for name in names},
                    "figures": {name: _nested(self.figures[system.name][name]) for name in names},
                }
                for system in self.systems
            },
            "differences": {
                candidate: {
                    anchor: {name: _plain(self.difference(candidate, anchor, name)) for name in names}
                    for anchor in anchors
                }
                for candidate in candidates
            },
        }


def compare(
    items: Sequence[Item],
    systems: Sequence[System],
    measures: Sequence[Measure],
    *,
    required: Collection[str] = (),
    say: Callable[[str], None] = lambda said: None,
) -> Comparison:
    """Judge every take of every system on every item.

    Args:
        items: at `JUDGED_RATE`; each system's takes hold one waveform per item, in this order.
        systems: names must differ; all are brought to each item's loudness and length before they are judged.
        measures: those that cannot be used (a package is missing, there are no transcripts) are listed in `unused`.
        required: names of measures that must be usable; an unusable one raises instead.
        say: called with a line about progress.

    Raises:
        ValueError: no items, or a system that does not hold a waveform per item.
        MissingExtra, JudgeUnusable: a required measure cannot be used.
    """
    _check(items, systems)
    scorers: list[tuple[Measure, Scorer]] = []
    unused = {}
    for measure in measures:
        try:
            scorers.append((measure, measure.open(items)))
        except (MissingExtra, JudgeUnusable) as error:
            if measure.name in required:
                raise
            unused[measure.name] = str(error)
    columns = tuple(column for measure, _ in scorers for column in measure.columns)
    figures = {}
    for system in systems:
        say(f"judging {system.name}: {len(system.takes)} x {len(items)} utterances")
        rows = np.asarray([[_score(items, i, take[i], scorers) for i in range(len(items))] for take in system.takes])
        figures[system.name] = {column.name: rows[:, :, k] for k, column in enumerate(columns)}
    return Comparison(items=tuple(items), systems=tuple(systems), columns=columns, figures=figures, unused=unused)


def _score(
    items: Sequence[Item], index: int, waveform: np.ndarray, scorers: Sequence[tuple[Measure, Scorer]]
) -> list[float]:
    reference = items[index].waveform
    keeps_time = abs(len(waveform) - len(reference)) <= LARGEST_DIFFERENCE_SECONDS * JUDGED_RATE
    matched, level = match_level(waveform, reference, JUDGED_RATE)
    candidate = Candidate(index, fit_length(matched, len(reference)) if keeps_time else matched, level)
    row: list[float] = []
    for measure, score in scorers:
        judged = keeps_time or not measure.aligned
        row += score(candidate) if judged else (float("nan"),) * len(measure.columns)
    return row


def _check(items: Sequence[Item], systems: Sequence[System]) -> None:
    if not items:
        raise ValueError("nothing to judge: give at least one utterance")
    names = [system.name for system in systems]
    if len(set(names)) != len(names):
        raise ValueError(f"two systems have one name among {', '.join(names)}: rename one")
    for system in systems:
        if not system.takes or any(len(take) != len(items) for take in system.takes):
            sizes = [len(take) for take in system.takes]
            raise ValueError(
                f"{system.name} has takes of {sizes} waveforms; expected one for each of {len(items)} items"
            )


def _interval(a: np.ndarray, b: np.ndarray) -> Interval | None:
    known = np.isfinite(a) & np.isfinite(b)
    if np.count_nonzero(known) < 2:
        value = float((b - a)[known][0]) if known.any() else 0.0
        return Interval(value, value, value) if known.any() else None
    return paired_bootstrap(a[known], b[known])


def _plain(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else interval._asdict()


def _nested(values: np.ndarray) -> list[list[float | None]]:
    return [[float(value) if np.isfinite(value) else None for value in row] for row in values]
