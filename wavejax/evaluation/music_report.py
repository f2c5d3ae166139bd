"""Composers beside simple ones and beside held-out music: one table of figures, and a page with pieces to look at."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.atomic import write_json, write_text
from wavejax.evaluation.bootstrap import Interval
from wavejax.evaluation.music import (
    MEASURES,
    Codes,
    Grid,
    key_coverage,
    mean_with_interval,
    measure,
    nearest_phrase,
    share_closer,
)
from wavejax.evaluation.report import STYLE, text_table
from wavejax.ownership import marked, refuse_foreign_report

HELD_OUT = "held-out music"
"""What all systems are compared with."""
MARKOV_CHAIN = "Markov chain"
"""The simple composer whose distances to held-out music a model's are set beside."""
MOST_PHRASES = 160
"""Of each system that are looked for among the training pieces."""

Figure = tuple[str, str]
"""A name and its value, in words."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MusicSystem:
    """What one composer wrote, and its figures."""

    name: str
    pieces: Sequence[Codes]
    values: Mapping[str, Float[np.ndarray, " pieces"]]
    """Of each measure, by name."""
    coverage: float
    """See `key_coverage`."""
    distances: Float[np.ndarray, " phrases"]
    """See `nearest_phrase`; empty where none was looked for."""

    def mean(self, name: str) -> Interval | None:
        """Mean of a measure over the pieces, with its interval."""
        return mean_with_interval(self.values[name])


def judge_pieces(
    systems: Mapping[str, Sequence[Codes]],
    training: Sequence[Codes],
    grid: Grid,
    say: Callable[[str], None] = lambda said: None,
    *,
    copies: bool = True,
) -> tuple[MusicSystem, ...]:
    """The figures of each system's pieces; `HELD_OUT` must be among the systems. Without `copies` no phrase is looked
    for among the training pieces.

    Raises ValueError where it is not, or where a system has no piece.
    """
    if HELD_OUT not in systems:
        raise ValueError(f"the systems are compared with {HELD_OUT!r}, which is not among {', '.join(systems)}")
    found = []
    for name, pieces in systems.items():
        say(f"measuring {len(pieces)} pieces: {name}")
        if not pieces:
            raise ValueError(f"the system {name!r} has no piece")
        rows = [measure(piece, grid) for piece in pieces]
        distances = nearest_phrase(_some(pieces, grid), training, grid) if copies else np.zeros(0)
        found.append(
            MusicSystem(
                name=name,
                pieces=pieces,
                values={each: np.asarray([row[each] for row in rows]) for each in MEASURES},
                coverage=key_coverage(pieces),
                distances=distances,
            )
        )
    return tuple(found)


def distances_to_held_out(systems: Sequence[MusicSystem]) -> dict[str, dict[str, float]]:
    """For each system but `HELD_OUT` and each measure: how far its mean is from that of held-out pieces.

    In standard deviations of these over pieces; infinite where they do not vary and the means differ, and where a
    measure means nothing of a system's pieces.
    """
    known = next(system for system in systems if system.name == HELD_OUT).values
    found: dict[str, dict[str, float]] = {}
    for system in systems:
        if system.name == HELD_OUT:
            continue
        found[system.name] = {}
        for name, values in system.values.items():
            held_out, own = known[name][np.isfinite(known[name])], values[np.isfinite(values)]
            if not held_out.size or not own.size:
                found[system.name][name] = np.inf
                continue
            apart, spread = abs(float(own.mean() - held_out.mean())), float(held_out.std())
            found[system.name][name] = apart / spread if spread else 0.0 if apart == 0 else np.inf
    return found


def closer_figures(systems: Sequence[MusicSystem], judged: str) -> tuple[Figure, ...]:
    """In how many measures the judged system is nearer to held-out pieces than the `MARKOV_CHAIN`, and in which.

    Empty where there is no such chain. Measures in which both are at no distance are left out.
    """
    distances = distances_to_held_out(systems)
    if MARKOV_CHAIN not in distances or judged not in distances:
        return ()
    own, chain = distances[judged], distances[MARKOV_CHAIN]
    counted = [name for name in own if max(own[name], chain[name]) > 0]
    nearer = [name for name in counted if own[name] < chain[name]]
    further = [name for name in counted if name not in nearer]
    words = f"{len(nearer)} of {len(counted)} measures"
    if further:
        words += "; not in " + ", ".join(MEASURES[name].title for name in further)
    return ((f"distance to {HELD_OUT} below the {MARKOV_CHAIN}'s", words),)


def _some(pieces: Sequence[Codes], grid: Grid) -> Sequence[Codes]:
    """As many pieces as have `MOST_PHRASES` together, spread over all of them."""
    bars = sum(len(piece) for piece in pieces) / grid.steps_per_bar
    step = max(1, int(bars / 2 // MOST_PHRASES))
    return pieces[::step]


@dataclass(frozen=True, kw_only=True, eq=False)
class MusicReport:
    """An evaluation of a composer. `wavejax evaluate` prints its lines and writes its page."""

    title: str
    facts: Sequence[Figure]
    """How the evaluation came about."""
    figures: Sequence[Figure]
    """Likelihood, harmonisation, and what else is no `Measure`."""
    systems: Sequence[MusicSystem]
    judged: str
    """The system that is judged."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """Also for the JSON."""
    render: Callable[[Path, int], tuple[Mapping[str, str], bytes]] | None = None
    """(folder, number of a piece) -> (links of files that it wrote, by what they are; PNG of the roll)."""
    num_shown: int = 0
    """Pieces on the page: the first ones, unpicked."""

    def lines(self) -> list[str]:
        """The tables as text."""
        return [self._table(), self._distance_table(), *(f"{name}: {value}" for name, value in self.figures)]

    def _rows(self) -> list[list[str]]:
        rows = [["", *(system.name for system in self.systems)]]
        for name, each in MEASURES.items():
            rows.append([each.title, *(_cell(system.mean(name), each.digits) for system in self.systems)])
        rows.append(["keys covered, of 24", *(f"{system.coverage:.1f}" for system in self.systems)])
        held_out = self._system(HELD_OUT).distances
        if not held_out.size:
            return rows
        rows.append(["distance to the nearest training phrase", *(_quartiles(s.distances) for s in self.systems)])
        shares = [share_closer(system.distances, held_out) for system in self.systems]
        rows.append(["phrases nearer than held-out ones", *(f"{100 * share:.1f} %" for share in shares)])
        return rows

    def _table(self) -> str:
        return text_table(self._rows()) + "\n"

    def _distance_rows(self) -> list[list[str]]:
        distances = distances_to_held_out(self.systems)
        rows = [[f"distance to {HELD_OUT}, standard deviations", *distances]]
        for name, each in MEASURES.items():
            rows.append([each.title, *(f"{found[name]:.2f}" for found in distances.values())])
        return rows

    def _distance_table(self) -> str:
        return text_table(self._distance_rows()) + "\n"

    def _system(self, name: str) -> MusicSystem:
        return next(system for system in self.systems if system.name == name)

    def to_json(self) -> dict[str, Any]:
        """All figures, piece by piece."""
        return {
            "title": self.title,
            "facts": dict(self.facts),
            "figures": dict(self.figures),
            **self.content,
            "distances": {
                system: {name: value if np.isfinite(value) else None for name, value in found.items()}
                for system, found in distances_to_held_out(self.systems).items()
            },
            "systems": {
                system.name: {
                    "measures": {name: _finite(values) for name, values in system.values.items()},
                    "key_coverage": system.coverage,
                    "nearest_phrase": _finite(system.distances),
                }
                for system in self.systems
            },
        }

    def write(self, folder: Path) -> Path:
        """Writes index.html with rolls and players, report.md, report.json and the pieces; returns the page's path.

        Raises FileExistsError where a file has one of these names and is not from a report.
        """
        refuse_foreign_report(folder)
        write_json(folder / "report.json", marked(self.to_json()), indent=1)
        said = "\n".join(f"- {name}: {value}" for name, value in (*self.facts, *self.figures))
        write_text(folder / "report.md", f"# {self.title}\n\n{said}\n\n{self._table()}\n{self._distance_table()}")
        page = folder / "index.html"
        write_text(page, self._page(folder))
        return page

    def _page(self, folder: Path) -> str:
        said, figures = (
            "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in pairs)
            for pairs in (self.facts, self.figures)
        )
        tables = "".join(
            f'<div class="scroll">{_html_table(rows)}</div>' for rows in (self._rows(), self._distance_rows())
        )
        pieces = "".join(self._piece(folder, number) for number in range(self.num_shown))
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
            f"<h1>{html.escape(self.title)}</h1><dl>{said}</dl><h2>Figures</h2><dl>{figures}</dl>"
            "<p>Means over pieces and 95 % intervals of a bootstrap over them. A figure is good where it is that of "
            "held-out music, neither lower nor higher.</p>"
            f"{tables}<h2>{self.num_shown} pieces, unpicked</h2><p>Seeds in their order, all of them shown; the music "
            f"is synthetic.</p>{pieces}</body></html>\n"
        )

    def _piece(self, folder: Path, number: int) -> str:
        if self.render is None:
            return ""
        links, picture = self.render(folder, number)
        name = f"pieces/{number:02d}.png"
        (folder / "pieces").mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture)
        players = "".join(
            f'<audio controls preload="none" src="{html.escape(link)}"></audio>' if link.endswith(".wav") else ""
            for link in links.values()
        )
        anchors = " ".join(f'<a href="{html.escape(link)}">{html.escape(what)}</a>' for what, link in links.items())
        image = f'<img alt="piano roll" src="{name}" style="width:100%;height:auto">'
        return f'<div class="card"><b>{number}</b>{players} {anchors}{image}</div>'


def _html_table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [[html.escape(cell) for cell in row] for row in rows]
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body)
    names = "".join(f"<th>{name}</th>" for name in head)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>"


def _cell(value: Interval | None, digits: int) -> str:
    return "-" if value is None else f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _quartiles(distances: np.ndarray) -> str:
    low, middle, high = np.quantile(distances, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def _finite(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 6) if np.isfinite(value) else None for value in values]


__all__ = [
    "HELD_OUT",
    "MARKOV_CHAIN",
    "MusicReport",
    "MusicSystem",
    "closer_figures",
    "distances_to_held_out",
    "judge_pieces",
]
