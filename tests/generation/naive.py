"""The slow obvious reference: every sample from the parallel form over everything before it, no cache (contract 5)."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from tests.tiny.models import cheap_jit
from wavejax.generation import stream_keys, uniforms
from wavejax.generation.noise import split_index
from wavejax.models.wavenet import WaveNet

LONGEST = 200


@functools.partial(cheap_jit, static_argnums=(1, 2))
def _noise(seed: jax.Array, batch: int, noise_size: int) -> jax.Array:
    keys = stream_keys(seed, jnp.arange(batch))
    return uniforms(keys, jnp.asarray(split_index(0)), LONGEST, noise_size)


def naive_generate(
    model: WaveNet, outputs_of: Callable[[np.ndarray], jax.Array], num_samples: int, seed: int, batch: int
) -> np.ndarray:
    """Values [B, T], drawn one by one; `outputs_of(values [B, T])` are the parallel form's [B, T, output_size]."""
    noise = np.asarray(_noise(np.asarray(split_index(seed)), batch, model.distribution.noise_size))[:num_samples]
    temperature = jnp.ones(batch, jnp.float32)
    draw = cheap_jit(lambda output, noise: model.distribution.sample(output, noise, temperature))
    dtype = np.int32 if model.coding.is_discrete else np.float32
    values = np.full((batch, num_samples), model.coding.silence, dtype)
    for n in range(num_samples):
        # What stands from n on is a placeholder: outputs[:, n] sees values[:, :n] only.
        output = np.asarray(outputs_of(values))[:, n]
        values[:, n] = np.asarray(draw(output, noise[n]))
    return values
