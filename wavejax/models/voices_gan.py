"""MuseGAN for voices: noise becomes a phrase of several voices at once, against a critic that hears harmony.

Our own network after MuseGAN (Dong et al. 2018, arXiv 1709.06298), whose published ones are in `models.musegan`. Each
voice says at each step with a softmax whether it strikes a pitch, holds the note before or rests, in the classes of
`nn.scores.ScoreCoding`. No threshold breaks long notes up. The critic sees the drawn classes; the gradient passes
through them to the softmax (straight through, Bengio et al. 2013, arXiv 1308.3432).

    bars   = f(noise)              one vector for each bar
    beats  = f(bars)               one for each beat, which then look around at their neighbours
    steps  = f(beats)              one for each step, which look around as well
    logits = heads(steps)          of each voice

With `in_turn` the steps are a plan: codes are drawn one after the other, each knowing what sounds before it and above
it (`nn.voices_in_turn`). Otherwise all codes are drawn at once, from the noise alone.

Most codes hold a note, so what sounds at a step was decided long before. A critic of a few convolutions over codes
would never hear a chord. So ours carries the notes forward (`sounding`), which is exact for drawn classes and has a
gradient, and is given what a listener knows: the intervals between all voices, and by which interval each moved.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from wavejax.distributions import ScoreCodes
from wavejax.distributions.score_codes import at_heat
from wavejax.nn.kernels import declare_kernel
from wavejax.nn.scores import FIRST_PITCH, HOLD_CLASS, PERFECT, ScoreCoding
from wavejax.nn.voices_in_turn import VoicesInTurn, held_at_first
from wavejax.types import Params, PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class VoicesConfig:
    """The voices, the grid that a phrase lies on, and the sizes of both players."""

    voices: tuple[str, ...] = ("soprano", "alto", "tenor", "bass")
    lowest: int = 31
    """MIDI number of the lowest pitch."""
    highest: int = 88
    """MIDI number of the highest pitch."""
    bars: int = 4
    """Of a phrase."""
    beats_per_bar: int = 4
    steps_per_beat: int = 4
    """4: sixteenths under a quarter note."""
    noise_size: int = 64
    channels: int = 96
    """Of the generator."""
    critic_channels: int = 96
    in_turn: bool = False
    """Draw step after step and voice after voice, each code knowing what sounds; otherwise all codes at once."""
    voice_leading: bool = False
    """Tell the critic of crossed voices and of parallel fifths and octaves."""

    def __post_init__(self) -> None:
        _ = self.coding  # raises if the pitches are impossible
        if not self.voices or len(set(self.voices)) < len(self.voices):
            raise ValueError(f"voices must be one or more different names, got {self.voices}")
        for name in ("bars", "beats_per_bar", "steps_per_beat", "noise_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("channels", "critic_channels"):
            if getattr(self, name) < 2 or getattr(self, name) % 2:
                raise ValueError(f"{name} must be even, half of them serve one layer, got {getattr(self, name)}")

    def build(self) -> "Players":
        """Both players."""
        return Players(VoicesGenerator(self), VoicesCritic(self))

    holds = True

    @property
    def num_voices(self) -> int:
        """How many voices there are."""
        return len(self.voices)

    @property
    def coding(self) -> ScoreCoding:
        """Codes as classes."""
        return ScoreCoding(lowest=self.lowest, highest=self.highest)

    @property
    def num_pitches(self) -> int:
        """How many pitches there are."""
        return self.coding.num_pitches

    @property
    def num_classes(self) -> int:
        """Rest, hold and the pitches."""
        return self.coding.num_classes

    @property
    def steps_per_bar(self) -> int:
        """Steps of the grid in a bar."""
        return self.steps_per_beat * self.beats_per_bar

    @property
    def num_beats(self) -> int:
        """Of a phrase."""
        return self.bars * self.beats_per_bar

    @property
    def num_steps(self) -> int:
        """Of a phrase."""
        return self.bars * self.steps_per_bar

    @property
    def macs_per_code(self) -> int:
        """Multiplications of the generator for one code of its phrase."""
        width, wide = self.channels, 2 * self.channels
        bars = self.noise_size * self.bars * wide
        beats = self.num_beats * (wide * width + 3 * width * width)
        steps = self.num_steps * (width * width + 5 * width * width // 2)
        if self.in_turn:
            heads = self.num_voices * width * (width // 2 + self.num_classes)
        else:
            heads = self.num_voices * width // 2 * self.num_classes
        return (bars + beats + steps + self.num_steps * heads) // (self.num_steps * self.num_voices)

    @property
    def size(self) -> str:
        """In a few words."""
        drawn = ", drawn in turn" if self.in_turn else ""
        return f"a generator of {self.channels} channels, {self.num_voices} voices, {self.bars} bars at once{drawn}"


class VoicesGenerator(nn.Module):
    """Noise [B, noise_size] -> codes [B, steps, voices] and their logits [B, steps, voices, classes]."""

    config: VoicesConfig = VoicesConfig()

    def setup(self) -> None:
        """Declare the parameters."""
        c, gain = self.config, math.sqrt(2.0)
        width, wide = c.channels, 2 * c.channels
        self.bars_kernel = declare_kernel(self, "bars_kernel", (c.noise_size, c.bars, wide))
        self.beats_kernel = declare_kernel(self, "beats_kernel", (wide, c.beats_per_bar, width), gain=2 * gain)
        self.phrase_kernel = declare_kernel(self, "phrase_kernel", (3, width, width), gain=gain)
        self.steps_kernel = declare_kernel(self, "steps_kernel", (width, c.steps_per_beat, width), gain=2 * gain)
        self.around_kernel = declare_kernel(self, "around_kernel", (5, width, width // 2), gain=gain)
        if c.in_turn:
            self.heads = VoicesInTurn(c.num_voices, c.coding, width // 2, width)
        else:
            self.output_kernel = declare_kernel(self, "output_kernel", (width // 2, c.num_voices * c.num_classes))
            self.output_bias = self.param("output_bias", held_at_first, (c.num_voices, c.num_classes))
        sizes = {"bars": wide, "beats": width, "phrase": width, "steps": width, "around": width // 2}
        self.scales = {name: self.param(f"{name}_scale", nn.initializers.ones, (n,)) for name, n in sizes.items()}
        self.biases = {name: self.param(f"{name}_bias", nn.initializers.zeros, (n,)) for name, n in sizes.items()}

    def _active(self, x: Float[Array, "batch time channels"], name: str) -> Array:
        """Layer normalisation (Ba et al. 2016, arXiv 1607.06450), then ReLU."""
        mean = jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
        normal = (x - mean) * lax.rsqrt(variance + jnp.float32(1e-5))
        return jax.nn.relu(normal * self.scales[name][None, None] + self.biases[name][None, None])

    def __call__(
        self,
        noise: Float[Array, "batch noise"],
        gumbel: Float[Array, "batch steps voices classes"],
        temperature: Float[Array, ""] | None = None,
    ) -> tuple[Int[Array, "batch steps voices"], Float[Array, "batch steps voices classes"]]:
        """(classes, logits) of one phrase for each row of noise; how they are drawn is said by `draw_with`."""
        c, plan = self.config, self._plan(noise)
        if c.in_turn:
            drawn = lax.stop_gradient(
                self.heads.draw(plan, gumbel, functools.partial(draw_with, temperature=temperature))
            )
            return drawn, self.heads.logits(plan, drawn)
        logits = (plan @ self.output_kernel).reshape(-1, c.num_steps, c.num_voices, c.num_classes)
        logits = logits + self.output_bias[None, None]
        return draw_with(logits, gumbel, temperature), logits

    def _plan(self, noise: Float[Array, "batch noise"]) -> Float[Array, "batch steps channels"]:
        batch = noise.shape[0]

        def spread(x: Array, kernel: Array, name: str) -> Array:
            return self._active(jnp.einsum("bti,iko->btko", x, kernel).reshape(batch, -1, kernel.shape[-1]), name)

        def around(x: Array, kernel: Array, name: str) -> Array:
            return self._active(_around(x, kernel), name)

        x = self._active(jnp.einsum("bi,iko->bko", noise, self.bars_kernel), "bars")
        x = around(spread(x, self.beats_kernel, "beats"), self.phrase_kernel, "phrase")
        return around(spread(x, self.steps_kernel, "steps"), self.around_kernel, "around")


class VoicesCritic(nn.Module):
    """Phrases [B, steps, voices, classes], one class of each voice being 1 -> opinions [B, 1]."""

    config: VoicesConfig = VoicesConfig()

    def setup(self) -> None:
        """Declare the parameters."""
        c, gain = self.config, math.sqrt(2.0)
        width = c.critic_channels
        num_pairs = c.num_voices * (c.num_voices - 1) // 2
        inputs = c.num_voices * (2 + c.num_pitches + 1 + 12) + 12 * num_pairs + 12
        inputs += 3 * num_pairs if c.voice_leading else 0
        self.kernels = {
            "input": declare_kernel(self, "input_kernel", (1, inputs, width // 2), gain=gain),
            "steps": declare_kernel(self, "steps_kernel", (3, width // 2, width), gain=gain),
            "beats": declare_kernel(self, "beats_kernel", (c.steps_per_beat, width, width), gain=gain),
            "phrase": declare_kernel(self, "phrase_kernel", (3, width, width), gain=gain),
            "bars": declare_kernel(self, "bars_kernel", (c.beats_per_bar, width, 2 * width), gain=gain),
        }
        self.hidden_kernel = declare_kernel(self, "hidden_kernel", (c.bars * 2 * width, width), gain=gain)
        self.output_kernel = declare_kernel(self, "output_kernel", (width, 1))
        sizes = {"input": width // 2, "steps": width, "beats": width, "phrase": width, "bars": 2 * width}
        zeros = nn.initializers.zeros
        self.biases = {name: self.param(f"{name}_bias", zeros, (n,)) for name, n in (sizes | {"hidden": width}).items()}
        self.output_bias = self.param("output_bias", zeros, (1,))

    def __call__(self, phrases: Float[Array, "batch steps voices classes"]) -> Float[Array, "batch opinions"]:
        """The larger, the more like real music."""
        x = heard(phrases, self.config.lowest, voice_leading=self.config.voice_leading)
        for name, kernel in self.kernels.items():
            x = _gathered(x, kernel) if name in ("beats", "bars") else _around(x, kernel)
            x = _leaky(x + self.biases[name][None, None])
        x = _leaky(x.reshape(x.shape[0], -1) @ self.hidden_kernel + self.biases["hidden"][None])
        return x @ self.output_kernel + self.output_bias[None]


class Players(NamedTuple):
    """The two players of an experiment, and what passes between them."""

    generator: VoicesGenerator
    critic: VoicesCritic

    def initial_params(self, key: PRNGKeyArray) -> tuple[Params, Params]:
        """Parameters of both; traceable."""
        c = self.generator.config
        own, theirs = jax.random.split(key)
        phrases = jnp.zeros((1, c.num_steps, c.num_voices, c.num_classes), jnp.float32)
        generator = self.generator.init(own, jnp.zeros((1, c.noise_size), jnp.float32), phrases)["params"]
        return generator, self.critic.init(theirs, phrases)["params"]

    def real(self, examples: Int[Array, "batch steps voices"]) -> Float[Array, "batch steps voices classes"]:
        """Classes as the critic reads them."""
        return jax.nn.one_hot(examples, self.generator.config.num_classes, dtype=jnp.float32)

    def fake(
        self, params: Params, model_state: PyTree, keys: Key[Array, "batch"], *, training: bool = True
    ) -> tuple[Float[Array, "batch steps voices classes"], PyTree]:
        """One phrase for each key, drawn from the generator's softmax, through which the gradient passes."""
        del training  # nothing is normalised over the batch
        classes, logits, gumbel = self.draw(params, self.noise(keys), keys)
        return straight_through(logits + gumbel, classes), model_state

    def noise(self, keys: Key[Array, "batch"]) -> Float[Array, "batch noise"]:
        """What phrases are made of: normal noise, of each key its own."""
        size = self.generator.config.noise_size
        return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0), (size,)))(keys)

    def draw(
        self,
        params: Params,
        noise: Float[Array, "batch noise"],
        keys: Key[Array, "batch"],
        temperature: Float[Array, ""] | None = None,
    ) -> tuple[
        Int[Array, "batch steps voices"],
        Float[Array, "batch steps voices classes"],
        Float[Array, "batch steps voices classes"],
    ]:
        """(classes, their logits, the Gumbel noise that chose them): one phrase for each row of noise and key."""
        c = self.generator.config
        shape = (c.num_steps, c.num_voices, c.num_classes)

        def uniform(key: Key[Array, ""]) -> Array:
            return jax.random.uniform(jax.random.fold_in(key, 1), shape, jnp.float32, 1e-6, 1)

        gumbel = -jnp.log(-jnp.log(jax.vmap(uniform)(keys)))
        made: Any = self.generator.apply({"params": params}, noise, gumbel, temperature)
        return (*made, gumbel)

    def opinion(self, params: Params, phrases: Float[Array, "batch steps voices classes"]) -> Array:
        """The critic's, [B, 1]."""
        said: Array = self.critic.apply({"params": params}, phrases)  # type: ignore[assignment]
        return said


def sounding(phrases: Float[Array, "batch steps voices classes"]) -> Float[Array, "batch steps voices pitches"]:
    """What sounds at each step: the pitch that is struck, or as much of what sounded before as is held.

    s_t = struck_t + hold_t s_(t-1), a linear recurrence, computed for all steps at once by doubling.
    """
    sounds, held = phrases[..., FIRST_PITCH:], phrases[..., HOLD_CLASS : HOLD_CLASS + 1]
    distance = 1
    while distance < phrases.shape[1]:
        sounds = sounds + held * _later(sounds, distance)
        held = held * _later(held, distance)
        distance *= 2
    return sounds


def heard(
    phrases: Float[Array, "batch steps voices classes"], lowest: int, *, voice_leading: bool = False
) -> Float[Array, "batch steps features"]:
    """What the critic hears at each step.

    Of each voice: rests, holds, what sounds, how high that is in octaves above the lowest pitch, and by how many
    semitones modulo 12 it has moved since the step before; of each pair of voices the interval between them, modulo 12;
    and how many voices sound each pitch class. With `voice_leading`, of each pair by how many octaves the lower voice
    sounds above the upper one, and whether both have moved from an octave to an octave, or from a fifth to a fifth.
    """
    batch, steps, voices, _ = phrases.shape
    sounds = sounding(phrases)
    pitch = np.arange(sounds.shape[-1])
    chroma = sounds @ jnp.asarray((pitch + lowest)[:, None] % 12 == np.arange(12), jnp.float32)
    height = sounds @ jnp.asarray(pitch[:, None] / 12, jnp.float32)
    pairs = list(itertools.combinations(range(voices), 2))
    intervals = [_interval(chroma[:, :, a], chroma[:, :, b]) for a, b in pairs]
    moved = _interval(_later(chroma, 1), chroma)
    parts = [phrases[..., :FIRST_PITCH], sounds, height, moved]
    flat = [part.reshape(batch, steps, -1) for part in parts]
    leading = []
    if voice_leading:
        sounding_at_all, stirred = jnp.sum(sounds, axis=-1), 1 - moved[..., 0]
        for (a, b), interval in zip(pairs, intervals, strict=True):
            both = (sounding_at_all[:, :, a] * sounding_at_all[:, :, b])[..., None]
            leading.append(both * jax.nn.relu(height[:, :, b] - height[:, :, a]))
            kept = (interval * _later(interval, 1))[..., -np.asarray(PERFECT) % 12]  # from the upper voice up
            leading.append(kept * (stirred[:, :, a] * stirred[:, :, b])[..., None])
    return jnp.concatenate([*flat, *intervals, jnp.sum(chroma, axis=2), *leading], axis=-1)


def _interval(one: Float[Array, "*batch 12"], other: Float[Array, "*batch 12"]) -> Float[Array, "*batch 12"]:
    """How much of two chromas lies each number of semitones apart, upwards from the first: a circular correlation."""
    rows = np.arange(12)
    turned = np.zeros((12, 12, 12), np.float32)  # [pitch class of the other, interval, pitch class of the one]
    for interval in rows:
        turned[(rows + interval) % 12, interval, rows] = 1
    moved = other @ jnp.asarray(turned.reshape(12, 144))
    return jnp.sum(moved.reshape(*other.shape[:-1], 12, 12) * one[..., None, :], axis=-1)


def _later(x: Float[Array, "batch steps ..."], distance: int) -> Array:
    """x moved by some steps; zeros before its beginning."""
    padding = ((0, 0), (distance, 0)) + ((0, 0),) * (x.ndim - 2)
    return jnp.pad(x, padding)[:, : x.shape[1]]


# Convolutions as plain products: a CPU takes their gradients' gradients, which the penalty on the slope needs, faster.


def _around(x: Float[Array, "batch time inputs"], kernel: Float[Array, "width inputs outputs"]) -> Array:
    """A convolution of odd width with zeros at both ends, [B, T, outputs]."""
    width, length = kernel.shape[0], x.shape[1]
    padded = jnp.pad(x, ((0, 0), (width // 2, width // 2), (0, 0)))
    windows = jnp.concatenate([padded[:, n : n + length] for n in range(width)], axis=-1)
    return windows @ kernel.reshape(-1, kernel.shape[-1])


def _gathered(x: Float[Array, "batch time inputs"], kernel: Float[Array, "width inputs outputs"]) -> Array:
    """A convolution without overlap, [B, T / width, outputs]."""
    rows = x.reshape(x.shape[0], x.shape[1] // kernel.shape[0], -1)
    return rows @ kernel.reshape(-1, kernel.shape[-1])


def _leaky(x: Array) -> Array:
    return jnp.maximum(x, jnp.float32(0.2) * x)


def draw_with(
    logits: Float[Array, "*batch classes"],
    gumbel: Float[Array, "*batch classes"],
    temperature: Float[Array, ""] | None = None,
) -> Int[Array, "*batch"]:
    """Classes drawn from the softmax of logits, at a temperature as of `wavejax.distributions.ScoreCodes`.

    Args:
        logits: of the classes.
        gumbel: noise, independent for each class: the largest sum of it and a logit is drawn from the softmax (Jang et
            al. 2017, arXiv 1611.01144).
        temperature: at least 0; None is 1.
    """
    if temperature is None:
        return jnp.argmax(logits + gumbel, axis=-1)
    is_warm = temperature > 0
    heat = jnp.broadcast_to(jnp.where(is_warm, temperature, jnp.float32(1)), logits.shape[:-1])
    warm = jnp.argmax(at_heat(logits, heat) + gumbel, axis=-1)
    return jnp.where(is_warm, warm, ScoreCodes(num_classes=logits.shape[-1]).mode(logits))


def straight_through(
    perturbed: Float[Array, "*batch classes"], drawn: Int[Array, "*batch"]
) -> Float[Array, "*batch classes"]:
    """One class of each draw as 1 and the others as 0, with the gradient of the softmax.

    Args:
        perturbed: logits with Gumbel noise added (Jang et al. 2017, arXiv 1611.01144).
        drawn: the class of the largest of these, which is drawn from the softmax of the logits.
    """
    soft = jax.nn.softmax(perturbed, axis=-1)
    hard = jax.nn.one_hot(drawn, perturbed.shape[-1], dtype=soft.dtype)
    return soft + lax.stop_gradient(hard - soft)


PRESETS: Mapping[str, VoicesConfig] = {"musegan-chorales": VoicesConfig(in_turn=True, voice_leading=True)}

__all__ = [
    "PRESETS",
    "Players",
    "VoicesConfig",
    "VoicesCritic",
    "VoicesGenerator",
    "draw_with",
    "heard",
    "sounding",
    "straight_through",
]
