"""What a training will need, before it is started: measured where that takes a second, predicted otherwise."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.experiments.family import Family, Figures
from wavejax.experiments.running import abstract_step

_SHARE_OF_PRODUCTS = 0.6
"""Part of a training step's time that its matrix products take on a CPU, the rest being activations and memory."""


class TrainingPrediction(NamedTuple):
    """What training needs on this machine."""

    figures: Figures
    state_bytes: float
    """Parameters, averages, optimizer and batch."""
    temporary_bytes: float
    """Activations and gradients of one step."""
    gflops: float
    """Measured: 10^9 multiplications and additions per second in products of this model's shape."""
    units_per_second: float
    """Predicted."""
    seconds: float
    """Predicted, of the whole run."""


def predict_training(family: Family[Any, Any], config: Any) -> TrainingPrediction:
    """What training `config` needs here. Compiles the step for its memory, but trains nothing.

    The speed is a prediction: three passes (forward, and two products backward) over all units that are computed, at
    the speed of the model's own matrix products, which is measured, taken as three fifths of a step's time.
    """
    figures, memory = family.figures(config), dry_run(family, config)
    gflops = measured_gflops(*figures.product)
    flops = 3 * 2 * float(figures.macs_per_unit) * figures.overhead
    units_per_second = gflops * 1e9 * _SHARE_OF_PRODUCTS / flops
    return TrainingPrediction(
        figures=figures,
        state_bytes=memory["state_bytes"],
        temporary_bytes=memory["temporary_bytes"],
        gflops=gflops,
        units_per_second=units_per_second,
        seconds=config.training.num_steps * figures.units_per_step / units_per_second,
    )


def dry_run(family: Family[Any, Any], config: Any) -> dict[str, float]:
    """Bytes that the compiled train step needs, without training: {"temporary_bytes", "state_bytes"}."""
    step, state, batch = abstract_step(family, config)
    memory: Any = jax.jit(step, donate_argnums=0).lower(state, batch).compile().memory_analysis()
    return {
        "temporary_bytes": float(memory.temp_size_in_bytes),
        "state_bytes": float(memory.argument_size_in_bytes),
    }


def measured_gflops(rows: int, width_in: int, width_out: int, *, seconds: float = 0.3) -> float:
    """10^9 floating-point operations per second of [rows, width_in] x [width_in, width_out] on the default device."""
    left = jnp.asarray(np.full((rows, width_in), 0.5, np.float32))
    right = jnp.asarray(np.full((width_in, width_out), 0.5, np.float32))
    multiply = jax.jit(jnp.matmul)
    multiply(left, right).block_until_ready()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply(left, right).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2e-9 * rows * width_in * width_out / best
