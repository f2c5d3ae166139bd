"""Prefix beam search over CTC probabilities (Hannun et al. 2014, arXiv 1408.2873), with whatever scores words.

All paths that read the same labels are added up, which reading the best label of each frame does not do. Of a frame
only the labels that are not improbable are tried, two or three as a rule, so that plain Python keeps up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

_NEVER = -math.inf


class Hypothesis(NamedTuple):
    """One of the texts that may have been said."""

    labels: tuple[int, ...]
    score: float
    """By which hypotheses are ordered: `log_prob` and what the scorer adds."""
    log_prob: float
    """Natural log of the probability of all paths that read these labels, of those that the search has kept."""


@runtime_checkable
class Scorer(Protocol):
    """What adds to the score of a text, label by label."""

    def start(self) -> Any:
        """The state before the first label."""

    def extend(self, state: Any, label: int) -> tuple[Any, float]:
        """(state, next label) -> (state, what is added to the score)."""

    def end(self, state: Any) -> float:
        """What is added where the text ends."""


@dataclass(slots=True)
class _Prefix:
    """A sequence of labels, as a node of the tree of those that were met."""

    label: int
    parent: "_Prefix | None"
    state: Any
    added: float
    """By the scorer, so far."""
    children: "dict[int, _Prefix]" = field(default_factory=dict)
    by_blank: float = _NEVER
    by_label: float = _NEVER
    """Natural logs of the probability of its paths that end with a blank, or with its last label."""
    next_by_blank: float = _NEVER
    next_by_label: float = _NEVER

    @property
    def total(self) -> float:
        """Of all its paths."""
        return _sum(self.by_blank, self.by_label)

    def labels(self) -> tuple[int, ...]:
        """From the first to the last."""
        found, node = [], self
        while node.parent is not None:
            found.append(node.label)
            node = node.parent
        return tuple(reversed(found))


def beam_search(
    log_probs: Float[np.ndarray, "frames classes"],
    *,
    width: int = 16,
    num_best: int = 1,
    scorer: Scorer | None = None,
    least: float = -9.0,
    blank: int = 0,
) -> list[Hypothesis]:
    """The most probable texts, the best first.

    Args:
        log_probs: natural logs of the classes' probabilities.
        width: prefixes that are kept after each frame.
        num_best: hypotheses that are returned, at most.
        scorer: a language model, for instance; None: the probabilities alone.
        least: classes whose log-probability in a frame is below this are not tried there, but the best one always is;
            -inf tries all.
        blank: the class that stands for no label.

    Raises ValueError: a width or a number below 1.
    """
    if width < 1 or num_best < 1:
        raise ValueError(f"width {width} and num_best {num_best} must be 1 or more")
    root = _Prefix(blank, None, None if scorer is None else scorer.start(), 0.0, by_blank=0.0)
    beam = [root]
    for row in np.asarray(log_probs, np.float64):
        tried = set(np.flatnonzero(row >= least).tolist()) | {int(np.argmax(row))}
        beam = _after_frame(beam, {label: float(row[label]) for label in tried}, scorer, blank)
        beam = sorted(beam, key=lambda node: -(node.total + node.added))[:width]
    found = []
    for node in beam:
        ending = 0.0 if scorer is None else scorer.end(node.state)
        found.append(Hypothesis(node.labels(), node.total + node.added + ending, node.total))
    return sorted(found, key=lambda each: (-each.score, each.labels))[:num_best]


def _after_frame(
    beam: Sequence[_Prefix], tried: Mapping[int, float], scorer: Scorer | None, blank: int
) -> list[_Prefix]:
    """All prefixes after one more frame, in which these labels are tried."""
    reached: dict[int, _Prefix] = {}

    def reach(node: _Prefix) -> _Prefix:
        reached[id(node)] = node
        return node

    for node in beam:
        total = node.total
        for label, score in tried.items():
            if label == blank:
                reach(node).next_by_blank = _sum(node.next_by_blank, total + score)
                continue
            before = total
            if label == node.label and node.parent is not None:
                reach(node).next_by_label = _sum(node.next_by_label, node.by_label + score)
                before = node.by_blank  # the same label again is another one only after a blank
            if before > _NEVER:
                child = reach(_child(node, label, scorer))
                child.next_by_label = _sum(child.next_by_label, before + score)
    for node in beam:
        node.by_blank = node.by_label = _NEVER
    for node in reached.values():
        node.by_blank, node.by_label = node.next_by_blank, node.next_by_label
        node.next_by_blank = node.next_by_label = _NEVER
    return list(reached.values())


def _child(node: _Prefix, label: int, scorer: Scorer | None) -> _Prefix:
    child = node.children.get(label)
    if child is None:
        state, added = (None, 0.0) if scorer is None else scorer.extend(node.state, label)
        child = node.children[label] = _Prefix(label, node, state, node.added + added)
    return child


def _sum(one: float, other: float) -> float:
    """The log of the sum of two numbers given as logs."""
    if one < other:
        one, other = other, one
    return one if other == _NEVER else one + math.log1p(math.exp(other - one))


__all__ = ["Hypothesis", "Scorer", "beam_search"]
