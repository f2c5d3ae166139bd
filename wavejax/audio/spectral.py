"""Short-time Fourier transform, magnitudes and mel filterbanks in JAX: jit-safe, differentiable, any leading axes."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from wavejax.audio.filterbanks import frame_window, hann_window, hz_to_mel, mel_filterbank, mel_to_hz

__all__ = [
    "frame_window",
    "frames_of",
    "hann_window",
    "hz_to_mel",
    "magnitudes",
    "mel_filterbank",
    "mel_spectrum",
    "mel_to_hz",
    "pad_waveform",
    "stft",
]


def pad_waveform(
    waveform: Float[Array, "*batch time"], left: int, right: int, mode: Literal["reflect", "zero"] = "reflect"
) -> Float[Array, "*batch padded"]:
    """The waveform padded by ``left`` and ``right`` samples on its last axis: reflected (edge not repeated) or zero.

    If the padding is longer than the waveform, it is reflected several times; a single sample is repeated.
    """
    num_samples = waveform.shape[-1]
    if mode == "reflect" and max(left, right) >= num_samples:
        # Several reflections: one look-up instead of a concatenation for each.
        return jnp.take(waveform, jnp.asarray(np.pad(np.arange(num_samples), (left, right), mode="reflect")), axis=-1)
    widths = [(0, 0)] * (waveform.ndim - 1) + [(left, right)]
    return jnp.pad(waveform, widths, mode="reflect" if mode == "reflect" else "constant")


def frames_of(
    waveform: Float[Array, "*batch time"], frame_length: int, hop_length: int
) -> Float[Array, "*batch frame n"]:
    """Overlapping frames [..., 1 + (T - frame_length) // hop_length, frame_length], hop_length samples apart.

    Built from shifted slices instead of an index gather, so that the gradient uses slices too. Raises ValueError if T
    is shorter than one frame.
    """
    num_samples = waveform.shape[-1]
    if num_samples < frame_length:
        raise ValueError(
            f"a waveform of {num_samples} samples is shorter than one frame of {frame_length}; pad it first."
        )
    num_frames = 1 + (num_samples - frame_length) // hop_length
    chunks_per_frame = -(-frame_length // hop_length)
    num_chunks = num_frames + chunks_per_frame - 1
    missing = max(0, num_chunks * hop_length - num_samples)
    padded = jnp.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(0, missing)])[..., : num_chunks * hop_length]
    chunks = padded.reshape((*waveform.shape[:-1], num_chunks, hop_length))
    shifted = [chunks[..., shift : shift + num_frames, :] for shift in range(chunks_per_frame)]
    return jnp.concatenate(shifted, axis=-1)[..., :frame_length]


def stft(
    waveform: Float[Array, "*batch time"],
    *,
    window: Float[np.ndarray, " n_fft"],
    hop_length: int,
    pad_left: int = 0,
    pad_right: int = 0,
    pad_mode: Literal["reflect", "zero"] = "reflect",
) -> Complex[Array, "*batch frame bin"]:
    """complex64 [..., F, n_fft // 2 + 1]: the transform of windowed frames, time before frequency.

    ``window`` [n_fft] includes its zeros, see `frame_window`. ``librosa.stft(center=True)`` has pad_left = pad_right =
    n_fft // 2. Raises ValueError if the padded waveform is shorter than one frame.
    """
    padded = pad_waveform(jnp.asarray(waveform, jnp.float32), pad_left, pad_right, pad_mode)
    frames = frames_of(padded, len(window), hop_length)
    return jnp.fft.rfft(frames * jnp.broadcast_to(jnp.asarray(window, jnp.float32), frames.shape))


def magnitudes(spectrum: Complex[Array, "..."], power: Literal[1, 2] = 1, epsilon: float = 0.0) -> Float[Array, "..."]:
    """|spectrum| ** power as float32; the magnitude is sqrt(re^2 + im^2 + epsilon).

    The gradient is finite everywhere: at a magnitude of exactly 0 it is 0 (silence does not produce NaN).
    """
    energy = jnp.square(spectrum.real) + jnp.square(spectrum.imag) + jnp.float32(epsilon)
    if power == 2:
        return energy
    positive = energy > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, energy, jnp.ones_like(energy))), jnp.zeros_like(energy))


def mel_spectrum(
    magnitude: Float[Array, "*batch bin"], filterbank: Float[Array, "bin band"]
) -> Float[Array, "*batch band"]:
    """Mel bands of magnitudes (or powers): a matrix product at the highest precision, whatever the device's default."""
    return jnp.matmul(magnitude, filterbank, precision=jax.lax.Precision.HIGHEST)
