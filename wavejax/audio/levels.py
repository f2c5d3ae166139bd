"""Levels on the host: peaks, loudness by ITU-R BS.1770-4, frame levels, and trimming of silence."""

import numpy as np
from jaxtyping import Float, Num

from wavejax.audio.waveforms import as_waveform, check_waveform, scaled

_SILENCE_DB = -120.0
_BLOCK_SECONDS, _HOP_SECONDS = 0.4, 0.1
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0
_BLOCK = 1 << 21  # samples processed at a time in float64; a shorter waveform is one block
_CHANNEL_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.41, 1.41])


def peak_normalize(waveform: Num[np.ndarray, " time"], peak: float = 0.95) -> Float[np.ndarray, " time"]:
    """Scales a waveform of any level so that its largest magnitude is ``peak``, float32; silence is left unchanged."""
    samples = as_waveform(waveform, any_scale=True)
    return amplify(samples, peak_gain(samples, peak))


def peak_gain(waveform: Float[np.ndarray, " time"], peak: float = 0.95) -> float:
    """The factor by which `peak_normalize` scales a waveform; 1 for silence."""
    if not 0 < peak <= 1:
        raise ValueError(f"peak is {peak}; expected above 0 and at most 1 (0.95 leaves some headroom).")
    largest = _peak(waveform)
    return 1.0 if largest == 0.0 else peak / largest


def loudness(waveform: Num[np.ndarray, " *channels"], sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4, both gates); -inf for silence.

    ``waveform`` is [T] or [T, channels] (L, R, C, Ls, Rs). A recording shorter than one gating block of 400 ms is
    measured as one block. A full-scale 997 Hz sine in one channel is -3.01 LUFS (the standard's filters are for 48 kHz;
    redesigned for 16 kHz they read 0.04 LU more). Raises ValueError on no samples, a bad rate, more than five channels,
    and samples that are not a waveform (see `check_waveform`).
    """
    samples = check_waveform(waveform)
    channels = samples[:, None] if samples.ndim == 1 else samples
    if channels.ndim != 2 or not 1 <= channels.shape[1] <= len(_CHANNEL_WEIGHTS):
        raise ValueError(f"waveform has shape {samples.shape}; expected [T] or [T, channels] with at most 5 channels.")
    if channels.shape[0] == 0 or sample_rate <= 0:
        raise ValueError(
            f"loudness of {channels.shape[0]} samples at {sample_rate} Hz; expected at least one and a rate > 0."
        )
    power = _gating_blocks(channels, sample_rate) @ _CHANNEL_WEIGHTS[: channels.shape[1]]
    audible = power[_to_lufs(power) > _ABSOLUTE_GATE]
    if audible.size == 0:
        return float("-inf")
    gate = _to_lufs(np.mean(audible)) + _RELATIVE_GATE
    return float(_to_lufs(np.mean(audible[_to_lufs(audible) > gate])))


def loudness_normalize(
    waveform: Num[np.ndarray, " time"], sample_rate: int, target: float = -23.0, max_peak: float = 1.0
) -> Float[np.ndarray, " time"]:
    """float32 waveform scaled to ``target`` LUFS, or less if its largest magnitude would exceed ``max_peak``.

    -23 LUFS is the level of EBU R 128. Silence (below the -70 LUFS gate) is left unchanged.
    """
    samples = as_waveform(waveform)
    return amplify(samples, loudness_gain(samples, sample_rate, target, max_peak))


def loudness_gain(
    waveform: Float[np.ndarray, " time"], sample_rate: int, target: float = -23.0, max_peak: float = 1.0
) -> float:
    """The factor by which `loudness_normalize` scales a waveform; 1 for silence."""
    measured = loudness(waveform, sample_rate)
    if not np.isfinite(measured):
        return 1.0
    return float(min(10.0 ** ((target - measured) / 20.0), max_peak / _peak(waveform)))


def amplify(waveform: Float[np.ndarray, " time"], gain: float, *, in_place: bool = False) -> Float[np.ndarray, " time"]:
    """float32 samples times a gain; each product is rounded once. A gain of 1 returns the samples themselves."""
    if gain == 1.0:
        return waveform
    louder = waveform if in_place else np.empty(len(waveform), np.float32)
    for start in range(0, len(waveform), _BLOCK):
        louder[start : start + _BLOCK] = waveform[start : start + _BLOCK].astype(np.float64) * gain
    return louder


def frame_levels_db(
    waveform: Num[np.ndarray, " time"], frame_length: int = 400, hop_length: int = 100
) -> Float[np.ndarray, " frame"]:
    """RMS level of each frame in dB re full scale, float32 [ceil(T / hop_length)]: 0 for a constant 1, at least -120.

    Frame f covers samples f hop_length .. f hop_length + frame_length - 1; frames past the end average only the samples
    that exist.
    """
    if frame_length < 1 or hop_length < 1:
        raise ValueError(
            f"frame_length is {frame_length} and hop_length {hop_length}; expected at least 1 sample each."
        )
    samples = check_waveform(waveform)
    starts = np.arange(0, len(samples), hop_length)
    stops = np.minimum(starts + frame_length, len(samples))
    levels = np.empty(len(starts), np.float32)
    frames = max(1, (_BLOCK - frame_length) // hop_length)
    for first in range(0, len(starts), frames):
        some = slice(first, first + frames)
        begin = int(starts[first])
        squares = np.square(scaled(samples[begin : stops[some][-1]], np.float64))
        total = np.concatenate([[0.0], np.cumsum(squares)])
        power = np.maximum(total[stops[some] - begin] - total[starts[some] - begin], 0.0)
        power = power / np.maximum(stops[some] - starts[some], 1)
        levels[some] = 10.0 * np.log10(np.maximum(power, 10.0 ** (_SILENCE_DB / 10)))
    return levels


def trim_silence(
    waveform: Num[np.ndarray, " time"],
    threshold_db: float = -50.0,
    *,
    frame_length: int = 400,
    hop_length: int = 100,
    margin: int = 0,
) -> tuple[Float[np.ndarray, " kept"], int, int]:
    """(waveform[start:stop], start, stop) without the quiet ends: from the first to the last loud frame.

    A frame is loud if it lies above ``threshold_db`` relative to the loudest frame of `frame_levels_db` and above
    -100 dB re full scale. ``margin`` samples are kept on each side. Silence gives an empty waveform and (0, 0).
    """
    if threshold_db >= 0:
        raise ValueError(f"threshold_db is {threshold_db}; expected a negative number of dB below the loudest frame.")
    samples = as_waveform(waveform)
    levels = frame_levels_db(samples, frame_length, hop_length)
    loud = np.flatnonzero(levels > max(-100.0, float(np.max(levels, initial=_SILENCE_DB)) + threshold_db))
    if loud.size == 0:
        return samples[:0], 0, 0
    start = max(0, int(loud[0]) * hop_length - margin)
    stop = min(len(samples), int(loud[-1]) * hop_length + frame_length + margin)
    return samples[start:stop], start, stop


def _to_lufs(power: np.ndarray | np.floating) -> np.ndarray:
    return np.asarray(-0.691 + 10.0 * np.log10(np.maximum(power, 1e-30)))


def _peak(samples: np.ndarray) -> float:
    return max(float(np.max(samples, initial=0.0)), -float(np.min(samples, initial=0.0)))


def _gating_blocks(channels: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mean K-weighted power of each gating block of each channel, [blocks, channels]."""
    from scipy.signal import sosfilt

    num_samples, num_channels = channels.shape
    block = min(num_samples, round(_BLOCK_SECONDS * sample_rate))
    hop = max(1, round(_HOP_SECONDS * sample_rate))
    filters = _k_weighting(sample_rate)
    memory = np.zeros((len(filters), 2, num_channels))
    starts = np.arange(0, num_samples - block + 1, hop)
    power, begin = [], 0
    energy = np.zeros((0, num_channels))  # from sample `begin` on
    for first in range(0, num_samples, _BLOCK):
        weighted, memory = sosfilt(filters, scaled(channels[first : first + _BLOCK], np.float64), axis=0, zi=memory)
        energy = np.concatenate([energy, np.square(weighted)])
        total = np.concatenate([np.zeros((1, num_channels)), np.cumsum(energy, axis=0)])
        whole = starts[(starts >= begin) & (starts + block <= begin + len(energy))] - begin
        power.append(np.maximum((total[whole + block] - total[whole]) / block, 0.0))
        done = int(whole[-1]) + hop if len(whole) else 0
        energy, begin = energy[done:], begin + min(done, len(energy))
    return np.concatenate(power)


def _k_weighting(sample_rate: int) -> np.ndarray:
    """K-weighting: the two filters of BS.1770-4 annex 1, redesigned from their 48 kHz tables for this sample rate."""
    shelf = _high_shelf(sample_rate, frequency=1681.974450955533, gain_db=3.999843853973347, quality=0.7071752369554196)
    high_pass = _second_order_high_pass(sample_rate, frequency=38.13547087602444, quality=0.5003270373238773)
    return np.stack([shelf, high_pass])


def _high_shelf(sample_rate: int, frequency: float, gain_db: float, quality: float) -> np.ndarray:
    k = np.tan(np.pi * frequency / sample_rate)
    high = 10.0 ** (gain_db / 20.0)
    band = high**0.4996667741545416
    norm = 1.0 + k / quality + k * k
    numerator = [high + band * k / quality + k * k, 2.0 * (k * k - high), high - band * k / quality + k * k]
    return np.array(
        [*(b / norm for b in numerator), 1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / quality + k * k) / norm]
    )


def _second_order_high_pass(sample_rate: int, frequency: float, quality: float) -> np.ndarray:
    k = np.tan(np.pi * frequency / sample_rate)
    norm = 1.0 + k / quality + k * k
    return np.array([1.0, -2.0, 1.0, 1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / quality + k * k) / norm])
