"""Codes of a score: what a temperature leaves of the rhythm and of the pitches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.distributions import Categorical, ScoreCodes

CODES = ScoreCodes(num_classes=12)
LOGITS = np.random.default_rng(2).normal(0, 2, 12).astype(np.float32)
LOGITS[1] = 5.0  # to hold is the most probable code, as in most steps of a score


def shares(temperature: float, logits: np.ndarray = LOGITS) -> np.ndarray:
    """How often each class is drawn on an even grid of uniforms."""
    uniforms = ((np.arange(20_000) + 0.5) / 20_000).astype(np.float32)[:, None]
    outputs = jnp.broadcast_to(jnp.asarray(logits), (20_000, 12))
    drawn = jax.jit(CODES.sample)(outputs, uniforms, np.float32(temperature))
    return np.bincount(np.asarray(drawn), minlength=12) / 20_000


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def test_pitches_are_drawn_at_the_temperature_and_the_rhythm_at_its_root() -> None:
    plain = softmax(LOGITS.astype(np.float64))
    rhythm = np.append(plain[:2], plain[2:].sum())
    for temperature in (0.25, 0.6, 1.0, 2.0):
        found = shares(temperature)
        expected = softmax(np.log(rhythm) / np.sqrt(temperature))
        np.testing.assert_allclose([*found[:2], found[2:].sum()], expected, atol=2e-4)
        pitches = softmax(np.log(plain[2:]) / temperature)
        np.testing.assert_allclose(found[2:] / found[2:].sum(), pitches, atol=3e-3)


def test_a_careful_draw_strikes_more_notes_than_a_plain_softmax() -> None:
    uniforms = ((np.arange(2000) + 0.5) / 2000).astype(np.float32)[:, None]
    outputs = jnp.broadcast_to(jnp.asarray(LOGITS), (2000, 12))
    plain = np.asarray(Categorical(num_classes=12).sample(outputs, jnp.asarray(uniforms), 0.3))
    assert shares(0.3)[2:].sum() > 2 * np.mean(plain >= 2) > 0


def test_what_is_certain_or_impossible_stays_so() -> None:
    certain = np.full(12, -1e9, np.float32)
    for code in (0, 1, 7):
        logits = certain.copy()
        logits[code] = 0
        for temperature in (0.0, 0.1, 1.0):
            assert shares(temperature, logits)[code] == 1
    logits = LOGITS.copy()
    logits[1] = -1e9
    for temperature in (0.0, 0.5, 1.0):
        assert shares(temperature, logits)[1] == 0


def test_it_needs_a_pitch() -> None:
    with pytest.raises(ValueError, match="num_classes is 2; a rest, a hold and a pitch are 3 classes or more"):
        ScoreCodes(num_classes=2)
