"""Waveforms as jnp arrays, after the checks of `wavejax.audio.waveforms`."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Num

from wavejax.audio.waveforms import as_waveform, check_dtype


def as_signal(waveform: Num[ArrayLike, "*batch time"]) -> Float[Array, "*batch time"]:
    """float32 waveform in [-1, 1]; int16 is divided by 32768.

    Raises ValueError on dtypes other than floating point and int16. The range of samples in host memory is checked too;
    arrays on a device, or traced ones, are not checked, because that would wait for the device.
    """
    if not isinstance(waveform, jax.Array):
        return jnp.asarray(as_waveform(waveform))
    check_dtype(waveform.dtype)
    signal = waveform.astype(jnp.float32)
    return signal / jnp.float32(32768.0) if waveform.dtype == jnp.int16 else signal
