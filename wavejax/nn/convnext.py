"""ConvNeXt over frames (Liu et al. 2022, arXiv 2201.03545), the body of Vocos (Siuzdak 2023, arXiv 2306.00814).

Convolutions over time are written without padding: a layer that sees `kernel_size` frames returns kernel_size - 1
frames fewer. What stands there instead is the caller's choice, see `ConvNeXt`.
"""

import functools
import operator
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from wavejax.nn.kernels import declare

_EPSILON = 1e-6
"""Of layer normalisations, as in both papers' code."""

Histories = tuple[Array, ...]
"""Of each block the last kernel_size - 1 frames of its input, [B, kernel_size - 1, channels]."""


@jax.custom_vjp
def depthwise(
    x: Float[Array, "batch time channels"], kernel: Float[Array, "taps channels"]
) -> Float[Array, "batch out channels"]:
    """Convolve each channel with its own taps, without padding: output t is sum over k of x[:, t + k] * kernel[k].

    A sum of shifted products, which XLA fuses into one loop. Its grouped convolution is far slower on a CPU: on one
    core, 16 x 96 frames x 192 channels x 7 taps took 41 ms forward and 101 ms with the gradient, this 0.1 and 4 ms.
    """
    taps, count = kernel.shape[0], x.shape[1] - kernel.shape[0] + 1
    products = (x[:, tap : tap + count] * kernel[tap].reshape(1, 1, -1) for tap in range(taps))
    return functools.reduce(operator.add, products)


def _depthwise_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return depthwise(x, kernel), (x, kernel)


def _depthwise_backward(given: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    """Gradients of x and of the kernel; on a CPU the latter's sums over frames are products with ones.

    XLA fuses each of the reductions that it would derive with all that leads to `gradient`, and on a CPU computes that
    again for every tap: a recogniser's block of 128 channels and 11 taps took 1.5 times as long.
    """
    x, kernel = given
    taps, count = kernel.shape[0], gradient.shape[1]
    padded = jnp.pad(gradient, ((0, 0), (taps - 1, taps - 1), (0, 0)))
    of_x = depthwise(padded, kernel[::-1])

    def products(x: Array, gradient: Array) -> list[Array]:
        return [gradient * x[:, tap : tap + count] for tap in range(taps)]

    def by_ones(x: Array, gradient: Array) -> Array:
        ones = jnp.ones((1, gradient.shape[0] * count), gradient.dtype)
        rows = (each.reshape(-1, each.shape[2]) for each in products(x, gradient))
        return jnp.concatenate([jnp.matmul(ones, each, precision="highest") for each in rows])

    def by_sums(x: Array, gradient: Array) -> Array:
        return jnp.stack([jnp.sum(each, axis=(0, 1)) for each in products(x, gradient)])

    of_kernel = lax.platform_dependent(x, gradient, cpu=by_ones, default=by_sums)
    return of_x.astype(x.dtype), of_kernel.astype(kernel.dtype)


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def convolve(
    x: Float[Array, "batch time channels"], kernel: Float[Array, "taps channels out"], precision: Any = None
) -> Float[Array, "batch out_time out"]:
    """Convolve over time without padding, as one product with all taps' channels side by side; float32."""
    taps, channels, out = kernel.shape
    count = x.shape[1] - taps + 1
    wide = jnp.concatenate([x[:, tap : tap + count] for tap in range(taps)], axis=-1)
    return _product(wide, kernel.reshape(taps * channels, out), precision)


def layer_norm(
    x: Float[Array, "batch time channels"], scale: Float[Array, " channels"], bias: Float[Array, " channels"]
) -> Float[Array, "batch time channels"]:
    """Normalise each frame over its channels (Ba et al. 2016, arXiv 1607.06450), then scale and shift; float32."""
    x = x.astype(jnp.float32)
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    normal = centred * jax.lax.rsqrt(variance + jnp.float32(_EPSILON))
    return normal * scale[None, None] + bias[None, None]


class ConvNeXtBlock(nn.Module):
    """x + gamma * contract(GELU(expand(norm(depthwise(x)))))."""

    channels: int
    hidden_channels: int
    kernel_size: int
    lookahead: int
    gamma: float
    """Initial value of the residual branch's scale."""
    exact: bool
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "batch time channels"]) -> Float[Array, "batch out channels"]:
        """The last time axis is kernel_size - 1 shorter; frame t of the result belongs to x[:, t + first]."""
        channels, hidden, dtype = self.channels, self.hidden_channels, self.dtype
        first = self.kernel_size - 1 - self.lookahead
        y = depthwise(x, declare(self, "depthwise_kernel", _initial, (self.kernel_size, channels)))
        y = y + declare(self, "depthwise_bias", _zeros, (channels,))[None, None]
        ones = nn.initializers.ones
        y = layer_norm(
            y, declare(self, "norm_scale", ones, (channels,)), declare(self, "norm_bias", _zeros, (channels,))
        )
        kernel = declare(self, "expand_kernel", _initial, (channels, hidden)).astype(dtype)
        y = _product(y.astype(dtype), kernel, self.precision)
        y = jax.nn.gelu(y + declare(self, "expand_bias", _zeros, (hidden,))[None, None], approximate=not self.exact)
        kernel = declare(self, "contract_kernel", _initial, (hidden, channels)).astype(dtype)
        y = _product(y.astype(dtype), kernel, self.precision)
        y = y + declare(self, "contract_bias", _zeros, (channels,))[None, None]
        gamma = declare(self, "gamma", nn.initializers.constant(self.gamma), (channels,))
        return x[:, first : first + y.shape[1]] + gamma[None, None] * y


class ConvNeXt(nn.Module):
    """Frames [B, F, C] -> [B, F', channels]: a convolution, a normalisation, blocks, a normalisation.

    Args:
        channels, hidden_channels: width of the residual stream, and inside a block.
        kernel_size: taps of every convolution.
        embedding_lookahead, block_lookahead: future frames that the first convolution and each block see. 3 of 7 taps
            is the source's; a block of 0 is causal.
        gelu: `exact` or `tanh`, the usual approximation, at a third of the time on a CPU.
    """

    input_channels: int
    channels: int
    hidden_channels: int
    num_blocks: int
    kernel_size: int = 7
    embedding_lookahead: int = 3
    block_lookahead: int = 3
    gelu: Literal["exact", "tanh"] = "exact"
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @property
    def lookback(self) -> int:
        """Past frames that a frame of the result depends on."""
        return (self.kernel_size - 1) * (1 + self.num_blocks) - self.lookahead

    @property
    def lookahead(self) -> int:
        """Future frames that a frame of the result depends on."""
        return self.embedding_lookahead + self.num_blocks * self.block_lookahead

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch time input"],
        extra: Float[Array, "batch embedded extra"] | None = None,
        *,
        histories: Histories | None = None,
        zero_edges: bool = False,
    ) -> tuple[Float[Array, "batch out channels"], Histories]:
        """Run over frames.

        Args:
            x: frames. By default their ends are context only: the result lacks the first `lookback` and the last
                `lookahead` of them.
            extra: more channels of what the first convolution returns, mapped and added to it.
            histories: what an earlier call returned as its second value, the result of `x` being the continuation of
                that call's; only where blocks are causal. The first convolution still needs its context in `x`.
            zero_edges: pad every layer's input with zeros, as the source does: F' = F.

        Returns:
            The result, float32, and the histories after it.
        """
        if histories is not None and self.block_lookahead:
            raise ValueError(f"histories need causal blocks, but block_lookahead is {self.block_lookahead}")
        taps, ones = self.kernel_size, nn.initializers.ones
        kernel = declare(self, "embedding_kernel", _initial, (taps, self.input_channels, self.channels))
        x = _padded(x, taps, self.embedding_lookahead) if zero_edges else x
        x = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.precision)
        x = x + declare(self, "embedding_bias", _zeros, (self.channels,))[None, None]
        if extra is not None:
            x = x + _product(
                extra, declare(self, "extra_kernel", _initial, (extra.shape[-1], self.channels)), "highest"
            )
        of = (self.channels,)
        x = layer_norm(x, declare(self, "input_norm_scale", ones, of), declare(self, "input_norm_bias", _zeros, of))
        kept = []
        for index in range(self.num_blocks):
            if histories is not None:
                x = jnp.concatenate([histories[index], x], axis=1)
            elif zero_edges:
                x = _padded(x, taps, self.block_lookahead)
            kept.append(x[:, x.shape[1] - (taps - 1) :])
            x = self._block(index)(x)
        x = layer_norm(x, declare(self, "output_norm_scale", ones, of), declare(self, "output_norm_bias", _zeros, of))
        return x, tuple(kept)

    def _block(self, index: int) -> ConvNeXtBlock:
        return ConvNeXtBlock(
            self.channels,
            self.hidden_channels,
            self.kernel_size,
            self.block_lookahead,
            1.0 / self.num_blocks,
            self.gelu == "exact",
            self.dtype,
            self.precision,
            name=f"block_{index}",
        )


_zeros = nn.initializers.zeros
_initial = nn.initializers.truncated_normal(0.02)


def _product(x: Array, kernel: Array, precision: Any) -> Array:
    return jnp.matmul(x, kernel, precision=precision, preferred_element_type=jnp.float32)


def _padded(x: Array, taps: int, lookahead: int) -> Array:
    return jnp.pad(x, ((0, 0), (taps - 1 - lookahead, lookahead), (0, 0)))
