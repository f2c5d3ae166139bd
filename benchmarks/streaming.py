"""Latency of a stream: to its first block, per block of 10, 20 and 50 ms, and a paced run that hears frames arrive.

All compiled beforehand. The first block's time runs from opening a `Streamer` (packing, the receptive field's warm-up)
to the block. In the paced run each mel frame arrives at its own time on the wall clock and is pushed at once; playback
starts one frame after the first sound, and a push that ends after the sound has run out is an underrun; slack is how
much sound was left. What a stream returned is held against `generate` bit for bit, and that against the parallel form.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.generation import available_backends
from benchmarks.harness import Keep, WrongResult, forget, percentiles, result, row
from benchmarks.models import SEED, check_draws, frames_for, make_model
from wavejax.generation import Streamer, generate
from wavejax.models.wavenet import WaveNet

RATE = 16_000
BLOCKS_MS = (10, 20, 50)


def run(
    *,
    quick: bool = False,
    presets: Sequence[str] = ("speech-16k",),
    repeats: int = 20,
    seconds: float = 4.0,
    keep: Keep = forget,
) -> dict[str, Any]:
    """Measure every backend, in float32 and narrower types where it has them."""
    if quick:
        repeats, seconds = 3, 0.5
    rows = []
    for preset in presets:
        model, params = make_model(preset)
        for backend, dtype in available_backends(model, params):
            options = {"seed": SEED, "backend": backend, "dtype": None if dtype == "float32" else dtype}
            labels = {"preset": preset, "backend": backend, "dtype": dtype}
            rows += rows_of_backend(model, params, labels, options, repeats=repeats, seconds=seconds)
            keep(result("streaming", rows))
    return result("streaming", rows)


def rows_of_backend(
    model: WaveNet, params: Any, labels: dict[str, Any], options: dict[str, Any], *, repeats: int, seconds: float
) -> list[dict[str, Any]]:
    """Rows of one backend and dtype."""
    num_samples = int(seconds * RATE)
    frames = frames_for(model, 1, num_samples)
    if frames is None:
        raise ValueError("a stream needs a model that reads frames")
    checked = _check(model, params, frames, labels, options)
    rows = []
    for block_ms in BLOCKS_MS:
        size = block_ms * RATE // 1000
        first = [_first_block(model, params, frames, size, options) for _ in range(repeats)]
        rows.append(_latency({**labels, "what": f"first {block_ms} ms"}, first, checked))
        blocks = _block_times(model, params, frames, size, num_samples, options)
        share = float(np.median(blocks)) / (block_ms / 1000)
        rows.append(_latency({**labels, "what": f"{block_ms} ms block"}, blocks, checked, real_time_factor=share))
    slack, underruns, late = paced(model, params, frames, options)
    rows.append(
        row(
            {**labels, "what": f"paced, {seconds:g} s: slack"},
            "ms",
            [1000 * each for each in slack],
            check=checked,
            underruns=underruns,
            pushes=len(slack),
            p1=1000 * float(np.percentile(slack, 1)),
            first_sound_ms=1000 * late,
        )
    )
    for each in rows:
        each["repeats"] = []  # hundreds of blocks: the percentiles say enough
    return rows


def _latency(
    labels: dict[str, Any], seconds: Sequence[float], checked: dict[str, Any], **details: Any
) -> dict[str, Any]:
    milliseconds = [1000 * each for each in seconds]
    spread = {name: value for name, value in percentiles(milliseconds).items() if name != "p50"}
    return row(labels, "ms", milliseconds, check=checked, **spread, **details)


def _open(model: WaveNet, params: Any, frames: np.ndarray, options: dict[str, Any]) -> Streamer:
    streamer = Streamer(model, params, **options)
    streamer.add_frames(frames)
    return streamer


def _check(
    model: WaveNet, params: Any, frames: np.ndarray, labels: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    count = min(2048, frames.shape[1] * (model.hop_length or 1))
    whole = generate(model, params, num_samples=count, local_conditioning=frames, **options)
    streamer = _open(model, params, frames, options)
    blocks = [streamer.take(min(160, count - done)) for done in range(0, count, 160)]
    if not np.array_equal(np.concatenate(blocks, axis=1), whole):
        raise WrongResult(f"{labels}: a stream in blocks of 160 differs from `generate`")
    return check_draws(model, params, whole, frames, dtype=labels["dtype"], what=str(labels))


def _first_block(model: WaveNet, params: Any, frames: np.ndarray, size: int, options: dict[str, Any]) -> float:
    start = time.perf_counter()
    _open(model, params, frames, options).take(size)
    return time.perf_counter() - start


def _block_times(
    model: WaveNet, params: Any, frames: np.ndarray, size: int, num_samples: int, options: dict[str, Any]
) -> list[float]:
    streamer = _open(model, params, frames, options)
    streamer.take(size)
    seconds = []
    for _ in range(num_samples // size - 1):
        start = time.perf_counter()
        streamer.take(size)
        seconds.append(time.perf_counter() - start)
    return seconds


def paced(model: WaveNet, params: Any, frames: np.ndarray, options: dict[str, Any]) -> tuple[list[float], int, float]:
    """(seconds of sound left at each push's end, underruns, seconds from the last frame needed to the first sound)."""
    hop = (model.hop_length or 1) / RATE
    streamer = Streamer(model, params, **options)
    begin = time.perf_counter()
    delivered, playing, late = 0, 0.0, 0.0
    slack: list[float] = []
    for index in range(frames.shape[1]):
        arrival = begin + index * hop
        time.sleep(max(arrival - time.perf_counter(), 0.0))
        made = streamer.push(frames[:, index : index + 1]).shape[1]
        done = time.perf_counter()
        if delivered:
            slack.append(playing + delivered / RATE - done)
            if slack[-1] < 0:
                playing -= slack[-1]  # playback waited
        elif made:
            playing, late = done + hop, done - arrival
        delivered += made
    return slack, sum(each < 0 for each in slack), late
