"""Waveforms on their way to a device: the checks of `wavejax.audio.waveforms`, and jnp arrays out of them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Num

from wavejax.audio.waveforms import as_waveform, check_dtype


def as_signal(waveform: Num[ArrayLike, "*batch time"]) -> Float[Array, "*batch time"]:
    """float32 waveform in [-1, 1]; int16 is divided by 32768.

    Raises ValueError on other dtypes than floating point and int16. Samples in the host's memory are looked at too;
    those of an array on a device, or traced, are not, because that would wait for the device.
    """
    if not isinstance(waveform, jax.Array):
        return jnp.asarray(as_waveform(waveform))
    check_dtype(waveform.dtype)
    signal = waveform.astype(jnp.float32)
    return signal / jnp.float32(32768.0) if waveform.dtype == jnp.int16 else signal
