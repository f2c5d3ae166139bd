"""Whole utterances with their texts, in an order that is a pure function of (seed, step).

The utterances of all epochs form one infinite list: each epoch is a shuffle of its own. A window is the next `WINDOW`
batches of this list, sorted by length, so that the utterances of a batch are about equally long; the batches of a
window come in an order that is drawn for it. Every batch has one of a few static shapes (`Bucket`), the smallest that
holds all its utterances. No state is carried from step to step, so a run can resume at any step, on any number of
processes, with the batches that it would have seen.
"""

import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32

from wavejax.data.corpus import Corpus, id_hash
from wavejax.extras import require_extra
from wavejax.text import TextError, TextSpec

WINDOW = 16
"""Batches that are sorted together."""
_ENDLESS = 2**40
_ORDER, _WINDOWS = 0, 1  # streams of the generator that belong to one seed
_NAMED = 3

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Bucket:
    """The shape of a batch: the most frames and the most labels that an utterance in it may have."""

    num_frames: int
    num_labels: int

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.num_labels < 1:
            raise ValueError(f"a bucket holds at least one frame and one label, got {self}")

    def holds(self, num_frames: int, num_labels: int) -> bool:
        """Whether an utterance fits."""
        return num_frames <= self.num_frames and num_labels <= self.num_labels


def buckets_of(seconds: Sequence[float], frame_rate: float, labels_per_second: float) -> tuple[Bucket, ...]:
    """Buckets for utterances of these lengths."""
    return tuple(Bucket(max(round(each * frame_rate), 1), max(round(each * labels_per_second), 1)) for each in seconds)


@dataclass(frozen=True)
class Listed:
    """An utterance that can be learnt from."""

    position: int
    """Its number in the corpus."""
    num_frames: int
    labels: Int32[np.ndarray, " labels"]
    bucket: int
    """Number of the smallest bucket that holds it."""

    @property
    def length(self) -> tuple[int, int, int]:
        """By which utterances are sorted."""
        return self.bucket, self.num_frames, self.position


class Utterances:
    """The utterances of a split with their labels, and batches of them.

    Utterances that cannot be learnt from are left out, counted, and named once in the log: those without a transcript,
    with a character that is no symbol of the text spec, longer than every bucket, or with fewer frames than labels.

    Args:
        corpus: with transcripts.
        split: "train", "validation" or "test".
        text: turns transcripts into labels.
        buckets: shapes of batches, in increasing order of both sizes.
        num_frames: samples of a recording -> its frames.
        features: number of an utterance in the corpus -> frames float32 [F, C].
        capacity: frames of an utterance -> labels that the model can read from them, each repeat counted as two.
        labels: number of an utterance in the corpus -> its labels int32 [L], where they are not those of its
            transcript; TextError says why it has none.
        beside: number of an utterance -> further arrays by name: one value for each label, or a number.
        along: number of an utterance -> further arrays by name: one value for each frame.

    Raises ValueError if the split holds nothing that can be learnt from; the message says why.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        text: TextSpec,
        buckets: Sequence[Bucket],
        *,
        num_frames: Callable[[int], int],
        features: Callable[[int], Float[np.ndarray, "frames channels"]],
        capacity: Callable[[int], int],
        labels: Callable[[int], Int32[np.ndarray, " labels"]] | None = None,
        beside: Callable[[int], Mapping[str, np.ndarray]] | None = None,
        along: Callable[[int], Mapping[str, np.ndarray]] | None = None,
    ) -> None:
        self._corpus, self._features = corpus, features
        self._beside, self._along = beside, along
        self._labels = labels or (lambda position: text.labels(corpus.entries[position].transcript))
        self.buckets = tuple(buckets)
        wide = [bucket.num_labels for bucket in self.buckets]
        if not self.buckets or sorted(self.buckets) != list(self.buckets) or sorted(wide) != wide:
            raise ValueError(f"buckets must grow in frames and in labels, got {list(self.buckets)}")
        self.listed: list[Listed] = []
        self.left_out: Counter[str] = Counter()
        """Why utterances are left out -> how many."""
        named: dict[str, list[str]] = {}
        for position in corpus.indices(split):
            entry = corpus.entries[position]
            found = self._list(position, num_frames(entry.num_samples), capacity)
            if isinstance(found, Listed):
                self.listed.append(found)
            else:
                self.left_out[found] += 1
                named.setdefault(found, []).append(entry.id)
        self._report(split, named)

    def _list(self, position: int, frames: int, capacity: Callable[[int], int]) -> Listed | str:
        """The utterance, or why it is left out."""
        try:
            labels = self._labels(position)
        except TextError as error:
            return f"text that cannot be read ({str(error).partition(':')[0]})"
        if not len(labels):
            return "no transcript"
        if capacity(frames) < len(labels) + int(np.sum(labels[1:] == labels[:-1])):
            return "fewer frames than labels"
        for number, bucket in enumerate(self.buckets):
            if bucket.holds(frames, len(labels)):
                return Listed(position, frames, labels, number)
        largest = self.buckets[-1]
        return f"more than {largest.num_frames} frames or {largest.num_labels} labels"

    def _report(self, split: str, named: dict[str, list[str]]) -> None:
        total = len(self.listed) + sum(self.left_out.values())
        parts = []
        for why, ids in named.items():
            shown = ", ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")
            parts.append(f"{len(ids)} with {why}: {shown}")
        if not self.listed:
            raise ValueError(
                f"no utterance of the split {split!r} can be learnt from ({'; '.join(parts)}). A corpus for a "
                "recogniser needs transcripts in the text spec's language, one for a speaker its phones' times; and "
                "buckets must hold its utterances"
            )
        if parts:
            words = "; ".join(parts)
            _LOG.warning("%d of %d utterances of %s are left out: %s", total - len(self), total, split, words)

    def __len__(self) -> int:
        return len(self.listed)

    def batches(
        self,
        *,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        rows: slice | None = None,
        short_steps: int = 0,
        num_threads: int = 2,
    ) -> Iterator[dict[str, np.ndarray]]:
        """Endless batches from global step `start_step` on; `rows` is this process's part of the global batch.

        The first `short_steps` steps take the shorter half of the utterances only. With R rows, and F frames and L
        labels of the batch's bucket:

        - features float32 [R, F, C], num_frames int32 [R]: frames past an utterance's own are zeros;
        - labels int32 [R, L], num_labels int32 [R]: zeros past its own;
        - id uint32 [R]: CRC-32 of the utterance's id;
        - what stands beside the labels: [R, L] with zeros past an utterance's own, or [R]; along the frames: [R, F].

        Needs the extra `train` (Grain). Uses threads only: no process is started, and nothing here uses jax.
        """
        grain = require_extra("grain", "train", "the training input pipeline")
        _check(batch_size, start_step, num_threads)
        chosen = rows or slice(0, batch_size)
        whole = ShuffledWindows(self.listed, batch_size, seed)
        half = sorted(self.listed, key=lambda each: each.length)[: -(-len(self.listed) // 2)]
        short = ShuffledWindows(half, batch_size, seed)

        def batch(number: int) -> dict[str, np.ndarray]:
            step = start_step + number
            return self._stacked((short if step < short_steps else whole).members(step), chosen)

        options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=max(1, 2 * num_threads))
        return iter(grain.MapDataset.range(_ENDLESS).map(batch).to_iter_dataset(options))

    def once(self, batch_size: int, rows: slice | None = None) -> Iterator[dict[str, np.ndarray]]:
        """Batches that hold every utterance once, sorted by length; rows that fill up the last one have no frames."""
        _check(batch_size, 0, 0)
        chosen = rows or slice(0, batch_size)
        members = sorted(self.listed, key=lambda each: each.length)
        for first in range(0, len(members), batch_size):
            part: list[Listed | None] = [*members[first : first + batch_size]]
            yield self._stacked([*part, *[None] * (batch_size - len(part))], chosen)

    def _stacked(self, members: Sequence[Listed | None], rows: slice) -> dict[str, np.ndarray]:
        """One batch in the shape of the smallest bucket that holds all of them, those of other processes included."""
        bucket = self.buckets[max(each.bucket for each in members if each is not None)]
        own = members[rows]
        channels = self._corpus_channels
        batch = {
            "features": np.zeros((len(own), bucket.num_frames, channels), np.float32),
            "num_frames": np.zeros(len(own), np.int32),
            "labels": np.zeros((len(own), bucket.num_labels), np.int32),
            "num_labels": np.zeros(len(own), np.int32),
            "id": np.zeros(len(own), np.uint32),
        }
        for row, each in enumerate(own):
            if each is not None:
                batch["features"][row, : each.num_frames] = self._features(each.position)[: each.num_frames]
                batch["num_frames"][row] = each.num_frames
                batch["labels"][row, : len(each.labels)] = each.labels
                batch["num_labels"][row] = len(each.labels)
                batch["id"][row] = id_hash(self._corpus.entries[each.position].id)
        for given, width in ((self._beside, bucket.num_labels), (self._along, bucket.num_frames)):
            if given is not None:
                example = given(self.listed[0].position)
                rows_of = [{} if each is None else given(each.position) for each in own]
                batch |= _stacked_arrays(example, rows_of, width)
        return batch

    @functools.cached_property
    def _corpus_channels(self) -> int:
        return int(self._features(self.listed[0].position).shape[1])


def _stacked_arrays(
    example: Mapping[str, np.ndarray], given: Sequence[Mapping[str, np.ndarray]], width: int
) -> dict[str, np.ndarray]:
    """Arrays [n], or numbers, of rows as arrays [R, width], or [R]; zeros where there is nothing."""
    stacked = {
        name: np.zeros((len(given), *([width] if value.ndim else [])), value.dtype) for name, value in example.items()
    }
    for row, values in enumerate(given):
        for name, value in values.items():
            stacked[name][(row, slice(len(value))) if value.ndim else row] = value
    return stacked


class ShuffledWindows:
    """The endless shuffled list of utterances, in windows that are sorted by length."""

    def __init__(self, listed: Sequence[Listed], batch_size: int, seed: int) -> None:
        self._listed, self._batch_size, self._seed = listed, batch_size, seed
        self._window = functools.lru_cache(maxsize=4)(self._sorted_window)
        self._epoch = functools.lru_cache(maxsize=64)(self._shuffled_epoch)

    def members(self, step: int) -> list[Listed]:
        """The utterances of global batch `step`, in order."""
        window, place = divmod(step, WINDOW)
        order, members = self._window(window)
        first = int(order[place]) * self._batch_size
        return members[first : first + self._batch_size]

    def _sorted_window(self, window: int) -> tuple[np.ndarray, list[Listed]]:
        """The order of a window's batches, and its utterances, sorted."""
        size, count = WINDOW * self._batch_size, len(self._listed)
        numbers = range(window * size, (window + 1) * size)
        members = [self._listed[self._epoch(number // count)[number % count]] for number in numbers]
        order = _generator(self._seed, _WINDOWS, window).permutation(WINDOW)
        return order, sorted(members, key=lambda each: each.length)

    def _shuffled_epoch(self, epoch: int) -> np.ndarray:
        return _generator(self._seed, _ORDER, epoch).permutation(len(self._listed))


def _generator(seed: int, stream: int, number: int) -> np.random.Generator:
    """A generator for one number of one stream: a pure function of its arguments."""
    return np.random.Generator(np.random.Philox(key=seed, counter=(stream << 192) | (number << 64)))


def _check(batch_size: int, start_step: int, num_threads: int) -> None:
    if batch_size < 1 or min(start_step, num_threads) < 0:
        raise ValueError(
            f"batch_size {batch_size} must be 1 or more; start_step {start_step}, num_threads {num_threads} 0 or more"
        )


__all__ = ["WINDOW", "Bucket", "Listed", "ShuffledWindows", "Utterances", "buckets_of"]
