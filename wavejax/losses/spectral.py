"""Spectral distances of waveforms: short-time magnitudes at several resolutions, and mel spectrograms.

Everything is float32 whatever the network computes in. A magnitude of exactly 0 has the gradient 0, and logarithms have
a floor, so losses of silence and their gradients are finite.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wavejax.audio import FeatureSpec, log_mel
from wavejax.audio.spectral import frame_window, magnitudes, stft

_MAGNITUDE_FLOOR = 1e-7**0.5
"""Smallest magnitude of a logarithm: the root of the smallest power that Yamamoto et al.'s implementation allows."""


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """One short-time Fourier transform: lengths in samples, a Hann window."""

    n_fft: int
    hop_length: int
    win_length: int

    def __post_init__(self) -> None:
        if not 1 <= self.win_length <= self.n_fft:
            raise ValueError(f"win_length must be 1 to n_fft={self.n_fft} samples, got {self.win_length}")
        if not 1 <= self.hop_length <= self.win_length:
            raise ValueError(f"hop_length must be 1 to win_length={self.win_length} samples, got {self.hop_length}")


RESOLUTIONS: tuple[Resolution, ...] = (
    Resolution(n_fft=1024, hop_length=120, win_length=600),
    Resolution(n_fft=2048, hop_length=240, win_length=1200),
    Resolution(n_fft=512, hop_length=50, win_length=240),
)
"""Those of Parallel WaveGAN (Yamamoto et al. 2020, arXiv 1910.11480, table 1), for 24 kHz; 25, 50 and 10 ms there."""

RESOLUTIONS_16K: tuple[Resolution, ...] = (
    Resolution(n_fft=512, hop_length=80, win_length=400),
    Resolution(n_fft=1024, hop_length=160, win_length=800),
    Resolution(n_fft=256, hop_length=40, win_length=160),
)
"""The same times at 16 kHz, in round numbers: 25, 50 and 10 ms."""


class StftLosses(NamedTuple):
    """Both terms of one resolution, or their means over several, [B] float32."""

    convergence: Float[Array, " batch"]
    """||  |S| - |S'|  || / || |S| ||, Frobenius norms of an example's magnitudes (equation 4)."""
    log_magnitude: Float[Array, " batch"]
    """Mean of | ln |S| - ln |S'| | (equation 5)."""

    @property
    def total(self) -> Float[Array, " batch"]:
        """Their sum (equation 3)."""
        return self.convergence + self.log_magnitude


def stft_losses(
    real: Float[Array, "batch time"], fake: Float[Array, "batch fake_time"], resolution: Resolution
) -> StftLosses:
    """The terms of one resolution (Arık et al. 2019, arXiv 1808.06719; Yamamoto et al. 2020).

    The convergence of an example whose real half is silent is measured against the magnitude floor: large, but finite.

    Raises:
        ValueError: waveforms of different shapes.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real and fake waveforms must have one shape [B, T], got {real.shape} and {fake.shape}")
    ours, theirs = _magnitudes(fake, resolution), _magnitudes(real, resolution)
    smallest = jnp.float32(_MAGNITUDE_FLOOR)
    convergence = _norm(theirs - ours) / jnp.maximum(_norm(theirs), smallest)
    distance = jnp.abs(jnp.log(jnp.maximum(ours, smallest)) - jnp.log(jnp.maximum(theirs, smallest)))
    return StftLosses(convergence, jnp.mean(distance, axis=(1, 2)))


def multi_resolution_stft(
    real: Float[Array, "batch time"],
    fake: Float[Array, "batch fake_time"],
    resolutions: Sequence[Resolution] = RESOLUTIONS,
) -> StftLosses:
    """Means of `stft_losses` over resolutions (Yamamoto et al. 2020, equation 6). ValueError where there are none."""
    if not resolutions:
        raise ValueError("resolutions is empty: give one Resolution or more, for example RESOLUTIONS")
    each = [stft_losses(real, fake, resolution) for resolution in resolutions]
    share = jnp.float32(1.0 / len(each))
    return StftLosses(share * sum(one.convergence for one in each), share * sum(one.log_magnitude for one in each))


def mel_l1(
    real: Float[Array, "batch time"], fake: Float[Array, "batch fake_time"], spec: FeatureSpec
) -> Float[Array, " batch"]:
    """Mean absolute difference of the log-mel features of a spec, [B] float32 (HiFi-GAN, arXiv 2010.05646, equation 3).

    In units of the features, nepers in `speech-16k`. Sources that compare more bands than the network reads have a
    spec of their own: HiFi-GAN's is `dataclasses.replace(get_spec("hifi-gan"), f_max=None)`.

    Raises:
        ValueError: waveforms of different shapes, or too short for one frame.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real and fake waveforms must have one shape [B, T], got {real.shape} and {fake.shape}")
    return jnp.mean(jnp.abs(log_mel(fake, spec) - log_mel(real, spec)), axis=(1, 2))


def weighted_sums(
    losses: Float[Array, " batch"], weights: Float[Array, " batch"] | Bool[Array, " batch"] | None = None
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(sum of weight x loss, sum of weights) of a batch's examples: what a training step's loss function returns.

    An example of weight 0 or False counts for nothing, whatever its loss is. Without weights each counts 1.
    """
    losses = losses.astype(jnp.float32)
    if weights is None:
        weights = jnp.ones(losses.shape, jnp.float32)
    weights = weights.astype(jnp.float32)
    counted = jnp.where(weights > 0, losses, jnp.zeros_like(losses))
    return jnp.sum(weights * counted), jnp.sum(weights)


def _magnitudes(waveform: Array, resolution: Resolution) -> Float[Array, "batch frames bins"]:
    window = frame_window(resolution.n_fft, resolution.win_length, resolution.hop_length)
    half = resolution.n_fft // 2
    spectrum = stft(waveform, window=window, hop_length=resolution.hop_length, pad_left=half, pad_right=half)
    return magnitudes(spectrum)


def _norm(x: Float[Array, "batch frames bins"]) -> Float[Array, " batch"]:
    """Frobenius norm of each example; its gradient at 0 is 0, where that of a root is infinite."""
    energy = jnp.sum(jnp.square(x), axis=(1, 2))
    positive = energy > 0
    root = jnp.sqrt(jnp.where(positive, energy, jnp.ones_like(energy)))
    return jnp.where(positive, root, jnp.zeros_like(energy))
