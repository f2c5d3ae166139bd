"""The training pipeline's batches against what training consumes: batches and samples per second, and their ratio.

`share_of_a_core` is the processor time that the pipeline takes while training runs at its own speed.
"""

import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from benchmarks.harness import WrongResult, result, row
from wavejax.data import Corpus, embedded_corpus, training_batches
from wavejax.experiments.autoregressive.learner import crop_loss
from wavejax.models.wavenet import WaveNet
from wavejax.nn.parameters import initial_params
from wavejax.tasks.families import preset
from wavejax.tasks.vocoder.wavenet import WaveNetVocoderConfig
from wavejax.training import create_train_state, make_train_step


def run(*, quick: bool = False, corpus: str | None = None, repeats: int = 5) -> dict[str, Any]:
    """Measure with the embedded corpus, and with the one at `corpus` (of the spec speech-16k)."""
    config = preset("speech-16k")
    batches, steps, repeats = (10, 2, 2) if quick else (100, 8, repeats)
    consumed = training_speed(config, steps=steps, repeats=repeats)
    labels = {"what": "training step, speech-16k", "batch": config.training.batch_size}
    rows = [row(labels, "samples/s", consumed)]
    speed = float(np.median(consumed))
    named = {"embedded": embedded_corpus(config.spec)} | ({"prepared": Corpus.open(corpus)} if corpus else {})
    for name, each in named.items():
        for threads in (1, 2):
            rows.append(_pipeline_row(config, name, each, threads, speed, batches=batches, repeats=repeats))
    return result("data", rows)


def training_speed(config: WaveNetVocoderConfig, *, steps: int, repeats: int) -> list[float]:
    """Scored samples per second of the training step alone, its batch at hand."""
    optimizer = config.optimizer.build()
    params = jax.jit(lambda: initial_params(WaveNet(config.model), jax.random.key(0)))()
    step = jax.jit(make_train_step(crop_loss(config), optimizer), donate_argnums=0)
    state = create_train_state(params, optimizer, key=0)
    batch = jax.device_put(next(_batches(config, embedded_corpus(config.spec), 1)))
    state, _ = jax.block_until_ready(step(state, batch))
    speeds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(steps):
            state, _ = step(state, batch)
        jax.block_until_ready(state)
        scored = steps * config.training.batch_size * config.data.crop_length
        speeds.append(scored / (time.perf_counter() - start))
    return speeds


def _batches(config: WaveNetVocoderConfig, corpus: Corpus, threads: int) -> Iterator[dict[str, np.ndarray]]:
    size = config.training.batch_size
    return training_batches(corpus, "train", config.crop_shape, batch_size=size, seed=0, num_threads=threads)


def _pipeline_row(
    config: WaveNetVocoderConfig,
    name: str,
    corpus: Corpus,
    threads: int,
    consumed: float,
    *,
    batches: int,
    repeats: int,
) -> dict[str, Any]:
    stream = _batches(config, corpus, threads)
    first = next(stream)
    again = next(_batches(config, corpus, 0))
    if not all(np.array_equal(first[key], again[key]) for key in first) or not np.isfinite(first["waveform"]).all():
        raise WrongResult(f"batch 0 of the corpus {name} is not the same twice")
    for _ in range(4 * threads):
        next(stream)  # what was read ahead is not the pipeline's steady speed
    speeds, share = [], []
    for _ in range(repeats):
        start, processor = time.perf_counter(), time.process_time()
        for _ in range(batches):
            next(stream)
        scored = batches * config.training.batch_size * config.data.crop_length
        speeds.append(scored / (time.perf_counter() - start))
        share.append((time.process_time() - processor) * consumed / scored)
    labels = {"what": f"pipeline, {name} corpus, {threads} threads", "batch": config.training.batch_size}
    median = float(np.median(speeds))
    return row(
        labels,
        "samples/s",
        speeds,
        check={"batch_0_twice": "equal"},
        batches_per_second=median / (config.training.batch_size * config.data.crop_length),
        times_consumed=median / consumed,
        share_of_a_core=float(np.median(share)),
    )
