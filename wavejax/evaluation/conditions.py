"""Recordings under worse conditions than those they were made in: noise, a telephone's band, a room."""

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


def echoing(decay: float, direct: float = 0.0) -> Condition:
    """As in a room: the direct sound, and an echo of white noise that decays (Polack 1988).

    The recording keeps its length and its power; the echo after its end is cut off.

    Args:
        decay: seconds in which the echo falls by 60 dB.
        direct: dB by which the direct sound is louder than all of the echo.
    """

    def worse(waveform: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        times = np.arange(1, round(decay * sample_rate)) / sample_rate
        echo = rng.normal(size=len(times)) * 10 ** (-3 * times / decay)
        echo *= 10 ** (-direct / 20) / np.sqrt(np.sum(np.square(echo)))
        size = len(waveform) + len(echo)
        spectrum = np.fft.rfft(waveform, size) * np.fft.rfft(np.concatenate([[1.0], echo]), size)
        heard = np.fft.irfft(spectrum, size)[: len(waveform)]
        before, after = (float(np.mean(np.square(each, dtype=np.float64))) for each in (waveform, heard))
        return (heard * np.sqrt(before / max(after, 1e-20))).clip(-1, 1).astype(np.float32)

    return worse


CONDITIONS: Mapping[str, Condition] = {
    "noise-20": noisy(20.0),
    "noise-10": noisy(10.0),
    "telephone": telephone,
    "room": echoing(0.5),
}
"""By name: noise 20 and 10 dB below the recording, a telephone, a room whose echo is as loud as the direct sound."""


def degraded(
    waveform: Float[np.ndarray, " time"], sample_rate: int, condition: str, name: str
) -> Float[np.ndarray, " time"]:
    """A recording under one of `CONDITIONS`; noise and room are drawn from the recording's `name`, the same each time.

    Raises KeyError: there is no such condition.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return CONDITIONS[condition](np.asarray(waveform, np.float32), sample_rate, rng)


__all__ = ["CONDITIONS", "Condition", "degraded", "echoing", "noisy", "telephone"]
