"""Recordings under worse conditions than those they were made in: noise, a telephone's band."""

import zlib
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from wavejax.audio.companding import mu_law_decode, mu_law_encode
from wavejax.audio.resampling import resample

_TELEPHONE_RATE = 8000
_TELEPHONE_BAND = (300.0, 3400.0)
"""Hz, of ITU-T G.712."""

Condition = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
"""(waveform [T], Hz, generator) -> waveform [T], float32."""


def noisy(decibels: float) -> Condition:
    """Pink noise is added, whose power is this far below that of the whole recording."""

    def worse(waveform: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        del sample_rate
        spectrum = np.fft.rfft(rng.normal(size=len(waveform)))
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
        noise = np.fft.irfft(spectrum, len(waveform))
        wanted = np.sqrt(np.mean(np.square(waveform, dtype=np.float64)) * 10 ** (-decibels / 10))
        scale = wanted / max(float(np.sqrt(np.mean(np.square(noise)))), 1e-12)
        return (waveform + scale * noise).clip(-1, 1).astype(np.float32)

    return worse


def telephone(waveform: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """As over a telephone: 300 to 3400 Hz, 8000 samples a second of 8 bits (mu-law, ITU-T G.711)."""
    del rng
    narrow = resample(waveform, sample_rate, _TELEPHONE_RATE)
    spectrum = np.fft.rfft(narrow)
    hertz = np.fft.rfftfreq(len(narrow), 1 / _TELEPHONE_RATE)
    spectrum[(hertz < _TELEPHONE_BAND[0]) | (hertz > _TELEPHONE_BAND[1])] = 0
    narrow = np.fft.irfft(spectrum, len(narrow)).clip(-1, 1)
    heard = np.asarray(mu_law_decode(mu_law_encode(narrow.astype(np.float32))))
    wide = resample(heard, _TELEPHONE_RATE, sample_rate)[: len(waveform)]
    return np.pad(wide, (0, len(waveform) - len(wide))).clip(-1, 1).astype(np.float32)


CONDITIONS: Mapping[str, Condition] = {"noise-20": noisy(20.0), "noise-10": noisy(10.0), "telephone": telephone}
"""By name: noise 20 and 10 dB below the recording, and a telephone."""


def degraded(
    waveform: Float[np.ndarray, " time"], sample_rate: int, condition: str, name: str
) -> Float[np.ndarray, " time"]:
    """A recording under one of `CONDITIONS`; the noise is drawn from the recording's `name`, the same each time.

    Raises KeyError: there is no such condition.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return CONDITIONS[condition](np.asarray(waveform, np.float32), sample_rate, rng)


__all__ = ["CONDITIONS", "Condition", "degraded", "noisy", "telephone"]
