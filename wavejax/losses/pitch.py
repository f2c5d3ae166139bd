"""The supervision of a pitch network by a known F0 track."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_LEAST = 1e-3
"""Hz that stand for an F0 of 0 in logarithms, whose frames are left out."""


def pitch_loss(
    scores: Float[Array, "batch frames candidates"],
    voicing: Float[Array, "batch frames"],
    candidates: Float[Array, " candidates"],
    target: Float[Array, "batch frames"],
) -> Float[Array, " batch"]:
    """Cross-entropies of voicing and F0, in nats per frame, [B] float32.

    The target's F0 lies between two candidates, which share it so that their mean logarithm is its own. Of unvoiced
    frames only the voicing counts; an F0 beyond the candidates counts as that of the nearest.

    Args:
        scores: logits of the candidates.
        voicing: logit of the frame being voiced.
        candidates: Hz, evenly spaced in octaves.
        target: F0 in Hz, 0 where unvoiced, as WORLD gives it (`wavejax.evaluation.pitch`).
    """
    scores, voicing = scores.astype(jnp.float32), voicing.astype(jnp.float32)
    voiced = (target > 0).astype(jnp.float32)
    binary = jax.nn.softplus(voicing) - voiced * voicing
    logs = jnp.log(candidates.astype(jnp.float32))
    step = logs[1] - logs[0]
    last = jnp.float32(logs.shape[0] - 1)
    place = jnp.clip((jnp.log(jnp.maximum(target, jnp.float32(_LEAST))) - logs[0]) / step, 0, last)
    indices = jnp.arange(logs.shape[0], dtype=jnp.float32)
    shares = jnp.maximum(0, 1 - jnp.abs(indices[None, None] - place[..., None]))
    entropy = -jnp.sum(shares * jax.nn.log_softmax(scores), axis=-1)
    return jnp.mean(binary + voiced * entropy, axis=-1)
