"""What was heard: text, words and symbols with their times."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wavejax.data.alignments import AlignedUtterance, Interval
from wavejax.decoding import Spike
from wavejax.text import TextSpec


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A symbol and when it is heard."""

    text: str
    start: float
    end: float
    """Seconds from the recording's beginning."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word and when it is heard."""

    text: str
    start: float
    end: float
    """Seconds from the recording's beginning."""
    confidence: float
    """Geometric mean of its symbols' probabilities, 0 to 1."""
    symbols: tuple[Symbol, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """A recording's words."""

    words: tuple[Word, ...]
    duration: float
    """Of the recording, seconds."""
    separator: str = " "
    """Between words; " | " where symbols are phonemes, which have spaces between them."""

    @property
    def text(self) -> str:
        """The words and what is between them."""
        return self.separator.join(word.text for word in self.words)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """Of all words, one after the other."""
        return tuple(symbol for word in self.words for symbol in word.symbols)

    def to_alignment(self, name: str) -> AlignedUtterance:
        """As `alignments.jsonl` has it: symbols with a space between words, and words. `name` is the utterance's id.

        Raises AlignmentError where there are no words.
        """
        phones: list[Interval] = []
        for word in self.words:
            if phones:
                phones.append(Interval(" ", phones[-1].end, word.start))
            phones += [Interval(symbol.text, symbol.start, symbol.end) for symbol in word.symbols]
        words = tuple(Interval(word.text, word.start, word.end) for word in self.words)
        return AlignedUtterance(id=name, phones=tuple(phones), words=words)

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-able; times are rounded to milliseconds."""
        return {
            "text": self.text,
            "duration": round(self.duration, 3),
            "words": [
                {
                    "text": word.text,
                    "start": round(word.start, 3),
                    "end": round(word.end, 3),
                    "confidence": round(word.confidence, 4),
                    "symbols": [
                        {"text": symbol.text, "start": round(symbol.start, 3), "end": round(symbol.end, 3)}
                        for symbol in word.symbols
                    ],
                }
                for word in self.words
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was heard of a stream so far."""

    final: str
    """Words that are complete: nothing that is said later changes them."""
    partial: str
    """The beginning of a word that may go on."""
    is_last: bool = False
    """The stream has ended: all of it is final."""

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.final} {self.partial}".strip()


def transcript_of(spikes: Sequence[Spike], text: TextSpec, seconds_per_frame: float, duration: float) -> Transcript:
    """The words of a sequence of symbols, split at spaces.

    Args:
        spikes: symbols in order, with the frames in which they are heard.
        text: whose classes their labels are.
        seconds_per_frame: of the frames.
        duration: of the recording; no time lies past it.
    """
    words, current = [], []
    for spike in (*spikes, None):
        if spike is not None and spike.label != text.space:
            current.append(spike)
        elif current:
            words.append(_word(current, text, seconds_per_frame, duration))
            current = []
    return Transcript(words=tuple(words), duration=duration, separator=" | " if text.phonemic else " ")


def _word(spikes: Sequence[Spike], text: TextSpec, seconds_per_frame: float, duration: float) -> Word:
    symbols = tuple(
        Symbol(
            text=text.decode([spike.label]),
            start=min(spike.first * seconds_per_frame, duration),
            end=min(spike.last * seconds_per_frame, duration),
        )
        for spike in spikes
    )
    return Word(
        text=text.decode(spike.label for spike in spikes),
        start=symbols[0].start,
        end=symbols[-1].end,
        confidence=math.exp(float(np.mean([spike.log_prob for spike in spikes]))),
        symbols=symbols,
    )


__all__ = ["Heard", "Symbol", "Transcript", "Word", "transcript_of"]
