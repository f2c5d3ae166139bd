"""Sample rate conversion on the host, by soxr."""

import numpy as np
from jaxtyping import Float


def resample(waveform: Float[np.ndarray, " time"], from_rate: int, to_rate: int) -> Float[np.ndarray, " time2"]:
    """float32 waveform at to_rate Hz, about T * to_rate / from_rate samples; band-limited, linear phase (soxr "HQ").

    Equal rates return the samples unchanged. Raises ValueError on rates that are not positive or more than one channel.
    """
    samples = np.asarray(waveform, np.float32)
    if samples.ndim != 1:
        raise ValueError(f"waveform has shape {samples.shape}; expected one channel, [T].")
    for name, rate in (("from_rate", from_rate), ("to_rate", to_rate)):
        if rate <= 0:
            raise ValueError(f"{name} is {rate}; expected a positive sample rate in Hz.")
    if from_rate == to_rate or samples.size == 0:
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, from_rate, to_rate, quality="HQ"), np.float32)


def change_speed(
    waveform: Float[np.ndarray, " time"], from_rate: int, to_rate: int, semitones: float
) -> Float[np.ndarray, " time2"]:
    """float32 waveform at to_rate Hz, played faster so that every frequency rises by `semitones` (soxr "HQ").

    About T * to_rate / from_rate / 2^(semitones / 12) samples. 0 semitones is `resample`.
    """
    if semitones == 0.0:
        return resample(waveform, from_rate, to_rate)
    import soxr

    samples = np.asarray(waveform, np.float32)
    played = from_rate * 2.0 ** (semitones / 12.0)
    return np.asarray(soxr.resample(samples, played, to_rate, quality="HQ"), np.float32)
