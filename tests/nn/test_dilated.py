"""Dilated convolutions are the compiler's own, whatever form they take, and so are their gradients."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from wavejax.nn.dilated import convolve_dilated

RNG = np.random.default_rng(0)
NEIGHBOURS = ((2, 345, 8), (7, 8, 8))
LONG_ROWS = ((2, 345, 16), (7, 16, 16))
HALVES = ((2, 300, 32), (7, 32, 32))
QUARTERS = ((2, 300, 32), (9, 32, 32))


def drawn(*shapes):
    return [jnp.asarray(RNG.normal(size=shape), jnp.float32) for shape in shapes]


def compilers(x, kernel, dilation, edges):
    reach = kernel.shape[0] // 2 * dilation if edges else 0
    return lax.conv_general_dilated(
        x,
        kernel,
        (1,),
        [(reach, reach)],
        rhs_dilation=(dilation,),
        dimension_numbers=("NTC", "TIO", "NTC"),
        precision="highest",
    )


@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize("dilation", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("shape", "kernel"),
    [
        NEIGHBOURS,
        LONG_ROWS,
        HALVES,
        QUARTERS,
        ((1, 331, 8), (3, 8, 16)),
        ((1, 364, 16), (11, 16, 8)),
        ((1, 364, 9), (5, 9, 1)),
        ((1, 31, 8), (3, 8, 16)),
        ((1, 401, 48), (11, 48, 32)),
        ((1, 290, 32), (9, 32, 33)),
        ((1, 50, 32), (7, 32, 32)),
        ((1, 20, 3), (5, 3, 2)),
    ],
)
def test_values_and_gradients_are_the_compilers(shape, kernel, dilation, edges) -> None:
    x, weights = drawn(shape, kernel)
    expected, pull_expected = jax.vjp(lambda x, w: compilers(x, w, dilation, edges), x, weights)
    got, pull = jax.vjp(lambda x, w: convolve_dilated(x, w, dilation, edges=edges, precision="highest"), x, weights)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-4)  # sums of some hundred products of size 1
    [slopes] = drawn(got.shape)
    for mine, theirs in zip(pull(slopes), pull_expected(slopes), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-4)


@pytest.mark.parametrize(
    ("shapes", "dtype", "dilation", "convolutions", "products"),
    [
        (NEIGHBOURS, jnp.float32, 3, 0, 1),
        (LONG_ROWS, jnp.float32, 2, 1, 0),
        (HALVES, jnp.float32, 3, 3, 3),
        (QUARTERS, jnp.float32, 3, 9, 9),
        (HALVES, jnp.float32, 2, 1, 0),
        (HALVES, jnp.bfloat16, 3, 1, 0),
    ],
)
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere all of it is the compiler's")
def test_each_form_is_taken_where_it_is_meant(shapes, dtype, dilation, convolutions, products) -> None:
    x, weights = (each.astype(dtype) for each in drawn(*shapes))
    text = jax.jit(lambda x, w: convolve_dilated(x, w, dilation)).lower(x, weights).as_text()
    assert (text.count("stablehlo.convolution"), text.count("stablehlo.dot_general")) == (convolutions, products)


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize(
    ("shapes", "length"),
    # The compiler's own convolution, which shorter sequences have, does not always do this with 9 taps.
    [*itertools.product((NEIGHBOURS, LONG_ROWS, HALVES), (40, 120, 200, 300)), (QUARTERS, 300)],
)
def test_a_row_alone_is_the_row_of_a_batch_bit_for_bit(shapes, dilation, length) -> None:
    x, weights = drawn((5, length, shapes[0][2]), shapes[1])
    convolved = jax.jit(lambda x: convolve_dilated(x, weights, dilation))
    np.testing.assert_array_equal(convolved(x[1:2]), convolved(x)[1:2])
