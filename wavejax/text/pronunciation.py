"""How a word is pronounced: by the lexicon, by rule from words that it has, or else guessed from the letters."""

import functools
import re
from typing import Literal, NamedTuple

from wavejax.text.english.inflections import with_ed, with_ing, with_s
from wavejax.text.errors import TextError
from wavejax.text.grapheme_to_phoneme import LETTERS, english_grapheme_to_phoneme
from wavejax.text.lexicon import Lexicon, english_lexicon
from wavejax.text.phonemes import is_vowel

Phones = tuple[str, ...]
Source = Literal["lexicon", "rule", "guess", "given"]

_VOWELS = "aeiou"
_PREFIXES = {
    "un": "AH0 N",
    "non": "N AA2 N",
    "over": "OW2 V ER0",
    "out": "AW2 T",
    "super": "S UW2 P ER0",
    "semi": "S EH2 M IY0",
    "micro": "M AY2 K R OW0",
    "multi": "M AH2 L T IY0",
}
"""Those that leave the word behind them as it is; re-, pre- and mis- do so too rarely to gain on the network."""
_NEEDS_E = re.compile(r"[^aeiou]*[aeiouy][^aeiouwxy]|.*th")
"""Stems that have lost an e: cod(ing) is of code, as a form of cod would double its d; bath(ing) is of bathe."""


class Pronunciation(NamedTuple):
    """The phonemes of a word, and where they come from."""

    phones: Phones
    source: Source


def pronounced(word: str, part_of_speech: str | None = None) -> Pronunciation:
    """The pronunciation of an English word.

    From the lexicon; by rule, where the word is a regular form of one that it has (-s, -'s, -ed, -ing), or has a prefix
    (un-, over-, ...); or else guessed by the grapheme-to-phoneme network. What has no vowel is spelled. (Putting words
    together from two known ones made as many errors on held-out words as the network, or more.)

    Args:
        word: letters and apostrophes, in any letter case.
        part_of_speech: which reading of a homograph, see `Lexicon.phones`.

    Raises TextError: a word without a letter, or with others than a to z.
    """
    lower = word.lower()
    phones = english_lexicon().phones(lower, part_of_speech)
    if phones is not None:
        return Pronunciation(phones, "lexicon")
    return _derived(lower)


@functools.lru_cache(maxsize=4096)
def _derived(word: str) -> Pronunciation:
    lexicon = english_lexicon()
    if phones := inflected(word, lexicon) or prefixed(word, lexicon):
        return Pronunciation(phones, "rule")
    letters = word.replace("'", "")
    if not letters or not set(letters) <= set(LETTERS):
        raise TextError(f"{word!r} is no English word: it must be written with the letters a to z and apostrophes")
    stem = word.removesuffix("'s")
    if stem != word and stem.strip("'"):
        return Pronunciation(with_s(pronounced(stem).phones), "guess")
    guess = english_grapheme_to_phoneme().phones(letters)
    return Pronunciation(guess if any(map(is_vowel, guess)) else _named(letters), "guess")


def _named(letters: str) -> Phones:
    """The names of letters, for what cannot be pronounced: hwy, txt."""
    lexicon = english_lexicon()
    return tuple(phone for letter in letters for phone in (("EY1",) if letter == "a" else lexicon.phones(letter) or ()))


def inflected(word: str, lexicon: Lexicon) -> Phones | None:
    """A regular form (-s, -'s, -ed, -ing) of a word of the lexicon; None where it is none."""
    if word.endswith("s'") and (whole := lexicon.phones(word[:-1])):
        return whole
    for ending, make in (("'s", with_s), ("s", with_s), ("ed", with_ed), ("ing", with_ing)):
        if not word.endswith(ending) or len(word) - len(ending) < 3:
            continue
        stem = word.removesuffix(ending)
        for base in _bases(stem, ending):
            part_of_speech = "verb" if ending in {"ed", "ing"} else None
            if phones := lexicon.phones(base, part_of_speech):
                return make(phones)
    return None


def prefixed(word: str, lexicon: Lexicon) -> Phones | None:
    """A word of the lexicon behind un-, over- and the like; None where it is none."""
    for prefix, phones in _PREFIXES.items():
        rest = word.removeprefix(prefix)
        if rest != word and len(rest) > 3 and (known := lexicon.phones(rest) or inflected(rest, lexicon)):
            return (*phones.split(), *known)
    return None


def _bases(stem: str, ending: str) -> list[str]:
    """The words that a stem may be of: bak(ing) of bake, begg(ed) of beg, tri(ed) of try."""
    if ending == "'s":
        return [stem]
    if ending == "s":
        if stem.endswith("ie"):
            return [stem, f"{stem[:-2]}y"]
        sibilant = stem.endswith(("se", "xe", "ze", "che", "she"))
        return [stem, stem[:-1]] if sibilant else [] if stem.endswith(("s", "u", "i")) else [stem]
    doubled = [stem[:-1]] if stem[-1] == stem[-2] and stem[-1] not in _VOWELS else []
    changed = [f"{stem[:-1]}y"] if ending == "ed" and stem.endswith("i") else []
    silent_e = _NEEDS_E.fullmatch(stem) is not None
    return [*doubled, *((f"{stem}e", stem) if silent_e else (stem, f"{stem}e")), *changed]


__all__ = ["Pronunciation", "inflected", "prefixed", "pronounced"]
