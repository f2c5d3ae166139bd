"""Initial parameters of a model, and their number."""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from wavejax.types import Coding, PyTree


@runtime_checkable
class Initialisable(Protocol):
    """A model that states the shapes of the inputs of its parallel form, `model(values, frames, speaker)`."""

    @property
    def coding(self) -> Coding:
        """How the waveform becomes values."""

    @property
    def hop_length(self) -> int | None:
        """Samples per conditioning frame; None without local conditioning."""

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on."""

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""

    @property
    def local_channels(self) -> int:
        """Channels of a conditioning frame; 0 without local conditioning."""

    @property
    def num_speakers(self) -> int:
        """Speakers known by id; 0 if speakers are given as vectors or not at all."""

    @property
    def global_channels(self) -> int:
        """Channels of global conditioning; 0 without global conditioning."""

    def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
        """Variables from a key and the arguments of a call (linen)."""


def initial_params(model: Initialisable, key: PRNGKeyArray) -> Any:
    """Parameters of `model`, drawn from `key`. Works under jit, and under `jax.eval_shape` to get only the shapes."""
    silence = model.coding.silence
    values = jnp.full((1, 2), silence, jnp.float32 if isinstance(silence, float) else jnp.int32)
    frames = None
    if model.hop_length is not None:
        frames = jnp.zeros((1, model.lookback + 1 + model.lookahead + 2, model.local_channels), jnp.float32)
    speaker = None
    if model.num_speakers:
        speaker = jnp.zeros((1,), jnp.int32)
    elif model.global_channels:
        speaker = jnp.zeros((1, model.global_channels), jnp.float32)
    return model.init(key, values, frames, speaker)["params"]


def initial_recognizer_params(model: Any, key: PRNGKeyArray) -> Any:
    """Parameters of a model that maps (features [B, F, C], num_frames [B]) to classes, drawn from `key`; traceable."""
    features = jnp.zeros((1, 2 * model.config.subsampling, model.config.local_channels), jnp.float32)
    return model.init(key, features, jnp.full((1,), features.shape[1], jnp.int32))["params"]


def count_parameters(params: PyTree) -> int:
    """Number of values in a tree of parameters, or of their shapes."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


__all__ = ["Initialisable", "count_parameters", "initial_params", "initial_recognizer_params"]
