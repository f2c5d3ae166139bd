"""Attention: which of many vectors a query reads."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_NEVER = -1e30
"""A score of what is not there: finite, so that a row without anything gives numbers."""


def attend(
    query: Float[Array, "batch channels"],
    keys: Float[Array, "batch places channels"],
    values: Float[Array, "batch places width"],
    valid: Bool[Array, "batch places"],
    added: Float[Array, "batch places"] | None = None,
) -> tuple[Float[Array, "batch width"], Float[Array, "batch places"]]:
    """(mean of the values, its weights): softmax((query . key + added) / sqrt(channels)) over the valid places.

    Content-based attention (Chan et al. 2016, arXiv 1508.01211, equations 9 to 11), with the scale of Vaswani et al.
    (2017, arXiv 1706.03762, equation 1). Float32 whatever the operands are. Places that are not valid weigh nothing.
    """
    scores = jnp.einsum("bc,bpc->bp", query, keys, preferred_element_type=jnp.float32)
    scores = scores if added is None else scores + added
    return weighted(scores * jnp.float32(1 / math.sqrt(query.shape[-1])), values, valid)


def weighted(
    scores: Float[Array, "batch places"],
    values: Float[Array, "batch places width"],
    valid: Bool[Array, "batch places"],
) -> tuple[Float[Array, "batch width"], Float[Array, "batch places"]]:
    """(mean of the values, its weights): the softmax of scores over the valid places, float32."""
    weights = jax.nn.softmax(jnp.where(valid, scores, jnp.float32(_NEVER)), axis=-1)
    return jnp.einsum("bp,bpw->bw", weights, values, preferred_element_type=jnp.float32), weights


__all__ = ["attend", "weighted"]
