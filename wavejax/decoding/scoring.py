"""What a beam's words are scored by: a language model, and words that are expected."""

import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wavejax.decoding.ngrams import END, LONGEST, START, UNKNOWN, NGrams
from wavejax.text import TextError, TextSpec

_WEIGHT = 0.7
_WORD_BONUS = 1.0
_NEW_WORD = -12.0

_MOST_PROMISES = 500_000
"""Beginnings of words that are remembered, each after its history: at most some hundred megabytes."""


class _State(NamedTuple):
    """Of a scorer: the words so far, the beginning of the next one, and what was added for that beginning."""

    history: tuple[str, ...]
    word: str
    promised: float = 0.0


class BestWords:
    """How probable a word can become of which only the beginning is known: a tree of a model's words for each history.

    Trees are made when they are first asked for. They are kept as tables, from beginnings to log10 probabilities.
    """

    def __init__(self, ngrams: NGrams) -> None:
        self._ngrams = ngrams
        self._after: dict[tuple[str, ...], list[tuple[str, float]]] = {}
        for gram, log_prob in ngrams.log_probs.items():
            if gram[-1] not in (START, END, UNKNOWN):
                self._after.setdefault(gram[:-1], []).append((gram[-1], log_prob))
        self._tables: dict[tuple[str, ...], dict[str, float]] = {}

    def __call__(self, history: Sequence[str], beginning: str) -> float:
        """log10 of the highest probability of a word with this beginning after a history; -inf where there is none.

        It may be too high where the n-gram of a word is less probable than what its back-off would give, and is never
        too low.
        """
        context = tuple(history)[-(self._ngrams.order - 1) :] if self._ngrams.order > 1 else ()
        best, weight = -math.inf, 0.0
        while True:
            best = max(best, weight + self._table(context).get(beginning, -math.inf))
            if not context:
                return best
            weight += self._ngrams.back_offs.get(context, 0.0)
            context = context[1:]

    def _table(self, context: tuple[str, ...]) -> dict[str, float]:
        if context not in self._after:
            return {}
        if context not in self._tables:
            table: dict[str, float] = {}
            for word, log_prob in self._after[context]:
                for end in range(1, len(word) + 1):
                    beginning = word[:end]
                    if log_prob > table.get(beginning, -math.inf):
                        table[beginning] = log_prob
            self._tables[context] = table
        return self._tables[context]


@dataclass(frozen=True)
class WordScorer:
    """Scores the words of a beam: a language model, a bonus for each word, and one for words that are expected.

    The score of a word is known when it ends. A beam that waits for that drops likely words whose beginnings are no
    better than others'. So the beginning of a word is given the best score that a word with it can have (language model
    look-ahead, Ortmanns et al. 1996), and the difference is put right when the word goes on and ends: the score of a
    whole text is the same with and without.

    text: whose labels the beam has. ngrams: None adds nothing. weight: of the natural log of the language model's
    probability. word_bonus: for each word, which makes up for what the language model takes. hot_words: words that are
    expected, as they are spoken; hot_bonus: for each of them. new_word: natural log of a probability, added for each
    word that the language model does not know and that is not expected, beside that of its <unk> (of its rarest word
    where it has no <unk>), which stands for all unknown words together. look_ahead: whether beginnings are scored.
    """

    text: TextSpec
    ngrams: NGrams | None = None
    weight: float = _WEIGHT
    word_bonus: float = _WORD_BONUS
    hot_words: Collection[str] = ()
    hot_bonus: float = 5.0
    new_word: float = _NEW_WORD
    look_ahead: bool = True

    @functools.cached_property
    def _space(self) -> int:
        return self.text.space

    @functools.cached_property
    def _best(self) -> BestWords | None:
        return None if self.ngrams is None else BestWords(self.ngrams)

    @functools.cached_property
    def _rarest(self) -> float:
        """log10 probability of the rarest word."""
        log_probs = self.ngrams.log_probs.items() if self.ngrams is not None else ()
        return min((log_prob for gram, log_prob in log_probs if len(gram) == 1 and gram != (START,)), default=0.0)

    @functools.cached_property
    def _promises(self) -> dict[tuple[tuple[str, ...], str], float]:
        """By history and beginning: those that were asked for."""
        return {}

    def start(self) -> _State:
        """No words."""
        return _State((START,), "")

    def extend(self, state: _State, label: int) -> tuple[_State, float]:
        """A letter changes what its word can become; a space ends a word, whose score is known then."""
        if label != self._space:
            word = state.word + self.text.symbols[label - 1]
            promised = self._promise(state.history, word) if self.look_ahead else 0.0
            return _State(state.history, word, promised), promised - state.promised
        if not state.word:
            return state, 0.0
        score = self._score(state.history, state.word)
        return _State((*state.history, state.word)[-LONGEST:], ""), score - state.promised

    def end(self, state: _State) -> float:
        """The last word, and the end of the sentence."""
        total, history = 0.0, state.history
        if state.word:
            total, history = self._score(history, state.word) - state.promised, (*history, state.word)
        if self.ngrams is not None and END in self.ngrams:
            total += self._weighted(self.ngrams.log_prob(history, END))
        return total

    def _promise(self, history: tuple[str, ...], word: str) -> float:
        """The best score of a word that begins so; of a hot word's bonus as much as there is of its letters."""
        context = history[-(self.ngrams.order - 1) :] if self.ngrams is not None and self.ngrams.order > 1 else ()
        key = (context, word)
        if key not in self._promises:
            if len(self._promises) >= _MOST_PROMISES:
                self._promises.clear()
            hot = [each for each in self.hot_words if each.startswith(word)]
            found = [self._score(context, each) - self.hot_bonus * (1 - len(word) / len(each)) for each in hot]
            found.append(self._new(context))
            if self._best is not None:
                found.append(self._weighted(self._best(context, word)) + self.word_bonus)
            self._promises[key] = max(found)
        return self._promises[key]

    def _score(self, history: Sequence[str], word: str) -> float:
        hot = self.hot_bonus if word in self.hot_words else 0.0
        if self.ngrams is None:
            return hot
        if word in self.ngrams:
            return hot + self._weighted(self.ngrams.log_prob(history, word)) + self.word_bonus
        return hot + self._new(history) - (self.new_word if hot else 0.0)

    def _new(self, history: Sequence[str]) -> float:
        """The score of a word that the language model does not know; 0 without one."""
        if self.ngrams is None:
            return 0.0
        log_prob = self.ngrams.log_prob(history, UNKNOWN) if UNKNOWN in self.ngrams else self._rarest
        return self._weighted(log_prob) + self.word_bonus + self.new_word

    def _weighted(self, log_prob: float) -> float:
        return self.weight * math.log(10.0) * log_prob


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a beam is searched: its width, and what its words are scored by (see `WordScorer`)."""

    width: int = 16
    """Texts that are kept after each frame. 0 reads the most probable symbol of each frame, and nothing else counts."""
    ngrams: NGrams | None = None
    weight: float = _WEIGHT
    word_bonus: float = _WORD_BONUS
    hot_words: tuple[str, ...] = ()
    hot_bonus: float = 5.0
    new_word: float = _NEW_WORD

    @functools.cached_property
    def _scorers(self) -> dict[TextSpec, WordScorer]:
        return {}

    def scorer(self, text: TextSpec) -> WordScorer | None:
        """For labels of this spec, the same one each time; None where nothing but the probabilities counts.

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
        if text not in self._scorers:
            hot = frozenset(part for word in words for part in word.split())
            self._scorers[text] = WordScorer(
                text, self.ngrams, self.weight, self.word_bonus, hot, self.hot_bonus, self.new_word
            )
        return self._scorers[text]


GREEDY = Search(width=0)
"""The most probable symbol of each frame: words are written as they sound."""

__all__ = ["GREEDY", "BestWords", "Search", "WordScorer"]
