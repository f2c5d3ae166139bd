"""Training crops cut on the devices, from recordings that stay there.

An accelerator trains small models faster than a host can cut and send crops. A corpus of hours is small beside its
memory, though: 2 bytes a sample and 4 for each value of a frame, 0.2 GB an hour at 16 kHz. So all of a split is copied
to each device once, and a step is told only where its crops lie.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int16, Int32, UInt32

from wavejax.data import Corpus, CropShape, training_places
from wavejax.data.corpus import id_hash
from wavejax.data.records import INT16_SCALE
from wavejax.parallel import Strategy

LONGEST = 2**31 - 1
"""Samples that positions of 32 bits can tell apart: 37 hours at 16 kHz."""


class ResidentSplit(NamedTuple):
    """All utterances of a split, end to end: U utterances, T samples, F frames."""

    samples: Int16[Array, "samples"]
    frames: Float[Array, "frames channels"]
    first_sample: Int32[Array, "utterances_plus_one"]
    first_frame: Int32[Array, "utterances_plus_one"]
    speaker: Int32[Array, "utterances"]
    id: UInt32[Array, "utterances"]


def resident_batches(
    corpus: Corpus, split: str, shape: CropShape, strategy: Strategy, **options: Any
) -> Iterator[dict[str, Array]]:
    """The batches of `wavejax.data.training_batches`, bit for bit, made on the devices and split over them.

    Args:
        corpus, split, shape: as there.
        strategy: whose devices hold the recordings, each all of them.
        options: batch_size, seed, start_step, rows, num_threads, as there.

    Raises:
        ValueError: as there, or more samples than 32-bit positions can name.
    """
    positions = corpus.indices(split)
    places = training_places(corpus, split, shape, **options)
    held = strategy.place(gather_split(corpus, positions))
    hop_length = corpus.spec.hop_length
    number_of = np.full(len(corpus), -1, np.int32)
    number_of[list(positions)] = np.arange(len(positions))

    @functools.partial(jax.jit, out_shardings=strategy.batch_sharding)
    def cut_all(held: ResidentSplit, utterances: Int[Array, "rows"], starts: Int[Array, "rows"]) -> dict[str, Array]:
        one: Callable[..., Any] = functools.partial(cut, held, shape, hop_length)
        return jax.vmap(one)(utterances, starts)

    def batches() -> Iterator[dict[str, Array]]:
        for rows in places:
            where = {"utterances": number_of[rows[:, 0]], "starts": np.ascontiguousarray(rows[:, 1])}
            yield cut_all(held, **strategy.shard_batch(where))

    return batches()


def gather_split(corpus: Corpus, positions: tuple[int, ...]) -> ResidentSplit:
    """The utterances at `positions` of the corpus, end to end, on the host."""
    loaded = [corpus.load(position) for position in positions]
    entries = [corpus.entries[position] for position in positions]
    total = sum(len(samples) for samples, _ in loaded)
    if total > LONGEST:
        raise ValueError(
            f"the split has {total} samples, and at most {LONGEST} can stay on a device: train with data.resident off"
        )

    def boundaries(lengths: list[int]) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)

    arrays: Any = {
        "samples": np.concatenate([samples for samples, _ in loaded]),
        "frames": np.concatenate([frames for _, frames in loaded]).astype(np.float32),
        "first_sample": boundaries([len(samples) for samples, _ in loaded]),
        "first_frame": boundaries([len(frames) for _, frames in loaded]),
        "speaker": np.asarray([entry.speaker for entry in entries], np.int32),
        "id": np.asarray([id_hash(entry.id) for entry in entries], np.uint32),
    }
    return ResidentSplit(**arrays)


def cut(
    held: ResidentSplit, shape: CropShape, hop_length: int, utterance: Int[Array, ""], start: Int[Array, ""]
) -> dict[str, Array]:
    """The crop of utterance number `utterance` of the split that begins at its frame `start`."""
    first, length = held.first_sample[utterance], held.first_sample[utterance + 1] - held.first_sample[utterance]
    wanted = start * hop_length + jnp.arange(-shape.history, shape.length, dtype=jnp.int32)
    inside = (wanted >= 0) & (wanted < length)
    samples = held.samples[first + jnp.clip(wanted, 0, length - 1)].astype(jnp.float32)

    first_frame = held.first_frame[utterance]
    num_frames = held.first_frame[utterance + 1] - first_frame
    last = shape.num_frames(hop_length) + shape.frames_after
    frames = start + jnp.arange(-shape.frames_before, last, dtype=jnp.int32)
    return {
        "waveform": jnp.where(inside, samples * jnp.float32(1 / INT16_SCALE), jnp.float32(0)),
        "mask": wanted[shape.history :] < length,
        "local_conditioning": held.frames[first_frame + jnp.clip(frames, 0, num_frames - 1)],
        "speaker": held.speaker[utterance],
        "id": held.id[utterance],
    }
