"""Language models of words, made of sentences."""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from wavejax.decoding.ngrams import END, LONGEST, NOTHING, START, UNKNOWN, NGrams

Gram = tuple[str, ...]

_NO_MASS = 1e-9
"""Probability that is left by rounding alone."""
_LONG = 3
"""Words of an n-gram that may be left out because it is rare."""
_FEW = (0.5, 1.0, 1.5)
"""Discounts where there are too few n-grams to tell."""


def build_ngrams(
    sentences: Iterable[Sequence[str]], order: int = 3, vocabulary: Collection[str] = (), fewest: int = 1
) -> NGrams:
    """A model of sentences by interpolated, modified Kneser-Ney smoothing (Chen & Goodman 1999, section 4.1).

    p(w | h) = (n(h w) - d) / n(h) + b(h) p(w | shorter h): each n-gram gives up a discount d, which depends on whether
    it was seen once, twice or more often, and what those after h give up is their weight b(h). Below the highest order
    n counts the different words before an n-gram; an n-gram that begins a sentence has none, and counts as often as it
    was seen. Single words are smoothed towards the vocabulary and one more, unknown word.

    Args:
        sentences: their words.
        order: words that an n-gram has at most.
        vocabulary: words that the model knows besides those of the sentences.
        fewest: n-grams of three words or more that were seen less often are left out, which makes a large model small;
            their probability goes to the shorter ones.

    Raises ValueError: an order outside 1 to 10, no words, or a mark (<s>, </s>, <unk>) among them.
    """
    if not 1 <= order <= LONGEST:
        raise ValueError(f"an n-gram model has an order from 1 to {LONGEST}, got {order}")
    counts = _counts(sentences, order)
    if not any(gram != (END,) for gram in counts[0]):
        raise ValueError("a language model needs words: none was given")
    probs: dict[Gram, float] = {}
    back_offs: dict[Gram, float] = {}
    for size, (grams, kept) in enumerate(zip(counts, _kept(counts, fewest), strict=True), 1):
        discounts = _discounts(grams)
        seen, given = Counter[Gram](), dict[Gram, float]()
        for gram, count in grams.items():
            seen[gram[:-1]] += count
            given[gram[:-1]] = given.get(gram[:-1], 0.0) + (_discount(discounts, count) if gram in kept else count)
        if size == 1:
            known = dict.fromkeys([*kept, *((word,) for word in vocabulary), (UNKNOWN,)])
            share = given[()] / seen[()] / len(known)
            probs = dict.fromkeys(known, share)
        for gram, count in kept.items():
            shorter = share if size == 1 else given[gram[:-1]] / seen[gram[:-1]] * _prob(probs, back_offs, gram[1:])
            probs[gram] = (count - _discount(discounts, count)) / seen[gram[:-1]] + shorter
        if size > 1:
            back_offs |= {history: given[history] / seen[history] for history in {gram[:-1] for gram in kept}}
    return _in_logs(order, probs, back_offs)


def _counts(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """Of n-grams by their number of words, from one: how often each was seen, or how many words were seen before it."""
    counts = [Counter[Gram]() for _ in range(order)]
    for sentence in sentences:
        if marks := {START, END, UNKNOWN} & {*sentence}:
            raise ValueError(f"{min(marks)} stands for no word, but is one of the sentence {' '.join(sentence)[:60]!r}")
        padded = [START, *sentence, END]
        for n in range(1, order + 1):
            counts[n - 1].update(tuple(padded[i : i + n]) for i in range(len(padded) - n + 1))
    for shorter, longer in itertools.pairwise(counts):
        first = {gram: count for gram, count in shorter.items() if gram[0] == START}
        shorter.clear()
        shorter.update(gram[1:] for gram in longer)
        shorter.update(first)
    del counts[0][(START,)]
    return counts


def _kept(counts: Sequence[Mapping[Gram, int]], fewest: int) -> list[dict[Gram, int]]:
    """The n-grams of a model: frequent or short ones, and histories of longer ones."""
    found, histories = list[dict[Gram, int]](), set[Gram]()
    for size, grams in reversed(list(enumerate(counts, 1))):
        found.append({gram: n for gram, n in grams.items() if size < _LONG or n >= fewest or gram in histories})
        histories = {gram[:-1] for gram in found[-1]}
    return found[::-1]


def _discounts(grams: Mapping[Gram, int]) -> tuple[float, ...]:
    """What n-grams that were seen once, twice, three times or more give up; by the numbers of those seen 1 to 4 times.

    Where one of these numbers is 0, as in a text of a few lines, or a discount is none, it is .5, 1 and 1.5.
    """
    ones, twos, threes, fours = (sum(count == times for count in grams.values()) for times in (1, 2, 3, 4))
    if min(ones, twos, threes, fours) > 0:
        share = ones / (ones + 2 * twos)
        found = (1 - 2 * share * twos / ones, 2 - 3 * share * threes / twos, 3 - 4 * share * fours / threes)
        if min(found) > 0:
            return found
    return _FEW


def _discount(discounts: Sequence[float], count: int) -> float:
    return discounts[min(count, len(discounts)) - 1]


def mix_ngrams(one: NGrams, other: NGrams, share: float) -> NGrams:
    """A back-off model whose n-grams have the probability `share` p_one + (1 - share) p_other.

    It holds the n-grams of both; what neither has seen is left to shorter histories, whose weights make the
    probabilities sum to one (as SRILM mixes models, Stolcke 2002).

    Raises ValueError: a share outside 0 to 1, or models that know different words, whose probabilities then mean
    different things: give both the same vocabulary (`build_ngrams`).
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of a language model in a mixture is from 0 to 1, got {share}")
    words = [{gram for gram in each.log_probs if len(gram) == 1} for each in (one, other)]
    if words[0] != words[1]:
        ((stray,), *_) = sorted(words[0] ^ words[1])
        raise ValueError(
            f"two language models that are mixed must know the same words, but only one knows {stray!r}: build both "
            "with the vocabulary of both"
        )
    order = max(one.order, other.order)
    probs: dict[Gram, float] = {}
    back_offs: dict[Gram, float] = {}
    for n in range(1, order + 1):
        grams = dict.fromkeys(gram for each in (one, other) for gram in each.log_probs if len(gram) == n)
        found, below = dict[Gram, float](), dict[Gram, float]()
        for gram in grams:
            if gram == (START,):
                continue
            each = (10 ** model.log_prob(gram[:-1], gram[-1]) for model in (one, other))
            probs[gram] = sum(part * prob for part, prob in zip((share, 1 - share), each, strict=True))
            found[gram[:-1]] = found.get(gram[:-1], 0.0) + probs[gram]
            if n > 1:
                below[gram[:-1]] = below.get(gram[:-1], 0.0) + _prob(probs, back_offs, gram[1:])
        if n > 1:
            back_offs |= {
                history: (1 - seen) / (1 - below[history])
                for history, seen in found.items()
                if min(1 - seen, 1 - below[history]) > _NO_MASS
            }
    return _in_logs(order, probs, back_offs)


def _in_logs(order: int, probs: Mapping[Gram, float], back_offs: Mapping[Gram, float]) -> NGrams:
    logs = {gram: math.log10(prob) for gram, prob in probs.items()} | {(START,): NOTHING}
    return NGrams(order, logs, {history: math.log10(weight) for history, weight in back_offs.items()})


def _prob(probs: Mapping[Gram, float], back_offs: Mapping[Gram, float], gram: Gram) -> float:
    """p(last word | those before it), with weights as factors."""
    weight = 1.0
    while gram not in probs:
        weight *= back_offs.get(gram[:-1], 1.0)
        gram = gram[1:]
    return weight * probs[gram]


__all__ = ["build_ngrams", "mix_ngrams"]
