"""Dropout with a key per example, so that a mask does not depend on how a batch is split over devices."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


def drop(
    x: Float[Array, "batch ..."], keys: Key[Array, "batch"] | None, rate: float, label: int | Array
) -> Float[Array, "batch ..."]:
    """Zero a fraction `rate` of each example and scale up the rest (Srivastava et al. 2014).

    Args:
        x: activations, examples first.
        keys: one PRNG key per example; None in evaluation, which changes nothing.
        rate: in [0, 1).
        label: distinguishes this use of the keys from others; may be traced.
    """
    if keys is None or not rate:
        return x
    folded = jax.vmap(lambda key: jax.random.fold_in(key, label))(keys)
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - rate, x.shape[1:]))(folded)
    return jnp.where(keep, x / jnp.asarray(1.0 - rate, x.dtype), jnp.zeros((), x.dtype))
