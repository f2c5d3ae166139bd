"""One beam for two readings: a decoder that writes label by label, and CTC, which reads frame by frame.

Each beam alone drops texts that the other would like. Here every text is scored by both from its first label on, and by
whatever scores its words (Watanabe et al. 2017, "Hybrid CTC/Attention Architecture for End-to-End Speech Recognition",
algorithm 2): CTC says how probable it is that what is heard begins with these labels. That probability falls where a
text leaves something out or repeats itself, so that no other rule has to keep the decoder from that.
"""

import heapq
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from wavejax.decoding.beam import Hypothesis, Scorer

_NEVER = -1e30
"""Natural log of a probability of 0 that stays finite in sums."""
_IMPOSSIBLE = _NEVER / 1000
"""What is below it holds such a logarithm, whatever that counts."""
_HOPELESS = 6.0
"""Nats that the best text lies below the best one that has ended, at least, when the search ends."""


class Prefixes(NamedTuple):
    """What CTC says of some texts, each the beginning of what is heard.

    Probabilities are divided by the largest one of their text, since products are faster than sums of logs. Those that
    are e^80 times smaller become 0: no text comes back from there.
    """

    by_label: Float[Array, "... frames"]
    """Of the paths that have read all of its labels by a frame, the last one in it."""
    by_blank: Float[Array, "... frames"]
    """The same, a blank in it."""
    scale: Float[Array, "..."]
    """Natural log of what both are divided by."""
    begins: Float[Array, "..."]
    """Natural log of the probability that what is heard begins with its labels."""

    @property
    def ends(self) -> Float[Array, "..."]:
        """Natural log of the probability that its labels are all that is heard."""
        return _log(self.by_label[..., -1] + self.by_blank[..., -1]) + self.scale


def no_labels(probs: Float[Array, "frames classes"], blank: int = 0) -> Prefixes:
    """The empty text, given the classes' probabilities."""
    by_blank = jnp.cumprod(probs[:, blank])
    nothing = jnp.zeros((), by_blank.dtype)
    return Prefixes(jnp.zeros_like(by_blank), by_blank, nothing, nothing)


def one_label_more(
    probs: Float[Array, "frames classes"],
    before: Prefixes,
    last: Int[Array, " texts"],
    labels: Int[Array, "texts tried"],
    blank: int = 0,
) -> Prefixes:
    """Each text with each of its `labels` after it.

    Args:
        probs: the classes' probabilities.
        before: the texts [texts].
        last: their last labels; `blank` for a text without any.
        labels: which are tried.

    Returns [texts, tried].
    """
    again = labels == last[:, None]
    by_label, by_blank = before.by_label.T[..., None], before.by_blank.T[..., None]
    reached = jnp.where(again, by_blank, by_label + by_blank)  # [frames, texts, tried]
    first = jnp.where(again, 0.0, jnp.where(last == blank, 1.0, 0.0)[:, None])  # before the first frame
    reached = jnp.concatenate([first[None], reached[:-1]])
    never = jnp.zeros(labels.shape, reached.dtype)

    def frame(carry: tuple[Array, Array, Array], given: tuple[Array, Array, Array]) -> tuple[Any, Any]:
        by_label, by_blank, begins = carry
        reached, heard, silent = given
        by_blank = (by_blank + by_label) * silent
        by_label = (by_label + reached) * heard
        return (by_label, by_blank, begins + reached * heard), (by_label, by_blank)

    given = (reached, probs[:, labels], probs[:, blank])
    (_, _, begins), (by_label, by_blank) = lax.scan(frame, (never, never, never), given, unroll=8)
    by_label, by_blank = jnp.moveaxis(by_label, 0, -1), jnp.moveaxis(by_blank, 0, -1)
    largest = jnp.max(by_label + by_blank, axis=-1)
    divided = jnp.where(largest > 0, largest, 1.0)[..., None]
    scale = before.scale[:, None]
    return Prefixes(by_label / divided, by_blank / divided, scale + _log(largest), scale + _log(begins))


def _log(probs: Array) -> Array:
    return jnp.where(probs > 0, jnp.log(jnp.where(probs > 0, probs, 1.0)), _NEVER)


class Step(NamedTuple):
    """What may follow each of some texts."""

    labels: Int[np.ndarray, "width tried"]
    added: Float[np.ndarray, "width tried"]
    """To the score of the text by each label."""
    ending: Float[np.ndarray, " width"]
    """To the score of the text where it ends."""


Advance = Callable[
    [Any, Int[np.ndarray, " width"], Int[np.ndarray, " width"], Int[np.ndarray, " width"]], tuple[Any, Step]
]
"""(state, row of the text before each text, place of its last label among those tried there, that label) -> (state,
what may follow)."""


class _Text(NamedTuple):
    labels: tuple[int, ...]
    log_prob: float
    added: float
    """By the scorer."""
    state: Any


def joint_search(
    state: Any,
    advance: Advance,
    *,
    width: int,
    longest: int,
    num_best: int = 1,
    scorer: Scorer | None = None,
    end: int = 0,
) -> list[Hypothesis]:
    """The best texts, the best first.

    Args:
        state: of `width` equal rows, before the first label, which follows the label `end`.
        advance: both readings, see `Advance`.
        width: texts that are followed side by side.
        longest: labels of a text, at most.
        num_best: texts that are returned, at most.
        scorer: a language model, for instance; None: both readings alone.
        end: the label before the first one.

    Raises ValueError: a width or a number below 1, or a length below 0.
    """
    if min(width, num_best) < 1 or longest < 0:
        raise ValueError(f"width {width} and num_best {num_best} must be 1 or more, longest {longest} 0 or more")
    texts, finished = [_Text((), 0.0, 0.0, None if scorer is None else scorer.start())], list[Hypothesis]()
    rows, columns, last = np.zeros(width, np.int32), np.zeros(width, np.int32), np.full(width, end, np.int32)
    for count in range(longest + 1):
        state, step = advance(state, rows, columns, last)
        for row, text in enumerate(texts):
            log_prob = text.log_prob + float(step.ending[row])
            ending = 0.0 if scorer is None else scorer.end(text.state)
            finished.append(Hypothesis(text.labels, log_prob + text.added + ending, log_prob))
        finished = heapq.nsmallest(num_best, finished, key=lambda each: (-each.score, each.labels))
        longer = _longer(texts, step, scorer, width) if count < longest else []
        if not longer or longer[0][0] < finished[0].score - _HOPELESS:
            break
        texts = [text for _, text, _, _ in longer]
        rows = np.resize(np.asarray([row for _, _, row, _ in longer], np.int32), width)
        columns = np.resize(np.asarray([column for _, _, _, column in longer], np.int32), width)
        last = np.resize(np.asarray([text.labels[-1] for text in texts], np.int32), width)
    return finished


def _longer(texts: list[_Text], step: Step, scorer: Scorer | None, width: int) -> list[tuple[float, _Text, int, int]]:
    """The best texts that are one label longer: (score, text, row and column of what it comes from)."""
    found = []
    for row, text in enumerate(texts):
        for column, (label, more) in enumerate(zip(step.labels[row].tolist(), step.added[row].tolist(), strict=True)):
            log_prob = text.log_prob + more
            if log_prob < _IMPOSSIBLE or not math.isfinite(log_prob):
                continue  # more labels than CTC has frames for
            state, added = (None, 0.0) if scorer is None else scorer.extend(text.state, label)
            added += text.added
            found.append((log_prob + added, _Text((*text.labels, label), log_prob, added, state), row, column))
    return heapq.nsmallest(width, found, key=lambda each: (-each[0], each[1].labels))


__all__ = ["Prefixes", "Step", "joint_search", "no_labels", "one_label_more"]
