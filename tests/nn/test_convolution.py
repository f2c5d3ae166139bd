"""Strided convolutions are the compiler's own, and so are their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from wavejax.nn.convolution import convolve_strided

RNG = np.random.default_rng(0)


def compilers(x, kernel, stride, groups=1):
    letters = "TF"[: kernel.ndim - 2]
    return lax.conv_general_dilated(
        x,
        kernel,
        (1,) * (kernel.ndim - 3) + (stride,),
        [(size // 2, size // 2) for size in kernel.shape[:-2]],
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=groups,
        precision="highest",
    )


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "groups"),
    [
        ((2, 13, 1), (5, 1, 4), 3, 1),
        ((2, 1, 3), (5, 3, 100), 3, 1),
        ((1, 40, 2), (3, 2, 1), 1, 1),
        ((2, 17, 8), (41, 2, 12), 4, 4),
        ((2, 37, 6), (7, 3, 4), 2, 2),
        ((2, 5, 33, 1), (3, 9, 1, 2), 4, 1),
        ((1, 4, 12, 3), (3, 9, 3, 5), 2, 1),
        ((2, 3, 7, 2), (3, 3, 2, 1), 1, 1),
        ((1, 6, 10, 2), (1, 4, 2, 70), 1, 1),
    ],
)
def test_values_and_gradients_are_the_compilers(shape, kernel, stride, groups) -> None:
    x, weights = (jnp.asarray(RNG.normal(size=size), jnp.float32) for size in (shape, kernel))
    expected, pull_expected = jax.vjp(lambda x, w: compilers(x, w, stride, groups), x, weights)
    got, pull = jax.vjp(lambda x, w: convolve_strided(x, w, stride, groups=groups, precision="highest"), x, weights)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=2e-5)
    slopes = jnp.asarray(RNG.normal(size=got.shape), jnp.float32)
    for mine, theirs in zip(pull(slopes), pull_expected(slopes), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)  # sums of some hundred products of size 1
