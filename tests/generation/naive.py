"""The slow obvious reference: every sample from the parallel form over everything before it, no cache (contract 5)."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.models.shrunk import parallel_outputs
from wavejax.generation import stream_keys, uniforms
from wavejax.generation.noise import split_index
from wavejax.models.wavenet import WaveNet


def naive_generate(
    model: WaveNet, params: dict, num_samples: int, seed: int, conditioning: dict, batch: int
) -> np.ndarray:
    """Values [B, T], drawn one by one."""
    keys = stream_keys(seed, jnp.arange(batch))
    noise = uniforms(keys, jnp.asarray(split_index(0)), num_samples, model.distribution.noise_size)
    dtype = np.int32 if model.coding.is_discrete else np.float32
    values = np.full((batch, num_samples), model.coding.silence, dtype)

    @jax.jit
    def draw(values, noise, n):
        # The last position is a placeholder: outputs[:, n] sees values[:, :n] only.
        outputs = parallel_outputs(model, params, values, conditioning)
        output = jax.lax.dynamic_index_in_dim(outputs, n, 1, keepdims=False)
        return model.distribution.sample(output, noise, jnp.ones(values.shape[0], jnp.float32))

    for n in range(num_samples):
        values[:, n] = np.asarray(draw(values, noise[n], n))
    return values
