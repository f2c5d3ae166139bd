"""What a rule sees, and what it returns: a place in a text, and the words that are spoken for what stands there."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

Phones = tuple[str, ...]


class Spoken(NamedTuple):
    """A word as it is spoken, with its pronunciation where it is not that of the lexicon."""

    text: str
    phones: Phones | None = None
    is_letter: bool = False
    """Read by its name: the letter A, not the article."""


@dataclass
class Found:
    """What a rule has read: up to where, and as which words.

    may_end_sentence: its last character is a full stop that may also end the sentence.
    """

    end: int
    words: list[Spoken]
    may_end_sentence: bool = False


@dataclass
class Place:
    """A place in a text, and what was read before it in the same sentence.

    text: plain characters. at: where the rule begins to read. before: the last spoken word of the sentence, "" at its
    beginning. raw: the same as it is written. earlier: the word before that.
    """

    text: str
    at: int
    before: str = ""
    raw: str = ""
    earlier: str = ""
    title: bool = field(default=False)
    """The words before it begin with King, Queen or the like."""

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The pattern, anchored here."""
        return pattern.match(self.text, self.at)

    def next_word(self, end: int) -> str:
        """The word of letters that follows `end`, after one space or a hyphen at most; "" where none does."""
        found = _NEXT.match(self.text, end)
        return found.group(1) if found else ""


Rule = Callable[[Place], Found | None]

_NEXT = re.compile(r"[ \-]?([A-Za-z][A-Za-z']{0,40})")


def words(texts: Iterable[str]) -> list[Spoken]:
    """Words that the lexicon pronounces."""
    return [Spoken(text) for text in texts]


def letters(text: str, ending: str = "") -> list[Spoken]:
    """The names of letters; with the ending s or 's on the last one."""
    spoken = [Spoken(letter.lower(), None, True) for letter in text]
    if ending and spoken:
        spoken[-1] = spoken[-1]._replace(text=spoken[-1].text + "'s")
    return spoken


__all__ = ["Found", "Place", "Rule", "Spoken", "letters", "words"]
