"""What folds cost in quality and win in speed, on a trained voice (`--voice`; default the shipped one).

The held-out mels of a corpus, laid end to end, are spoken in folds with as many seeds as `--seams` asks for, and whole.
At each seam, at the same places of the unfolded speech (of one seed), and at as many random places of it:

- level: of the 10 ms centred there against the mean level of the 10 ms before and after, in dB without its sign;
- bits: the model's own bits per sample over the following 20 ms, teacher-forced on what was made.

Levels below -60 dB (full scale sine 0) are silence and left out. A seam is merged where both folds had become the same
waveform. The bars: the median level at seams at most .5 dB above that at random places, the worst at most 3 dB above
the worst there, the mean bits at most .1 above. Then one recording is timed, folded and not, taking turns.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import result, row
from benchmarks.run import main
from wavejax.data import Corpus, embedded_corpus
from wavejax.generation import Seam, generate, generate_folded, teacher_forced
from wavejax.models.wavenet import WaveNet
from wavejax.tasks.families import load
from wavejax.tasks.vocoder.product import Vocoder

QUIET_DB = -60.0
BITS_MS, LEVEL_MS = 20, 10
BARS = {"median": 0.5, "worst": 3.0, "bits": 0.1}


def run(
    *,
    voice: str = "allison",
    corpus: str | None = None,
    folds: int = 16,
    seams: int = 100,
    warm_up: int | None = None,
    temperature: float = 1.0,
    seconds: float = 10.0,
    repeats: int = 3,
    parts: Sequence[str] = ("quality", "speed"),
    quick: bool = False,
) -> dict[str, Any]:
    """Measure."""
    if quick:
        folds, seams, seconds, repeats = 4, 3, 3.0, 2
    vocoder = load(voice, kind=Vocoder)
    opened = Corpus.open(corpus) if corpus else embedded_corpus(vocoder.spec)
    mel = np.concatenate([utterance.frames for utterance in opened.utterances("test")])
    options = {"temperature": temperature}
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    if "quality" in parts:
        rows, notes = quality(vocoder, mel, folds, seams, warm_up, options)
    if "speed" in parts:
        needed = round(seconds * vocoder.spec.sample_rate / vocoder.spec.hop_length)
        timed = np.tile(mel, (-(-needed // len(mel)), 1))[:needed]
        rows += timings(vocoder, timed, sorted({4, folds}), options, repeats)
    return result("folding", rows, notes)


def quality(
    vocoder: Vocoder, mel: np.ndarray, folds: int, wanted: int, warm_up: int | None, options: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of seams and random places, and what they say of the bars."""
    model, params, rate = vocoder.model, vocoder.params, vocoder.spec.sample_rate
    seams: list[Seam] = []
    levels, bits = [], []
    for seed in range(-(-wanted // (folds - 1))):
        made, found = generate_folded(model, params, mel[None], folds=folds, warm_up=warm_up, seed=seed, **options)
        places = [seam.position for seam in found]
        seams += found
        levels.append(bumps(made[0], places, rate))
        bits.append(bits_after(vocoder, made[0], mel, places))
    where = [seam.position for seam in seams]
    whole = generate(model, params, local_conditioning=mel[None], seed=0, **options)[0]
    places = np.random.default_rng(0).integers(rate // 4, len(whole) - rate // 4, len(seams)).tolist()
    figures = {
        "seams": (np.concatenate(levels), np.concatenate(bits)),
        "same places, unfolded": (bumps(whole, where, rate), bits_after(vocoder, whole, mel, where)),
        "random places, unfolded": (bumps(whole, places, rate), bits_after(vocoder, whole, mel, places)),
    }
    rows = []
    for name, (level, bit) in figures.items():
        heard = np.abs(level[np.isfinite(level)])
        if len(heard):
            rows.append(_row(f"level, {name}", "dB", heard, of=len(heard), p95=float(np.quantile(heard, 0.95))))
        mean = float(bit.mean())
        rows.append(_row(f"bits of the next {BITS_MS} ms, {name}", "bits/sample", bit, of=len(bit), mean=mean))
    for name, voiced in (("voiced", True), ("unvoiced or silent", False)):
        merged = [float(seam.is_merged) for seam in seams if seam.is_voiced == voiced]
        if merged:
            rows.append(_row(f"merged, {name}", "share", [float(np.mean(merged))], of=len(merged)))
    return rows, _verdicts(figures)


def _row(what: str, unit: str, values: Sequence[float] | np.ndarray, **details: Any) -> dict[str, Any]:
    made = row({"what": what}, unit, [float(value) for value in values], **details)
    return {**made, "repeats": []}


def _verdicts(figures: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[str]:
    def summary(name: str) -> dict[str, float]:
        level, bits = figures[name]
        level = np.abs(level[np.isfinite(level)])
        heard = {"median": float(np.median(level)), "worst": float(level.max())} if len(level) else {}
        return {**heard, "bits": float(bits.mean())}

    names = {"median": "median level (dB)", "worst": "worst level (dB)", "bits": "mean bits"}
    found, notes = summary("seams"), []
    for other in list(figures)[1:]:
        compared = summary(other)
        for what in (name for name in names if name in found and name in compared):
            more = found[what] - compared[what]
            verdict = "met" if more <= BARS[what] else "MISSED"
            notes.append(f"{names[what]}, seams less {other}: {more:+.3f}, bar {BARS[what]}: {verdict}")
    return notes


def bits_after(vocoder: Vocoder, waveform: np.ndarray, mel: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """The model's mean bits per sample over the `BITS_MS` after each place of a waveform [T]; [places]."""
    model, hop, window = vocoder.model, vocoder.spec.hop_length, BITS_MS * vocoder.spec.sample_rate // 1000
    intervals = -(-window // hop) + 1
    # One more interval is heard than the receptive field asks for: a piece's first value knows no sample before it.
    before, first = model.lookback + -(-model.receptive_field // hop) + 1, np.asarray(places) // hop
    padded = np.pad(waveform, (before * hop, intervals * hop))
    pieces = padded[first[:, None] * hop + np.arange((before + intervals) * hop)]
    index = first[:, None] - before + np.arange(before + intervals + model.lookahead)
    bits = np.asarray(_bits(model, vocoder.params, pieces, mel[np.clip(index, 0, len(mel) - 1)], before * hop))
    within = (np.asarray(places) - first * hop)[:, None] + np.arange(window)
    return np.take_along_axis(bits, within, axis=1).mean(axis=1)


@partial(jax.jit, static_argnames=("model", "start"))
def _bits(model: WaveNet, params: Any, waveform: jax.Array, frames: jax.Array, start: int) -> jax.Array:
    values = model.coding.encode(waveform)
    outputs = teacher_forced(model, params, values, frames, start=start)
    return model.distribution.log_prob(outputs, values[:, start:]) / -jnp.log(jnp.float32(2))


def bumps(waveform: np.ndarray, places: Sequence[int], sample_rate: int) -> np.ndarray:
    """dB by which the `LEVEL_MS` centred on each place stand out of their neighbours; NaN in silence."""
    size = LEVEL_MS * sample_rate // 1000

    def level(start: int) -> float:
        return 10 * np.log10(np.mean(np.square(waveform[start : start + size], dtype=np.float64)) * 2 + 1e-12)

    found = []
    for place in places:
        start = place - size // 2
        around = (level(start - size) + level(start + size)) / 2
        found.append(level(start) - around if around > QUIET_DB else np.nan)
    return np.asarray(found)


def timings(
    vocoder: Vocoder, mel: np.ndarray, counts: Sequence[int], options: dict[str, Any], repeats: int
) -> list[dict[str, Any]]:
    """Unfolded and folded generation of one recording, taking turns."""
    seconds = len(mel) * vocoder.spec.hop_length / vocoder.spec.sample_rate
    speeds: dict[Any, list[float]] = {1: [], **{count: [] for count in counts}, "auto": []}
    for repeat in range(repeats + 1):
        for count in speeds:
            start = time.perf_counter()
            made = generate(
                vocoder.model, vocoder.params, local_conditioning=mel[None], folds=count, seed=repeat, **options
            )
            if repeat:  # the first compiles
                speeds[count].append(made.shape[1] / (time.perf_counter() - start))
    alone = float(np.median(speeds[1]))
    return [
        row(
            {"what": f"{seconds:g} s of speech, folds {count}"},
            "samples/s",
            values,
            times_unfolded=float(np.median(values)) / alone,
        )
        for count, values in speeds.items()
    ]


if __name__ == "__main__":
    main(["folding", *sys.argv[1:]])
