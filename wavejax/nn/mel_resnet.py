"""The residual network that encodes a mel spectrogram in fatchord/WaveRNN and torchaudio."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from wavejax.nn.kernels import declare_kernel
from wavejax.nn.normalization import BatchNorm


class MelResNet(nn.Module):
    """Frames [B, context + F + context, C] -> [B, F, output_channels], float32.

    A convolution over 2 context + 1 frames without padding, then residual blocks of two 1x1 maps. Every map except the
    last is followed by batch normalisation instead of a bias.
    """

    context: int
    channels: int
    num_blocks: int
    output_channels: int
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @nn.compact
    def __call__(
        self, frames: Float[Array, "batch time channels"], training: bool = False
    ) -> Float[Array, "batch frames out"]:
        """Encode frames; in training the normalisations use the batch's statistics."""

        def layer(x: Array, name: str) -> Array:
            shape = (x.shape[-1], self.channels)
            x = self._times(x, declare_kernel(self, f"{name}_kernel", shape, gain=math.sqrt(2.0)))
            return BatchNorm(self.channels, dtype=self.dtype, name=f"{name}_norm")(x, training)

        taps = 2 * self.context + 1
        length = frames.shape[1] - taps + 1
        x = jnp.concatenate([frames[:, tap : tap + length] for tap in range(taps)], axis=-1)
        x = jax.nn.relu(layer(x, "input"))
        for block in range(self.num_blocks):
            x = x + layer(jax.nn.relu(layer(x, f"block_{block}_in")), f"block_{block}_out")
        bias = self.param("output_bias", nn.initializers.zeros, (self.output_channels,))
        kernel = declare_kernel(self, "output_kernel", (self.channels, self.output_channels))
        return self._times(x, kernel) + bias.astype(jnp.float32)[None, None]

    def _times(self, x: Array, kernel: Array) -> Array:
        operands = x.astype(self.dtype), kernel.astype(self.dtype)
        return jnp.matmul(*operands, precision=self.precision, preferred_element_type=jnp.float32)
