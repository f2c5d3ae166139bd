"""Filters against scipy, their inverses and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from wavejax.audio.filterbanks import high_pass_taps
from wavejax.audio.filters import de_emphasis, high_pass, pre_emphasis


def noise(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("time", [1, 2, 997])
@pytest.mark.parametrize("coefficient", [0.0, 0.85, 0.97])
def test_pre_emphasis_and_its_inverse(time: int, coefficient: float) -> None:
    x = noise(2, time)
    emphasised = pre_emphasis(x, coefficient)
    np.testing.assert_allclose(emphasised, signal.lfilter([1, -coefficient], [1], x), atol=1e-6)
    np.testing.assert_allclose(de_emphasis(x, coefficient), signal.lfilter([1], [1, -coefficient], x), atol=1e-4)
    # An error of one rounding can grow by 1 / (1 - coefficient).
    np.testing.assert_allclose(de_emphasis(emphasised, coefficient), x, atol=1e-5)


def test_filters_take_any_leading_axes_and_empty_signals() -> None:
    x = noise(2, 3, 50)
    for batch in ((0, 0), (1, 2)):
        np.testing.assert_array_equal(pre_emphasis(x, 0.9)[batch], pre_emphasis(x[batch], 0.9))
        np.testing.assert_allclose(de_emphasis(x, 0.9)[batch], de_emphasis(x[batch], 0.9), atol=1e-6)
        np.testing.assert_allclose(high_pass(x, 16000, 70.0)[batch], high_pass(x[batch], 16000, 70.0), atol=1e-6)
    assert pre_emphasis(jnp.zeros((2, 0)), 0.9).shape == (2, 0)


def test_gradients_are_the_transposed_filters() -> None:
    x, weight = noise(64), noise(64)[::-1]
    gradient = jax.grad(lambda v: jnp.vdot(weight, de_emphasis(v, 0.85)))(x)
    expected = signal.lfilter([1], [1, -0.85], np.asarray(weight)[::-1])[::-1]
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    assert bool(jnp.all(jnp.isfinite(jax.grad(lambda v: jnp.sum(pre_emphasis(v, 0.85) ** 2))(jnp.zeros(9)))))


@pytest.mark.parametrize(("sample_rate", "cutoff", "taps"), [(22050, 70.0, 255), (16000, 300.0, 31), (8000, 3000.0, 3)])
def test_high_pass_taps_are_scipys(sample_rate: int, cutoff: float, taps: int) -> None:
    expected = signal.firwin(taps, cutoff / (sample_rate / 2), pass_zero=False)
    np.testing.assert_allclose(high_pass_taps(sample_rate, cutoff, taps), expected, atol=1e-12)


@pytest.mark.parametrize("time", [1, 100, 2003])
def test_high_pass_is_the_causal_filter_less_its_delay(time: int) -> None:
    x = noise(time)
    taps = signal.firwin(255, 70.0 / 11025, pass_zero=False)
    delayed = signal.lfilter(taps, 1, np.concatenate([x, np.zeros(127)]))
    np.testing.assert_allclose(high_pass(x, 22050, 70.0), delayed[127:], atol=1e-5)


def test_high_pass_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match=r"num_taps is 4; a linear-phase high-pass needs an odd number"):
        high_pass(noise(10), 16000, 70.0, num_taps=4)
    with pytest.raises(
        ValueError, match=r"cutoff is 9000.0 Hz; expected between 0 and half the sample rate \(8000.0 Hz\)"
    ):
        high_pass(noise(10), 16000, 9000.0)
