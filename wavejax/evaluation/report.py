"""A comparison as Markdown tables and as a page that opens without a server: players, waveforms, spectrograms."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wavejax.atomic import write_json, write_text
from wavejax.audio.files import write_audio
from wavejax.audio.specs import get_spec
from wavejax.evaluation.alignment import match_level
from wavejax.evaluation.bootstrap import Interval
from wavejax.evaluation.comparison import Comparison, System
from wavejax.evaluation.measures import JUDGED_RATE, Column, Item
from wavejax.evaluation.names import file_names
from wavejax.evaluation.pictures import png_bytes, spectrogram_image
from wavejax.ownership import marked, refuse_foreign_report

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:24px auto;max-width:1500px;padding:0 20px;color:#1c1c22;background:#fff}
h1{font-size:24px;margin:0 0 4px} h2{font-size:18px;margin:32px 0 8px} h3{font-size:15px;margin:24px 0 6px}
.scroll{overflow-x:auto} table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px;text-align:right;border-bottom:1px solid #dcdce4;white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff}
thead th{border-bottom:2px solid #888}
small{color:#666;font-size:11px;display:block} .flag{background:#ffe3dc} .candidate{background:#eef4ff}
.flag.candidate{background:#ffd6cb}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(270px,1fr));gap:10px}
.card{border:1px solid #dcdce4;border-radius:6px;padding:8px} .card b{display:block;margin-bottom:4px}
.card audio{width:100%;height:32px} .card svg,.card img{width:100%;height:60px;display:block;margin-top:4px}
.card img{height:110px;image-rendering:auto} summary,details{color:#666;font-size:11px} summary{cursor:pointer}
.text{color:#444;font-style:italic}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px}
dt{color:#666} dd{margin:0} pre{background:#f5f5f8;padding:10px;overflow-x:auto}
"""
"""The style sheet of every page."""


def markdown(comparison: Comparison) -> str:
    """A table of means with one row per figure and one column per system, then tables of paired differences with 95 %
    intervals. "!" marks a mean beyond its bar.
    """
    systems = comparison.systems
    rows = [["", "bar", *(system.name for system in systems)]]
    rows += [
        [column.title, _bar(column), *(_cell(comparison, system, column) for system in systems)]
        for column in comparison.columns
    ]
    rows.append(["readings scored", "all", *(system.draws for system in systems)])
    parts = [text_table(rows)]
    anchors = [system for system in systems if system.is_anchor]
    for system in systems:
        if system.is_anchor or not anchors:
            continue
        rows = [[f"{system.name} minus", *(anchor.name for anchor in anchors)]]
        for column in comparison.columns:
            differences = [comparison.difference(system.name, anchor.name, column.name) for anchor in anchors]
            rows.append([column.title, *(_with_interval(value, column.digits) for value in differences)])
        parts.append(text_table(rows))
    parts += [f"- not judged: {name}: {why}" for name, why in comparison.unused.items()]
    return "\n\n".join(parts) + "\n"


class Exhibit(NamedTuple):
    """A sound that is not judged, for the page."""

    title: str
    path: str
    """Of the file, seen from the page."""
    lines: tuple[str, ...]
    """What stands above the player."""


def write_report(
    folder: str | Path,
    comparison: Comparison,
    *,
    title: str,
    facts: Mapping[str, str],
    notes: str = "",
    extra: Mapping[str, Any] | None = None,
    captions: Mapping[tuple[str, int, int], str] | None = None,
    exhibits: Sequence[Exhibit] = (),
) -> Path:
    """Writes report.json, report.md, index.html and audio/SYSTEM/TAKE/ID.wav, and returns the page's path.

    The page needs only the audio files and no network. The audio is what was judged: at 16 kHz, level-matched.

    Args:
        folder: created if missing; an earlier report is replaced.
        comparison: the judged systems and their figures.
        title: title of the page.
        facts: description of the run: model, seeds, temperature, corpus, ...
        notes: text shown verbatim below the tables.
        extra: added to report.json.
        captions: (system, take, utterance) -> what stands below that player.
        exhibits: other sounds in the folder, shown before the utterances.

    Raises:
        FileExistsError: the folder has a file with one of these names that is not from a report.
    """
    root = Path(folder)
    refuse_foreign_report(root)
    paths = _write_sounds(root, comparison)
    content = {**(extra or {}), "title": title, "facts": dict(facts), **comparison.to_json()}
    write_json(root / "report.json", marked(content), indent=1)
    said = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    text = f"# {title}\n\n{said}\n\n{markdown(comparison)}" + (f"\n```\n{notes}\n```\n" if notes else "")
    write_text(root / "report.md", text)
    page = root / "index.html"
    write_text(page, _page(comparison, paths, title, facts, notes, captions or {}, exhibits))
    return page


def _write_sounds(root: Path, comparison: Comparison) -> dict[tuple[str, int, int], str]:
    """Writes every take, level-matched; returns (system, take, item) -> path relative to the page."""
    paths = {}
    folders = file_names(system.name for system in comparison.systems)
    files = file_names(item.id for item in comparison.items)
    for system in comparison.systems:
        for number, take in enumerate(system.takes):
            for index, item in enumerate(comparison.items):
                relative = f"audio/{folders[system.name]}/{number}/{files[item.id]}.wav"
                write_audio(root / relative, match_level(take[index], item.waveform, JUDGED_RATE)[0], JUDGED_RATE)
                paths[system.name, number, index] = relative
    return paths


def _page(
    comparison: Comparison,
    paths: Mapping[tuple[str, int, int], str],
    title: str,
    facts: Mapping[str, str],
    notes: str,
    captions: Mapping[tuple[str, int, int], str],
    exhibits: Sequence[Exhibit],
) -> str:
    said = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in facts.items())
    items = "".join(_item(comparison, index, paths, captions) for index in range(len(comparison.items)))
    unused = "".join(f"<li>{html.escape(name)}: {html.escape(why)}</li>" for name, why in comparison.unused.items())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{html.escape(title)}</h1><dl>{said}</dl>"
        f"<h2>Figures</h2><p>Means over {len(comparison.items)} utterances, 95 % intervals of a bootstrap over them; "
        "shaded red: beyond the bar. Blue: what is judged; the rest are anchors.</p>"
        f'<div class="scroll">{_means(comparison)}</div>{_differences(comparison)}'
        + (f"<p>Not judged:</p><ul>{unused}</ul>" if unused else "")
        + (f"<h2>Bits per sample</h2><pre>{html.escape(notes)}</pre>" if notes else "")
        + "<h2>Listen</h2><p>All at the original's loudness. What systems say is synthetic.</p>"
        + f"{''.join(map(_exhibit, exhibits))}{items}</body></html>\n"
    )


def _means(comparison: Comparison) -> str:
    head = "".join(f'<th class="{_kind(system)}">{html.escape(system.name)}</th>' for system in comparison.systems)
    rows = []
    for column in comparison.columns:
        cells = []
        for system in comparison.systems:
            mean = comparison.mean(system.name, column.name)
            flag = "" if mean is None or column.passes(mean.mean) else " flag"
            shown = "&ndash;" if mean is None else _number(mean.mean, column.digits) + _small(mean, column.digits)
            cells.append(f'<td class="{_kind(system)}{flag}">{shown}</td>')
        rows.append(f"<tr><td>{column.title}</td><td>{_bar(column)}</td>{''.join(cells)}</tr>")
    draws = "".join(
        f'<td class="{_kind(system)}{" flag" if "!" in system.draws else ""}">{system.draws}'
        f"<small>{'seeds ' + ', '.join(map(str, system.seeds)) if system.seeds else ''}</small></td>"
        for system in comparison.systems
    )
    rows.append(f"<tr><td>readings scored</td><td>all</td>{draws}</tr>")
    return f"<table><thead><tr><th></th><th>bar</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _differences(comparison: Comparison) -> str:
    anchors = [system for system in comparison.systems if system.is_anchor]
    tables = []
    for system in comparison.systems:
        if system.is_anchor or not anchors:
            continue
        head = "".join(f"<th>{html.escape(anchor.name)}</th>" for anchor in anchors)
        rows = []
        for column in comparison.columns:
            values = [comparison.difference(system.name, anchor.name, column.name) for anchor in anchors]
            cells = "".join(f"<td>{html.escape(_with_interval(value, column.digits))}</td>" for value in values)
            rows.append(f"<tr><td>{column.title}</td>{cells}</tr>")
        tables.append(
            f"<h3>{html.escape(system.name)} minus, on the same utterances</h3>"
            f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
    return "".join(tables)


def _exhibit(exhibit: Exhibit) -> str:
    lines = "".join(f'<p class="text">{html.escape(line)}</p>' for line in exhibit.lines)
    return (
        f'<h3>{html.escape(exhibit.title)}</h3>{lines}<div class="grid"><div class="card candidate">'
        f'<audio controls preload="none" src="{html.escape(exhibit.path)}"></audio></div></div>'
    )


def _item(
    comparison: Comparison,
    index: int,
    paths: Mapping[tuple[str, int, int], str],
    captions: Mapping[tuple[str, int, int], str],
) -> str:
    item = comparison.items[index]
    peak = float(np.abs(item.waveform).max(initial=0.0)) or 1.0
    cards = []
    for system in comparison.systems:
        for number, take in enumerate(system.takes):
            sound = match_level(take[index], item.waveform, JUDGED_RATE)[0]
            picture = base64.b64encode(png_bytes(spectrogram_image(sound, get_spec("speech-16k")))).decode()
            seed = f" &middot; seed {system.seeds[number]}" if system.seeds else ""
            caption = captions.get((system.name, number, index))
            below = "" if caption is None else f'<p class="text">{html.escape(caption)}</p>'
            cards.append(
                f'<div class="card {_kind(system)}"><b>{html.escape(system.name)}{seed}</b>'
                f'<audio controls preload="none" src="{html.escape(paths[system.name, number, index])}"></audio>'
                f'{waveform_svg(sound, peak)}<img alt="log-mel spectrogram" src="data:image/png;base64,{picture}">'
                f"{below}<details><summary>figures</summary>{_figures(comparison, system, number, index)}</details>"
                "</div>"
            )
    text = f'<p class="text">{html.escape(item.transcript)}</p>' if item.transcript else ""
    return f'<h3>{html.escape(_headline(item))}</h3>{text}<div class="grid">{"".join(cards)}</div>'


def _headline(item: Item) -> str:
    return f"{item.id} ({len(item.waveform) / JUDGED_RATE:.1f} s)"


def _figures(comparison: Comparison, system: System, take: int, index: int) -> str:
    parts = []
    for column in comparison.columns:
        value = float(comparison.figures[system.name][column.name][take, index])
        if np.isfinite(value):
            parts.append(f"{column.title} {_number(value, column.digits)}")
    return " &middot; ".join(parts)


def waveform_svg(sound: np.ndarray, peak: float, width: int = 400) -> str:
    """An outline as SVG: the largest and smallest sample of each of `width` slices."""
    edges = np.linspace(0, len(sound), min(width, len(sound)) + 1).astype(int)
    high = np.maximum.reduceat(sound, edges[:-1]) / (1.05 * peak)
    low = np.minimum.reduceat(sound, edges[:-1]) / (1.05 * peak)
    points = [f"{x},{50 - 50 * y:.1f}" for x, y in enumerate(high)]
    points += [f"{x},{50 - 50 * y:.1f}" for x, y in reversed(list(enumerate(low)))]
    return (
        f'<svg viewBox="0 0 {len(high)} 100" preserveAspectRatio="none"><polygon points="{" ".join(points)}" '
        'fill="#1f3b73"/></svg>'
    )


def _kind(system: System) -> str:
    return "" if system.is_anchor else "candidate"


def _cell(comparison: Comparison, system: System, column: Column) -> str:
    mean = comparison.mean(system.name, column.name)
    if mean is None:
        return "-"
    return _number(mean.mean, column.digits) + ("" if column.passes(mean.mean) else " !")


def _bar(column: Column) -> str:
    sign = {"higher": ">=", "lower": "<=", "zero": "+/-"}[column.better]
    return f"{sign} {column.bar:g}"


def _with_interval(value: Interval | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value.mean:+.{digits}f} [{value.low:+.{digits}f}, {value.high:+.{digits}f}]"


def _small(value: Interval, digits: int) -> str:
    return f"<small>{_number(value.low, digits)} to {_number(value.high, digits)}</small>"


def _number(value: float, digits: int) -> str:
    shown = f"{value:.{digits}f}"
    return shown.removeprefix("-") if not float(shown) else shown


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are also aligned as plain text; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
