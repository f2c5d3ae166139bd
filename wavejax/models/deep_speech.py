"""Deep Speech (Hannun et al. 2014, arXiv 1412.5567) in the form of Mozilla's DeepSpeech, up to its last version 0.9.3.

    x   = 26 cepstral coefficients of a frame, with those of the 9 frames before it and the 9 after it: 494 inputs
    h   = three dense layers of 2048 units, each min(max(., 0), 20)
    r   = LSTM of 2048 units, forward in time                       (the paper's network has a bidirectional plain RNN)
    log-probabilities = log softmax(linear(dense layer of 2048 units(r)))

Facts: `create_model` and `create_overlapping_windows` in training/deepspeech_training/train.py of mozilla/DeepSpeech at
v0.9.3. There the blank is the last class; here it is class 0, as everywhere in wavejax.
"""

import dataclasses
import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from wavejax.nn.dropout import drop
from wavejax.nn.kernels import declare, declare_kernel
from wavejax.nn.recurrent import LSTM
from wavejax.ranges import COUNT, SHARE, Range, check_ranges

_CEILING = 20.0
"""Of the clipped rectifier (section 2 of the paper)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepSpeechConfig:
    """Sizes; the defaults are Mozilla's: 47,224,861 parameters for English letters."""

    local_channels: Annotated[int, COUNT] = 26
    """Cepstral coefficients of a frame."""
    context: Annotated[int, Range(0, 4096)] = 9
    """Frames on each side of a frame that are read with it."""
    hidden_channels: Annotated[int, COUNT] = 2048
    """Units of every layer."""
    num_classes: Annotated[int, Range(2)] = 29
    """Symbols and the blank, which is class 0."""
    dropout: Annotated[float, SHARE] = 0.05
    """After each dense layer."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"model.{name}")

    def build(self, dtype: DTypeLike = jnp.float32, precision: Any = None) -> "DeepSpeech":
        """The linen module; `dtype` is the type of the products."""
        return DeepSpeech(self, dtype, precision)

    @property
    def causal(self) -> bool:
        """Whether it reads a stream frame by frame: it does not, as it sees 9 frames of the future."""
        return False

    @property
    def subsampling(self) -> int:
        """Frames of features for each frame of the result."""
        return 1

    @property
    def window(self) -> int:
        """Inputs of the first layer."""
        return (2 * self.context + 1) * self.local_channels

    @property
    def size(self) -> str:
        """In a few words."""
        return f"3 dense layers, an LSTM and a dense layer of {self.hidden_channels} units"

    @property
    def macs_per_frame(self) -> int:
        """Multiplications for a frame of features."""
        hidden = self.hidden_channels
        return self.window * hidden + 3 * hidden * hidden + 8 * hidden * hidden + hidden * self.num_classes

    def typical_product(self, frames: int) -> tuple[int, int, int]:
        """[rows, inputs] x [inputs, outputs] of its typical matrix product, for this number of frames of features."""
        return max(frames, 1), self.hidden_channels, self.hidden_channels


class DeepSpeech(nn.Module):
    """Features [B, F, C] -> natural logs of the classes' probabilities [B, F, classes], float32."""

    config: DeepSpeechConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    @property
    def fill(self) -> float:
        """The feature that stands for nothing: for masks and padding."""
        return 0.0

    def output_frames(self, num_frames: Any) -> Any:
        """Frames of the result for this number of frames of features."""
        return num_frames

    def most_labels(self, num_frames: Any) -> Any:
        """Labels that CTC can read from this number of frames of features."""
        return self.output_frames(num_frames)

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "batch frames channels"],
        num_frames: Int[Array, " batch"],
        keys: Key[Array, " batch"] | None = None,
    ) -> Float[Array, "batch frames classes"]:
        """Whole utterances; what lies past `num_frames` changes no frame before it. `keys` switch dropout on."""
        hidden = self.config.hidden_channels
        x = windows(features, num_frames, self.config.context)
        for number in (1, 2, 3):
            x = drop(self._dense(f"dense_{number}", x, hidden), keys, self.config.dropout, number)
        lstm = LSTM(hidden, hidden, self.dtype, self.precision, one_bias=True, name="lstm")
        _, x = lstm(x)
        x = drop(self._dense("dense_5", x, hidden), keys, self.config.dropout, 5)
        return jax.nn.log_softmax(self._linear("output", x, self.config.num_classes), axis=-1)

    def _dense(self, name: str, x: Array, width: int) -> Array:
        return jnp.clip(self._linear(name, x, width), 0.0, _CEILING)

    def _linear(self, name: str, x: Array, width: int) -> Array:
        kernel = declare_kernel(self, f"{name}_kernel", (x.shape[-1], width), gain=math.sqrt(2.0))
        operands = x.astype(self.dtype), kernel.astype(self.dtype)
        product = jnp.matmul(*operands, precision=self.precision, preferred_element_type=jnp.float32)
        return product + declare(self, f"{name}_bias", nn.initializers.zeros, (width,))[None, None]


def windows(
    features: Float[Array, "batch frames channels"], num_frames: Int[Array, " batch"], context: int
) -> Float[Array, "batch frames window"]:
    """Each frame between its `context` neighbours on each side, the oldest first; zeros around an utterance."""
    count = features.shape[1]
    valid = jnp.arange(count).reshape(1, -1) < num_frames[:, None]
    padded = jnp.pad(jnp.where(valid[..., None], features, jnp.float32(0)), ((0, 0), (context, context), (0, 0)))
    return jnp.concatenate([padded[:, first : first + count] for first in range(2 * context + 1)], axis=-1)


PRESETS: dict[str, DeepSpeechConfig] = {"deep-speech": DeepSpeechConfig()}
"""By name, for English letters."""
