"""Time-domain filters: pre-emphasis, its inverse, and the linear-phase high-pass of one public feature recipe."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wavejax.audio.filterbanks import high_pass_taps


def pre_emphasis(x: Float[Array, "*batch time"], coefficient: float) -> Float[Array, "*batch time"]:
    """y[t] = x[t] - coefficient * x[t-1] along the last axis, x[-1] = 0. Shape and dtype kept. Differentiable."""
    if x.shape[-1] == 0:
        return x
    padding = [(0, 0)] * (x.ndim - 1)
    previous = jnp.pad(x[..., :-1], [*padding, (1, 0)])
    return x - jnp.asarray(coefficient, x.dtype) * previous


def de_emphasis(x: Float[Array, "*batch time"], coefficient: float) -> Float[Array, "*batch time"]:
    """y[t] = x[t] + coefficient * y[t-1] along the last axis, y[-1] = 0: the inverse of `pre_emphasis`.

    Runs as one scan over time, with the same arithmetic in the same order as a sample-by-sample decoder. Stable for
    |coefficient| < 1. Shape and dtype are kept. Differentiable, jit-safe.
    """
    factor = jnp.asarray(coefficient, x.dtype)

    def step(memory: jax.Array, sample: jax.Array) -> tuple[jax.Array, jax.Array]:
        output = sample + factor * memory
        return output, output

    _, outputs = jax.lax.scan(step, jnp.zeros(x.shape[:-1], x.dtype), jnp.moveaxis(x, -1, 0))
    return jnp.moveaxis(outputs, 0, -1)


def high_pass(
    x: Float[Array, "*batch time"], sample_rate: int, cutoff: float, num_taps: int = 255
) -> Float[Array, "*batch time"]:
    """Linear-phase FIR high-pass along the last axis. Its delay is removed, so that nothing moves in time.

    Args: ``cutoff`` in Hz, ``num_taps`` odd; taps as in `high_pass_taps`. Shape and dtype kept. Differentiable.
    """
    taps = jnp.asarray(high_pass_taps(sample_rate, cutoff, num_taps), x.dtype)
    flat = x.reshape((-1, 1, x.shape[-1]))
    # This primitive computes correlation, which equals convolution because the taps are symmetric.
    filtered = jax.lax.conv_general_dilated(
        flat,
        taps.reshape((1, 1, num_taps)),
        window_strides=(1,),
        padding=[(num_taps // 2, num_taps // 2)],
        precision=jax.lax.Precision.HIGHEST,
    )
    return filtered.reshape(x.shape)
