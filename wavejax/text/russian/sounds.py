"""From Russian letters and stress to phones, those of the corpus festvox-ru.

Letters become phonemes word by word; then vowels are reduced by where the stress is, and consonants take the voice of
their neighbours, over words that no pause separates (Kasatkin 2003, "Phonetics of the modern Russian language";
Zakharov 2004). A doubled letter is a soft consonant or a stressed vowel: tt, aa. Vowels without stress are a e i u y
before the stress or beside a vowel or a pause; elsewhere ay (after hard consonants), ae (after soft ones) and ur (u).
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wavejax.text.russian.stress import VOWELS, Stress

VOWEL_PHONES = ("ii", "yy", "uu", "ee", "oo", "aa", "a", "e", "i", "y", "u", "ae", "ay", "ur")
"""The phones that are vowels."""
PHONES = tuple(
    sorted(
        (
            *VOWEL_PHONES,
            *("p", "pp", "b", "bb", "t", "tt", "d", "dd", "k", "kk", "g", "gg", "c", "ch", "f", "ff", "v", "vv"),
            *("s", "ss", "z", "zz", "sh", "sch", "zh", "h", "hh", "m", "mm", "n", "nn", "l", "ll", "r", "rr", "j"),
        )
    )
)
"""All 50, in alphabetical order."""

_CONSONANTS = dict(
    zip(
        "бвгджзклмнпрстфхцчшщй",
        (
            *("b", "v", "g", "d", "zh", "z", "k", "l", "m", "n", "p", "r", "s", "t", "f", "h", "c", "ch", "sh", "sch"),
            "j",
        ),
        strict=True,
    )
)
_SOFTENED = frozenset("бвгдзклмнпрстфх")
_SOFTENING = frozenset("яёюиье")
_DOUBLED = frozenset("брнмскп")
"""Spoken once where they are written twice."""
_VOWEL_OF = dict(zip("аоуэыияюеё", "aoueyiaueo", strict=True))
_VOICELESS_OF = {
    **{"b": "p", "bb": "pp", "v": "f", "vv": "ff", "zh": "sh", "z": "s", "zz": "ss", "g": "k", "gg": "kk", "d": "t"},
    "dd": "tt",
}
_VOICED_OF = {voiceless: voiced for voiced, voiceless in _VOICELESS_OF.items()}
_SONORANTS = frozenset(("m", "mm", "n", "nn", "l", "ll", "r", "rr", "j"))
_VOICING = frozenset(("b", "bb", "zh", "z", "zz", "d", "dd", "g", "gg"))
_DEVOICING = frozenset(("p", "pp", "sh", "s", "ss", "t", "tt", "k", "kk", "sch", "ch", "h", "hh"))
_V = frozenset(("v", "vv"))
_PAUSE = "pau"

_SPELLINGS = tuple(
    (re.compile(written), spoken)
    for written, spoken in (
        (r"(?<!мн)(?<!стр)(?<!дор)(?<!пол)(?<!уб)([ое])го$", r"\1во"),
        (r"([ое])гося$", r"\1вося"),
        (r"^сегодня", "севодня"),
        (r"^что", "што"),
        (r"(конеч|скуч|нароч)н", lambda found: f"{found.group(1)[:-1]}шн"),
        ("вств", "ств"),
        ("стн", "сн"),
        ("здн", "зн"),
        ("рд(?=[цч])", "р"),
        ("лнц", "нц"),
        ("ст(?=ц)|сть?(?=с)", "с"),
        ("зд(?=ц)", "з"),
        ("нт(?=[цс])|нд(?=[цсш])", "н"),
        ("нгт", "нт"),
        ("тся", "ца"),
        ("сч", "щ"),
        ("гк", "хк"),
        ("дц", "ц"),
        ("чш", "тш"),
    )
)
"""What is written otherwise than it is spoken."""


class Unit(NamedTuple):
    """A phoneme: a consonant, or a vowel a e i o u y."""

    name: str
    is_vowel: bool = False
    is_stressed: bool = False


@dataclass(frozen=True)
class SpokenWord:
    """The phonemes of a word; leans: it is one with the next word, as prepositions are."""

    units: tuple[Unit, ...]
    leans: bool = False


def spoken_word(word: str, stress: Stress) -> SpokenWord:
    """The phonemes of a word in small Russian letters and hyphens."""
    for written, spoken in _SPELLINGS:
        word = written.sub(spoken, word)
    units: list[Unit] = []
    vowels = 0
    for place, letter in enumerate(word):
        following, before = word[place + 1 : place + 2], word[place - 1 : place] if place else ""
        if letter in _CONSONANTS:
            if not (following == letter and letter in _DOUBLED):
                name = _CONSONANTS[letter]
                soft = letter in _SOFTENED and following in _SOFTENING and following != ""
                units.append(Unit(name * 2 if soft else name))
        elif letter in VOWELS:
            vowels += 1
            starts = before == "" or before in "ъь-" or before in VOWELS
            if (letter in "яюеё" and starts) or (letter == "о" and before == "ь"):
                units.append(Unit("j"))
            stressed = vowels == stress.vowel or letter == "ё"
            yo = stress.is_yo and stressed and letter == "е"
            units.append(Unit("o" if yo else _VOWEL_OF[letter], True, stressed))
    return SpokenWord(tuple(units), stress.leans)


class _Segment(NamedTuple):
    """A phoneme in its sentence. word: the number of its word, -1 for a pause. ends: a word that does not lean ends."""

    unit: Unit
    word: int
    ends: bool = False


def sounds(parts: Sequence[SpokenWord | None]) -> list[tuple[str, ...]]:
    """The phones of each word of a sentence; None stands for a pause, which has none."""
    silence = Unit(_PAUSE)
    segments = [_Segment(silence, -1)]
    for number, part in enumerate(parts):
        if part is None:
            segments.append(_Segment(silence, -1))
            continue
        last = len(part.units) - 1
        segments += [_Segment(unit, number, place == last and not part.leans) for place, unit in enumerate(part.units)]
    segments += [_Segment(silence, -1)] * 2
    names = [segment.unit.name for segment in segments]
    _reduce(segments, names)
    _assimilate(segments, names)
    phones: list[list[str]] = [[] for _ in parts]
    for segment, name in zip(segments, names, strict=True):
        if segment.word >= 0:
            phones[segment.word].append(name)
    return [tuple(each) for each in phones]


def _reduce(segments: Sequence[_Segment], names: list[str]) -> None:
    """Vowels with stress are doubled, others reduced; the corpus counts the syllable before the stress over words."""
    places = [place for place, segment in enumerate(segments) if segment.unit.is_vowel]
    for place, following in itertools.zip_longest(places, places[1:], fillvalue=-1):
        vowel, before = names[place], names[place - 1]
        open_beside = _PAUSE in (before, segments[place + 1].unit.name) or before == "j"
        near = open_beside or segments[place - 1].unit.is_vowel
        pretonic = following >= 0 and segments[following].unit.is_stressed
        if segments[place].unit.is_stressed:
            names[place] = vowel * 2
        elif vowel == "u":
            names[place] = "u" if near or pretonic else "ur"
        elif vowel in "ao" and (near or pretonic):
            names[place] = "a"
        elif vowel == "e" and not near and pretonic:
            names[place] = "i" if _is_soft(before) else "y"
        elif not (near or pretonic):
            names[place] = "ae" if _is_soft(before) else "ay"


def _is_soft(phone: str) -> bool:
    return phone in {"ch", "sch", "j"} or (len(phone) == 2 and phone[0] == phone[1])


def _assimilate(segments: Sequence[_Segment], names: list[str]) -> None:
    """Consonants are voiced or not as the next one; at the end of a word they lose their voice before what has none of
    its own to give: vowels, sonorants, pauses."""
    for place in range(1, len(segments) - 2):
        name, following, second = names[place : place + 3]
        if segments[place].unit.is_vowel:
            continue
        if segments[place].ends:
            weak_v = following in _V and (segments[place + 2].unit.is_vowel or second in _SONORANTS)
            weak = following in _SONORANTS or following == _PAUSE or segments[place + 1].unit.is_vowel or weak_v
            if weak or (name == "z" and following in _DEVOICING):
                names[place] = _VOICELESS_OF.get(name, name)
            elif following in _V and second in _VOICING:
                names[place] = _VOICED_OF.get(name, name)
        elif following in _DEVOICING:
            names[place] = _VOICELESS_OF.get(name, name)
        elif following in _VOICING:
            names[place] = _VOICED_OF.get(name, name)


__all__ = ["PHONES", "VOWEL_PHONES", "SpokenWord", "Unit", "sounds", "spoken_word"]
