"""One beam for two readings, against trying everything."""

import itertools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from tests.decoding.test_beam import TEXT, all_texts
from tests.decoding.test_ctc import lattice
from tests.decoding.test_spelling import table
from tests.tiny.models import cheap_jit
from wavejax.decoding import Step, WordScorer, build_ngrams, joint_search, no_labels, one_label_more
from wavejax.decoding.joint import Prefixes

LONGEST = 4


def begins_with(log_probs: np.ndarray, text: tuple[int, ...]) -> float:
    """Natural log of the probability of all paths whose labels begin with a text."""
    scores = [score for each, score in all_texts(log_probs).items() if each[: len(text)] == text]
    return float(np.logaddexp.reduce(scores)) if scores else -math.inf


def near(found: Any, expected: float) -> bool:
    return found < -1e20 if expected == -math.inf else found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 4, 5])
def test_ctc_knows_how_probable_a_beginning_is(frames: int) -> None:
    rng = np.random.default_rng(frames)
    log_probs = lattice(rng, frames, 3)
    padded = np.concatenate([log_probs, [[0.0, -1e30, -1e30]] * 2]) if frames == 4 else log_probs
    heard = jnp.asarray(np.exp(padded), jnp.float32)
    known, extend = {(): no_labels(heard)}, cheap_jit(one_label_more)
    for count in range(LONGEST):
        for text in itertools.product((1, 2), repeat=count):
            before = Prefixes(*(leaf[None] for leaf in known[text]))
            last = jnp.asarray([text[-1] if text else 0])
            longer = extend(heard, before, last, jnp.asarray([[1, 2]]))
            known |= {(*text, label): Prefixes(*(leaf[0, label - 1] for leaf in longer)) for label in (1, 2)}
    every = all_texts(log_probs)
    assert len(known) == 2 ** (LONGEST + 1) - 1
    for text, found in known.items():
        assert near(float(found.begins), begins_with(log_probs, text)), text
        assert near(float(found.ends), every.get(text, -math.inf)), text


def both(seed: int, log_probs: np.ndarray, width: int) -> Any:
    """`Advance` of a speller (a table) and of CTC; its state is the texts of the step before."""
    speller = table(seed)

    def advance(state: list, rows: np.ndarray, columns: np.ndarray, last: np.ndarray) -> tuple[list, Step]:
        texts = [() if state[row] is None else (*state[row], int(label)) for row, label in zip(rows, last, strict=True)]
        assert columns.shape == rows.shape == (width,)
        added = [[speller(text)[label] + ctc((*text, label)) - ctc(text) for label in (1, 2)] for text in texts]
        ending = [speller(text)[0] + all_texts(log_probs).get(text, -1e30) - ctc(text) for text in texts]
        return texts, Step(np.asarray([[1, 2]] * width), np.asarray(added), np.asarray(ending))

    def ctc(text: tuple[int, ...]) -> float:
        return max(begins_with(log_probs, text), -1e30)

    return advance


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_wide_search_finds_the_best_texts_of_both_and_of_a_scorer(seed: int, scored: bool) -> None:
    log_probs, speller = lattice(np.random.default_rng(seed), LONGEST, 3), table(seed)
    scorer = WordScorer(TEXT, build_ngrams([["a", "a"], ["a"]], order=2), word_bonus=0.4) if scored else None
    expected = {}
    for text, by_ctc in all_texts(log_probs).items():
        written = sum(speller(text[:place])[label] for place, label in enumerate((*text, 0)))
        expected[text] = written + by_ctc + (0.0 if scorer is None else added(scorer, text))
    best = sorted(expected, key=lambda text: -expected[text])[:3]
    found = joint_search([None] * 32, both(seed, log_probs, 32), width=32, longest=LONGEST, num_best=3, scorer=scorer)
    assert found[0].labels == best[0]
    assert {each.labels: each.score for each in found} == pytest.approx({each: expected[each] for each in best})
    narrow = joint_search([None], both(seed, log_probs, 1), width=1, longest=LONGEST, scorer=scorer)
    assert narrow[0].score <= found[0].score + 1e-9
    assert narrow[0].score == pytest.approx(expected[narrow[0].labels])


def test_a_text_that_ctc_cannot_read_is_none_whatever_ctc_counts() -> None:
    log_probs = lattice(np.random.default_rng(5), 2, 3)
    whole = both(2, log_probs, 8)

    def advance(*given: Any) -> tuple[list, Step]:
        texts, step = whole(*given)
        return texts, Step(step.labels, 0.3 * step.added, 0.3 * step.ending)

    found = joint_search([None] * 8, advance, width=8, longest=2, num_best=20)
    assert {each.labels for each in found} == set(all_texts(log_probs)), "(1, 1) needs three frames"


def added(scorer: WordScorer, labels: tuple[int, ...]) -> float:
    state, total = scorer.start(), 0.0
    for label in labels:
        state, more = scorer.extend(state, label)
        total += more
    return total + scorer.end(state)


def test_a_text_has_a_greatest_length() -> None:
    log_probs = lattice(np.random.default_rng(3), 6, 3)
    log_probs[:, 1] += 4
    found = joint_search([None] * 8, both(1, log_probs, 8), width=8, longest=2, num_best=20)
    assert max(len(each.labels) for each in found) == 2
    [nothing] = joint_search([None] * 2, both(1, log_probs, 2), width=2, longest=0)
    assert nothing.labels == ()
    for wrong in ({"width": 0}, {"num_best": 0}, {"longest": -1}):
        given = {"width": 1, "longest": 1} | wrong
        with pytest.raises(ValueError, match=r"must be 1 or more, longest .* 0 or more"):
            joint_search([None], both(1, log_probs, 1), **given)
