"""The losses of a generator and a critic whose slope is kept near 1 (Gulrajani et al. 2017, arXiv 1704.00028)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

PENALTY = 10.0
"""Weight of the penalty on the slope."""


def critic_loss(real: Float[Array, "batch opinions"], fake: Float[Array, "batch opinions"]) -> Float[Array, " batch"]:
    """The critic's loss without the penalty: its mean opinion of the fake minus that of the real, [B]."""
    return jnp.mean(fake.astype(jnp.float32) - real.astype(jnp.float32), axis=1)


def generator_loss(fake: Float[Array, "batch opinions"]) -> Float[Array, " batch"]:
    """The generator's loss: minus the critic's mean opinion, [B]."""
    return -jnp.mean(fake.astype(jnp.float32), axis=1)


def slope_penalty(
    critic: Callable[[Array], Float[Array, "batch opinions"]],
    real: Float[Array, "batch ..."],
    fake: Float[Array, "batch ..."],
    between: Float[Array, " batch"],
) -> Float[Array, " batch"]:
    """(slope - 1)^2 of the critic's mean opinion at a point between each real example and each fake one, [B].

    Compute it in float32: it is the square of a gradient's norm, through which the critic's gradient passes again.

    Args:
        critic: opinions of a batch; those of a row depend on that row alone.
        real, fake: examples of one shape.
        between: where each point lies, uniform in (0, 1): 0 is the fake.
    """
    real, fake = real.astype(jnp.float32), fake.astype(jnp.float32)
    share = between.reshape((-1,) + (1,) * (real.ndim - 1))
    point = share * real + (1 - share) * fake
    slopes = jax.grad(lambda x: jnp.sum(jnp.mean(critic(x).astype(jnp.float32), axis=1)))(point)
    squares = jnp.sum(jnp.square(slopes.reshape(slopes.shape[0], -1)), axis=1)
    return jnp.square(jnp.sqrt(squares + jnp.float32(1e-12)) - 1)
