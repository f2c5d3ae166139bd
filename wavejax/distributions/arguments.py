"""Checks of arguments that all distributions share."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from wavejax.types import Distribution


def as_float32(output: Float[Array, "*batch channels"], distribution: Distribution) -> Float[Array, "*batch channels"]:
    """The network's output in float32, after a check of its channels against the distribution's `output_size`."""
    expected = distribution.output_size
    if output.ndim == 0 or output.shape[-1] != expected:
        raise ValueError(
            f"output has shape {output.shape}, but {distribution} reads {expected} channels in the last axis; "
            f"give the network's last layer output_size={expected}"
        )
    return output.astype(jnp.float32)


def as_class(value: Num[Array, "*batch"], distribution: Distribution) -> Int[Array, "*batch"]:
    """The value as int32, after a check that it holds whole numbers."""
    if not jnp.issubdtype(value.dtype, jnp.integer):
        raise TypeError(
            f"value is {value.dtype}, but {distribution} scores integer classes; encode the waveform first "
            f"(SampleCoding of kind 'mu_law' or 'linear')"
        )
    return value.astype(jnp.int32)


def check_draw(distribution: Distribution, noise: Float[Array, "*batch noise"], floor: float, below: float) -> None:
    """Raises a ValueError unless the noise has `noise_size` uniforms and the floor lies in [0, below)."""
    expected = distribution.noise_size
    if noise.ndim == 0 or noise.shape[-1] != expected:
        raise ValueError(
            f"noise has shape {noise.shape}, but a draw of {distribution} takes noise_size={expected} uniforms "
            f"in the last axis"
        )
    if not 0 <= floor < below:
        raise ValueError(
            f"probability_floor is {floor}; {distribution} takes a number in [0, {below:g}), 0 cuts nothing"
        )
