"""The values that log-mel features can have: a check that detects linear mel values, decibels and integer samples.

No jax here, so worker processes can use it.
"""

import functools
import math

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from wavejax.audio.feature_spec import LOG_FACTORS, FeatureSpec

MARGIN = 0.25
"""Fraction of the range by which values may exceed either end: predicted features overshoot, recordings clip."""


class OutOfRange(ValueError):
    """Features that no recording can have; the message gives the range and the likely cause."""


@functools.lru_cache(maxsize=32)
def feature_range(spec: FeatureSpec) -> tuple[Float[np.ndarray, "band"], Float[np.ndarray, "band"]]:
    """Smallest and largest feature of each band, float64 [n_mels] each, for waveforms in [-1, 1].

    The smallest is the feature at the floor. The largest is an upper bound: every bin of the band has the largest
    magnitude that the window's sum allows.
    """
    peak = float(np.abs(spec.frame_window).sum()) * (1.0 + spec.pre_emphasis) * (2.0 if spec.high_pass else 1.0)
    largest = math.sqrt(peak**2 + spec.magnitude_epsilon) ** spec.power
    high = spec.compress(largest * spec.filterbank.astype(np.float64).sum(axis=0))
    return spec.compress(np.zeros(spec.n_mels)), high


def check_range(features: ArrayLike, spec: FeatureSpec) -> None:
    """Refuse features [..., n_mels] that lie more than `MARGIN` outside the range of the spec.

    Raises OutOfRange, which gives the range and says what the features look like instead.
    """
    values = np.asarray(features)
    low, high = feature_range(spec)
    if spec.clip is None:  # a band without an FFT bin has no range of its own, so all bands use the widest one
        widest = np.max((high - low) / np.asarray(spec.scale)) * np.asarray(spec.scale)
        margin, high = MARGIN * widest, low + widest
    else:
        margin = MARGIN * (spec.clip[1] - spec.clip[0])
    wrong = (values < low - margin) | (values > high + margin)
    if not wrong.any():
        return
    least, greatest = float(values.min()), float(values.max())
    raise OutOfRange(
        f"features lie between {least:.4g} and {greatest:.4g}, but those of spec {spec.name!r} between "
        f"{float(low.min()):.4g} and {float(high.max()):.4g} ({wrong.mean():.0%} of the values are well outside): "
        f"{_likely(values, spec)}. Compute them with vocoder.mel, or say which spec they are of"
    )


def _likely(values: np.ndarray, spec: FeatureSpec) -> str:
    base = {"e": "natural logarithm", "10": "logarithm to base 10", "db20": "20 times the logarithm to base 10"}
    if values.min() >= 0.0:
        return f"they look like linear mel values, of which this spec takes the {base[spec.log_base]}"
    if spec.log_base != "db20" and values.min() < -20.0 * LOG_FACTORS[spec.log_base]:
        return f"they look like decibels, but this spec takes the {base[spec.log_base]}"
    return "they look like those of integer samples, or of another spec: waveforms are to lie in [-1, 1]"


__all__ = ["MARGIN", "OutOfRange", "check_range", "feature_range"]
