"""A small recogniser for CTC: depthwise convolutions with squeeze-and-excitation, after ContextNet and QuartzNet.

    x = two convolutions with strides (a frame for each four, or for each two)
    for each block:  x = x + excite(contract(swish(expand(norm(depthwise(x))))))
    log-probabilities = log softmax(linear(norm(x)))

`excite` scales each channel by what the whole utterance holds of it, which brings a convolutional recogniser near a
recurrent one (Han et al. 2020, arXiv 2005.03191, section 2.2.2); depthwise convolutions keep it small (Kriman et al.
2019, arXiv 1910.10261). Normalisation is over the channels of a frame, so that neither padding nor the rest of a batch
changes a result.

A causal network sees the past alone: its convolutions end at the newest frame, and what excites a frame is a mean over
the frames before it in which old ones fade. It runs over a whole utterance, or piece by piece with a state.
"""

import dataclasses
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from wavejax.nn.convnext import depthwise, layer_norm
from wavejax.nn.dropout import drop
from wavejax.nn.kernels import declare, declare_kernel
from wavejax.ranges import COUNT, SHARE, Range, check_ranges

_TAPS = 5
"""Of the first two convolutions."""

State = dict[str, Any]
"""What a causal network remembers: the last inputs of every convolution [B, n, C], and every block's fading sums."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvCTCConfig:
    """Sizes; `dataclasses.replace` makes another."""

    local_channels: Annotated[int, COUNT] = 80
    """Channels of a frame of features."""
    num_classes: Annotated[int, Range(2)] = 29
    """Symbols and the blank, which is class 0."""
    channels: Annotated[int, COUNT] = 176
    hidden_channels: Annotated[int, COUNT] = 352
    """Inside a block."""
    squeeze_channels: Annotated[int, COUNT] = 44
    num_blocks: Annotated[int, COUNT] = 10
    kernel_size: Annotated[int, Range(1, 1023)] = 15
    """Taps of a block's depthwise convolution, odd."""
    subsampling: Literal[2, 4] = 4
    """Frames of features for each frame of the result. CTC needs a frame for each letter: 2 for fast speech and for
    exact times, at nearly twice the work."""
    causal: bool = False
    fading: Annotated[float, SHARE] = 0.98
    """Of a causal network: what a frame counts in the mean of the one after it."""
    dropout: Annotated[float, SHARE] = 0.1
    blank_bias: float = -2.0
    """At the start: below 0, because a network that begins with blanks everywhere learns late that there is more."""
    offset: float = -5.0
    scale: Annotated[float, Range(0, 1e6, above=True)] = 0.3
    """The network reads (features - offset) * scale; those of `speech-16k` are then mostly within 2."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"model.{name}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"model.kernel_size must be odd, got {self.kernel_size}: use {self.kernel_size + 1}")

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "ConvCTC":
        """The linen module; `dtype` is the type of the products."""
        return ConvCTC(self, dtype, precision)

    @property
    def strides(self) -> tuple[int, int]:
        """Of the first two convolutions."""
        return 2, self.subsampling // 2

    @property
    def size(self) -> str:
        """In a few words."""
        return f"{self.num_blocks} blocks of {self.channels} channels{', causal' if self.causal else ''}"

    @property
    def macs_per_frame(self) -> int:
        """Multiplications for a frame of features."""
        channels = self.channels
        block = 2 * channels * (self.hidden_channels + self.squeeze_channels) + self.kernel_size * channels
        stem = _TAPS * channels * (self.strides[1] * self.local_channels + channels)
        return (stem + self.num_blocks * block + channels * self.num_classes) // self.subsampling

    def typical_product(self, frames: int) -> tuple[int, int, int]:
        """[rows, inputs] x [inputs, outputs] of its typical matrix product, for this number of frames of features."""
        return max(frames // self.subsampling, 1), self.channels, self.hidden_channels


class ConvCTC(nn.Module):
    """Features [B, F, C] -> natural logs of the classes' probabilities [B, ceil(F / s), classes], float32.

    s is the configuration's `subsampling`.
    """

    config: ConvCTCConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @property
    def fill(self) -> float:
        """The feature that the network reads as 0: for masks and padding."""
        return self.config.offset

    def output_frames(self, num_frames: Any) -> Any:
        """Frames of the result for this number of frames of features."""
        return -(-num_frames // self.config.subsampling)

    def most_labels(self, num_frames: Any) -> Any:
        """Labels that CTC can read from this number of frames of features."""
        return self.output_frames(num_frames)

    def __call__(
        self,
        features: Float[Array, "batch frames channels"],
        num_frames: Int[Array, " batch"],
        keys: Key[Array, " batch"] | None = None,
    ) -> Float[Array, "batch out classes"]:
        """Whole utterances at once; what lies past `num_frames` changes no frame before it. `keys` switch dropout on.

        Frame j of the result is about frames s j to s j + s - 1 of the features.
        """
        return self._network(*self._read(features, num_frames), keys, None)[1]

    def initial_state(self, batch_size: int) -> State:
        """The state before the first frame: zeros, as `__call__` has them before an utterance."""
        config = self.config
        stem = (config.local_channels, config.channels)
        state = {
            f"stem_{i}": jnp.zeros((batch_size, _TAPS - stride, channels), jnp.float32)
            for i, (channels, stride) in enumerate(zip(stem, config.strides, strict=True))
        }
        for i in range(config.num_blocks):
            state[f"block_{i}"] = jnp.zeros((batch_size, config.kernel_size - 1, config.channels), jnp.float32)
            state[f"mean_{i}"] = jnp.zeros((batch_size, config.channels + 1), jnp.float32)
        return state

    def advance(
        self,
        state: State,
        features: Float[Array, "batch frames channels"],
        num_frames: Int[Array, " batch"] | None = None,
    ) -> tuple[State, Float[Array, "batch out classes"]]:
        """(state, the next frames, a multiple of `subsampling`) -> (state, log-probabilities), of a causal network.

        Pieces of any size give what `__call__` gives of the whole. `num_frames` says how many of a last piece's frames
        count. Raises ValueError where it is not causal, or the frames are no such multiple.
        """
        if not self.config.causal:
            raise ValueError("this network sees the future, so it cannot read piece by piece: build a causal one")
        step = self.config.subsampling
        if features.shape[1] % step:
            raise ValueError(f"a piece must be a multiple of {step} frames, got {features.shape[1]}: pad the last")
        count = jnp.full((features.shape[0],), features.shape[1], jnp.int32) if num_frames is None else num_frames
        return self._network(*self._read(features, count), None, state)

    def _read(self, features: Array, num_frames: Array) -> tuple[Array, Array]:
        """Features as the network reads them, zeros past their end, in a multiple of `subsampling` frames."""
        missing = -features.shape[1] % self.config.subsampling
        valid = jnp.arange(features.shape[1]).reshape(1, -1) < num_frames[:, None]
        x = (features - jnp.float32(self.config.offset)) * jnp.float32(self.config.scale)
        return jnp.pad(jnp.where(valid[..., None], x, jnp.float32(0)), ((0, 0), (0, missing), (0, 0))), num_frames

    @nn.compact
    def _network(
        self, x: Array, num_frames: Array, keys: Array | None, state: State | None
    ) -> tuple[State, Float[Array, "batch out classes"]]:
        config, kept = self.config, {}
        for index, stride in enumerate(config.strides):
            before, after = (_TAPS - stride, 0) if config.causal else (_TAPS // 2, _TAPS // 2)
            x, kept[f"stem_{index}"] = _with_context(
                x, before, after, None if state is None else state[f"stem_{index}"]
            )
            kernel = declare_kernel(self, f"stem_{index}_kernel", (_TAPS, x.shape[-1], config.channels))
            x = _strided(x.astype(self.dtype), kernel.astype(self.dtype), stride, self.precision)
            x = x + declare(self, f"stem_{index}_bias", _zeros, (config.channels,))[None, None]
            x = jax.nn.swish(self._norm(f"stem_{index}", x))
            num_frames = -(-num_frames // stride)
            valid = jnp.arange(x.shape[1]).reshape(1, -1) < num_frames[:, None]
            x = jnp.where(valid[..., None], x, jnp.float32(0))
        for index in range(config.num_blocks):
            given = None if state is None else (state[f"block_{index}"], state[f"mean_{index}"])
            block = Block(config, self.dtype, self.precision, name=f"block_{index}")
            y, (kept[f"block_{index}"], kept[f"mean_{index}"]) = block(x, valid, given)
            x = x + drop(y, keys, config.dropout, index)
        x = self._norm("output", x)
        kernel = declare_kernel(self, "output_kernel", (config.channels, config.num_classes))
        bias = declare(self, "output_bias", self._initial_bias, (config.num_classes,))
        logits = _product(x.astype(self.dtype), kernel.astype(self.dtype), self.precision) + bias[None, None]
        return kept, jax.nn.log_softmax(logits, axis=-1)

    def _norm(self, name: str, x: Array) -> Array:
        ones, of = nn.initializers.ones, (self.config.channels,)
        return layer_norm(
            x, declare(self, f"{name}_norm_scale", ones, of), declare(self, f"{name}_norm_bias", _zeros, of)
        )

    def _initial_bias(self, key: Array, shape: tuple[int, ...]) -> Array:
        del key
        return jnp.zeros(shape, jnp.float32).at[0].set(self.config.blank_bias)


class Block(nn.Module):
    """excite(contract(swish(expand(norm(depthwise(x)))))), which is added to x."""

    config: ConvCTCConfig
    dtype: DTypeLike
    precision: Any

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch time channels"],
        valid: Bool[Array, "batch time"],
        state: tuple[Array, Array] | None,
    ) -> tuple[Float[Array, "batch time channels"], tuple[Array, Array]]:
        """(branch, state): of a causal block the last inputs of its convolution, and its fading sums."""
        config, ones = self.config, nn.initializers.ones
        channels, of = config.channels, (config.channels,)
        half = config.kernel_size // 2
        before, after = (config.kernel_size - 1, 0) if config.causal else (half, half)
        y, last = _with_context(x, before, after, None if state is None else state[0])
        taps = declare_kernel(self, "depthwise_kernel", (config.kernel_size, channels))
        y = depthwise(y, taps) + declare(self, "depthwise_bias", _zeros, of)[None, None]
        y = layer_norm(y, declare(self, "norm_scale", ones, of), declare(self, "norm_bias", _zeros, of))
        y = jax.nn.swish(self._linear("expand", y, config.hidden_channels))
        y = self._linear("contract", y, channels)
        y = jnp.where(valid[..., None], y, jnp.float32(0))
        mean, sums = self._mean(y, valid, None if state is None else state[1])
        mean = jax.nn.swish(self._linear("squeeze", mean, config.squeeze_channels))
        y = y * jax.nn.sigmoid(self._linear("excite", mean, channels))
        gamma = declare(self, "gamma", nn.initializers.constant(0.5), of)
        return gamma[None, None] * y, (last, sums)

    def _mean(self, y: Array, valid: Array, sums: Array | None) -> tuple[Array, Array]:
        """What the block has heard: [B, 1, C], the mean of an utterance; or causal [B, T, C], one that fades."""
        counted = jnp.concatenate([y, valid.astype(jnp.float32)[..., None]], axis=-1)
        if not self.config.causal:
            total = jnp.sum(counted, axis=1, keepdims=True)
            return total[..., :-1] / jnp.maximum(total[..., -1:], jnp.float32(1)), total[:, 0]
        fading = jnp.float32(self.config.fading)

        def frame(sums: Array, new: Array) -> tuple[Array, Array]:
            sums = fading * sums + new
            return sums, sums

        start = jnp.zeros_like(counted[:, 0]) if sums is None else sums
        newest, each = lax.scan(frame, start, jnp.moveaxis(counted, 1, 0))
        each = jnp.moveaxis(each, 0, 1)
        return each[..., :-1] / jnp.maximum(each[..., -1:], jnp.float32(1e-3)), newest

    def _linear(self, name: str, x: Array, width: int) -> Array:
        kernel = declare_kernel(self, f"{name}_kernel", (x.shape[-1], width))
        product = _product(x.astype(self.dtype), kernel.astype(self.dtype), self.precision)
        return product + declare(self, f"{name}_bias", _zeros, (width,))[None, None]


_zeros = nn.initializers.zeros


def _with_context(x: Array, before: int, after: int, history: Array | None) -> tuple[Array, Array]:
    """x with the frames before it (zeros, or those of an earlier piece) and zeros after it; and its last frames."""
    if history is None:
        history = jnp.zeros((x.shape[0], before, x.shape[2]), x.dtype)
    whole = jnp.concatenate([history, x], axis=1)
    return jnp.pad(whole, ((0, 0), (0, after), (0, 0))), whole[:, whole.shape[1] - before :]


def _strided(x: Array, kernel: Array, stride: int, precision: Any) -> Array:
    """A convolution without padding, as one product with all taps' channels side by side."""
    taps, channels, out = kernel.shape
    count = (x.shape[1] - taps) // stride + 1
    wide = jnp.concatenate([x[:, tap : tap + stride * (count - 1) + 1 : stride] for tap in range(taps)], axis=-1)
    return _product(wide, kernel.reshape(taps * channels, out), precision)


def _product(x: Array, kernel: Array, precision: Any) -> Array:
    return jnp.matmul(x, kernel, precision=precision, preferred_element_type=jnp.float32)


PRESETS: dict[str, ConvCTCConfig] = {
    "listener-16k": ConvCTCConfig(),
    "listener-16k-causal": ConvCTCConfig(causal=True),
}
"""By name, for English letters; `dataclasses.replace` sets the classes of another text spec."""
