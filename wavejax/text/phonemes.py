"""The phonemes of American English as ARPAbet writes them, and the symbols that a model of speech sees.

39 phonemes: 24 consonants, and 15 vowels that carry a stress digit (0 none, 1 primary, 2 secondary). Beside them stand
the space between words and four punctuation marks, which a speaker turns into pauses and melody. The inventory and its
writing are those of the CMU Pronouncing Dictionary.

In a text, phonemes are separated by spaces and words by "|": HH AH0 L OW1 , W ER1 L D .
"""

from collections.abc import Mapping

from wavejax.limits import shown
from wavejax.text.errors import TextError

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = (
    *("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V", "W"),
    *("Y", "Z", "ZH"),
)
STRESSES = ("0", "1", "2")
PHONEMES = tuple(sorted([*CONSONANTS, *(vowel + stress for vowel in VOWELS for stress in STRESSES)]))
"""All 69, stress included, in alphabetical order."""

WORD_BOUNDARY = " "
PUNCTUATION = (",", ".", "?", "!")
SYMBOLS = (WORD_BOUNDARY, *PUNCTUATION, *PHONEMES)
"""What a text-to-speech model sees. Their order is frozen: it numbers the classes of trained models."""

_PUNCTUATION_OF: Mapping[str, str] = {
    **{mark: mark for mark in PUNCTUATION},
    **dict.fromkeys(";:-–—()[]{}«»/", ","),
    **dict.fromkeys("。।", "."),
    "…": ".",
    "‽": "?",
    "？": "?",
    "！": "!",
    "，": ",",
    "、": ",",
    "؟": "?",
    "،": ",",
}
_PHONEMES = frozenset(PHONEMES)


def punctuation(mark: str) -> str | None:
    """The one of , . ? ! that a mark is spoken as (a dash or a bracket is a comma); None where it is not heard."""
    return _PUNCTUATION_OF.get(mark)


def is_vowel(phoneme: str) -> bool:
    """Whether a phoneme is a vowel, with its stress digit or without."""
    return without_stress(phoneme) in VOWELS


def without_stress(phoneme: str) -> str:
    """A phoneme without its stress digit; a consonant and a punctuation mark as they are."""
    return phoneme[:-1] if phoneme[-1:] in STRESSES else phoneme


def stress_of(phoneme: str) -> int | None:
    """0, 1 or 2 of a vowel with its digit; None of anything else."""
    return int(phoneme[-1]) if phoneme[-1:] in STRESSES else None


def phonemes_of(written: str) -> tuple[str, ...]:
    """The phonemes of one word as a user writes them, "HH AH0 L OW1": in capitals, each known.

    Small letters are taken as well. In a word of one vowel its stress may be left out; it is primary.

    Raises TextError: nothing written, an unknown phoneme, or a vowel without stress; the message names it.
    """
    given = written.upper().split()
    if not given:
        raise TextError(f"no phonemes in {shown(written)}: write them with spaces between, as in HH AH0 L OW1")
    bare = [place for place, phoneme in enumerate(given) if phoneme in VOWELS]
    if len(bare) == 1 and sum(is_vowel(phoneme) for phoneme in given) == 1:
        given[bare[0]] += "1"
    for place, phoneme in enumerate(given):
        if phoneme in _PHONEMES:
            continue
        where = f"{shown(phoneme)}, number {place + 1} of the phonemes {shown(written)},"
        if phoneme in VOWELS:
            raise TextError(
                f"{where} is a vowel without stress: write {phoneme}1 (primary), {phoneme}2 (secondary) or {phoneme}0"
            )
        raise TextError(
            f"{where} is no phoneme of English: there are the consonants {' '.join(CONSONANTS)} and, with a stress "
            f"digit 0, 1 or 2, the vowels {' '.join(VOWELS)}"
        )
    return tuple(given)


__all__ = [
    "CONSONANTS",
    "PHONEMES",
    "PUNCTUATION",
    "STRESSES",
    "SYMBOLS",
    "VOWELS",
    "WORD_BOUNDARY",
    "is_vowel",
    "phonemes_of",
    "punctuation",
    "stress_of",
    "without_stress",
]
