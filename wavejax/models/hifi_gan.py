"""HiFi-GAN's generator (Kong, Kim & Bae 2020, arXiv 2010.05646): a mel spectrogram, stretched step by step to samples.

    x = conv(mel)
    for each rate:  x = transposed convolution(leaky ReLU(x));  x = mean of residual blocks(x)
    waveform = tanh(conv(leaky ReLU(x)))

A residual block has a kernel size and several dilations; blocks of different sizes see the sound at several scales
(multi-receptive field fusion, section 2.2). The public code is jik876/hifi-gan.
"""

import dataclasses
import functools
import math
import operator
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from wavejax.nn.configured import ReadsFrames
from wavejax.nn.dilated import convolve_dilated
from wavejax.nn.kernels import Initializer, declare, declare_kernel

_SLOPE, _LAST_SLOPE = 0.1, 0.01
"""Of leaky ReLUs below 0; that before the last convolution has PyTorch's default in the public code."""
_ENDS = 7
"""Taps of the first and the last convolution."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HiFiGANConfig:
    """Sizes of a generator; the defaults are V1's. `dataclasses.replace` makes another."""

    local_channels: int = 80
    """Mel bands."""
    initial_channels: int = 512
    """Channels at frame rate; each stage has half as many as the one before."""
    rates: tuple[int, ...] = (8, 8, 2, 2)
    """Factors of the stages; their product is the hop length."""
    rate_kernels: tuple[int, ...] = (16, 16, 4, 4)
    """Taps of the transposed convolutions, multiples of their rates."""
    block: Literal["pairs", "single"] = "pairs"
    """Of a residual block's dilations each has two convolutions, the second one not dilated (V1, V2), or one (V3)."""
    kernels: tuple[int, ...] = (3, 7, 11)
    """Taps of a stage's residual blocks, one block each."""
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    """Of each block."""
    weight_normalization: bool = True
    """The form that is trained; `without_weight_normalization` folds parameters into the other one."""

    def __post_init__(self) -> None:
        if not self.rates or len(self.rates) != len(self.rate_kernels):
            raise ValueError(f"rates and rate_kernels must be of one length, got {self.rates} and {self.rate_kernels}")
        for rate, kernel in zip(self.rates, self.rate_kernels, strict=True):
            if rate < 2 or kernel % rate or (kernel - rate) % 2:
                raise ValueError(
                    "a transposed convolution needs a rate of 2 or more and as kernel a multiple of it, an even number "
                    f"of taps more, got rate {rate} and kernel {kernel}"
                )
        if not self.kernels or len(self.kernels) != len(self.dilations) or any(size % 2 == 0 for size in self.kernels):
            raise ValueError(
                f"kernels must be odd, with a tuple of dilations for each, got {self.kernels} and {self.dilations}"
            )
        if self.initial_channels % 2 ** len(self.rates) or self.initial_channels < 1:
            raise ValueError(
                f"initial_channels are halved {len(self.rates)} times, got {self.initial_channels}: use a multiple of "
                f"{2 ** len(self.rates)}"
            )

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "HiFiGAN":
        """The linen module; `dtype` is the type of the convolutions."""
        return HiFiGAN(self, dtype, precision)

    @property
    def folded(self) -> "HiFiGANConfig":
        """The same generator without weight normalisation."""
        return dataclasses.replace(self, weight_normalization=False)

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.rates)

    @property
    def frame_centre(self) -> int:
        """The sample on which the features' frame 0 is to be centred: spec `hifi-gan` has it there."""
        return self.hop_length // 2

    def reach_of(self, block: int) -> int:
        """Samples of its stage that a residual block sees on each side."""
        half, dilations = self.kernels[block] // 2, self.dilations[block]
        return half * (sum(dilations) + (len(dilations) if self.block == "pairs" else 0))

    @functools.cached_property
    def _reach(self) -> tuple[int, int]:
        """First and last frame that the samples of frame 0's interval depend on."""
        half = _ENDS // 2
        low, high = -half, self.hop_length - 1 + half
        for rate, kernel in zip(reversed(self.rates), reversed(self.rate_kernels), strict=True):
            reach, padding = max(map(self.reach_of, range(len(self.kernels)))), (kernel - rate) // 2
            low, high = low - reach, high + reach
            # Sample o of a stage takes tap o + padding - i * rate of input i.
            low, high = -(-(low + padding - kernel + 1) // rate), (high + padding) // rate
        return low - half, high + half

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on."""
        return -self._reach[0]

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""
        return self._reach[1]

    @property
    def num_speakers(self) -> int:
        """None: it speaks with the voice of its features."""
        return 0

    @property
    def size(self) -> str:
        """In a few words."""
        return f"{len(self.rates)} stages from {self.initial_channels} channels"

    def typical_product(self, rows: int) -> tuple[int, int, int]:
        """[rows, inputs] x [inputs, outputs] of its typical matrix product: a tap of the first stage's blocks."""
        channels = self.initial_channels // 2
        return rows * self.rates[0], channels, channels

    @property
    def macs_per_frame(self) -> int:
        """Multiplications per frame."""
        channels, samples = self.initial_channels, 1
        total = _ENDS * self.local_channels * channels
        for rate, kernel in zip(self.rates, self.rate_kernels, strict=True):
            total += samples * channels * (channels // 2) * kernel
            channels, samples = channels // 2, samples * rate
            convolutions = 2 if self.block == "pairs" else 1
            for size, dilations in zip(self.kernels, self.dilations, strict=True):
                total += samples * convolutions * len(dilations) * size * channels**2
        return total + samples * _ENDS * channels


PRESETS: dict[str, HiFiGANConfig] = {
    # jik876/hifi-gan, config_v1.json, config_v2.json and config_v3.json.
    "hifi-gan-v1": HiFiGANConfig(),
    "hifi-gan-v2": HiFiGANConfig(initial_channels=128),
    "hifi-gan-v3": HiFiGANConfig(
        initial_channels=256,
        rates=(8, 8, 4),
        rate_kernels=(16, 16, 8),
        block="single",
        kernels=(3, 5, 7),
        dilations=((1, 2), (2, 6), (3, 12)),
    ),
}


def get_preset(name: str) -> HiFiGANConfig:
    """The configuration called `name`; an unknown name lists those that exist."""
    if name not in PRESETS:
        raise KeyError(f"no HiFi-GAN preset is called {name!r}; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


class HiFiGAN(ReadsFrames, nn.Module):
    """The generator, a `ParallelModel`.

    `model.apply({"params": params}, mel)` is the source's own form, whose every layer sees zeros beyond a recording's
    ends. `synthesize` computes only what has all of its context: wherever that is there, the samples are the same.
    """

    config: HiFiGANConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None
    noise_size: int = 0

    def __call__(self, mel: Float[Array, "batch frames channels"]) -> Float[Array, "batch samples"]:
        """Waveform [B, F * hop_length] of a whole recording."""
        self._check_frames(mel, 1)
        return self._generate(mel, zero_edges=True)

    def synthesize(
        self,
        window: Float[Array, "batch frames channels"],
        noise: Array | None = None,
        temperature: Array | None = None,
        speaker: Array | None = None,
    ) -> Float[Array, "batch samples"]:
        """Waveform [B, n * hop_length] of frames [B, lookback + n + lookahead, C]; no noise, temperature or speaker."""
        self._check_frames(window, 1 + self.lookback + self.lookahead)
        if speaker is not None:
            raise ValueError(f"HiFiGAN knows no speakers, got {speaker.shape}: leave the speaker out")
        return self._generate(window, zero_edges=False)

    @nn.compact
    def _generate(self, mel: Array, zero_edges: bool) -> Float[Array, "batch samples"]:
        """Without zeros at the edges each layer returns less than it was given; `first` counts its samples from the
        beginning of the first frame."""
        config, half = self.config, _ENDS // 2
        count = mel.shape[1]
        x = self._convolution("input", mel.astype(self.dtype), config.initial_channels, _ENDS, 1, zero_edges)
        first = 0 if zero_edges else half
        for stage, (rate, kernel) in enumerate(zip(config.rates, config.rate_kernels, strict=True)):
            x = self._transposed(f"stage_{stage}_up", jax.nn.leaky_relu(x, _SLOPE), rate, kernel, zero_edges)
            reach = 0 if zero_edges else max(map(config.reach_of, range(len(config.kernels))))
            first = 0 if zero_edges else (first - 1) * rate + kernel - (kernel - rate) // 2 + reach
            length = x.shape[1] - 2 * reach
            blocks = (self._block(f"stage_{stage}_block_{i}", i, x, zero_edges) for i in range(len(config.kernels)))
            x = functools.reduce(operator.add, (_middle(block, length) for block in blocks))
            x = x * jnp.asarray(1 / len(config.kernels), x.dtype)
        x = self._convolution("output", jax.nn.leaky_relu(x, _LAST_SLOPE), 1, _ENDS, 1, zero_edges)
        waveform = jnp.tanh(x[..., 0].astype(jnp.float32))
        if zero_edges:
            return waveform
        begin = config.lookback * config.hop_length - (first + half)
        return waveform[:, begin:][:, : (count - config.lookback - config.lookahead) * config.hop_length]

    def _block(self, name: str, index: int, x: Array, zero_edges: bool) -> Array:
        """A residual block."""
        config = self.config
        size, channels = config.kernels[index], x.shape[-1]
        for layer, dilation in enumerate(config.dilations[index]):
            y = jax.nn.leaky_relu(x, _SLOPE)
            y = self._convolution(f"{name}_dilated_{layer}", y, channels, size, dilation, zero_edges)
            if config.block == "pairs":
                y = jax.nn.leaky_relu(y, _SLOPE)
                y = self._convolution(f"{name}_plain_{layer}", y, channels, size, 1, zero_edges)
            x = _middle(x, y.shape[1]) + y
        return x

    def _convolution(self, name: str, x: Array, outputs: int, size: int, dilation: int, zero_edges: bool) -> Array:
        at_end = name in ("input", "output")
        kernel = self._kernel(name, (size, x.shape[-1], outputs), None if at_end else nn.initializers.normal(0.01))
        y = convolve_dilated(x, kernel, dilation, edges=zero_edges, precision=self.precision)
        return y + self._bias(name, outputs)

    def _transposed(self, name: str, x: Array, rate: int, size: int, zero_edges: bool) -> Array:
        """Each input adds `size` outputs, `rate` after those of the one before: products, shifted and added up.

        The kernel is [taps, outputs, inputs]: its last axis is what weight normalisation counts by, in PyTorch's layout
        of a transposed convolution the input channel.
        """
        batch, count, inputs = x.shape
        outputs, overlap = inputs // 2, size // rate
        kernel = self._kernel(name, (size, outputs, inputs), nn.initializers.normal(0.01))
        flat = jnp.matmul(x, kernel.reshape(size * outputs, inputs).T, precision=self.precision)
        hops = flat.reshape(batch, count, overlap, rate * outputs)
        if zero_edges:
            hops = jnp.pad(hops, ((0, 0), (overlap - 1, overlap - 1), (0, 0), (0, 0)))
        rows, last = hops.shape[1], overlap - 1
        added = functools.reduce(operator.add, (hops[:, last - hop : rows - hop, hop] for hop in range(overlap)))
        y = added.reshape(batch, -1, outputs)
        if zero_edges:
            y = y[:, (size - rate) // 2 :][:, : count * rate]
        return y + self._bias(name, outputs)

    def _kernel(self, name: str, shape: tuple[int, ...], initializer: Initializer | None) -> Array:
        normalized = self.config.weight_normalization
        kernel = declare_kernel(
            self,
            f"{name}_kernel",
            shape,
            weight_normalization=normalized,
            gain=math.sqrt(1 / 3),
            initializer=initializer,
        )
        return kernel.astype(self.dtype)

    def _bias(self, name: str, outputs: int) -> Array:
        return declare(self, f"{name}_bias", nn.initializers.zeros, (outputs,)).astype(self.dtype)[None, None]

    def _check_frames(self, frames: Array, fewest: int) -> None:
        if frames.shape[-1] != self.local_channels or frames.shape[1] < fewest:
            raise ValueError(
                f"HiFiGAN needs {fewest} frames or more of {self.local_channels} channels (lookback {self.lookback}, "
                f"lookahead {self.lookahead}), got shape {frames.shape}"
            )


def _middle(x: Array, length: Any) -> Array:
    """The middle of an array's second axis; `length` is an int, or symbolic where the model is exported."""
    first = (x.shape[1] - length) // 2
    return x[:, first : first + length]
