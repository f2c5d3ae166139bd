"""The inputs of a batch of streams other than frames: speaker, prompt, state and noise."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wavejax.audio.signals import as_signal
from wavejax.generation.errors import ConditioningError
from wavejax.generation.noise import join_index
from wavejax.generation.states import check_stream
from wavejax.types import AnyArray, AutoregressiveModel, ParallelModel


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StreamInputs:
    """The inputs of a batch of streams. Raises ValueError if both a prompt and a state are given."""

    batch_size: int = 1
    stream_ids: AnyArray | None = None
    """[B] integers that select each stream's noise; default 0 .. B-1."""
    global_conditioning: AnyArray | None = None
    """Speaker ids [B] or vectors [B, C]."""
    prompt: AnyArray | None = None
    """Waveform [B, P] to continue; its frames come first."""
    state: Any = None
    """Continue from here: a `GenerationState`, or the `WindowState` of a parallel model."""
    first_frame: int = 0
    """Index of the first frame that will be pushed, when continuing."""
    origins: Sequence[int] | None = None
    """For each stream, the index of its sample 0 in the noise; default 0."""

    def __post_init__(self) -> None:
        if self.state is not None and self.prompt is not None:
            raise ValueError("give either a prompt or a state to continue from, not both")
        if self.state is not None:
            check_stream(self.state)

    def sized(self, batch_size: int | None, local_conditioning: AnyArray | None) -> "StreamInputs":
        """A copy with the batch size that the given inputs imply, or 1 if none does.

        Raises ConditioningError if they disagree.
        """
        arrays = {
            "local_conditioning": local_conditioning,
            "stream_ids": self.stream_ids,
            "global_conditioning": self.global_conditioning,
            "prompt": self.prompt,
            "state": None if self.state is None else self.state.keys,
        }
        sizes = {} if batch_size is None else {"batch_size": batch_size}
        sizes |= {name: np.shape(each)[0] for name, each in arrays.items() if each is not None and np.ndim(each)}
        if len(set(sizes.values())) > 1:
            raise ConditioningError(f"these arguments disagree on the batch size: {sizes}")
        return dataclasses.replace(self, batch_size=next(iter(sizes.values()), 1))

    @property
    def position(self) -> int:
        """Index of the first sample to be made."""
        if self.state is not None:
            return join_index(self.state.position)
        return 0 if self.prompt is None else self.prompt.shape[1]

    def speaker(self, model: AutoregressiveModel | ParallelModel) -> Array | None:
        """Global conditioning on the device. Raises ConditioningError for ids that the model does not have."""
        speaker, batch = self.global_conditioning, self.batch_size
        if speaker is None:
            return None
        known = getattr(model, "num_speakers", 0)
        if not known:
            return jnp.asarray(speaker, jnp.float32)
        ids = np.asarray(speaker)
        if ids.shape != (batch,) or not np.issubdtype(ids.dtype, np.integer) or ids.min() < 0 or ids.max() >= known:
            raise ConditioningError(f"global_conditioning must be {batch} speaker ids from 0 to {known - 1}, got {ids}")
        return jnp.asarray(ids, jnp.int32)

    def heard(self) -> Float[Array, "batch prompt"] | None:
        """The prompt on the device. Raises ConditioningError if it is not finite, ValueError if it is no waveform."""
        if self.prompt is None:
            return None
        wrong = np.argwhere(~np.isfinite(np.asarray(self.prompt)))
        if len(wrong):
            raise ConditioningError(f"the prompt holds a value that is not finite at sample {wrong[0, -1]}")
        return as_signal(self.prompt)


__all__ = ["ConditioningError", "StreamInputs"]
