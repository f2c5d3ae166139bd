"""Both directions of a batch of sequences of different lengths."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from wavejax.nn.recurrent import LSTM


def reversed_within(
    x: Float[Array, "batch time channels"], counts: Int[Array, " batch"]
) -> Float[Array, "batch time channels"]:
    """Each sequence's own places from the last to the first; zeros stay behind them."""
    place = counts[:, None] - 1 - jnp.arange(x.shape[1], dtype=counts.dtype).reshape(1, -1)
    turned = jnp.take_along_axis(x, jnp.maximum(place, 0)[..., None], axis=1)
    return jnp.where((place >= 0)[..., None], turned, jnp.zeros((), x.dtype))


def both_ways(
    forward: LSTM, backward: LSTM, x: Float[Array, "batch time channels"], counts: Int[Array, " batch"]
) -> Float[Array, "batch time width"]:
    """An LSTM forward in time beside one backward from each sequence's own last place (Schuster & Paliwal 1997).

    What lies past a sequence's own places changes nothing in them; there the result is of no use.
    """
    _, ahead = forward(x)
    _, behind = backward(reversed_within(x, counts))
    return jnp.concatenate([ahead, reversed_within(behind, counts)], axis=-1)


__all__ = ["both_ways", "reversed_within"]
