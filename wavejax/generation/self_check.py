"""Checks that this installation generates correctly: a tiny model, whole and in blocks."""

import jax
import numpy as np

from wavejax.generation.drivers import generate, stream
from wavejax.models.wavenet import WaveNet, WaveNetConfig
from wavejax.nn.parameters import initial_params


def speaks_alike() -> bool:
    """True if a tiny WaveNet's samples are finite, and equal when generated whole and in blocks."""
    model = WaveNet(WaveNetConfig(dilations=(1, 2), residual_channels=8, gate_channels=8, skip_channels=8))
    shapes, random = jax.eval_shape(lambda: initial_params(model, jax.random.key(0))), np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: random.normal(0.0, 0.3, leaf.shape).astype(np.float32), shapes)
    whole = generate(model, params, num_samples=200)
    blocks = np.concatenate(list(stream(model, params, num_samples=200, block_size=37)), axis=1)
    return bool(np.isfinite(whole).all()) and np.array_equal(whole, blocks)
