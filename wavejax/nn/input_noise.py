"""Noise on a model's past inputs in training, so that it learns to recover from its own errors."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from wavejax.audio.companding import SampleCoding


def perturbed(values: Array, keys: Key[Array, "batch"], amount: float, coding: SampleCoding, label: int) -> Array:
    """Values [B, N] with noise drawn from one key per example.

    Args:
        values: as `coding` encodes them.
        keys: one PRNG key per example.
        amount: standard deviation of noise on continuous values, or the fraction of classes moved by one or two.
        coding: the coding of the values.
        label: distinguishes this use of the keys from others.
    """
    keys = jax.vmap(lambda key: jax.random.fold_in(key, label))(keys)
    shape = values.shape[1:]
    if not coding.is_discrete:
        noise = jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32))(keys)
        return values + jnp.float32(amount) * noise
    moved, step = jax.vmap(
        lambda key: (
            jax.random.bernoulli(key, amount, shape),
            jax.random.choice(jax.random.fold_in(key, 1), jnp.asarray([-2, -1, 1, 2], jnp.int32), shape),
        )
    )(keys)
    return jnp.where(moved, jnp.clip(values + step, 0, coding.num_classes - 1), values)
