"""Sample rate conversion on the host, by soxr."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, Num

from wavejax.audio.waveforms import as_waveform

_PIECE = 1 << 20  # most samples that are resampled at a time, counted at the higher rate


def resample(waveform: Num[np.ndarray, " time"], from_rate: int, to_rate: int) -> Float[np.ndarray, " time2"]:
    """float32 waveform at to_rate Hz, about T * to_rate / from_rate samples; band-limited, linear phase (soxr "HQ").

    Equal rates return the samples unchanged. Raises ValueError on rates that are not positive, more than one channel,
    and samples that are neither floating point nor int16.
    """
    samples = as_waveform(waveform, any_scale=True)
    if samples.ndim != 1:
        raise ValueError(f"waveform has shape {samples.shape}; expected one channel, [T].")
    _check_rates(from_rate, to_rate)
    if from_rate == to_rate or samples.size == 0:
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, from_rate, to_rate, quality="HQ"), np.float32)


def resample_blocks(
    blocks: Iterable[Float[np.ndarray, " piece"]], from_rate: int, to_rate: int
) -> Iterator[Float[np.ndarray, " piece2"]]:
    """`resample` of a waveform in pieces, both in and out: the samples equal those of the whole waveform."""
    _check_rates(from_rate, to_rate)
    pieces = iter(blocks)
    first, second = next(pieces, np.zeros(0, np.float32)), next(pieces, None)
    if second is None and len(first) <= _PIECE:  # a stream would cost more than it saves
        yield resample(first, from_rate, to_rate)
        return
    import soxr

    stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    size = max(1, min(_PIECE, _PIECE * from_rate // to_rate))
    waiting = np.zeros(0, np.float32)
    for block in itertools.chain([first] if second is None else [first, second], pieces):
        for start in range(0, len(block), size):
            if len(waiting):
                yield np.asarray(stream.resample_chunk(waiting), np.float32)
            waiting = np.ascontiguousarray(block[start : start + size], np.float32)
    if len(waiting):
        yield np.asarray(stream.resample_chunk(waiting, last=True), np.float32)


def change_speed(
    waveform: Num[np.ndarray, " time"], from_rate: int, to_rate: int, semitones: float
) -> Float[np.ndarray, " time2"]:
    """float32 waveform at to_rate Hz, played faster so that every frequency rises by `semitones` (soxr "HQ").

    About T * to_rate / from_rate / 2^(semitones / 12) samples. 0 semitones is `resample`.
    """
    if semitones == 0.0:
        return resample(waveform, from_rate, to_rate)
    import soxr

    samples = as_waveform(waveform, any_scale=True)
    played = from_rate * 2.0 ** (semitones / 12.0)
    return np.asarray(soxr.resample(samples, played, to_rate, quality="HQ"), np.float32)


def _check_rates(from_rate: int, to_rate: int) -> None:
    for name, rate in (("from_rate", from_rate), ("to_rate", to_rate)):
        if rate <= 0:
            raise ValueError(f"{name} is {rate}; expected a positive sample rate in Hz.")
