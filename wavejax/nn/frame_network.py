"""The network that encodes conditioning frames before they are upsampled to the sample rate."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from wavejax.nn.dropout import drop
from wavejax.nn.kernels import declare, declare_kernel


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameNetworkConfig:
    """A convolution over frames, then residual convolutions; all without padding, so context is declared, not guessed.

    A frame's output depends on `context` input frames around it, `lookahead` of them in its future. At the ends of
    a recording the first and the last frame are repeated. With no blocks and kernel 0 the frames pass unchanged.
    """

    input_channels: int = 80
    input_kernel_size: int = 0
    """Taps of the first convolution; 0 omits it."""
    channels: int = 192
    """Width of the residual blocks, or of the first convolution's output."""
    num_blocks: int = 0
    kernel_size: int = 3
    dropout: float = 0.0
    bias: bool = True
    weight_normalization: bool = False
    future: int | None = None
    """Frames of look-ahead; None shares the context evenly between past and future."""
    input_offset: float = 0.0
    input_scale: float = 1.0
    """The network sees (frame - input_offset) * input_scale: about zero mean and unit variance helps training."""

    def __post_init__(self) -> None:
        if self.num_blocks and not self.input_kernel_size:
            raise ValueError("a frame network with blocks needs input_kernel_size >= 1 to reach its width, got 0")
        if self.future is not None and not 0 <= self.future <= self.context:
            raise ValueError(f"future must lie between 0 and the context of {self.context} frames, got {self.future}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")

    @property
    def context(self) -> int:
        """Number of frames that one output frame sees besides its own."""
        return max(self.input_kernel_size - 1, 0) + self.num_blocks * (self.kernel_size - 1)

    @property
    def lookahead(self) -> int:
        """Number of future frames that one output frame sees."""
        return self.context // 2 if self.future is None else self.future

    @property
    def lookback(self) -> int:
        """Number of past frames that one output frame sees."""
        return self.context - self.lookahead

    @property
    def output_channels(self) -> int:
        """Channels of an output frame."""
        return self.channels if self.input_kernel_size else self.input_channels


class FrameNetwork(nn.Module):
    """Frames [B, context + F, input_channels] -> [B, F, output_channels]."""

    config: FrameNetworkConfig
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, frames: Float[Array, "batch time channels"], keys: Key[Array, "batch"] | None = None
    ) -> Float[Array, "batch frames out"]:
        """Encode frames; `keys`, one per example, turn dropout on."""
        config = self.config
        scale, offset = jnp.float32(config.input_scale), jnp.float32(config.input_offset)
        x = ((frames - offset) * scale).astype(self.dtype)
        if config.input_kernel_size:
            x = self._convolve("input", x, config.input_kernel_size, config.channels)
        for block in range(config.num_blocks):
            hidden = jax.nn.silu(self._convolve(f"block_{block}_in", x, config.kernel_size, config.channels))
            hidden = drop(hidden, keys, config.dropout, block)
            hidden = self._convolve(f"block_{block}_out", hidden, 1, config.channels, gain=0.5)
            past = (config.kernel_size - 1) - (config.kernel_size - 1) // 2
            x = x[:, past : past + hidden.shape[1]] + hidden
        return x

    def _convolve(self, name: str, x: Array, kernel_size: int, channels: int, gain: float = 1.0) -> Array:
        config = self.config
        length = x.shape[1] - kernel_size + 1
        kernel = declare_kernel(
            self,
            f"{name}_kernel",
            (kernel_size, x.shape[-1], channels),
            weight_normalization=config.weight_normalization,
            gain=gain,
        )
        taps = jnp.concatenate([x[:, tap : tap + length] for tap in range(kernel_size)], axis=-1)
        y = taps @ kernel.reshape(-1, channels).astype(x.dtype)
        if config.bias:
            y = y + declare(self, f"{name}_bias", nn.initializers.zeros, (channels,)).astype(x.dtype)[None, None]
        return y
