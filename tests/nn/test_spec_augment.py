"""SpecAugment: how much is blotted out, where, and that each example depends on its own key alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import cheap_jit
from wavejax.nn.spec_augment import SpecAugmentConfig, spec_augment

FILL = -5.0
X = np.random.default_rng(0).normal(size=(16, 40, 20)).astype(np.float32)
COUNTS = np.asarray([40, 20] * 8, np.int32)


def masked(config: SpecAugmentConfig, seed: int = 0, rows: slice = slice(None)) -> np.ndarray:
    keys = jax.random.split(jax.random.key(seed), 16)[rows]
    program = cheap_jit(functools.partial(spec_augment, config=config, fill=FILL))
    return np.asarray(program(jnp.asarray(X[rows]), jnp.asarray(COUNTS[rows]), keys))


def test_bands_and_stretches_of_time_are_filled() -> None:
    bands = masked(SpecAugmentConfig(frequency_masks=1, frequency_share=0.25, time_masks=0)) == FILL
    assert (bands.all(axis=1) | ~bands.any(axis=1)).all(), "whole bands"
    widths = bands.all(axis=1).sum(axis=1)
    assert widths.min() < 3
    assert 3 < widths.max() <= 5
    times = masked(SpecAugmentConfig(frequency_masks=0, time_masks=2, time_share=0.25)) == FILL
    assert (times.all(axis=2) | ~times.any(axis=2)).all(), "whole frames"
    frames = times.all(axis=2)
    assert not frames[1::2, 20:].any(), "within an utterance"
    assert frames.sum(axis=1).max() > 5
    assert frames[1::2].sum(axis=1).max() <= 2 * 5
    assert frames[::2].sum(axis=1).max() <= 2 * 10


def test_what_is_not_filled_is_as_it_was() -> None:
    found = masked(SpecAugmentConfig())
    np.testing.assert_array_equal(found[found != FILL], X[found != FILL])
    assert (found != FILL).mean() > 0.5
    np.testing.assert_array_equal(masked(SpecAugmentConfig(frequency_masks=0, time_masks=0)), X)


def test_an_example_depends_on_its_own_key() -> None:
    config = SpecAugmentConfig(gain=1.0)
    whole = masked(config)
    np.testing.assert_array_equal(whole[4:9], masked(config, rows=slice(4, 9)))
    assert not np.array_equal(whole, masked(config, seed=1))


def test_a_gain_is_one_number_for_an_example() -> None:
    added = masked(SpecAugmentConfig(frequency_masks=0, time_masks=0, gain=2.0)) - X
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1], added.shape), atol=1e-5)
    gains = added[:, 0, 0]
    assert np.abs(gains).max() <= 2
    assert gains.std() > 0.5


NOTHING = {"frequency_masks": 0, "time_masks": 0}


def warped(x: np.ndarray, counts: np.ndarray, **changes: float) -> np.ndarray:
    keys = jax.random.split(jax.random.key(2), len(x))
    config = SpecAugmentConfig(**NOTHING, **changes)
    return np.asarray(cheap_jit(functools.partial(spec_augment, config=config, fill=FILL))(x, counts, keys))


def test_a_tempo_rises_and_falls_within_an_example() -> None:
    time = np.broadcast_to(np.arange(300, dtype=np.float32)[None, :, None], (12, 300, 2))
    counts = np.asarray([300, 200] * 6, np.int32)
    read = warped(time, counts, tempo=0.2)
    np.testing.assert_array_equal(read[1::2, 200:], time[1::2, 200:])  # padding stays
    for row, count in zip(read[..., 0], counts, strict=True):
        steps = np.diff(row[:count])
        inner = steps[(row[1:count] > 1) & (row[1:count] < count - 2)]  # at the ends the first and last frames stay
        assert 0.8 - 1e-3 <= inner.min() <= inner.max() <= 1.2 + 1e-3
        assert row.min() >= 0
        assert row[:count].max() <= count - 1
    assert np.abs(read - time).max() > 3
    assert np.diff(read[0, :, 0]).std() > 0.01


def test_channels_are_stretched_from_the_lowest_one_on() -> None:
    channels = np.broadcast_to(np.arange(20, dtype=np.float32), (12, 8, 20))
    read = warped(channels, np.full(12, 8, np.int32), stretch=0.2)
    factors = read[:, 0, 10] / 10
    np.testing.assert_allclose(read, np.minimum(channels * factors[:, None, None], 19), atol=1e-4)
    assert 0.8 <= factors.min() < 0.95
    assert 1.05 < factors.max() <= 1.2


def test_noise_is_added_to_a_share_of_the_examples_below_their_own_level() -> None:
    x = np.random.default_rng(1).normal(-3, 1, (64, 40, 20)).astype(np.float32)
    counts = np.full(64, 40, np.int32)
    noisy = warped(x, counts, noise=0.5)
    changed = np.abs(noisy - x).max(axis=(1, 2)) > 0
    assert 20 < changed.sum() < 44
    assert (noisy >= x - 1e-5).all(), "powers add up"
    added = np.exp(2.0 * noisy[changed]) - np.exp(2.0 * x[changed])
    ratio = 10 * np.log10(np.exp(2.0 * x[changed]).mean(axis=(1, 2)) / added.mean(axis=(1, 2)))
    assert 0 < ratio.min() < 12 < 24 < ratio.max() < 31
    silent = warped(np.full((4, 40, 20), -11.5, np.float32), counts[:4], noise=1.0)
    assert silent.max() < -10, "and silence stays silence"


def test_shares_are_shares() -> None:
    with pytest.raises(ValueError, match=r"augment\.time_share must be at least 0 and at most 1, got 2"):
        SpecAugmentConfig(time_share=2)
