"""Samples per second against batch size, backends and peers.

python -m benchmarks.plot JSON OUT.svg [--preset NAME]
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import read_json
from wavejax import atomic
from wavejax.extras import require_extra

COLOURS = ("#1b6ca8", "#2a9d8f", "#7b4fa3", "#8ab6d6", "#94d2bd", "#c3a6d8")
PEER_COLOURS = ("#6c757d", "#bc6c25", "#d4a373")


def series(results: Sequence[dict[str, Any]], preset: str) -> dict[str, list[tuple[int, float, float, float]]]:
    """Of each implementation: (batch, median, lowest, highest), by batch; wavejax first, then peers by speed.

    Raises:
        ValueError: nothing of that preset was measured.
    """
    found: dict[str, list[tuple[int, float, float, float]]] = defaultdict(list)
    for row in (row for result in results if result["benchmark"] == "generation" for row in result["rows"]):
        labels = row["labels"]
        if labels["preset"] != preset:
            continue
        narrow = "" if labels["dtype"] == "float32" else f" {labels['dtype']}"
        point = (labels["batch"], row["median"], row["lowest"], row["highest"])
        found[labels["implementation"] + narrow].append(point)
    if not found:
        raise ValueError(f"no generation of the preset {preset!r} is in these results")
    order = sorted(found, key=lambda name: (not name.startswith("wavejax"), -max(point[1] for point in found[name])))
    return {name: sorted(found[name]) for name in order}


def draw(results: Sequence[dict[str, Any]], path: Path, preset: str = "nv-wavenet-20-unconditional") -> None:
    """Write the picture, in the format that the path's ending names."""
    require_extra("matplotlib", "plot", "the picture")
    from matplotlib.figure import Figure

    lines = series(results, preset)
    machine = results[-1]["environment"]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    ours, theirs = iter(COLOURS), iter(PEER_COLOURS)
    ends = []
    for name, points in lines.items():
        batches, medians, lows, highs = zip(*points, strict=True)
        mine = name.startswith("wavejax")
        colour = next(ours if mine else theirs, "#343a40")
        style: dict[str, Any] = {
            "marker": "o" if mine else "s",
            "linestyle": "-" if mine else "--",
            "linewidth": 2 if mine else 1.4,
        }
        axes.plot(batches, medians, color=colour, markersize=5, **style)
        axes.fill_between(batches, lows, highs, color=colour, alpha=0.15, linewidth=0)
        ends.append([name, float(medians[-1]), batches[-1], colour])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = sorted({point[0] for points in lines.values() for point in points})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(ticks[0] / 1.15, ticks[-1] * 4.2)
    for rate in (16_000, 24_000):
        axes.axhline(rate, color="#adb5bd", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"real time, one stream, {rate // 1000} kHz",
            (ticks[0] / 1.1, rate),
            fontsize=7.5,
            color="#868e96",
            ha="left",
            va="bottom",
        )
    for (name, _, batch, colour), height in zip(ends, _apart([end[1] for end in ends]), strict=True):
        axes.annotate(f" {name}", (batch, height), color=colour, fontsize=9, va="center", ha="left")
    axes.set_xlabel("streams generated together")
    axes.set_ylabel("samples per second, all streams (log)")
    axes.set_title(
        f"{preset}: median and range; {machine['cpu']}, {machine['cores']} cores, jax {machine.get('jax', '?')}",
        fontsize=10,
        loc="left",
    )
    axes.grid(axis="y", which="major", color="#e9ecef")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _apart(heights: Sequence[float], factor: float = 1.17) -> list[float]:
    """Heights on a logarithmic axis, moved as little as keeps neighbouring labels a `factor` apart."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = list(heights)
    for below, index in itertools.pairwise(order):
        placed[index] = max(placed[index], placed[below] * factor)
    return placed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", default="nv-wavenet-20-unconditional")
    given = parser.parse_args()
    atomic.prove(given.out)
    draw(read_json(given.json), given.out, given.preset)


if __name__ == "__main__":
    main()
