"""What rooms and telephones do to speech, done to its log-mel features: for training in what no corpus was recorded in.

Features are natural logs of magnitudes. Sounds that have nothing to do with each other add up in power, so what is
added here is added to exp(2 x).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Key

from wavejax.audio.feature_spec import FeatureSpec

_DECAY_SECONDS = (0.1, 0.6)
"""In which an echo loses 60 dB, in the lowest channel."""
_HIGH_DECAY = 0.5
"""Of that, in the highest channel at least: air and walls swallow high sounds sooner."""
_DIRECT_DECIBELS = (0.0, 15.0)
"""By which what is heard directly exceeds the echo: near and far from the speaker."""
_BAND = (300.0, 3400.0)
"""Hz that a telephone carries (ITU-T G.712)."""
_BAND_DECIBELS_PER_OCTAVE = 24.0
"""By which it carries less and less below its band; above the band 4 times as much, as half its sample rate is near."""
_HIGHEST = 4000.0
"""Hz, half a telephone's sample rate: nothing is above."""
_CODING_DECIBELS = (25.0, 40.0)
"""By which a frame exceeds the noise of its coding; 8 bits of mu-law have 37."""
_LINE_DECIBELS = (40.0, 60.0)
"""By which an utterance exceeds the line's own noise."""


def in_a_room(
    x: Float[Array, "frames channels"], count: Int[Array, ""], key: Key[Array, ""], share: float, spec: FeatureSpec
) -> Float[Array, "frames channels"]:
    """For `share` of the keys, speech with the diffuse echo of a room that is drawn: its power decays exponentially.

    A frame's power in a channel becomes P(t) + g sum over k >= 1 of a^k P(t - k), with a = 10^(-6 / (T frames a
    second)) for an echo that loses 60 dB in T seconds, and g such that all of the echo is a drawn ratio below what is
    heard directly: the model of Polack (1988) with frames for samples. T is 0.1 to 0.6 s, less in high channels.

    Args:
        x: natural logs of magnitudes.
        count: frames that are there; those past them stay as they are.
        key: of this example.
        share: of the examples.
        spec: of the features.
    """
    if not share:
        return x
    drawn = jax.random.uniform(key, (4,), jnp.float32)
    shortest, longest = _DECAY_SECONDS
    seconds = jnp.float32(shortest) * jnp.float32(longest / shortest) ** drawn[0]
    height = jnp.linspace(0, 1, x.shape[1], dtype=jnp.float32)
    seconds = seconds * (1 - jnp.float32(1 - _HIGH_DECAY) * drawn[1] * height)
    decay = jnp.exp(jnp.float32(-6 * math.log(10) / spec.frame_rate) / seconds)
    low, high = _DIRECT_DECIBELS
    decibels = jnp.float32(low) + jnp.float32(high - low) * drawn[2]
    gain = jnp.exp(-decibels * jnp.float32(math.log(10) / 10)) * (1 - decay) / decay
    power = jnp.exp(2 * x.astype(jnp.float32))

    def frame(echo: Array, now: Array) -> tuple[Array, Array]:
        return decay * (echo + now), echo

    _, echo = lax.scan(frame, jnp.zeros((x.shape[1],), jnp.float32), power)
    heard = (jnp.float32(0.5) * jnp.log(power + gain[None] * echo)).astype(x.dtype)
    return jnp.where((drawn[3] < share) & _exists(x, count), heard, x)


def over_a_telephone(
    x: Float[Array, "frames channels"], count: Int[Array, ""], key: Key[Array, ""], share: float, spec: FeatureSpec
) -> Float[Array, "frames channels"]:
    """For `share` of the keys, speech as a telephone brings it: 300 to 3400 Hz, with noise of its coding and its line.

    The coding's noise follows the level of each frame, as that of logarithmic coding (ITU-T G.711) does. What is left
    outside of the band is the floor of the features. Args as `in_a_room`.
    """
    if not share:
        return x
    drawn = jax.random.uniform(key, (3,), jnp.float32)
    passed, noise = (jnp.asarray(values) for values in telephone_band(spec))
    narrow = x.astype(jnp.float32) + passed[None]
    exists = _exists(x, count)
    power = jnp.sum(jnp.where(exists, jnp.exp(2 * narrow), jnp.float32(0)), axis=1, keepdims=True)
    mean = jnp.sum(power) / jnp.maximum(count, 1).astype(jnp.float32)
    coding, line = (
        jnp.exp((jnp.float32(low) + jnp.float32(high - low) * drawn[place]) * jnp.float32(-math.log(10) / 10))
        for place, (low, high) in enumerate((_CODING_DECIBELS, _LINE_DECIBELS))
    )
    added = (coding * power + line * mean) * noise[None]
    added = added * -jnp.log1p(-jax.random.uniform(jax.random.fold_in(key, 1), x.shape, jnp.float32))
    heard = jnp.float32(0.5) * jnp.log(jnp.exp(2 * narrow) + added + jnp.float32(1e-30))
    heard = jnp.maximum(heard, jnp.float32(math.log(spec.floor))).astype(x.dtype)
    return jnp.where((drawn[2] < share) & exists, heard, x)


def telephone_band(spec: FeatureSpec) -> tuple[Float[np.ndarray, " channels"], Float[np.ndarray, " channels"]]:
    """(nats by which a telephone lowers each channel, share of each in the power of a noise that it carries), float32.

    Both follow from the spec's filters and the telephone's response at each frequency.
    """
    filters = spec.filterbank.astype(np.float64)
    hertz = np.arange(len(filters)) * spec.sample_rate / spec.n_fft
    low, high = _BAND
    below = np.log2(low / np.maximum(hertz, 1.0)).clip(0) * _BAND_DECIBELS_PER_OCTAVE
    above = np.log2(np.maximum(hertz, 1.0) / high).clip(0) * 4 * _BAND_DECIBELS_PER_OCTAVE
    response = np.where(hertz < _HIGHEST, 10 ** (-(below + above) / 20), 0.0)
    passed = (response @ filters) / np.maximum(filters.sum(axis=0), 1e-12)
    power = np.square(response) @ np.square(filters)
    noise = power / max(float(power.sum()), 1e-12)
    return np.log(np.maximum(passed, 1e-9)).astype(np.float32), noise.astype(np.float32)


def _exists(x: Array, count: Array) -> Array:
    return (jnp.arange(x.shape[0], dtype=count.dtype) < count)[:, None]


__all__ = ["in_a_room", "over_a_telephone", "telephone_band"]
