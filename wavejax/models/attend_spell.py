"""A speller on a convolutional listener: what a CTC recogniser hears is written down letter by letter.

    heard = the body of `wavejax.models.conv_ctc`            (a frame for each four)
    CTC's letters = log softmax(linear(heard))               (in training: they keep the listener in time)
    letters = the speller of `wavejax.nn.spelling` over heard, which attends by content and by place

A listener that has learnt CTC knows where the sounds are, which is the hard part of learning to attend; the speller
then learns which letters to write for them, and sees what it has written. Training both losses at once is the hybrid
of Watanabe et al. (2017, "Hybrid CTC/Attention Architecture for End-to-End Speech Recognition"). The parameters of the
listener, CTC's last layer among them, have the names that they have in a CTC recogniser.
"""

import dataclasses
from typing import Annotated, Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from wavejax.nn.conv_listener import ConvListenerConfig, ctc_log_probs, listened, read_features
from wavejax.nn.dropout import drop
from wavejax.nn.spelling import END, Memory, Speller, SpellerConfig, State
from wavejax.ranges import COUNT, SHARE, Range, check_ranges

_SPELLER_DROPOUT = 1000
"""A label of dropout that no block of the listener has."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttendSpellConfig:
    """Sizes; `dataclasses.replace` makes another."""

    listener: ConvListenerConfig = ConvListenerConfig()
    """The body; that of `listener-16k` unless it says otherwise."""
    num_classes: Annotated[int, Range(2)] = 29
    """Symbols and class 0, which ends a text for the speller and is the blank of CTC."""
    speller_channels: Annotated[int, COUNT] = 256
    """Units of both of the speller's layers."""
    attention_channels: Annotated[int, COUNT] = 96
    embedding_channels: Annotated[int, COUNT] = 64
    """Of a letter."""
    location_taps: Annotated[int, Range(0, 1023)] = 31
    """Places of earlier attention that a place sees, odd; 0: attention by content alone."""
    dropout: Annotated[float, SHARE] = 0.1
    """Of what the speller attends to."""
    blank_bias: float = -2.0
    """Of CTC's last layer, at the start."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"model.{name}")
        if self.location_taps and self.location_taps % 2 == 0:
            raise ValueError(
                f"model.location_taps must be odd, or 0, got {self.location_taps}: use {self.location_taps + 1}"
            )

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "AttendSpell":
        """The linen module; `dtype` is the type of the products."""
        return AttendSpell(self, dtype, precision)

    @property
    def speller(self) -> SpellerConfig:
        """The part that writes."""
        return SpellerConfig(
            width=self.listener.channels,
            num_classes=self.num_classes,
            speller_channels=self.speller_channels,
            attention_channels=self.attention_channels,
            embedding_channels=self.embedding_channels,
            location_taps=self.location_taps,
        )

    @property
    def local_channels(self) -> int:
        """Channels of a frame of features."""
        return self.listener.local_channels

    @property
    def causal(self) -> bool:
        """Whether it reads a stream: it does not, as it attends to whole utterances."""
        return False

    @property
    def subsampling(self) -> int:
        """Frames of features for each frame that is attended to."""
        return self.listener.subsampling

    @property
    def size(self) -> str:
        """In a few words."""
        return (
            f"{self.listener.num_blocks} blocks of {self.listener.channels} channels, attention, 2 LSTMs of "
            f"{self.speller_channels}"
        )

    @property
    def macs_per_frame(self) -> int:
        """Multiplications of the listener for a frame of features; the speller's come with each letter."""
        heads = self.listener.channels * (self.num_classes + self.attention_channels)
        return (self.listener.macs_per_result + heads) // self.subsampling

    def typical_product(self, frames: int) -> tuple[int, int, int]:
        """[rows, inputs] x [inputs, outputs] of its typical matrix product, for this number of frames of features."""
        return max(frames // self.subsampling, 1), self.listener.channels, self.listener.hidden_channels


class AttendSpell(nn.Module):
    """Features [B, F, C] and labels [B, L] -> logits of every label, given those before, and of the end."""

    config: AttendSpellConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @property
    def fill(self) -> float:
        """The feature that the network reads as 0: for masks and padding."""
        return self.config.listener.offset

    def output_frames(self, num_frames: Any) -> Any:
        """Frames that are attended to, and that CTC reads, for this number of frames of features."""
        return -(-num_frames // self.config.subsampling)

    def most_labels(self, num_frames: Any) -> Any:
        """How many labels can be written: no bound of its own, so one for each frame of features."""
        return num_frames

    def setup(self) -> None:
        """The listener and the speller."""
        options = {"dtype": self.dtype, "precision": self.precision}
        self.listener = Listener(self.config, **options, name="listener")
        self.speller = Speller(self.config.speller, **options, name="speller")

    def __call__(
        self,
        features: Float[Array, "batch frames channels"],
        num_frames: Int[Array, " batch"],
        keys: Key[Array, " batch"] | None = None,
        labels: Int[Array, "batch labels"] | None = None,
    ) -> Float[Array, "batch written classes"]:
        """Logits of each label and of the end, given the labels before; `keys` switch dropout on."""
        return self.both(features, num_frames, keys, labels)[0]

    def both(
        self,
        features: Float[Array, "batch frames channels"],
        num_frames: Int[Array, " batch"],
        keys: Key[Array, " batch"] | None = None,
        labels: Int[Array, "batch labels"] | None = None,
    ) -> tuple[Float[Array, "batch written classes"], Float[Array, "batch out classes"]]:
        """The same, and the log-probabilities that CTC reads, a frame for each `subsampling`."""
        given = jnp.zeros((features.shape[0], 1), jnp.int32) if labels is None else labels
        heard, counts, log_probs = self.listener(features, num_frames, keys)
        memory = self.speller.memory(drop(heard, keys, self.config.dropout, _SPELLER_DROPOUT), counts)
        return self.speller.written(memory, given), log_probs

    def hear(
        self, features: Float[Array, "batch frames channels"], num_frames: Int[Array, " batch"]
    ) -> Float[Array, "batch out classes"]:
        """The listener's log-probabilities alone, as a CTC recogniser gives them."""
        return self.listener(features, num_frames, None)[2]

    def listen(self, features: Array, num_frames: Array, keys: Array | None = None) -> Memory:
        """What was heard of whole utterances; what lies past `num_frames` changes nothing."""
        heard, counts, _ = self.listener(features, num_frames, keys)
        return self.speller.memory(heard, counts)

    def initial_state(self, memory: Memory) -> State:
        """Before the first label."""
        return self.speller.initial_state(memory)

    def advance(
        self, state: State, labels: Int[Array, " batch"], memory: Memory
    ) -> tuple[State, Float[Array, "batch classes"], Float[Array, "batch places"]]:
        """(state, the label before, what was heard) -> (state, log-probabilities, where it attended to)."""
        return self.speller.advance(state, labels, memory)


class Listener(nn.Module):
    """Features -> (what was heard [B, ceil(F / s), C], frames of it that are valid [B], CTC's log-probabilities)."""

    config: AttendSpellConfig
    dtype: DTypeLike
    precision: Any

    @nn.compact
    def __call__(
        self, features: Array, num_frames: Array, keys: Array | None
    ) -> tuple[Float[Array, "batch out width"], Int[Array, " batch"], Float[Array, "batch out classes"]]:
        """The body and the last layer of a CTC recogniser."""
        config, options = self.config, {"dtype": self.dtype, "precision": self.precision}
        x = read_features(config.listener, features, num_frames)
        _, heard, counts = listened(self, config.listener, x, num_frames, keys, **options)
        return heard, counts, ctc_log_probs(self, heard, config.num_classes, config.blank_bias, **options)


PRESETS: dict[str, AttendSpellConfig] = {"attend-spell-16k": AttendSpellConfig()}
"""By name, for English letters; `dataclasses.replace` sets the classes of another text spec."""

__all__ = ["END", "PRESETS", "AttendSpell", "AttendSpellConfig"]
