"""Folding: one long utterance generated as a batch of overlapping pieces, and its seams.

One chain of samples cannot run in parallel, but several chains can run as a batch. Each fold begins before its seam
with a warm-up, during which the initial silence leaves its receptive field. Its noise is that of the samples' own
positions, so a fold may arrive at exactly the samples of its predecessor: then there is no seam to hear. Otherwise its
waveform may have another phase. Within a frame of the planned place, and half a pitch period to either side, we search
for the place and shift with the best agreement with the predecessor. The two are cross-faded there with constant power
for their correlation. Seams are planned in the quietest frames near an even split.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.types import AnyArray

MERGED = 2.0**-15
"""Two folds have merged if they differ by at most one 16-bit step."""
VOICED = 0.5
"""A seam counts as voiced if the autocorrelation at the pitch period is at least this."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fold:
    """One piece: the frames it is generated from, and where its audible part begins."""

    first_frame: int
    seam: int
    """The sample of the recording at which its cross-fade is planned; 0 for the first fold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seam:
    """The result of joining one fold to the next."""

    position: int
    """The sample of the recording at the centre of the cross-fade."""
    is_merged: bool
    """Whether both folds had the same waveform there."""
    is_voiced: bool
    """Whether the preceding fold is periodic there."""
    shift: int
    """The shift, in samples relative to the conditioning, that brought the following fold into phase."""
    correlation: float
    """Correlation of the two aligned folds over the cross-fade."""


def plan_folds(
    frames: Float[np.ndarray, "frames channels"], num_folds: int, hop_length: int, warm_up: int
) -> tuple[tuple[Fold, ...], int]:
    """Plans where to cut a recording, and how many frames each fold is generated from.

    A seam is placed at the frame with the lowest mean over the channels (for a log-mel: the quietest) within an eighth
    of a fold around the even split. `warm_up` is the number of samples that a fold generates before its audible part.

    Raises:
        ValueError: fewer than one fold, or folds shorter than their warm-up.
    """
    num_frames = frames.shape[0]
    if num_folds < 1:
        raise ValueError(f"folds must be at least 1 or 'auto', got {num_folds}")
    lead = -(-warm_up // hop_length) + _MARGIN
    size = num_frames // num_folds
    if num_folds > 1 and size <= lead:
        raise ValueError(
            f"{num_folds} folds of {num_frames} frames leave {size} frames a fold, no more than the {lead} of its "
            f"warm-up: use at most {max(num_frames // (lead + 1), 1)} folds"
        )
    level = np.asarray(frames, np.float64).mean(axis=-1)
    folds = [Fold(first_frame=0, seam=0)]
    for index in range(1, num_folds):
        even = round(index * num_frames / num_folds)
        reach = min(size // 8, (size - lead) // 2)
        candidates = np.arange(max(even - reach, lead), min(even + reach, num_frames - 1) + 1)
        frame = int(candidates[np.argmin(level[candidates])])
        folds.append(Fold(first_frame=frame - lead, seam=frame * hop_length + hop_length // 2))
    ends = [-(-fold.seam // hop_length) + _MARGIN for fold in folds[1:]] + [num_frames + _MARGIN]
    return tuple(folds), max(end - fold.first_frame for fold, end in zip(folds, ends, strict=True))


_MARGIN = 4
"""Frames that a fold extends past its last seam, and its successor before its own: room to align and cross-fade."""


def fold_frames(values: AnyArray, folds: tuple[Fold, ...], num_frames: int) -> np.ndarray:
    """The frames of each fold, [folds, num_frames, ...]; past the recording's end its last frame is repeated."""
    values = np.asarray(values)
    index = np.asarray([fold.first_frame for fold in folds])[:, None] + np.arange(num_frames)[None]
    return values[np.minimum(index, len(values) - 1)]


def join_folds(
    waveforms: Float[np.ndarray, "folds longest"], folds: tuple[Fold, ...], hop_length: int, num_samples: int
) -> tuple[Float[np.ndarray, "samples"], tuple[Seam, ...]]:
    """Joins the folds' waveforms into one of `num_samples`, and reports its seams.

    The pitch period is searched between a fifth of a hop and one and a half hops (55 to 400 Hz with the usual hops of
    11 to 12.5 ms); the cross-fade is half a hop long.
    """
    half = hop_length // 4
    joined = np.zeros(num_samples, np.float32)
    joined[: min(waveforms.shape[1], num_samples)] = waveforms[0, :num_samples]
    seams = []
    for fold, waveform in zip(folds[1:], waveforms[1:], strict=True):
        start = fold.first_frame * hop_length
        seam = _find_seam(joined, waveform, fold.seam, start, hop_length)
        fade = _cross_fade(2 * half, seam.correlation)
        first = seam.position - half
        following = waveform[first - start + seam.shift :][: num_samples - first]
        overlap = min(2 * half, len(following))
        preceding = joined[first : first + overlap] * fade[::-1][:overlap]
        joined[first:] = 0
        joined[first : first + len(following)] = following
        joined[first : first + overlap] = preceding + following[:overlap] * fade[:overlap]
        seams.append(seam)
    return joined, tuple(seams)


def _find_seam(joined: np.ndarray, waveform: np.ndarray, planned: int, start: int, hop_length: int) -> Seam:
    """The best seam near `planned` from `joined` to `waveform`, whose sample 0 is the recording's sample `start`."""
    half, wide = hop_length // 4, hop_length // 2
    own = planned - start
    period, periodicity = _period(joined[planned - 2 * hop_length : planned + hop_length], hop_length)
    different = joined[planned - half : planned + half] - waveform[own - half : own + half]
    if np.abs(different).max() <= MERGED:
        return Seam(position=planned, is_merged=True, is_voiced=periodicity >= VOICED, shift=0, correlation=1.0)
    places = [planned + moved for moved in range(-hop_length, hop_length + 1, max(hop_length // 4, 1))]
    places = [place for place in places if place + wide <= len(joined)] or [planned]
    found = [
        _align(joined[place - wide : place + wide], waveform, place - start - wide, period // 2) for place in places
    ]
    # Among equal candidates take the one nearest to the plan: in silence all are equal.
    best = max(range(len(places)), key=lambda i: (round(found[i][1], 6), -abs(places[i] - planned)))
    shift, correlation = found[best]
    return Seam(
        position=places[best],
        is_merged=False,
        is_voiced=periodicity >= VOICED,
        shift=shift,
        correlation=correlation,
    )


def _period(waveform: np.ndarray, hop_length: int) -> tuple[int, float]:
    """Pitch period in samples and the normalised autocorrelation there."""
    lags = np.arange(max(hop_length // 5, 1), max(3 * hop_length // 2, 2))
    size = len(waveform) - lags[-1]
    x = waveform.astype(np.float64) - waveform.mean()
    correlations = np.asarray([_correlation(x[:size], x[lag : lag + size]) for lag in lags])
    best = int(np.argmax(correlations))
    return int(lags[best]), float(correlations[best])


def _align(before: np.ndarray, waveform: np.ndarray, start: int, reach: int) -> tuple[int, float]:
    """The shift (within `reach`) where `waveform` from `start` on correlates best with `before`, and the value."""
    shifts = np.arange(-reach, reach + 1)
    found = [_correlation(before, waveform[start + shift : start + shift + len(before)]) for shift in shifts]
    best = int(np.argmax(found))
    return int(shifts[best]), float(found[best])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    power = float(np.dot(a, a)) * float(np.dot(b, b))
    return float(np.dot(a, b)) / power**0.5 if power > 1e-12 else 0.0


def _cross_fade(length: int, correlation: float) -> np.ndarray:
    """Rising gains g that keep the power of g a + reversed(g) b, for a and b of equal power and that correlation."""
    rise = (np.arange(length) + 0.5) / length
    fall = 1 - rise
    power = rise**2 + fall**2 + 2 * max(correlation, 0.0) * rise * fall
    return (rise / np.sqrt(power)).astype(np.float32)


def automatic_folds(num_frames: int, hop_length: int, warm_up: int, largest: int) -> int:
    """The number of folds: at most `largest`, and few enough that each is at least four warm-ups long."""
    return max(min(num_frames * hop_length // (5 * warm_up), largest), 1)


def refuse_with_folds(options: dict[str, Any]) -> None:
    """Raises a ValueError that names the arguments which folded generation does not support."""
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        raise ValueError(
            f"folds cuts one whole recording into pieces that run side by side, so it does not go with "
            f"{', '.join(given)}: leave folds at 1"
        )


__all__ = ["Fold", "Seam", "automatic_folds", "fold_frames", "join_folds", "plan_folds", "refuse_with_folds"]
