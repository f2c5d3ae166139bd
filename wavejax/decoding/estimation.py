"""Language models of words, made of sentences."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from wavejax.decoding.ngrams import END, LONGEST, NOTHING, START, UNKNOWN, NGrams

_NO_MASS = 1e-9
"""Probability that is left by rounding alone."""


def build_ngrams(sentences: Iterable[Sequence[str]], order: int = 3, vocabulary: Collection[str] = ()) -> NGrams:
    """A model of sentences by interpolated Witten-Bell smoothing (Witten & Bell 1991, method C).

    p(w | h) = (n(h w) + s(h) p(w | shorter h)) / (n(h) + s(h)), where s(h) counts the different words seen after h; the
    words themselves are smoothed towards the vocabulary and one more, unknown word.

    Args:
        sentences: their words.
        order: words that an n-gram has at most.
        vocabulary: words that the model knows besides those of the sentences.

    Raises ValueError: an order outside 1 to 10, no words, or a mark (<s>, </s>, <unk>) among them.
    """
    if not 1 <= order <= LONGEST:
        raise ValueError(f"an n-gram model has an order from 1 to {LONGEST}, got {order}")
    counts = [Counter[tuple[str, ...]]() for _ in range(order)]
    for sentence in sentences:
        if marks := {START, END, UNKNOWN} & {*sentence}:
            raise ValueError(f"{min(marks)} stands for no word, but is one of the sentence {' '.join(sentence)[:60]!r}")
        padded = [START, *sentence, END]
        for n in range(1, order + 1):
            counts[n - 1].update(tuple(padded[i : i + n]) for i in range(len(padded) - n + 1))
    del counts[0][(START,)]
    if not any(gram != (END,) for gram in counts[0]):
        raise ValueError("a language model needs words: none was given")
    kinds, total = len(counts[0]), sum(counts[0].values())
    known = dict.fromkeys([*counts[0], *((word,) for word in vocabulary)])
    share = kinds / (total + kinds) / (len(known) + 1)  # of each word and of the unknown one
    probs = {gram: counts[0][gram] / (total + kinds) + share for gram in known}
    probs[(UNKNOWN,)] = share
    back_offs: dict[tuple[str, ...], float] = {}
    for grams in counts[1:]:
        seen, after = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for gram, count in grams.items():
            seen[gram[:-1]] += count
            after[gram[:-1]] += 1
        for gram, count in grams.items():
            history = gram[:-1]
            shorter = _prob(probs, back_offs, gram[1:])
            probs[gram] = (count + after[history] * shorter) / (seen[history] + after[history])
        back_offs |= {history: after[history] / (seen[history] + after[history]) for history in seen}
    return _in_logs(order, probs, back_offs)


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
    probs: dict[tuple[str, ...], float] = {}
    back_offs: dict[tuple[str, ...], float] = {}
    for n in range(1, order + 1):
        grams = dict.fromkeys(gram for each in (one, other) for gram in each.log_probs if len(gram) == n)
        found, below = dict[tuple[str, ...], float](), dict[tuple[str, ...], float]()
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


def _in_logs(order: int, probs: Mapping[tuple[str, ...], float], back_offs: Mapping[tuple[str, ...], float]) -> NGrams:
    logs = {gram: math.log10(prob) for gram, prob in probs.items()} | {(START,): NOTHING}
    return NGrams(order, logs, {history: math.log10(weight) for history, weight in back_offs.items()})


def _prob(
    probs: Mapping[tuple[str, ...], float], back_offs: Mapping[tuple[str, ...], float], gram: tuple[str, ...]
) -> float:
    """p(last word | those before it), with weights as factors."""
    weight = 1.0
    while gram not in probs:
        weight *= back_offs.get(gram[:-1], 1.0)
        gram = gram[1:]
    return weight * probs[gram]


__all__ = ["build_ngrams", "mix_ngrams"]
