"""What the engine passes around: pytrees, every field with its shape and unit."""

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
    """Index of the next sample, (high, low) words; a prompt's samples count, from 0."""
    keys: UInt32[Array, "batch 2"]
    """Threefry key of each stream."""
    origin: UInt32[Array, "batch 2"]
    """Added to the position to index each stream's noise: where in a longer recording its sample 0 lies (folds)."""
    value: Array
    """[B]: the last value, int32 class or float32; [B, m] of a model that makes m samples a step."""
    memory: Float[Array, "batch ..."]
    """The coding's: for de-emphasis the last sample of the waveform, times the gain."""
    cache: PyTree
    """The decoder's own: for a WaveNet the packed ring buffer of layer inputs."""
    fingerprint: UInt32[AnyArray, "2"] | None = None
    """Of the model and the parameters that made it, in what drivers return (`states.fingerprint`): they refuse to
    continue with others. None from `init_state`, and in states that were kept by earlier versions."""


def _restored(state: GenerationState, kept: dict[str, Any]) -> GenerationState:
    """As flax reads a state, but that of an earlier version, which had no fingerprint, too."""
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
    """Encoded frames, and from which sample on they hold."""

    entries: PyTree
    """Leaves [frames, ...]: what `encode_frame` returned, one per frame."""
    temperature: Float[Array, "frames batch"]
    """Per frame interval; a single row holds throughout."""
    first: UInt32[Array, "2"]
    """Sample at which interval 0 begins: entries[back] is its frame."""

    def offset(self, position: UInt32[Array, "2"]) -> Array:
        """Samples from the beginning of interval 0 to `position`, int32."""
        return (position[1] - self.first[1]).astype(jnp.int32)


@struct.dataclass
class Samples:
    """What a block produced; columns from the count on are zero."""

    values: Array
    """[B, block]: the values drawn."""
    waveform: Float[Array, "batch block"]
    """The sound they decode to, in [-1, 1] up to rounding."""


for _kind in (GenerationState, Conditioning, Samples):
    register(_kind, _kind.__name__)
