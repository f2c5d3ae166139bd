"""Words and symbols with their times: what is heard in a recording, or said in one that is made (floor 1, no jax)."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A letter or a phoneme, and when it is said."""

    text: str
    start: float
    end: float
    """Seconds from the recording's beginning."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word and when it is said."""

    text: str
    start: float
    end: float
    """Seconds from the recording's beginning."""
    confidence: float = 1.0
    """Geometric mean of its symbols' probabilities, 0 to 1; 1 where the word is known."""
    symbols: tuple[Symbol, ...] = ()
    written: str = ""
    """As the text has it, with the marks around it: "Yes," he said; empty: as `text`."""

    @property
    def shown(self) -> str:
        """For people: as it is written."""
        return self.written or self.text

    def later(self, seconds: float) -> "Word":
        """The same word, said some seconds later."""
        symbols = tuple(replace(each, start=each.start + seconds, end=each.end + seconds) for each in self.symbols)
        return replace(self, start=self.start + seconds, end=self.end + seconds, symbols=symbols)


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
        """The words as they are written, and what is between them."""
        return self.separator.join(word.shown for word in self.words)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """Of all words, one after the other."""
        return tuple(symbol for word in self.words for symbol in word.symbols)

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-able; times are rounded to milliseconds."""
        return {
            "text": self.text,
            "duration": round(self.duration, 3),
            "words": [
                {
                    "text": word.shown,
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


__all__ = ["Symbol", "Transcript", "Word"]
