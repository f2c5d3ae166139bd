"""Losses of attention: that the steps of an output read the places of an input in order.

Attention is [B, S, P]: of each step, weights over the places, whose sum is 1. Results are one number per example, [B]
float32.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def guided_attention(
    attention: Float[Array, "batch steps places"],
    num_steps: Int[Array, " batch"],
    num_places: Int[Array, " batch"],
    width: float = 0.2,
) -> Float[Array, " batch"]:
    """How far attention is from the diagonal, 0 to 1 (Tachibana et al. 2017, arXiv 1710.08969, section 4.1).

    The mean over an example's steps of the sum over places of weight * (1 - exp(-(p / P - s / S)^2 / (2 width^2))).
    """
    steps, places = attention.shape[1:]
    across = jnp.arange(places, dtype=jnp.float32).reshape(1, 1, -1) / _counts(num_places)[:, None, None]
    along = jnp.arange(steps, dtype=jnp.float32).reshape(1, -1, 1) / _counts(num_steps)[:, None, None]
    penalty = 1 - jnp.exp(-jnp.square(across - along) / jnp.float32(2 * width**2))
    return _mean_over_steps(jnp.sum(attention * penalty, axis=-1), num_steps)


def places_of_steps(
    durations: Int[Array, "batch places"], num_steps: int, frames_per_step: int
) -> Int[Array, "batch steps"]:
    """The place that the middle frame of each step belongs to, where place p lasts durations[p] frames."""
    middles = jnp.arange(num_steps, dtype=durations.dtype) * frames_per_step + frames_per_step // 2
    ended = jnp.cumsum(durations, axis=1)[:, None, :] <= middles.reshape(1, -1, 1)
    return jnp.minimum(jnp.sum(ended, axis=-1, dtype=durations.dtype), durations.shape[1] - 1)


def aligned_attention(
    attention: Float[Array, "batch steps places"], where: Int[Array, "batch steps"], num_steps: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    """Cross-entropy of attention with known places, nats: the mean over an example's steps of -ln weight[where]."""
    weight = jnp.take_along_axis(attention, where[..., None], axis=-1)[..., 0]
    return _mean_over_steps(-jnp.log(weight + jnp.float32(1e-4)), num_steps)


def attention_near(
    attention: Float[Array, "batch steps places"],
    where: Int[Array, "batch steps"],
    num_steps: Int[Array, " batch"],
    within: int = 1,
) -> Float[Array, " batch"]:
    """The part of attention that lies at most `within` places from the known ones, 0 to 1."""
    apart = jnp.arange(attention.shape[2], dtype=where.dtype).reshape(1, 1, -1) - where[..., None]
    near = jnp.abs(apart) <= within
    return _mean_over_steps(jnp.sum(jnp.where(near, attention, jnp.float32(0)), axis=-1), num_steps)


def gate_loss(
    gates: Float[Array, "batch steps"], num_steps: Int[Array, " batch"], last_weight: float = 1.0
) -> Float[Array, " batch"]:
    """Binary cross-entropy of the gates' logits, nats, a mean over an example's steps: 1 at the last one, else 0.

    The last step counts `last_weight` times, since there is only one.
    """
    steps = jnp.arange(gates.shape[1], dtype=num_steps.dtype).reshape(1, -1)
    last = (steps == num_steps[:, None] - 1).astype(jnp.float32)
    softplus = jnp.maximum(gates, 0) + jnp.log1p(jnp.exp(-jnp.abs(gates)))
    entropy = softplus - last * gates
    return _mean_over_steps(entropy * (1 + jnp.float32(last_weight - 1) * last), num_steps)


def _counts(counts: Array) -> Float[Array, " batch"]:
    return jnp.maximum(counts, 1).astype(jnp.float32)


def _mean_over_steps(values: Float[Array, "batch steps"], num_steps: Array) -> Float[Array, " batch"]:
    counted: Bool[Array, "batch steps"] = jnp.arange(values.shape[1]).reshape(1, -1) < num_steps[:, None]
    return jnp.sum(jnp.where(counted, values, jnp.float32(0)), axis=1) / _counts(num_steps)


__all__ = ["aligned_attention", "attention_near", "gate_loss", "guided_attention", "places_of_steps"]
