"""Noise on what a model hears of the past in training, so that it learns to go on from its own mistakes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from wavejax.audio.companding import SampleCoding


def perturbed(values: Array, keys: Key[Array, "batch"], amount: float, coding: SampleCoding, label: int) -> Array:
    """Values [B, N] with noise of a key per example.

    Args:
        values: as `coding` encodes them.
        keys: one PRNG key per example.
        amount: standard deviation added to continuous values, or the share of classes moved by one or two.
        coding: what the values are.
        label: tells this use of the keys from others.
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
