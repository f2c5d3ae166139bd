"""Whose voice is it? Speaker embeddings of clips against the centroid of each speaker's recordings.

A clip is taken for the speaker whose centroid its embedding lies nearest to, by cosine. That alone is no proof of
speech: noise lies nearest to somebody, and noise of a speaker's own spectrum often to that speaker. So every figure
stands beside the same one of real recordings and of `shaped_noise`, and `closer_than` says which clips are nearer to
their own speaker than any noise was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from wavejax.audio.levels import frame_levels_db
from wavejax.evaluation.bootstrap import Interval, paired_bootstrap

Embed = Callable[[Float[np.ndarray, "_"]], Float[np.ndarray, "_"]]
"""A waveform at `JUDGED_RATE` -> a vector of its speaker, of any length above 0."""

_WINDOW = 1024


def centroids(voices: Sequence[Float[np.ndarray, "_ size"]]) -> Float[np.ndarray, "speaker size"]:
    """The mean direction of each speaker's embeddings, float64 of length 1.

    Raises ValueError: no speaker, one without recordings, or an embedding that is zero or not finite.
    """
    if not voices or any(not len(each) for each in voices):
        raise ValueError(f"every speaker needs recordings for a centroid, got {[len(each) for each in voices]} of them")
    return np.stack([_directions(_directions(each).mean(axis=0)) for each in voices])


def cosines(
    embeddings: Float[np.ndarray, "clip size"], centres: Float[np.ndarray, "speaker size"]
) -> Float[np.ndarray, "clip speaker"]:
    """Cosine of each clip's embedding to each centroid, float64; 0 to all where it is zero or NaN, as of silence."""
    values = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    known = np.isfinite(lengths) & (lengths > 0)
    return np.where(known, values, 0.0) / np.where(known, lengths, 1.0) @ _directions(centres).T


def _directions(vectors: np.ndarray) -> np.ndarray:
    values = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("an embedding is zero or not finite: it points nowhere; is a recording silent?")
    return values / lengths


@dataclass(frozen=True, kw_only=True)
class Identification:
    """Whose voice each of a set of clips has."""

    intended: Int[np.ndarray, " clip"]
    """The speaker that each clip is meant to be."""
    cosines: Float[np.ndarray, "clip speaker"]
    """To every speaker's centroid."""
    groups: Int[np.ndarray, " clip"]
    """Clips of one group (the same noise under another id) are resampled together."""

    @property
    def nearest(self) -> Int[np.ndarray, " clip"]:
        """The speaker that each clip is taken for; -1 where no centroid is nearer than all others."""
        return _nearest(self.cosines)

    @property
    def is_right(self) -> Bool[np.ndarray, " clip"]:
        """Whether the nearest centroid is the intended one."""
        return self.nearest == self.intended

    @property
    def own(self) -> Float[np.ndarray, " clip"]:
        """Cosine to the intended speaker's centroid."""
        return self.cosines[np.arange(len(self.intended)), self.intended]

    @property
    def margins(self) -> Float[np.ndarray, " clip"]:
        """`own` less the largest cosine to another's: above 0 exactly where the clip is right."""
        others = self.cosines.copy()
        others[np.arange(len(self.intended)), self.intended] = -np.inf
        return self.own - others.max(axis=1)

    @property
    def confusion(self) -> Int[np.ndarray, "speaker taken"]:
        """Clips meant as row and taken for column; the last column counts those taken for nobody."""
        size = self.cosines.shape[1]
        table = np.zeros((size, size + 1), np.int64)
        np.add.at(table, (self.intended, self.nearest), 1)
        return table

    def mean(self, values: np.ndarray, speaker: int | None = None) -> Interval:
        """Mean of a figure per clip, of one speaker or of all, with its 95 % bootstrap interval over groups.

        All clips alike says nothing of the spread of others: 20 right of 20 gives [1, 1], yet one wrong in seven is
        still possible (95 %, binomial).
        """
        chosen = np.ones(len(values), bool) if speaker is None else self.intended == speaker
        return grouped_mean(np.asarray(values, np.float64)[chosen], self.groups[chosen])

    def closer_than(self, other: "Identification") -> Bool[np.ndarray, " clip"]:
        """Clips nearer to their own centroid than every clip that `other` has of the same speaker."""
        limits = np.asarray([other.own[other.intended == s].max(initial=-np.inf) for s in range(self.cosines.shape[1])])
        return self.own > limits[self.intended]


def _nearest(values: np.ndarray) -> np.ndarray:
    """Index of the largest of the last axis; -1 where there are several."""
    best = values.max(axis=-1, keepdims=True)
    return np.where((values == best).sum(axis=-1) == 1, values.argmax(axis=-1), -1)


def grouped_mean(values: Float[np.ndarray, " clip"], groups: Int[np.ndarray, " clip"]) -> Interval:
    """Mean over clips with a 95 % bootstrap interval, whole groups drawn with replacement; one group: no width."""
    names, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    means = np.bincount(place, values) / sizes
    if len(names) < 2:
        return Interval(*(float(means[0]),) * 3)
    return paired_bootstrap(np.zeros(len(names)), means, sizes)


@dataclass(frozen=True, kw_only=True)
class Swap:
    """The same noise under two ids: does the voice follow the id?"""

    moved: Float[np.ndarray, "speaker speaker"]
    """Share of noises whose clip is taken for row under row's id and for column under column's; NaN on the diagonal."""
    share: Interval
    """Mean of it over all pairs, resampled by noise."""
    shift: Interval
    """By how much the cosine to the new speaker's centroid, less that to the old one's, rises with the swap."""


def swap(found: Float[np.ndarray, "noise speaker centroid"]) -> Swap:
    """What swapping the id does to clips of the same noise.

    Args:
        found: cosines of the clip that noise n makes under the id s to centroid c. A model that does not listen to the
            id makes the same clip under all of them: it moves none, as a clip has one nearest centroid.

    Raises ValueError where ids and centroids differ in number or are fewer than two.
    """
    noises, ids, centres = found.shape
    if ids != centres or ids < 2:
        raise ValueError(f"a swap needs every speaker's clip and centroid, two speakers or more; got {found.shape}")
    right = _nearest(found) == np.arange(ids)
    both = (right[:, :, None] & right[:, None, :]).astype(np.float64)
    # lean[n, s, a, b]: under the id s, how much nearer to b than to a.
    lean = found[:, :, None, :] - found[:, :, :, None]
    old, new = np.triu_indices(ids, 1)
    shift = lean[:, new, old, new] - lean[:, old, old, new]
    groups = np.repeat(np.arange(noises), len(old))
    moved = both.mean(axis=0)
    np.fill_diagonal(moved, np.nan)
    return Swap(
        moved=moved,
        share=grouped_mean(both[:, old, new].ravel(), groups),
        shift=grouped_mean(shift.ravel(), groups),
    )


def sounding_seconds(
    clips: Sequence[Float[np.ndarray, "_"]], recordings: Sequence[Float[np.ndarray, "_"]], sample_rate: int
) -> Float[np.ndarray, " clip"]:
    """Seconds of each clip that are no pause: blocks of 12.5 ms less than 35 dB below the recordings' loud level.

    The loud level is the 95th percentile of the recordings' blocks, so that a clip cannot pass silence off as speech by
    being silent throughout.
    """
    hop = round(0.0125 * sample_rate)
    levels = np.concatenate([frame_levels_db(each, hop, hop) for each in recordings])
    floor = float(np.percentile(levels, 95)) - 35.0
    blocks = [np.count_nonzero(frame_levels_db(each, hop, hop) > floor) for each in clips]
    return np.asarray(blocks, np.float64) * hop / sample_rate


def shaped_noise(
    recordings: Sequence[Float[np.ndarray, "_"]], num_samples: int, seed: int
) -> Float[np.ndarray, " num_samples"]:
    """Gaussian noise with the long-term spectrum and level of recordings, float32: a voice's colour without speech.

    Raises ValueError where the recordings together are shorter than an analysis window of 1,024 samples.
    """
    frames = [
        each[: len(each) // (_WINDOW // 2) * (_WINDOW // 2)].reshape(-1, _WINDOW // 2)
        for each in recordings
        if len(each) >= _WINDOW
    ]
    if not frames:
        raise ValueError(f"noise in the colour of a voice needs a recording of {_WINDOW} samples or more")
    windows = np.concatenate([np.concatenate([each[:-1], each[1:]], axis=1) for each in frames]).astype(np.float64)
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(_WINDOW)))).mean(axis=0)
    white = np.fft.rfft(np.random.default_rng(seed).normal(size=num_samples))
    place = np.linspace(0.0, 1.0, len(white))
    noise = np.fft.irfft(white * np.sqrt(np.interp(place, np.linspace(0.0, 1.0, len(power)), power)), num_samples)
    level = np.sqrt(np.mean(np.square(windows)) / np.mean(np.square(noise)))
    return (noise * level).astype(np.float32)
