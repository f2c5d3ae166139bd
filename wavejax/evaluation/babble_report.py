"""The report on a model that babbles in several voices: Markdown tables, JSON, and a page to listen to."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.atomic import write_json, write_text
from wavejax.audio.specs import get_spec
from wavejax.evaluation.bootstrap import Interval
from wavejax.evaluation.pictures import png_bytes, spectrogram_image
from wavejax.evaluation.report import STYLE, text_table, waveform_svg
from wavejax.evaluation.speakers import Identification, Swap, grouped_mean
from wavejax.ownership import marked, refuse_foreign_report

PICTURED = 4
"""Number of noises whose clips have a spectrogram; the others have players only."""

KINDS = {
    "babble": "babble",
    "real": "held-out recordings",
    "noise": "noise in the speaker's spectrum",
}


_UNKNOWN = Interval(*(float("nan"),) * 3)


@dataclass(frozen=True, kw_only=True)
class BabbleReport:
    """The figures of one model; speakers are numbered in the order of `speakers`."""

    speakers: tuple[str, ...]
    found: Mapping[str, Identification]
    """For each of "babble", "real" and "noise" (see `KINDS`)."""
    sounding: Mapping[str, Float[np.ndarray, "_"]]
    """For each of these kinds: seconds of each clip that are not pauses (`sounding_seconds`)."""
    swap: Swap
    facts: Mapping[str, str]
    """Description of the run: model, seeds, temperature, corpus, ..."""

    @property
    def closer_than_noise(self) -> np.ndarray:
        """Babble that is right and closer to its own centroid than any noise of that speaker, bool [clip]."""
        voices = self.found["babble"]
        return voices.is_right & voices.closer_than(self.found["noise"])

    @property
    def reaches_real(self) -> np.ndarray:
        """Babble at least as close to its own centroid as the farthest real clip of that speaker, bool [clip]."""
        voices, real = self.found["babble"], self.found["real"]
        limits = np.asarray(
            [real.own[real.intended == s].min(initial=np.inf) for s in range(len(self.speakers))], np.float64
        )
        return voices.own >= limits[voices.intended]

    @property
    def right_where_it_sounds(self) -> np.ndarray:
        """Whether each clip of babble is right, 1 or 0; NaN for a pause, a clip with less than a second of sound."""
        voices = self.found["babble"]
        return np.where(self.sounding["babble"] >= 1.0, voices.is_right.astype(np.float64), np.nan)

    def warning(self) -> str:
        """A sentence if the test itself is doubtful, else ""."""
        shares = {kind: float(each.is_right.mean()) for kind, each in self.found.items()}
        if shares["noise"] >= 0.5:
            return (
                f"The nearest centroid is no evidence here: noise in a speaker's spectrum is taken for that speaker "
                f"in {shares['noise']:.0%} of clips. Read the row `right, and closer than any noise`."
            )
        if shares["real"] < 0.9:
            return (
                f"Real recordings are recognised in only {shares['real']:.0%} of clips: these speakers, or clips of "
                "this length, are too much alike for the embedding."
            )
        return ""

    def to_json(self) -> dict[str, Any]:
        """All figures, clip by clip, as JSON types."""
        return {
            "facts": dict(self.facts),
            "speakers": list(self.speakers),
            "warning": self.warning(),
            "summary": {name: [each._asdict() for each in row] for name, _, row in self._rows()},
            "confusion": {kind: each.confusion.tolist() for kind, each in self.found.items()},
            "swap": {
                "moved": [[None if np.isnan(v) else float(v) for v in row] for row in self.swap.moved],
                "share": self.swap.share._asdict(),
                "shift": self.swap.shift._asdict(),
            },
            "clips": {
                kind: {
                    "intended": each.intended.tolist(),
                    "group": each.groups.tolist(),
                    "cosines": np.round(each.cosines, 4).tolist(),
                    "sounding_seconds": np.round(self.sounding[kind], 3).tolist(),
                }
                for kind, each in self.found.items()
            },
        }

    def _rows(self) -> list[tuple[str, str, list[Interval]]]:
        """(name, format, figures of all speakers together and of each) for every row of the main table."""
        which = (None, *range(len(self.speakers)))
        rows = []
        for title, digits, values in (
            ("nearest centroid is the intended", ".0%", {k: e.is_right for k, e in self.found.items()}),
            ("cosine to the own centroid", ".2f", {k: e.own for k, e in self.found.items()}),
            ("margin to the nearest other", "+.2f", {k: e.margins for k, e in self.found.items()}),
        ):
            for kind, each in self.found.items():
                rows.append((f"{title}: {KINDS[kind]}", digits, [_mean(each, values[kind], s) for s in which]))
        voices = self.found["babble"]
        gate = [_mean(voices, self.closer_than_noise, s) for s in which]
        real = [_mean(voices, self.reaches_real, s) for s in which]
        heard = [_mean(voices, self.right_where_it_sounds, s) for s in which]
        rows.insert(3, ("babble that is right, of clips that sound for a second", ".0%", heard))
        rows.insert(4, ("babble that is right, and closer than any noise", ".0%", gate))
        missing = [not (self.found["real"].intended == s).any() for s in range(len(self.speakers))]
        real = [_UNKNOWN if gone else each for gone, each in zip([any(missing), *missing], real, strict=True)]
        for kind in ("babble", "real"):
            lasts = [_mean(self.found[kind], self.sounding[kind], s) for s in which]
            rows.append((f"seconds that are no pause: {KINDS[kind]}", ".1f", lasts))
        rows.append(("babble as close as the farthest real clip", ".0%", real))
        return rows


def _mean(found: Identification, values: np.ndarray, speaker: int | None) -> Interval:
    known = np.isfinite(values) & (True if speaker is None else found.intended == speaker)
    return grouped_mean(values[known].astype(np.float64), found.groups[known]) if known.any() else _UNKNOWN


def babble_markdown(report: BabbleReport) -> str:
    """Tables: figures of all speakers and of each, the confusion of speakers, and the effect of swapping the id."""
    rows = [["", "all, 95 %", *report.speakers]]
    for title, digits, figures in report._rows():
        overall = (
            f"{_shown(figures[0].mean, digits)} [{_shown(figures[0].low, digits)}, {_shown(figures[0].high, digits)}]"
        )
        rows.append([title, overall, *(_shown(each.mean, digits) for each in figures[1:])])
    counts = [
        [str(np.count_nonzero(each.intended == s)) for s in range(len(report.speakers))]
        for each in report.found.values()
    ]
    for kind, row in zip(report.found, counts, strict=True):
        rows.append([f"clips: {KINDS[kind]}", str(sum(map(int, row))), *row])
    confusion = [["meant as, taken for", *report.speakers, "nobody"]]
    table = report.found["babble"].confusion
    confusion += [[name, *map(str, row)] for name, row in zip(report.speakers, table, strict=True)]
    share, shift = report.swap.share, report.swap.shift
    swapped = [["same noise, id swapped: share right under both", *report.speakers]]
    for name, values in zip(report.speakers, report.swap.moved, strict=True):
        swapped.append([name, *("" if np.isnan(value) else f"{value:.0%}" for value in values)])
    said = (
        f"Same noise, another id: {share.mean:.0%} [{share.low:.0%}, {share.high:.0%}] of pairs are right under both "
        f"ids; the cosine to the new speaker less that to the old one changes by {_shown(shift.mean, '+.2f')} "
        f"[{_shown(shift.low, '+.2f')}, {_shown(shift.high, '+.2f')}]."
    )
    parts = [text_table(rows), text_table(confusion), text_table(swapped), said]
    return "\n\n".join(parts + ([f"! {report.warning()}"] if report.warning() else [])) + "\n"


def _shown(value: float, digits: str) -> str:
    shown = "-" if np.isnan(value) else format(value, digits)
    return shown if any(digit in shown for digit in "123456789") else shown.lstrip("-") or "-"


def write_babble_report(
    folder: str | Path,
    report: BabbleReport,
    *,
    title: str,
    clips: Mapping[str, Sequence[tuple[str, Float[np.ndarray, "_"]]]],
    extra: Mapping[str, Any] | None = None,
    notes: str = "",
) -> Path:
    """Writes report.json, report.md and index.html, and returns the page's path. The page needs the audio files beside
    it, but no network.

    Args:
        folder: the folder of the audio files.
        report: the figures.
        title: title of the page.
        clips: kind -> (path relative to the folder, waveform at 16 kHz) of each clip, in the order of `report.found`.
        extra: added to report.json.
        notes: text shown verbatim below the tables.

    Raises:
        FileExistsError: the folder has a file with one of these names that is not from a report.
    """
    root = Path(folder)
    refuse_foreign_report(root)
    write_json(root / "report.json", marked({**(extra or {}), **report.to_json()}), indent=1)
    said = "\n".join(f"- {name}: {value}" for name, value in report.facts.items())
    shown = babble_markdown(report)
    text = f"# {title}\n\n{said}\n\n{shown}" + (f"\n```\n{notes}\n```\n" if notes else "")
    write_text(root / "report.md", text)
    facts = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in report.facts.items()
    )
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{html.escape(title)}</h1><dl>{facts}</dl><h2>Figures</h2>{_tables(shown)}"
        + (f"<h2>Bits per sample</h2><pre>{html.escape(notes)}</pre>" if notes else "")
        + "<h2>Listen</h2><p>What the model says is synthetic: no words, and nobody said it. Shaded red: taken for "
        "another speaker.</p>" + _sounds(report, clips) + "</body></html>\n"
    )
    write_text(root / "index.html", page)
    return root / "index.html"


def _tables(markdown: str) -> str:
    """The tables and sentences of `babble_markdown` as HTML."""
    parts = []
    for block in markdown.strip().split("\n\n"):
        lines = block.splitlines()
        if not block.startswith("|"):
            parts.append(f'<p class="{"flag" if block.startswith("!") else ""}">{html.escape(block)}</p>')
            continue
        cells = [[html.escape(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
        head = "".join(f"<th>{cell}</th>" for cell in cells[0])
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells[2:])
        parts.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div><br>'
        )
    return "".join(parts)


def _sounds(report: BabbleReport, clips: Mapping[str, Sequence[tuple[str, np.ndarray]]]) -> str:
    """One row per noise with one card per speaker, after a row of one real and one noise clip of each speaker."""
    parts = []
    for kind in ("real", "noise"):
        first = {int(s): i for i, s in reversed(list(enumerate(report.found[kind].intended)))}
        cards = "".join(_card(report, kind, first[s], clips[kind][first[s]], True) for s in sorted(first))
        parts.append(f'<h3>{KINDS[kind]}: one clip of each</h3><div class="grid">{cards}</div>')
    babble = report.found["babble"]
    for shown, group in enumerate(np.unique(babble.groups)):
        cards = "".join(
            _card(report, "babble", int(i), clips["babble"][int(i)], shown < PICTURED)
            for i in np.flatnonzero(babble.groups == group)
        )
        parts.append(f'<h3>seed {group}: the same noise under every id</h3><div class="grid">{cards}</div>')
    return "".join(parts)


def _card(report: BabbleReport, kind: str, index: int, clip: tuple[str, np.ndarray], pictured: bool) -> str:
    found, (path, sound) = report.found[kind], clip
    taken = int(found.nearest[index])
    heard = "nobody" if taken < 0 else report.speakers[taken]
    picture = ""
    if pictured:
        image = base64.b64encode(png_bytes(spectrogram_image(sound, get_spec("speech-16k")))).decode()
        outline = waveform_svg(sound, float(np.abs(sound).max(initial=0.0)) or 1.0)
        picture = f'{outline}<img alt="log-mel spectrogram" src="data:image/png;base64,{image}">'
    kinds = ("candidate" if kind == "babble" else "") + ("" if found.is_right[index] else " flag")
    return (
        f'<div class="card {kinds}"><b>{html.escape(report.speakers[found.intended[index]])}</b>'
        f'<audio controls preload="none" src="{html.escape(path)}"></audio>{picture}'
        f"<small>taken for {html.escape(heard)}; cosine to its own centroid {found.own[index]:.2f}, "
        f"margin {found.margins[index]:+.2f}; no pause: {report.sounding[kind][index]:.1f} s</small></div>"
    )
