"""Paired bootstrap: is one system better than another on the same utterances, or is the difference chance?"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Num

_BLOCK = 2**20
"""Most resampling counts held in memory at a time."""


class Interval(NamedTuple):
    """An estimate and its confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def paired_bootstrap(
    a: Num[np.ndarray, " utterance"],
    b: Num[np.ndarray, " utterance"],
    weights: Num[np.ndarray, " utterance"] | None = None,
    num_resamples: int = 10000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of the weighted mean of b - a; utterances are drawn with replacement (Efron 1979).

    If `low` and `high` have the same sign, the difference is unlikely to be due to the choice of utterances.

    Args:
        a, b: a figure of each utterance under two systems, in the same order.
        weights: weight of each utterance, e.g. its samples if the figures are bits per sample; default equal.
        num_resamples: number of resampled sets of utterances.
        confidence: fraction of the resampled means that lie inside the interval, in (0, 1).
        seed: seed of the resampling; the interval is a pure function of the arguments.

    Raises:
        ValueError: fewer than two utterances, values that are not finite, weights that are not positive.
    """
    weight = np.ones(np.shape(a)) if weights is None else np.asarray(weights, np.float64)
    if not np.shape(a) == np.shape(b) == weight.shape:
        raise ValueError(
            f"a, b and weights need one value per utterance, got {np.shape(a)}, {np.shape(b)} and {weight.shape}"
        )
    difference = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    count = len(difference)
    if count < 2:
        raise ValueError(f"a bootstrap over utterances needs at least two of them, got {count}")
    if not np.isfinite(difference).all():
        raise ValueError(f"utterance {int(np.argmin(np.isfinite(difference)))} has a figure that is not finite")
    if not (np.isfinite(weight).all() and (weight > 0).all()):
        raise ValueError(f"weights must be positive and finite, got {weight}")
    if not 0.0 < confidence < 1.0 or num_resamples < 1:
        raise ValueError(f"expected confidence in (0, 1) and num_resamples >= 1, got {confidence} and {num_resamples}")
    generator = np.random.default_rng(seed)
    means = []
    step = max(1, _BLOCK // count)
    for start in range(0, num_resamples, step):
        draws = generator.multinomial(count, np.full(count, 1.0 / count), size=min(step, num_resamples - start))
        means.append((draws @ (weight * difference)) / (draws @ weight))
    low, high = np.quantile(np.concatenate(means), [(1.0 - confidence) / 2, (1.0 + confidence) / 2])
    return Interval(float(np.average(difference, weights=weight)), float(low), float(high))
