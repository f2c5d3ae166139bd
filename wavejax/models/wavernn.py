"""WaveRNN (Kalchbrenner et al. 2018, arXiv 1802.08435): a recurrent layer draws samples one after the other.

The network reads values[<= n] and predicts values[n + 1]. A configuration holds one of two networks. `PairNetwork`,
small enough to run faster than real time on a CPU, updates its state once for two samples; as the paper's fine half of
a sample sees the coarse half (section 2.1), a pair's second sample sees its first, so every sample still sees all of
those before it:

    x_k        = [e(v_{2k-2}), e(v_{2k-1}), frame network at sample 2k]
    h_k        = GRU(h_{k-1}, x_k)
    v_{2k}     ~ output_0(relu(head_0(h_k)))
    v_{2k+1}   ~ output_1(relu(head_1(h_k) + newest(e(v_{2k}))))

`TwoLayerNetwork` is the network of the public checkpoints (fatchord/WaveRNN and torchaudio): two recurrent layers with
residual sums, the mel spectrogram beside every sample.
"""

import dataclasses
import math
from collections.abc import Mapping
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
    FrameNetwork,
    FrameNetworkConfig,
    ReadsConfig,
    Upsampler,
    UpsamplerConfig,
    declare_kernel,
    smooth_over_classes,
)
from wavejax.nn.input_noise import perturbed
from wavejax.nn.mel_resnet import MelResNet
from wavejax.nn.recurrent import GRU, LSTM
from wavejax.types import PyTree

_NOISE_LABEL = 2000  # of the examples' keys: frame network blocks count from 0, input noise has this

OutputDistribution = Categorical | CoarseFine | LogisticMixture | GaussianMixture


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairConfig:
    """Sizes of a network whose recurrent layer runs once for every two samples."""

    cell: Literal["gru", "lstm"] = "gru"
    hidden_channels: int = 256
    embedding_channels: int = 64
    """Of a sample's class; linear maps alone read it, so that it folds into tables for generation."""
    head_channels: int = 128
    """Width between the state and the output, a ReLU behind it."""
    frame_network: FrameNetworkConfig = FrameNetworkConfig(
        input_kernel_size=3, channels=192, num_blocks=2, dropout=0.1, input_offset=-6.0, input_scale=0.4
    )
    upsampler: UpsamplerConfig = UpsamplerConfig(kind="linear", hop_length=200, frame_centre=100)

    def __post_init__(self) -> None:
        _check_widths(self, "hidden_channels", "embedding_channels", "head_channels")
        if not self.upsampler.at_frame_rate:
            raise ValueError(
                f"a pair's conditioning is interpolated, got the upsampler kind {self.upsampler.kind!r}: use 'linear' "
                "or 'repeat'"
            )
        if self.upsampler.hop_length % 2 or self.upsampler.frame_centre % 2:
            raise ValueError(
                "pairs of samples need an even hop_length and frame_centre, got "
                f"{self.upsampler.hop_length} and {self.upsampler.frame_centre}"
            )

    @property
    def pair_upsampler(self) -> UpsamplerConfig:
        """The same interpolation with pairs of samples for samples."""
        upsampler = self.upsampler
        return dataclasses.replace(
            upsampler, hop_length=upsampler.hop_length // 2, frame_centre=upsampler.frame_centre // 2
        )

    @property
    def local_channels(self) -> int:
        """Channels of a conditioning frame as given."""
        return self.frame_network.input_channels

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on."""
        return self.frame_network.lookback + self.upsampler.back

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""
        return self.frame_network.lookahead + self.upsampler.forward

    @property
    def frame_centre(self) -> int:
        """The sample on which the features' frame 0 is to be centred."""
        return self.upsampler.frame_centre

    @property
    def gates(self) -> int:
        """Of the recurrent layer."""
        return 3 if self.cell == "gru" else 4

    @property
    def size(self) -> str:
        """In a few words."""
        return f"one {self.cell.upper()} of {self.hidden_channels}, a step for two samples"

    def macs_per_sample(self, output_size: int) -> int:
        """Multiplications per generated sample, conditioning network left out."""
        state = self.gates * self.hidden_channels**2 + 2 * self.hidden_channels * self.head_channels
        return state // 2 + self.head_channels * output_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoLayerConfig:
    """Sizes of the network of fatchord/WaveRNN and torchaudio; the defaults are those of the public checkpoints."""

    local_channels: int = 80
    scales: tuple[int, ...] = (5, 5, 11)
    """Factors of the mel spectrogram's stretching; their product is the hop length."""
    context: int = 2
    """Frames on each side that the residual network sees."""
    resnet_channels: int = 128
    resnet_blocks: int = 10
    auxiliary_channels: int = 128
    """Channels of the residual network's output, a quarter of which goes to each of four layers."""
    hidden_channels: int = 512
    fc_channels: int = 512

    def __post_init__(self) -> None:
        _check_widths(self, "local_channels", "resnet_channels", "auxiliary_channels", "hidden_channels", "fc_channels")
        if self.auxiliary_channels % 4:
            raise ValueError(f"auxiliary_channels are shared by four layers, got {self.auxiliary_channels}: use 4 n")
        if self.context < 0 or self.resnet_blocks < 0:
            raise ValueError(
                f"context and resnet_blocks must be at least 0, got {self.context} and {self.resnet_blocks}"
            )
        if not self.scales or min(self.scales) < 1:
            raise ValueError(f"scales must be a non-empty tuple of integers >= 1, got {self.scales}")

    @property
    def upsampler(self) -> UpsamplerConfig:
        """How the mel spectrogram is stretched: a frame's own interval is where it stands, without any shift."""
        hop = math.prod(self.scales)
        return UpsamplerConfig(kind="stretch", hop_length=hop, frame_centre=hop // 2, scales=self.scales)

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on."""
        return max(self.context, self.upsampler.back)

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""
        return max(self.context, self.upsampler.forward)

    @property
    def frame_centre(self) -> int:
        """0: the public checkpoints' features are centred on the sample where their frame's interval begins."""
        return 0

    @property
    def gates(self) -> int:
        """Of a recurrent layer."""
        return 3

    @property
    def size(self) -> str:
        """In a few words."""
        return f"two GRUs of {self.hidden_channels}"

    def macs_per_sample(self, output_size: int) -> int:
        """Multiplications per generated sample, conditioning network left out."""
        hidden, fc = self.hidden_channels, self.fc_channels
        recurrent = 2 * (3 * hidden * (hidden + hidden))
        return (1 + self.local_channels) * hidden + recurrent + hidden * fc + fc * fc + fc * output_size


def _check_widths(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaveRNNConfig:
    """A network, what it reads and what it predicts. Every preset is one; `dataclasses.replace` makes another."""

    network: PairConfig | TwoLayerConfig = PairConfig()
    coding: SampleCoding = SampleCoding(kind="mu_law", num_classes=1024, pre_emphasis=0.85)
    distribution: OutputDistribution = CoarseFine(coarse=32, fine=32)
    receptive_field: int = 400
    """Samples of silence that the state hears before sample 0, and what a training crop needs as history. A recurrent
    state remembers longer than that: unlike a convolution's it is no bound. 1: begin with zeros."""
    input_noise: float = 0.0
    """In training: deviation of noise added to continuous inputs, or the share of input classes moved by one or two."""
    num_speakers: int = 0
    global_channels: int = 0

    def __post_init__(self) -> None:
        coding, distribution = self.coding, self.distribution
        if coding.is_discrete != isinstance(distribution, Categorical | CoarseFine):
            raise ValueError(
                f"coding {coding.kind!r} does not fit {type(distribution).__name__}: classes go with Categorical or "
                "CoarseFine, continuous values with LogisticMixture or GaussianMixture"
            )
        if coding.is_discrete and distribution.num_classes != coding.num_classes:
            raise ValueError(
                f"the distribution has {distribution.num_classes} classes but the coding {coding.num_classes}: make "
                "them equal"
            )
        if not coding.is_discrete and isinstance(self.network, PairConfig):
            raise ValueError(
                f"PairConfig embeds classes, but coding {coding.kind!r} has none: use 'mu_law' or 'linear', or "
                "TwoLayerConfig"
            )
        if self.receptive_field < 1:
            raise ValueError(f"receptive_field must be at least 1 sample, got {self.receptive_field}")
        if (self.num_speakers > 0) != (self.global_channels > 0):
            raise ValueError(
                f"speakers are told apart by an embedding, got num_speakers {self.num_speakers} and global_channels "
                f"{self.global_channels}: give both, or neither"
            )
        if self.num_speakers and isinstance(self.network, TwoLayerConfig):
            raise ValueError(f"TwoLayerConfig knows no speakers, got num_speakers {self.num_speakers}: use PairConfig")

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "WaveRNN":
        """The linen module; `dtype` is the compute type."""
        return WaveRNN(self, dtype, precision)

    @property
    def upsampler(self) -> UpsamplerConfig:
        """How frames become samples."""
        return self.network.upsampler

    @property
    def local_channels(self) -> int:
        """Channels of a conditioning frame as given."""
        return self.network.local_channels

    @property
    def hop_length(self) -> int:
        """Samples per conditioning frame."""
        return self.upsampler.hop_length

    @property
    def frame_centre(self) -> int:
        """The sample on which the features' frame 0 is to be centred."""
        return self.network.frame_centre

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on."""
        return self.network.lookback

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""
        return self.network.lookahead

    @property
    def macs_per_sample(self) -> int:
        """Multiplications per generated sample, conditioning network left out."""
        return self.network.macs_per_sample(self.distribution.output_size)

    @property
    def modes(self) -> tuple[str, ...]:
        """Switches of the parallel form that change memory and speed only: none."""
        return ()

    @property
    def size(self) -> str:
        """In a few words."""
        return self.network.size

    def typical_product(self, batch_size: int, length: int) -> tuple[int, int, int]:
        """[rows, inputs] x [inputs, outputs] of the recurrent product, which works on one step of all examples."""
        return batch_size, self.network.hidden_channels, self.network.gates * self.network.hidden_channels


class PairNetwork(nn.Module):
    """One recurrent layer and two heads: see the head of this file."""

    config: WaveRNNConfig
    sizes: PairConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    def setup(self) -> None:
        """Declare the parameters."""
        config, sizes, zeros = self.config, self.sizes, nn.initializers.zeros
        embedding, heads, outputs = sizes.embedding_channels, sizes.head_channels, config.distribution.output_size
        self.embedding = self.param(
            "embedding", lambda key: smooth_over_classes(key, (1, config.coding.num_classes, embedding))[0]
        )
        self.frame_network = FrameNetwork(sizes.frame_network, self.dtype)
        inputs = 2 * embedding + sizes.frame_network.output_channels + config.global_channels
        layer = {"gru": GRU, "lstm": LSTM}[sizes.cell]
        self.recurrent = layer(inputs, sizes.hidden_channels, self.dtype, self.precision)
        self.heads_kernel = declare_kernel(
            self, "heads_kernel", (sizes.hidden_channels, 2 * heads), gain=math.sqrt(2.0)
        )
        self.heads_bias = self.param("heads_bias", zeros, (2 * heads,))
        self.newest_kernel = declare_kernel(self, "newest_kernel", (embedding, heads))
        self.output_kernel = declare_kernel(
            self, "output_kernel", (2, heads, outputs), num_stacked=1, gain=0.1 * math.sqrt(2.0)
        )
        self.output_bias = self.param("output_bias", zeros, (2, outputs))
        if config.num_speakers:
            shape = (config.num_speakers, config.global_channels)
            self.speaker_embedding = self.param("speaker_embedding", nn.initializers.normal(0.1), shape)

    def fold(self) -> dict[str, Array]:
        """A class's part of the gates as the older and as the newer of two past samples, and of the second head."""
        width, times = self.sizes.embedding_channels, self.recurrent.product
        kernel = self.recurrent.input_kernel
        return {
            "older": times(self.embedding, kernel[:width]) + self.recurrent.input_bias.astype(jnp.float32)[None],
            "newer": times(self.embedding, kernel[width : 2 * width]),
            "newest": times(self.embedding, self.newest_kernel),
        }

    def _frame_gates(self, frames: Array, speaker: Array | None, keys: Array | None) -> Float[Array, "b frames gates"]:
        """The frames' and the speaker's part of the gates, which interpolation commutes with."""
        kernel = self.recurrent.input_kernel[2 * self.sizes.embedding_channels :]
        encoded = self.frame_network(frames, keys)
        width = encoded.shape[-1]
        gates = self.recurrent.product(encoded, kernel[:width])
        if speaker is None:
            return gates
        return gates + self.recurrent.product(self.speaker_embedding[speaker], kernel[width:])[:, None]

    def __call__(
        self, values: Array, frames: Array, speaker: Array | None, first: int, scored: int, keys: Array | None
    ) -> Float[Array, "batch scored outputs"]:
        """Teacher-forced outputs; pairs begin at even positions, so an odd `first` cuts one in two."""
        (batch, length), odd = values.shape, first % 2
        tables, silence = self.fold(), jnp.full((values.shape[0], 1), self.config.coding.silence, values.dtype)
        pairs = (length - odd + 1) // 2  # whose first sample is predicted here
        past = (values if odd else jnp.concatenate([silence, values], axis=1))[:, : 2 * pairs]
        hidden = jnp.zeros((batch, odd, self.sizes.hidden_channels), jnp.float32)
        if pairs:
            gates = self._frame_gates(frames, speaker, keys)
            gates = self.sizes.pair_upsampler.spread(gates, (first + odd) // 2, pairs)
            gates = gates + tables["older"][past[:, ::2]] + tables["newer"][past[:, 1::2]]
            hidden = jnp.concatenate([hidden, self.recurrent.scan(gates)[1]], axis=1)
        # Halves count from the first sample of the first pair, be it predicted or not.
        start = length - scored + odd
        cut = start // 2
        newest = jnp.concatenate([values, silence], axis=1)[:, 2 * cut - odd + 1 :: 2][:, : hidden.shape[1] - cut]
        first_half, second_half = jnp.split(self._heads(hidden[:, cut:]), 2, axis=-1)
        halves = (self._output(0, first_half), self._output(1, second_half + tables["newest"][newest]))
        outputs = jnp.stack(halves, axis=2).reshape(batch, -1, halves[0].shape[-1])
        return outputs[:, start - 2 * cut : start - 2 * cut + scored]

    def _heads(self, hidden: Float[Array, "*batch hidden"]) -> Float[Array, "*batch heads"]:
        bias = self.heads_bias.astype(jnp.float32)
        return self.recurrent.product(hidden, self.heads_kernel) + bias.reshape((1,) * (hidden.ndim - 1) + (-1,))

    def _output(self, half: int, x: Float[Array, "*batch channels"]) -> Float[Array, "*batch outputs"]:
        bias = self.output_bias[half].astype(jnp.float32).reshape((1,) * (x.ndim - 1) + (-1,))
        return self.recurrent.product(jax.nn.relu(x), self.output_kernel[half]) + bias

    def encode_frame(self, window: Array, speaker: Array | None) -> dict[str, Array]:
        """Gates of the frames that one interval is interpolated from, "gates" [back + 1 + forward, B, gates]."""
        return {"gates": jnp.moveaxis(self._frame_gates(window, speaker, None), 1, 0)}

    def at_sample(self, entry: dict[str, Array], row: Array) -> dict[str, Array]:
        """The entry, and beside it where in its frame the sample stands: the step interpolates when it has to."""
        return {**entry, "row": row}

    def init_cache(self, batch_size: int) -> dict[str, PyTree]:
        """State of the recurrent layer, what the second head makes of it [B, heads], and the older sample [B]."""
        state = self.recurrent.initial_state(batch_size)
        second = self._heads(jnp.zeros((batch_size, self.sizes.hidden_channels), jnp.float32))
        silence = jnp.full((batch_size,), self.config.coding.silence, jnp.int32)
        return {"state": state, "second": second[:, self.sizes.head_channels :], "older": silence}

    def step(
        self, tables: Mapping[str, Array], cache: dict[str, PyTree], value: Array, condition: dict[str, Array]
    ) -> tuple[dict[str, PyTree], Float[Array, "batch outputs"]]:
        """A pair's first sample runs the recurrent layer and both heads' first maps; its second finds its own ready."""
        row, upsampler = condition["row"], self.sizes.upsampler
        recurrent, heads, output = self.recurrent.advance, self._heads, self._output

        def first(cache: dict[str, PyTree]) -> tuple[dict[str, PyTree], Array]:
            index, weight = upsampler.interpolation(row)
            rows = condition["gates"], index + upsampler.back
            low, high = (lax.dynamic_index_in_dim(rows[0], rows[1] + i, keepdims=False) for i in (0, 1))
            gates = low + (high - low) * weight
            gates = gates + tables["older"][cache["older"]].astype(jnp.float32)
            state, hidden = recurrent(cache["state"], gates + tables["newer"][value].astype(jnp.float32))
            now, second = jnp.split(heads(hidden), 2, axis=-1)
            return {"state": state, "second": second, "older": cache["older"]}, output(0, now)

        def second(cache: dict[str, PyTree]) -> tuple[dict[str, PyTree], Array]:
            return {**cache, "older": value}, output(1, cache["second"] + tables["newest"][value].astype(jnp.float32))

        return lax.cond(row % 2 == 0, first, second, cache)


class TwoLayerNetwork(nn.Module):
    """The network of the public checkpoints, mel and auxiliary channels concatenated to four layers' inputs.

    A concatenated input is a sum of products: what the auxiliary channels add is the same for a frame's samples.
    """

    config: WaveRNNConfig
    sizes: TwoLayerConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    def setup(self) -> None:
        """Declare the parameters."""
        sizes, outputs, zeros = self.sizes, self.config.distribution.output_size, nn.initializers.zeros
        hidden, fc, part = sizes.hidden_channels, sizes.fc_channels, sizes.auxiliary_channels // 4
        widths = sizes.context, sizes.resnet_channels, sizes.resnet_blocks, sizes.auxiliary_channels
        self.resnet = MelResNet(*widths, self.dtype, self.precision)
        self.stretch = Upsampler(sizes.upsampler, self.dtype)
        self.input_kernel = declare_kernel(self, "input_kernel", (1 + sizes.local_channels + part, hidden))
        self.input_bias = self.param("input_bias", zeros, (hidden,))
        self.rnn_1 = GRU(hidden, hidden, self.dtype, self.precision)
        self.rnn_2 = GRU(hidden + part, hidden, self.dtype, self.precision)
        self.fc_1_kernel = declare_kernel(self, "fc_1_kernel", (hidden + part, fc), gain=math.sqrt(2.0))
        self.fc_1_bias = self.param("fc_1_bias", zeros, (fc,))
        self.fc_2_kernel = declare_kernel(self, "fc_2_kernel", (fc + part, fc), gain=math.sqrt(2.0))
        self.fc_2_bias = self.param("fc_2_bias", zeros, (fc,))
        self.fc_3_kernel = declare_kernel(self, "fc_3_kernel", (fc, outputs), gain=0.1)
        self.fc_3_bias = self.param("fc_3_bias", zeros, (outputs,))

    def fold(self) -> dict[str, Array]:
        """Nothing."""
        return {}

    def _added(self, frames: Array, training: bool) -> dict[str, Float[Array, "batch frames channels"]]:
        """What each frame adds to the inputs of four layers: auxiliary channels and biases."""
        sizes, times = self.sizes, self.rnn_1.product
        spare = sizes.lookback - sizes.context, sizes.lookahead - sizes.context
        auxiliary = self.resnet(frames[:, spare[0] : frames.shape[1] - spare[1]], training)
        part, hidden = auxiliary.shape[-1] // 4, sizes.hidden_channels
        kernels = {
            "input": (self.input_kernel[1 + sizes.local_channels :], self.input_bias),
            "rnn_2": (self.rnn_2.input_kernel[hidden:], self.rnn_2.input_bias),
            "fc_1": (self.fc_1_kernel[hidden:], self.fc_1_bias),
            "fc_2": (self.fc_2_kernel[sizes.fc_channels :], self.fc_2_bias),
        }
        return {
            name: times(auxiliary[..., i * part : (i + 1) * part], kernel) + bias.astype(jnp.float32)[None, None]
            for i, (name, (kernel, bias)) in enumerate(kernels.items())
        }

    def _mel(self, frames: Array) -> Float[Array, "batch time channels"]:
        """The frames at the sample rate, from the beginning of the interval of frames[lookback] on."""
        sizes, upsampler = self.sizes, self.sizes.upsampler
        spare = sizes.lookback - upsampler.back, sizes.lookahead - upsampler.forward
        return self.stretch(frames[:, spare[0] : frames.shape[1] - spare[1]])

    def __call__(
        self, values: Array, frames: Array, speaker: Array | None, first: int, scored: int, keys: Array | None
    ) -> Float[Array, "batch scored outputs"]:
        """Teacher-forced outputs, from states of zeros before values[:, 0]."""
        length, hop = values.shape[1], self.sizes.upsampler.hop_length
        mel = self._mel(frames)[:, first : first + length]
        added = {
            name: jnp.repeat(rows, hop, axis=1)[:, first : first + length]
            for name, rows in self._added(frames, keys is not None).items()
        }
        x = self._input(values, mel, added["input"])
        x = x + self.rnn_1(x)[1]
        x = x + self.rnn_2.scan(self._second_gates(x, added["rnn_2"]))[1]
        heard = slice(length - scored, length)
        return self._tail(x[:, heard], added["fc_1"][:, heard], added["fc_2"][:, heard])

    def _input(self, values: Array, mel: Array, added: Array) -> Array:
        row = self.input_kernel[0].astype(jnp.float32).reshape((1,) * values.ndim + (-1,))
        x = self.rnn_1.product(mel, self.input_kernel[1 : 1 + self.sizes.local_channels])
        return x + self.config.coding.to_scalar(values)[..., None] * row + added

    def _second_gates(self, x: Array, added: Array) -> Array:
        return self.rnn_2.product(x, self.rnn_2.input_kernel[: self.sizes.hidden_channels]) + added

    def _tail(self, x: Array, added_1: Array, added_2: Array) -> Float[Array, "*batch outputs"]:
        times = self.rnn_1.product
        x = jax.nn.relu(times(x, self.fc_1_kernel[: self.sizes.hidden_channels]) + added_1)
        x = jax.nn.relu(times(x, self.fc_2_kernel[: self.sizes.fc_channels]) + added_2)
        return times(x, self.fc_3_kernel) + self.fc_3_bias.astype(jnp.float32).reshape((1,) * (x.ndim - 1) + (-1,))

    def encode_frame(self, window: Array, speaker: Array | None) -> dict[str, Array]:
        """The frame's mel at the sample rate, "mel" [hop, B, C], and what the frame adds to four layers, [B, ...]."""
        added = {name: rows[:, 0] for name, rows in self._added(window, False).items()}
        return {"mel": jnp.moveaxis(self._mel(window).astype(jnp.float32), 1, 0), **added}

    def at_sample(self, entry: dict[str, Array], row: Array) -> dict[str, Array]:
        """The entry with the one sample's mel [B, C]."""
        return {**entry, "mel": entry["mel"][row]}

    def init_cache(self, batch_size: int) -> dict[str, PyTree]:
        """The states of both layers, [B, H] each."""
        return {name: self.rnn_1.initial_state(batch_size) for name in ("rnn_1", "rnn_2")}

    def step(
        self, tables: Mapping[str, Array], cache: dict[str, PyTree], value: Array, condition: dict[str, Array]
    ) -> tuple[dict[str, PyTree], Float[Array, "batch outputs"]]:
        """One sample through all layers."""
        x = self._input(value, condition["mel"], condition["input"])
        first, hidden = self.rnn_1.step(cache["rnn_1"], x)
        x = x + hidden
        second, hidden = self.rnn_2.advance(cache["rnn_2"], self._second_gates(x, condition["rnn_2"]))
        return {"rnn_1": first, "rnn_2": second}, self._tail(x + hidden, condition["fc_1"], condition["fc_2"])


class WaveRNN(ReadsConfig, nn.Module):
    """WaveRNN as a linen module and as a `Steppable` model that the generation engine runs.

    Call: `model.apply({"params": params}, values, frames, speaker, ...) -> outputs`.
    """

    config: WaveRNNConfig
    dtype: DTypeLike = jnp.float32
    """Type of the products' operands; parameters, states and the output stay float32."""
    precision: Any = None

    def setup(self) -> None:
        """Declare the parameters."""
        sizes = self.config.network
        if isinstance(sizes, PairConfig):
            self.network: PairNetwork | TwoLayerNetwork = PairNetwork(self.config, sizes, self.dtype, self.precision)
        else:
            self.network = TwoLayerNetwork(self.config, sizes, self.dtype, self.precision)

    def __call__(
        self,
        values: Array,
        frames: Float[Array, "batch frames channels"] | None = None,
        global_conditioning: Array | None = None,
        *,
        first: int = 0,
        scored: int | None = None,
        keys: Key[Array, "batch"] | None = None,
    ) -> Float[Array, "batch time outputs"]:
        """Teacher-forced outputs: output i is the distribution of values[:, i + 1].

        Args:
            values: encoded samples [B, N], int32 classes or float32. Before them the state is zero; a crop's unscored
                history warms it up.
            frames: local conditioning [B, lookback + intervals + lookahead, C] around the predicted samples.
            global_conditioning: speaker ids [B] int32 where the model knows speakers.
            first: position of the first PREDICTED sample (the one after values[:, 0]), in samples after the interval
                of frames[:, lookback] began.
            scored: return only the outputs of the last `scored` positions (default: all).
            keys: one PRNG key per example turn on what is for training only: dropout, input noise, and the batch's own
                statistics in normalisations; these come back as the mutable collection "statistics".

        Returns:
            float32 [B, scored, distribution.output_size].
        """
        length = values.shape[1]
        scored = length if scored is None else scored
        frames = self.checked_frames(frames, first, length)
        self._check_speaker(global_conditioning)
        if keys is not None and self.config.input_noise:
            values = perturbed(values, keys, self.config.input_noise, self.config.coding, _NOISE_LABEL)
        return self.network(values, frames, global_conditioning, first, scored, keys)

    def _check_speaker(self, speaker: Array | None) -> None:
        if (speaker is not None) != (self.num_speakers > 0):
            wanted = f"speaker ids [B] below {self.num_speakers}" if self.num_speakers else "none: it knows no speakers"
            given = "nothing" if speaker is None else f"an array of shape {speaker.shape}"
            raise ValueError(f"global_conditioning of this WaveRNN is {wanted}; got {given}")

    # What the engine steps through.

    def encode_frame(self, window: Array | None, global_conditioning: Array | None) -> dict[str, Array]:
        """One frame's conditioning from its window [B, lookback + 1 + lookahead, C]."""
        self._check_speaker(global_conditioning)
        return self.network.encode_frame(self.checked_frames(window, 0, 1), global_conditioning)

    def at_sample(self, entry: dict[str, Array], row: Array) -> dict[str, Array]:
        """What a frame's entry says of the sample `row` samples after its interval began."""
        return self.network.at_sample(entry, row)

    def fold(self) -> dict[str, Array]:
        """What depends on the parameters alone: tables over classes."""
        return self.network.fold()

    def init_cache(self, batch_size: int) -> dict[str, PyTree]:
        """The state before any sample."""
        return self.network.init_cache(batch_size)

    def step(self, cache: dict[str, PyTree], value: Array, condition: dict[str, Array]) -> tuple[PyTree, Array]:
        """(cache, previous value [B], conditioning of this sample) -> (cache, output [B, output_size])."""
        return self.network.step(self.variables.get("folded") or self.fold(), cache, value, condition)
