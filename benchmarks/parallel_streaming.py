"""A parallel vocoder's stream: times real time in blocks of 20 ms, and milliseconds to the first sample.

Everything goes through `Vocoder.stream`, to which the frames come one by one. Compiled beforehand. A preset has random
weights of its own size; `--voice` takes a shipped voice or a folder. What a stream returned is held against `generate`
bit for bit. For the figures of one core pin the process to one (`taskset -c 0`).
"""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.harness import Case, Keep, WrongResult, forget, measure, result, row
from wavejax.nn.parallel import initial_parallel_params
from wavejax.parallel.compiling import run_once_options
from wavejax.tasks.families import get_preset, load
from wavejax.tasks.vocoder.product import Vocoder

BLOCK_MS = 20
WINDOWS = (1, 2, 4)


def run(
    *,
    quick: bool = False,
    presets: Sequence[str] = ("harmonic-vocos-16k",),
    voice: str | None = None,
    repeats: int = 7,
    seconds: float = 2.0,
    keep: Keep = forget,
) -> dict[str, Any]:
    """Measure windows of several sizes."""
    if quick:
        repeats, seconds = 2, 0.2
    rows: list[dict[str, Any]] = []
    for name in presets if voice is None else (voice,):
        vocoder = random_voice(name) if voice is None else load(voice, kind=Vocoder)
        for window in WINDOWS[:1] if quick else WINDOWS:
            rows += _rows(vocoder, name, window, repeats, seconds)
            keep(result("parallel", rows))
    return result("parallel", rows)


def random_voice(name: str) -> Any:
    """A preset's vocoder with initial weights."""
    family, config = get_preset(name)
    model = config.model.build()
    draw = jax.jit(lambda key: initial_parallel_params(model, key), compiler_options=run_once_options())
    return family.product(config=config, params=draw(jax.random.key(0)), labels={}, step=None)


def _rows(vocoder: Any, name: str, window: int, repeats: int, seconds: float) -> list[dict[str, Any]]:
    rate, spec = vocoder.sample_rate, vocoder.spec
    count = int(seconds * rate) // spec.hop_length
    mel = np.random.default_rng(0).normal(-5.0, 1.5, (count, spec.num_channels)).astype(np.float32)
    block = BLOCK_MS * rate // 1000
    options = {"window_frames": window, "block_size": block}
    labels = {"voice": name, "window": f"{window} frames"}

    def spoken() -> np.ndarray:
        return np.concatenate(list(vocoder.stream(iter(mel), **options)))

    def check() -> dict[str, Any]:
        if not np.array_equal(spoken(), vocoder(mel, axes="frames-first", window_frames=window)):
            raise WrongResult(f"{labels}: a stream in blocks of {BLOCK_MS} ms differs from `generate`")
        return {"samples": count * spec.hop_length, "same": True}

    case = Case(
        labels={**labels, "what": f"{BLOCK_MS} ms blocks"},
        run=spoken,
        work=count * spec.hop_length / rate,
        check=check,
        unit="times real time",
    )
    speed = measure([case], repeats=repeats)
    firsts = [1000 * _first_sample(vocoder, mel, window) for _ in range(repeats)]
    return [*speed, row({**labels, "what": "first sample"}, "ms", firsts)]


def _first_sample(vocoder: Any, mel: np.ndarray, window: int) -> float:
    """Seconds from the last frame that the first samples need to these samples, opening the stream included."""
    ready = mel[: window + vocoder.model.lookahead]
    start = time.perf_counter()
    next(iter(vocoder.stream(ready, window_frames=window, block_size=window * vocoder.spec.hop_length)))
    return time.perf_counter() - start
