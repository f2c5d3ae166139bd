"""Piano rolls: a picture of a score, its voices in colours."""

import os
from collections.abc import Sequence
from typing import Any

from wavejax.atomic import replacing
from wavejax.audio.notes import note_name
from wavejax.data.scores import Score
from wavejax.extras import require_extra

COLOURS = ("#c8442b", "#d99000", "#2f7d4f", "#1f5fa8", "#7a4a9e", "#5b5b5b", "#0e8c8c", "#a3326b")
"""Of the tracks in order, again from the first after the last; each is dark enough to be read on white."""
_MOST_BARS = 8  # bars in a row of the picture
_SPARE = 2  # semitones above and below
_ROW_INCHES = 2.6


def roll_picture(
    path: str | os.PathLike[str],
    scores: Score | Sequence[Score],
    *,
    titles: Sequence[str] = (),
    bars_per_row: int = _MOST_BARS,
) -> None:
    """Writes a PNG, 1200 pixels wide, of one score or of several below each other.

    Time runs to the right in rows of `bars_per_row` bars, pitch upwards with the names of the Cs. Each note has a dark
    edge at its stroke and its track's colour, the fuller the louder. Drums are left out.

    Args:
        path: the file; missing folders are created, and it is written whole or not at all.
        scores: what to draw.
        titles: one for each score; else its own title.
        bars_per_row: 1 to 64.

    Raises:
        MissingExtra: without matplotlib. ValueError: no score, or another number of titles.
    """
    figure_module = require_extra("matplotlib.figure", "plot", "roll_picture")
    shown = [scores] if isinstance(scores, Score) else list(scores)
    if not shown or (titles and len(titles) != len(shown)) or not 1 <= bars_per_row <= 64:
        raise ValueError(
            f"a picture shows one score or more, with a title for each or none, in rows of 1 to 64 bars; got "
            f"{len(shown)} scores, {len(titles)} titles, bars_per_row {bars_per_row}"
        )
    rows = [
        (score, title if first == 0 else "", start, stop)
        for score, title in zip(shown, titles or [score.title for score in shown], strict=True)
        for first, (start, stop) in enumerate(_rows(score, bars_per_row))
    ]
    figure = figure_module.Figure(figsize=(12, 0.4 + _ROW_INCHES * len(rows)), dpi=100, layout="constrained")
    grid = figure.subplots(len(rows), 1, squeeze=False)
    for axis, (score, title, start, stop) in zip(grid[:, 0], rows, strict=True):
        _draw(axis, score, start, stop)
        if title:
            axis.set_title(title, loc="left", fontsize=12, fontweight="bold")
    _name_tracks(grid[0, 0], shown[0])
    with replacing(path) as partial:
        figure.savefig(partial, format="png")


def _rows(score: Score, bars: int) -> list[tuple[int, int]]:
    """(first step, end) of each row, all of one width; the upbeat stands before the first bar."""
    bar = score.steps_per_bar
    first = score.upbeat % bar - bar if score.upbeat % bar else 0
    return [(start, start + bars * bar) for start in range(first, max(score.length, 1), bars * bar)]


def _draw(axis: Any, score: Score, start: int, stop: int) -> None:
    patches = require_extra("matplotlib.patches", "plot", "roll_picture")
    low, high = score.pitch_range or (60, 72)
    for number, track in enumerate(track for track in score.tracks if not track.drums):
        colour = COLOURS[number % len(COLOURS)]
        for note in track.notes:
            if note.end <= start or note.start >= stop:
                continue
            strength = 0.35 + 0.6 * note.velocity / 127
            place = (note.start, note.pitch - 0.42)
            box = patches.Rectangle(place, note.end - note.start - 0.08, 0.84, facecolor=colour, alpha=strength)
            axis.add_patch(box)
            axis.plot([note.start] * 2, [note.pitch - 0.42, note.pitch + 0.42], color="black", linewidth=1.2)
    first = start + (score.upbeat - start) % score.steps_per_bar
    marks = range(first, stop + 1, score.steps_per_bar)
    for mark in marks:
        axis.axvline(mark, color="#999999", linewidth=0.8, zorder=0)
    for pitch in range(low - _SPARE, high + _SPARE + 1):
        if pitch % 12 in (1, 3, 6, 8, 10):  # the black keys
            axis.axhspan(pitch - 0.5, pitch + 0.5, color="#f1f1f1", zorder=-1)
    octaves = [pitch for pitch in range(low - _SPARE, high + _SPARE + 1) if pitch % 12 == 0]
    axis.set_yticks(octaves, [note_name(pitch) for pitch in octaves])
    axis.set_xticks(list(marks), [str((mark - score.upbeat) // score.steps_per_bar + 1) for mark in marks])
    axis.set_xlim(start, stop)
    axis.set_ylim(low - _SPARE, high + _SPARE)
    axis.set_xlabel("bar")


def _name_tracks(axis: Any, score: Score) -> None:
    """A legend of the first score's tracks, where they have names."""
    patches = require_extra("matplotlib.patches", "plot", "roll_picture")
    named = [
        patches.Patch(color=COLOURS[number % len(COLOURS)], label=track.name)
        for number, track in enumerate(track for track in score.tracks if not track.drums)
        if track.name
    ]
    if 1 < len(named) <= len(COLOURS):
        axis.legend(handles=named, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(named), frameon=False)


__all__ = ["COLOURS", "roll_picture"]
