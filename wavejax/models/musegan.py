"""MuseGAN (Dong et al. 2018, arXiv 1709.06298): piano rolls of five tracks from noise, against a critic.

Two published networks are here as their public code (salu133445/musegan) builds them. Version 1 is the paper's: four
bars of 96 x 84, whose bars share a generator, and three ways to share what the tracks have in common (`composer`,
`jamming`, `hybrid`). Version 3 works on all bars at once, four of 48 x 84, with three-dimensional convolutions. Both
return real numbers in (-1, 1), which a threshold makes notes. `models.voices_gan` has ours, for voices.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray

from wavejax.nn.kernels import declare_kernel
from wavejax.nn.normalization import BatchNorm
from wavejax.types import Params, PyTree

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


def thinned(layers: Sequence[Layer], thinner: int) -> tuple[Layer, ...]:
    """The same layers with their channels divided, one at least."""
    return tuple(layer._replace(channels=max(layer.channels // thinner, 1)) for layer in layers)


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
    thinner: int = 1
    """Divides all channels between noise and tracks; 1 is the published network."""

    def setup(self) -> None:
        """Declare the parameters."""
        # TensorFlow's defaults: its momentum .99 is the share that stays.
        options: dict[str, Any] = {"transposed": True, "epsilon": 1e-3, "momentum": 0.01}
        shared, first, second = (thinned(each, self.thinner) for each in (V3_SHARED, V3_PITCH_TIME, V3_TIME_PITCH))
        self.shared = _chain(V3_NOISE, shared, "shared", **options)
        tracks, width, merged = range(self.num_tracks), shared[-1].channels, first[-1].channels + second[-1].channels
        self.pitch_time = [_chain(width, first, f"track_{n}_pitch_time", **options) for n in tracks]
        self.time_pitch = [_chain(width, second, f"track_{n}_time_pitch", **options) for n in tracks]
        self.merged = [Convolution(merged, Layer(1, _ONE, _ONE), name=f"track_{n}_merged", **options) for n in tracks]

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
    thinner: int = 1
    """Divides all channels; 1 is the published network."""

    def setup(self) -> None:
        """Declare the parameters."""
        n, tracks = self.num_tracks, range(self.num_tracks)

        def thin(*layers: Layer) -> tuple[Layer, ...]:
            return thinned(layers, self.thinner)

        down = thin(Layer(16, (1, 1, 12), (1, 1, 12)), Layer(32, (1, 3, 1), (1, 3, 1)))
        along = thin(Layer(16, (1, 3, 1), (1, 3, 1)), Layer(32, (1, 1, 12), (1, 1, 12)))
        self.pitch_time = [_chain(n, down, f"track_{i}_pitch_time") for i in tracks]
        self.time_pitch = [_chain(n, along, f"track_{i}_time_pitch") for i in tracks]
        both, merged = down[-1].channels + along[-1].channels, thin(Layer(64, _ONE, _ONE))[0]
        self.merged = [Convolution(both, merged, name=f"track_{i}_merged") for i in tracks]
        shared = thin(Layer(128, (1, 4, 3), (1, 4, 2)), Layer(256, (1, 4, 3), (1, 4, 3)))
        chroma = thin(Layer(32, (1, 1, 12), (1, 1, 12)), Layer(64, (1, 4, 1), (1, 4, 1)))
        onsets = thin(Layer(16, (1, 3, 1), (1, 3, 1)), Layer(32, (1, 4, 1), (1, 4, 1)), Layer(64, (1, 4, 1), (1, 4, 1)))
        self.shared = _chain(merged.channels * n, shared, "shared")
        self.chroma, self.onsets = _chain(n, chroma, "chroma"), _chain(n, onsets, "onsets")
        heard, last = sum(each[-1].channels for each in (shared, chroma, onsets)), thin(Layer(512, (2, 1, 1), _ONE))[0]
        self.last = Convolution(heard, last, name="last")
        self.output_kernel = declare_kernel(
            self, "output_kernel", (last.channels, 1), initializer=nn.initializers.truncated_normal(0.05)
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
    thinner: int = 1

    def setup(self) -> None:
        """Declare the parameters."""
        first = thinned([Layer(1024, (2, 1), (2, 1))], self.thinner)[0]
        layers = (first, Layer(self.inputs, (3, 1), (1, 1)))
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
    thinner: int = 1

    def setup(self) -> None:
        """Declare the parameters."""
        options: dict[str, Any] = dict(_V1)
        self.half = 512 // self.thinner
        self.first = Convolution(128, Layer(2 * self.half, (1, 1), (1, 1)), name="first", **options)
        layers, last = thinned(V1_BAR, self.thinner), Layer(self.outputs, (1, 12), (1, 12))
        self.layers = _chain(self.half, layers, "layer", **options)
        self.last = Convolution(layers[-1].channels, last, transposed=True, spread=0.02, name="last")

    def __call__(self, noise: Float[Array, "batch 128"], training: bool = False) -> Array:
        """One bar for each row of noise."""
        x = jax.nn.relu(self.first(noise[:, None, None], training)).reshape(noise.shape[0], 2, 1, self.half)
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
    num_tracks: int = 5
    thinner: int = 1
    """Divides all channels between noise and tracks; 1 is the published network."""

    @property
    def part(self) -> int:
        """Size of each part of the noise."""
        return _V1_PART[self.kind]

    @property
    def noise_size(self) -> int:
        """Of all parts: two that the tracks share, two of each track's own, as the kind has them."""
        shared, own = self.kind != "jamming", self.kind != "composer"
        return 2 * self.part * (shared + self.num_tracks * own)

    def setup(self) -> None:
        """Declare the parameters."""
        self.phrase = PhraseGenerator(self.part, self.thinner, name="phrase")
        names = ("all",) if self.kind == "composer" else TRACKS[: self.num_tracks]
        outputs = self.num_tracks if self.kind == "composer" else 1
        self.bars = [BarGenerator(outputs, self.thinner, name=name) for name in names]

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

    num_tracks: int = 5
    thinner: int = 1
    """Divides all channels; 1 is the published network."""

    def setup(self) -> None:
        """Declare the parameters."""
        spread: dict[str, Any] = {"spread": 0.02}
        bar, self.piece = thinned(V1_CRITIC, self.thinner), 128 // self.thinner
        self.bar = _chain(self.num_tracks, bar, "bar", **spread)
        self.bar_head = _head(self, "bar_head", 5 * bar[-1].channels)
        phrase = thinned((Layer(512, (2, 1), (1, 1)), Layer(128, (3, 1), (3, 1))), self.thinner)
        self.phrase = _chain(self.piece, phrase, "phrase", **spread)
        self.phrase_head = _head(self, "phrase_head", phrase[-1].channels)

    def __call__(self, rolls: Float[Array, "batch bars steps pitches tracks"]) -> Float[Array, "batch opinions"]:
        """The larger, the more like real music."""
        x = rolls.reshape(-1, *rolls.shape[2:])
        for layer in self.bar:
            x = leaky(layer(x))
        x = x.reshape(-1, BARS, 1, self.piece)
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


# --- both players ----------------------------------------------------------------------------------------------------

LOWEST = 24
"""MIDI number of the lowest of the 84 pitches, as the public code has it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RollsConfig:
    """Which of the published networks, for which tracks."""

    version: Literal["v1-composer", "v1-jamming", "v1-hybrid", "v3"] = "v3"
    tracks: tuple[str, ...] = TRACKS
    """Some of the five, in their order."""
    thinner: int = 1
    """Divides the channels of all layers; 1 is the published network."""

    def __post_init__(self) -> None:
        if not self.tracks or self.tracks != TRACKS[: len(self.tracks)]:
            raise ValueError(f"tracks must be the first of {', '.join(TRACKS)}, in this order, got {self.tracks}")
        if self.thinner < 1 or 128 % self.thinner:
            raise ValueError(f"thinner must divide 128, the channels of many layers, got {self.thinner}")

    def build(self) -> "RollPlayers":
        """Both players."""
        count, thinner = len(self.tracks), self.thinner
        if self.version == "v3":
            return RollPlayers(self, GeneratorV3(count, thinner), CriticV3(count, thinner))
        kind: Any = self.version.removeprefix("v1-")
        return RollPlayers(self, GeneratorV1(kind, count, thinner), CriticV1(count, thinner))

    bars = BARS
    beats_per_bar = 4
    num_pitches = V3_PITCHES

    @property
    def steps_per_bar(self) -> int:
        """Steps of the grid in a bar."""
        return V3_STEPS if self.version == "v3" else V1_STEPS

    @property
    def steps_per_beat(self) -> int:
        """Steps of the grid in a quarter note."""
        return self.steps_per_bar // self.beats_per_bar

    @property
    def num_steps(self) -> int:
        """Of a phrase."""
        return self.bars * self.steps_per_bar

    @property
    def noise_size(self) -> int:
        """Numbers from which a phrase is made."""
        generator = self.build().generator
        return V3_NOISE if isinstance(generator, GeneratorV3) else generator.noise_size

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a phrase: [bars, steps, pitches, tracks]."""
        return self.bars, self.steps_per_bar, self.num_pitches, len(self.tracks)

    @property
    def size(self) -> str:
        """In a few words."""
        thin = "" if self.thinner == 1 else f" with its channels divided by {self.thinner}"
        return f"the published network {self.version}{thin}, {self.bars} bars of {len(self.tracks)} tracks at once"


class RollPlayers(NamedTuple):
    """The two players of an experiment, and what passes between them: rolls in [-1, 1], 1 where a note sounds."""

    config: RollsConfig
    generator: GeneratorV1 | GeneratorV3
    critic: CriticV1 | CriticV3

    def initial_params(self, key: PRNGKeyArray) -> tuple[Params, Params]:
        """Parameters of both; traceable."""
        own, theirs = jax.random.split(key)
        generator = self.generator.init(own, jnp.zeros((1, self.config.noise_size), jnp.float32))["params"]
        return generator, self.critic.init(theirs, jnp.zeros((1, *self.config.shape), jnp.float32))["params"]

    def real(self, examples: Bool[Array, "batch bars steps pitches tracks"]) -> Array:
        """Rolls of notes as the critic reads them."""
        return jnp.where(examples, jnp.float32(1), jnp.float32(-1))

    def fake(
        self, params: Params, model_state: PyTree, keys: Key[Array, "batch"], *, training: bool = True
    ) -> tuple[Float[Array, "batch bars steps pitches tracks"], PyTree]:
        """One phrase for each key; in training it is normalised by the batch, whose statistics are remembered."""
        noise = jax.vmap(lambda key: jax.random.normal(key, (self.config.noise_size,)))(keys)
        variables = {"params": params, **model_state}
        if not training:
            return self.made(variables, noise), model_state
        made, state = self.generator.apply(variables, noise, training=True, mutable=["statistics"])
        return made, state

    def made(self, variables: Mapping[str, Any], noise: Float[Array, "batch noise"]) -> Array:
        """Phrases of noise, [B, bars, steps, pitches, tracks]."""
        made: Array = self.generator.apply(variables, noise)  # type: ignore[assignment]
        return made

    def opinion(self, params: Params, rolls: Float[Array, "batch bars steps pitches tracks"]) -> Array:
        """The critic's, [B, opinions]."""
        said: Array = self.critic.apply({"params": params}, rolls)  # type: ignore[assignment]
        return said


PRESETS: Mapping[str, RollsConfig] = {
    "musegan-v1-composer": RollsConfig(version="v1-composer"),
    "musegan-v1-jamming": RollsConfig(version="v1-jamming"),
    "musegan-v1-hybrid": RollsConfig(version="v1-hybrid"),
    "musegan-v3": RollsConfig(version="v3"),
}

__all__ = [
    "BARS",
    "LOWEST",
    "PRESETS",
    "TRACKS",
    "CriticV1",
    "CriticV3",
    "GeneratorV1",
    "GeneratorV3",
    "RollPlayers",
    "RollsConfig",
]
