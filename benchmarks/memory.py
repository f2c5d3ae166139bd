"""How generation grows: peak memory and speed at 1, 10 and 100 s of sound, speed by number of layers.

Each figure is of a fresh process, compiled before its memory is read. `output_MiB` is the waveform itself.
(By batch: `python -m benchmarks.run generation`.)
"""

import dataclasses
import time
from typing import Any

from benchmarks.harness import Keep, forget, in_fresh_process, result, row
from benchmarks.models import SEED, check_draws, frames_for, make_model
from benchmarks.process import RETURNED, peak_growth
from wavejax.generation import generate
from wavejax.models.wavenet_presets import get_preset, powers

RATE = 16_000


def run(*, quick: bool = False, repeats: int = 1, keep: Keep = forget) -> dict[str, Any]:
    """Measure `speech-16k-small` by length and, in `speech-16k`'s widths, 10, 20 and 40 layers."""
    lengths, layers = ((0.1, 0.2), (4,)) if quick else ((1, 10, 100), (10, 20, 40))
    rows = []
    for seconds in lengths:
        answers = [
            in_fresh_process("benchmarks.memory:trial", RETURNED, seconds=seconds, layers=0)
            for _ in range(1 if seconds >= 100 else 3 * repeats)
        ]
        labels = {"layers": 16, "seconds": seconds}
        rows.append(row(labels, "MiB at peak", [a["peak"] for a in answers], output_MiB=seconds * RATE * 4 / 2**20))
        rows.append(row(labels, "samples/s", [a["speed"] for a in answers], check=answers[0]["check"]))
        keep(result("memory", rows))
    for count in layers:
        answers = [in_fresh_process("benchmarks.memory:trial", seconds=lengths[0], layers=count) for _ in range(3)]
        labels = {"layers": count, "seconds": lengths[0]}
        rows.append(row(labels, "samples/s", [a["speed"] for a in answers], check=answers[0]["check"]))
    return result("memory", rows)


def trial(seconds: float, layers: int) -> dict[str, Any]:
    """In a fresh process: MiB that one call adds at its peak, its speed, and what the check found."""
    config = get_preset("speech-16k-small")
    if layers:
        config = dataclasses.replace(get_preset("speech-16k"), dilations=(powers(1, 10) * 4)[:layers])
    model, params = make_model(config)
    num_samples = int(seconds * RATE)
    frames = frames_for(model, 1, num_samples)
    generate(model, params, num_samples=min(num_samples, 2048), local_conditioning=frames, seed=SEED)
    kept: list[Any] = []

    def call() -> None:
        start = time.perf_counter()
        kept.append(generate(model, params, num_samples=num_samples, local_conditioning=frames, seed=SEED))
        kept.append(time.perf_counter() - start)

    peak = peak_growth(call)
    checked = check_draws(model, params, kept[0][:, :2048], frames)
    return {"peak": peak, "speed": num_samples / kept[1], "check": checked}
