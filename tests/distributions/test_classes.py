"""Categorical and CoarseFine against plain float64 softmaxes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.distributions import Categorical, CoarseFine


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def joint_log_probs(distribution: CoarseFine, output: np.ndarray) -> np.ndarray:
    """The whole coarse x fine table, as the class docstring's formula has it."""
    c, f = distribution.coarse, distribution.fine
    coarse, base, slope, curvature = np.split(output.astype(np.float64), [c, c + f, 2 * c + f])
    t = np.linspace(-1, 1, f)
    fine = base[None] + slope[:, None] * t + curvature[:, None] * (t**2 - np.mean(t**2))
    return (log_softmax(coarse)[:, None] + log_softmax(fine)).reshape(-1)


def test_categorical_log_prob_and_gradient_are_the_softmax() -> None:
    logits = (4 * np.sin(np.arange(256.0) ** 1.2)).astype(np.float32)
    expected = log_softmax(logits.astype(np.float64))
    value_and_grad = jax.jit(jax.value_and_grad(Categorical().log_prob))
    for value in (0, 17, 255):
        score, gradient = value_and_grad(jnp.asarray(logits), jnp.int32(value))
        assert float(score) == pytest.approx(expected[value], abs=1e-5)
        np.testing.assert_allclose(np.asarray(gradient), (np.arange(256) == value) - np.exp(expected), atol=1e-6)


@pytest.mark.parametrize("distribution", [CoarseFine(), CoarseFine(coarse=5, fine=3), CoarseFine(coarse=2, fine=40)])
def test_coarse_fine_is_the_product_of_two_softmaxes(distribution: CoarseFine) -> None:
    output = (2 * np.sin(np.arange(distribution.output_size) ** 1.4)).astype(np.float32)
    values = jnp.arange(distribution.num_classes, dtype=jnp.int32)
    scores = jax.jit(jax.vmap(lambda value: distribution.log_prob(jnp.asarray(output), value)))(values)
    np.testing.assert_allclose(np.asarray(scores), joint_log_probs(distribution, output), atol=1e-5)


def test_coarse_fine_conditions_the_fine_level_on_the_coarse_one() -> None:
    distribution = CoarseFine(coarse=3, fine=8)
    output = np.zeros(distribution.output_size, np.float32)
    output[11:14] = [-20, 0, 20]  # slopes: the fine class is pushed down, left alone, pushed up
    table = joint_log_probs(distribution, output).reshape(3, 8)
    uniform = jnp.asarray([[0.1, 0.5], [0.5, 0.5], [0.9, 0.5]], jnp.float32)
    drawn = jax.jit(distribution.sample)(np.broadcast_to(output, (3, 17)), uniform, 1.0)
    assert np.asarray(drawn).tolist() == [0 * 8 + int(table[0].argmax()), 1 * 8 + 4, 2 * 8 + int(table[2].argmax())]
    assert np.asarray(drawn)[[0, 2]].tolist() == [0, 23]


def test_coarse_fine_log_prob_never_builds_the_table() -> None:
    distribution = CoarseFine(coarse=32, fine=32)
    output = jnp.zeros(distribution.output_size)
    text = str(jax.make_jaxpr(jax.grad(distribution.log_prob))(output, jnp.int32(5)))
    sizes = [int(np.prod([int(n) for n in shape.split(",")])) for shape in re.findall(r"[fib]\d+\[([\d,]+)\]", text)]
    assert max(sizes) == distribution.output_size == 128


def test_temperature_and_floor_work_level_by_level() -> None:
    distribution = CoarseFine(coarse=4, fine=6)
    output = jnp.asarray(2 * np.sin(np.arange(distribution.output_size) ** 1.4), jnp.float32)
    side = 300
    axis = (np.arange(side) + 0.5) / side
    noise = jnp.asarray(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2), jnp.float32)
    outputs = jnp.broadcast_to(output, (len(noise), distribution.output_size))
    drawn = np.asarray(jax.jit(lambda o, n: distribution.sample(o, n, 0.5, 0.1))(outputs, noise))
    table = joint_log_probs(distribution, np.asarray(output)).reshape(4, 6)
    coarse = np.exp(log_softmax(2 * np.log(np.exp(table).sum(1))))
    coarse = np.where(coarse >= 0.1, coarse, 0)
    fine = np.exp(log_softmax(2 * table))
    fine = np.where(fine >= 0.1, fine, 0)
    expected = (coarse / coarse.sum())[:, None] * fine / fine.sum(1, keepdims=True)
    assert 0 < np.count_nonzero(expected) < 24  # the floor cuts some classes
    np.testing.assert_allclose(np.bincount(drawn, minlength=24) / len(noise), expected.reshape(-1), atol=2 / side)


def test_the_mode_is_the_coarse_mode_and_the_fine_mode_within_it() -> None:
    distribution = CoarseFine(coarse=4, fine=6)
    mode_of = jax.jit(distribution.mode)
    for power in (1.1, 1.4, 1.7):
        output = 2 * np.sin(np.arange(distribution.output_size) ** power)
        table = joint_log_probs(distribution, output).reshape(4, 6)
        coarse = int(np.exp(table).sum(1).argmax())
        assert int(mode_of(jnp.asarray(output, jnp.float32))) == coarse * 6 + int(table[coarse].argmax())


@pytest.mark.parametrize("distribution", [Categorical(), CoarseFine()])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_are_finite_at_extreme_logits(distribution: Categorical | CoarseFine, dtype: jnp.dtype) -> None:
    sign = np.sign(np.sin(np.arange(distribution.output_size) * 2.3 + 0.1))
    values = jnp.asarray([0, 100, 255], jnp.int32)
    value_and_grad = jax.jit(jax.value_and_grad(lambda o: distribution.log_prob(o, values).sum()))
    for magnitude in (0.0, 90.0, 1e4, 1e30):
        output = jnp.asarray(np.broadcast_to(sign * magnitude, (3, len(sign))), dtype)
        score, gradient = value_and_grad(output)
        assert gradient.dtype == dtype
        assert np.all(np.isfinite(np.asarray(gradient, np.float32))), magnitude
        assert np.isfinite(score)


@pytest.mark.parametrize("distribution", [Categorical(), CoarseFine()])
def test_a_value_that_is_no_class_is_impossible(distribution: Categorical | CoarseFine) -> None:
    output = jnp.zeros(distribution.output_size)
    log_prob = jax.jit(distribution.log_prob)
    assert float(log_prob(output, jnp.int32(-1))) == -np.inf
    assert float(log_prob(output, jnp.int32(distribution.num_classes))) == -np.inf
    with pytest.raises(TypeError, match=r"value is float32, but .* scores integer classes; encode the waveform"):
        distribution.log_prob(output, jnp.float32(0.5))
    assert float(log_prob(output, jnp.uint8(3))) == pytest.approx(-np.log(distribution.num_classes))


def test_sizes_and_bad_configurations() -> None:
    assert (Categorical().output_size, Categorical().noise_size) == (256, 1)
    assert (CoarseFine().output_size, CoarseFine().num_classes, CoarseFine().noise_size) == (128, 1024, 2)
    with pytest.raises(ValueError, match="num_classes is 1"):
        Categorical(num_classes=1)
    with pytest.raises(ValueError, match="coarse is 1 and fine is 32; each level needs 2"):
        CoarseFine(coarse=1)
