"""The body of small convolutional recognisers: what hears, whatever it is then read by (CTC's letters, attention).

    x = two convolutions with strides (a frame for each four, or for each two)
    for each block:  x = x + excite(contract(swish(expand(norm(depthwise(x))))))
    heard = norm(x);  CTC's letters = linear(heard)

Its parameters lie in the module that calls it, under the names that `wavejax.models.conv_ctc` gives them: a model that
calls it in a module of its own takes over a CTC recogniser's parameters as they are.
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
from wavejax.nn.masking import sequence_mask
from wavejax.ranges import COUNT, SHARE, Range, check_ranges

_TAPS = 5
"""Of the first two convolutions."""

State = dict[str, Any]
"""What a causal network remembers: the last inputs of every convolution [B, n, C], and every block's fading sums."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvListenerConfig:
    """Sizes; the defaults are those of `listener-16k`."""

    local_channels: Annotated[int, COUNT] = 80
    """Channels of a frame of features."""
    channels: Annotated[int, COUNT] = 176
    hidden_channels: Annotated[int, COUNT] = 352
    """Inside a block."""
    squeeze_channels: Annotated[int, COUNT] = 44
    num_blocks: Annotated[int, COUNT] = 10
    kernel_size: Annotated[int, Range(1, 1023)] = 15
    """Taps of a block's depthwise convolution, odd."""
    subsampling: Literal[2, 4] = 4
    """Frames of features for each frame of the result."""
    causal: bool = False
    fading: Annotated[float, SHARE] = 0.98
    """Of a causal network: what a frame counts in the mean of the one after it."""
    dropout: Annotated[float, SHARE] = 0.1
    offset: float = -5.0
    scale: Annotated[float, Range(0, 1e6, above=True)] = 0.3
    """The network reads (features - offset) * scale."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"model.listener.{name}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"model.listener.kernel_size must be odd, got {self.kernel_size}")

    @property
    def strides(self) -> tuple[int, int]:
        """Of the first two convolutions."""
        return 2, self.subsampling // 2

    @property
    def macs_per_result(self) -> int:
        """Multiplications for a frame of the result, without letters."""
        channels = self.channels
        block = 2 * channels * (self.hidden_channels + self.squeeze_channels) + self.kernel_size * channels
        return _TAPS * channels * (self.strides[1] * self.local_channels + channels) + self.num_blocks * block


def read_features(
    config: ConvListenerConfig, features: Float[Array, "batch frames channels"], num_frames: Int[Array, " batch"]
) -> Float[Array, "batch padded channels"]:
    """Features as the network reads them, zeros past their end, in a multiple of `subsampling` frames."""
    missing = -features.shape[1] % config.subsampling
    x = (features - jnp.float32(config.offset)) * jnp.float32(config.scale)
    x = jnp.where(sequence_mask(num_frames, x.shape[1])[..., None], x, jnp.float32(0))
    return jnp.pad(x, ((0, 0), (0, missing), (0, 0)))


def initial_listener_state(config: ConvListenerConfig, batch_size: int) -> State:
    """The state of a causal network before the first frame: zeros, as whole utterances have them before them."""
    stem = (config.local_channels, config.channels)
    state = {
        f"stem_{i}": jnp.zeros((batch_size, _TAPS - stride, channels), jnp.float32)
        for i, (channels, stride) in enumerate(zip(stem, config.strides, strict=True))
    }
    for i in range(config.num_blocks):
        state[f"block_{i}"] = jnp.zeros((batch_size, config.kernel_size - 1, config.channels), jnp.float32)
        state[f"mean_{i}"] = jnp.zeros((batch_size, config.channels + 1), jnp.float32)
    return state


def listened(
    module: nn.Module,
    config: ConvListenerConfig,
    x: Float[Array, "batch frames channels"],
    num_frames: Int[Array, " batch"],
    keys: Key[Array, " batch"] | None = None,
    state: State | None = None,
    *,
    dtype: DTypeLike = jnp.float32,
    precision: Any = None,
) -> tuple[State, Float[Array, "batch out width"], Int[Array, " batch"]]:
    """(state, what is heard, frames of it that count). Called in a compact method of `module`.

    Args:
        module: declares the parameters.
        config: the sizes.
        x: of `read_features`.
        num_frames: of each example.
        keys: switch dropout on.
        state: of a causal network that reads piece by piece; None for whole utterances.
        dtype: of the products.
        precision: of the products.
    """
    kept: State = {}
    for index, stride in enumerate(config.strides):
        before, after = (_TAPS - stride, 0) if config.causal else (_TAPS // 2, _TAPS // 2)
        x, kept[f"stem_{index}"] = _with_context(x, before, after, None if state is None else state[f"stem_{index}"])
        kernel = declare_kernel(module, f"stem_{index}_kernel", (_TAPS, x.shape[-1], config.channels))
        x = _strided(x.astype(dtype), kernel.astype(dtype), stride, precision)
        x = x + declare(module, f"stem_{index}_bias", _zeros, (config.channels,))[None, None]
        x = jax.nn.swish(_norm(module, f"stem_{index}", x))
        num_frames = -(-num_frames // stride)
        valid = sequence_mask(num_frames, x.shape[1])
        x = jnp.where(valid[..., None], x, jnp.float32(0))
    for index in range(config.num_blocks):
        given = None if state is None else (state[f"block_{index}"], state[f"mean_{index}"])
        block = Block(config, dtype, precision, name=f"block_{index}")
        y, (kept[f"block_{index}"], kept[f"mean_{index}"]) = block(x, valid, given)
        x = x + drop(y, keys, config.dropout, index)
    return kept, _norm(module, "output", x), num_frames


def ctc_log_probs(
    module: nn.Module,
    heard: Float[Array, "batch out width"],
    num_classes: int,
    blank_bias: float,
    *,
    dtype: DTypeLike = jnp.float32,
    precision: Any = None,
) -> Float[Array, "batch out classes"]:
    """Natural logs of CTC's probabilities, float32, from what `listened` gives; its parameters are `module`'s, too.

    `blank_bias` is the initial bias of class 0.
    """

    def initial_bias(key: Array, shape: tuple[int, ...]) -> Array:
        del key
        return jnp.zeros(shape, jnp.float32).at[0].set(blank_bias)

    kernel = declare_kernel(module, "output_kernel", (heard.shape[-1], num_classes))
    bias = declare(module, "output_bias", initial_bias, (num_classes,))
    logits = _product(heard.astype(dtype), kernel.astype(dtype), precision) + bias[None, None]
    return jax.nn.log_softmax(logits, axis=-1)


class Block(nn.Module):
    """excite(contract(swish(expand(norm(depthwise(x)))))), which is added to x."""

    config: ConvListenerConfig
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


def _norm(module: nn.Module, name: str, x: Array) -> Array:
    ones, of = nn.initializers.ones, (x.shape[-1],)
    return layer_norm(
        x, declare(module, f"{name}_norm_scale", ones, of), declare(module, f"{name}_norm_bias", _zeros, of)
    )


__all__ = ["ConvListenerConfig", "State", "ctc_log_probs", "initial_listener_state", "listened", "read_features"]
