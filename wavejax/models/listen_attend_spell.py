"""Listen, Attend and Spell (Chan et al. 2016, arXiv 1508.01211): a recogniser that writes one letter after the other.

    listen:  h = a bidirectional LSTM, then three more, each of which reads pairs of frames   (a frame for each eight)
    spell:   s = two LSTM layers over (the letter before, the context before)
    attend:  context = mean of h, weighted by softmax(query(s) . key(h))
             log-probabilities = log softmax(linear(tanh(linear(s, context))))

What it writes depends on what it has written, which CTC's letters do not; so it learns spelling as well as sounds, and
needs more recordings. Class 0, CTC's blank, is the end of a text here, and stands before its first letter. The speller
is `wavejax.nn.spelling`.
"""

import dataclasses
from typing import Annotated, Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from wavejax.nn.bidirectional import both_ways
from wavejax.nn.dropout import drop
from wavejax.nn.masking import sequence_mask
from wavejax.nn.recurrent import LSTM
from wavejax.nn.spelling import END, Memory, Speller, SpellerConfig, State
from wavejax.ranges import COUNT, SHARE, Range, check_ranges


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListenAttendSpellConfig:
    """Sizes; the defaults are the paper's (section 4), for this project's features."""

    local_channels: Annotated[int, COUNT] = 80
    """Channels of a frame of features."""
    num_classes: Annotated[int, Range(2)] = 29
    """Symbols and the end of a text, which is class 0."""
    listener_channels: Annotated[int, COUNT] = 256
    """Units of each direction of the listener's layers."""
    num_pyramids: Annotated[int, Range(0, 6)] = 3
    """Layers that read pairs of frames."""
    speller_channels: Annotated[int, COUNT] = 512
    """Units of both of the speller's layers."""
    attention_channels: Annotated[int, COUNT] = 128
    embedding_channels: Annotated[int, COUNT] = 64
    """Of a letter."""
    dropout: Annotated[float, SHARE] = 0.1
    """Between the listener's layers."""
    offset: float = -5.0
    scale: Annotated[float, Range(0, 1e6, above=True)] = 0.3
    """The network reads (features - offset) * scale; those of `speech-16k` are then mostly within 2."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"model.{name}")

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "ListenAttendSpell":
        """The linen module; `dtype` is the type of the products."""
        return ListenAttendSpell(self, dtype, precision)

    @property
    def causal(self) -> bool:
        """Whether it reads a stream: it does not, as it listens in both directions."""
        return False

    @property
    def subsampling(self) -> int:
        """Frames of features for each frame that is attended to."""
        return 2**self.num_pyramids

    @property
    def speller(self) -> SpellerConfig:
        """The part that writes."""
        return SpellerConfig(
            width=2 * self.listener_channels,
            num_classes=self.num_classes,
            speller_channels=self.speller_channels,
            attention_channels=self.attention_channels,
            embedding_channels=self.embedding_channels,
        )

    @property
    def size(self) -> str:
        """In a few words."""
        return (
            f"{1 + self.num_pyramids} bidirectional LSTMs of {self.listener_channels} units, attention, 2 LSTMs of "
            f"{self.speller_channels}"
        )

    @property
    def macs_per_frame(self) -> int:
        """Multiplications of the listener for a frame of features; the speller's come with each letter."""
        units, inputs, total = self.listener_channels, self.local_channels, 0.0
        for layer in range(1 + self.num_pyramids):
            total += 2 * 4 * units * (inputs + units) / 2**layer
            inputs = 4 * units
        return int(total + 2 * units * self.attention_channels / self.subsampling)

    def typical_product(self, frames: int) -> tuple[int, int, int]:
        """[rows, inputs] x [inputs, outputs] of its typical matrix product, for this number of frames of features."""
        return max(frames // 2, 1), 4 * self.listener_channels, 4 * self.listener_channels


class ListenAttendSpell(nn.Module):
    """Features [B, F, C] and labels [B, L] -> logits of every label, given those before, and of the end."""

    config: ListenAttendSpellConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @property
    def fill(self) -> float:
        """The feature that the network reads as 0: for masks and padding."""
        return self.config.offset

    def output_frames(self, num_frames: Any) -> Any:
        """Frames that are attended to, for this number of frames of features."""
        return -(-num_frames // self.config.subsampling)

    def most_labels(self, num_frames: Any) -> Any:
        """How many labels can be written: no bound of its own, so one for each frame of features."""
        return num_frames

    def setup(self) -> None:
        """The listener and the speller."""
        config = self.config
        options = {"dtype": self.dtype, "precision": self.precision}
        self.listener = Listener(config, **options, name="listener")
        self.speller = Speller(config.speller, **options, name="speller")

    def __call__(
        self,
        features: Float[Array, "batch frames channels"],
        num_frames: Int[Array, " batch"],
        keys: Key[Array, " batch"] | None = None,
        labels: Int[Array, "batch labels"] | None = None,
    ) -> Float[Array, "batch written classes"]:
        """Logits of each label and of the end, given the labels before; `keys` switch dropout on."""
        given = jnp.zeros((features.shape[0], 1), jnp.int32) if labels is None else labels
        return self.speller.written(self.listen(features, num_frames, keys), given)

    def listen(self, features: Array, num_frames: Array, keys: Array | None = None) -> Memory:
        """What was heard of whole utterances; what lies past `num_frames` changes nothing."""
        return self.speller.memory(*self.listener(features, num_frames, keys))

    def initial_state(self, memory: Memory) -> State:
        """Before the first label."""
        return self.speller.initial_state(memory)

    def advance(
        self, state: State, labels: Int[Array, " batch"], memory: Memory
    ) -> tuple[State, Float[Array, "batch classes"], Float[Array, "batch places"]]:
        """(state, the label before, what was heard) -> (state, log-probabilities, where it attended to)."""
        return self.speller.advance(state, labels, memory)


class Listener(nn.Module):
    """Features -> (what was heard [B, ceil(F / s), 2 units], how many frames of it are valid [B])."""

    config: ListenAttendSpellConfig
    dtype: DTypeLike
    precision: Any

    @nn.compact
    def __call__(
        self, features: Array, num_frames: Array, keys: Array | None
    ) -> tuple[Float[Array, "batch places width"], Int[Array, " batch"]]:
        """Layer by layer; each halves the frames, but the first."""
        config = self.config
        missing = -features.shape[1] % config.subsampling
        x = (features - jnp.float32(config.offset)) * jnp.float32(config.scale)
        x, counts = jnp.pad(x, ((0, 0), (0, missing), (0, 0))), num_frames
        for layer in range(1 + config.num_pyramids):
            x = jnp.where(sequence_mask(counts, x.shape[1])[..., None], x, jnp.float32(0))
            if layer:
                x, counts = x.reshape(x.shape[0], x.shape[1] // 2, 2 * x.shape[2]), -(-counts // 2)
                x = drop(x, keys, config.dropout, layer)
            x = self._both_ways(f"layer_{layer}", x, counts)
        return x, counts

    def _both_ways(self, name: str, x: Array, counts: Array) -> Array:
        """An LSTM forward in time beside one backward from each utterance's own last frame."""
        units = self.config.listener_channels
        options = {"dtype": self.dtype, "precision": self.precision, "one_bias": True}
        forward = LSTM(x.shape[-1], units, **options, name=f"{name}_forward")
        backward = LSTM(x.shape[-1], units, **options, name=f"{name}_backward")
        return both_ways(forward, backward, x, counts)


PRESETS: dict[str, ListenAttendSpellConfig] = {
    "listen-attend-spell": ListenAttendSpellConfig(),
    "listen-attend-spell-small": ListenAttendSpellConfig(
        listener_channels=96, num_pyramids=2, speller_channels=192, attention_channels=64, embedding_channels=32
    ),
}
"""By name, for English letters; `dataclasses.replace` sets the classes of another text spec."""

__all__ = ["END", "PRESETS", "ListenAttendSpell", "ListenAttendSpellConfig"]
