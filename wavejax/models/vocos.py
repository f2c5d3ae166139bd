"""Vocos (Siuzdak 2023, arXiv 2306.00814): a network at frame rate whose inverse Fourier transform is the waveform.

`Vocos` is the published network: ConvNeXt blocks, then for every frequency of every frame a magnitude and a phase.

`HarmonicVocos` is ours, a tenth of its size. It is told what is known beforehand, and learns the rest:

    magnitude   |pseudo-inverse of the mel filterbank x mel|, times what the network says (FreeV, Lv et al. 2024, arXiv
                2406.08196)
    phase       that of the harmonics of a pitch, which a small network reads from the mel and which adds up from frame
                to frame, plus what the network says; for the part that is noise a random phase

With `subframes` each frame of the mel has several transforms, of as much shorter windows: sounds begin and end inside
of a frame, and a voice's pitch moves.

Its blocks are causal, so that it passes a state from window to window (`begin`, `advance`): the phase, which grows for
as long as the voice lasts and which no window of frames holds, and what the convolutions remember, which need not be
computed again. Whole windows (`synthesize`) are what it is trained on.
"""

import dataclasses
import functools
import operator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from wavejax.audio import FeatureSpec, get_spec
from wavejax.audio.feature_spec import LOG_FACTORS
from wavejax.audio.filterbanks import hz_to_mel, mel_filterbank, mel_to_hz
from wavejax.nn.configured import ReadsFrames
from wavejax.nn.convnext import ConvNeXt, Histories
from wavejax.nn.harmonics import Pitch, PitchNetwork, Rotation, candidates, harmonic_spectrum, rotate
from wavejax.nn.inverse_stft import InverseSTFT, cosine_sine
from wavejax.nn.kernels import declare

_TURN = float(2 * np.pi)
_QUIETEST = 1e-4
"""Power of the harmonics' spectrum between two of them, that of a harmonic being 1: -40 dB."""


class _ConvNeXtSizes:
    """What both configurations say of their ConvNeXt; it holds no fields."""

    channels: int
    hidden_channels: int
    num_blocks: int

    @property
    def num_speakers(self) -> int:
        """None: it speaks with the voice of its features."""
        return 0

    @property
    def size(self) -> str:
        """In a few words."""
        return f"{self.num_blocks} blocks of {self.channels} channels"

    def typical_product(self, rows: int) -> tuple[int, int, int]:
        """[rows, inputs] x [inputs, outputs] of its typical matrix product."""
        return rows, self.channels, self.hidden_channels


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocosConfig(_ConvNeXtSizes):
    """Sizes of the published network; the defaults are those of the 24 kHz mel model."""

    local_channels: int = 100
    """Mel bands."""
    channels: int = 512
    hidden_channels: int = 1536
    num_blocks: int = 8
    n_fft: int = 1024
    hop_length: int = 256
    padding: Literal["centre", "same"] = "centre"
    """Of the features and of the inverse transform, see `InverseSTFT`."""
    largest_magnitude: float = 100.0

    def __post_init__(self) -> None:
        _check_sizes(self)

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "Vocos":
        """The linen module; `dtype` is the type of the products' operands."""
        return Vocos(self, dtype, precision)

    @property
    def inverse(self) -> InverseSTFT:
        """What makes the waveform."""
        return InverseSTFT(n_fft=self.n_fft, hop_length=self.hop_length, padding=self.padding)

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on."""
        return 3 * (1 + self.num_blocks) + self.inverse.lookback

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""
        return 3 * (1 + self.num_blocks) + self.inverse.lookahead

    @property
    def frame_centre(self) -> int:
        """The sample on which the features' frame 0 is to be centred."""
        return self.inverse.n_fft // 2 - self.inverse.left

    @property
    def macs_per_frame(self) -> int:
        """Multiplications per frame, the Fourier transform left out."""
        return _body_macs(self) + self.channels * 2 * self.inverse.bins


class Vocos(ReadsFrames, nn.Module):
    """The published network, a `ParallelModel`.

    `model.apply({"params": params}, mel)` is the source's own form. `synthesize` gives the same samples wherever all of
    a sample's context is there; at a recording's ends the source's layers see zeros, a window sees the frames that it
    was given (the drivers repeat the edge frame).
    """

    config: VocosConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None
    noise_size: int = 0

    def setup(self) -> None:
        """Declare the parameters."""
        config = self.config
        sizes = config.local_channels, config.channels, config.hidden_channels, config.num_blocks
        self.backbone = ConvNeXt(*sizes, dtype=self.dtype, precision=self.precision)
        self.head = Head(config.channels, 2 * config.inverse.bins, self.dtype, self.precision)

    def __call__(self, mel: Float[Array, "batch frames channels"]) -> Float[Array, "batch samples"]:
        """Waveform of a whole recording, not clipped: [B, (F - 1) * hop_length]; with padding ``same`` F hops."""
        _check_frames(self, mel, 1)
        return self.config.inverse.whole(*self._spectrum(self.backbone(mel, zero_edges=True)[0]))

    def synthesize(
        self,
        window: Float[Array, "batch frames channels"],
        noise: Array | None = None,
        temperature: Array | None = None,
        speaker: Array | None = None,
    ) -> Float[Array, "batch samples"]:
        """Waveform [B, n * hop_length] of frames [B, lookback + n + lookahead, C]; no noise, temperature or speaker."""
        _check_frames(self, window, 1 + self.lookback + self.lookahead)
        _check_no_speaker(self, speaker)
        inverse = self.config.inverse
        waveform = inverse.overlap_add(inverse.frames(*self._spectrum(self.backbone(window)[0])))
        return jnp.clip(waveform, -1.0, 1.0)

    def _spectrum(self, x: Array) -> tuple[Array, Array]:
        log_magnitude, phase = jnp.split(self.head(x), 2, axis=-1)
        magnitude = jnp.minimum(jnp.exp(log_magnitude), jnp.float32(self.config.largest_magnitude))
        cosine, sine = cosine_sine(phase * jnp.float32(1 / _TURN))
        return magnitude * cosine, magnitude * sine


@dataclasses.dataclass(frozen=True, kw_only=True)
class HarmonicVocosConfig(_ConvNeXtSizes):
    """Sizes of our network, and the features that it inverts."""

    spec: FeatureSpec = get_spec("speech-16k")
    channels: int = 192
    hidden_channels: int = 512
    num_blocks: int = 6
    embedding_lookahead: int = 2
    """Future frames that the network sees; the inverse transform adds its own."""
    pitch_channels: int = 64
    noise: bool = True
    """Mix random phases into the spectrum, in shares that the network chooses."""
    subframes: int = 1
    """Transforms of a frame. 2 halves their window and hop; pitch, voicing and mel are interpolated between frames."""
    pulses_without_voice: bool = True
    """True: where there is no voice, one pulse in the middle of each transform is mixed with the noise. False: the
    harmonics of the most likely pitch are, as where there is a voice."""
    input_offset: float = -6.0
    input_scale: float = 0.4
    """The network reads (feature - input_offset) * input_scale: about -2 to 3 for log-mel features of base e."""

    def __post_init__(self) -> None:
        spec = self.spec
        if self.subframes < 1 or self.hop_length % self.subframes or self.spec.win_length % self.subframes:
            raise ValueError(
                f"subframes must divide the hop of {self.hop_length} samples and the window of {spec.win_length}, got "
                f"{self.subframes}"
            )
        _check_sizes(self)
        if spec.window != "hann" or spec.clip is not None or spec.pre_emphasis:
            raise ValueError(
                "the mel filterbank can be inverted where features have a Hann window, no clip and no pre-emphasis; "
                f"spec {spec.name!r} has window {spec.window!r}, clip {spec.clip} and pre_emphasis {spec.pre_emphasis}"
            )
        if spec.frame_centre not in (0, spec.hop_length // 2):
            raise ValueError(
                f"a frame must be centred on the beginning or the middle of its {spec.hop_length} samples, but frame 0 "
                f"of spec {spec.name!r} is centred on sample {spec.frame_centre}: use padding 'centre' or 'same'"
            )
        if not 2 <= self.embedding_lookahead <= 4:
            raise ValueError(
                "embedding_lookahead must be 2 to 4 frames, what the pitch network needs and what seven taps have, got "
                f"{self.embedding_lookahead}"
            )

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "HarmonicVocos":
        """The linen module; `dtype` is the type of the products' operands."""
        return HarmonicVocos(self, dtype, precision)

    @property
    def local_channels(self) -> int:
        """Mel bands."""
        return self.spec.n_mels

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return self.spec.hop_length

    @property
    def n_fft(self) -> int:
        """Samples of a transform: with one in a frame the features' window without its zeros."""
        return self.spec.win_length // self.subframes

    @property
    def inverse(self) -> InverseSTFT:
        """What makes the waveform."""
        padding: Literal["centre", "same"] = "same" if self.spec.frame_centre else "centre"
        return InverseSTFT(n_fft=self.n_fft, hop_length=self.hop_length // self.subframes, padding=padding)

    @property
    def overlap(self) -> tuple[int, int]:
        """Past and future frames whose transforms overlap a frame interval."""
        return -(-self.inverse.lookback // self.subframes), -(-self.inverse.lookahead // self.subframes)

    @property
    def neighbours(self) -> int:
        """Frames on each side between which what is known of a frame's transforms is interpolated."""
        return int(self.subframes > 1)

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on, the pitch's phase left out."""
        return 6 * (1 + self.num_blocks) - self.embedding_lookahead + self.overlap[0]

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""
        return self.embedding_lookahead + self.neighbours + self.overlap[1]

    @property
    def frame_centre(self) -> int:
        """The sample on which the features' frame 0 is to be centred."""
        return self.spec.frame_centre

    @property
    def macs_per_frame(self) -> int:
        """Multiplications per frame, the Fourier transform left out."""
        pitch = 3 * (self.local_channels + self.pitch_channels) * self.pitch_channels + 97 * self.pitch_channels
        known = self.local_channels * (self.spec.win_length // 2 + 1 + 2 * self.subframes * self.inverse.bins)
        head = self.channels * self.subframes * (2 * self.inverse.bins + 2 * self.local_channels)
        return _body_macs(self) + head + pitch + known


class HarmonicState(NamedTuple):
    """What a stream of frames leaves behind: a frame of delay or history is hop_length samples long."""

    mel: Float[Array, "batch history channels"]
    """The last frames as the network reads them, 6 for its first convolution and those that are `neighbours`."""
    histories: Histories
    """Of each block the last 6 frames of its input, [B, 6, channels]."""
    rotation: Rotation
    """Phase and F0 of the last transform."""
    frames: Float[Array, "batch overlap n_fft"]
    """The last transforms, which still overlap what follows."""


class HarmonicVocos(ReadsFrames, nn.Module):
    """Our network: a `ParallelModel` that also passes a state from window to window.

    Without that state each window's pitch would begin at phase 0, so the drivers run `begin` and then `advance`. A
    training example is one window, whose phase begins anywhere as far as its recording is concerned.
    """

    config: HarmonicVocosConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @property
    def noise_size(self) -> int:
        """Uniforms that a frame takes: the random phases of its frequencies."""
        return self.config.subframes * self.config.inverse.bins if self.config.noise else 0

    @property
    def pitch_candidates(self) -> Float[Array, " candidates"]:
        """F0 in Hz of each candidate that `pitch_of` scores."""
        return jnp.asarray(candidates(PitchNetwork.num_candidates))

    def setup(self) -> None:
        """Declare the parameters."""
        config = self.config
        self.backbone = ConvNeXt(
            config.local_channels,
            config.channels,
            config.hidden_channels,
            config.num_blocks,
            embedding_lookahead=config.embedding_lookahead,
            block_lookahead=0,
            gelu="tanh",
            dtype=self.dtype,
            precision=self.precision,
        )
        self.pitch = PitchNetwork(config.local_channels, config.pitch_channels, precision=self.precision)
        outputs = 2 * config.inverse.bins + 2 * config.local_channels
        self.head = Head(config.channels, config.subframes * outputs, self.dtype, self.precision)

    def synthesize(
        self,
        window: Float[Array, "batch frames channels"],
        noise: Float[Array, "batch frames noise"] | None,
        temperature: Float[Array, "batch frames"],
        speaker: Array | None = None,
    ) -> Float[Array, "batch samples"]:
        """Waveform [B, n * hop_length] of frames [B, lookback + n + lookahead, C], see `ParallelModel`.

        The phase is 0 in the first frame that is transformed; `temperature` scales the noise.
        """
        _check_frames(self, window, 1 + self.lookback + self.lookahead)
        return self._start(window, noise, temperature, speaker)[1]

    def begin(
        self,
        window: Float[Array, "batch frames channels"],
        noise: Float[Array, "batch frames noise"] | None,
        temperature: Float[Array, "batch frames"],
        speaker: Array | None = None,
    ) -> HarmonicState:
        """The state before a frame's samples, from the `lookback` frames before it and it and those after it.

        `window` has lookback + lookahead frames, of which the first `lookahead` of the frames to come are the last.
        `advance` continues with the frame after them. `begin` and `advance` in turn are one `synthesize`.
        """
        _check_frames(self, window, self.lookback + self.lookahead)
        return self._start(window, noise, temperature, speaker)[0]

    def advance(
        self,
        state: HarmonicState,
        window: Float[Array, "batch frames channels"],
        noise: Float[Array, "batch frames noise"] | None,
        temperature: Float[Array, "batch frames"],
        speaker: Array | None = None,
    ) -> tuple[HarmonicState, Float[Array, "batch samples"]]:
        """Samples [B, n * hop_length] from n new frames, `lookahead` frames after those whose samples they are."""
        _check_frames(self, window, 1)
        _check_no_speaker(self, speaker)
        x = jnp.concatenate([state.mel, self._scaled(window)], axis=1)
        frames, histories, rotation = self._transformed(x, noise, temperature, state.histories, state.rotation)
        frames = jnp.concatenate([state.frames, frames], axis=1)
        return self._continued(x, histories, rotation, frames)

    def pitch_of(self, window: Float[Array, "batch frames channels"]) -> Pitch:
        """F0 and voicing [B, F - 4] of frames [B, F, C] but the first and last two, which `pitch_loss` supervises."""
        _check_frames(self, window, 5)
        return self.pitch(self._scaled(window))

    def _start(
        self, window: Array, noise: Array | None, temperature: Array, speaker: Array | None
    ) -> tuple[HarmonicState, Array]:
        _check_no_speaker(self, speaker)
        x = self._scaled(window)
        frames, histories, rotation = self._transformed(x, noise, temperature, None, None)
        return self._continued(x, histories, rotation, frames)

    def _continued(
        self, x: Array, histories: Histories, rotation: Rotation, frames: Array
    ) -> tuple[HarmonicState, Array]:
        config, inverse, (back, ahead) = self.config, self.config.inverse, self.config.overlap
        first, last = config.subframes * back - inverse.lookback, config.subframes * ahead - inverse.lookahead
        waveform = jnp.clip(inverse.overlap_add(frames[:, first : frames.shape[1] - last]), -1.0, 1.0)
        kept = x[:, -6 - config.neighbours :], frames[:, frames.shape[1] - config.subframes * (back + ahead) :]
        return HarmonicState(kept[0], histories, rotation, kept[1]), waveform

    def _scaled(self, frames: Array) -> Array:
        config = self.config
        return (frames.astype(jnp.float32) - jnp.float32(config.input_offset)) * jnp.float32(config.input_scale)

    def _transformed(
        self,
        x: Array,
        noise: Array | None,
        temperature: Array,
        histories: Histories | None,
        before: Rotation | None,
    ) -> tuple[Array, Histories, Rotation]:
        """Samples [B, F * subframes, n_fft] of the frames of `x` that have all of their context there or in histories.

        Noise and temperature are those of the last F frames that they are given for.
        """
        config, ahead, beside = self.config, self.config.embedding_lookahead, self.config.neighbours
        reach, length = self.pitch.reach, x.shape[1]
        pitch = self.pitch(x[:, 6 - ahead - reach - beside : length - (ahead - reach)])
        frequency, voiced = lax.stop_gradient((pitch.frequency, jax.nn.sigmoid(pitch.voicing)))
        extra = jnp.stack([jnp.log2(frequency * jnp.float32(1 / 200.0)), voiced], axis=-1)
        inner = slice(beside, extra.shape[1] - beside)
        y, histories = self.backbone(x[:, : length - beside], extra[:, inner], histories=histories)
        count = y.shape[1]
        wider = count + 2 * beside
        frequency, voiced = (self._finer(part[:, -wider:]) for part in (frequency, voiced))
        seconds = config.hop_length / config.subframes / config.spec.sample_rate
        phase, rotation = rotate(frequency, seconds, before)
        harmonics = harmonic_spectrum(frequency, phase, config.n_fft, config.spec.sample_rate)
        mel = x[:, length - ahead - wider : length - ahead]
        mel = mel * jnp.float32(1 / config.input_scale) + jnp.float32(config.input_offset)
        outputs = self._by_subframe(self.head(y))
        noise = None if noise is None else self._by_subframe(noise[:, noise.shape[1] - count :])
        temperature = temperature[:, temperature.shape[1] - count :, None]
        temperature = jnp.broadcast_to(temperature, (*temperature.shape[:2], config.subframes)).reshape(len(x), -1)
        known = self._finer(self._known_log_magnitudes(mel))
        real, imaginary = self._spectrum(outputs, known, harmonics, voiced[..., None], noise, temperature)
        return config.inverse.frames(real, imaginary), histories, rotation

    def _by_subframe(self, x: Array) -> Array:
        """[B, F, subframes * n] -> [B, F * subframes, n]."""
        count = self.config.subframes
        return x.reshape(x.shape[0], x.shape[1] * count, x.shape[2] // count)

    def _finer(self, x: Array) -> Array:
        """Values [B, F * subframes, ...] in the middles of transforms, of frames [B, F + 2 * neighbours, ...]."""
        config = self.config
        if config.subframes == 1:
            return x
        before, now, after = (x[:, first : x.shape[1] - 2 + first] for first in range(3))
        middle = 0.5 - 0.5 / config.subframes if config.frame_centre else 0.0  # where a frame's own middle is
        places = np.arange(config.subframes) / config.subframes - middle
        rows = [now + jnp.float32(abs(at)) * ((before if at < 0 else after) - now) for at in places.tolist()]
        return jnp.stack(rows, axis=2).reshape(now.shape[0], now.shape[1] * config.subframes, *now.shape[2:])

    def _known_log_magnitudes(self, mel: Array) -> Array:
        """[B, F, bins]: of the mel's own window, or as a shorter one sees its power, spread over frequencies."""
        config, count = self.config, self.config.subframes
        magnitudes = mel_to_magnitudes(mel, config.spec, config.spec.win_length)
        if count == 1:
            return jnp.log(magnitudes)
        weights = np.bartlett(2 * count + 1)[1:-1] / count**2
        power, bins = jnp.square(magnitudes), magnitudes.shape[-1]
        power = jnp.pad(power, ((0, 0), (0, 0), (count - 1, count - 1)))
        taps = (lax.slice_in_dim(power, tap, tap + bins, count, axis=2) for tap in range(len(weights)))
        spread = (jnp.float32(weight) * tap for weight, tap in zip(weights.tolist(), taps, strict=True))
        return 0.5 * jnp.log(functools.reduce(operator.add, spread))

    def _spectrum(
        self,
        outputs: Array,
        known: Array,
        harmonics: tuple[Array, Array],
        voiced: Array,
        noise: Array | None,
        temperature: Array,
    ) -> tuple[Array, Array]:
        """Real and imaginary part: magnitude and turn by the network, of a mixture of harmonics and noise."""
        config, bins = self.config, self.config.inverse.bins
        ends = bins, 2 * bins, 2 * bins + config.local_channels
        residual, turn, share, comb = jnp.split(outputs, ends, axis=-1)
        real, imaginary = harmonics
        if config.pulses_without_voice:  # one pulse in the middle of the frame: all frequencies alike
            real, imaginary = voiced * real + (1 - voiced), voiced * imaginary
        log_power = jnp.log(jnp.square(real) + jnp.square(imaginary) + jnp.float32(_QUIETEST))
        # Low bands of a mel spectrogram show the harmonics already, high ones do not: how deep the valleys between them
        # are to be is the network's choice, from none to those of a perfectly even voice.
        flattening = jnp.exp(-0.5 * log_power * self._by_bin(jax.nn.sigmoid(comb)))
        real, imaginary = real * flattening, imaginary * flattening
        if noise is not None:
            random_real, random_imaginary = cosine_sine(noise)
            share = self._by_bin(jax.nn.sigmoid(share))
            loud = (1 - share) * temperature[..., None]
            real, imaginary = share * real + loud * random_real, share * imaginary + loud * random_imaginary
        magnitude = jnp.exp(jnp.minimum(known + residual, jnp.float32(np.log(config.n_fft / 2))))
        # Phases are those in the middle of a frame, the inverse transform's those at its first sample.
        signed = magnitude * jnp.asarray(1.0 - 2.0 * (np.arange(bins) % 2), jnp.float32)[None, None]
        cosine, sine = cosine_sine(turn)
        return signed * (real * cosine - imaginary * sine), signed * (real * sine + imaginary * cosine)

    def _by_bin(self, bands: Array) -> Array:
        spread = jnp.asarray(_bands_to_bins(self.config.spec, self.config.n_fft))
        return jnp.matmul(bands, spread, precision=self.precision)


class Head(nn.Module):
    """A linear map [B, F, channels] -> [B, F, outputs], float32."""

    channels: int
    outputs: int
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Apply it."""
        initial = nn.initializers.truncated_normal(0.02)
        kernel = declare(self, "kernel", initial, (self.channels, self.outputs)).astype(self.dtype)
        bias = declare(self, "bias", nn.initializers.zeros, (self.outputs,))
        product = jnp.matmul(x.astype(self.dtype), kernel, precision=self.precision, preferred_element_type=jnp.float32)
        return product + bias[None, None]


def mel_to_magnitudes(
    mel: Float[Array, "batch frames channels"], spec: FeatureSpec, n_fft: int
) -> Float[Array, "batch frames bins"]:
    """Magnitudes [B, F, n_fft // 2 + 1] of which the spec's filterbank would have made these features.

    The least-squares answer (pseudo-inverse) in absolute value, at least the spec's floor; a number for each frequency
    from a third or less as many bands. Constant where the network is concerned: no gradient passes.
    """
    mel = mel.astype(jnp.float32)
    log = (mel - _row(spec.offset, mel)) / _row(spec.scale, mel) * jnp.float32(1 / LOG_FACTORS[spec.log_base])
    linear = jnp.matmul(jnp.exp(log), jnp.asarray(_pseudo_inverse(spec, n_fft)), precision=lax.Precision.HIGHEST)
    floored = jnp.maximum(jnp.abs(linear), jnp.float32(spec.floor))
    return lax.stop_gradient(floored if spec.power == 1 else jnp.sqrt(floored))


def _row(value: float | tuple[float, ...], like: Array) -> Array:
    return jnp.broadcast_to(jnp.asarray(value, jnp.float32), like.shape)


@functools.lru_cache(maxsize=8)
def _pseudo_inverse(spec: FeatureSpec, n_fft: int) -> np.ndarray:
    """float32 [n_mels, n_fft // 2 + 1]: of the spec's filters, laid over the frequencies of a transform of n_fft.

    Zeros around a window add frequencies between those that it has, and a filter sums as many more of them.
    """
    bank = mel_filterbank(
        spec.sample_rate, n_fft, spec.n_mels, spec.f_min, spec.f_max, spec.mel_scale, spec.mel_norm
    ).astype(np.float64)
    return np.linalg.pinv(bank * (spec.n_fft / n_fft)).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _bands_to_bins(spec: FeatureSpec, n_fft: int) -> np.ndarray:
    """float32 [n_mels, n_fft // 2 + 1]: a number per band, interpolated between the bands' middles."""
    highest = spec.sample_rate / 2 if spec.f_max is None else spec.f_max
    ends = hz_to_mel(spec.f_min, spec.mel_scale), hz_to_mel(highest, spec.mel_scale)
    middles = mel_to_hz(np.linspace(*ends, spec.n_mels + 2)[1:-1], spec.mel_scale)
    frequencies = np.arange(n_fft // 2 + 1) * (spec.sample_rate / n_fft)
    rows = [np.interp(frequencies, middles, row) for row in np.eye(spec.n_mels)]
    return np.stack(rows).astype(np.float32)


def _body_macs(config: VocosConfig | HarmonicVocosConfig) -> int:
    block = 2 * config.channels * config.hidden_channels + 7 * config.channels
    return 7 * config.local_channels * config.channels + config.num_blocks * block


def _check_sizes(config: VocosConfig | HarmonicVocosConfig) -> None:
    for name in ("local_channels", "channels", "hidden_channels", "num_blocks"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")
    _ = config.inverse  # says what is wrong with n_fft and hop_length


def _check_frames(model: Vocos | HarmonicVocos, frames: Array, fewest: int) -> None:
    if frames.shape[-1] != model.local_channels or frames.shape[1] < fewest:
        raise ValueError(
            f"{type(model).__name__} needs {fewest} frames or more of {model.local_channels} channels (lookback "
            f"{model.lookback}, lookahead {model.lookahead}), got shape {frames.shape}"
        )


def _check_no_speaker(model: Vocos | HarmonicVocos, speaker: Array | None) -> None:
    if speaker is not None:
        raise ValueError(f"{type(model).__name__} knows no speakers, got {speaker.shape}: leave the speaker out")
