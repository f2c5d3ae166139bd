"""The sampling options of all drivers, collected in one object."""

import operator
from dataclasses import dataclass
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import UInt32

from wavejax.generation.backends import BackendName, check_backend_name
from wavejax.generation.errors import ConditioningError
from wavejax.generation.noise import split_index
from wavejax.types import AnyArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampling:
    """How values are drawn. Two instances never compare equal, because their temperatures may be arrays.

    Raises:
        ValueError: a floor outside [0, 0.5), or an unknown backend.
        TypeError: a seed that is not an integer, or an invalid dtype.
    """

    seed: SupportsIndex = 0
    """Any integer, also of NumPy or JAX. With the stream id and the sample index it selects the noise."""
    temperature: float | AnyArray = 1.0
    """A number, [B], or [B, F] frame by frame; 0 is the mode. Checked once the batch and the frames are known."""
    probability_floor: float = 0.0
    """Values less probable than this are never drawn."""
    backend: BackendName = "auto"
    """See `generation.backends.open_backend`."""
    dtype: DTypeLike | None = None
    """Type of weights; default see `open_backend`."""
    window_frames: int | None = None
    """For a parallel model: the frames of one window; default `windows.WINDOW_FRAMES`."""

    def __post_init__(self) -> None:
        _ = self.seed_words  # raises if it is invalid
        if (np.abs(np.asarray(self.temperature)) > np.finfo(np.float32).max).any():
            raise ValueError("temperature must be finite: 1 draws as the model says, 0 takes the most probable value")
        floor = float(self.probability_floor)
        if not 0.0 <= floor < 0.5:  # also refuses NaN
            raise ValueError(f"probability_floor must be at least 0 and below 0.5, got {floor}: 0 cuts nothing")
        object.__setattr__(self, "probability_floor", floor)
        check_backend_name(self.backend)
        if self.window_frames is not None and self.window_frames < 1:
            raise ValueError(f"window_frames={self.window_frames} must be 1 frame or more")
        if self.dtype is not None:
            try:
                jnp.dtype(self.dtype)
            except TypeError as error:
                raise TypeError(
                    f"dtype must be a type of weights such as 'float32', 'bfloat16' or 'int8', got {self.dtype!r}"
                ) from error

    @property
    def seed_words(self) -> UInt32[np.ndarray, "2"]:
        """The seed in the form that `init_state` takes in a compiled program, see `split_index`."""
        try:
            return split_index(operator.index(self.seed))
        except TypeError as error:
            raise TypeError(f"seed must be an integer, got {self.seed!r}") from error

    @property
    def is_per_frame(self) -> bool:
        """Whether the temperature is given frame by frame."""
        return np.ndim(self.temperature) == 2


def check_temperature(temperature: float | AnyArray, batch: int) -> np.ndarray:
    """The temperature of each stream, [B] float32. Raises ValueError for another shape or a negative temperature."""
    value = np.asarray(temperature, np.float32)
    if value.shape not in ((), (batch,)) or not (value >= 0).all():
        raise ValueError(f"temperature must be a non-negative number or [{batch}] of them, got {temperature}")
    return np.broadcast_to(value, (batch,))


def check_frame_temperature(temperature: float | AnyArray, shape: tuple[int, ...]) -> np.ndarray:
    """Temperatures of frames, float32 of this shape. Raises ConditioningError for another shape or a negative one."""
    value = np.asarray(temperature, np.float32)
    if value.shape != shape or not ((value >= 0) & np.isfinite(value)).all():
        raise ConditioningError(
            f"temperature per frame must be finite and non-negative, of shape {shape}, got an array of {value.shape}"
        )
    return value


__all__ = ["Sampling", "check_frame_temperature", "check_temperature"]
