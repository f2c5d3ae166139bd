"""ConvNeXt's parts against XLA's convolutions and numpy, and its histories."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.tiny.models import cheap_jit
from wavejax.nn.convnext import ConvNeXt, convolve, depthwise, layer_norm

RNG = np.random.default_rng(0)


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def test_convolutions_are_xlas() -> None:
    x, own, all_channels = normal(2, 11, 5), normal(7, 5), normal(7, 5, 4)
    numbers = ("NWC", "WIO", "NWC")
    grouped = lax.conv_general_dilated(
        x, own[:, None], (1,), "VALID", dimension_numbers=numbers, feature_group_count=5, precision="highest"
    )
    np.testing.assert_allclose(depthwise(x, own), grouped, atol=1e-5)
    full = lax.conv_general_dilated(x, all_channels, (1,), "VALID", dimension_numbers=numbers, precision="highest")
    np.testing.assert_allclose(convolve(x, all_channels, "highest"), full, atol=1e-5)


def test_gradients_of_a_depthwise_convolution_are_those_of_its_sum() -> None:
    x, taps, weight = normal(2, 11, 5), normal(7, 5), normal(2, 5, 5)

    def derived(x: jax.Array, taps: jax.Array) -> jax.Array:
        windows = jnp.stack([x[:, first : first + 7] for first in range(5)], axis=1)
        return jnp.sum(weight * jnp.sum(windows * taps[None, None], axis=2))

    found = cheap_jit(jax.grad(lambda x, taps: jnp.sum(weight * depthwise(x, taps)), (0, 1)))(x, taps)
    for one, other in zip(found, cheap_jit(jax.grad(derived, (0, 1)))(x, taps), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_normalisation_is_each_frames_own() -> None:
    x, scale, bias = normal(2, 3, 6), normal(6), normal(6)
    given = np.asarray(x, np.float64)
    mean, variance = given.mean(-1, keepdims=True), given.var(-1, keepdims=True)
    expected = (given - mean) / np.sqrt(variance + 1e-6) * np.asarray(scale) + np.asarray(bias)
    np.testing.assert_allclose(layer_norm(x, scale, bias), expected, atol=1e-5)


def test_histories_continue_and_zeros_pad() -> None:
    network = ConvNeXt(4, 6, 8, 2, kernel_size=3, embedding_lookahead=1, block_lookahead=0, precision="highest")
    x = normal(2, 20, 4)
    shapes = jax.eval_shape(network.init, jax.random.key(0), x)
    params = jax.tree.map(lambda leaf: 0.5 * normal(*leaf.shape), shapes)
    whole, _ = cheap_jit(network.apply)(params, x)
    assert (network.lookback, network.lookahead, whole.shape[1]) == (5, 1, 14)
    first, histories = cheap_jit(network.apply)(params, x[:, :11])
    second, _ = cheap_jit(network.apply)(params, x[:, 9:], histories=histories)
    np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), whole, atol=1e-5)
    padded, _ = cheap_jit(functools.partial(network.apply, zero_edges=True))(params, x)
    assert padded.shape[1] == 20
    np.testing.assert_allclose(padded[:, 5:19], whole, atol=1e-5)
    symmetric = ConvNeXt(4, 6, 8, 2, kernel_size=3, embedding_lookahead=1, block_lookahead=1)
    with pytest.raises(ValueError, match="histories need causal blocks, but block_lookahead is 1"):
        symmetric.apply(params, x, histories=histories)
