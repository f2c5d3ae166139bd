"""Which places of padded sequences count."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def sequence_mask(counts: Int[Array, " batch"], length: int) -> Bool[Array, "batch length"]:
    """True at the first `counts` of `length` places of each row."""
    return jnp.arange(length, dtype=counts.dtype).reshape(1, -1) < counts[:, None]


__all__ = ["sequence_mask"]
