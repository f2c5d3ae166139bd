"""A text as it is read aloud, whatever its language: sentences, words and pauses, and the characters they come from."""

from collections.abc import Iterator
from dataclasses import dataclass

from wavejax.text.phonemes import WORD_BOUNDARY
from wavejax.text.pronunciation import Phones, Source

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Word:
    """A spoken word.

    text: as it is spoken, in small letters: "forty". span: start and end of the characters of the original text that
    it comes from; the words of "$45.50" share theirs. phones: its phonemes. source: where these are from: the lexicon,
    a rule (regular forms, prefixes), a guess, or given in the text. rate: times the usual speed.
    pitch: semitones above the usual pitch.
    """

    text: str
    span: Span
    phones: Phones
    source: Source = "lexicon"
    rate: float = 1.0
    pitch: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A pause, or the melody at the end of a sentence.

    symbol: "," "." "?" or "!". span: the characters that ask for it. seconds: its length where the text says it (SSML),
    else None: the voice decides.
    """

    symbol: str
    span: Span
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """Words and pauses in the order in which they are spoken; the last one is a pause.

    ends_paragraph: a blank line follows, or the text ends.
    """

    parts: tuple[Word | Pause, ...]
    ends_paragraph: bool = False

    @property
    def words(self) -> tuple[Word, ...]:
        """Without the pauses."""
        return tuple(part for part in self.parts if isinstance(part, Word))

    @property
    def text(self) -> str:
        """The words as they are spoken, with single spaces."""
        return " ".join(word.text for word in self.words)

    @property
    def span(self) -> Span:
        """Start and end of its characters in the original text."""
        return self.parts[0].span[0], max(part.span[1] for part in self.parts)

    @property
    def symbols(self) -> tuple[str, ...]:
        """What a model sees: phonemes, a space between words that no pause separates, and the pauses' symbols."""
        return tuple(symbol for symbol, _ in self._numbered())

    @property
    def owners(self) -> tuple[int | None, ...]:
        """For each of `symbols` the number of its part in `parts`; None for the space between two words."""
        return tuple(owner for _, owner in self._numbered())

    def _numbered(self) -> Iterator[tuple[str, int | None]]:
        after_word = False
        for number, part in enumerate(self.parts):
            if isinstance(part, Pause):
                yield part.symbol, number
            else:
                if after_word:
                    yield WORD_BOUNDARY, None
                yield from ((phone, number) for phone in part.phones)
            after_word = isinstance(part, Word)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A text as it is read aloud.

    text: the original. sentences: in order. notes: sentences about what is not spoken.
    """

    text: str
    sentences: tuple[Sentence, ...]
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[Word, ...]:
        """Of all sentences."""
        return tuple(word for sentence in self.sentences for word in sentence.words)

    @property
    def spoken(self) -> str:
        """All words as they are spoken, with single spaces."""
        return " ".join(word.text for word in self.words)


__all__ = ["Pause", "Reading", "Sentence", "Span", "Word"]
