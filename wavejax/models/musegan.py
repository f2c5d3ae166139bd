"""MuseGAN (Dong et al. 2018, arXiv 1709.06298): piano rolls of five tracks from noise, against a critic; and ours.

Two published networks are here as their public code (salu133445/musegan) builds them. Version 1 is the paper's: four
bars of 96 x 84, whose bars share a generator, and three ways to share what the tracks have in common (`composer`,
`jamming`, `hybrid`). Version 3 works on all bars at once, four of 48 x 84, with three-dimensional convolutions. Both
return real numbers in (-1, 1), which a threshold makes notes.

`VoicesGenerator` is ours: four voices, each of which says at each step with a softmax whether it strikes a pitch, holds
or rests, as `models.chorale` has its classes. No threshold breaks long notes up. The critic sees the drawn classes; the
gradient passes through them to the softmax (straight through, Bengio et al. 2013, arXiv 1308.3432).
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from wavejax.nn.kernels import declare_kernel
from wavejax.nn.normalization import BatchNorm

TRACKS = ("bass", "drums", "guitar", "piano", "strings")
BARS = 4
Kind = Literal["composer", "jamming", "hybrid"]


class Layer(NamedTuple):
    """A convolution without padding: as in the published layer tables."""

    channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]


class Convolution(nn.Module):
    """A convolution, or a transposed one, with a bias; then a batch normalisation where `epsilon` is above 0."""

    inputs: int
    layer: Layer
    transposed: bool = False
    epsilon: float = 0.0
    momentum: float = 0.1
    spread: float = 0.05
    """Standard deviation of the initial kernel."""

    def setup(self) -> None:
        """Declare the parameters."""
        shape = (*self.layer.kernel, self.inputs, self.layer.channels)
        self.kernel = declare_kernel(self, "kernel", shape, initializer=nn.initializers.truncated_normal(self.spread))
        self.bias = self.param("bias", nn.initializers.zeros, (self.layer.channels,))
        if self.epsilon:
            self.norm = BatchNorm(self.layer.channels, self.momentum, self.epsilon)

    def __call__(self, x: Array, training: bool = False) -> Array:
        """[B, ..., inputs] -> [B, ..., channels]."""
        letters = "DHW"[-len(self.layer.kernel) :]
        form = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
        if self.transposed:
            y = lax.conv_transpose(x, self.kernel, self.layer.stride, "VALID", dimension_numbers=form)
        else:
            y = lax.conv_general_dilated(x, self.kernel, self.layer.stride, "VALID", dimension_numbers=form)
        y = y + self.bias.reshape((1,) * (y.ndim - 1) + (-1,))
        if not self.epsilon:
            return y
        return self.norm(y.reshape(y.shape[0], -1, y.shape[-1]), training).reshape(y.shape)


def leaky(x: Array) -> Array:
    """What is below 0 is multiplied by 0.2."""
    return jnp.maximum(x, jnp.float32(0.2) * x)


def _chain(inputs: int, layers: tuple[Layer, ...], name: str, **options: Any) -> list[Convolution]:
    widths = (inputs, *(layer.channels for layer in layers))
    return [
        Convolution(width, layer, name=f"{name}_{number}", **options)
        for number, (width, layer) in enumerate(zip(widths, layers, strict=False))
    ]


# --- version 3 -------------------------------------------------------------------------------------------------------

V3_STEPS, V3_PITCHES, V3_NOISE, V3_BEAT = 48, 84, 128, 12
"""Steps of a bar, pitches, size of the noise, steps of a beat."""
V3_SHARED = (Layer(512, (4, 1, 1), (4, 1, 1)), Layer(256, (1, 4, 3), (1, 4, 3)), Layer(128, (1, 4, 3), (1, 4, 2)))
V3_PITCH_TIME = (Layer(32, (1, 1, 12), (1, 1, 12)), Layer(16, (1, 3, 1), (1, 3, 1)))
V3_TIME_PITCH = (Layer(32, (1, 3, 1), (1, 3, 1)), Layer(16, (1, 1, 12), (1, 1, 12)))
_ONE = (1, 1, 1)


class GeneratorV3(nn.Module):
    """The generator of version 3: noise [B, 128] -> [B, 4 bars, 48 steps, 84 pitches, 5 tracks] in (-1, 1)."""

    num_tracks: int = 5

    def setup(self) -> None:
        """Declare the parameters."""
        # TensorFlow's defaults: its momentum .99 is the share that stays.
        options: dict[str, Any] = {"transposed": True, "epsilon": 1e-3, "momentum": 0.01}
        self.shared = _chain(V3_NOISE, V3_SHARED, "shared", **options)
        tracks = range(self.num_tracks)
        self.pitch_time = [_chain(128, V3_PITCH_TIME, f"track_{n}_pitch_time", **options) for n in tracks]
        self.time_pitch = [_chain(128, V3_TIME_PITCH, f"track_{n}_time_pitch", **options) for n in tracks]
        self.merged = [Convolution(32, Layer(1, _ONE, _ONE), name=f"track_{n}_merged", **options) for n in tracks]

    def __call__(self, noise: Float[Array, "batch 128"], training: bool = False) -> Array:
        """One phrase for each row of noise."""

        def through(x: Array, layers: Sequence[Convolution]) -> Array:
            for layer in layers:
                x = jax.nn.relu(layer(x, training))
            return x

        x = through(noise[:, None, None, None], self.shared)
        tracks = []
        for first, second, merge in zip(self.pitch_time, self.time_pitch, self.merged, strict=True):
            tracks.append(merge(jnp.concatenate([through(x, first), through(x, second)], axis=-1), training))
        return jnp.tanh(jnp.concatenate(tracks, axis=-1))


class CriticV3(nn.Module):
    """The critic of version 3: phrases [B, 4, 48, 84, 5] -> three opinions of each, one per pair of bars, [B, 3].

    It sees the roll, what sounds in each beat by pitch class, and how many notes begin or end at each step.
    """

    num_tracks: int = 5

    def setup(self) -> None:
        """Declare the parameters."""
        n, tracks = self.num_tracks, range(self.num_tracks)
        down = (Layer(16, (1, 1, 12), (1, 1, 12)), Layer(32, (1, 3, 1), (1, 3, 1)))
        along = (Layer(16, (1, 3, 1), (1, 3, 1)), Layer(32, (1, 1, 12), (1, 1, 12)))
        self.pitch_time = [_chain(n, down, f"track_{i}_pitch_time") for i in tracks]
        self.time_pitch = [_chain(n, along, f"track_{i}_time_pitch") for i in tracks]
        self.merged = [Convolution(64, Layer(64, _ONE, _ONE), name=f"track_{i}_merged") for i in tracks]
        self.shared = _chain(64 * n, (Layer(128, (1, 4, 3), (1, 4, 2)), Layer(256, (1, 4, 3), (1, 4, 3))), "shared")
        self.chroma = _chain(n, (Layer(32, (1, 1, 12), (1, 1, 12)), Layer(64, (1, 4, 1), (1, 4, 1))), "chroma")
        onsets = (Layer(16, (1, 3, 1), (1, 3, 1)), Layer(32, (1, 4, 1), (1, 4, 1)), Layer(64, (1, 4, 1), (1, 4, 1)))
        self.onsets = _chain(n, onsets, "onsets")
        self.last = Convolution(384, Layer(512, (2, 1, 1), _ONE), name="last")
        self.output_kernel = declare_kernel(
            self, "output_kernel", (512, 1), initializer=nn.initializers.truncated_normal(0.05)
        )
        self.output_bias = self.param("output_bias", nn.initializers.zeros, (1,))

    def __call__(self, rolls: Float[Array, "batch bars steps pitches tracks"]) -> Float[Array, "batch opinions"]:
        """The larger, the more like real music."""

        def through(x: Array, layers: Sequence[Convolution]) -> Array:
            for layer in layers:
                x = leaky(layer(x))
            return x

        batch, bars, steps, pitches, tracks = rolls.shape
        beats = rolls.reshape(batch, bars, steps // V3_BEAT, V3_BEAT, pitches // 12, 12, tracks)
        chroma = through(jnp.sum(beats, axis=(3, 4)), self.chroma)
        before = jnp.pad(rolls[:, :, :-1], ((0, 0), (0, 0), (1, 0), (0, 0), (0, 0)))
        onsets = through(jnp.sum(rolls - before, axis=3, keepdims=True), self.onsets)
        private = [
            leaky(merge(jnp.concatenate([through(rolls, first), through(rolls, second)], axis=-1)))
            for first, second, merge in zip(self.pitch_time, self.time_pitch, self.merged, strict=True)
        ]
        x = through(jnp.concatenate(private, axis=-1), self.shared)
        x = leaky(self.last(jnp.concatenate([x, chroma, onsets], axis=-1)))
        return (x.reshape(batch, -1, x.shape[-1]) @ self.output_kernel)[..., 0] + self.output_bias[None]


# --- version 1 -------------------------------------------------------------------------------------------------------

V1_STEPS, V1_PITCHES = 96, 84
V1_BAR = (
    *(Layer(512, (2, 1), (2, 1)), Layer(256, (2, 1), (2, 1)), Layer(256, (2, 1), (2, 1)), Layer(128, (2, 1), (2, 1))),
    *(Layer(128, (3, 1), (3, 1)), Layer(64, (1, 7), (1, 1))),
)
V1_CRITIC = (
    *(Layer(128, (1, 12), (1, 12)), Layer(128, (1, 7), (1, 7)), Layer(128, (2, 1), (2, 1)), Layer(128, (2, 1), (2, 1))),
    *(Layer(256, (4, 1), (2, 1)), Layer(512, (3, 1), (2, 1))),
)
_V1 = {"transposed": True, "epsilon": 1e-5, "momentum": 0.1, "spread": 0.02}
_V1_PART = {"composer": 64, "jamming": 64, "hybrid": 32}
"""Size of each part of the noise."""


class PhraseGenerator(nn.Module):
    """What changes from bar to bar: noise [B, inputs] -> one vector for each bar, [B, 4, inputs]."""

    inputs: int

    def setup(self) -> None:
        """Declare the parameters."""
        layers = (Layer(1024, (2, 1), (2, 1)), Layer(self.inputs, (3, 1), (1, 1)))
        self.layers = _chain(self.inputs, layers, "layer", **_V1)

    def __call__(self, noise: Float[Array, "batch inputs"], training: bool = False) -> Array:
        """The four vectors."""
        x = noise[:, None, None]
        for layer in self.layers:
            x = jax.nn.relu(layer(x, training))
        return x[:, :, 0]


class BarGenerator(nn.Module):
    """A bar: noise [B, 128] -> [B, 96, 84, outputs] in (-1, 1)."""

    outputs: int

    def setup(self) -> None:
        """Declare the parameters."""
        self.first = Convolution(128, Layer(1024, (1, 1), (1, 1)), name="first", **_V1)  # type: ignore[arg-type]
        self.layers = _chain(512, V1_BAR, "layer", **_V1)
        self.last = Convolution(64, Layer(self.outputs, (1, 12), (1, 12)), transposed=True, spread=0.02, name="last")

    def __call__(self, noise: Float[Array, "batch 128"], training: bool = False) -> Array:
        """One bar for each row of noise."""
        x = jax.nn.relu(self.first(noise[:, None, None], training)).reshape(noise.shape[0], 2, 1, 512)
        for layer in self.layers:
            x = jax.nn.relu(layer(x, training))
        return jnp.tanh(self.last(x))


class GeneratorV1(nn.Module):
    """The generator of version 1: noise [B, noise_size] -> [B, 4 bars, 96 steps, 84 pitches, 5 tracks] in (-1, 1).

    - `composer`: one generator makes the five tracks of a bar from noise that they share.
    - `jamming`: each track has a generator, and noise of its own.
    - `hybrid`: each track has a generator, which reads noise of its own and noise that all of them share.

    Half of all noise is the same for the four bars, the other half goes through a `PhraseGenerator`.
    """

    kind: Kind = "hybrid"

    @property
    def part(self) -> int:
        """Size of each part of the noise."""
        return _V1_PART[self.kind]

    @property
    def noise_size(self) -> int:
        """Of all parts: two that the tracks share, two of each track's own, as the kind has them."""
        shared, own = self.kind != "jamming", self.kind != "composer"
        return 2 * self.part * (shared + len(TRACKS) * own)

    def setup(self) -> None:
        """Declare the parameters."""
        self.phrase = PhraseGenerator(self.part, name="phrase")
        names = ("all",) if self.kind == "composer" else TRACKS
        outputs = len(TRACKS) if self.kind == "composer" else 1
        self.bars = [BarGenerator(outputs, name=name) for name in names]

    def __call__(self, noise: Float[Array, "batch noise"], training: bool = False) -> Array:
        """One phrase for each row of noise. The four bars are normalised together."""
        parts = noise.reshape(noise.shape[0], -1, 2, self.part)  # pairs: what moves, what stays
        pairs = []
        for number in range(parts.shape[1]):
            moving = self.phrase(parts[:, number, 0], training)
            pairs.append((moving, jnp.broadcast_to(parts[:, number, 1][:, None], moving.shape)))
        tracks = []
        for number, bar in enumerate(self.bars):
            if self.kind == "hybrid":
                (moving, stays), (own_moving, own_stays) = pairs[0], pairs[1 + number]
                given = [moving, own_moving, stays, own_stays]
            else:
                given = [*pairs[number]]
            x = bar(jnp.concatenate(given, axis=-1).reshape(-1, 128), training)
            tracks.append(x.reshape(noise.shape[0], BARS, *x.shape[1:]))
        return jnp.concatenate(tracks, axis=-1)


class CriticV1(nn.Module):
    """The critic of version 1: phrases [B, 4, 96, 84, 5] -> opinions [B, 20].

    The public code cuts the 2,560 features of a bar into pieces of 128 and calls four neighbouring ones a phrase, so
    that a phrase of features is a fifth of one bar: this is what its weights mean. The head that judges single bars
    has parameters in the public network, and no phrase uses it.
    """

    def setup(self) -> None:
        """Declare the parameters."""
        spread: dict[str, Any] = {"spread": 0.02}
        self.bar = _chain(len(TRACKS), V1_CRITIC, "bar", **spread)
        self.bar_head = _head(self, "bar_head", 2560)
        self.phrase = _chain(128, (Layer(512, (2, 1), (1, 1)), Layer(128, (3, 1), (3, 1))), "phrase", **spread)
        self.phrase_head = _head(self, "phrase_head", 128)

    def __call__(self, rolls: Float[Array, "batch bars steps pitches tracks"]) -> Float[Array, "batch opinions"]:
        """The larger, the more like real music."""
        x = rolls.reshape(-1, *rolls.shape[2:])
        for layer in self.bar:
            x = leaky(layer(x))
        x = x.reshape(-1, BARS, 1, 128)
        for layer in self.phrase:
            x = leaky(layer(x))
        kernel, bias, output, output_bias = self.phrase_head
        x = leaky(x.reshape(x.shape[0], -1) @ kernel + bias[None])
        return (x @ output + output_bias[None]).reshape(rolls.shape[0], -1)


def _head(module: nn.Module, name: str, inputs: int) -> tuple[Array, ...]:
    """Two dense layers, inputs -> 1024 -> 1."""
    draw, zeros = nn.initializers.truncated_normal(0.02), nn.initializers.zeros
    return (
        declare_kernel(module, f"{name}_kernel", (inputs, 1024), initializer=draw),
        module.param(f"{name}_bias", zeros, (1024,)),
        declare_kernel(module, f"{name}_output_kernel", (1024, 1), initializer=draw),
        module.param(f"{name}_output_bias", zeros, (1,)),
    )


# --- ours ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class VoicesConfig:
    """Sizes of our networks: voices with a softmax over rest, hold and pitches."""

    num_voices: int = 4
    num_classes: int = 60
    """Rest, hold and pitches, in the order of `models.chorale.ScoreCoding`."""
    bars: int = BARS
    steps_per_bar: int = 16
    noise_size: int = 128
    channels: int = 256
    critic_channels: int = 288

    def __post_init__(self) -> None:
        if self.steps_per_bar % 16:
            raise ValueError(f"steps_per_bar must be a multiple of 16, got {self.steps_per_bar}")

    @property
    def num_steps(self) -> int:
        """Of a phrase."""
        return self.bars * self.steps_per_bar


class VoicesGenerator(nn.Module):
    """Noise [B, noise_size] -> logits [B, steps, voices, classes]."""

    config: VoicesConfig = VoicesConfig()

    def setup(self) -> None:
        """Declare the parameters."""
        c, gain = self.config, math.sqrt(2.0)
        width, wide = c.channels, 2 * c.channels
        self.bars_kernel = declare_kernel(self, "bars_kernel", (c.noise_size, c.bars, wide), num_stacked=0)
        self.beats_kernel = declare_kernel(self, "beats_kernel", (wide, 4, width), gain=2 * gain)
        self.steps_kernel = declare_kernel(self, "steps_kernel", (width, c.steps_per_bar // 4, width), gain=2 * gain)
        self.around_kernel = declare_kernel(self, "around_kernel", (5, width, width // 2), gain=gain)
        self.output_kernel = declare_kernel(self, "output_kernel", (width // 2, c.num_voices * c.num_classes))
        sizes = {"bars": wide, "beats": width, "steps": width, "around": width // 2}
        self.scales = {name: self.param(f"{name}_scale", nn.initializers.ones, (n,)) for name, n in sizes.items()}
        self.biases = {name: self.param(f"{name}_bias", nn.initializers.zeros, (n,)) for name, n in sizes.items()}
        self.output_bias = self.param("output_bias", nn.initializers.zeros, (c.num_voices * c.num_classes,))

    def _active(self, x: Float[Array, "batch time channels"], name: str) -> Array:
        """Layer normalisation (Ba et al. 2016, arXiv 1607.06450), then ReLU."""
        mean = jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
        normal = (x - mean) * lax.rsqrt(variance + jnp.float32(1e-5))
        return jax.nn.relu(normal * self.scales[name][None, None] + self.biases[name][None, None])

    def __call__(self, noise: Float[Array, "batch noise"]) -> Float[Array, "batch steps voices classes"]:
        """Logits of one phrase for each row of noise."""
        c, batch = self.config, noise.shape[0]

        def spread(x: Array, kernel: Array, name: str) -> Array:
            return self._active(jnp.einsum("bti,iko->btko", x, kernel).reshape(batch, -1, kernel.shape[-1]), name)

        x = self._active(jnp.einsum("bi,iko->bko", noise, self.bars_kernel), "bars")
        x = spread(spread(x, self.beats_kernel, "beats"), self.steps_kernel, "steps")
        form = ("NWC", "WIO", "NWC")
        x = self._active(
            lax.conv_general_dilated(x, self.around_kernel, (1,), "SAME", dimension_numbers=form), "around"
        )
        logits = x @ self.output_kernel + self.output_bias[None, None]
        return logits.reshape(batch, c.num_steps, c.num_voices, c.num_classes)


class VoicesCritic(nn.Module):
    """Phrases [B, steps, voices, classes], one class of each voice being 1 -> opinions [B, 1]."""

    config: VoicesConfig = VoicesConfig()

    def setup(self) -> None:
        """Declare the parameters."""
        c, gain = self.config, math.sqrt(2.0)
        width, last = c.critic_channels, c.num_steps // 16
        self.input_kernel = declare_kernel(self, "input_kernel", (3, c.num_voices * c.num_classes, width), gain=gain)
        self.beats_kernel = declare_kernel(self, "beats_kernel", (4, width, width), gain=gain)
        self.bars_kernel = declare_kernel(self, "bars_kernel", (4, width, width), gain=gain)
        self.hidden_kernel = declare_kernel(self, "hidden_kernel", (last * width, width), gain=gain)
        self.output_kernel = declare_kernel(self, "output_kernel", (width, 1))
        names = ("input", "beats", "bars", "hidden")
        self.biases = {name: self.param(f"{name}_bias", nn.initializers.zeros, (width,)) for name in names}
        self.output_bias = self.param("output_bias", nn.initializers.zeros, (1,))

    def __call__(self, phrases: Float[Array, "batch steps voices classes"]) -> Float[Array, "batch opinions"]:
        """The larger, the more like real music."""
        form = ("NWC", "WIO", "NWC")
        x = phrases.reshape(*phrases.shape[:2], -1)
        for name, kernel, stride in (
            ("input", self.input_kernel, 1),
            ("beats", self.beats_kernel, 4),
            ("bars", self.bars_kernel, 4),
        ):
            padding = "SAME" if stride == 1 else "VALID"
            x = lax.conv_general_dilated(x, kernel, (stride,), padding, dimension_numbers=form)
            x = leaky(x + self.biases[name][None, None])
        x = leaky(x.reshape(x.shape[0], -1) @ self.hidden_kernel + self.biases["hidden"][None])
        return x @ self.output_kernel + self.output_bias[None]


def straight_through(
    logits: Float[Array, "*batch classes"], noise: Float[Array, "*batch classes"], temperature: float = 1.0
) -> Float[Array, "*batch classes"]:
    """One class of each draw as 1 and the others as 0, with the gradient of the softmax.

    The class is that of the largest logit after Gumbel noise, so it is drawn from the softmax (Jang et al. 2017, arXiv
    1611.01144).

    Args:
        logits: of the classes.
        noise: uniforms in (0, 1).
        temperature: of the softmax whose gradient is taken.
    """
    perturbed = logits - jnp.log(-jnp.log(noise))
    soft = jax.nn.softmax(perturbed / jnp.float32(temperature), axis=-1)
    hard = jax.nn.one_hot(jnp.argmax(perturbed, axis=-1), logits.shape[-1], dtype=soft.dtype)
    return soft + lax.stop_gradient(hard - soft)


__all__ = [
    "BARS",
    "TRACKS",
    "CriticV1",
    "CriticV3",
    "GeneratorV1",
    "GeneratorV3",
    "VoicesConfig",
    "VoicesCritic",
    "VoicesGenerator",
    "straight_through",
]
