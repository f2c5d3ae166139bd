"""Upsampling from frame rate to sample rate, with a defined frame position for every sample.

Frame f of a recording is centred on sample `hop_length * f + frame_centre`. "Repeat" and "linear" are linear maps with
weights that sum to one and are shared by all channels. So projections commute with them and can run at frame rate.
"""

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from wavejax.nn.kernels import declare_kernel

Kind = Literal["repeat", "linear", "transposed", "stretch", "transposed_2d"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpsamplerConfig:
    """How frames become samples.

    kind:
        repeat         each sample takes the nearest frame
        linear         interpolation between the two nearest frame centres
        transposed     one transposed convolution over time, all channels mixed (nv-wavenet)
        stretch        per scale: repeat, then a convolution over time shared by all channels (r9y9, 2019)
        transposed_2d  per scale: a transposed convolution over 3 neighbouring channels x scale samples, ReLU (r9y9,
                       2018)
    """

    kind: Kind = "linear"
    hop_length: int = 200
    frame_centre: int = 100
    scales: tuple[int, ...] = ()
    """Factors of the kinds with stages; their product must be the hop length."""
    kernel_size: int = 0
    """Taps of the transposed convolution, in samples."""
    weight_normalization: bool = False

    def __post_init__(self) -> None:
        if self.hop_length < 1:
            raise ValueError(f"hop_length must be at least 1 sample, got {self.hop_length}")
        if self.kind in ("stretch", "transposed_2d"):
            product = math.prod(self.scales)
            if not self.scales or product != self.hop_length:
                raise ValueError(
                    f"upsample_scales {self.scales} multiply to {product}, but hop_length is {self.hop_length}: "
                    f"choose factors of {self.hop_length}, for example {suggest_scales(self.hop_length)}"
                )
        if self.kind == "transposed" and self.kernel_size < self.hop_length:
            raise ValueError(
                f"a transposed convolution with kernel_size {self.kernel_size} leaves gaps between frames of "
                f"{self.hop_length} samples: use kernel_size >= hop_length"
            )

    @property
    def at_frame_rate(self) -> bool:
        """True if projections commute with the upsampling; then the layers upsample after their projections."""
        return self.kind in ("repeat", "linear")

    @property
    def _positions(self) -> tuple[int, int]:
        """First and last frame that the samples of a frame interval depend on, relative to the interval's own frame."""
        hop, centre = self.hop_length, self.frame_centre
        if self.kind == "repeat":
            return math.floor((0 - centre) / hop + 0.5), math.floor((hop - 1 - centre) / hop + 0.5)
        if self.kind == "linear":
            return math.floor((0 - centre) / hop), math.floor((hop - 1 - centre) / hop) + 1
        if self.kind == "transposed":
            half = self.kernel_size // 2
            first = math.ceil((0 - centre + half - (self.kernel_size - 1)) / hop)
            return first, math.floor((hop - 1 - centre + half) / hop)
        shift = self.shift
        reach = self._stretch_reach
        return math.floor((shift - reach) / hop), math.floor((hop - 1 + shift + reach) / hop)

    @property
    def shift(self) -> int:
        """Samples by which upsampling in stages (which puts a frame's centre at hop/2) must be advanced."""
        return self.hop_length // 2 - self.frame_centre

    @property
    def _stretch_reach(self) -> int:
        if self.kind != "stretch":
            return 0
        samples_per_tap, reach = self.hop_length, 0
        for scale in self.scales:
            samples_per_tap //= scale
            reach += scale * samples_per_tap
        return reach

    @property
    def back(self) -> int:
        """Number of frames before its own that a frame interval needs."""
        return max(-self._positions[0], 0)

    @property
    def forward(self) -> int:
        """Number of frames after its own that a frame interval needs."""
        return max(self._positions[1], 0)

    def interpolation(self, offset: Array) -> tuple[Array, Array]:
        """(frame index, weight of the next frame) of the sample `offset` samples after the start of frame interval 0.

        Only for the kinds at frame rate. It uses integer arithmetic, so it is exact for every position. `offset` is
        int32 and at least `-hop_length * back`; "repeat" always has weight 0.
        """
        hop = jnp.int32(self.hop_length)
        if self.kind == "repeat":
            doubled = 2 * (offset - jnp.int32(self.frame_centre)) + hop
            return doubled // (2 * hop), jnp.zeros(offset.shape, jnp.float32)
        distance = offset - jnp.int32(self.frame_centre)
        index = distance // hop
        return index, (distance - index * hop).astype(jnp.float32) / jnp.float32(self.hop_length)

    def spread(
        self, frames: Float[Array, "*batch frames channels"], first: int, count: int
    ) -> Float[Array, "*batch time channels"]:
        """Upsample frames to the sample rate by repetition or interpolation (the kinds at frame rate).

        Returns `count` samples; the first lies `first` samples after the interval of `frames[back]` begins.
        """
        hop, back = self.hop_length, self.back
        positions = np.arange(first, first + count)
        if self.kind == "repeat":
            index = np.floor((positions - self.frame_centre) / hop + 0.5).astype(np.int64) + back
            return _take_runs(frames, index)
        start = (first - self.frame_centre) // hop
        stop = (first + count - 1 - self.frame_centre) // hop
        _check_reach(frames, start + back, stop + back + 1)
        needed = frames[..., start + back : stop + back + 2, :]
        skip = first - self.frame_centre - start * hop
        return lax.platform_dependent(
            needed,
            cpu=lambda given: _interpolate_by_products(given, hop, skip, count),
            default=lambda given: _interpolate(given, hop, skip, count),
        )


def _interpolate(frames: Array, hop: int, skip: int, count: int) -> Array:
    """Samples skip .. skip + count - 1 after the first frame's centre, frame by frame."""
    low, high = frames[..., :-1, None, :], frames[..., 1:, None, :]
    rising = (np.arange(hop) / hop).astype(np.float32).reshape(*((1,) * (frames.ndim - 1)), hop, 1)
    weight = jnp.asarray(rising).astype(frames.dtype)
    mixed = low + (high - low) * weight
    return mixed.reshape(*frames.shape[:-2], -1, frames.shape[-1])[..., skip : skip + count, :]


def _interpolate_by_products(frames: Array, hop: int, skip: int, count: int) -> Array:
    """Like `_interpolate`, as a matrix product with the weights of a few frames. Its gradient is a product too, which
    is fastest on a CPU."""
    intervals = frames.shape[-2] - 1
    blocks = -(-intervals // _MOST_INTERVALS)
    width = -(-intervals // blocks)
    place = np.arange(skip, skip + count) if blocks == 1 else np.arange(width * hop)
    weights = np.zeros((len(place), width + 1), np.float32)
    rows, high = np.arange(len(place)), (place % hop / hop).astype(np.float32)
    weights[rows, place // hop] = 1.0 - high
    weights[rows, place // hop + 1] = high
    windows = np.minimum(np.arange(blocks)[:, None] * width + np.arange(width + 1), intervals)
    wanted = frames[..., windows, :]
    spread = jnp.broadcast_to(jnp.asarray(weights).astype(frames.dtype), (*wanted.shape[:-2], *weights.shape))
    mixed = jnp.matmul(spread, wanted).reshape(*frames.shape[:-2], -1, frames.shape[-1])
    return mixed if blocks == 1 else mixed[..., skip : skip + count, :]


_MOST_INTERVALS = 48
"""Most frame intervals per product: the cost per sample grows with this number, but not with the length of a piece."""


def _take_runs(frames: Array, index: np.ndarray) -> Array:
    first, last = int(index[0]), int(index[-1])
    _check_reach(frames, first, last)
    return jnp.repeat(
        frames[..., first : last + 1, :],
        jnp.asarray(np.bincount(index - first)),
        axis=-2,
        total_repeat_length=len(index),
    )


def _check_reach(frames: Array, first: int, last: int) -> None:
    if first < 0 or last >= frames.shape[-2]:
        raise ValueError(f"samples reach frames {first} to {last}, but only {frames.shape[-2]} frames were given")


def suggest_scales(hop_length: int) -> tuple[int, ...]:
    """Prime factors of `hop_length` (twos are paired into fours), largest last: a first choice for upsample_scales."""
    factors: list[int] = []
    rest = hop_length
    for factor in (5, 4, 3, 2, 7):
        while rest % factor == 0:
            factors.append(factor)
            rest //= factor
    if rest > 1:
        factors.append(rest)
    return tuple(sorted(factors))


class Upsampler(nn.Module):
    """The learned kinds: frames [B, back + F + forward, C] -> samples [B, F * hop_length, C]."""

    config: UpsamplerConfig
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, frames: Float[Array, "batch frames channels"]) -> Float[Array, "batch time channels"]:
        """Upsample; sample 0 of the result is the first of the interval of `frames[back]`."""
        config = self.config
        x = frames.astype(self.dtype)
        count = (frames.shape[1] - config.back - config.forward) * config.hop_length
        if config.kind == "transposed":
            return self._transposed(x, count)
        for stage, scale in enumerate(config.scales):
            x = self._stretch(x, stage, scale) if config.kind == "stretch" else self._transposed_2d(x, stage, scale)
        start = config.back * config.hop_length + config.shift
        return x[:, start : start + count]

    def _transposed(self, x: Array, count: int) -> Array:
        config, channels = self.config, x.shape[-1]
        hop, size = config.hop_length, config.kernel_size
        kernel = declare_kernel(
            self,
            "kernel",
            (size, channels, channels),
            weight_normalization=config.weight_normalization,
            gain=math.sqrt(hop),
        ).astype(x.dtype)
        # Sample r of an interval uses frame q + w - back at tap r - centre + size//2 + hop * (back - w). The products
        # are batched over taps, so that the kernel keeps its layout: one large product would first transpose it.
        num_frames = count // hop
        samples = jnp.zeros((hop, x.shape[0] * num_frames, channels), x.dtype)
        for w in range(config.back + 1 + config.forward):
            first = size // 2 - config.frame_centre + hop * (config.back - w)
            low, high = max(0, -first), min(hop, size - first)
            if low < high:
                given = x[:, w : w + num_frames].reshape(-1, channels)
                given = jnp.broadcast_to(given, (high - low, *given.shape))
                taps = kernel[first + low : first + high]
                samples = samples.at[low:high].add(jnp.einsum("hfc,hco->hfo", given, taps))
        samples = jnp.moveaxis(samples.reshape(hop, x.shape[0], num_frames, channels), 0, 2)
        bias = self.param("bias", nn.initializers.zeros, (channels,)).astype(x.dtype)
        return samples.reshape(x.shape[0], count, channels) + bias[None, None]

    def _stretch(self, x: Array, stage: int, scale: int) -> Array:
        size = 2 * scale + 1
        kernel = self._shared_kernel(f"stage_{stage}_kernel", (size,), np.full((size,), 1.0 / size, np.float32))
        length = x.shape[1] * scale
        padded = jnp.pad(jnp.repeat(x, scale, axis=1), ((0, 0), (scale, scale), (0, 0)))
        terms = [padded[:, tap : tap + length] * kernel[tap].astype(x.dtype) for tap in range(size)]
        return sum(terms[1:], terms[0])

    def _transposed_2d(self, x: Array, stage: int, scale: int) -> Array:
        initial = np.zeros((3, scale), np.float32)
        initial[1] = 1.0
        kernel = self._shared_kernel(f"stage_{stage}_kernel", (3, scale), initial).astype(x.dtype)
        bias = self.param(f"stage_{stage}_bias", nn.initializers.zeros, ()).astype(x.dtype)
        channels = x.shape[-1]
        padded = jnp.pad(x, ((0, 0), (0, 0), (1, 1)))
        # torch's ConvTranspose2d adds W[i, j] x[c] to channel c + i - 1: channel c collects x[c + 1 - i].
        terms = [padded[:, :, None, 2 - i : 2 - i + channels] * kernel[i][None, None, :, None] for i in range(3)]
        return jax.nn.relu((terms[0] + terms[1] + terms[2]).reshape(x.shape[0], -1, channels) + bias)

    def _shared_kernel(self, name: str, shape: tuple[int, ...], initial: np.ndarray) -> Array:
        direction = self.param(name, lambda _key: jnp.asarray(initial))
        if not self.config.weight_normalization:
            return direction
        norm = jnp.sqrt(jnp.sum(direction * direction))
        g = self.param(f"{name}_g", lambda _key: jnp.asarray(np.float32(np.linalg.norm(initial))))
        return direction / norm * g
