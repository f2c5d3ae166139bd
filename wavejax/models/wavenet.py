"""WaveNet (van den Oord et al. 2016, arXiv 1609.03499): dilated causal convolutions over samples.

The network reads values[<= n] and predicts values[n + 1]. Layer parameters are stacked on a leading layer axis: one
compiled layer serves all of them (`lax.scan`), and the generation engine packs them without renaming anything.

    x_0     = input(values)
    z_l     = dilated(x_l; dilation d_l) + local(frames) + global(speaker)                    (paper, section 2.5)
    h_l     = tanh(z_l[:G]) * sigmoid(z_l[G:])                                               (equation 2)
    x_{l+1} = (x_l + residual(h_l)) * residual_scale
    output  = tail(relu(sum_l skip(h_l) * skip_scale_l))                                      (figure 4)
"""

import dataclasses
import itertools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from wavejax.audio.companding import SampleCoding
from wavejax.distributions import Categorical, CoarseFine, GaussianMixture, LogisticMixture
from wavejax.nn import (
    ACTIVATIONS,
    FrameNetwork,
    FrameNetworkConfig,
    ReadsConfig,
    Upsampler,
    UpsamplerConfig,
    declare,
    declare_kernel,
    drop,
    gated,
    perturbed,
    smooth_over_classes,
)

_LAYER_LABEL, _NOISE_LABEL = 1000, 2000
"""What the examples' keys are used for: frame network blocks count from 0, layers and input noise from these."""

_MOST_ROWS = 16_384
"""Rows of a product that a training works on at once, where speed is predicted: more would measure the same."""

OutputDistribution = Categorical | CoarseFine | LogisticMixture | GaussianMixture


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaveNetConfig:
    """Sizes and options of a WaveNet. Every preset is one of these; `dataclasses.replace` makes another."""

    dilations: tuple[int, ...]
    kernel_size: int = 2
    residual_channels: int = 64
    gate_channels: int = 64
    """Width after the tanh/sigmoid split."""
    skip_channels: int = 256
    tail_channels: tuple[int, ...] = (256,)
    """Widths between the summed skips and the output, a ReLU before each."""
    tail_bias: bool = True
    input_kind: Literal["one_hot", "embedding", "scalar"] = "one_hot"
    """one_hot: a 1x1 convolution of the class; embedding: the same without bias; scalar: of the companded value."""
    input_kernel_size: int = 1
    input_bias: bool = True
    input_noise: float = 0.0
    """In training: standard deviation added to continuous inputs, or the share of input classes moved by one or two."""
    coding: SampleCoding = SampleCoding()
    distribution: OutputDistribution = Categorical(num_classes=256)
    frame_network: FrameNetworkConfig | None = None
    """None: no local conditioning."""
    upsampler: UpsamplerConfig | None = None
    local_bias: bool = False
    tail_local: bool = False
    """Also feed the local conditioning to the first tail layer (NSynth)."""
    num_speakers: int = 0
    """Speakers known by id; 0 with global_channels > 0 means that a vector is given."""
    global_channels: int = 0
    global_bias: bool = False
    residual_scale: Literal["none", "sqrt_half"] = "none"
    skip_scale: Literal["none", "sqrt_layers", "recursive_sqrt_half"] = "none"
    skip_input: bool = False
    """Also send the input layer to the skips (NSynth)."""
    last_residual: bool = True
    """False: the last layer has no residual map (nv-wavenet); it could reach nothing."""
    weight_normalization: bool = False
    dropout: float = 0.0
    """On each layer's input (r9y9)."""

    def __post_init__(self) -> None:
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"dilations must be a non-empty tuple of integers >= 1, got {self.dilations}")
        for name in ("residual_channels", "gate_channels", "skip_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.tail_channels and min(self.tail_channels) < 1:
            raise ValueError(f"tail_channels must be integers >= 1, got {self.tail_channels}")
        if self.kernel_size < 2:
            raise ValueError(f"kernel_size must be at least 2, got {self.kernel_size}")
        if self.coding.is_discrete != isinstance(self.distribution, Categorical | CoarseFine):
            raise ValueError(
                f"coding {self.coding.kind!r} does not fit {type(self.distribution).__name__}: classes go with "
                "Categorical or CoarseFine, continuous values with LogisticMixture or GaussianMixture"
            )
        if self.coding.is_discrete and self._num_output_classes != self.coding.num_classes:
            raise ValueError(
                f"the distribution has {self._num_output_classes} classes but the coding {self.coding.num_classes}: "
                "make them equal"
            )
        if not self.coding.is_discrete and self.input_kind != "scalar":
            raise ValueError(f"continuous values need input_kind='scalar', got {self.input_kind!r}")
        if (self.frame_network is None) != (self.upsampler is None):
            raise ValueError("local conditioning needs both frame_network and upsampler, got only one of them")
        if self.num_speakers and not self.global_channels:
            raise ValueError(f"{self.num_speakers} speakers need global_channels >= 1 for their embedding, got 0")

    @property
    def _num_output_classes(self) -> int:
        if isinstance(self.distribution, CoarseFine):
            return self.distribution.coarse * self.distribution.fine
        return getattr(self.distribution, "num_classes", 0)

    @property
    def num_layers(self) -> int:
        """Number of dilated layers."""
        return len(self.dilations)

    @property
    def receptive_field(self) -> int:
        """Past values that one prediction sees."""
        return (self.kernel_size - 1) * sum(self.dilations) + self.input_kernel_size

    @property
    def local_channels(self) -> int:
        """Channels of a conditioning frame as given; 0 without local conditioning."""
        return self.frame_network.input_channels if self.frame_network else 0

    @property
    def hop_length(self) -> int | None:
        """Samples per conditioning frame; None without local conditioning."""
        return self.upsampler.hop_length if self.upsampler else None

    @property
    def frame_centre(self) -> int | None:
        """The sample on which frame 0 is centred; None without local conditioning."""
        return self.upsampler.frame_centre if self.upsampler else None

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on."""
        return self.frame_network.lookback + self.upsampler.back if self.frame_network and self.upsampler else 0

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""
        return self.frame_network.lookahead + self.upsampler.forward if self.frame_network and self.upsampler else 0

    @property
    def modes(self) -> tuple[str, ...]:
        """Switches of the parallel form that change memory and speed only."""
        return ("remat", "defer_skips")

    @property
    def size(self) -> str:
        """In a few words."""
        return f"{self.num_layers} layers"

    def typical_product(self, batch_size: int, length: int) -> tuple[int, int, int]:
        """[rows, inputs] x [inputs, outputs] of a layer's product over a batch of examples of that length."""
        return min(batch_size * length, _MOST_ROWS), 2 * self.residual_channels, 2 * self.gate_channels

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "WaveNet":
        """The linen module."""
        return WaveNet(self, dtype=dtype, precision=precision)

    @property
    def projects_samples(self) -> bool:
        """True where local conditioning meets the layers' 1x1 maps at the sample rate, false where at frame rate."""
        return self.upsampler is not None and not self.upsampler.at_frame_rate

    @property
    def skip_coefficients(self) -> tuple[float, ...]:
        """Factor of each layer's skip in the sum."""
        count = self.num_layers
        if self.skip_scale == "none":
            return (1.0,) * count
        if self.skip_scale == "sqrt_layers":
            return (1.0 / math.sqrt(count),) * count
        return tuple(0.5 ** ((count - max(layer, 1)) / 2) for layer in range(count))

    @property
    def residual_coefficient(self) -> float:
        """Factor of each residual sum."""
        return math.sqrt(0.5) if self.residual_scale == "sqrt_half" else 1.0

    @property
    def macs_per_sample(self) -> int:
        """Multiplications per generated sample, conditioning network left out."""
        layer = self.kernel_size * self.residual_channels * 2 * self.gate_channels
        layer += self.gate_channels * (self.residual_channels + self.skip_channels)
        widths = (self.skip_channels, *self.tail_channels, self.distribution.output_size)
        return self.num_layers * layer + sum(a * b for a, b in itertools.pairwise(widths))


class Stack(nn.Module):
    """The dilated layers: [B, N, R] and conditioning -> summed skips [B, scored, S]."""

    config: WaveNetConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    def setup(self) -> None:
        """Declare the parameters."""
        config, layers = self.config, self.config.num_layers
        residual, gate, skip = config.residual_channels, config.gate_channels, config.skip_channels
        norm, zeros = config.weight_normalization, nn.initializers.zeros

        def kernel(name: str, *shape: int, gain: float = 1.0) -> Array:
            return declare_kernel(self, name, shape, weight_normalization=norm, num_stacked=1, gain=gain)

        self.dilated_kernel = kernel("dilated_kernel", layers, config.kernel_size, residual, 2 * gate)
        self.dilated_bias = declare(self, "dilated_bias", zeros, (layers, 2 * gate))
        last = layers if config.last_residual else layers - 1
        self.residual_kernel = kernel("residual_kernel", last, gate, residual)
        self.residual_bias = declare(self, "residual_bias", zeros, (last, residual))
        self.skip_kernel = kernel("skip_kernel", layers, gate, skip)
        self.skip_bias = declare(self, "skip_bias", zeros, (layers, skip))
        if config.frame_network is not None:
            self.local_kernel = kernel("local_kernel", layers, config.frame_network.output_channels, 2 * gate)
            if config.local_bias:
                self.local_bias = declare(self, "local_bias", zeros, (layers, 2 * gate))
        if config.global_channels:
            self.global_kernel = kernel("global_kernel", layers, config.global_channels, 2 * gate)
            if config.global_bias:
                self.global_bias = declare(self, "global_bias", zeros, (layers, 2 * gate))

    def layer_bias(self, speaker: Float[Array, "batch channels"] | None) -> Array:
        """All that is added to every sample's gates: biases and global conditioning. [L, B or 1, 2G]."""
        bias = self.dilated_bias
        if self.config.frame_network is not None and self.config.local_bias:
            bias = bias + self.local_bias
        bias = bias[:, None]
        if speaker is not None:
            bias = bias + jnp.einsum("bc,lcg->lbg", speaker, self.global_kernel, precision=self.precision)
            if self.config.global_bias:
                bias = bias + self.global_bias[:, None]
        return bias

    def project(self, frames: Float[Array, "batch frames channels"]) -> Float[Array, "layers batch frames gates"]:
        """Local conditioning of every layer."""
        kernel = self.local_kernel.astype(frames.dtype)
        return jnp.einsum("bfc,lcg->lbfg", frames, kernel, precision=self.precision)

    def __call__(
        self,
        x: Array,
        bias: Array,
        local: Array | None,
        first: int,
        keys: Array | None,
        *,
        scored: int,
        remat: bool,
        defer_skips: bool,
    ) -> Array:
        """Run all layers; `local` is [B, frames, C] at frame rate or [B, N, C] at sample rate.

        Activations are flat, [B * N, C]: matrix products and their gradients then need no transposed copies, and rows
        of different examples stay apart, so that a batch sharded over devices needs no communication.
        """
        config, dtype = self.config, self.dtype
        batch, length, _ = x.shape
        deepest = (config.kernel_size - 1) * max(config.dilations)
        scale = jnp.asarray(config.residual_coefficient, dtype)
        at_frame_rate = config.upsampler is not None and config.upsampler.at_frame_rate
        flat_local = None if local is None or at_frame_rate else flat(local)

        def matmul(a: Array, b: Array) -> Array:
            return jnp.matmul(a, b, precision=self.precision)

        def delayed(x: Array, samples: Array) -> Array:
            padded = jnp.pad(x.reshape(batch, length, -1), ((0, 0), (deepest, 0), (0, 0)))
            return flat(lax.dynamic_slice_in_dim(padded, deepest - samples, length, axis=1))

        def conditioned(z: Array, layer_bias: Array, local_kernel: Array | None) -> Array:
            added = layer_bias[:, None]
            if local_kernel is not None and flat_local is not None:
                z = z + matmul(flat_local, local_kernel)
            elif local_kernel is not None and local is not None and config.upsampler is not None:
                added = config.upsampler.spread(matmul(local, local_kernel) + added, first, length)
            return z + flat(jnp.broadcast_to(added, (batch, length, added.shape[-1])))

        def layer(carry: tuple[Array, Array], inputs: tuple[Any, ...]) -> tuple[tuple[Array, Array], Array | None]:
            x, skips = carry
            taps, layer_bias, local_kernel, residual_kernel, residual_bias, skip_kernel, dilation, number = inputs
            x_in = flat(drop(x.reshape(batch, length, -1), keys, config.dropout, number))
            z = matmul(x_in, taps[-1])
            for back in range(1, config.kernel_size):
                z = z + matmul(delayed(x_in, back * dilation), taps[-1 - back])
            hidden = gated(conditioned(z, layer_bias, local_kernel))
            out = matmul(hidden, residual_kernel) + residual_bias[None]
            heard = flat(hidden.reshape(batch, length, -1)[:, length - scored :])
            if defer_skips:
                return ((x + out) * scale, skips), heard
            return ((x + out) * scale, skips + matmul(heard, skip_kernel).astype(jnp.float32)), None

        missing = config.num_layers - self.residual_kernel.shape[0]
        coefficients = jnp.asarray(config.skip_coefficients, jnp.float32)
        stacked = (
            tuple(self.dilated_kernel[:, tap].astype(dtype) for tap in range(config.kernel_size)),
            bias.astype(dtype),
            None if local is None else self.local_kernel.astype(dtype),
            jnp.pad(self.residual_kernel, ((0, missing), (0, 0), (0, 0))).astype(dtype),
            jnp.pad(self.residual_bias, ((0, missing), (0, 0))).astype(dtype),
            (self.skip_kernel * coefficients[:, None, None]).astype(dtype),
            jnp.asarray(config.dilations, jnp.int32),
            jnp.arange(config.num_layers) + _LAYER_LABEL,
        )
        kept = jax.checkpoint_policies.save_only_these_names(*(() if remat else (ACTIVATIONS,)))
        start = jnp.broadcast_to(
            jnp.einsum("l,ls->s", coefficients, self.skip_bias)[None], (batch * scored, config.skip_channels)
        )
        run = jax.checkpoint(layer, policy=kept, prevent_cse=False)
        (_, skips), heard = lax.scan(run, (flat(x), start), stacked)
        if defer_skips:
            kernels = (self.skip_kernel * coefficients[:, None, None]).astype(dtype)
            product = jnp.einsum("lng,lgs->ns", heard, kernels, precision=self.precision)
            skips = skips + product.astype(jnp.float32)
        return skips.astype(dtype).reshape(batch, scored, config.skip_channels)


class WaveNet(ReadsConfig, nn.Module):
    """WaveNet as a linen module and as an `AutoregressiveModel` that the generation engine runs.

    Call: `model.apply({"params": params}, values, frames, speaker, ...) -> outputs`.
    """

    config: WaveNetConfig
    dtype: DTypeLike = jnp.float32
    """Compute type of the layers; parameters and the output stay float32."""
    precision: Any = None

    def setup(self) -> None:
        """Declare the parameters."""
        config = self.config
        norm = config.weight_normalization
        classes = config.coding.num_classes if config.input_kind != "scalar" else 1
        input_shape = (config.input_kernel_size, classes, config.residual_channels)
        initializer = smooth_over_classes if config.input_kind != "scalar" else None
        self.input_kernel = declare_kernel(
            self, "input_kernel", input_shape, weight_normalization=norm, initializer=initializer
        )
        if config.input_bias:
            self.input_bias = declare(self, "input_bias", nn.initializers.zeros, (config.residual_channels,))
        self.stack = Stack(config, self.dtype, self.precision)
        if config.skip_input:
            shape = (config.residual_channels, config.skip_channels)
            self.skip_input_kernel = declare_kernel(self, "skip_input_kernel", shape, weight_normalization=norm)
            self.skip_input_bias = declare(self, "skip_input_bias", nn.initializers.zeros, (config.skip_channels,))
        widths = (config.skip_channels, *config.tail_channels, config.distribution.output_size)
        self.tail_kernels = [
            declare_kernel(self, f"tail_{i}_kernel", pair, weight_normalization=norm, gain=gain)
            for i, (pair, gain) in enumerate(
                (pair, math.sqrt(2.0) if i < len(config.tail_channels) else 0.1)
                for i, pair in enumerate(itertools.pairwise(widths))
            )
        ]
        if config.tail_bias:
            self.tail_biases = [
                declare(self, f"tail_{i}_bias", nn.initializers.zeros, (width,)) for i, width in enumerate(widths[1:])
            ]
        if config.frame_network is not None and config.upsampler is not None:
            self.frame_network = FrameNetwork(config.frame_network, self.dtype)
            if not config.upsampler.at_frame_rate:
                self.upsampler = Upsampler(config.upsampler, self.dtype)
            if config.tail_local:
                shape = (config.frame_network.output_channels, config.tail_channels[0])
                self.tail_local_kernel = declare_kernel(self, "tail_local_kernel", shape, weight_normalization=norm)
        if config.num_speakers:
            shape = (config.num_speakers, config.global_channels)
            self.speaker_embedding = self.param("speaker_embedding", nn.initializers.normal(0.1), shape)

    def __call__(
        self,
        values: Array,
        frames: Float[Array, "batch frames channels"] | None = None,
        global_conditioning: Array | None = None,
        *,
        first: int = 0,
        scored: int | None = None,
        keys: Key[Array, "batch"] | None = None,
        remat: bool = False,
        defer_skips: bool = False,
    ) -> Float[Array, "batch time outputs"]:
        """Teacher-forced outputs: output i is the distribution of values[:, i + 1].

        Args:
            values: encoded samples [B, N], int32 classes or float32.
            frames: local conditioning [B, lookback + intervals + lookahead, C] around the predicted samples.
            global_conditioning: speaker ids [B] int32, or vectors [B, global_channels].
            first: position of the first PREDICTED sample (the one after values[:, 0]), in samples after the
                interval of frames[:, lookback] began.
            scored: return only the outputs of the last `scored` positions (default: all).
            keys: one PRNG key per example turn dropout and input noise on (training).
            remat: recompute layers in the backward pass: less memory, more time.
            defer_skips: keep every layer's gated output and map all of them to the skips in one product, instead of
                adding up layer by layer: fewer passes over memory, more of it.

        Returns:
            float32 [B, scored, distribution.output_size].
        """
        length = values.shape[1]
        scored = length if scored is None else scored
        speaker = self._speaker(values.shape[0], global_conditioning)
        local = self._conditioning(frames, first, length, keys)
        if keys is not None and self.config.input_noise:
            values = self._perturb(values, keys)
        x = self._input(values)
        bias, modes = self.stack.layer_bias(speaker), {"remat": remat, "defer_skips": defer_skips}
        skips = self.stack(x, bias, local, first, keys, scored=scored, **modes)
        if self.config.skip_input:
            first_layer = x[:, length - scored :] @ self.skip_input_kernel.astype(x.dtype)
            skips = skips + first_layer + self.skip_input_bias.astype(x.dtype)[None, None]
        tail_local = None
        if self.config.tail_local and local is not None:
            upsampler = self.config.upsampler
            if upsampler is not None and upsampler.at_frame_rate:
                local = upsampler.spread(local, first, length)
            tail_local = local[:, length - scored :] @ self.tail_local_kernel.astype(local.dtype)
        return self._tail(skips, tail_local)

    def _input(self, values: Array) -> Array:
        config, size = self.config, self.config.input_kernel_size
        kernel = self.input_kernel
        if config.input_kind == "scalar":
            scalar = config.coding.to_scalar(values)
            padded = jnp.pad(scalar, ((0, 0), (size - 1, 0)))
            length = values.shape[1]
            x = sum(padded[:, t : t + length, None] * kernel[t][None] for t in range(size))
        else:
            x = kernel[size - 1][values]
            for back in range(1, size):
                row = kernel[size - 1 - back][values]
                x = x + jnp.pad(row, ((0, 0), (back, 0), (0, 0)))[:, : values.shape[1]]
        if config.input_bias:
            x = x + self.input_bias[None, None]
        return jnp.asarray(x).astype(self.dtype)

    def _perturb(self, values: Array, keys: Array) -> Array:
        return perturbed(values, keys, self.config.input_noise, self.config.coding, _NOISE_LABEL)

    def _speaker(self, batch: int, global_conditioning: Array | None) -> Array | None:
        config = self.config
        if not config.global_channels:
            if global_conditioning is not None:
                raise ValueError("this WaveNet has no global conditioning, but global_conditioning was given")
            return None
        if global_conditioning is None:
            raise ValueError(
                "this WaveNet needs global_conditioning: "
                + (f"speaker ids below {config.num_speakers}" if config.num_speakers else "vectors [B, C]")
            )
        if config.num_speakers:
            return self.speaker_embedding[global_conditioning]
        if global_conditioning.shape != (batch, config.global_channels):
            expected = (batch, config.global_channels)
            raise ValueError(f"global_conditioning must have shape {expected}, got {global_conditioning.shape}")
        return global_conditioning

    def _conditioning(self, frames: Array | None, first: int, length: int, keys: Array | None) -> Array | None:
        config = self.config
        if config.frame_network is None or config.upsampler is None:
            if frames is not None:
                raise ValueError("this WaveNet has no local conditioning, but frames were given")
            return None
        frames = self.checked_frames(frames, first, length)
        encoded = self.frame_network(frames, keys)
        if config.upsampler.at_frame_rate:
            return encoded
        return self.upsampler(encoded)[:, first : first + length]

    def _tail(self, skips: Array, tail_local: Array | None) -> Array:
        x = flat(skips)
        for i, kernel in enumerate(self.tail_kernels):
            x = jnp.matmul(jax.nn.relu(x), kernel.astype(x.dtype), precision=self.precision)
            if self.config.tail_bias:
                x = x + self.tail_biases[i].astype(x.dtype)[None]
            if i == 0 and tail_local is not None:
                x = x + flat(tail_local).astype(x.dtype)
        return x.astype(jnp.float32).reshape(*skips.shape[:2], -1)

    # The decoder's conditioning: everything that is known before a sample is drawn.

    def encode_frame(self, window: Array | None, global_conditioning: Array | None) -> dict[str, Array]:
        """Gate inputs of one frame from its own window [B, W, C].

        At frame rate W is the frame network's context + 1 and the entry holds one row, [1, L, B, 2G], which the
        decoder interpolates; `tail` is the same for the tail's input. Otherwise W is lookback + 1 + lookahead, the row
        holds biases only, and beside it stand what each sample's gates are still to be projected from, `local`
        [hop, B, C], and `tail` [hop, B, T]: projected they would be 2 L G wide. Without local conditioning there is
        just the row of biases. Of those B is 1 where nothing depends on the stream.
        """
        config = self.config
        batch = (
            window.shape[0] if window is not None else 1 if global_conditioning is None else len(global_conditioning)
        )
        bias = self.stack.layer_bias(self._speaker(batch, global_conditioning))
        if window is None or config.upsampler is None:
            return {"gates": bias[None]}
        encoded = self.frame_network(window)
        if config.upsampler.at_frame_rate:
            rows = encoded
            entry = {"gates": jnp.moveaxis(self.stack.project(rows).astype(jnp.float32), 2, 0) + bias[None]}
        else:
            rows = self.upsampler(encoded)
            entry = {"gates": bias[None], "local": jnp.moveaxis(rows.astype(jnp.float32), 1, 0)}
        if config.tail_local:
            tail = rows @ self.tail_local_kernel.astype(rows.dtype)
            entry["tail"] = jnp.moveaxis(tail.astype(jnp.float32), 1, 0)
        return entry

    def kernels(self) -> dict[str, Array]:
        """Effective (weight-normalised) arrays by name, for the engine's packing."""
        config, stack = self.config, self.stack
        arrays = {
            "input": self.input_kernel,
            "dilated": stack.dilated_kernel,
            "residual": stack.residual_kernel,
            "residual_bias": stack.residual_bias,
            "skip": stack.skip_kernel,
            "skip_bias": stack.skip_bias,
        }
        if config.input_bias:
            arrays["input_bias"] = self.input_bias
        if config.skip_input:
            arrays["skip_input"], arrays["skip_input_bias"] = self.skip_input_kernel, self.skip_input_bias
        if config.projects_samples:
            arrays["local"] = stack.local_kernel
        for i, kernel in enumerate(self.tail_kernels):
            arrays[f"tail_{i}"] = kernel
            if config.tail_bias:
                arrays[f"tail_{i}_bias"] = self.tail_biases[i]
        return arrays


def flat(x: Float[Array, "batch time channels"]) -> Float[Array, "rows channels"]:
    """One row per sample, example after example."""
    return x.reshape(-1, x.shape[-1])
