"""A text as a speaker says it: sentence by sentence, as symbols of the model, with the words that they belong to."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wavejax.text import TextError, english_lexicon, normalized
from wavejax.text.grapheme_to_phoneme import english_grapheme_to_phoneme
from wavejax.text.phonemes import PUNCTUATION, WORD_BOUNDARY, punctuation

MOST_SYMBOLS = 512
"""Of a sentence; a longer one is said in parts."""
_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+|\n+|$)")


@dataclass(frozen=True, kw_only=True)
class SaidWord:
    """A word of a sentence."""

    text: str
    """As it is written."""
    first: int
    last: int
    """Its symbols are number `first` to before `last` of the sentence."""


@dataclass(frozen=True, kw_only=True)
class SaidSentence:
    """What is said in one go."""

    symbols: tuple[str, ...]
    """A space, phonemes of words with a space or a mark after each; the last is one of . , ? !"""
    words: tuple[SaidWord, ...]


def sentences(text: str) -> Iterator[SaidSentence]:
    """The sentences of an English text. Raises TextError where it cannot be read."""
    for found in _SENTENCE.findall(text):
        symbols, words = [WORD_BOUNDARY], []
        for written in found.split():
            bare = normalized(written, "en")
            for word in bare.split():
                phones = english_lexicon().phones(word) or english_grapheme_to_phoneme().phones(word)
                words.append(SaidWord(text=word, first=len(symbols), last=len(symbols) + len(phones)))
                symbols += [*phones, WORD_BOUNDARY]
            mark = punctuation(written[-1])
            if mark and words:
                symbols[-1] = mark
        if words:
            symbols[-1] = symbols[-1] if symbols[-1] in PUNCTUATION else "."
            yield SaidSentence(symbols=tuple(symbols), words=tuple(words))


__all__ = ["MOST_SYMBOLS", "SaidSentence", "SaidWord", "TextError", "sentences"]
