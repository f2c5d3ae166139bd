"""A chorale of several voices, drawn code by code: a recurrent layer hears the bars, four heads draw the chord.

Music lies on a grid of steps (sixteenths, say). At each step each voice has a code: a pitch is struck, the note before
is held, or there is a rest. The model draws the codes of a step one after the other, soprano first, so that each voice
sees the voices that were drawn before it, as in RNN-NADE (Boulanger-Lewandowski et al. 2012, arXiv 1206.6392, section
5) but by voice instead of by key:

    h_t       = GRU(h_{t-1}, [sounding notes of step t - 1, condition of step t])
    code_t,v  ~ softmax(head_v(h_t, all notes at t - 1, notes of voices < v at t, condition))

A head reads the notes of the step before beside those of now: whether two fifths are parallel depends on both.

Three additions come from music. To every head's logits a table adds what the interval to each sounding note is worth,
whatever its pitch. Another one (`voice_leading`) adds what it is worth to move in the same direction as a voice that
was drawn before, by the interval that the two leave and the one that they reach; parallel fifths and octaves begin with
a low worth. And a voice may be *given*: its codes come with the conditioning, a bar ahead of time, and its own
distribution is then certain of them. So the same network harmonises a melody, continues a beginning and composes
freely, and its likelihood is exact in each case.

For the generation engine a code is a sample and a step is a frame: `hop_length` is the number of voices. The "waveform"
of the engine holds codes as numbers: 1 .. 127 strikes that MIDI pitch, `HOLD` holds, `REST` rests.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from wavejax.distributions import ScoreCodes
from wavejax.nn import declare_kernel
from wavejax.nn.configured import ReadsConfig
from wavejax.nn.dropout import drop
from wavejax.nn.recurrent import GRU
from wavejax.nn.scores import FIRST_PITCH, HOLD_CLASS, ScoreCoding, initial_motion, motion_worth, notes_of
from wavejax.types import PyTree

FREE = 0
"""In a conditioning frame: this voice is not given. A given code of class k is the number k + 1."""
NUM_KEYS = 24
"""Twelve major keys, C first, then twelve minor ones."""

_IMPOSSIBLE = -1e9
"""Logit of a class that cannot be drawn."""
_DROPPED = {"input": 3000, "hidden": 3001, "head": 3002}
"""Labels of the examples' keys."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChoraleConfig:
    """The voices, the grid they lie on, and the sizes of the network."""

    voices: tuple[str, ...] = ("soprano", "alto", "tenor", "bass")
    """In the order in which a step's codes are drawn."""
    lowest: int = 31
    """MIDI number of the lowest pitch."""
    highest: int = 88
    """MIDI number of the highest pitch."""
    steps_per_beat: int = 4
    """4: sixteenths under a quarter note."""
    beats_per_bar: int = 4
    holds: bool = True
    """False: no code holds the note before; a long note is written as one that is struck at every step."""
    lookahead: int = 16
    """Steps of the given voices that are known in advance."""
    countdown: int = 32
    """The last steps of a piece know how many are left, if they are told; those before know that it is more."""
    embedding_channels: int = 48
    """Of a sounding note."""
    given_channels: int = 16
    """Of a given code in the window ahead."""
    condition_channels: int = 128
    hidden_channels: int = 384
    head_channels: int = 192
    voice_leading: bool = False
    """Learn what it is worth that two voices move in the same direction, by the intervals before and after."""
    dropout: float = 0.3
    """In training, of the recurrent layer's inputs and outputs and within the heads."""

    def __post_init__(self) -> None:
        _ = self.coding  # raises if the pitches are impossible
        sizes = ("embedding", "given", "condition", "hidden", "head")
        for name in ("steps_per_beat", "beats_per_bar", "countdown", *(f"{size}_channels" for size in sizes)):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.voices or len(set(self.voices)) < len(self.voices):
            raise ValueError(f"voices must be one or more different names, got {self.voices}")
        if self.lookahead < 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"lookahead must be at least 0 steps and dropout in [0, 1), got {self.lookahead} and {self.dropout}"
            )

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "Chorale":
        """The linen module; `dtype` is the compute type."""
        return Chorale(self, dtype, precision)

    @property
    def num_voices(self) -> int:
        """How many voices there are."""
        return len(self.voices)

    @property
    def steps_per_bar(self) -> int:
        """Steps of the grid in a bar."""
        return self.steps_per_beat * self.beats_per_bar

    @property
    def coding(self) -> ScoreCoding:
        """Codes as classes."""
        return ScoreCoding(lowest=self.lowest, highest=self.highest)

    @property
    def distribution(self) -> ScoreCodes:
        """Over the classes of one voice's code."""
        return ScoreCodes(num_classes=self.coding.num_classes)

    @property
    def hop_length(self) -> int:
        """Codes per conditioning frame: one of each voice."""
        return self.num_voices

    @property
    def local_channels(self) -> int:
        """Of a conditioning frame: one per voice, and three: place in the bar, steps left, key; see `frames_of`."""
        return self.num_voices + 3

    @property
    def receptive_field(self) -> int:
        """A step of rests comes before the first. A recurrent state remembers everything: this is no bound."""
        return self.num_voices

    lookback = 0
    num_speakers = 0
    global_channels = 0

    @property
    def note_channels(self) -> int:
        """Of the sounding notes of all voices."""
        return self.num_voices * self.embedding_channels

    @property
    def macs_per_sample(self) -> int:
        """Multiplications for one code, look-ahead included."""
        window = (1 + self.lookahead) * self.num_voices * self.given_channels * self.condition_channels
        inputs = self.note_channels + self.condition_channels
        gates = 3 * self.hidden_channels * (inputs + self.hidden_channels)
        heard = self.hidden_channels + self.note_channels + inputs
        head = self.head_channels * (heard + self.head_channels + self.coding.num_classes)
        return (window + gates) // self.num_voices + head

    @property
    def size(self) -> str:
        """In a few words."""
        return f"one GRU of {self.hidden_channels}, {self.num_voices} voices, {self.steps_per_bar} steps a bar"


def frames_of(
    config: ChoraleConfig,
    num_steps: int,
    *,
    given: Int[np.ndarray, "steps voices"] | None = None,
    first: int = 0,
    bar: int | None = None,
    total: int | None = None,
    key: int | None = None,
) -> Float[np.ndarray, "steps channels"]:
    """Conditioning frames of consecutive steps.

    Args:
        config: of the model.
        num_steps: how many steps.
        given: `FREE`, or class + 1 of a given code, for each step and voice; None gives nothing.
        first: the number of the first of these steps, counted from the piece's first bar line.
        bar: steps of a bar; default those of the model. Places beyond its longest bar are its last place.
        total: number of the step after the piece's last; None tells the model nothing of its end.
        key: 0 .. 23 (see `NUM_KEYS`); None tells it nothing.

    Returns:
        float32 [steps, voices + 3].
    """
    step = first + np.arange(num_steps)
    left = np.zeros(num_steps) if total is None else np.clip(total - step, 1, config.countdown)
    tonality = np.full(num_steps, 0 if key is None else key + 1)
    codes = np.full((num_steps, config.num_voices), FREE) if given is None else given
    place = np.minimum(step % (bar or config.steps_per_bar), config.steps_per_bar - 1)
    return np.column_stack([codes, place, left, tonality]).astype(np.float32)


class Chorale(ReadsConfig, nn.Module):
    """The network as a linen module, and as a `Steppable` model that the generation engine runs.

    Call: `model.apply({"params": params}, classes, frames, ...) -> logits`.
    """

    config: ChoraleConfig
    dtype: DTypeLike = jnp.float32
    """Type of the products' operands; parameters, states and logits stay float32."""
    precision: Any = None

    def setup(self) -> None:
        """Declare the parameters."""
        c, zeros, spread = self.config, nn.initializers.zeros, nn.initializers.normal
        voices, classes, pitches = c.num_voices, c.coding.num_classes, c.coding.num_pitches
        notes, condition, head = c.embedding_channels, c.condition_channels, c.head_channels
        self.pitch_embedding = self.param("pitch_embedding", spread(0.5), (1 + pitches, notes))
        self.chroma_embedding = self.param("chroma_embedding", spread(0.5), (12, notes))
        self.struck_embedding = self.param("struck_embedding", spread(0.5), (2, notes))
        self.given_embedding = self.param("given_embedding", spread(0.5), (1 + classes, c.given_channels))
        shape = (1 + c.lookahead, voices * c.given_channels, condition)
        self.window_kernel = declare_kernel(self, "window_kernel", shape)
        self.beat_embedding = self.param("beat_embedding", spread(0.5), (c.steps_per_bar, condition))
        self.left_embedding = self.param("left_embedding", spread(0.5), (1 + c.countdown, condition))
        self.key_embedding = self.param("key_embedding", spread(0.5), (1 + NUM_KEYS, condition))
        self.condition_bias = self.param("condition_bias", zeros, (condition,))
        self.recurrent = GRU(c.note_channels + condition, c.hidden_channels, self.dtype, self.precision)
        gain, inputs = math.sqrt(2.0), c.hidden_channels + 2 * c.note_channels + condition
        self.head_kernel = declare_kernel(self, "head_kernel", (voices, inputs, head), num_stacked=1, gain=gain)
        self.head_bias = self.param("head_bias", zeros, (voices, head))
        self.middle_kernel = declare_kernel(self, "middle_kernel", (voices, head, head), num_stacked=1, gain=gain)
        self.middle_bias = self.param("middle_bias", zeros, (voices, head))
        self.output_kernel = declare_kernel(self, "output_kernel", (voices, head, classes), num_stacked=1, gain=0.1)
        self.output_bias = self.param("output_bias", zeros, (voices, classes))
        self.interval_bias = self.param("interval_bias", zeros, (voices, voices, 2 * pitches - 1))
        if c.voice_leading:
            self.motion_bias = self.param("motion_bias", initial_motion, (voices, voices, 12, 12))

    # The parts that both forms share.

    def fold(self) -> dict[str, Array]:
        """What is added to the logits of the pitches: by a sounding note, by its pitch, [voice, other voice, pitch,
        pitch]; and by moving as another voice does, by the interval before and after, [voice, other voice, 12, 12].
        """
        pitches = np.arange(self.config.coding.num_pitches)
        interval = pitches[None, :] - pitches[:, None] + len(pitches) - 1
        motion = {"motion": self.motion_bias} if self.config.voice_leading else {}
        return {"intervals": self.interval_bias[:, :, interval], **motion}

    def _product(self, x: Float[Array, "*batch inputs"], kernel: Float[Array, "inputs outputs"]) -> Array:
        return self.recurrent.product(x, kernel)

    def _notes(self, sounding: Int[Array, "*batch voices"], struck: Int[Array, "*batch voices"]) -> Array:
        """Embeddings [..., voices, notes] of sounding notes (0: none, else 1 + pitch's number)."""
        coding = self.config.coding
        chroma = (np.arange(coding.num_pitches) + coding.lowest) % 12
        silent = jnp.zeros((1, self.config.embedding_channels), jnp.float32)
        table = self.pitch_embedding + jnp.concatenate([silent, self.chroma_embedding[chroma]])
        return table[sounding] + self.struck_embedding[struck]

    def _condition(
        self, frames: Float[Array, "batch frames channels"]
    ) -> tuple[Float[Array, "batch steps condition"], Int[Array, "batch steps voices"]]:
        """Condition and given codes of all frames but the last `lookahead`."""
        c = self.config
        numbers = frames.astype(jnp.int32)
        given = jnp.clip(numbers[..., : c.num_voices], 0, c.coding.num_classes)
        window = self.given_embedding[given]
        window = window.reshape(*window.shape[:2], -1).astype(self.dtype)
        seen = lax.conv_general_dilated(
            window,
            self.window_kernel.astype(self.dtype),
            (1,),
            "VALID",
            dimension_numbers=("NWC", "WIO", "NWC"),
            precision=self.precision,
            preferred_element_type=jnp.float32,
        )
        beat, left, key = (numbers[:, : seen.shape[1], c.num_voices + i] for i in range(3))
        told = self.beat_embedding[beat % c.steps_per_bar]
        told = told + self.left_embedding[jnp.clip(left, 0, c.countdown)]
        told = told + self.key_embedding[jnp.clip(key, 0, NUM_KEYS)] + self.condition_bias[None, None]
        return jax.nn.relu(seen + told), given[:, : seen.shape[1]]

    def _parts(self, tables: Mapping[str, Array]) -> dict[str, Array]:
        """What belongs to one voice's head, voices first."""
        names = ("head_kernel", "head_bias", "middle_kernel", "middle_bias", "output_kernel", "output_bias")
        return {**{name: getattr(self, name) for name in names}, **tables}

    def _logits(
        self,
        part: Mapping[str, Array],
        x: Float[Array, "*batch inputs"],
        sounding: Int[Array, "*batch voices"],
        before: Int[Array, "*batch voices"],
        own: Int[Array, "*batch"],
        given: Int[Array, "*batch"],
        keys: Key[Array, "batch"] | None = None,
        label: int = 0,
    ) -> Float[Array, "*batch classes"]:
        """Logits of one voice's code from its part of the parameters.

        Args:
            part: see `_parts`.
            x: hidden state, notes of the step before, notes as this voice sees them, and condition.
            sounding: notes of all voices as this voice sees them.
            before: notes of all voices at the step before.
            own: this voice's own last note.
            given: this voice's given code.
            keys: of dropout.
            label: of these keys.
        """

        def layer(x: Array, name: str) -> Array:
            bias = part[f"{name}_bias"].astype(jnp.float32)
            return self._product(x, part[f"{name}_kernel"]) + bias.reshape((1,) * (x.ndim - 1) + (-1,))

        x = jax.nn.relu(layer(x, "head"))
        x = jax.nn.relu(layer(drop(x, keys, self.config.dropout, label), "middle"))
        logits = layer(x, "output")
        intervals = part["intervals"].astype(jnp.float32)
        for voice in range(self.config.num_voices):
            note = sounding[..., voice]
            added = jnp.where((note > 0)[..., None], intervals[voice][jnp.maximum(note - 1, 0)], jnp.float32(0))
            if self.config.voice_leading:
                table = part["motion"][voice].astype(jnp.float32)
                added = added + motion_worth(table, own, before[..., voice], note, self.config.coding)
            logits = logits.at[..., FIRST_PITCH:].add(added)
        number = lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
        held = (own > 0)[..., None] if self.config.holds else jnp.zeros((1,) * logits.ndim, jnp.bool_)
        logits = jnp.where((number == HOLD_CLASS) & ~held, jnp.float32(_IMPOSSIBLE), logits)
        certain = jnp.where(number == given[..., None] - 1, jnp.float32(0), jnp.float32(_IMPOSSIBLE))
        return jnp.where((given != FREE)[..., None], certain, logits)

    # The parallel form.

    def __call__(
        self,
        values: Int[Array, "batch time"],
        frames: Float[Array, "batch frames channels"] | None = None,
        global_conditioning: Array | None = None,
        *,
        first: int = 0,
        scored: int | None = None,
        keys: Key[Array, "batch"] | None = None,
    ) -> Float[Array, "batch scored classes"]:
        """Teacher-forced logits: output i is the distribution of values[:, i + 1].

        Args:
            values: classes of codes [B, N], voice by voice within each step; before them there are rests.
            frames: conditioning [B, steps + lookahead, C] from the first predicted code's step on, see `frames_of`.
            global_conditioning: None: a chorale has no speaker.
            first: number of the first PREDICTED code (the one after values[:, 0]), counted from the first frame's step.
            scored: return only the outputs of the last `scored` positions (default: all).
            keys: one PRNG key per example turns dropout on.

        Returns:
            float32 [B, scored, classes].
        """
        if global_conditioning is not None:
            raise ValueError("a chorale has no speaker: give no global_conditioning")
        c, length = self.config, values.shape[1]
        scored = length if scored is None else scored
        frames = self.checked_frames(frames, first, length)
        start, voice = divmod(first, c.num_voices)
        steps = (first + length - 1) // c.num_voices - start + 1
        condition, given = self._condition(frames[:, start : start + steps + c.lookahead])
        sounding, struck = notes_of(_grid(values, voice, steps, c.num_voices))
        notes = self._notes(sounding, struck)
        heard = notes[:, :-1].reshape(*notes.shape[:1], steps, -1)
        x = drop(jnp.concatenate([heard, condition], axis=-1), keys, c.dropout, _DROPPED["input"])
        # A step that was entered in its middle has not been heard of: its state is that before any.
        unheard = 1 if voice else 0
        hidden = jnp.zeros((values.shape[0], unheard, c.hidden_channels), jnp.float32)
        if steps > unheard:
            hidden = jnp.concatenate([hidden, self.recurrent(x[:, unheard:])[1]], axis=1)
        hidden = drop(hidden, keys, c.dropout, _DROPPED["hidden"])
        parts, outputs = self._parts(self.fold()), []
        for v in range(c.num_voices):
            seen = jnp.concatenate([notes[:, 1:, :v], notes[:, :-1, v:]], axis=2).reshape(heard.shape)
            around = jnp.concatenate([sounding[:, 1:, :v], sounding[:, :-1, v:]], axis=2)
            x = jnp.concatenate([hidden, heard, seen, condition], axis=-1)
            part = {name: leaf[v] for name, leaf in parts.items()}
            own = sounding[:, :-1, v]
            before = sounding[:, :-1]
            outputs.append(self._logits(part, x, around, before, own, given[..., v], keys, _DROPPED["head"] + v))
        every = jnp.stack(outputs, axis=2).reshape(values.shape[0], steps * c.num_voices, -1)
        return every[:, voice + length - scored : voice + length]

    # What the engine steps through.

    def encode_frame(self, window: Array | None, global_conditioning: Array | None) -> dict[str, Array]:
        """One step's condition [B, channels] and given codes [B, voices], from its window [B, 1 + lookahead, C]."""
        if global_conditioning is not None:
            raise ValueError("a chorale has no speaker: give no global_conditioning")
        condition, given = self._condition(self.checked_frames(window, 0, 1))
        return {"condition": condition[:, 0], "given": given[:, 0]}

    def at_sample(self, entry: dict[str, Array], row: Array) -> dict[str, Array]:
        """The entry, and beside it which voice is drawn."""
        return {**entry, "voice": row}

    def init_cache(self, batch_size: int) -> dict[str, PyTree]:
        """State of the recurrent layer [B, H]; what sounds in each voice and whether it was just struck, as drawn so
        far and at the step before, [B, voices] each."""
        silent = jnp.zeros((batch_size, self.config.num_voices), jnp.int32)
        names = ("sounding", "struck", "sounding_before", "struck_before")
        return {"state": self.recurrent.initial_state(batch_size), **{name: silent for name in names}}

    def step(
        self, cache: dict[str, PyTree], value: Int[Array, "batch"], condition: dict[str, Array]
    ) -> tuple[dict[str, PyTree], Float[Array, "batch classes"]]:
        """(cache, class of the previous code, condition of this code) -> (cache, logits)."""
        voice, batch = condition["voice"], value.shape[0]
        last = jnp.arange(self.config.num_voices) == (voice - 1) % self.config.num_voices
        moved = last[None] & (value != HOLD_CLASS)[:, None]
        sounding = jnp.where(moved, jnp.maximum(value - (FIRST_PITCH - 1), 0)[:, None], cache["sounding"])
        struck = jnp.where(last[None], (value >= FIRST_PITCH).astype(jnp.int32)[:, None], cache["struck"])
        begins, told = voice == 0, condition["condition"].astype(jnp.float32)
        before = {
            "sounding_before": jnp.where(begins, sounding, cache["sounding_before"]),
            "struck_before": jnp.where(begins, struck, cache["struck_before"]),
        }
        heard, seen = (self._notes(*each).reshape(batch, -1) for each in (before.values(), (sounding, struck)))
        inputs = jnp.concatenate([heard, told], axis=-1)
        state = lax.cond(
            begins, lambda state: self.recurrent.step(state, inputs)[0], lambda state: state, cache["state"]
        )
        tables = self.variables.get("folded") or self.fold()
        part = {
            name: lax.dynamic_index_in_dim(leaf, voice, keepdims=False) for name, leaf in self._parts(tables).items()
        }
        own, given = (
            lax.dynamic_index_in_dim(each, voice, axis=1, keepdims=False) for each in (sounding, condition["given"])
        )
        x = jnp.concatenate([state, heard, seen, told], axis=-1)
        logits = self._logits(part, x, sounding, before["sounding_before"], own, given)
        return {"state": state, "sounding": sounding, "struck": struck, **before}, logits


def _grid(values: Int[Array, "batch time"], voice: int, steps: int, voices: int) -> Int[Array, "batch steps voices"]:
    """Values in rows of one step, the step before the first predicted one included; rests where nothing is known.

    `voice` is that of the code after values[:, 0].
    """
    before = voices + voice - 1 if voice else voices - 1
    after = (steps + 1) * voices - before - values.shape[1]
    padded = jnp.pad(values, ((0, 0), (before, max(after, 0))))[:, : (steps + 1) * voices]
    return padded.reshape(values.shape[0], steps + 1, voices)


PRESETS: Mapping[str, ChoraleConfig] = {
    "chorales": ChoraleConfig(voice_leading=True),
    # The published quarter notes reach from 43 to 96: they were transposed to C, some by an octave and more.
    "chorales-quarters": ChoraleConfig(
        lowest=38,
        highest=102,
        steps_per_beat=1,
        holds=False,
        lookahead=8,
        countdown=16,
        hidden_channels=256,
        dropout=0.4,
    ),
}
