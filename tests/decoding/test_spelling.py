"""Writing letter by letter: it finds the best text, and it ends whatever the decoder does."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from wavejax.decoding import spell

PLACES = 6


def decoder(log_probs: Callable[[tuple[int, ...]], np.ndarray], attends: Callable[[int], int] = lambda count: count):
    """A decoder whose state is the text so far; after n labels it attends to place `attends(n)`."""

    def advance(state: list, rows: np.ndarray, labels: np.ndarray):
        texts = [
            (*state[row], int(label)) if state[row] is not None else () for row, label in zip(rows, labels, strict=True)
        ]
        weights = np.zeros((len(texts), PLACES))
        for row, text in enumerate(texts):
            weights[row, min(attends(len(text)), PLACES - 1)] = 1
        return texts, np.stack([log_probs(text) for text in texts]), weights

    return advance


def table(seed: int) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Random log-probabilities of 3 classes for each text; the end becomes more probable."""

    def log_probs(text: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng([seed, *text])
        logits = rng.normal(size=3) * 2 + np.asarray([len(text), 0, 0])
        return logits - np.logaddexp.reduce(logits)

    return log_probs


def exhaustive(log_probs: Callable[[tuple[int, ...]], np.ndarray], longest: int) -> dict[tuple[int, ...], float]:
    """Score of every text that ends by itself within `longest` labels."""
    scores = {}
    for count in range(longest):
        for text in itertools.product((1, 2), repeat=count):
            steps = [log_probs(text[:place])[label] for place, label in enumerate((*text, 0))]
            scores[text] = float(np.mean(steps))
    return scores


@pytest.mark.parametrize("seed", range(20))
def test_a_wide_search_finds_the_best_text_and_a_narrow_one_the_first(seed: int) -> None:
    log_probs = table(seed)
    scores = exhaustive(log_probs, 5)
    found = spell([None] * 64, decoder(log_probs), width=64, longest=5, num_best=64, coverage=0)
    ended = [each for each in found if each.ended]
    assert {each.labels: each.score for each in ended} == pytest.approx(scores)
    assert ended[0].labels == max(scores, key=lambda text: scores[text])
    greedy: list[int] = []
    while (label := int(np.argmax(log_probs(tuple(greedy))))) and len(greedy) < 5:
        greedy.append(label)
    (first,) = spell([None], decoder(log_probs), width=1, longest=5, coverage=0)
    assert list(first.labels) == greedy
    assert first.log_prob == pytest.approx(sum(first.log_probs) + (log_probs(first.labels)[0] if first.ended else 0))
    assert first.places == tuple(range(len(greedy)))


def never_ends(text: tuple[int, ...]) -> np.ndarray:
    return np.log(np.asarray([1e-6, 0.5, 0.5 - 1e-6]))


@pytest.mark.parametrize("width", [1, 4])
def test_it_ends_whatever_the_decoder_does(width: int) -> None:
    (bounded,) = spell([None] * width, decoder(never_ends), width=width, longest=5)
    assert (len(bounded.labels), bounded.ended) == (5, False)
    # It attends to place 2 for ever: what it wrote without hearing anything new is left out.
    (stuck,) = spell(
        [None] * width, decoder(never_ends, lambda count: min(count, 2)), width=width, longest=500, patience=8
    )
    assert (len(stuck.labels), stuck.ended) == (2, False) or (len(stuck.labels), stuck.ended) == (3, False)
    assert spell([None] * width, decoder(never_ends), width=width, longest=0)[0].labels == ()


def test_of_equal_texts_the_one_that_heard_more_is_preferred() -> None:
    def two(text: tuple[int, ...]) -> np.ndarray:
        return np.log(np.asarray([0.4, 0.3, 0.3]))

    found = spell([None] * 8, decoder(two), width=8, longest=4, num_best=40, coverage=1.0)
    lengths = [len(each.labels) for each in found if each.ended]
    plain = [len(each.labels) for each in spell([None] * 8, decoder(two), width=8, longest=4, num_best=40, coverage=0)]
    assert lengths[0] > plain[0] == 0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="width 0, num_best 1 and patience 16 must be 1 or more"):
        spell([], decoder(never_ends), width=0, longest=3)
