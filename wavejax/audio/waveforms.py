"""Which arrays are accepted as waveforms: floating point around [-1, 1], or 16-bit PCM. No jax here."""

from typing import Any

import numpy as np

LARGEST_MAGNITUDE = 32.0
"""30 dB above full scale. Sound stays below it; 16-bit samples that were cast to float without scaling do not."""
_INT16_SCALE = 32768.0


def check_waveform(waveform: Any, *, any_scale: bool = False) -> np.ndarray:
    """The waveform as an array of its own dtype, floating point or int16.

    int16 has a known scale: `scaled` maps it to [-1, 1]. Raises ValueError on other dtypes, whose scale would be a
    guess, and (unless ``any_scale``) on magnitudes above `LARGEST_MAGNITUDE`.
    """
    samples = np.asarray(waveform)
    check_dtype(samples.dtype)
    if samples.dtype != np.int16 and not any_scale:
        peak = max(float(np.max(samples, initial=0.0)), -float(np.min(samples, initial=0.0)))
        if peak > LARGEST_MAGNITUDE:
            raise ValueError(
                f"waveform reaches {peak:.6g}; expected floating point in [-1, 1]. Samples of 16 bits are divided by "
                "32768, of 24 bits by 8388608; wavejax.audio.peak_normalize brings any level to full scale."
            )
    return samples


def check_dtype(dtype: Any) -> None:
    """Raises ValueError unless the scale of samples of this dtype is known: floating point or int16."""
    if dtype == np.int16 or is_floating(dtype):
        return
    raise ValueError(
        f"waveform has dtype {dtype}; expected floating point in [-1, 1], or int16. Divide PCM by its full scale "
        "(uint8: (x - 128) / 128; 24 bits: x / 8388608; int32: x / 2147483648)."
    )


def is_floating(dtype: Any) -> bool:
    """Whether a dtype is floating point: numpy's own, or bfloat16 and similar types, which numpy does not recognise.

    float32 represents every value of the smaller types.
    """
    kind = np.dtype(dtype)
    return np.issubdtype(kind, np.floating) or (kind.kind == "V" and kind.name.startswith(("bfloat", "float")))


def scaled(samples: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """Samples that `check_waveform` accepted, as floating point in [-1, 1]: int16 is divided by 32768, exactly."""
    if samples.dtype == np.int16:
        return samples.astype(dtype) / np.dtype(dtype).type(_INT16_SCALE)
    return np.asarray(samples, dtype)


def as_waveform(waveform: Any, dtype: Any = np.float32, *, any_scale: bool = False) -> np.ndarray:
    """`check_waveform`, then `scaled`."""
    return scaled(check_waveform(waveform, any_scale=any_scale), dtype)
