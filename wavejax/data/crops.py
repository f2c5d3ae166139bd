"""Aligned crops of samples and frames, in an order that is a pure function of (seed, step).

The items of all epochs form one infinite list. Item i belongs to epoch e = i // N, where N is the number of crops that
cover the split once. The epoch's shuffle gives the item a slot k in [0, N), and slot k owns the k-th of N equal parts
of the split's frame weights (silent frames have a small weight, so that about a tenth of all draws fall on them). A
counter-based generator keyed by (seed, i) draws the place of the crop in that part. Global batch s is items [sB,
(s+1)B). No state is carried from step to step, so a run can resume at any step, on any number of processes, with the
batches that it would have seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int16, Int32

from wavejax.data.corpus import Corpus, Utterance, embedded_corpus, id_hash
from wavejax.data.records import INT16_SCALE
from wavejax.extras import require_extra

__all__ = [
    "Corpus",
    "CropShape",
    "Utterance",
    "embedded_corpus",
    "training_batches",
    "training_places",
    "validation_batches",
]

SILENT_PART = 0.1
"""Fraction of all draws that fall on silent frames, if there are enough of them."""
ENDLESS = 2**40
"""Number of batches in the list that is given to Grain."""


@dataclass(frozen=True, kw_only=True)
class CropShape:
    """The part of an utterance that one example holds."""

    history: int
    """Samples before the crop that the model sees but that are not scored."""
    length: int
    """Scored samples, a multiple of the corpus' hop_length."""
    frames_before: int = 0
    """Frames of local conditioning before the crop's first frame."""
    frames_after: int = 0
    """Frames of local conditioning after the crop's last frame."""

    def __post_init__(self) -> None:
        if self.length < 1 or min(self.history, self.frames_before, self.frames_after) < 0:
            raise ValueError(
                f"a crop needs length of at least 1 and history, frames_before, frames_after of at least 0; got {self}"
            )

    def num_frames(self, hop_length: int) -> int:
        """Frames that the scored samples span. Raises ValueError unless `length` is a multiple of hop_length."""
        if self.length % hop_length:
            nearest = max(1, round(self.length / hop_length)) * hop_length
            raise ValueError(
                f"crop length {self.length} is not a multiple of the corpus' hop_length {hop_length}; use {nearest}"
            )
        return self.length // hop_length


def training_batches(
    corpus: Corpus,
    split: str,
    shape: CropShape,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    rows: slice | None = None,
    num_threads: int = 2,
) -> Iterator[dict[str, np.ndarray]]:
    """Endless batches of random crops, starting at global step `start_step`.

    `batch_size` is the global batch size; `rows` is the contiguous part of it for this process (default: all rows).
    With R rows, F = frames_before + length / hop_length + frames_after, and a crop that starts at frame f0:

    - waveform float32 [R, history + length] in [-1, 1): samples hop f0 - history .. hop f0 + length - 1, zeros outside
      the file;
    - mask bool [R, length]: False past the file's end;
    - local_conditioning float32 [R, F, n_mels]: frames f0 - frames_before .., the edge frame repeated outside the file;
    - speaker int32 [R];
    - id uint32 [R]: CRC-32 of the utterance's id (`Corpus.names_of` gives the id).

    Raises ValueError if the split is empty or silent, no utterance is as long as a crop, or an argument is out of
    range. Needs the extra `train` (Grain). Uses threads only: no process is started, and nothing here uses jax.
    """
    return _endless_batches(_RandomCrops(corpus, split, shape, seed).item, batch_size, start_step, rows, num_threads)


def training_places(
    corpus: Corpus,
    split: str,
    shape: CropShape,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    rows: slice | None = None,
    num_threads: int = 2,
) -> Iterator[Int32[np.ndarray, "rows 2"]]:
    """The places of the crops of `training_batches`: (utterance's number in the corpus, first frame) of each row.

    For callers that already hold the waveforms, e.g. on a device, and cut them there. Same arguments, order and errors.
    """
    crops = _RandomCrops(corpus, split, shape, seed)

    def place(number: int) -> Int32[np.ndarray, "2"]:
        return np.asarray(crops.place(number), np.int32)

    return _endless_batches(place, batch_size, start_step, rows, num_threads)


def _endless_batches(
    item: Callable[[int], Any], batch_size: int, start_step: int, rows: slice | None, num_threads: int
) -> Iterator[Any]:
    """Endless batches of `item(number)`: the given rows of the global batches from `start_step` on."""
    grain = require_extra("grain", "train", "the training input pipeline")
    first, count = _row_range(rows, batch_size)
    if min(start_step, num_threads) < 0:
        raise ValueError(f"start_step {start_step} and num_threads {num_threads} must be 0 or more")

    def example(position: int) -> Any:
        step, row = divmod(position, count)
        return item((start_step + step) * batch_size + first + row)

    dataset = grain.MapDataset.range(ENDLESS * count).map(example).batch(count)
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=max(1, 2 * num_threads))
    return iter(dataset.to_iter_dataset(options))


def validation_batches(
    corpus: Corpus, split: str, shape: CropShape, *, batch_size: int, rows: slice | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """Batches that score every sample of a split exactly once, in order; the same arrays as `training_batches`.

    Each utterance is cut into consecutive crops; the last crop is masked past the file's end. Rows that fill up the
    last batch are completely masked (id 0). Raises ValueError if the split is empty or an argument is out of range.
    """
    first, count = _row_range(rows, batch_size)
    cutter = _Cutter(corpus, shape)
    stride = cutter.crop_frames
    places = [
        (position, start)
        for position in corpus.indices(split)
        for start in range(0, cutter.num_blocks(position), stride)
    ]
    return _ordered_batches(cutter, places, batch_size, first, count)


def _ordered_batches(
    cutter: "_Cutter", places: list[tuple[int, int]], batch_size: int, first: int, count: int
) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(places), batch_size):
        numbers = range(start + first, start + first + count)
        crops = [cutter.crop(*places[n]) if n < len(places) else cutter.filler() for n in numbers]
        yield {name: np.stack([crop[name] for crop in crops]) for name in crops[0]}


def _row_range(rows: slice | None, batch_size: int) -> tuple[int, int]:
    """First row and number of rows."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be 1 or more")
    chosen = rows or slice(0, batch_size)
    if chosen.step not in (None, 1) or not 0 <= (chosen.start or 0) < (chosen.stop or 0) <= batch_size:
        raise ValueError(f"rows {chosen} must be a contiguous, non-empty part of a batch of {batch_size}: slice(a, b)")
    return chosen.start or 0, chosen.stop - (chosen.start or 0)


class _Cutter:
    """Cuts one crop out of one utterance."""

    def __init__(self, corpus: Corpus, shape: CropShape) -> None:
        self.corpus = corpus
        self.shape = shape
        self.hop_length = corpus.spec.hop_length
        self.crop_frames = shape.num_frames(self.hop_length)
        self._filler_shape = (
            shape.frames_before + self.crop_frames + shape.frames_after,
            corpus.spec.num_channels,
        )

    def num_blocks(self, position: int) -> int:
        """Blocks of hop_length samples in an utterance, including a partial last block."""
        return -(-self.corpus.entries[position].num_samples // self.hop_length)

    def crop(self, position: int, start: int) -> dict[str, np.ndarray]:
        """The crop of utterance `position` that starts at sample hop_length * start."""
        entry = self.corpus.entries[position]
        samples, frames = self.corpus.load(position)
        begin = self.hop_length * start
        return {
            "waveform": _padded_slice(samples, begin - self.shape.history, begin + self.shape.length),
            "mask": np.arange(begin, begin + self.shape.length) < len(samples),
            "local_conditioning": self._frames(frames, start),
            "speaker": np.asarray(entry.speaker, np.int32),
            "id": np.asarray(id_hash(entry.id), np.uint32),
        }

    def filler(self) -> dict[str, np.ndarray]:
        """A completely masked row."""
        return {
            "waveform": np.zeros(self.shape.history + self.shape.length, np.float32),
            "mask": np.zeros(self.shape.length, np.bool_),
            "local_conditioning": np.zeros(self._filler_shape, np.float32),
            "speaker": np.asarray(0, np.int32),
            "id": np.asarray(0, np.uint32),
        }

    def _frames(self, frames: Float[np.ndarray, "frames channels"], start: int) -> Float[np.ndarray, "crop channels"]:
        wanted = np.arange(start - self.shape.frames_before, start + self.crop_frames + self.shape.frames_after)
        return frames[np.clip(wanted, 0, len(frames) - 1)]


def _padded_slice(samples: Int16[np.ndarray, " time"], begin: int, end: int) -> np.ndarray:
    """float32 waveform of samples[begin:end], with zeros outside the samples."""
    inside = samples[max(begin, 0) : max(end, 0)]
    waveform = np.zeros(end - begin, np.float32)
    offset = max(-begin, 0)
    waveform[offset : offset + len(inside)] = inside / np.float32(INT16_SCALE)
    return waveform


class _RandomCrops:
    """Item i of the infinite list of crops: a pure function of (seed, i)."""

    def __init__(self, corpus: Corpus, split: str, shape: CropShape, seed: int) -> None:
        grain = require_extra("grain", "train", "the training input pipeline")
        if seed < 0:
            raise ValueError(f"seed {seed} must be 0 or more")
        self._cutter = _Cutter(corpus, shape)
        self._positions = np.asarray(corpus.indices(split))
        self._seed = seed
        _check_long_enough(corpus, split, shape)
        self._cumulative, self._runs = _frame_weights(corpus, self._positions, self._cutter)
        blocks = sum(self._cutter.num_blocks(int(position)) for position in self._positions)
        self.items_per_epoch = max(1, round(blocks / self._cutter.crop_frames))
        order_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._order = grain.MapDataset.range(self.items_per_epoch).shuffle(seed=order_seed)

    def item(self, number: int) -> dict[str, np.ndarray]:
        """Crop `number`."""
        position, start = self.place(number)
        return self._cutter.crop(position, start)

    def place(self, number: int) -> tuple[int, int]:
        """(utterance, first frame) of crop `number`."""
        slot = int(self._order[number])
        # The number is the counter's second word: a generator may draw 2^64 blocks before it reaches the next one's.
        generator = np.random.Generator(np.random.Philox(key=self._seed, counter=number << 64))
        within, offset = generator.random(2)
        position, frame = self._locate((slot + within) / self.items_per_epoch)
        latest = max(0, self._cutter.num_blocks(position) - self._cutter.crop_frames)
        start = frame - int(offset * self._cutter.crop_frames)  # the drawn frame lies anywhere within the crop
        return position, min(max(start, 0), latest)

    def _locate(self, fraction: float) -> tuple[int, int]:
        """(utterance, frame) at a fraction of the split's total frame weight."""
        target = fraction * self._cumulative[-1]
        run = min(int(np.searchsorted(self._cumulative, target, side="right")) - 1, len(self._runs) - 1)
        position, first, length, weight = self._runs[run]
        frame = int((target - self._cumulative[run]) / weight)
        return int(position), int(first) + min(max(frame, 0), int(length) - 1)


def _check_long_enough(corpus: Corpus, split: str, shape: CropShape) -> None:
    longest = max((corpus.entries[position] for position in corpus.indices(split)), key=lambda u: u.num_samples)
    if longest.num_samples < shape.length:
        rate, hop = corpus.sample_rate, corpus.spec.hop_length
        raise ValueError(
            f"no utterance of the split {split!r} is as long as a crop: the longest, {longest.id!r}, has "
            f"{longest.num_samples} samples ({longest.num_samples / rate:.2f} s), a crop {shape.length} "
            f"({shape.length / rate:.2f} s). Use a crop length of at most "
            f"{longest.num_samples // hop * hop}, or longer recordings"
        )


def _frame_weights(
    corpus: Corpus, positions: np.ndarray, cutter: _Cutter
) -> tuple[Float[np.ndarray, " runs_plus_one"], Float[np.ndarray, "runs 4"]]:
    """Cumulative weights of all runs of frames, and the runs as (utterance, first frame, frames, weight per frame).

    A frame with sound has weight 1. All silent frames together have a ninth of the weight of the others, i.e. a tenth
    of the total, but a silent frame never weighs more than one with sound.
    """
    rows = []
    for position in positions:
        previous = 0
        for start, stop in corpus.entries[position].active_runs:
            rows += [(position, previous, start - previous, 0), (position, start, stop - start, 1)]
            previous = stop
        rows.append((position, previous, cutter.num_blocks(int(position)) - previous, 0))
    runs = np.asarray([row for row in rows if row[2] > 0], np.float64)
    sounding = runs[:, 3] == 1
    total_sound, total_silence = runs[sounding, 2].sum(), runs[~sounding, 2].sum()
    if total_sound == 0:
        raise ValueError("every utterance of this split is silent; there is nothing to learn from")
    if total_silence > 0:
        runs[~sounding, 3] = min(1.0, total_sound * SILENT_PART / (1 - SILENT_PART) / total_silence)
    return np.concatenate([[0.0], np.cumsum(runs[:, 2] * runs[:, 3])]), runs
