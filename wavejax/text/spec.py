"""Which symbols a model reads or writes, as one frozen value that travels with its parameters."""

import dataclasses
import functools
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, SupportsInt

import numpy as np
from jaxtyping import Int

from wavejax.limits import shown
from wavejax.text.errors import TextError
from wavejax.text.normalization import normalized
from wavejax.text.phonemes import PUNCTUATION, SYMBOLS, WORD_BOUNDARY
from wavejax.text.russian.sounds import PHONES

BLANK = 0
"""The class that stands for no symbol; symbol i of a spec is class i + 1."""
BOUNDARY = "|"
"""How a text of phonemes writes the space between words."""

Language = Literal["en", "ru"]


@dataclass(frozen=True, kw_only=True)
class TextSpec:
    """A language's symbols and how a transcript becomes a sequence of them. Two equal specs give equal labels.

    name: the spec's name; it is ignored when specs are compared.
    language: whose rules the normaliser follows.
    symbols: the space between words among them; class i + 1 is symbols[i], class 0 is the blank.
    normalizer: "spoken-1": symbols are single characters, and a transcript becomes what is spoken by the rules of
        `wavejax.text.normalization`. "phonemes-1": symbols are phonemes and punctuation marks, and a transcript names
        them already, with spaces between and "|" for the space between words: "DH AH0 | K AE1 T ."

    Raises ValueError at construction on symbols that are not different, or not written as the normaliser needs them.
    """

    name: str = dataclasses.field(compare=False)
    language: Language
    symbols: tuple[str, ...]
    normalizer: Literal["spoken-1", "phonemes-1"] = "spoken-1"

    def __post_init__(self) -> None:
        if self.phonemic:
            if any(symbol != " " and (symbol.split() != [symbol] or symbol == BOUNDARY) for symbol in self.symbols):
                raise ValueError(
                    f"symbols of the text spec {self.name!r} must be a space or have none, and not be {BOUNDARY!r}, "
                    f"which stands for the space in a text; got {self.symbols}"
                )
        elif not self.symbols or any(len(symbol) != 1 for symbol in self.symbols):
            raise ValueError(f"symbols of the text spec {self.name!r} must be single characters, got {self.symbols}")
        if len(set(self.symbols)) < len(self.symbols):
            twice = sorted({symbol for symbol in self.symbols if self.symbols.count(symbol) > 1})
            raise ValueError(f"symbols of the text spec {self.name!r} must be different, but it has {twice} twice")
        if " " not in self.symbols:
            raise ValueError(f"the text spec {self.name!r} needs the space among its symbols: it separates words")

    @property
    def num_classes(self) -> int:
        """Classes of a model's output: the symbols and the blank."""
        return len(self.symbols) + 1

    @property
    def phonemic(self) -> bool:
        """Whether symbols are phonemes, which a text separates by spaces."""
        return self.normalizer == "phonemes-1"

    @functools.cached_property
    def _classes(self) -> Mapping[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols, BLANK + 1)}

    @property
    def space(self) -> int:
        """The class of the space."""
        return self._classes[" "]

    def normalize(self, transcript: str) -> str:
        """What is spoken, in this spec's symbols where they suffice: accents that it does not know are left out.

        Phonemes stay as they are, with single spaces. Raises TextError as `normalized`.
        """
        if self.phonemic:
            return " ".join(transcript.split())
        text = normalized(transcript, self.language)
        if all(character in self._classes for character in text):
            return text
        words = "".join(self._plain(character) for character in text).split()
        stripped = (word.strip("'") for word in words)
        return " ".join(word for word in stripped if word)

    def _plain(self, character: str) -> str:
        """A character without what this spec does not know of it; unchanged where nothing known is left."""
        if character in self._classes:
            return character
        bare = "".join(c for c in unicodedata.normalize("NFD", character) if not unicodedata.combining(c))
        if character == "'" or bare == "":
            return ""
        return bare if all(part in self._classes for part in bare) else character

    def encode(self, text: str) -> Int[np.ndarray, " labels"]:
        """The classes int32 [L] of a normalised text.

        Raises TextError: names the first character (or phoneme) that is no symbol, its place, and what to do.
        """
        if self.phonemic:
            return self.encode_symbols(WORD_BOUNDARY if part == BOUNDARY else part for part in text.split())
        for place, character in enumerate(text):
            if character not in self._classes:
                raise TextError(
                    f"the character {character!r} ({_named(character)}) at {place} of {_shown(text, place)!r} is none "
                    f"of the {len(self.symbols)} symbols of the text spec {self.name!r}: normalise the text first "
                    f"(spec.normalize), write it in words of its language ({self.language}), or choose another spec"
                )
        return np.asarray([self._classes[character] for character in text], np.int32)

    def encode_symbols(self, symbols: Iterable[str]) -> Int[np.ndarray, " labels"]:
        """The classes int32 [L] of a sequence of symbols: `Reading.symbols` for instance, or the letters of a word.

        Raises TextError: names the first that is none of them, its place, and what there is.
        """
        given = list(symbols)
        for place, symbol in enumerate(given):
            if symbol not in self._classes:
                raise TextError(
                    f"{shown(symbol)}, number {place + 1} of {len(given)}, is none of the {len(self.symbols)} symbols "
                    f"of the text spec {self.name!r}, which are {' '.join(self.symbols).strip()} and the space"
                )
        return np.asarray([self._classes[symbol] for symbol in given], np.int32)

    def labels(self, transcript: str) -> Int[np.ndarray, " labels"]:
        """The classes int32 [L] of a transcript as written: `encode(normalize(transcript))`, with their errors."""
        return self.encode(self.normalize(transcript))

    def decode(self, labels: Iterable[SupportsInt]) -> str:
        """The text of a sequence of classes, without blanks.

        Raises TextError: a number that is no class.
        """
        given = [int(label) for label in labels]
        for label in given:
            if not 0 <= label < self.num_classes:
                raise TextError(
                    f"{label} is no class of the text spec {self.name!r}: there are 0 to {len(self.symbols)}"
                )
        symbols = [self.symbols[label - 1] for label in given if label != BLANK]
        if self.phonemic:
            return " ".join(BOUNDARY if symbol == WORD_BOUNDARY else symbol for symbol in symbols)
        return "".join(symbols)


def _named(character: str) -> str:
    return unicodedata.name(character, f"U+{ord(character):04X}").lower()


def _shown(text: str, place: int) -> str:
    """The neighbourhood of a place in a text."""
    return text[max(place - 15, 0) : place + 16]


TEXT_SPECS: dict[str, TextSpec] = {
    "letters-en": TextSpec(name="letters-en", language="en", symbols=tuple(" 'abcdefghijklmnopqrstuvwxyz")),
    "letters-ru": TextSpec(name="letters-ru", language="ru", symbols=tuple(" абвгдеёжзийклмнопрстуфхцчшщъыьэюя")),
    "phonemes-en": TextSpec(name="phonemes-en", language="en", symbols=SYMBOLS, normalizer="phonemes-1"),
    "phonemes-ru": TextSpec(
        name="phonemes-ru", language="ru", symbols=(WORD_BOUNDARY, *PUNCTUATION, *PHONES), normalizer="phonemes-1"
    ),
}
"""By name. `letters-en` has the 28 symbols of Deep Speech (Hannun et al. 2014, arXiv 1412.5567); `phonemes-en` those of
`wavejax.text.phonemes`: 69 phonemes with stress, 4 punctuation marks and the space; `phonemes-ru` the 50 phones of
`wavejax.text.russian.sounds` instead."""


def get_text_spec(name: str) -> TextSpec:
    """The spec of that name from `TEXT_SPECS`. Raises ValueError, which lists the names."""
    if name not in TEXT_SPECS:
        raise ValueError(f"no text spec is called {name!r}; known are {', '.join(sorted(TEXT_SPECS))}")
    return TEXT_SPECS[name]


__all__ = ["BLANK", "BOUNDARY", "TEXT_SPECS", "TextError", "TextSpec", "get_text_spec"]
