"""Teacher forcing: a model's predictions of the samples of a given recording, computed by its parallel form."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wavejax.types import AnyArray, AutoregressiveModel, Params


def teacher_forced(
    model: AutoregressiveModel,
    params: Params,
    values: AnyArray,
    local_conditioning: Float[AnyArray, "batch frames channels"] | None = None,
    global_conditioning: AnyArray | None = None,
    *,
    start: int = 0,
) -> Float[Array, "batch scored outputs"]:
    """Outputs for the values of whole recordings, which begin from silence as generation does.

    A pure function that can be jitted with `model` and `start` static. Output i is the model's prediction of value
    start + i from the values before it: `log_prob(outputs, values[:, start:])` of its distribution is the recordings'
    likelihood.

    Args:
        model: an `AutoregressiveModel` whose parallel form is `model(values, frames, speaker, first=, scored=)`, as a
            `WaveNet`'s is: output i is the distribution of values[:, i + 1], `frames` begin `lookback` frames before
            the interval from which predicted samples are counted, `first` is the index of the first predicted sample,
            and the last `scored` outputs are returned.
        params: its parameters.
        values: encoded samples [B, T]; they are preceded by one receptive field of encoded silence.
        local_conditioning: frames [B, F, C] from sample 0 on; beyond both ends the edge frame is repeated.
        global_conditioning: speaker ids [B] int32 or vectors [B, C].
        start: index of the first value to predict; earlier values are only inputs. If it is one receptive field or
            more, no silence is added before them.

    Returns:
        float32 [B, T - start, output_size].

    Raises:
        ValueError: `start` is not the index of a value, or the model refuses its conditioning.
    """
    field, (batch, length) = model.receptive_field, values.shape
    if not 0 <= start < length:
        raise ValueError(f"start must be the number of one of the {length} values, got {start}")
    silence = jnp.full((batch, max(field - start, 0)), model.coding.silence, values.dtype)
    heard = jnp.concatenate([silence, jnp.asarray(values)[:, max(start - field, 0) : -1]], axis=1)
    frames = None if local_conditioning is None else jnp.asarray(local_conditioning)
    first, hop = 0, model.hop_length
    if frames is not None and hop is not None:
        interval = (start - field) // hop
        first = start - field + 1 - interval * hop
        index = np.arange(interval - model.lookback, -(-length // hop) + model.lookahead)
        frames = frames[:, np.clip(index, 0, frames.shape[1] - 1)]
    speaker = None if global_conditioning is None else jnp.asarray(global_conditioning)
    outputs: Any = model.apply({"params": params}, heard, frames, speaker, first=first, scored=length - start)
    return outputs


__all__ = ["teacher_forced"]
