"""Language models of words: built from text, read and written in the ARPA format, and used to score a beam's words."""

import functools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wavejax.text import TextError, TextSpec

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
_NOTHING = -99.0
"""The log10 probability that ARPA files have where there is none."""
_LONGEST = 10


class NGramError(ValueError):
    """A file that is no ARPA language model; the message names the line."""


@dataclass(frozen=True)
class NGrams:
    """A back-off model: log10 of p(word | the words before it), and log10 of the weight where those were not seen."""

    order: int
    log_probs: Mapping[tuple[str, ...], float]
    """Of n-grams, the predicted word last."""
    back_offs: Mapping[tuple[str, ...], float]
    """Of histories; 0 where there is none."""

    def __contains__(self, word: str) -> bool:
        return (word,) in self.log_probs

    def log_prob(self, history: Sequence[str], word: str) -> float:
        """log10 p(word | history); of a word that the model does not know that of <unk>, or -99 without one."""
        if word not in self:
            word = UNKNOWN
            if word not in self:
                return _NOTHING
        context = tuple(history)[-(self.order - 1) :] if self.order > 1 else ()
        weight = 0.0
        while (*context, word) not in self.log_probs:
            weight += self.back_offs.get(context, 0.0)
            context = context[1:]
        return weight + self.log_probs[(*context, word)]

    def sentence(self, words: Iterable[str]) -> float:
        """log10 of the probability of a whole sentence, its end included."""
        history, total = [START], 0.0
        for word in (*words, END):
            total += self.log_prob(history, word)
            history.append(word)
        return total

    def to_arpa(self) -> str:
        """In the ARPA format, as SRILM and KenLM read it."""
        by_order = [sorted(gram for gram in self.log_probs if len(gram) == n) for n in range(1, self.order + 1)]
        lines = ["\\data\\", *(f"ngram {n}={len(grams)}" for n, grams in enumerate(by_order, 1))]
        for n, grams in enumerate(by_order, 1):
            lines += ["", f"\\{n}-grams:"]
            for gram in grams:
                back_off = f"\t{self.back_offs[gram]:.6f}" if gram in self.back_offs else ""
                lines.append(f"{self.log_probs[gram]:.6f}\t{' '.join(gram)}{back_off}")
        return "\n".join([*lines, "", "\\end\\", ""])


def build_ngrams(sentences: Iterable[Sequence[str]], order: int = 3) -> NGrams:
    """A model of sentences by interpolated Witten-Bell smoothing (Witten & Bell 1991, method C).

    p(w | h) = (n(h w) + s(h) p(w | shorter h)) / (n(h) + s(h)), where s(h) counts the different words seen after h; the
    words themselves are smoothed towards one more, unknown word.

    Raises ValueError: an order outside 1 to 10, or no words.
    """
    if not 1 <= order <= _LONGEST:
        raise ValueError(f"an n-gram model has an order from 1 to {_LONGEST}, got {order}")
    counts = [Counter[tuple[str, ...]]() for _ in range(order)]
    for sentence in sentences:
        padded = [START, *sentence, END]
        for n in range(1, order + 1):
            counts[n - 1].update(tuple(padded[i : i + n]) for i in range(len(padded) - n + 1))
    del counts[0][(START,)]
    if not any(gram != (END,) for gram in counts[0]):
        raise ValueError("a language model needs words: none was given")
    kinds, total = len(counts[0]), sum(counts[0].values())
    share = kinds / (total + kinds) / (kinds + 1)  # of each word and of the unknown one
    probs = {gram: count / (total + kinds) + share for gram, count in counts[0].items()}
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
    logs = {gram: math.log10(prob) for gram, prob in probs.items()} | {(START,): _NOTHING}
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


def read_arpa(text: str, name: str = "the language model") -> NGrams:
    """The inverse of `NGrams.to_arpa`, for files of any maker.

    Raises NGramError: names the first line that is no part of the format.
    """
    logs: dict[tuple[str, ...], float] = {}
    back_offs: dict[tuple[str, ...], float] = {}
    announced: dict[int, int] = {}
    order, ended = 0, False
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        where = f"line {number} of {name}"
        if not fields or (not announced and fields != ["\\data\\"] and fields[0] != "ngram"):
            continue  # empty lines, and what stands before the model
        if fields == ["\\end\\"]:
            ended = True
            break
        if fields[0] == "ngram" and not order:
            announced |= _announced(fields, where)
        elif fields[0].endswith("-grams:"):
            order += 1
            if fields[0] != f"\\{order}-grams:" or order not in announced:
                raise NGramError(f"{where} is {line!r}; expected the {order}-grams that the head announces")
        elif order:
            gram, log_prob, back_off = _gram(fields, order, where)
            logs[gram] = log_prob
            if back_off is not None:
                back_offs[gram] = back_off
        elif fields != ["\\data\\"]:
            raise NGramError(f"{where} is {line!r}; expected a line like ngram 1=5000")
    if not logs or not ended:
        why = "it does not end with \\end\\" if logs else "no n-grams"
        raise NGramError(f"{name} is no ARPA language model: {why}")
    for n, count in announced.items():
        found = sum(len(gram) == n for gram in logs)
        if found != count:
            raise NGramError(f"{name} announces {count} {n}-grams and holds {found}: it was cut short or damaged")
    return NGrams(max(announced), logs, back_offs)


def _announced(fields: Sequence[str], where: str) -> dict[int, int]:
    order, equals, count = " ".join(fields[1:]).partition("=")
    if not (equals and order.strip().isdigit() and count.strip().isdigit() and 1 <= int(order) <= _LONGEST):
        raise NGramError(
            f"{where} is {' '.join(fields)!r}; expected a line like ngram 1=5000, of order 1 to {_LONGEST}"
        )
    return {int(order): int(count)}


def _gram(fields: Sequence[str], order: int, where: str) -> tuple[tuple[str, ...], float, float | None]:
    try:
        numbers = [float(fields[0]), *(float(each) for each in fields[order + 1 :])]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2 or len(fields) < order + 1 or not all(map(math.isfinite, numbers)):
        raise NGramError(f"{where} is no {order}-gram: expected a log10 probability, {order} words, and maybe a weight")
    return tuple(fields[1 : order + 1]), numbers[0], numbers[1] if len(numbers) == 2 else None


class _State(NamedTuple):
    """Of a scorer: the words so far, and the beginning of the next one."""

    history: tuple[str, ...]
    word: str


@dataclass(frozen=True)
class WordScorer:
    """Scores the words of a beam: a language model, a bonus for each word, and one for words that are expected.

    text: whose labels the beam has. ngrams: None adds nothing. weight: of the natural log of the language model's
    probability. word_bonus: for each word, which makes up for what the language model takes. hot_words: words that are
    expected, as they are spoken; hot_bonus: for each of them. unknown: instead of the language model's log10
    probability of a word that it does not know, where it has no <unk>.
    """

    text: TextSpec
    ngrams: NGrams | None = None
    weight: float = 0.5
    word_bonus: float = 1.0
    hot_words: Collection[str] = ()
    hot_bonus: float = 5.0
    unknown: float = -6.0

    @functools.cached_property
    def _space(self) -> int:
        return self.text.space

    def start(self) -> _State:
        """No words."""
        return _State((START,), "")

    def extend(self, state: _State, label: int) -> tuple[_State, float]:
        """A space ends a word, which is scored."""
        if label != self._space:
            return _State(state.history, state.word + self.text.symbols[label - 1]), 0.0
        if not state.word:
            return state, 0.0
        return _State((*state.history, state.word)[-_LONGEST:], ""), self._score(state.history, state.word)

    def end(self, state: _State) -> float:
        """The last word, and the end of the sentence."""
        total, history = 0.0, state.history
        if state.word:
            total, history = self._score(history, state.word), (*history, state.word)
        if self.ngrams is not None and END in self.ngrams:
            total += self.weight * math.log(10.0) * self.ngrams.log_prob(history, END)
        return total

    def _score(self, history: Sequence[str], word: str) -> float:
        total = self.hot_bonus if word in self.hot_words else 0.0
        if self.ngrams is None:
            return total
        known = word in self.ngrams or UNKNOWN in self.ngrams
        log_prob = self.ngrams.log_prob(history, word) if known else self.unknown
        return total + self.weight * math.log(10.0) * log_prob + self.word_bonus


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a beam is searched: its width, and what its words are scored by (see `WordScorer`)."""

    width: int = 16
    """Texts that are kept after each frame."""
    ngrams: NGrams | None = None
    weight: float = 0.5
    word_bonus: float = 1.0
    hot_words: tuple[str, ...] = ()
    hot_bonus: float = 5.0

    def scorer(self, text: TextSpec) -> WordScorer | None:
        """For labels of this spec; None where nothing but the probabilities counts.

        Raises TextError: a hot word that the spec cannot express, or a spec of phonemes, which have no words.
        """
        if self.ngrams is None and not self.hot_words:
            return None
        if text.phonemic:
            raise TextError(
                f"a language model and hot words are made of words, but the text spec {text.name!r} writes phonemes: "
                "search without them"
            )
        words = [text.normalize(word) for word in self.hot_words]
        for word in words:
            text.encode(word)
        split = {part for word in words for part in word.split()}
        return WordScorer(text, self.ngrams, self.weight, self.word_bonus, frozenset(split), self.hot_bonus)


__all__ = ["NGramError", "NGrams", "Search", "WordScorer", "build_ngrams", "read_arpa"]
