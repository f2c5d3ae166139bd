"""Writing with a decoder that sees what it has written: one label after the other, until it ends or cannot go on.

Such a decoder may repeat itself for ever. Three rules keep it from that: a text has a greatest length; one whose newest
labels attend to nothing new ends before them; and of several texts those are preferred that have attended to more of
the recording (the coverage of Wu et al. 2016, arXiv 1609.08144, equation 14).
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

_FRESH = 1.0
"""Places that the newest labels attend to for the first time, at least; else the text ends before them."""


class Spelled(NamedTuple):
    """A text that may have been said."""

    labels: tuple[int, ...]
    score: float
    """By which texts are ordered: the mean log-probability of a label, and what coverage adds."""
    log_prob: float
    """Natural log of the probability of the labels, and of the end where it ended by itself."""
    log_probs: tuple[float, ...]
    """Of each label."""
    places: tuple[int, ...]
    """Where each label was attended to most."""
    ended: bool
    """Whether it ended by itself."""


Advance = Callable[
    [Any, Int[np.ndarray, " width"], Int[np.ndarray, " width"]],
    tuple[Any, Float[np.ndarray, "width classes"], Float[np.ndarray, "width places"]],
]
"""(state, row of the state that each text continues, its last label) -> (state, log-probabilities, attention)."""


@dataclass(slots=True)
class _Text:
    labels: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    """Places that each label attended to for the first time, as a sum of weights."""
    covered: np.ndarray | None = None
    """How much each place was attended to [U]."""
    total: float = 0.0
    """Log-probability."""


def spell(
    state: Any,
    advance: Advance,
    *,
    width: int = 1,
    longest: int,
    num_best: int = 1,
    patience: int = 16,
    coverage: float = 0.2,
    end: int = 0,
) -> list[Spelled]:
    """The best texts, the best first.

    Args:
        state: of `width` equal rows, before the first label.
        advance: the decoder, see `Advance`.
        width: texts that are followed side by side; 1 takes the most probable label each time.
        longest: labels of a text, at most.
        num_best: texts that are returned, at most.
        patience: labels without anything new that end a text.
        coverage: what the log of the share of the recording that was attended to adds to a score.
        end: the class that ends a text; the first label follows it.

    Raises ValueError: a width, a number or a length below 1.
    """
    if min(width, num_best, patience) < 1 or longest < 0:
        raise ValueError(
            f"width {width}, num_best {num_best} and patience {patience} must be 1 or more, longest {longest} 0 or more"
        )
    texts, finished = [_Text()], list[Spelled]()
    rows, last = np.zeros(width, np.int64), np.full(width, end)
    for _ in range(longest):
        state, log_probs, weights = advance(state, rows, last)
        texts, chosen = _continued(texts, log_probs, weights, width, end, coverage, finished)
        kept = []
        for place, text in enumerate(texts):
            if _repeats(text, patience):
                finished.append(_spelled(_shortened(text, patience), coverage, ended=False))
            else:
                kept.append(place)
        texts = [texts[place] for place in kept]
        if not texts or _is_settled(texts, finished, num_best, coverage):
            break
        rows = np.resize([chosen[place] for place in kept], width)
        last = np.resize([text.labels[-1] for text in texts], width)
    else:
        finished += [_spelled(text, coverage, ended=False) for text in texts]
    ordered = sorted(finished, key=lambda each: (-each.score, each.labels))
    return ordered[:num_best]


def _continued(
    texts: list[_Text],
    log_probs: np.ndarray,
    weights: np.ndarray,
    width: int,
    end: int,
    coverage: float,
    finished: list[Spelled],
) -> tuple[list[_Text], list[int]]:
    """The best texts that are one label longer, with the row that each continues; those that end are finished."""
    scores = np.stack([text.total + log_probs[row] for row, text in enumerate(texts)]).astype(np.float64)
    order = np.argsort(-scores, axis=None, kind="stable")[: 2 * width]
    longer, rows = list[_Text](), list[int]()
    for row, label in zip(*np.unravel_index(order, scores.shape), strict=True):
        text, added = texts[row], float(log_probs[row, label])
        if label == end:
            ended = dataclasses.replace(text, covered=_covered(text, weights[row]), total=text.total + added)
            finished.append(_spelled(ended, coverage, ended=True))
        elif len(longer) < width:
            longer.append(_extended(text, int(label), added, weights[row]))
            rows.append(int(row))
        if width == 1:
            break  # the most probable label, whatever it is
    return longer, rows


def _extended(text: _Text, label: int, added: float, weights: np.ndarray) -> _Text:
    before, covered = _covered(text, np.zeros(len(weights))), _covered(text, weights)
    fresh = float(np.sum(np.minimum(covered, 1) - np.minimum(before, 1)))
    return _Text(
        [*text.labels, label],
        [*text.log_probs, added],
        [*text.places, int(np.argmax(weights))],
        [*text.fresh, fresh],
        covered,
        text.total + added,
    )


def _covered(text: _Text, weights: np.ndarray) -> np.ndarray:
    return np.asarray(weights, np.float64) if text.covered is None else text.covered + weights


def _repeats(text: _Text, patience: int) -> bool:
    return len(text.fresh) >= patience and sum(text.fresh[-patience:]) < min(_FRESH, patience)


def _shortened(text: _Text, patience: int) -> _Text:
    """The text before its newest labels."""
    count = len(text.labels) - patience
    log_probs = text.log_probs[:count]
    return _Text(text.labels[:count], log_probs, text.places[:count], text.fresh[:count], text.covered, sum(log_probs))


def _spelled(text: _Text, coverage: float, *, ended: bool) -> Spelled:
    score = text.total / max(len(text.labels) + ended, 1)
    if text.covered is not None:
        share = float(np.mean(np.minimum(text.covered, 1)))
        score += coverage * float(np.log(max(share, 1e-6)))
    return Spelled(tuple(text.labels), score, text.total, tuple(text.log_probs), tuple(text.places), ended)


def _is_settled(texts: list[_Text], finished: list[Spelled], num_best: int, coverage: float) -> bool:
    """Whether enough texts are finished, and none that goes on is better than the worst of these."""
    if len(finished) < num_best:
        return False
    worst = sorted(each.score for each in finished)[-num_best]
    return all(_spelled(text, coverage, ended=False).score < worst for text in texts)


__all__ = ["Advance", "Spelled", "spell"]
