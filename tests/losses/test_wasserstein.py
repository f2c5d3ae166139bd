"""The losses of a generator and its critic."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.losses import wasserstein


def test_the_slope_penalty_of_a_plane_is_known():
    real, fake = (jax.random.normal(jax.random.key(n), (4, 3, 2)) for n in (0, 1))
    kernel = jnp.arange(6.0).reshape(3, 2)
    between = jnp.asarray([0.1, 0.4, 0.6, 0.9])

    def critic(x: jax.Array) -> jax.Array:
        return jnp.stack([jnp.sum(x * kernel[None], axis=(1, 2)), jnp.zeros(len(x))], axis=1)

    expected = (math.sqrt(55.0) / 2 - 1) ** 2  # the mean of two opinions
    np.testing.assert_allclose(wasserstein.slope_penalty(critic, real, fake, between), expected, rtol=1e-5)
    losses = wasserstein.critic_loss(critic(real), critic(fake)), wasserstein.generator_loss(critic(fake))
    np.testing.assert_allclose(losses[0], jnp.mean(critic(fake) - critic(real), axis=1), rtol=1e-6)
    np.testing.assert_allclose(losses[1], -jnp.mean(critic(fake), axis=1), rtol=1e-6)
