"""SpecAugment (Park et al. 2019, arXiv 1904.08779): whole bands and stretches of time of the features are blotted out.

Instead of its time warping, which moves one point, the tempo may rise and fall; and the frequency axis may be
stretched, as by a longer or shorter vocal tract (Jaitly & Hinton 2013, "Vocal Tract Length Perturbation"). Before
anything is blotted out, utterances may stand in a room, in noise and at a telephone, in this order.
"""

import dataclasses
import math
from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.nn.acoustics import in_a_room, over_a_telephone
from wavejax.ranges import AT_LEAST_NONE, Range, check_ranges

_SHORTEST_SWING = 64.0
"""Frames in which a tempo rises and falls, at least."""
_SWINGS = 32.0
"""The longest rise and fall takes this many times as long as the shortest."""
_NOISE_DECIBELS = (5.0, 30.0)
_TILT = 1.5
"""Of a noise's spectrum: nats from its middle to its ends, at most."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecAugmentConfig:
    """How much is blotted out. Widths are drawn for each mask and example, from 0 to these limits."""

    frequency_masks: Annotated[int, Range(0, 64)] = 2
    frequency_share: Annotated[float, Range(0, 1)] = 0.2
    """Of the channels, for each mask at most."""
    time_masks: Annotated[int, Range(0, 64)] = 5
    time_share: Annotated[float, Range(0, 1)] = 0.05
    """Of an example's own frames, for each mask at most."""
    gain: Annotated[float, AT_LEAST_NONE] = 0.0
    """Above 0: a constant, drawn between minus and plus this, is added to all channels; for log features a gain."""

    tempo: Annotated[float, Range(0, 0.5)] = 0.0
    """Above 0: within an example the tempo rises and falls by up to this share; its length stays."""
    stretch: Annotated[float, Range(0, 0.5)] = 0.0
    """Above 0: the channels of an example are stretched or squeezed by up to this share."""
    noise: Annotated[float, Range(0, 1)] = 0.0
    """Share of the examples to which noise is added, 5 to 30 dB below them; for natural logs of magnitudes."""
    rooms: Annotated[float, Range(0, 1)] = 0.0
    """Share of the examples that get the echo of a room, 0 to 15 dB below them, which fades by 60 dB in 0.1 to 0.6 s;
    for natural logs of magnitudes."""
    telephone: Annotated[float, Range(0, 1)] = 0.0
    """Share of the examples that are heard over a telephone, 300 to 3400 Hz; for natural logs of magnitudes."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"augment.{name}")


def spec_augment(
    features: Float[Array, "batch frames channels"],
    num_frames: Int[Array, " batch"],
    keys: Key[Array, " batch"],
    config: SpecAugmentConfig,
    fill: float,
    spec: FeatureSpec | None = None,
) -> Float[Array, "batch frames channels"]:
    """The features with masks drawn from each example's own key: the same, however a batch is split over devices.

    Args:
        features: of each example `num_frames` count; time masks fall among those.
        num_frames: frames of each example.
        keys: one for each example.
        config: how much.
        fill: what stands where something was blotted out.
        spec: of the features, by which rooms and telephones know their frames and channels.

    Raises ValueError where rooms or telephones are wanted of features without a spec.
    """
    if spec is None and (config.rooms or config.telephone):
        raise ValueError("augment.rooms and augment.telephone need the spec of the features: give it, or set both to 0")

    def masked(x: Array, count: Array, key: Array) -> Array:
        x = _in_another_tempo(x, count, jax.random.fold_in(key, 3), config.tempo)
        x = _stretched(x, jax.random.fold_in(key, 4), config.stretch)
        if spec is not None:
            x = in_a_room(x, count, jax.random.fold_in(key, 6), config.rooms, spec)
        x = _with_noise(x, count, jax.random.fold_in(key, 5), config.noise)
        if spec is not None:
            x = over_a_telephone(x, count, jax.random.fold_in(key, 7), config.telephone, spec)
        bands, times, gain = jax.random.split(key, 3)
        channels = jnp.asarray(x.shape[1], jnp.int32)
        kept = ~_covered(bands, config.frequency_masks, config.frequency_share, channels, x.shape[1])[None]
        kept &= ~_covered(times, config.time_masks, config.time_share, count, x.shape[0])[:, None]
        added = jax.random.uniform(gain, (), x.dtype, -1.0, 1.0) * x.dtype.type(config.gain)
        return jnp.where(kept, x + added, x.dtype.type(fill))

    return jax.vmap(masked)(features, num_frames, keys)


def _in_another_tempo(x: Array, count: Array, key: Array, share: float) -> Array:
    """Frames read at t + sin(2 pi t / period + phase) share period / 2 pi, between two of them linearly."""
    if not share:
        return x
    drawn = jax.random.uniform(key, (3,), jnp.float32)
    time = jnp.arange(x.shape[0], dtype=jnp.float32)
    last = jnp.maximum(count - 1, 0).astype(jnp.float32)
    radians = jnp.float32(2 * math.pi) / (jnp.float32(_SHORTEST_SWING) * jnp.float32(_SWINGS) ** drawn[0])
    moved = time + jnp.float32(share) * drawn[1] / radians * jnp.sin(
        radians * time + jnp.float32(2 * math.pi) * drawn[2]
    )
    moved = jnp.where(time <= last, jnp.clip(moved, jnp.float32(0), last), time)
    before = jnp.floor(moved)
    part = (moved - before)[:, None].astype(x.dtype)
    index = before.astype(jnp.int32)
    return x[index] * (1 - part) + x[jnp.minimum(index + 1, x.shape[0] - 1)] * part


def _stretched(x: Array, key: Array, share: float) -> Array:
    """Channels read at c (1 + factor), between two of them linearly; past the last one there is the last one."""
    if not share:
        return x
    channel = jnp.arange(x.shape[1], dtype=jnp.float32)
    factor = jax.random.uniform(key, (), jnp.float32, -1.0, 1.0) * jnp.float32(share)
    read = jnp.minimum(channel * (1 + factor), channel[-1])
    weights = jnp.maximum(jnp.float32(1) - jnp.abs(channel[:, None] - read[None]), jnp.float32(0))
    return jnp.matmul(x, weights.astype(x.dtype), precision="highest")


def _with_noise(x: Array, count: Array, key: Array, share: float) -> Array:
    """Log-magnitudes of the sum of two sounds that have nothing to do with each other: their powers add up.

    The noise's spectrum rises or falls over the channels; its magnitudes are Rayleigh distributed, as a noise's are.
    """
    if not share:
        return x
    drawn = jax.random.uniform(key, (3,), x.dtype)
    valid = (jnp.arange(x.shape[0], dtype=count.dtype) < count)[:, None]
    power = jnp.sum(jnp.where(valid, jnp.exp(2 * x), x.dtype.type(0)))
    mean = power / (jnp.maximum(count, 1).astype(x.dtype) * x.dtype.type(x.shape[1]))
    low, high = _NOISE_DECIBELS
    decibels = x.dtype.type(low) + x.dtype.type(high - low) * drawn[0]
    level = x.dtype.type(0.5) * jnp.log(mean + x.dtype.type(1e-12)) - decibels * x.dtype.type(math.log(10) / 20)
    tilt = x.dtype.type(2 * _TILT) * (drawn[1] - x.dtype.type(0.5)) * jnp.linspace(-1, 1, x.shape[1], dtype=x.dtype)
    exponential = -jnp.log1p(-jax.random.uniform(jax.random.fold_in(key, 1), x.shape, x.dtype))
    noise = level + tilt[None] + x.dtype.type(0.5) * jnp.log(exponential + x.dtype.type(1e-6))
    return jnp.where(drawn[2] < share, x.dtype.type(0.5) * jnp.logaddexp(2 * x, 2 * noise), x)


def _covered(key: Array, count: int, share: float, length: Array, size: int) -> Bool[Array, " size"]:
    """Which of `size` places lie below one of `count` masks, each at most `share` of the first `length` wide."""
    if not count or not share:
        return jnp.zeros((size,), jnp.bool_)
    total = length.astype(jnp.float32)
    width_key, start_key = jax.random.split(key)
    width = jnp.floor(jax.random.uniform(width_key, (count, 1)) * (jnp.float32(share) * total + 1))
    start = jnp.floor(jax.random.uniform(start_key, (count, 1)) * (total - width + 1))
    place = jnp.arange(size, dtype=jnp.float32)[None]
    return jnp.any((place >= start) & (place < start + width), axis=0)


__all__ = ["SpecAugmentConfig", "spec_augment"]
