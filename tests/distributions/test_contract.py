"""What every distribution promises, held against all of them."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.distributions import Categorical, CoarseFine, GaussianMixture, LogisticMixture, ScoreCodes
from wavejax.types import Distribution

SMALL = [
    Categorical(num_classes=7),
    CoarseFine(coarse=4, fine=5),
    ScoreCodes(num_classes=7),
    LogisticMixture(num_mixtures=1, num_classes=64),
    LogisticMixture(num_mixtures=3, num_classes=256),
    GaussianMixture(num_classes=64),
    GaussianMixture(num_mixtures=3, num_classes=256),
]
FULL = [
    Categorical(),
    CoarseFine(),
    LogisticMixture(log_scale_min=-32.236),
    GaussianMixture(),
    GaussianMixture(num_mixtures=4),
]
ALL = SMALL + FULL
EXTREME_UNIFORMS = (2.0**-24, 0.25, 0.5, 1 - 2.0**-24)


@partial(jax.jit, static_argnums=(0, 4))
def sample(
    distribution: Distribution, output: jax.Array, noise: jax.Array, temperature: jax.Array, floor: float
) -> jax.Array:
    return distribution.sample(output, noise, temperature, floor)


@partial(jax.jit, static_argnums=0)
def mode_of(distribution: Distribution, output: jax.Array) -> jax.Array:
    return distribution.mode(output)


@partial(jax.jit, static_argnums=0)
def log_prob(distribution: Distribution, output: jax.Array, value: jax.Array) -> jax.Array:
    return distribution.log_prob(output, value)


@partial(jax.jit, static_argnums=0)
def log_probs(distribution: Distribution, output: jax.Array, values: jax.Array) -> jax.Array:
    """The log-probabilities of values [V] under one output."""
    return jax.vmap(lambda value: distribution.log_prob(output, value))(values)


def is_discrete(distribution: Distribution) -> bool:
    return isinstance(distribution, Categorical | CoarseFine | ScoreCodes)


def output_of(distribution: Distribution, seed: int = 0, log_scale: float = -2.0) -> np.ndarray:
    """An output with distinct logits and means inside [-1, 1]; log scales spread over 1 around `log_scale`."""
    wave = np.sin(np.arange(distribution.output_size) * (1.3 + seed) + seed).astype(np.float32)
    if is_discrete(distribution):
        return 2 * wave
    wave[-distribution.num_mixtures :] = log_scale + 0.5 * wave[-distribution.num_mixtures :]
    return wave


def values_of(distribution: Distribution) -> np.ndarray:
    """Every value: all classes, or all levels of the grid."""
    index = np.arange(distribution.num_classes, dtype=np.int32)
    return index if is_discrete(distribution) else (index * (2 / (len(index) - 1)) - 1).astype(np.float32)


@pytest.mark.parametrize("distribution", ALL, ids=str)
def test_is_a_frozen_hashable_distribution(distribution: Distribution) -> None:
    assert isinstance(distribution, Distribution)
    assert hash(distribution) == hash(eval(repr(distribution)))
    assert distribution == eval(repr(distribution))
    with pytest.raises(AttributeError):
        distribution.num_classes = 3  # type: ignore[misc]


@pytest.mark.parametrize("distribution", ALL, ids=str)
def test_probabilities_of_all_values_sum_to_one(distribution: Distribution) -> None:
    for seed, log_scale in ((0, -2.0), (1, -9.0), (2, -40.0), (3, 3.0)):
        scores = log_probs(distribution, output_of(distribution, seed, log_scale), values_of(distribution))
        total = np.exp(np.asarray(scores, np.float64)).sum()
        # float32 rounds each log-probability by about 1e-7 of its size (up to 20).
        assert total == pytest.approx(1, abs=3e-6), (seed, log_scale)


@pytest.mark.parametrize("distribution", SMALL, ids=str)
def test_an_even_grid_of_uniforms_reproduces_the_probabilities(distribution: Distribution) -> None:
    side = 4096 if distribution.noise_size == 1 else 400
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side
    noise = np.array(list(itertools.product(axis, repeat=distribution.noise_size)), np.float32)
    for seed in (0, 1):
        output = output_of(distribution, seed)
        outputs = np.broadcast_to(output, (len(noise), distribution.output_size))
        values = np.asarray(sample(distribution, outputs, noise, np.float32(1), 0.0))
        half = (distribution.num_classes - 1) / 2
        index = values if is_discrete(distribution) else np.rint((values.astype(np.float64) + 1) * half).astype(int)
        counts = np.bincount(index, minlength=distribution.num_classes)
        # In each dimension a class's stretch of uniforms holds its share of the grid to within one point, and a
        # mixture's class takes such a stretch from every component.
        resolution = (distribution.noise_size - 1 + getattr(distribution, "num_mixtures", 1)) / side
        expected = np.exp(np.asarray(log_probs(distribution, output, values_of(distribution))))
        np.testing.assert_allclose(counts / len(noise), expected, atol=resolution + 1e-5)


@pytest.mark.parametrize("distribution", ALL, ids=str)
def test_temperature_zero_is_the_mode_whatever_the_noise(distribution: Distribution) -> None:
    cases = list(itertools.product(range(3), EXTREME_UNIFORMS))
    outputs = np.stack([output_of(distribution, seed) for seed, _ in cases])
    noise = np.stack([np.full(distribution.noise_size, uniform, np.float32) for _, uniform in cases])
    mode = np.asarray(mode_of(distribution, outputs))
    assert len(np.unique(mode)) > 1
    zero = np.zeros(len(cases), np.float32)
    for floor in (0.0, 0.01):
        np.testing.assert_array_equal(np.asarray(sample(distribution, outputs, noise, zero, floor)), mode)
    # It is the limit of cold draws, and each draw may have a temperature of its own.
    cold = sample(distribution, outputs, noise, zero + np.float32(1e-6), 0.0)
    np.testing.assert_allclose(np.asarray(cold), mode, atol=2e-5)


@pytest.mark.parametrize("distribution", SMALL, ids=str)
def test_shapes_dtypes_batches_and_bfloat16(distribution: Distribution) -> None:
    outputs = np.stack([output_of(distribution, seed) for seed in range(6)])
    outputs = np.asarray(outputs.astype(jnp.bfloat16), np.float32).reshape(2, 3, -1)
    noise = np.linspace(0.2, 0.8, 6 * distribution.noise_size, dtype=np.float32).reshape(2, 3, -1)
    value = sample(distribution, outputs, noise, np.float32(0.9), 0.001)
    score = log_prob(distribution, outputs, value)
    assert value.shape == score.shape == mode_of(distribution, outputs).shape == (2, 3)
    assert value.dtype == (jnp.int32 if is_discrete(distribution) else jnp.float32)
    assert score.dtype == jnp.float32
    assert np.all(np.isfinite(score))
    for i, j in np.ndindex(2, 3):  # one by one, rounding as the other shape has it
        one = sample(distribution, outputs[i, j], noise[i, j], np.float32(0.9), 0.001)
        assert one.shape == ()
        np.testing.assert_allclose(np.asarray(one), np.asarray(value[i, j]), atol=1e-6)
    # A bfloat16 output is computed with in float32, so it gives the same bits as its float32 copy.
    narrow = outputs.astype(jnp.bfloat16)
    np.testing.assert_array_equal(np.asarray(sample(distribution, narrow, noise, np.float32(0.9), 0.001)), value)
    narrow_score = log_prob(distribution, narrow, value)
    assert narrow_score.dtype == jnp.float32
    np.testing.assert_array_equal(np.asarray(narrow_score), np.asarray(score))
    mapped = jax.vmap(lambda o, n: sample(distribution, o, n, np.float32(0.9), 0.001))(outputs, noise)
    np.testing.assert_allclose(np.asarray(mapped), np.asarray(value), atol=1e-6)


@pytest.mark.parametrize("distribution", SMALL, ids=str)
def test_works_beside_64_bit_numbers(distribution: Distribution) -> None:
    output = output_of(distribution)
    noise = np.full(distribution.noise_size, 0.4)
    value = sample(distribution, output, noise.astype(np.float32), np.float32(1), 0.0)
    score = log_prob(distribution, output, value)
    with jax.enable_x64(True):
        wide = sample(distribution, output.astype(np.float64), noise, np.float64(1), 0.0)
        assert wide.dtype == value.dtype
        assert np.asarray(wide) == np.asarray(value)
        wide_value = np.asarray(value, np.int64 if is_discrete(distribution) else np.float64)
        wide_score = log_prob(distribution, output.astype(np.float64), wide_value)
        assert wide_score.dtype == jnp.float32
        assert float(wide_score) == float(score)


@pytest.mark.parametrize("distribution", ALL, ids=str)
def test_wrong_arguments_are_named(distribution: Distribution) -> None:
    output = jnp.asarray(output_of(distribution))
    noise = jnp.full(distribution.noise_size, 0.4, jnp.float32)
    with pytest.raises(ValueError, match=rf"reads {distribution.output_size} channels .* output_size="):
        distribution.log_prob(output[:-1], jnp.asarray(values_of(distribution)[0]))
    with pytest.raises(ValueError, match=rf"takes noise_size={distribution.noise_size} uniforms"):
        distribution.sample(output, jnp.full(distribution.noise_size + 1, 0.4, jnp.float32), 1.0)
    for floor in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"probability_floor is .* takes a number in \[0, "):
            distribution.sample(output, noise, 1.0, floor)
