"""Losses of attention, beside the sums that define them."""

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.losses.attention import (
    aligned_attention,
    attention_near,
    gate_loss,
    guided_attention,
    places_of_steps,
)

STEPS, PLACES = np.asarray([6, 4], np.int32), np.asarray([5, 3], np.int32)
DURATIONS = jnp.asarray([[3, 0, 4, 2, 3], [2, 4, 2, 0, 0]], jnp.int32)


def attention() -> jax.Array:
    weights = np.random.default_rng(0).uniform(0, 1, (2, 6, 5))
    weights[1, :, 3:] = 0
    return jnp.asarray(weights / weights.sum(axis=-1, keepdims=True), jnp.float32)


def test_attention_away_from_the_diagonal_costs() -> None:
    weights = np.asarray(attention(), np.float64)
    found = guided_attention(attention(), jnp.asarray(STEPS), jnp.asarray(PLACES), 0.3)
    for row, (steps, places) in enumerate(zip(STEPS, PLACES, strict=True)):
        wanted = sum(
            weights[row, s, p] * (1 - np.exp(-((p / places - s / steps) ** 2) / (2 * 0.3**2)))
            for s in range(steps)
            for p in range(places)
        )
        np.testing.assert_allclose(found[row], wanted / steps, rtol=1e-5)
    straight = jnp.zeros((1, 6, 6)).at[0, jnp.arange(6), jnp.arange(6)].set(1)
    six = jnp.asarray([6], jnp.int32)
    assert float(guided_attention(straight, six, six)[0]) == 0
    assert float(guided_attention(straight[:, ::-1], six, six)[0]) > 0.5


def test_a_step_belongs_to_the_place_of_its_middle_frame() -> None:
    assert places_of_steps(DURATIONS, 6, 2).tolist() == [[0, 2, 2, 3, 4, 4], [0, 1, 1, 2, 4, 4]]
    assert places_of_steps(DURATIONS, 4, 3).tolist() == [[0, 2, 3, 4], [0, 1, 2, 4]]


def test_attention_to_the_known_places() -> None:
    where = places_of_steps(DURATIONS, 6, 2)
    weights = np.asarray(attention(), np.float64)
    entropy = aligned_attention(attention(), where, jnp.asarray(STEPS))
    near = attention_near(attention(), where, jnp.asarray(STEPS))
    for row, steps in enumerate(STEPS):
        own = [weights[row, s, int(where[row, s])] for s in range(steps)]
        np.testing.assert_allclose(entropy[row], np.mean(-np.log(np.asarray(own) + 1e-4)), rtol=1e-5)
        around = [weights[row, s, max(w - 1, 0) : w + 2].sum() for s, w in enumerate(np.asarray(where[row])[:steps])]
        np.testing.assert_allclose(near[row], np.mean(around), rtol=1e-5)


def test_the_gate_is_one_at_the_last_step_only() -> None:
    gates = jnp.asarray(np.random.default_rng(1).normal(size=(2, 6)), jnp.float32)
    chances = 1 / (1 + np.exp(-np.asarray(gates, np.float64)))
    found = gate_loss(gates, jnp.asarray(STEPS), 5.0)
    for row, steps in enumerate(STEPS):
        costs = [*(-np.log(1 - chances[row, : steps - 1])), -5 * np.log(chances[row, steps - 1])]
        np.testing.assert_allclose(found[row], np.sum(costs) / steps, rtol=1e-5)


def test_what_lies_past_an_example_changes_nothing_and_nothing_has_no_loss() -> None:
    none = jnp.asarray([0, 4], jnp.int32)
    where = places_of_steps(DURATIONS, 6, 2)
    changed = attention().at[1, 4:].set(0.2)
    for loss in (
        lambda weights: guided_attention(weights, none, jnp.asarray(PLACES)),
        lambda weights: aligned_attention(weights, where, none),
        lambda weights: attention_near(weights, where, none),
        lambda weights: gate_loss(weights[..., 0], none),
    ):
        np.testing.assert_array_equal(loss(attention()), loss(changed))
        assert float(loss(changed)[0]) == 0
        assert np.isfinite(jax.grad(lambda weights, loss=loss: jnp.sum(loss(weights)))(attention())).all()
