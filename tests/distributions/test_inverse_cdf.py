from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.distributions import cdf_error, draw_class, draw_mode
from wavejax.distributions.inverse_cdf import table_shape

SIZES = [2, 3, 16, 31, 32, 33, 64, 100, 256, 257, 1000, 1024, 65536]
SMALLEST, LARGEST = 2.0**-24, 1 - 2.0**-24


def uniforms(count: int) -> np.ndarray:
    """An even grid of midpoints in (0, 1)."""
    return ((np.arange(count) + 0.5) / count).astype(np.float32)


@partial(jax.jit, static_argnums=3)
def _draw_all(logits: jax.Array, uniform: jax.Array, temperature: jax.Array, floor: float) -> jax.Array:
    return jax.vmap(lambda u: draw_class(logits, u, temperature, floor))(uniform)


def draw_all(logits: np.ndarray, uniform: np.ndarray, temperature: float = 1.0, floor: float = 0.0) -> np.ndarray:
    arguments = np.asarray(logits, np.float32), np.asarray(uniform, np.float32), np.float32(temperature)
    return np.asarray(_draw_all(*arguments, floor))


def some_logits(size: int) -> np.ndarray:
    return (3 * np.sin(1.7 * np.arange(size) ** 1.3)).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
def test_a_draw_is_the_reference_draw_but_for_the_stated_error(size: int) -> None:
    logits = some_logits(size)
    uniform = uniforms(1 << 12 if size < 2000 else 1 << 8)
    drawn = draw_all(logits, uniform)
    weights = np.exp(logits.astype(np.float64) - logits.max())
    edges = np.cumsum(weights) / weights.sum()
    expected = np.searchsorted(edges, uniform.astype(np.float64), side="right")
    differs = np.flatnonzero(drawn != expected)
    # float32 exponentials are right to about 2^-22 relative, and that much of the total can shift an edge.
    slack = cdf_error(size) + 2.0**-22
    for i in differs:
        between = edges[min(drawn[i], expected[i]) : max(drawn[i], expected[i])]
        assert np.abs(between - float(uniform[i])).max() <= slack, (i, drawn[i], expected[i])
    assert drawn.min() >= 0
    assert drawn.max() < size


def test_the_stated_error_is_small() -> None:
    assert cdf_error(2) < cdf_error(256) < 4e-6
    assert table_shape(256) == (16, 16)
    assert table_shape(1024) == (32, 32)
    assert all(rows * columns >= size for size in SIZES for rows, columns in [table_shape(size)])


@pytest.mark.parametrize("size", [2, 32, 33, 256, 257, 1000])
def test_a_class_of_probability_zero_is_never_drawn(size: int) -> None:
    uniform = np.array([SMALLEST, *uniforms(254), LARGEST], np.float32)
    for alone in {0, 1, size // 2, size - 1}:
        logits = np.full(size, -np.inf)
        logits[alone] = 1.5
        assert set(draw_all(logits, uniform)) == {alone}
    every_third = np.full(size, -np.inf)
    every_third[1::3] = some_logits(size)[1::3]
    assert np.all(draw_all(every_third, uniform) % 3 == 1)
    drawn = draw_all(np.zeros(size), uniform)
    assert (drawn[0], drawn[-1]) == (0, size - 1)


@pytest.mark.parametrize("size", [5, 256])
def test_temperature_zero_is_the_mode_and_the_first_of_equals(size: int) -> None:
    uniform = np.array([SMALLEST, 0.3, LARGEST])
    for logits in (some_logits(size), np.zeros(size, np.float32), np.round(some_logits(size) / 2)):
        mode = int(np.argmax(logits))
        assert int(draw_mode(jnp.asarray(logits))) == mode
        # Below the smallest normal number, and below zero, counts as zero; just above it there are no overflows.
        for temperature in (0.0, -1.0, 1e-40):
            assert set(draw_all(logits, uniform, temperature)) == {mode}, temperature
        assert np.all(logits[draw_all(logits, uniform, 2e-38)] == logits.max())


def test_temperature_divides_the_logits() -> None:
    logits = some_logits(256)
    uniform = uniforms(1 << 12)
    np.testing.assert_array_equal(draw_all(logits, uniform, 0.5), draw_all(2 * logits, uniform))
    np.testing.assert_array_equal(draw_all(logits, uniform, 4.0), draw_all(logits / 4, uniform))
    hot = np.bincount(draw_all(logits, uniform, 1e30), minlength=256)
    assert np.all(np.abs(hot - 16) <= 1)


def test_the_floor_cuts_classes_and_renormalises_the_rest() -> None:
    probabilities = np.array([0.05, 0.4, 0.02, 0.3, 0.23])
    logits = np.log(probabilities)
    count = 1 << 12
    frequencies = np.bincount(draw_all(logits, uniforms(count), 1.0, 0.04), minlength=5) / count
    kept = np.where(probabilities >= 0.04, probabilities, 0)
    np.testing.assert_allclose(frequencies, kept / kept.sum(), atol=1 / count + 1e-5)
    assert frequencies[2] == 0
    assert set(draw_all(logits, uniforms(count), 1.0, 0.9)) == {1}  # the most probable class always stays
    # The floor is applied at the temperature: softmax(2 logits) leaves class 0 a probability of 0.0079.
    assert set(draw_all(logits, uniforms(count), 0.5, 0.01)) == {1, 3, 4}


def test_a_temperature_for_each_draw() -> None:
    logits, heats = some_logits(300), [0.0, 0.5, 1.0, 2.0]
    together = jax.jit(draw_class)(
        np.broadcast_to(logits, (4, 2, 300)),
        np.full((4, 2), 0.77, np.float32),
        np.array(heats, np.float32)[:, None],
    )
    apart = [draw_all(logits, np.full(2, 0.77), heat) for heat in heats]
    np.testing.assert_array_equal(np.asarray(together), apart)
    assert len(np.unique(apart)) > 2


def test_a_nan_stays_a_class() -> None:
    assert set(draw_all(np.full(256, np.nan), uniforms(3))) <= set(range(256))
