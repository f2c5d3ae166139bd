"""The engine's pytrees: state, conditioning and samples, every field with its shape and unit."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import struct
from flax.serialization import from_state_dict, register_serialization_state, to_state_dict
from jaxtyping import Array, Float, UInt32

from wavejax.generation.exporting import register
from wavejax.types import AnyArray, PyTree


@struct.dataclass
class GenerationState:
    """Everything that the next sample depends on, for all streams of a batch."""

    position: UInt32[Array, "2"]
    """Index of the next sample, (high, low) words; counted from 0, a prompt's samples included."""
    keys: UInt32[Array, "batch 2"]
    """Threefry key of each stream."""
    origin: UInt32[Array, "batch 2"]
    """Added to the position to index each stream's noise: the place of its sample 0 in a longer recording (folds)."""
    value: Array
    """[B]: the last value, int32 class or float32; [B, m] for a model that makes m samples per step."""
    memory: Float[Array, "batch ..."]
    """The coding's memory: for de-emphasis the last sample of the waveform, times the gain."""
    cache: PyTree
    """The decoder's cache: for a WaveNet the packed ring buffer of layer inputs."""
    fingerprint: UInt32[AnyArray, "2"] | None = None
    """Identifies the model and parameters that made the state (`states.fingerprint`); drivers set it, and refuse to
    continue with others. None from `init_state`, and in states saved by earlier versions."""


def _restored(state: GenerationState, kept: dict[str, Any]) -> GenerationState:
    """Restores a state as flax does, but also accepts one of an earlier version without a fingerprint."""
    kept = {"fingerprint": None, **kept}
    names = [field.name for field in dataclasses.fields(state)]
    if kept.keys() != set(names):
        raise ValueError(f"a generation state holds {', '.join(names)}; what was kept holds {', '.join(kept)}")
    return dataclasses.replace(
        state, **{name: from_state_dict(getattr(state, name), kept[name], name=name) for name in names}
    )


def _kept(state: GenerationState) -> dict[str, Any]:
    return {field.name: to_state_dict(getattr(state, field.name)) for field in dataclasses.fields(state)}


register_serialization_state(GenerationState, _kept, _restored, override=True)


@struct.dataclass
class Conditioning:
    """Encoded frames, and the sample at which they begin."""

    entries: PyTree
    """Leaves [frames, ...]: the results of `encode_frame`, one per frame."""
    temperature: Float[Array, "frames batch"]
    """Temperature of each frame interval; a single row applies to all."""
    first: UInt32[Array, "2"]
    """The sample at which interval 0 begins; entries[back] is its frame."""

    def offset(self, position: UInt32[Array, "2"]) -> Array:
        """The number of samples from the start of interval 0 to `position`, int32."""
        return (position[1] - self.first[1]).astype(jnp.int32)


@struct.dataclass
class Samples:
    """The samples of a block; columns from the count on are zero."""

    values: Array
    """[B, block]: the values drawn."""
    waveform: Float[Array, "batch block"]
    """The waveform decoded from the values, in [-1, 1] up to rounding."""


for _kind in (GenerationState, Conditioning, Samples):
    register(_kind, _kind.__name__)
