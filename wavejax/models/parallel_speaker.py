"""A parallel model of speech: phonemes in, a mel spectrogram out, all frames at once.

    encoded = encoder(embedding(symbols))
    duration, pitch, energy of each symbol = prosody(encoded)
    frames = regulate(encoded + what pitch and energy add, durations)
    pitch of each frame = symbols' pitch, interpolated, + melody(frames)
    mel = decoder(frames + comb(pitch of each frame))

After FastSpeech 2 (Ren et al. 2020, arXiv 2006.04558) and FastPitch (Łańcucki 2020, arXiv 2006.06873), from which the
pitch of whole symbols comes; all stacks are ConvNeXt blocks (Liu et al. 2022, arXiv 2201.03545) in place of
transformers. In training, durations, pitch and energy are those of the recording. The comb tells the decoder which
bands lie on a harmonic of the frame's pitch and which between two, so that it need not learn where harmonics are.

Symbols past an utterance's own, and frames past its last, are zeros before every convolution, so that they change
nothing in it: an utterance gives the same mel alone and in a batch, to rounding.
"""

import dataclasses
import functools
import math
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
from wavejax.nn.convnext import ConvNeXtBlock, layer_norm
from wavejax.nn.dropout import drop
from wavejax.nn.kernels import declare, declare_kernel
from wavejax.nn.masking import sequence_mask
from wavejax.ranges import AT_LEAST_NONE, COUNT, SHARE, Range, check_ranges

_PLACES = 6
"""Numbers that tell a frame where it lies in its symbol."""
_PROSODY = 4
"""Numbers that are predicted of a symbol: log duration, log F0, logit of being voiced, energy."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParallelSpeakerConfig:
    """Sizes; `dataclasses.replace` makes another."""

    num_classes: Annotated[int, Range(2)] = 75
    """The number of symbols, and one more: class 0 is no symbol."""
    spec: FeatureSpec = get_spec("speech-16k")
    """Of the mel spectrogram."""
    channels: Annotated[int, COUNT] = 160
    hidden_channels: Annotated[int, COUNT] = 640
    """Inside a block of the encoder and of the prosody."""
    num_encoder_blocks: Annotated[int, COUNT] = 5
    num_prosody_blocks: Annotated[int, COUNT] = 2
    decoder_channels: Annotated[int, COUNT] = 160
    decoder_hidden_channels: Annotated[int, COUNT] = 320
    num_decoder_blocks: Annotated[int, COUNT] = 4
    num_melody_blocks: Annotated[int, COUNT] = 2
    melody_hidden_channels: Annotated[int, COUNT] = 160
    kernel_size: Annotated[int, Range(1, 255)] = 7
    """Taps of every convolution, odd."""
    num_speakers: Annotated[int, AT_LEAST_NONE] = 0
    """Speakers that are told apart; 0: there is one."""
    dropout: Annotated[float, SHARE] = 0.1
    """Of encoder and prosody."""
    pitch_centre: Annotated[float, Range(20, 2000)] = 200.0
    """Hz that are 0 to the network; natural logs of F0 count from there in units of `pitch_spread`."""
    pitch_spread: Annotated[float, Range(0, 10, above=True)] = 0.25
    offset: float = -6.0
    scale: Annotated[float, Range(0, 1e6, above=True)] = 0.4
    """The network makes (mel - offset) * scale, and counts energy so; that of `speech-16k` is then mostly within 2."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"model.{name}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"model.kernel_size must be odd, got {self.kernel_size}: use {self.kernel_size + 1}")

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "ParallelSpeaker":
        """The linen module; `dtype` is the type of the products."""
        return ParallelSpeaker(self, dtype, precision)

    @property
    def size(self) -> str:
        """In a few words."""
        encoder = f"{self.num_encoder_blocks} + {self.num_prosody_blocks} blocks of {self.channels} channels"
        return f"{encoder}, {self.num_decoder_blocks} of {self.decoder_channels} at frame rate"

    @property
    def macs_per_symbol(self) -> int:
        """Multiplications for a symbol."""
        block = self.channels * (2 * self.hidden_channels + self.kernel_size)
        blocks = (self.num_encoder_blocks + self.num_prosody_blocks) * block
        return blocks + self.channels * (_PROSODY + 3 + self.decoder_channels)

    @property
    def macs_per_frame(self) -> int:
        """Multiplications for a frame, without those for symbols."""
        channels, taps = self.decoder_channels, self.kernel_size
        blocks = self.num_decoder_blocks * channels * (2 * self.decoder_hidden_channels + taps)
        blocks += self.num_melody_blocks * channels * (2 * self.melody_hidden_channels + taps)
        return blocks + channels * (2 * self.spec.num_channels + _PLACES + 2 + 2 + 2)


class Prosody(NamedTuple):
    """How the symbols of a batch are said, [B, L] each."""

    log_durations: Float[Array, "batch symbols"]
    """ln(frames + 1)."""
    log_pitch: Float[Array, "batch symbols"]
    """Natural log of F0, in units of the configuration."""
    voicing: Float[Array, "batch symbols"]
    """Logit of being voiced; of given prosody 1 where it is, else 0."""
    energy: Float[Array, "batch symbols"]
    """Log of the mean magnitude, in units of the configuration."""


class Melody(NamedTuple):
    """The pitch of the frames of a batch, [B, F] each."""

    log_pitch: Float[Array, "batch frames"]
    """Natural log of F0, in units of the configuration."""
    voicing: Float[Array, "batch frames"]
    """Logit of being voiced; of a given melody 1 where it is, else 0."""


class ParallelSpeaker(nn.Module):
    """Symbols int32 [B, L] -> mel float32 [B, F, channels]."""

    config: ParallelSpeakerConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    def setup(self) -> None:
        """Declare the stacks."""
        config, shared = self.config, {"dtype": self.dtype, "precision": self.precision}
        wide = (config.channels, config.hidden_channels)
        self.encoder = Blocks(*wide, config.num_encoder_blocks, config.kernel_size, config.dropout, **shared)
        self.prosody = Blocks(*wide, config.num_prosody_blocks, config.kernel_size, config.dropout, **shared)
        sizes = (config.decoder_channels, config.decoder_hidden_channels, config.num_decoder_blocks)
        self.decoder = Blocks(*sizes, config.kernel_size, 0.0, **shared)
        sizes = (config.decoder_channels, config.melody_hidden_channels, config.num_melody_blocks)
        self.melody = Blocks(*sizes, config.kernel_size, 0.0, **shared)
        self.melody_out = Linear(2, **shared)
        self.comb_in = Linear(config.decoder_channels, **shared)
        self.symbols = Table(config.num_classes, config.channels)
        self.prosody_out = Linear(_PROSODY, **shared)
        self.prosody_in = Linear(config.channels, **shared)
        self.places_in = Linear(config.decoder_channels, **shared)
        self.to_frames = Linear(config.decoder_channels, **shared)
        self.mel_out = Linear(config.spec.num_channels, **shared)
        if config.num_speakers:
            self.speakers = Table(config.num_speakers, config.channels)

    def __call__(
        self,
        symbols: Int[Array, "batch symbols"],
        num_symbols: Int[Array, " batch"],
        durations: Int[Array, "batch symbols"],
        prosody: Prosody,
        melody: Melody,
        speaker: Int[Array, " batch"] | None = None,
        keys: Key[Array, " batch"] | None = None,
    ) -> tuple[Prosody, Melody, Float[Array, "batch frames bands"]]:
        """What is predicted of each symbol and frame, and the mel of given durations, pitch and energy: for training.

        Args:
            symbols, num_symbols: classes, of which each row's first `num_symbols` count.
            durations: frames of each symbol; zeros past a row's last.
            prosody: of the recording; its durations are not read.
            melody: of the recording; it says how many frames there are, at least the sum of a row's durations.
            speaker: ids, where the model tells speakers apart.
            keys: switch dropout on.
        """
        encoded, predicted = self.encode(symbols, num_symbols, speaker, keys)
        return predicted, *self._decode(encoded, durations, prosody, melody.log_pitch.shape[1], melody)

    def encode(
        self,
        symbols: Int[Array, "batch symbols"],
        num_symbols: Int[Array, " batch"],
        speaker: Int[Array, " batch"] | None = None,
        keys: Key[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch symbols channels"], Prosody]:
        """The encoded symbols, and how they are to be said."""
        valid = sequence_mask(num_symbols, symbols.shape[1])
        x = self.symbols(symbols)
        if self.config.num_speakers:
            if speaker is None:
                raise ValueError(f"the model tells {self.config.num_speakers} speakers apart: say which one speaks")
            x = x + self.speakers(speaker)[:, None]
        encoded = self.encoder(x, valid, keys, 0)
        said = self.prosody_out(self.prosody(encoded, valid, keys, self.config.num_encoder_blocks))
        return encoded, Prosody(*jnp.moveaxis(said, -1, 0))

    def decode(
        self,
        encoded: Float[Array, "batch symbols channels"],
        durations: Int[Array, "batch symbols"],
        prosody: Prosody,
        num_frames: int,
    ) -> Float[Array, "batch frames bands"]:
        """The mel of encoded symbols that last `durations` frames; in `prosody`, voicing is 0 or 1.

        Frames past the sum of a row's durations are of no use.
        """
        return self._decode(encoded, durations, prosody, num_frames, None)[1]

    def _decode(
        self, encoded: Array, durations: Array, prosody: Prosody, num_frames: int, given: Melody | None
    ) -> tuple[Melody, Float[Array, "batch frames bands"]]:
        """The predicted melody, and the mel with the given one, or with that."""
        voiced = prosody.voicing
        said = jnp.stack([voiced, voiced * prosody.log_pitch, prosody.energy], axis=-1)
        wide = self.to_frames(encoded + self.prosody_in(said))
        where, places = regulated(durations, num_frames)
        melody = interpolated(jnp.stack([voiced * prosody.log_pitch, prosody.energy], axis=-1), durations, where)
        x = jnp.take_along_axis(wide, where[..., None], axis=1)
        x = x + self.places_in(jnp.concatenate([places, melody], axis=-1))
        valid = sequence_mask(jnp.sum(durations, axis=1), num_frames)
        bend, voicing = jnp.moveaxis(self.melody_out(self.melody(x, valid, None, 0)), -1, 0)
        predicted = Melody(melody[..., 0] + bend, voicing)
        used = predicted._replace(voicing=(voicing > 0).astype(jnp.float32)) if given is None else given
        x = self.mel_out(self.decoder(x + self.comb_in(self._comb(used)), valid, None, 0))
        config = self.config
        return predicted, x / jnp.float32(config.scale) + jnp.float32(config.offset)

    def _comb(self, melody: Melody) -> Float[Array, "batch frames values"]:
        """Of each band, how near it is to a harmonic: 1 on one, -1 between two, 0 where it is too wide to tell; then
        the pitch and the voicing. All are 0 where the frame is unvoiced.

        A triangle of half-width w around f lets sinc(w / F0)^2 of cos(2 pi f / F0) through.
        """
        config = self.config
        centres, widths = bands_of(config.spec)
        hertz = jnp.float32(config.pitch_centre) * jnp.exp(
            jnp.clip(melody.log_pitch * jnp.float32(config.pitch_spread), -2.5, 2.5)
        )
        place, width = (jnp.asarray(each).reshape(1, 1, -1) / hertz[..., None] for each in (centres, widths))
        comb = jnp.square(jnp.sinc(width)) * jnp.cos(jnp.float32(2 * math.pi) * place)
        values = jnp.concatenate([comb, melody.log_pitch[..., None], jnp.ones_like(comb[..., :1])], axis=-1)
        return melody.voicing[..., None] * values

    def to_units(self, pitch: Float[Array, "batch values"]) -> Float[Array, "batch values"]:
        """F0 in Hz -> its log in the units of `Prosody`; of 0 Hz it is 0."""
        config, voiced = self.config, pitch > 0
        log = jnp.log(jnp.where(voiced, pitch, jnp.float32(config.pitch_centre)))
        return (log - jnp.float32(math.log(config.pitch_centre))) / jnp.float32(config.pitch_spread)

    def energy_of(
        self, mel: Float[Array, "batch frames bands"], durations: Int[Array, "batch symbols"]
    ) -> Float[Array, "batch symbols"]:
        """The energy of each symbol of a mel spectrogram in natural logs: the mean over its frames; 0 without any."""
        config = self.config
        level = jnp.log(jnp.mean(jnp.exp(mel.astype(jnp.float32)), axis=-1))
        level = (level - jnp.float32(config.offset)) * jnp.float32(config.scale)
        ends = jnp.cumsum(durations, axis=1)
        sums = jnp.pad(jnp.cumsum(level, axis=1), ((0, 0), (1, 0)))
        totals = jnp.take_along_axis(sums, ends, axis=1) - jnp.take_along_axis(sums, ends - durations, axis=1)
        return totals / jnp.maximum(durations, 1).astype(jnp.float32)


@functools.lru_cache(maxsize=8)
def bands_of(spec: FeatureSpec) -> tuple[Float[np.ndarray, " bands"], Float[np.ndarray, " bands"]]:
    """Middle and half-width of each mel band in Hz, float32, from the filters' means and deviations."""
    filters = spec.filterbank.astype(np.float64)
    hertz = np.arange(len(filters))[:, None] * spec.sample_rate / spec.n_fft
    weights = filters / np.maximum(filters.sum(axis=0), 1e-12)
    centres = (weights * hertz).sum(axis=0)
    deviations = np.sqrt((weights * np.square(hertz - centres)).sum(axis=0))
    return centres.astype(np.float32), (math.sqrt(6) * deviations).astype(np.float32)  # of a triangle


def regulated(
    durations: Int[Array, "batch symbols"], num_frames: int
) -> tuple[Int[Array, "batch frames"], Float[Array, "batch frames places"]]:
    """For each frame the number of its symbol, and where it lies in it; frames past the last one belong to it.

    The places are the share of the symbol that is over and that is to come, both in tenths of frames up to 1, the log
    of its duration, and 1.
    """
    ends = jnp.cumsum(durations, axis=1)
    frames = jnp.arange(num_frames)
    last = durations.shape[1] - 1
    where = jax.vmap(lambda each: jnp.searchsorted(each, frames, side="right"))(ends)
    where = jnp.minimum(where, last).astype(jnp.int32)
    length = jnp.take_along_axis(durations, where, axis=1).astype(jnp.float32)
    before = frames.reshape(1, -1).astype(jnp.float32) - (
        jnp.take_along_axis(ends, where, axis=1).astype(jnp.float32) - length
    )
    after = length - 1 - before
    span = jnp.maximum(length, 1)
    tenth, one = jnp.float32(0.1), jnp.float32(1)
    places = [
        (before + jnp.float32(0.5)) / span,
        (after + jnp.float32(0.5)) / span,
        jnp.clip(tenth * before, 0, one),
        jnp.clip(tenth * after, 0, one),
        jnp.log1p(length),
        jnp.ones_like(length),
    ]
    return where, jnp.stack(places, axis=-1)


def interpolated(
    values: Float[Array, "batch symbols values"],
    durations: Int[Array, "batch symbols"],
    where: Int[Array, "batch frames"],
) -> Float[Array, "batch frames values"]:
    """Values of symbols at each frame: straight lines between the middles of symbols that last; level at both ends."""
    count, lasting = durations.shape[1], durations > 0
    middles = jnp.cumsum(durations, axis=1).astype(jnp.float32) - jnp.float32(0.5) * durations.astype(jnp.float32)
    numbers = jnp.broadcast_to(jnp.arange(count), durations.shape)
    before = jnp.pad(lax.cummax(jnp.where(lasting, numbers, -1), axis=1), ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    after = lax.cummin(jnp.where(lasting, numbers, count), axis=1, reverse=True)
    after = jnp.pad(after, ((0, 0), (0, 1)), constant_values=count)[:, 1:]
    before, after = (jnp.where((each < 0) | (each == count), numbers, each) for each in (before, after))
    frames = jnp.arange(where.shape[1], dtype=jnp.float32).reshape(1, -1) + jnp.float32(0.5)
    later = frames >= jnp.take_along_axis(middles, where, axis=1)
    one = jnp.where(later, where, jnp.take_along_axis(before, where, axis=1))
    other = jnp.where(later, jnp.take_along_axis(after, where, axis=1), where)
    start, end = (jnp.take_along_axis(middles, each, axis=1) for each in (one, other))
    share = jnp.clip((frames - start) / jnp.maximum(end - start, jnp.float32(0.5)), 0, 1)[..., None]
    first, second = (jnp.take_along_axis(values, each[..., None], axis=1) for each in (one, other))
    return first + share * (second - first)


class Blocks(nn.Module):
    """ConvNeXt blocks over padded sequences, then a normalisation."""

    channels: int
    hidden_channels: int
    num_blocks: int
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
    ) -> Float[Array, "batch time channels"]:
        """The result is zero where `valid` is False; `label` is the first of the labels of dropout."""
        half, kept = self.kernel_size // 2, valid[..., None]
        x = jnp.where(kept, self._norm("input_norm", x), jnp.float32(0))
        for index in range(self.num_blocks):
            block = ConvNeXtBlock(
                self.channels,
                self.hidden_channels,
                self.kernel_size,
                half,
                1.0 / self.num_blocks,
                False,
                self.dtype,
                self.precision,
                name=f"block_{index}",
            )
            y = block(jnp.pad(x, ((0, 0), (half, half), (0, 0)))) - x
            x = jnp.where(kept, x + drop(y, keys, self.dropout, label + index), jnp.float32(0))
        return jnp.where(kept, self._norm("output_norm", x), jnp.float32(0))

    def _norm(self, name: str, x: Array) -> Array:
        ones, zeros, of = nn.initializers.ones, nn.initializers.zeros, (self.channels,)
        return layer_norm(x, declare(self, f"{name}_scale", ones, of), declare(self, f"{name}_bias", zeros, of))


class Linear(nn.Module):
    """A linear map of the last axis, float32."""

    width: int
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "batch time channels"]) -> Float[Array, "batch time width"]:
        """x @ kernel + bias."""
        kernel = declare_kernel(self, "kernel", (x.shape[-1], self.width)).astype(self.dtype)
        bias = declare(self, "bias", nn.initializers.zeros, (self.width,))
        product = jnp.matmul(x.astype(self.dtype), kernel, precision=self.precision, preferred_element_type=jnp.float32)
        return product + bias[None, None]


class Table(nn.Module):
    """A learned vector for each of some numbers."""

    count: int
    channels: int

    @nn.compact
    def __call__(self, numbers: Int[Array, "..."]) -> Float[Array, "... channels"]:
        """The vectors of these numbers."""
        table = declare(self, "table", nn.initializers.normal(1.0), (self.count, self.channels))
        return table[numbers]


def initial_speaker_params(model: ParallelSpeaker, key: PRNGKeyArray) -> Any:
    """Parameters drawn from `key`; traceable."""
    symbols, ones = jnp.ones((1, 2), jnp.int32), jnp.ones((1, 2), jnp.float32)
    speaker = jnp.zeros((1,), jnp.int32) if model.config.num_speakers else None
    prosody, melody = Prosody(ones, ones, ones, ones), Melody(ones, ones)
    return model.init(key, symbols, jnp.full((1,), 2, jnp.int32), symbols, prosody, melody, speaker)["params"]


PRESETS: dict[str, ParallelSpeakerConfig] = {"heart-16k": ParallelSpeakerConfig()}
"""By name, for the symbols of `phonemes-en`."""
