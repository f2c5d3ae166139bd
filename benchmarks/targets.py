"""The figures that speed is promised in, read off results: each with its target, and whether it was met."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

Results = Sequence[dict[str, Any]]
PLAIN = "nv-wavenet-20-unconditional"
VOCODER, COMPILED = "wavenet_vocoder 0.1.1", "torch.compile step"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """One line of the summary."""

    figure: str
    target: str
    value: Callable[[Results], float | None]
    """None where it was not measured."""
    is_met: Callable[[float], bool]


def rows_of(results: Results, benchmark: str, *, unit: str | None = None, **labels: Any) -> list[dict[str, Any]]:
    """Rows whose labels have these values; a value that is a function is asked."""

    def fits(row: dict[str, Any]) -> bool:
        found = row["labels"]
        return (unit is None or row["unit"] == unit) and all(
            name in found and (value(found[name]) if callable(value) else found[name] == value)
            for name, value in labels.items()
        )

    return [row for each in results if each["benchmark"] == benchmark for row in each["rows"] if fits(row)]


def best(results: Results, benchmark: str, **labels: Any) -> float | None:
    """The largest median among such rows."""
    return max((row["median"] for row in rows_of(results, benchmark, **labels)), default=None)


def ratio(above: float | None, below: float | None) -> float | None:
    """above / below; None where either was not measured."""
    return None if above is None or below is None else above / below


def generated(results: Results, batch: int, preset: str = PLAIN, **labels: Any) -> float | None:
    """Samples/s of the best wavejax row."""
    labels = {"implementation": lambda name: name.startswith("wavejax"), **labels}
    return best(results, "generation", preset=preset, batch=batch, **labels)


def peer(results: Results, batch: int, name: str, preset: str = PLAIN) -> float | None:
    """Samples/s of a peer."""
    return best(results, "generation", preset=preset, batch=batch, implementation=name)


def trained(results: Results, case: str, unit: str = "samples/s") -> float | None:
    """The smallest ratio, over batches and allocators, of a wavejax case to the best torch; of memory the largest."""
    found = []
    for row in rows_of(results, "training", unit=unit, case=case):
        same = {name: row["labels"][name] for name in ("batch", "length", "malloc")}
        torch = rows_of(results, "training", unit=unit, case=lambda name: name.startswith("wavenet_vocoder"), **same)
        if torch:
            medians = [each["median"] for each in torch]
            found.append(row["median"] / (max(medians) if unit == "samples/s" else min(medians)))
    return (min if unit == "samples/s" else max)(found, default=None)


def seams(results: Results, what: str, place: str, *, worst: bool = False) -> float | None:
    """What seams have more than another place: median, worst, or mean where a row has one."""

    def read(where: str) -> float | None:
        rows = rows_of(results, "folding", what=f"{what}, {where}")
        if not rows:
            return None
        return float(rows[0]["highest"] if worst else rows[0]["details"].get("mean", rows[0]["median"]))

    ours, other = read("seams"), read(place)
    return None if ours is None or other is None else ours - other


def folded(results: Results) -> float | None:
    """The best of the folded speeds against the unfolded."""
    rows = rows_of(results, "folding", unit="samples/s")
    return max((row["details"]["times_unfolded"] for row in rows), default=None)


def flatness(results: Results) -> float | None:
    """Samples/s at the slowest length against the fastest."""
    rows = rows_of(results, "memory", unit="samples/s", layers=16)
    return ratio(*(f((row["median"] for row in rows), default=None) for f in (min, max)))


def memory_growth(results: Results) -> float | None:
    """MiB that the longest sound takes at its peak more than the shortest, the waveforms themselves left out."""
    rows = rows_of(results, "memory", unit="MiB at peak")
    rest = [row["median"] - row["details"]["output_MiB"] for row in sorted(rows, key=lambda r: r["labels"]["seconds"])]
    return rest[-1] - rest[0] if rest else None


def compiled(results: Results, layers: int) -> float | None:
    """Seconds, of the slowest backend."""
    return best(results, "compile", what="generate", layers=layers)


def pipeline(results: Results) -> float | None:
    """The data pipeline's speed over training's."""
    rows = rows_of(results, "data", what=lambda name: name.startswith("pipeline"))
    return max((row["details"]["times_consumed"] for row in rows), default=None)


def _mel(results: Results) -> float | None:
    ours = best(results, "dsp", what="log-mel", by=lambda name: name.startswith("wavejax"))
    return ratio(ours, best(results, "dsp", what="log-mel", by="librosa"))


def _least(figure: str, least: float, value: Callable[[Results], float | None], unit: str = "") -> Target:
    return Target(figure=figure, target=f">= {least:,.10g}{unit}", value=value, is_met=lambda found: found >= least)


def _most(figure: str, most: float, value: Callable[[Results], float | None], unit: str = "") -> Target:
    return Target(figure=figure, target=f"<= {most:,.10g}{unit}", value=value, is_met=lambda found: found <= most)


_LEVEL, _BITS, _RANDOM = "level", "bits of the next 20 ms", "random places, unfolded"
TARGETS = (
    _least("batch 1, float32, samples/s: floor", 13_000, lambda r: generated(r, 1, dtype="float32")),
    _least("batch 1, float32, samples/s: goal", 18_000, lambda r: generated(r, 1, dtype="float32")),
    _least("batch 1, narrower weights, samples/s: goal", 24_000, lambda r: generated(r, 1)),
    _least(
        "batch 1, float32, to wavenet_vocoder",
        55,
        lambda r: ratio(generated(r, 1, dtype="float32"), peer(r, 1, VOCODER)),
        "x",
    ),
    _least(
        "batch 1, float32, to torch.compile",
        6,
        lambda r: ratio(generated(r, 1, dtype="float32"), peer(r, 1, COMPILED)),
        "x",
    ),
    _least("batch 16, samples/s: floor", 40_000, lambda r: generated(r, 16)),
    _least("batch 16, samples/s: goal", 60_000, lambda r: generated(r, 16)),
    _least("batch 16, to torch.compile", 4, lambda r: ratio(generated(r, 16), peer(r, 16, COMPILED)), "x"),
    _least("scan, batch 1, samples/s", 10_000, lambda r: generated(r, 1, implementation="wavejax scan")),
    _least("scan, batch 16, samples/s", 25_000, lambda r: generated(r, 16, implementation="wavejax scan")),
    _least(
        "r9y9-mol, batch 1, float32, to wavenet_vocoder",
        25,
        lambda r: ratio(generated(r, 1, "r9y9-mol", dtype="float32"), peer(r, 1, VOCODER, "r9y9-mol")),
        "x",
    ),
    _least(
        "r9y9-mol, batch 1, narrower weights, to wavenet_vocoder",
        25,
        lambda r: ratio(generated(r, 1, "r9y9-mol"), peer(r, 1, VOCODER, "r9y9-mol")),
        "x",
    ),
    _least("training to torch, conditioning at sample rate", 1.0, lambda r: trained(r, "wavejax, sample rate"), "x"),
    _least("training to torch, conditioning at frame rate", 1.3, lambda r: trained(r, "wavejax, frame rate"), "x"),
    _most("training, peak memory to torch", 0.5, lambda r: trained(r, "wavejax, frame rate", "MiB at peak"), "x"),
    _most("the same with remat", 0.5, lambda r: trained(r, "wavejax, frame rate, remat", "MiB at peak"), "x"),
    _least("folds of 10 s of speech to unfolded", 3, folded, "x"),
    _most("seams, median level against random places", 0.5, lambda r: seams(r, _LEVEL, _RANDOM), " dB"),
    _most("seams, worst level against random places", 3, lambda r: seams(r, _LEVEL, _RANDOM, worst=True), " dB"),
    _most("seams, bits against random places", 0.1, lambda r: seams(r, _BITS, _RANDOM)),
    _most("seams, bits against the same places", 0.1, lambda r: seams(r, _BITS, "same places, unfolded")),
    _least("speed at 1 to 100 s, slowest to fastest", 0.8, flatness, "x"),
    _most("memory of 100 s more than of 1 s, waveform left out", 20, memory_growth, " MiB"),
    _most("compile time of generate, 30 layers", 4, lambda r: compiled(r, 30), " s"),
    _least("data pipeline to training", 3, pipeline, "x"),
    _least("log-mel to librosa", 1, _mel, "x"),
)


def summary(results: Results) -> list[str]:
    """Lines of a Markdown table; what was not measured says so."""
    lines = ["| figure | target | measured | |", "|---|---|---|---|"]
    for each in TARGETS:
        value = each.value(results)
        found = "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        verdict = "not measured" if value is None else "met" if each.is_met(value) else "**missed**"
        lines.append(f"| {each.figure} | {each.target} | {found} | {verdict} |")
    return lines
