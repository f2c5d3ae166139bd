"""Tacotron 2 (Shen et al. 2018, arXiv 1712.05884): symbols in, a mel spectrogram out, one step after the other.

    memory = bidirectional LSTM(convolutions(embedding(symbols)))
    p = prenet(the frames before)                                        dropout is always on
    q = attention LSTM(p, context before)
    weights = softmax(v . tanh(W q + U memory + F [weights before, their sum so far]))      F: convolution, linear
    context = weights . memory
    d = decoder LSTM(q, context)
    frames, gate = linear(d, context);  the sound ends where sigmoid(gate) exceeds a threshold
    mel = frames + postnet(frames)

The sizes and the arithmetic are those of NVIDIA/tacotron2, which has 28,193,153 parameters; torchaudio's Tacotron2 is
the same network. Dropout of the prenet stays on in use (section 2.2 of the paper), so its noise is an input of the
model: uniforms [B, steps, noise_size], where a unit whose uniform is below the rate is dropped.

Of our own are three options: several frames a step (a reduction factor, Wang et al. 2017, arXiv 1703.10135), an offset
and a scale of the features, and a vocabulary of any size. Symbols past an utterance's own, and frames past its last,
are zeros before every convolution and no part of batch statistics, so that an utterance gives the same alone and in a
batch; the public code lets the padding of a batch into the last places of shorter utterances.
"""

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.specs import get_spec
from wavejax.nn.attention import weighted
from wavejax.nn.bidirectional import both_ways
from wavejax.nn.convolution import convolve_strided
from wavejax.nn.dropout import drop
from wavejax.nn.kernels import declare, declare_kernel
from wavejax.nn.masking import sequence_mask
from wavejax.nn.normalization import BatchNorm
from wavejax.nn.recurrent import LSTM
from wavejax.ranges import COUNT, SHARE, Range, check_ranges

_GAIN = 2.0**0.5
"""Of kernels before a ReLU."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tacotron2Config:
    """Sizes; the defaults are those of NVIDIA/tacotron2."""

    num_classes: Annotated[int, Range(2)] = 148
    """Symbols; class 0 is no symbol of a text, but what the public code pads with."""
    spec: FeatureSpec = get_spec("tacotron2")
    """Of the mel spectrogram."""
    encoder_channels: Annotated[int, Range(2)] = 512
    """Of the embedding, the encoder's convolutions, and both directions of its LSTM together; even."""
    num_encoder_layers: Annotated[int, COUNT] = 3
    kernel_size: Annotated[int, Range(1, 255)] = 5
    """Taps of the encoder's and the postnet's convolutions, odd."""
    prenet_channels: Annotated[int, COUNT] = 256
    attention_units: Annotated[int, COUNT] = 1024
    """Of the attention's LSTM."""
    decoder_units: Annotated[int, COUNT] = 1024
    """Of the decoder's LSTM."""
    attention_channels: Annotated[int, COUNT] = 128
    """In which queries, memory and places are compared."""
    location_filters: Annotated[int, COUNT] = 32
    location_kernel_size: Annotated[int, Range(1, 255)] = 31
    """Taps over the attention weights, odd."""
    postnet_channels: Annotated[int, COUNT] = 512
    num_postnet_layers: Annotated[int, Range(2)] = 5
    frames_per_step: Annotated[int, Range(1, 16)] = 1
    """Frames that one step makes, and the next one reads: the reduction factor."""
    prenet_dropout: Annotated[float, SHARE] = 0.5
    """Always on."""
    convolution_dropout: Annotated[float, SHARE] = 0.5
    """Of encoder and postnet, in training."""
    state_dropout: Annotated[float, SHARE] = 0.1
    """Of what both LSTMs of the decoder pass on, in training."""
    offset: float = 0.0
    scale: Annotated[float, Range(0, 1e6, above=True)] = 1.0
    """The network reads and makes (mel - offset) * scale."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"model.{name}")
        for name in ("kernel_size", "location_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"model.{name} must be odd, got {getattr(self, name)}: use {getattr(self, name) + 1}")
        if self.encoder_channels % 2:
            raise ValueError(
                f"model.encoder_channels must be even, a half for each direction, got {self.encoder_channels}: use "
                f"{self.encoder_channels + 1}"
            )

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "Tacotron2":
        """The linen module; `dtype` is the type of the products."""
        return Tacotron2(self, dtype, precision)

    @property
    def num_speakers(self) -> int:
        """It has one voice."""
        return 0

    @property
    def noise_size(self) -> int:
        """Uniforms of a step: one for each unit of the prenet's two layers."""
        return 2 * self.prenet_channels

    def num_steps(self, num_frames: Any) -> Any:
        """Steps that make this many frames."""
        return -(-num_frames // self.frames_per_step)

    @property
    def size(self) -> str:
        """In a few words."""
        per_step = "" if self.frames_per_step == 1 else f", {self.frames_per_step} frames a step"
        return (
            f"an encoder of {self.encoder_channels} channels, attention, LSTMs of {self.attention_units} and "
            f"{self.decoder_units} units{per_step}"
        )

    @property
    def macs_per_symbol(self) -> int:
        """Multiplications for a symbol, once."""
        wide = self.encoder_channels
        convolutions = self.num_encoder_layers * self.kernel_size * wide * wide
        return convolutions + 4 * wide * (wide + wide // 2) + wide * self.attention_channels

    @property
    def macs_per_frame(self) -> int:
        """Multiplications for a frame, without those that attention has for each symbol."""
        wide, frame = self.encoder_channels, self.spec.num_channels
        step = self.frames_per_step * frame * self.prenet_channels + self.prenet_channels**2
        step += 4 * self.attention_units * (self.prenet_channels + wide + self.attention_units)
        step += self.attention_units * self.attention_channels
        step += 4 * self.decoder_units * (self.attention_units + wide + self.decoder_units)
        step += (self.decoder_units + wide) * (self.frames_per_step * frame + 1)
        inner = (self.num_postnet_layers - 2) * self.postnet_channels
        postnet = self.kernel_size * self.postnet_channels * (2 * frame + inner)
        return step // self.frames_per_step + postnet


class Memory(NamedTuple):
    """Encoded symbols."""

    values: Float[Array, "batch symbols width"]
    keys: Float[Array, "batch symbols channels"]
    valid: Bool[Array, "batch symbols"]


class DecoderState(NamedTuple):
    """Before a step."""

    attention: tuple[Float[Array, "batch units"], Float[Array, "batch units"]]
    """h and c of the attention's LSTM."""
    decoder: tuple[Float[Array, "batch units"], Float[Array, "batch units"]]
    """h and c of the decoder's LSTM."""
    context: Float[Array, "batch width"]
    weights: Float[Array, "batch symbols"]
    """Attention of the step before."""
    total: Float[Array, "batch symbols"]
    """The sum of all weights so far."""


class Spoken(NamedTuple):
    """What was made of a batch."""

    draft: Float[Array, "batch frames bands"]
    """The decoder's mel spectrogram."""
    mel: Float[Array, "batch frames bands"]
    """The same with what the postnet adds."""
    gates: Float[Array, "batch steps"]
    """Logits of being the last step."""
    attention: Float[Array, "batch steps symbols"]
    """Of each step, over the symbols; each row's sum is 1."""
    num_steps: Int[Array, " batch"]
    """How many steps of each utterance count."""


class Tacotron2(nn.Module):
    """Symbols int32 [B, L] -> mel float32 [B, F, bands]."""

    config: Tacotron2Config
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    def setup(self) -> None:
        """The three parts."""
        config, shared = self.config, {"dtype": self.dtype, "precision": self.precision}
        self.encoder = Encoder(config, **shared)
        self.decoder = Decoder(config, **shared)
        wide, bands = config.postnet_channels, config.spec.num_channels
        channels = (*(wide for _ in range(config.num_postnet_layers - 1)), bands)
        activations = (*("tanh" for _ in channels[1:]), "linear")
        self.postnet = Convolutions(channels, activations, config.kernel_size, config.convolution_dropout, **shared)

    def __call__(
        self,
        symbols: Int[Array, "batch symbols"],
        num_symbols: Int[Array, " batch"],
        mel: Float[Array, "batch frames bands"],
        num_frames: Int[Array, " batch"],
        noise: Float[Array, "batch steps uniforms"],
        keys: Key[Array, " batch"] | None = None,
    ) -> Spoken:
        """Every step given the frames before it: for training.

        Args:
            symbols, num_symbols: classes, of which each row's first `num_symbols` count.
            mel, num_frames: the recording's, in the spec's units.
            noise: uniforms [B, config.num_steps(F), config.noise_size] of the prenet's dropout.
            keys: one for each row: they switch all other dropout on, and batch statistics.
        """
        config = self.config
        memory = self.encode(symbols, num_symbols, keys)
        count, steps = mel.shape[1], config.num_steps(mel.shape[1])
        given = self._inward(jnp.pad(mel, ((0, 0), (0, steps * config.frames_per_step - count), (0, 0)), mode="edge"))
        frames, gates, attention = self.decoder(given.reshape(mel.shape[0], steps, -1), memory, noise, keys)
        draft = frames.reshape(mel.shape[0], -1, mel.shape[2])[:, :count]
        finished = self._finished(draft, num_frames, keys)
        return Spoken(self._outward(draft), finished, gates, attention, config.num_steps(num_frames))

    def encode(
        self,
        symbols: Int[Array, "batch symbols"],
        num_symbols: Int[Array, " batch"],
        keys: Key[Array, " batch"] | None = None,
    ) -> Memory:
        """What is attended to."""
        return self.decoder.memory(self.encoder(symbols, num_symbols, keys), num_symbols)

    def speak(
        self,
        symbols: Int[Array, "batch symbols"],
        num_symbols: Int[Array, " batch"],
        noise: Float[Array, "batch steps uniforms"],
        threshold: float | Float[Array, ""] = 0.5,
    ) -> Spoken:
        """Speech from symbols alone: every step reads the frames that the one before it has made.

        An utterance ends with the step whose gate exceeds `threshold`, and that step is a part of it; or after as many
        steps as there is noise for. Frames and gates past its end are of no use, attention there is 0.
        """
        memory = self.encode(symbols, num_symbols)
        frames, gates, attention, num_steps = self.decoder.free(memory, noise, threshold)
        draft = frames.reshape(symbols.shape[0], -1, self.config.spec.num_channels)
        finished = self._finished(draft, num_steps * self.config.frames_per_step, None)
        return Spoken(self._outward(draft), finished, gates, attention, num_steps)

    def _finished(self, draft: Array, num_frames: Array, keys: Array | None) -> Array:
        valid = sequence_mask(num_frames, draft.shape[1])
        first = self.config.num_encoder_layers + 2
        return self._outward(draft + self.postnet(draft, valid, keys, first))

    def _inward(self, mel: Array) -> Array:
        return (mel - jnp.float32(self.config.offset)) * jnp.float32(self.config.scale)

    def _outward(self, mel: Array) -> Array:
        return mel / jnp.float32(self.config.scale) + jnp.float32(self.config.offset)


class Convolutions(nn.Module):
    """Convolutions, each with batch normalisation, an activation and dropout, over padded sequences."""

    channels: tuple[int, ...]
    activations: tuple[str, ...]
    """Of each: "relu", "tanh" or "linear"."""
    kernel_size: int
    dropout: float
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch time channels"],
        valid: Bool[Array, "batch time"],
        keys: Key[Array, " batch"] | None,
        label: int,
    ) -> Float[Array, "batch time outputs"]:
        """The result is zero where `valid` is False; `label` is the first of the labels of dropout."""
        kept = valid[..., None]
        x = jnp.where(kept, x, jnp.float32(0))
        for index, (outputs, activation) in enumerate(zip(self.channels, self.activations, strict=True)):
            shape = (self.kernel_size, x.shape[-1], outputs)
            kernel = declare_kernel(self, f"kernel_{index}", shape, gain=_GAIN if activation == "relu" else 1.0)
            bias = declare(self, f"bias_{index}", nn.initializers.zeros, (outputs,))
            operands = x.astype(self.dtype), kernel.astype(self.dtype)
            x = convolve_strided(*operands, precision=self.precision).astype(jnp.float32) + bias[None, None]
            x = BatchNorm(outputs, name=f"norm_{index}")(x, keys is not None, valid)
            x = {"relu": jax.nn.relu, "tanh": jnp.tanh, "linear": lambda x: x}[activation](x)
            x = jnp.where(kept, drop(x, keys, self.dropout, label + index), jnp.float32(0))
        return x


class Encoder(nn.Module):
    """Symbols int32 [B, L] -> [B, L, encoder_channels], zero past each row's own."""

    config: Tacotron2Config
    dtype: DTypeLike
    precision: Any

    def setup(self) -> None:
        """Declare the layers."""
        config, shared = self.config, {"dtype": self.dtype, "precision": self.precision}
        wide, count = config.encoder_channels, config.num_encoder_layers
        self.embedding = declare(self, "embedding", nn.initializers.normal(1.0), (config.num_classes, wide))
        relus = ("relu",) * count
        self.convolutions = Convolutions(
            (wide,) * count, relus, config.kernel_size, config.convolution_dropout, **shared
        )
        self.forward, self.backward = (LSTM(wide, wide // 2, **shared) for _ in range(2))

    def __call__(self, symbols: Array, num_symbols: Array, keys: Array | None) -> Array:
        """Embedding, convolutions, both directions."""
        valid = sequence_mask(num_symbols, symbols.shape[1])
        x = self.convolutions(self.embedding[symbols], valid, keys, 0)
        return jnp.where(valid[..., None], both_ways(self.forward, self.backward, x, num_symbols), jnp.float32(0))


class Decoder(nn.Module):
    """One step after the other, over memory that is attended to."""

    config: Tacotron2Config
    dtype: DTypeLike
    precision: Any

    def setup(self) -> None:
        """Declare the parameters."""
        config, shared = self.config, {"dtype": self.dtype, "precision": self.precision}
        wide, within, units = config.encoder_channels, config.attention_channels, config.attention_units
        frame, prenet = config.frames_per_step * config.spec.num_channels, config.prenet_channels
        self.prenet_0 = declare_kernel(self, "prenet_kernel_0", (frame, prenet), gain=_GAIN)
        self.prenet_1 = declare_kernel(self, "prenet_kernel_1", (prenet, prenet), gain=_GAIN)
        self.attention_lstm = LSTM(prenet + wide, units, **shared)
        self.decoder_lstm = LSTM(units + wide, config.decoder_units, **shared)
        self.query_kernel = declare_kernel(self, "query_kernel", (units, within))
        self.key_kernel = declare_kernel(self, "key_kernel", (wide, within))
        taps, filters = config.location_kernel_size, config.location_filters
        self.location_kernel = declare_kernel(self, "location_kernel", (taps, 2, filters))
        self.place_kernel = declare_kernel(self, "place_kernel", (filters, within))
        self.score_kernel = declare_kernel(self, "score_kernel", (within, 1))
        outputs = config.decoder_units + wide
        self.mel_kernel = declare_kernel(self, "mel_kernel", (outputs, frame))
        self.mel_bias = declare(self, "mel_bias", nn.initializers.zeros, (frame,))
        self.gate_kernel = declare_kernel(self, "gate_kernel", (outputs, 1))
        self.gate_bias = declare(self, "gate_bias", nn.initializers.zeros, (1,))

    def memory(self, encoded: Array, num_symbols: Array) -> Memory:
        """What is attended to."""
        valid = sequence_mask(num_symbols, encoded.shape[1])
        return Memory(encoded, self._product(encoded, self.key_kernel), valid)

    def initial_state(self, memory: Memory) -> DecoderState:
        """Zeros: nothing was said, nothing attended to."""
        batch, symbols, wide = memory.values.shape
        none = jnp.zeros((batch, symbols), jnp.float32)
        states = self.attention_lstm.initial_state(batch), self.decoder_lstm.initial_state(batch)
        return DecoderState(*states, jnp.zeros((batch, wide), jnp.float32), none, none)

    def prenet(
        self, frames: Float[Array, "batch steps inputs"], noise: Float[Array, "batch steps uniforms"]
    ) -> Float[Array, "batch steps channels"]:
        """Two layers of ReLUs with dropout, in training and in use."""
        rate, x = jnp.float32(self.config.prenet_dropout), frames
        for kernel, drawn in zip((self.prenet_0, self.prenet_1), jnp.split(noise, 2, axis=-1), strict=True):
            x = jax.nn.relu(self._product(x, kernel))
            x = jnp.where(drawn >= rate, x / (1 - rate), jnp.float32(0))
        return x

    def __call__(
        self, given: Array, memory: Memory, noise: Array, keys: Array | None
    ) -> tuple[Float[Array, "batch steps outputs"], Float[Array, "batch steps"], Float[Array, "batch steps symbols"]]:
        """(what each step should have made, ...) -> what it makes of those before it, gates, attention.

        The attention's LSTM does not hear the decoder's, which therefore runs by itself, after it.
        """
        before = jnp.pad(given, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        heard = self._project_prenet(self.prenet(before, noise))
        masks = self._masks(keys, heard.shape[1], self.config.attention_units, 0)
        place = self._place_kernel()
        state = self.initial_state(memory)

        def step(state: DecoderState, given: tuple[Array, Array | None]) -> tuple[DecoderState, tuple[Array, ...]]:
            state = self._attend(state, given[0], memory, place, given[1])
            return state, (state.attention[0], state.context, state.weights)

        if self.is_initializing():
            step(state, (heard[:, 0], None))
        inputs = jnp.moveaxis(heard, 1, 0), masks
        _, (hidden, context, weights) = lax.scan(step, state, inputs)
        decoded = self._decode_all(jnp.concatenate([hidden, context], axis=-1), keys)
        frames, gates = self._outputs(jnp.concatenate([decoded, context], axis=-1))
        return jnp.moveaxis(frames, 0, 1), jnp.moveaxis(gates, 0, 1), jnp.moveaxis(weights, 0, 1)

    def step(
        self, state: DecoderState, frames: Float[Array, "batch inputs"], memory: Memory, noise: Array, place: Array
    ) -> tuple[DecoderState, Float[Array, "batch outputs"], Float[Array, " batch"]]:
        """(state, the frames before, ...) -> (state, frames, logit of being the last)."""
        heard = self._project_prenet(self.prenet(frames[:, None], noise[:, None]))[:, 0]
        state = self._attend(state, heard, memory, place, None)
        read = jnp.concatenate([state.attention[0], state.context], axis=-1)
        decoder, hidden = self.decoder_lstm.step(state.decoder, read)
        made, gate = self._outputs(jnp.concatenate([hidden, state.context], axis=-1))
        return state._replace(decoder=decoder), made, gate

    def free(
        self, memory: Memory, noise: Float[Array, "batch steps uniforms"], threshold: float | Array
    ) -> tuple[Array, Float[Array, "batch steps"], Float[Array, "batch steps symbols"], Int[Array, " batch"]]:
        """(frames, gates, attention, number of steps) of speech that ends by its gate, or where the noise does."""
        batch, most, _ = noise.shape
        width, place = self.mel_bias.shape[0], self._place_kernel()
        limit = jnp.asarray(threshold, jnp.float32)
        first = jnp.zeros((batch, width), jnp.float32)
        empty = (
            jnp.zeros((most, batch, width), jnp.float32),
            jnp.zeros((most, batch), jnp.float32),
            jnp.zeros((most, *memory.valid.shape), jnp.float32),
        )
        start = jnp.int32(0), self.initial_state(memory), first, jnp.zeros((batch,), jnp.int32), empty
        uniforms = jnp.moveaxis(noise, 1, 0)

        def goes_on(carry: tuple[Any, ...]) -> Array:
            index, _, _, ends, _ = carry
            return (index < most) & jnp.any(ends == 0)

        def body(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            index, state, frames, ends, made = carry
            drawn = lax.dynamic_index_in_dim(uniforms, index, keepdims=False)
            state, frames, gate = self.step(state, frames, memory, drawn, place)
            heard = jnp.where((ends == 0)[:, None], state.weights, jnp.float32(0))
            made = tuple(
                lax.dynamic_update_index_in_dim(one, new, index, 0)
                for one, new in zip(made, (frames, gate, heard), strict=True)
            )
            index = index + 1
            ends = jnp.where((ends == 0) & (jax.nn.sigmoid(gate) > limit), index, ends)
            return index, state, frames, ends, made

        _, _, _, ends, made = lax.while_loop(goes_on, body, start)
        frames, gates, attention = (jnp.moveaxis(each, 0, 1) for each in made)
        return frames, gates, attention, jnp.where(ends == 0, jnp.int32(most), ends)

    def _project_prenet(self, x: Array) -> Array:
        """The prenet's part of the attention LSTM's gates, bias included."""
        lstm, channels = self.attention_lstm, self.config.prenet_channels
        return lstm.product(x, lstm.input_kernel[:channels]) + lstm.input_bias.astype(jnp.float32)[None, None]

    def _attend(
        self, state: DecoderState, heard: Array, memory: Memory, place: Array, mask: Array | None
    ) -> DecoderState:
        """The attention LSTM's step, where it reads next, and what it reads there."""
        lstm, channels = self.attention_lstm, self.config.prenet_channels
        gates = heard + lstm.product(state.context, lstm.input_kernel[channels:])
        (hidden, cell), _ = lstm.advance(state.attention, gates)
        hidden = hidden if mask is None else hidden * mask
        query = self._product(hidden, self.query_kernel)
        places = self._product(_neighbours(state.weights, state.total, self.config.location_kernel_size), place)
        scores = self._product(jnp.tanh(query[:, None] + places + memory.keys), self.score_kernel)[..., 0]
        context, weights = weighted(scores, memory.values, memory.valid)
        return DecoderState((hidden, cell), state.decoder, context, weights, state.total + weights)

    def _place_kernel(self) -> Float[Array, "neighbours channels"]:
        """The convolution of attention weights and the linear map after it, as one map of a place's neighbours."""
        taps = self.location_kernel.shape[0]
        kernel = self.location_kernel.reshape(2 * taps, -1).astype(jnp.float32)
        return jnp.matmul(kernel, self.place_kernel.astype(jnp.float32), precision=lax.Precision.HIGHEST)

    def _decode_all(self, read: Float[Array, "steps batch inputs"], keys: Array | None) -> Array:
        """The decoder LSTM's h of all steps."""
        lstm = self.decoder_lstm
        projected = lstm.project(read)
        masks = self._masks(keys, read.shape[0], self.config.decoder_units, 1)
        if masks is None:
            return jnp.moveaxis(lstm.scan(jnp.moveaxis(projected, 0, 1))[1], 1, 0)

        def step(state: tuple[Array, Array], given: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
            (hidden, cell), _ = lstm.advance(state, given[0])
            hidden = hidden * given[1]
            return (hidden, cell), hidden

        return lax.scan(step, lstm.initial_state(read.shape[1]), (projected, masks))[1]

    def _masks(self, keys: Array | None, steps: int, units: int, number: int) -> Array | None:
        """Factors [steps, B, units] of what an LSTM passes on; None where nothing is dropped."""
        if keys is None or not self.config.state_dropout:
            return None
        ones = jnp.ones((keys.shape[0], steps, units), jnp.float32)
        return jnp.moveaxis(drop(ones, keys, self.config.state_dropout, self.config.num_encoder_layers + number), 1, 0)

    def _outputs(self, x: Float[Array, "*batch channels"]) -> tuple[Array, Array]:
        mel = self._product(x, self.mel_kernel)
        gate = self._product(x, self.gate_kernel) + self.gate_bias.reshape((1,) * x.ndim)
        return mel + self.mel_bias.reshape((1,) * (x.ndim - 1) + (-1,)), gate[..., 0]

    def _product(self, x: Array, kernel: Array) -> Array:
        operands = x.astype(self.dtype), kernel.astype(self.dtype)
        return jnp.matmul(*operands, precision=self.precision, preferred_element_type=jnp.float32)


def _neighbours(weights: Array, total: Array, taps: int) -> Float[Array, "batch symbols neighbours"]:
    """Each place's neighbourhood of both, tap by tap, zeros at the ends: what a convolution of them multiplies."""
    batch, length = weights.shape
    both = jnp.pad(jnp.stack([weights, total], axis=-1), ((0, 0), (taps // 2, taps // 2), (0, 0)))
    near = np.arange(length)[:, None] + np.arange(taps)
    return both[:, near].reshape(batch, length, 2 * taps)


def initial_tacotron2_params(model: Tacotron2, key: PRNGKeyArray) -> Any:
    """Parameters drawn from `key`; traceable."""
    config, counts = model.config, jnp.full((1,), 2, jnp.int32)
    frames = 2 * config.frames_per_step
    mel = jnp.zeros((1, frames, config.spec.num_channels), jnp.float32)
    noise = jnp.ones((1, 2, config.noise_size), jnp.float32)
    return model.init(key, jnp.ones((1, 2), jnp.int32), counts, mel, frames // 2 * counts, noise)["params"]


PRESETS: dict[str, Tacotron2Config] = {
    "tacotron2": Tacotron2Config(),
    "tacotron-16k-small": Tacotron2Config(
        num_classes=75,
        spec=get_spec("speech-16k"),
        encoder_channels=192,
        prenet_channels=128,
        attention_units=320,
        decoder_units=320,
        attention_channels=96,
        location_filters=16,
        location_kernel_size=21,
        postnet_channels=128,
        frames_per_step=2,
        convolution_dropout=0.1,
        state_dropout=0.0,
        offset=-6.0,
        scale=0.4,
    ),
}
"""By name: the published network for NVIDIA's symbols, and one of 3 million parameters for `phonemes-en`."""
