"""A case of generation: how long it runs, and which of its samples are checked."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Case
from benchmarks.models import check_draws, frames_for
from wavejax.models.wavenet import WaveNet

MOST_CHECKED = 2048
"""Samples of a stream that the check reads, at most."""


def checked_streams(batch: int) -> list[int]:
    """The streams of a batch that are checked: at both ends and on both sides of the middle."""
    return sorted({0, batch // 2 - 1, batch // 2, batch - 1} & set(range(batch)))


def sized_case(
    labels: dict[str, Any],
    generate_some: Callable[[int], Any],
    model: WaveNet,
    params: Any,
    *,
    seconds: float,
    at_most: int = 200_000,
    **details: Any,
) -> Case:
    """A case of as many samples as take about `seconds`, in whole blocks; checked on its own samples."""
    batch = labels["batch"]
    generate_some(64)
    trial, speed = 256, 0.0
    while not speed:
        start = time.perf_counter()
        generate_some(trial)
        elapsed = time.perf_counter() - start
        if elapsed > seconds / 4 or trial >= at_most:
            speed = trial / elapsed
        trial *= 4
    num_samples = int(np.clip(round(speed * seconds / 1024) * 1024, 256, at_most))
    outputs: list[np.ndarray] = []

    def run_once() -> None:
        outputs[:] = [generate_some(num_samples)]

    def check() -> dict[str, Any]:
        # Streams do not depend on the batch, so each is held against its own frames and noise.
        heard, frames = checked_streams(batch), frames_for(model, batch, num_samples)
        return check_draws(
            model,
            params,
            outputs[0][heard, :MOST_CHECKED],
            None if frames is None else frames[heard],
            dtype=labels["dtype"],
            what=str(labels),
            streams=heard,
        )

    return Case(labels=labels, run=run_once, work=batch * num_samples, check=check, details=details)
