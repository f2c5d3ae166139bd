"""Discriminators of waveforms: by periods, by scales and by spectrograms.

    periods       the waveform folded into rows of p samples, convolutions along the columns (HiFi-GAN, Kong et al.
                  2020, arXiv 2010.05646, section 2.3)
    scales        the waveform and its averages, grouped convolutions (MelGAN, Kumar et al. 2019, arXiv 1910.06711)
    spectrograms  magnitudes at several resolutions, convolutions over time and frequency (UnivNet, Jang et al. 2021,
                  arXiv 2106.07889); in bands and of complex numbers as in DAC and Vocos (Kumar et al. 2023, arXiv
                  2306.06546)

All are weight-normalised. A set of them returns every one's logits and feature maps, for `wavejax.losses`.
"""

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from wavejax.audio.spectral import frame_window, magnitudes, pad_waveform, stft
from wavejax.nn.convolution import convolve_strided
from wavejax.nn.kernels import declare, declare_kernel

_GAIN = math.sqrt(1 / 3)
"""Of initial kernels, whose variance is a third of the inverse of the inputs: PyTorch's initial values."""
_POWER_ITERATIONS = 4
_SMALLEST_ENERGY = 1e-4
"""Added to the square of a magnitude that is raised to a power: that of sound at about -60 dB, below which the slope
of the power would go to infinity."""


class Opinions(NamedTuple):
    """What a set of discriminators says of waveforms."""

    logits: tuple[Float[Array, "batch ..."], ...]
    """Of each discriminator, [B, ...]: one number per place that it looks at."""
    features: tuple[tuple[Array, ...], ...]
    """Of each discriminator the outputs of its layers behind their activation, [B, ...], and its logits last."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeriodsConfig:
    """Discriminators by periods; the defaults are HiFi-GAN's, 41.1 million parameters."""

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    """Samples of a row, a discriminator for each."""
    channels: tuple[int, ...] = (32, 128, 512, 1024, 1024)
    """Of the layers; all but the last advance by `stride` rows."""
    kernel_size: int = 5
    stride: int = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleLayer:
    """One convolution of a discriminator by scales."""

    channels: int
    kernel_size: int
    stride: int = 1
    groups: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScalesConfig:
    """Discriminators by scales; the defaults are HiFi-GAN's, 29.6 million parameters."""

    num_scales: int = 3
    """The waveform itself, and averages over 4 samples at every second, each of the one before."""
    layers: tuple[ScaleLayer, ...] = (
        ScaleLayer(channels=128, kernel_size=15),
        ScaleLayer(channels=128, kernel_size=41, stride=2, groups=4),
        ScaleLayer(channels=256, kernel_size=41, stride=2, groups=16),
        ScaleLayer(channels=512, kernel_size=41, stride=4, groups=16),
        ScaleLayer(channels=1024, kernel_size=41, stride=4, groups=16),
        ScaleLayer(channels=1024, kernel_size=41, groups=16),
        ScaleLayer(channels=1024, kernel_size=5),
    )
    spectral_first: bool = True
    """The first scale's kernels are divided by their largest singular value instead of weight-normalised."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpectrogramsConfig:
    """Discriminators by spectrograms; the defaults are UnivNet's, 280 thousand parameters, for 24 kHz."""

    resolutions: tuple[tuple[int, int, int], ...] = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
    """(n_fft, hop_length, win_length) of each discriminator."""
    channels: int = 32
    layers: tuple[tuple[int, int], ...] = ((9, 1), (9, 2), (9, 2), (9, 2), (3, 1))
    """(taps over frequencies, stride) of each; all have three taps over frames."""
    exponent: float = 1.0
    """Of the magnitude. A third shows the network what is quiet, too; 1 shows it mostly what is loud."""
    bands: tuple[float, ...] = (0.0, 1.0)
    """Borders of bands of frequencies, as shares of half the sample rate; each band has layers of its own."""
    complex_input: bool = False
    """Show the real and the imaginary part instead of the magnitude, of a waveform whose mean is 0 and peak 0.8."""
    slope: float = 0.2
    """Of the leaky ReLU below 0."""

    def __post_init__(self) -> None:
        if (
            len(self.bands) < 2
            or list(self.bands) != sorted(set(self.bands))
            or self.bands[0] < 0
            or self.bands[-1] > 1
        ):
            raise ValueError(f"bands must be two or more growing numbers from 0 to 1, got {self.bands}")
        if not 0 < self.exponent <= 1:
            raise ValueError(f"exponent must be above 0 and at most 1, got {self.exponent}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscriminatorsConfig:
    """A set of discriminators; a kind that is None is left out."""

    periods: PeriodsConfig | None = PeriodsConfig()
    scales: ScalesConfig | None = ScalesConfig()
    spectrograms: SpectrogramsConfig | None = None

    def __post_init__(self) -> None:
        if self.periods is None and self.scales is None and self.spectrograms is None:
            raise ValueError("a set of discriminators needs one kind at least: periods, scales or spectrograms")

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "Discriminators":
        """The linen module; `dtype` is the type of the convolutions."""
        return Discriminators(self, dtype, precision)


DISCRIMINATORS: dict[str, DiscriminatorsConfig] = {
    # jik876/hifi-gan.
    "hifi-gan": DiscriminatorsConfig(),
    # gemelo-ai/vocos, discriminators.py: by periods, and DAC's by complex spectrograms in bands.
    "vocos": DiscriminatorsConfig(
        scales=None,
        spectrograms=SpectrogramsConfig(
            resolutions=((2048, 512, 2048), (1024, 256, 1024), (512, 128, 512)),
            bands=(0.0, 0.1, 0.25, 0.5, 0.75, 1.0),
            complex_input=True,
            slope=0.1,
        ),
    ),
    # For a CPU, at 16 kHz: narrow layers by periods, and spectrograms of 32, 64 and 16 ms whose first layer passes on a
    # quarter of the frequencies.
    "small": DiscriminatorsConfig(
        periods=PeriodsConfig(channels=(16, 32, 64, 128, 128)),
        scales=None,
        spectrograms=SpectrogramsConfig(
            resolutions=((512, 128, 512), (1024, 256, 1024), (256, 64, 256)),
            channels=16,
            layers=((9, 4), (9, 2), (9, 2), (3, 1)),
            exponent=0.3,
        ),
    ),
}


class Discriminators(nn.Module):
    """Waveforms [B, T] -> `Opinions` of a configuration's discriminators: by periods, by scales, by spectrograms."""

    config: DiscriminatorsConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @nn.compact
    def __call__(self, waveform: Float[Array, "batch time"]) -> Opinions:
        """Judge waveforms in [-1, 1]."""
        config, how = self.config, (self.dtype, self.precision)
        said = []
        if config.periods is not None:
            for period in config.periods.periods:
                said.append(ByPeriod(config.periods, period, *how, name=f"period_{period}")(waveform))
        if config.scales is not None:
            pooled = waveform
            for scale in range(config.scales.num_scales):
                spectral = config.scales.spectral_first and scale == 0
                said.append(ByScale(config.scales, spectral, *how, name=f"scale_{scale}")(pooled))
                pooled = _halved(pooled)
        if config.spectrograms is not None:
            for resolution in config.spectrograms.resolutions:
                name = "spectrogram_" + "_".join(map(str, resolution))
                said.append(BySpectrogram(config.spectrograms, resolution, *how, name=name)(waveform))
        return Opinions(tuple(features[-1] for features in said), tuple(said))


class ByPeriod(nn.Module):
    """[B, T] -> feature maps [B, period, rows, channels]; the last, of one channel, are the logits."""

    config: PeriodsConfig
    period: int
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @nn.compact
    def __call__(self, waveform: Float[Array, "batch time"]) -> tuple[Array, ...]:
        """Reflect the end so that rows are whole, then convolve each column on its own."""
        config, batch = self.config, waveform.shape[0]
        padded = pad_waveform(waveform, 0, -waveform.shape[1] % self.period)
        columns = jnp.swapaxes(padded.reshape(batch, -1, self.period), 1, 2)
        x = columns.reshape(batch * self.period, -1, 1).astype(self.dtype)
        features = []
        for layer, channels in enumerate(config.channels):
            stride = config.stride if layer < len(config.channels) - 1 else 1
            x = _layer(self, f"layer_{layer}", x, channels, (config.kernel_size,), stride)
            x = jax.nn.leaky_relu(x, 0.1)
            features.append(x)
        features.append(_layer(self, "output", x, 1, (3,), 1))
        return tuple(x.reshape(batch, self.period, *x.shape[1:]) for x in features)


class ByScale(nn.Module):
    """[B, T] -> feature maps [B, time, channels]; the last, of one channel, are the logits."""

    config: ScalesConfig
    spectral: bool
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @nn.compact
    def __call__(self, waveform: Float[Array, "batch time"]) -> tuple[Array, ...]:
        """Convolve."""
        x, features = waveform[..., None].astype(self.dtype), []
        for index, layer in enumerate(self.config.layers):
            x = _layer(
                self,
                f"layer_{index}",
                x,
                layer.channels,
                (layer.kernel_size,),
                layer.stride,
                layer.groups,
                self.spectral,
            )
            x = jax.nn.leaky_relu(x, 0.1)
            features.append(x)
        features.append(_layer(self, "output", x, 1, (3,), 1, 1, self.spectral))
        return tuple(features)


class BySpectrogram(nn.Module):
    """[B, T] -> feature maps [B, frames, frequencies, channels], band by band; the last are the logits, one channel.

    Each band has layers of its own, most of which halve the frequencies; the last ones, side by side, give the logits.
    """

    config: SpectrogramsConfig
    resolution: tuple[int, int, int]
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @nn.compact
    def __call__(self, waveform: Float[Array, "batch time"]) -> tuple[Array, ...]:
        """Transform and convolve."""
        config = self.config
        spectrum = self._spectrum(waveform)
        bins = spectrum.shape[2]
        borders = [int(border * bins) for border in config.bands]
        features, last = [], []
        for band, (low, high) in enumerate(itertools.pairwise(borders)):
            x = spectrum[:, :, low:high].astype(self.dtype)
            for layer, (size, stride) in enumerate(config.layers):
                name = f"band_{band}_layer_{layer}"
                x = _layer(self, name, x, config.channels, (3, size), stride)
                x = jax.nn.leaky_relu(x, config.slope)
                features.append(x)
            last.append(x)
        features.append(_layer(self, "output", jnp.concatenate(last, axis=2), 1, (3, 3), 1))
        return tuple(features)

    def _spectrum(self, waveform: Array) -> Float[Array, "batch frames bins parts"]:
        n_fft, hop, win = self.resolution
        waveform = waveform.astype(jnp.float32)
        if self.config.complex_input:
            waveform = waveform - jnp.mean(waveform, axis=1, keepdims=True)
            waveform = 0.8 * waveform / (jnp.max(jnp.abs(waveform), axis=1, keepdims=True) + jnp.float32(1e-9))
            half = n_fft // 2
            window = frame_window(n_fft, win, hop)
            spectrum = stft(waveform, window=window, hop_length=hop, pad_left=half, pad_right=half)
            return jnp.stack([spectrum.real, spectrum.imag], axis=-1)
        # UnivNet's padding: as many frames as hops.
        left, right = (n_fft - hop) // 2, n_fft - hop - (n_fft - hop) // 2
        window = frame_window(n_fft, win, hop)
        spectrum = stft(waveform, window=window, hop_length=hop, pad_left=left, pad_right=right)
        if self.config.exponent == 1:
            return magnitudes(spectrum)[..., None]
        energy = magnitudes(spectrum, power=2) + jnp.float32(_SMALLEST_ENERGY)
        return jnp.exp(jnp.log(energy) * jnp.float32(self.config.exponent / 2))[..., None]


def _layer(
    module: ByPeriod | ByScale | BySpectrogram,
    name: str,
    x: Array,
    channels: int,
    sizes: tuple[int, ...],
    stride: int,
    groups: int = 1,
    spectral: bool = False,
) -> Array:
    """A convolution over the middle axes of [N, ..., C], zeros at the edges, with a bias; the last has the stride."""
    shape = (*sizes, x.shape[-1] // groups, channels)
    kernel = declare_kernel(module, f"{name}_kernel", shape, weight_normalization=not spectral, gain=_GAIN)
    if spectral:
        kernel = _spectrally_normalized(module, f"{name}_u", kernel)
    y = convolve_strided(x, kernel.astype(x.dtype), stride, groups=groups, precision=module.precision)
    bias = declare(module, f"{name}_bias", nn.initializers.zeros, (channels,)).astype(x.dtype)
    return y + bias.reshape((1,) * (y.ndim - 1) + (-1,))


def _spectrally_normalized(module: nn.Module, name: str, kernel: Array) -> Array:
    """The kernel divided by its largest singular value as a map to output channels (Miyato et al. 2018, 1802.05957).

    Power iteration from the parameter `name` [outputs], which no gradient reaches. The source remembers the vector from
    step to step and iterates once each time; here it stays as it is, so that nothing but parameters describes the
    network, and is iterated on four times.
    """
    flat = kernel.reshape(-1, kernel.shape[-1])
    u = lax.stop_gradient(declare(module, name, nn.initializers.normal(1.0), (kernel.shape[-1],)))
    fixed = lax.stop_gradient(flat)
    for _ in range(_POWER_ITERATIONS):
        v = _unit(fixed @ u)
        u = _unit(v @ fixed)
    return kernel / (v @ (flat @ u))


def _unit(x: Array) -> Array:
    return x / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(x))), jnp.float32(1e-12))


def _halved(waveform: Float[Array, "batch time"]) -> Float[Array, "batch half"]:
    """Means of 4 samples at every second one, zeros beyond the ends."""
    padded = jnp.pad(waveform, ((0, 0), (2, 2)))
    count = waveform.shape[1] // 2 + 1
    return sum((padded[:, tap : tap + 2 * count - 1 : 2] for tap in range(1, 4)), padded[:, : 2 * count - 1 : 2]) / 4
