"""What a training will need, before it is started: measured where that takes a second, predicted otherwise."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.tasks.training import dry_run
from wavejax.tasks.vocoder import describe
from wavejax.tasks.vocoder_config import VocoderConfig

_ROWS = 16_384
_SHARE_OF_PRODUCTS = 0.6
"""Part of a training step's time that its matrix products take on a CPU, the rest being activations and memory."""


class TrainingPrediction(NamedTuple):
    """Figures of a configuration on this machine."""

    parameters: int
    macs_per_sample: int
    receptive_field: int
    """Samples."""
    receptive_field_ms: float
    state_bytes: float
    """Parameters, averages, optimizer and batch."""
    temporary_bytes: float
    """Activations and gradients of one step."""
    gflops: float
    """Measured: 10^9 multiplications and additions per second in products of this model's shape."""
    samples_per_second: float
    """Predicted."""
    seconds: float
    """Predicted, of the whole run."""


def predict_training(config: VocoderConfig) -> TrainingPrediction:
    """Figures of training `config` here. Compiles the step for its memory, but trains nothing.

    The speed is a prediction: three passes (forward, and two products backward) over scored samples and history, at
    the speed of the layers' own matrix products, which is measured, taken as three fifths of a step's time.
    """
    figures, memory = describe(config), dry_run(config)
    gflops = measured_gflops(2 * config.model.residual_channels, 2 * config.model.gate_channels)
    shape = config.crop_shape
    overhead = (shape.history + shape.length) / shape.length
    flops = 3 * 2 * float(figures["macs_per_sample"]) * overhead
    samples_per_second = gflops * 1e9 * _SHARE_OF_PRODUCTS / flops
    samples = config.training.num_steps * config.training.batch_size * config.data.crop_length
    return TrainingPrediction(
        parameters=int(figures["parameters"]),
        macs_per_sample=int(figures["macs_per_sample"]),
        receptive_field=config.model.receptive_field,
        receptive_field_ms=float(figures["receptive_field_ms"]),
        state_bytes=memory["state_bytes"],
        temporary_bytes=memory["temporary_bytes"],
        gflops=gflops,
        samples_per_second=samples_per_second,
        seconds=samples / samples_per_second,
    )


def measured_gflops(width_in: int, width_out: int, *, seconds: float = 0.3) -> float:
    """10^9 floating-point operations per second of [16384, width_in] x [width_in, width_out] on the default device."""
    left = jnp.asarray(np.full((_ROWS, width_in), 0.5, np.float32))
    right = jnp.asarray(np.full((width_in, width_out), 0.5, np.float32))
    multiply = jax.jit(jnp.matmul)
    multiply(left, right).block_until_ready()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply(left, right).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2e-9 * _ROWS * width_in * width_out / best
