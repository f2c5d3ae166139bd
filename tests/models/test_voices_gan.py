"""Our MuseGAN: what the critic hears, draws whose gradient passes, sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.evaluation import music
from wavejax.models.voices_gan import PRESETS, VoicesConfig, heard, sounding, straight_through
from wavejax.nn.parameters import count_parameters

SMALL = VoicesConfig(lowest=50, highest=65, bars=2, noise_size=3, channels=4, critic_channels=4)


def phrases(codes: np.ndarray, config: VoicesConfig = SMALL) -> jax.Array:
    """Codes [B, T, V] as one class of each voice and step."""
    classes = np.where(codes <= 0, -codes, codes - (config.lowest - 2))
    return jnp.asarray(np.eye(config.num_classes, dtype=np.float32)[classes])


def random_codes(seed: int = 0, rows: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (rows, SMALL.num_steps, SMALL.num_voices)
    pitch, kind = rng.integers(SMALL.lowest, SMALL.highest + 1, shape), rng.random(shape)
    return np.where(kind < 0.7, -1, np.where(kind < 0.8, 0, pitch))


def test_what_sounds_is_what_the_figures_of_music_say():
    codes = random_codes()
    found = np.asarray(sounding(phrases(codes)))
    for row, piece in zip(found, codes, strict=True):
        pitch = np.where(row.any(axis=-1), row.argmax(axis=-1) + SMALL.lowest, 0)
        np.testing.assert_array_equal(pitch, music.sounding(piece))
    assert set(np.unique(found)) == {0.0, 1.0}


def test_the_critic_hears_intervals_whatever_the_key():
    codes = random_codes(1)
    codes = np.where(codes > 0, np.minimum(codes, SMALL.highest - 5), codes)
    moved = np.where(codes > 0, codes + 5, codes)
    one, other = (np.asarray(heard(phrases(each), SMALL.lowest)) for each in (codes, moved))
    voices, pitches = SMALL.num_voices, SMALL.num_pitches
    first = voices * (2 + pitches + 1)
    np.testing.assert_array_equal(one[..., first:-12], other[..., first:-12])  # motion and intervals
    np.testing.assert_array_equal(np.roll(one[..., -12:], 5, axis=-1), other[..., -12:])  # pitch classes
    assert (one[..., first - voices : first] != other[..., first - voices : first]).any()
    pitch = music.sounding(codes[0])
    step = int(np.flatnonzero((pitch[:, :2] > 0).all(axis=1))[0])
    interval = one[0, step, first + 12 * voices : first + 12 * voices + 12]
    assert interval.argmax() == (pitch[step, 1] - pitch[step, 0]) % 12
    assert interval.sum() == 1


def test_both_players_together_have_less_than_a_million_parameters():
    players = PRESETS["musegan-chorales"].build()
    generator, critic = jax.eval_shape(lambda: players.initial_params(jax.random.key(0)))
    assert count_parameters(generator) == 223_248
    assert count_parameters(critic) == 244_561


def test_before_training_three_codes_in_four_hold():
    players = SMALL.build()
    params = players.initial_params(jax.random.key(0))[0]
    logits = players.drawn(params, jax.random.split(jax.random.key(1), 4))[0]
    assert logits.shape == (4, 32, 4, 18)
    held = np.asarray(jax.nn.softmax(logits)[..., 1])
    assert 0.7 < held.mean() < 0.95


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"within 1 \.\. 127, got 60 and 50: give MIDI numbers"):
        VoicesConfig(lowest=60, highest=50)
    with pytest.raises(ValueError, match="voices must be one or more different names"):
        VoicesConfig(voices=("a", "a"))
    with pytest.raises(ValueError, match="bars must be at least 1, got 0"):
        VoicesConfig(bars=0)
    with pytest.raises(ValueError, match="critic_channels must be even"):
        VoicesConfig(critic_channels=7)


def test_draws_are_those_of_the_softmax_and_its_gradient_passes():
    logits = jnp.log(jnp.asarray([[0.5, 0.3, 0.2]]))
    noise = jax.random.uniform(jax.random.key(1), (20_000, 3), minval=1e-6)
    drawn = straight_through(jnp.broadcast_to(logits, noise.shape), noise)
    np.testing.assert_allclose(drawn.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(np.sort(drawn, axis=-1)[:, :2], 0, atol=1e-6)
    np.testing.assert_allclose(drawn.mean(axis=0), [0.5, 0.3, 0.2], atol=0.015)  # four standard deviations
    slope = jax.grad(lambda x: straight_through(x, noise[:1])[0, 0])(logits)
    assert float(jnp.abs(slope).max()) > 0.01
