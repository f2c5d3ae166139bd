"""Protocols and aliases that every floor of wavejax may use; this module imports nothing of wavejax."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

Params = Mapping[str, Any]
"""Parameters of a model: a nested mapping of arrays, in the names that the model's golden file freezes."""

PyTree = Any

AnyArray = jax.Array | np.ndarray
"""What drivers accept: arrays on a device or on the host."""

LossFn = Callable[
    [PyTree, PyTree, Mapping[str, Array], PRNGKeyArray],
    tuple[Array, Array, PyTree, Mapping[str, Array]],
]
"""`loss_fn(params, model_state, batch, keys) -> (loss_sum, weight, model_state, metrics)`; all sums, reduced later."""


@runtime_checkable
class Distribution(Protocol):
    """What a network's output says of the next value. Implementations are frozen, hashable and static under jit."""

    @property
    def noise_size(self) -> int:
        """Uniforms in (0, 1) that one draw takes."""

    @property
    def output_size(self) -> int:
        """Channels of the network's output."""

    def log_prob(self, output: Array, value: Array) -> Array:
        """Natural log of the probability mass of `value`'s bin. [..., output_size], [...] -> [...] float32."""

    def sample(self, output: Array, noise: Array, temperature: Array, probability_floor: float = 0.0) -> Array:
        """One value from [..., output_size], noise [..., noise_size], temperature [...] (0 is the mode)."""

    def mode(self, output: Array) -> Array:
        """The most probable value. [..., output_size] -> [...]."""


@runtime_checkable
class Coding(Protocol):
    """How a waveform becomes the values a network predicts, and back (`wavejax.audio.SampleCoding`)."""

    @property
    def silence(self) -> int | float:
        """The value that encodes a zero sample."""

    def encode(self, waveform: Array) -> Array:
        """Waveform [..., T] float32 -> values [..., T]."""

    def decode_values(self, values: Array) -> Array:
        """Values -> signal, elementwise; what remains is `de_emphasize`."""

    def de_emphasize(self, signal: Array, memory: Array) -> tuple[Array, Array]:
        """What one step decoded to, and the memory [B, ...] -> what is heard of it, and the next memory."""


@runtime_checkable
class AutoregressiveModel(Protocol):
    """What the drivers need of a model: a linen module with these attributes and methods.

    The methods are called through `model.apply({"params": params}, ..., method=...)`. A frame of local conditioning
    lasts `hop_length` samples. `encode_frame` sees `lookback` frames before and `lookahead` frames after its own. The
    engine runs a model that is also `Steppable`, or one that it knows how to pack (WaveNet).

    A model may make m > 1 samples with one step (neighbours, or one of each sub-band): it then has an attribute
    `samples_per_step`, which divides `hop_length` and `receptive_field`; a value is [B, m] where it is [B] otherwise,
    an output [B, m, output_size], an encoded waveform [B, T / m, m], and its coding's `de_emphasize` turns [B, m] into
    m samples [B, m]. Memory other than zeros [B] comes from the coding's `initial_memory(batch_size)`.
    """

    @property
    def distribution(self) -> Distribution:
        """What an output says of the next value."""

    @property
    def coding(self) -> Coding:
        """How the waveform becomes values."""

    @property
    def receptive_field(self) -> int:
        """Past values that one prediction sees."""

    @property
    def hop_length(self) -> int | None:
        """Samples per conditioning frame; None without local conditioning."""

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on."""

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a method with the given parameters (linen)."""

    def encode_frame(self, window: Float[Array, "batch window channels"] | None, global_conditioning: Any) -> PyTree:
        """Conditioning of one frame: a pytree that `step` receives for each of the frame's samples."""


@runtime_checkable
class Steppable(AutoregressiveModel, Protocol):
    """A model that the engine steps through samples with the model's own code.

    It may have two more methods. `at_sample(entry, row)` takes from a frame's entry what the sample `row` samples
    after the frame's interval began needs, and `step` receives that: conditioning that changes from sample to sample.
    `fold()` returns a mapping of arrays that depend on the parameters alone, tables for instance; the engine computes
    it once, and the methods find it as the collection "folded" (`self.variables.get("folded")`).
    """

    def init_cache(self, batch_size: int) -> PyTree:
        """The recurrent state before any sample."""

    def step(self, cache: PyTree, value: Array, condition: PyTree) -> tuple[PyTree, Array]:
        """(cache, previous value [B], conditioning of this sample) -> (cache, output [B, output_size])."""


@runtime_checkable
class ParallelModel(Protocol):
    """What the window driver needs of a model that makes all samples of a stretch of frames at once.

    GAN vocoders, flows and the decoders of codecs: linen modules with these attributes, whose `synthesize` is called
    through `model.apply({"params": params}, ..., method="synthesize")`. They return a waveform, not values to decode.
    """

    @property
    def hop_length(self) -> int:
        """Samples per frame of conditioning."""

    @property
    def lookback(self) -> int:
        """Past frames that a frame's samples depend on."""

    @property
    def lookahead(self) -> int:
        """Future frames that a frame's samples depend on."""

    @property
    def noise_size(self) -> int:
        """Uniforms in (0, 1) that a frame takes: 0 for a GAN, `hop_length` for one a sample, twice that for two."""

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a method with the given parameters (linen)."""

    def synthesize(
        self,
        window: Float[Array, "batch frames channels"],
        noise: Float[Array, "batch frames noise"] | None,
        temperature: Float[Array, "batch frames"],
        speaker: Array | None,
    ) -> Float[Array, "batch samples"]:
        """The waveform of a window's frames but the first `lookback` and the last `lookahead`, which are context.

        Args:
          window: frames [B, lookback + n + lookahead, C].
          noise: uniforms of each of these frames, [B, frames, noise_size]; None where `noise_size` is 0.
          temperature: of each of them, >= 0; 0 is the most probable sound.
          speaker: ids [B] int32, vectors [B, C] float32, or None.

        Returns:
          [B, n * hop_length] in [-1, 1].
        """


@runtime_checkable
class ContinuedModel(ParallelModel, Protocol):
    """A parallel model that hands a state from window to window: less work, and what has no end, like a phase."""

    def begin(
        self,
        window: Float[Array, "batch frames channels"],
        noise: Float[Array, "batch frames noise"] | None,
        temperature: Float[Array, "batch frames"],
        speaker: Array | None,
    ) -> PyTree:
        """The state before a frame's samples, given the `lookback` frames before it, it, and those that follow it:
        `lookback + lookahead` frames. `begin` and then `advance` are `synthesize`."""

    def advance(
        self,
        state: PyTree,
        window: Float[Array, "batch frames channels"],
        noise: Float[Array, "batch frames noise"] | None,
        temperature: Float[Array, "batch frames"],
        speaker: Array | None,
    ) -> tuple[PyTree, Float[Array, "batch samples"]]:
        """(state, n frames that follow those that it has seen) -> (state, [B, n * hop_length]): the samples of n
        frames, `lookahead` frames before those that are given."""
