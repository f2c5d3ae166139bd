"""Pitch of a mel spectrogram, the phase that it adds up to, and the spectrum of the harmonics that have both.

A mel spectrogram says how strong a frequency is, not where in its period. A voiced sound's phases are nearly those of
a train of pulses: harmonic k turns k times as fast as the pitch. Adding up the pitch from frame to frame therefore
gives a vocoder most of the phase, and its network learns only what differs from that, which changes slowly.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt32

from wavejax.nn.convnext import convolve
from wavejax.nn.inverse_stft import cosine_sine
from wavejax.nn.kernels import declare, declare_kernel

LOWEST_PITCH, HIGHEST_PITCH = 60.0, 800.0
"""Hz of the first and the last candidate of `PitchNetwork`."""

_MIDDLE_PITCH = math.sqrt(LOWEST_PITCH * HIGHEST_PITCH)
"""Hz of the place from which `PitchNetwork` counts logarithms."""

_FRACTION_BITS = 24
"""Of a phase that a float32 holds exactly."""


class Pitch(NamedTuple):
    """What `PitchNetwork` says of each frame."""

    frequency: Float[Array, "batch frames"]
    """F0 in Hz, also where there is no voice: the mean of the candidates' logarithms, weighted by their probability."""
    voicing: Float[Array, "batch frames"]
    """Logit of the frame being voiced."""
    scores: Float[Array, "batch frames candidates"]
    """Logits of the candidates, `candidates(...)` Hz."""


def candidates(count: int) -> np.ndarray:
    """F0 in Hz of each candidate, float32 [count]: evenly spaced in octaves."""
    return np.geomspace(LOWEST_PITCH, HIGHEST_PITCH, count).astype(np.float32)


class PitchNetwork(nn.Module):
    """F0 and voicing of frames: convolutions of three taps, then one logit per candidate and one of the voicing.

    Frames [B, F, C] -> `Pitch` of [B, F - 2 * reach]; it sees `reach` frames on each side. `pitch_loss` supervises it:
    a vocoder's own losses do not reach it.
    """

    input_channels: int
    channels: int = 64
    num_layers: int = 2
    num_candidates: int = 96
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @property
    def reach(self) -> int:
        """Frames on each side that a frame's pitch depends on."""
        return self.num_layers

    @nn.compact
    def __call__(self, x: Float[Array, "batch time channels"]) -> Pitch:
        """Pitch of the frames that have all of their context."""
        for layer in range(self.num_layers):
            shape = (3, x.shape[-1], self.channels)
            kernel = declare_kernel(self, f"layer_{layer}_kernel", shape, gain=math.sqrt(2.0))
            x = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.precision)
            x = jax.nn.relu(x + declare(self, f"layer_{layer}_bias", _zeros, (self.channels,))[None, None])
        kernel = declare_kernel(self, "output_kernel", (self.channels, self.num_candidates + 1))
        scores = jnp.matmul(x, kernel, precision=self.precision)
        scores = scores + declare(self, "output_bias", _zeros, (self.num_candidates + 1,))[None, None]
        # Logarithms from the middle on are small, so that rounding moves F0, and the phase that adds it up, little.
        logs = np.log(candidates(self.num_candidates) / _MIDDLE_PITCH).astype(np.float32)
        mean = jnp.sum(jax.nn.softmax(scores[..., 1:]) * logs[None, None], axis=-1)
        return Pitch(jnp.float32(_MIDDLE_PITCH) * jnp.exp(mean), scores[..., 0], scores[..., 1:])


class Rotation(NamedTuple):
    """Where the fundamental stands in its period, at the middle of a frame; a state that is carried between windows."""

    phase: UInt32[Array, " batch"]
    """In 2^-32 turns; only the upper 24 bits are ever set."""
    frequency: Float[Array, " batch"]
    """Hz."""


def rotate(
    frequency: Float[Array, "batch frames"], seconds: float, before: Rotation | None = None
) -> tuple[UInt32[Array, "batch frames"], Rotation]:
    """Phase of the fundamental in each frame, in 2^-32 turns, and the rotation after the last.

    Between two frames, `seconds` apart, the frequency is taken to change evenly. Phases are whole numbers that wrap
    around, so that sums are exact: their order, and where a stream is cut, do not matter, and an hour of sound does not
    blur them.

    Args:
      frequency: Hz.
      seconds: from one frame to the next.
      before: what the frames before these ended with; without them the first frame's phase is 0.
    """
    frequency = lax.stop_gradient(frequency)
    previous = frequency[:, :1] if before is None else before.frequency[:, None]
    means = 0.5 * (jnp.concatenate([previous, frequency[:, :-1]], axis=1) + frequency)
    turns = means * jnp.float32(seconds)
    scale = jnp.float32(2**_FRACTION_BITS)
    steps = ((turns - jnp.floor(turns)) * scale).astype(jnp.uint32) << (32 - _FRACTION_BITS)
    first = jnp.zeros_like(steps[:, :1]) if before is None else steps[:, :1] + before.phase[:, None]
    phase = jnp.cumsum(jnp.concatenate([first, steps[:, 1:]], axis=1), axis=1, dtype=jnp.uint32)
    return phase, Rotation(phase[:, -1], frequency[:, -1])


def as_turns(phase: UInt32[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The upper 24 bits of a phase, exactly: float32 in [0, 1)."""
    return (phase >> (32 - _FRACTION_BITS)).astype(jnp.float32) * jnp.float32(2.0**-_FRACTION_BITS)


def harmonic_spectrum(
    frequency: Float[Array, "batch frames"],
    phase: UInt32[Array, "batch frames"],
    n_fft: int,
    sample_rate: int,
) -> tuple[Float[Array, "batch frames bins"], Float[Array, "batch frames bins"]]:
    """Real and imaginary part of cosines at all harmonics, seen through a Hann window of n_fft samples.

    The phases are those at the window's middle; a harmonic alone has magnitude 1 at its frequency. Each bin hears the
    harmonics below and above it: a Hann window's main lobe reaches two bins, and is a raised cosine to within 0.03.
    """
    width = sample_rate / n_fft
    bins = jnp.arange(n_fft // 2 + 1, dtype=jnp.float32)[None, None]
    spacing = frequency[..., None] * jnp.float32(1 / width)  # bins from one harmonic to the next
    below = jnp.floor(bins / spacing)
    distance = bins - below * spacing
    lower = jnp.where(below >= 1, _lobe(distance), jnp.float32(0))
    upper = _lobe(spacing - distance)
    cosine, sine = cosine_sine(as_turns(phase[..., None] * below.astype(jnp.uint32)))
    step_cosine, step_sine = (part[..., None] for part in cosine_sine(as_turns(phase)))
    real = lower * cosine + upper * (cosine * step_cosine - sine * step_sine)
    imaginary = lower * sine + upper * (sine * step_cosine + cosine * step_sine)
    return real, imaginary


def _lobe(distance: Array) -> Array:
    """A Hann window's transform `distance` bins from its middle."""
    near = jnp.minimum(jnp.abs(distance), jnp.float32(2))
    return 0.5 + 0.5 * cosine_sine(near * jnp.float32(0.25))[0]


_zeros = nn.initializers.zeros
