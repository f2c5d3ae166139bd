"""A small recogniser for CTC: depthwise convolutions with squeeze-and-excitation, after ContextNet and QuartzNet.

    x = two convolutions with strides (a frame for each four, or for each two)
    for each block:  x = x + excite(contract(swish(expand(norm(depthwise(x))))))
    log-probabilities = log softmax(linear(norm(x)))

`excite` scales each channel by what the whole utterance holds of it, which brings a convolutional recogniser near a
recurrent one (Han et al. 2020, arXiv 2005.03191, section 2.2.2); depthwise convolutions keep it small (Kriman et al.
2019, arXiv 1910.10261). Normalisation is over the channels of a frame, so that neither padding nor the rest of a batch
changes a result.

A causal network sees the past alone: its convolutions end at the newest frame, and what excites a frame is a mean over
the frames before it in which old ones fade. It runs over a whole utterance, or piece by piece with a state. All but the
letters is `wavejax.nn.conv_listener`, which other recognisers share.
"""

import dataclasses
from typing import Annotated, Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from wavejax.nn.conv_listener import (
    ConvListenerConfig,
    State,
    ctc_log_probs,
    initial_listener_state,
    listened,
    read_features,
)
from wavejax.ranges import COUNT, SHARE, Range, check_ranges


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvCTCConfig:
    """Sizes; `dataclasses.replace` makes another."""

    local_channels: Annotated[int, COUNT] = 80
    """Channels of a frame of features."""
    num_classes: Annotated[int, Range(2)] = 29
    """Symbols and the blank, which is class 0."""
    channels: Annotated[int, COUNT] = 176
    hidden_channels: Annotated[int, COUNT] = 352
    """Inside a block."""
    squeeze_channels: Annotated[int, COUNT] = 44
    num_blocks: Annotated[int, COUNT] = 10
    kernel_size: Annotated[int, Range(1, 1023)] = 15
    """Taps of a block's depthwise convolution, odd."""
    subsampling: Literal[2, 4] = 4
    """Frames of features for each frame of the result. CTC needs a frame for each letter: 2 for fast speech and for
    exact times, at nearly twice the work."""
    causal: bool = False
    fading: Annotated[float, SHARE] = 0.98
    """Of a causal network: what a frame counts in the mean of the one after it."""
    dropout: Annotated[float, SHARE] = 0.1
    blank_bias: float = -2.0
    """At the start: below 0, because a network that begins with blanks everywhere learns late that there is more."""
    offset: float = -5.0
    scale: Annotated[float, Range(0, 1e6, above=True)] = 0.3
    """The network reads (features - offset) * scale; those of `speech-16k` are then mostly within 2."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"model.{name}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"model.kernel_size must be odd, got {self.kernel_size}: use {self.kernel_size + 1}")

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "ConvCTC":
        """The linen module; `dtype` is the type of the products."""
        return ConvCTC(self, dtype, precision)

    @property
    def listener(self) -> ConvListenerConfig:
        """Its body, which gives frames to the last layer."""
        names = [field.name for field in dataclasses.fields(ConvListenerConfig)]
        return ConvListenerConfig(**{name: getattr(self, name) for name in names})

    @property
    def size(self) -> str:
        """In a few words."""
        return f"{self.num_blocks} blocks of {self.channels} channels{', causal' if self.causal else ''}"

    @property
    def macs_per_frame(self) -> int:
        """Multiplications for a frame of features."""
        return (self.listener.macs_per_result + self.channels * self.num_classes) // self.subsampling

    def typical_product(self, frames: int) -> tuple[int, int, int]:
        """[rows, inputs] x [inputs, outputs] of its typical matrix product, for this number of frames of features."""
        return max(frames // self.subsampling, 1), self.channels, self.hidden_channels


class ConvCTC(nn.Module):
    """Features [B, F, C] -> natural logs of the classes' probabilities [B, ceil(F / s), classes], float32.

    s is the configuration's `subsampling`.
    """

    config: ConvCTCConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @property
    def fill(self) -> float:
        """The feature that the network reads as 0: for masks and padding."""
        return self.config.offset

    def output_frames(self, num_frames: Any) -> Any:
        """Frames of the result for this number of frames of features."""
        return -(-num_frames // self.config.subsampling)

    def most_labels(self, num_frames: Any) -> Any:
        """Labels that CTC can read from this number of frames of features."""
        return self.output_frames(num_frames)

    def __call__(
        self,
        features: Float[Array, "batch frames channels"],
        num_frames: Int[Array, " batch"],
        keys: Key[Array, " batch"] | None = None,
    ) -> Float[Array, "batch out classes"]:
        """Whole utterances at once; what lies past `num_frames` changes no frame before it. `keys` switch dropout on.

        Frame j of the result is about frames s j to s j + s - 1 of the features.
        """
        return self._network(features, num_frames, keys, None)[1]

    def initial_state(self, batch_size: int) -> State:
        """The state before the first frame: zeros, as `__call__` has them before an utterance."""
        return initial_listener_state(self.config.listener, batch_size)

    def advance(
        self,
        state: State,
        features: Float[Array, "batch frames channels"],
        num_frames: Int[Array, " batch"] | None = None,
    ) -> tuple[State, Float[Array, "batch out classes"]]:
        """(state, the next frames, a multiple of `subsampling`) -> (state, log-probabilities), of a causal network.

        Pieces of any size give what `__call__` gives of the whole. `num_frames` says how many of a last piece's frames
        count. Raises ValueError where it is not causal, or the frames are no such multiple.
        """
        if not self.config.causal:
            raise ValueError("this network sees the future, so it cannot read piece by piece: build a causal one")
        step = self.config.subsampling
        if features.shape[1] % step:
            raise ValueError(f"a piece must be a multiple of {step} frames, got {features.shape[1]}: pad the last")
        count = jnp.full((features.shape[0],), features.shape[1], jnp.int32) if num_frames is None else num_frames
        return self._network(features, count, None, state)

    @nn.compact
    def _network(
        self, features: Array, num_frames: Array, keys: Array | None, state: State | None
    ) -> tuple[State, Float[Array, "batch out classes"]]:
        config, options = self.config, {"dtype": self.dtype, "precision": self.precision}
        x = read_features(config.listener, features, num_frames)
        kept, heard, _ = listened(self, config.listener, x, num_frames, keys, state, **options)
        return kept, ctc_log_probs(self, heard, config.num_classes, config.blank_bias, **options)


PRESETS: dict[str, ConvCTCConfig] = {
    "listener-16k": ConvCTCConfig(),
    "listener-16k-causal": ConvCTCConfig(causal=True),
}
"""By name, for English letters; `dataclasses.replace` sets the classes of another text spec."""
