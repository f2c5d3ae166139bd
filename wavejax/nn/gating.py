"""The gated activation, with a backward pass that keeps one array."""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

ACTIVATIONS = "gated_activations"
"""Checkpoint name by which a rematerialisation policy finds the array that the backward pass needs."""


@jax.custom_vjp
def gated(z: Float[Array, "*batch gates"]) -> Float[Array, "*batch channels"]:
    """tanh(z[..., :C]) * sigmoid(z[..., C:]) (van den Oord et al. 2016, arXiv 1609.03499, equation 2).

    The sigmoid is computed as (1 + tanh(x / 2)) / 2, so one tanh over the whole array serves both halves, and only its
    result is kept for the backward pass.
    """
    return _forward(z)[0]


def _halves(activations: Array) -> tuple[Array, Array]:
    channels = activations.shape[-1] // 2
    half = jnp.asarray(0.5, activations.dtype)
    return activations[..., :channels], activations[..., channels:] * half + half


def _forward(z: Array) -> tuple[Array, Array]:
    channels = z.shape[-1] // 2
    scale = jnp.repeat(jnp.asarray([1.0, 0.5], z.dtype), channels, total_repeat_length=2 * channels)
    activations = checkpoint_name(jnp.tanh(z * jnp.broadcast_to(scale, z.shape)), ACTIVATIONS)
    filtered, gate = _halves(activations)
    return filtered * gate, activations


def _backward(activations: Array, gradient: Array) -> tuple[Array]:
    filtered, gate = _halves(activations)
    one = jnp.ones((), activations.dtype)
    parts = [gradient * gate * (one - filtered * filtered), gradient * filtered * gate * (one - gate)]
    return (jnp.concatenate(parts, axis=-1),)


gated.defvjp(_forward, _backward)
