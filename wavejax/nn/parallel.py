"""Parameters of models that generate a window of frames at once."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from wavejax.types import ParallelModel


def initial_parallel_params(model: ParallelModel, key: PRNGKeyArray) -> Any:
    """Parameters of a `ParallelModel`, drawn from `key`. Works under jit and `jax.eval_shape`.

    The model's `local_channels` gives the channels of a frame, its `num_speakers` the number of speakers (0 or absent:
    none).
    """
    frames = model.lookback + 1 + model.lookahead
    window = jnp.zeros((1, frames, model.local_channels), jnp.float32)  # type: ignore[attr-defined]
    noise = jnp.full((1, frames, model.noise_size), 0.5, jnp.float32) if model.noise_size else None
    speaker = jnp.zeros((1,), jnp.int32) if getattr(model, "num_speakers", 0) else None
    temperature = jnp.ones((1, frames), jnp.float32)
    init: Any = model.init  # type: ignore[attr-defined]
    return init(key, window, noise, temperature, speaker, method="synthesize")["params"]


__all__ = ["initial_parallel_params"]
