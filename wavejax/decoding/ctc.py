"""Reading CTC probabilities: the best label of each frame, and the best way to read given labels."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

_IMPOSSIBLE = -1e30


class Spike(NamedTuple):
    """A label that was read, and where."""

    label: int
    first: int
    """Its first frame."""
    last: int
    """The frame after its last one."""
    log_prob: float
    """Mean natural log of its probability over these frames."""


class Alignment(NamedTuple):
    """The best way to read given labels."""

    spikes: tuple[Spike, ...]
    log_prob: float
    """Natural log of the probability of this way."""


def greedy(log_probs: Float[np.ndarray, "frames classes"], blank: int = 0) -> tuple[Spike, ...]:
    """The most probable class of each frame: runs of one label are one label, blanks are none (Graves et al. 2006)."""
    if not len(log_probs):
        return ()
    best = np.argmax(log_probs, axis=1)
    edges = np.flatnonzero(np.diff(best)) + 1
    runs = zip(np.concatenate([[0], edges]), np.concatenate([edges, [len(best)]]), strict=True)
    return tuple(
        Spike(int(best[first]), int(first), int(last), float(np.mean(log_probs[first:last, best[first]])))
        for first, last in runs
        if best[first] != blank
    )


def align(
    log_probs: Float[np.ndarray, "frames classes"], labels: Int[np.ndarray, " labels"], blank: int = 0
) -> Alignment:
    """The most probable path through the frames that reads these labels, by the Viterbi algorithm.

    Raises ValueError where the frames are too few: one for each label is needed, and one between two that are equal.
    """
    count, frames = len(labels), len(log_probs)
    needed = count + int(np.sum(labels[1:] == labels[:-1]))
    if frames < needed:
        raise ValueError(
            f"{count} labels need at least {needed} frames, but there are {frames}: the text is longer than what can "
            "be said in this recording; check that they belong together"
        )
    if not count:
        return Alignment((), float(np.sum(log_probs[:, blank])))
    path = np.full(2 * count + 1, blank)
    path[1::2] = labels
    skips = np.zeros(len(path), bool)
    skips[3::2] = labels[1:] != labels[:-1]
    scores = np.asarray(log_probs, np.float64)[:, path]
    best = np.full(len(path), _IMPOSSIBLE)
    best[:2] = scores[0, :2]
    steps = np.zeros((frames, len(path)), np.int8)  # states that the best way into each one has come forward
    for frame in range(1, frames):
        one = np.concatenate([[_IMPOSSIBLE], best[:-1]])
        two = np.where(skips, np.concatenate([[_IMPOSSIBLE, _IMPOSSIBLE], best[:-2]]), _IMPOSSIBLE)
        ways = np.stack([best, one, two])
        steps[frame] = np.argmax(ways, axis=0)
        best = np.max(ways, axis=0) + scores[frame]
    state = len(path) - 1 if best[-1] >= best[-2] else len(path) - 2
    total, states = float(best[state]), np.empty(frames, np.int64)
    for frame in range(frames - 1, -1, -1):
        states[frame] = state
        state -= int(steps[frame, state])
    spikes = []
    for number in range(count):
        where = np.flatnonzero(states == 2 * number + 1)
        mean = float(np.mean(scores[where, 2 * number + 1]))
        spikes.append(Spike(int(labels[number]), int(where[0]), int(where[-1]) + 1, mean))
    return Alignment(tuple(spikes), total)


def text_log_probs(
    log_probs: Float[np.ndarray, "frames classes"], texts: Sequence[Sequence[int]], blank: int = 0
) -> Float[np.ndarray, " texts"]:
    """Natural log of the probability of all paths that read each text (Graves et al. 2006, equation 8).

    A text with more labels than there are frames for has -inf.
    """
    longest = max(map(len, texts), default=0)
    path = np.full((len(texts), 2 * longest + 1), blank)
    for row, labels in zip(path, texts, strict=True):
        row[1 : 2 * len(labels) : 2] = labels
    skips = np.zeros(path.shape, bool)
    skips[:, 3::2] = path[:, 3::2] != path[:, 1:-2:2]
    reached = np.full(path.shape, -np.inf)
    reached[:, 0] = 0.0  # before the first frame; from there to the first label is one step
    scores = np.asarray(log_probs, np.float64)
    for row in scores:
        one = np.pad(reached[:, :-1], ((0, 0), (1, 0)), constant_values=-np.inf)
        two = np.where(skips, np.pad(reached[:, :-2], ((0, 0), (2, 0)), constant_values=-np.inf), -np.inf)
        reached = np.logaddexp(np.logaddexp(reached, one), two) + row[path]
    ends = 2 * np.asarray([len(labels) for labels in texts], np.int64)
    number = np.arange(len(texts))
    return np.logaddexp(reached[number, ends], np.where(ends > 0, reached[number, ends - 1], -np.inf))


def meeting(spikes: Sequence[Spike], longest: int) -> tuple[Spike, ...]:
    """The labels of an alignment with the blanks between two of them shared out: they meet in the middle.

    CTC says in which frames a label is sure, not how long it lasts. Where there are more than `longest` blanks, nothing
    is said in between, and both stay as they are.
    """
    firsts, lasts = [spike.first for spike in spikes], [spike.last for spike in spikes]
    for place in range(1, len(spikes)):
        if 0 < firsts[place] - lasts[place - 1] <= longest:
            firsts[place] = lasts[place - 1] = (firsts[place] + lasts[place - 1] + 1) // 2
    return tuple(
        spike._replace(first=first, last=last) for spike, first, last in zip(spikes, firsts, lasts, strict=True)
    )


def greedy_errors(
    log_probs: Float[Array, "batch frames classes"],
    num_frames: Int[Array, " batch"],
    labels: Int[Array, "batch labels"],
    num_labels: Int[Array, " batch"],
    blank: int = 0,
) -> Float[Array, " batch"]:
    """Edit distance between what `greedy` reads and the labels, within a compiled program."""
    best = jnp.argmax(log_probs, axis=-1).astype(labels.dtype)
    before = jnp.pad(best, ((0, 0), (1, 0)), constant_values=blank)[:, :-1]
    valid = jnp.arange(best.shape[1]).reshape(1, -1) < num_frames[:, None]
    return edit_errors(best, (best != blank) & (best != before) & valid, labels, num_labels)


def edit_errors(
    read: Int[Array, "batch places"],
    is_read: Bool[Array, "batch places"],
    labels: Int[Array, "batch labels"],
    num_labels: Int[Array, " batch"],
) -> Float[Array, " batch"]:
    """Edit distance (Levenshtein 1966) between the labels that are read and those that were said, jit-safe.

    One row of the usual table for each label that is read; along the row, insertions are a running minimum.

    Args:
        read: labels; only those count that `is_read` marks.
        is_read: which count.
        labels: what was said; entries past `num_labels` are not read.
        num_labels: of each example.
    """
    columns = jnp.arange(labels.shape[1] + 1, dtype=jnp.int32).reshape(1, -1)

    def frame(row: Array, given: tuple[Array, Array]) -> tuple[Array, None]:
        label, counts = given
        changed = row[:, :-1] + (label[:, None] != labels).astype(jnp.int32)
        reached = jnp.concatenate([row[:, :1] + 1, jnp.minimum(row[:, 1:] + 1, changed)], axis=1)
        reached = lax.cummin(reached - columns, axis=1) + columns
        return jnp.where(counts[:, None], reached, row), None

    start = jnp.broadcast_to(columns, (labels.shape[0], labels.shape[1] + 1))
    row, _ = lax.scan(frame, start, (jnp.moveaxis(read, 1, 0), jnp.moveaxis(is_read, 1, 0)))
    return jnp.take_along_axis(row, num_labels[:, None], axis=1)[:, 0].astype(jnp.float32)


__all__ = ["Alignment", "Spike", "align", "edit_errors", "greedy", "greedy_errors", "meeting", "text_log_probs"]
