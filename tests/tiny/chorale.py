"""Chorale models made small enough for tests, pieces for them, and a composer's experiment."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.models.chorale import PRESETS, Chorale, ChoraleConfig
from wavejax.nn.parameters import initial_params


def shrink(config: ChoraleConfig) -> ChoraleConfig:
    """The same kind of network with narrow layers, few pitches and short windows."""
    return dataclasses.replace(
        config,
        lowest=55,
        highest=66,
        lookahead=min(config.lookahead, 3),
        countdown=5,
        embedding_channels=5,
        given_channels=3,
        condition_channels=6,
        hidden_channels=8,
        head_channels=7,
    )


CONFIGS = {name: shrink(config) for name, config in PRESETS.items()}
CONFIGS["three-voices"] = dataclasses.replace(CONFIGS["chorales"], voices=("high", "middle", "low"), lookahead=0)


@functools.cache
def make(name: str, seed: int = 0) -> tuple[Chorale, dict]:
    """A shrunk model and parameters large enough that every part matters."""
    model = CONFIGS[name].build(precision="highest")
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: initial_params(model, jax.random.key(0)))
    return model, jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.5, leaf.shape), leaf.dtype), shapes)


def codes(config: ChoraleConfig, num_steps: int, seed: int = 0) -> np.ndarray:
    """Codes int16 [T, V] of a walk: notes are struck, held and left, and holds have something to hold."""
    rng = np.random.default_rng(seed)
    rows, last = [], np.zeros(config.num_voices, np.int64)
    for _ in range(num_steps):
        pitch = rng.integers(config.lowest, config.highest + 1, config.num_voices)
        kind = rng.random(config.num_voices)
        held = (kind < 0.5) & (last > 0) & config.holds
        row = np.where(held, -1, np.where(kind > 0.9, 0, pitch))
        last = np.where(held, last, row)
        rows.append(row)
    return np.asarray(rows, np.int16)
