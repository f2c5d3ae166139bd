"""The pitch of a struck or plucked string: its partials, which are not quite harmonic.

Partial n of a stiff string lies at n f0 sqrt(1 + B n^2) (Fletcher 1964, JASA 36(1), equation 4); B is about 1e-4 in the
middle of a piano and a hundred times that at its ends, so a plain harmonic comb is wrong by several cents.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_PAD = 4
_LARGEST_B = 3e-2
_WEAKEST_DB = 50.0
_PROMINENCE_DB = 12.0
_LOWEST = 4
"""At least one of this many lowest partials must be present: a note with only higher partials has no clear pitch."""


@dataclass(frozen=True, kw_only=True)
class Partials:
    """A measured note."""

    fundamental: float
    """Hz of the first partial, from the fit to all partials: f0 sqrt(1 + B)."""
    inharmonicity: float
    """B; 0 if there are too few partials to measure it."""
    count: int
    """Number of partials that were found and fitted."""


def cents_between(frequency: float, reference: float) -> float:
    """Cents by which a frequency lies above a reference."""
    return float(1200.0 * np.log2(frequency / reference))


def measure_partials(
    waveform: Float[np.ndarray, " time"], sample_rate: int, expected: float, *, max_partials: int = 16
) -> Partials:
    """The pitch of one sustained note, from up to `max_partials` partials of any level.

    Args:
        waveform: the part to measure, [T]: longer is more precise; at least ten periods (half a second is usual).
        sample_rate: Hz.
        expected: Hz; the note is searched within 70 cents of it.
        max_partials: highest partial.

    Raises:
        ValueError: the part is too short, or nothing is found near `expected`.
    """
    if len(waveform) < 10 * sample_rate / expected:
        raise ValueError(
            f"{len(waveform)} samples hold fewer than ten periods of {expected:.1f} Hz; measure a longer part"
        )
    level, resolution = _spectrum(np.asarray(waveform, np.float64), sample_rate)
    start = _comb(level, resolution, expected, max_partials)
    numbers, frequencies, weights = _peaks(level, resolution, start, max_partials, sample_rate)
    if not numbers or numbers[0] > _LOWEST:
        raise ValueError(f"no partial of a note near {expected:.1f} Hz stands out: is there sound in this part?")
    f0, b = _fit(np.asarray(numbers), np.asarray(frequencies), np.asarray(weights))
    return Partials(fundamental=f0 * np.sqrt(1.0 + b), inharmonicity=b, count=len(numbers))


def _spectrum(signal: np.ndarray, sample_rate: int) -> tuple[np.ndarray, float]:
    """Level in dB of each bin of a zero-padded, Blackman-windowed part, and Hz per bin."""
    size = _PAD * 2 ** int(np.ceil(np.log2(len(signal))))
    magnitude = np.abs(np.fft.rfft((signal - signal.mean()) * np.blackman(len(signal)), size))
    return 20.0 * np.log10(magnitude + 1e-12), sample_rate / size


def _comb(level: np.ndarray, resolution: float, expected: float, max_partials: int) -> tuple[float, float]:
    """The (f0, B) whose partials have the largest total level: a grid search over both avoids confusing harmonics."""
    floor = np.max(level) - _WEAKEST_DB
    clipped = np.maximum(level, floor) - floor
    top = len(level) - 1
    candidates = expected * 2.0 ** (np.arange(-70.0, 70.5, 1.0) / 1200.0)
    stiffness = np.concatenate([[0.0], np.geomspace(1e-5, _LARGEST_B, 40)])
    numbers = np.arange(1, max_partials + 1)
    stretch = numbers * np.sqrt((1.0 + stiffness[:, None] * numbers**2) / (1.0 + stiffness[:, None]))
    bins = np.rint(candidates[:, None, None] * stretch[None] / resolution).astype(np.int64)
    score = np.where(bins < top, clipped[np.minimum(bins, top)], 0.0).sum(axis=-1)
    # A tiny preference for low stiffness breaks the tie when a single partial fits every B equally.
    score = score - 1e-6 * np.arange(len(stiffness))[None]
    best, b = np.unravel_index(int(np.argmax(score)), score.shape)
    return float(candidates[best] / np.sqrt(1.0 + stiffness[b])), float(stiffness[b])


def _peaks(
    level: np.ndarray, resolution: float, start: tuple[float, float], max_partials: int, sample_rate: int
) -> tuple[list[int], list[float], list[float]]:
    """Partials that stand out near their expected places: numbers, Hz (by a parabola through dB), weights."""
    f0, b = start
    numbers: list[int] = []
    frequencies: list[float] = []
    weights: list[float] = []
    strongest = float(np.max(level))
    for number in range(1, max_partials + 1):
        centre = number * f0 * np.sqrt(1.0 + b * number * number)
        reach = max(min(0.25 * f0, 0.03 * centre), 3.0 * resolution)
        low, high = int((centre - reach) / resolution), int((centre + reach) / resolution) + 1
        if centre + f0 / 2 >= sample_rate / 2 or high + 1 >= len(level):
            break
        peak = max(low, 1) + int(np.argmax(level[max(low, 1) : high + 1]))
        around = level[max(peak - round(f0 / 2 / resolution), 0) : peak + round(f0 / 2 / resolution)]
        weakest = max(strongest - _WEAKEST_DB, float(np.median(around)) + _PROMINENCE_DB)
        if level[peak] < weakest or not level[peak - 1] <= level[peak] >= level[peak + 1]:
            continue
        before, here, after = level[peak - 1 : peak + 2]
        offset = 0.5 * (before - after) / (before - 2.0 * here + after) if before + after < 2.0 * here else 0.0
        numbers.append(number)
        frequencies.append((peak + offset) * resolution)
        weights.append(10.0 ** ((here - strongest) / 40.0))
    return numbers, frequencies, weights


def _fit(numbers: np.ndarray, frequencies: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """f0 and B by weighted least squares of (f_n / n)^2 = f0^2 (1 + B n^2), without outlying partials."""
    squares, weights = (frequencies / numbers) ** 2, weights * numbers
    kept = np.ones(len(numbers), np.bool_)
    f0, b = float(frequencies[0] / numbers[0]), 0.0
    for _ in range(4):
        if kept.sum() < 3:
            f0, b = float(np.sqrt(np.average(squares[kept], weights=weights[kept]))), 0.0
            break
        design = np.stack([np.ones(kept.sum()), numbers[kept] ** 2.0], axis=1)
        root = weights[kept][:, None]
        intercept, slope = np.linalg.lstsq(design * root, squares[kept] * root[:, 0], rcond=None)[0]
        b = float(np.clip(slope / intercept, 0.0, _LARGEST_B))
        f0 = float(np.sqrt(np.average(squares[kept] / (1.0 + b * numbers[kept] ** 2.0), weights=weights[kept])))
        off = np.abs(1200.0 * np.log2(frequencies / (numbers * f0 * np.sqrt(1.0 + b * numbers**2.0))))
        now = off <= max(8.0, 3.0 * float(np.median(off[kept])))
        if (now == kept).all() or now.sum() < 2:
            break
        kept = now
    return f0, b
