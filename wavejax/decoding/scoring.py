"""What a beam's words are scored by: a language model, and words that are expected."""

import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wavejax.decoding.ngrams import END, LONGEST, START, UNKNOWN, NGrams
from wavejax.text import TextError, TextSpec


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
        return _State((*state.history, state.word)[-LONGEST:], ""), self._score(state.history, state.word)

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


__all__ = ["Search", "WordScorer"]
