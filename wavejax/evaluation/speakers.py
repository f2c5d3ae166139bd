"""Speaker identification: speaker embeddings of clips compared with the centroid of each speaker's recordings.

A clip is identified as the speaker whose centroid is nearest to its embedding, by cosine. That alone does not prove
speech: noise is also nearest to some speaker, and noise with a speaker's own spectrum often to that speaker. So every
figure is reported beside those of real recordings and of `shaped_noise`, and `closer_than` says which clips are closer
to their own speaker than any noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from wavejax.audio.levels import frame_levels_db
from wavejax.evaluation.bootstrap import Interval, paired_bootstrap

Embed = Callable[[Float[np.ndarray, "_"]], Float[np.ndarray, "_"]]
"""A waveform at `JUDGED_RATE` -> its speaker embedding, of any norm above 0."""

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
    """Cosine of each clip's embedding to each centroid, float64; 0 if the embedding is zero or NaN, as for silence."""
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
    """The result of speaker identification for a set of clips."""

    intended: Int[np.ndarray, " clip"]
    """The intended speaker of each clip."""
    cosines: Float[np.ndarray, "clip speaker"]
    """Cosine of each clip to every speaker's centroid."""
    groups: Int[np.ndarray, " clip"]
    """Clips of one group (the same noise with different ids) are resampled together."""

    @property
    def nearest(self) -> Int[np.ndarray, " clip"]:
        """The identified speaker of each clip; -1 if no centroid is nearer than all others."""
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
        """`own` minus the largest cosine to another speaker's centroid: above 0 exactly if the clip is right."""
        others = self.cosines.copy()
        others[np.arange(len(self.intended)), self.intended] = -np.inf
        return self.own - others.max(axis=1)

    @property
    def confusion(self) -> Int[np.ndarray, "speaker taken"]:
        """Number of clips by intended speaker (row) and identified speaker (column); the last column is "nobody"."""
        size = self.cosines.shape[1]
        table = np.zeros((size, size + 1), np.int64)
        np.add.at(table, (self.intended, self.nearest), 1)
        return table

    def mean(self, values: np.ndarray, speaker: int | None = None) -> Interval:
        """Mean of a figure per clip, for one speaker or for all, with its 95 % bootstrap interval over groups.

        If all clips have the same figure, the interval has no width and is too narrow: 20 right of 20 gives [1, 1], yet
        one wrong in seven is still possible (95 %, binomial).
        """
        chosen = np.ones(len(values), bool) if speaker is None else self.intended == speaker
        return grouped_mean(np.asarray(values, np.float64)[chosen], self.groups[chosen])

    def closer_than(self, other: "Identification") -> Bool[np.ndarray, " clip"]:
        """Whether each clip is closer to its own centroid than every clip of the same speaker in `other`."""
        limits = np.asarray([other.own[other.intended == s].max(initial=-np.inf) for s in range(self.cosines.shape[1])])
        return self.own > limits[self.intended]


def _nearest(values: np.ndarray) -> np.ndarray:
    """Index of the largest value along the last axis; -1 if there are several."""
    best = values.max(axis=-1, keepdims=True)
    return np.where((values == best).sum(axis=-1) == 1, values.argmax(axis=-1), -1)


def grouped_mean(values: Float[np.ndarray, " clip"], groups: Int[np.ndarray, " clip"]) -> Interval:
    """Mean over clips with a 95 % bootstrap interval that resamples whole groups; one group gives zero width."""
    names, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    means = np.bincount(place, values) / sizes
    if len(names) < 2:
        return Interval(*(float(means[0]),) * 3)
    return paired_bootstrap(np.zeros(len(names)), means, sizes)


@dataclass(frozen=True, kw_only=True)
class Swap:
    """The same noise with two ids: does the voice follow the id?"""

    moved: Float[np.ndarray, "speaker speaker"]
    """Fraction of noises identified as row with row's id and as column with column's id; NaN on the diagonal."""
    share: Interval
    """Mean of `moved` over all pairs, resampled by noise."""
    shift: Interval
    """Rise, due to the swap, of the cosine to the new speaker's centroid minus that to the old speaker's."""


def swap(found: Float[np.ndarray, "noise speaker centroid"]) -> Swap:
    """The effect of swapping the id on clips of the same noise.

    Args:
        found: cosines to centroid c of the clip made from noise n with id s. A model that ignores the id makes the same
            clip with all ids: then none moves, because a clip has one nearest centroid.

    Raises ValueError if ids and centroids differ in number or are fewer than two.
    """
    noises, ids, centres = found.shape
    if ids != centres or ids < 2:
        raise ValueError(f"a swap needs every speaker's clip and centroid, two speakers or more; got {found.shape}")
    right = _nearest(found) == np.arange(ids)
    both = (right[:, :, None] & right[:, None, :]).astype(np.float64)
    # lean[n, s, a, b]: with id s, how much closer the clip is to b than to a.
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
    """Seconds of each clip that are not pauses: blocks of 12.5 ms less than 35 dB below the recordings' loud level.

    The loud level is the 95th percentile of the recordings' blocks, not of the clip's own, so that a clip that is
    silent throughout has no sounding blocks.
    """
    hop = round(0.0125 * sample_rate)
    levels = np.concatenate([frame_levels_db(each, hop, hop) for each in recordings])
    floor = float(np.percentile(levels, 95)) - 35.0
    blocks = [np.count_nonzero(frame_levels_db(each, hop, hop) > floor) for each in clips]
    return np.asarray(blocks, np.float64) * hop / sample_rate


def shaped_noise(
    recordings: Sequence[Float[np.ndarray, "_"]], num_samples: int, seed: int
) -> Float[np.ndarray, " num_samples"]:
    """Gaussian noise with the long-term spectrum and level of recordings, float32: a voice's timbre without speech.

    Raises ValueError if the recordings together are shorter than an analysis window of 1,024 samples.
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
