"""Russian text as it is read aloud: sentences of words with their phones; each word knows its characters."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from wavejax.text.errors import TextError
from wavejax.text.numerals import LARGEST, russian
from wavejax.text.pronunciation import Source
from wavejax.text.reading import Pause, Reading, Sentence, Word
from wavejax.text.russian.sounds import SpokenWord, sounds, spoken_word
from wavejax.text.russian.stress import VOWELS, Stress, russian_stress

LONGEST_WORD = 200
"""Letters."""
LONGEST_SENTENCE = 400
"""Words; a longer one is cut here."""
_MARK = "+"
_SIGNS = {"%": "процентов", "&": "и", "=": "равно", "№": "номер", "+": "плюс"}
_ABBREVIATIONS = {"е": "то есть", "д": "так далее", "п": "тому подобное", "к": "так как"}
_ITEM = re.compile(
    r"(?P<short>т\.\s?(?P<end>[едпк])\.)"
    r"|(?P<word>\+?[а-яё]+(?:[+'-]+[а-яё]+)*)"
    r"|(?P<number>\d{1,3}(?: \d{3})++(?!\d)|\d++)(?:[.,](?P<decimals>\d++))?(?P<ending>-?[а-яё]+)?"
    r"|(?P<stop>[.?!…]{1,100}[\"»”')]*)"
    r"|(?P<pause>[,;:—–()]|(?<!\S)-(?!\S))"
    r"|(?P<sign>[%&=№+])"
    r"|(?P<blank>[ \t]*\n[ \t]*\n\s*)"
)
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class _Said:
    """A word before its phones are known."""

    text: str
    span: tuple[int, int]
    spoken: SpokenWord
    source: Source


_Part = _Said | Pause


def read_russian(text: str) -> Reading:
    """How Russian text is read aloud, word by word, with the phones of festvox-ru (`wavejax.text.russian.sounds`).

    Numbers are read in the nominative. Stress comes from a dictionary of 181,000 words; for other words it is guessed
    (`Word.source` is then "guess"), unless the text marks it: вол+ос or во́лос.

    Raises TextError: a letter that is not Russian, a number with an ending (1-й), a word of more than 200 letters; the
    message says where, and what to do.
    """
    return Reading(text=text, sentences=tuple(russian_sentences(text)))


def russian_sentences(text: str) -> Iterator[Sentence]:
    """The sentences of `read_russian(text)` one after the other, each read when it is asked for."""
    plain, starts, ends = _plain(text)
    for parts, is_last in _sentences(text, plain, starts, ends):
        if sentence := _spoken(parts, is_last):
            yield sentence


def _plain(text: str) -> tuple[str, list[int], list[int]]:
    """Small letters, й and ё as one character, marks of stress as + before their vowel; and where each comes from."""
    letters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for place, character in enumerate(text):
        if unicodedata.combining(character) and letters:
            joined = unicodedata.normalize("NFC", letters[-1] + character)
            ends[-1] = place + 1
            if len(joined) == 1:
                letters[-1] = joined
            elif character == "\u0301" and letters[-1] in VOWELS and letters[-2:-1] != [_MARK]:
                letters.insert(-1, _MARK)
                starts.insert(-1, starts[-1])
                ends.insert(-1, ends[-1])
            continue
        small = character.lower() if len(character.lower()) == 1 else character
        letters.append({"\u00a0": " ", "’": "'", "‑": "-", "‐": "-", "−": "-"}.get(small, small))
        starts.append(place)
        ends.append(place + 1)
    return "".join(letters), starts, ends


def _sentences(text: str, plain: str, starts: list[int], ends: list[int]) -> Iterator[tuple[list[_Part], bool]]:
    """The parts of each sentence, and whether it ends a paragraph."""
    parts: list[_Part] = []
    at, count = 0, 0
    while at < len(plain):
        found = _ITEM.match(plain, at)
        if found is None:
            if _LETTER.match(plain, at) or plain[at].isdigit():
                _refuse(text, starts[at])
            at += 1
            continue
        span = starts[at], ends[found.end() - 1]
        at = found.end()
        if found["stop"] or found["blank"]:
            symbol = "?" if "?" in found.group() else "!" if "!" in found.group() else "."
            _pause(parts, Pause(symbol=symbol if found["stop"] else ".", span=span))
            rest = plain[at : at + 2]
            if rest and found["stop"] and not rest[0].isspace():
                continue
        elif found["pause"]:
            _pause(parts, Pause(symbol=",", span=span))
            continue
        else:
            said = [*_said(found, span)]
            parts += said
            count += len(said)
            if count < LONGEST_SENTENCE:
                continue
        if any(isinstance(part, _Said) for part in parts):
            blank = found["blank"] is not None or re.match(r"[ \t]*\n[ \t]*\n|\s*\Z", plain[at : at + 200]) is not None
            yield parts, blank
        parts, count = [], 0
    if any(isinstance(part, _Said) for part in parts):
        yield parts, True


def _pause(parts: list[_Part], pause: Pause) -> None:
    """Pauses side by side are one, with the stronger sign; none begins a sentence."""
    last = parts[-1] if parts else None
    if isinstance(last, Pause):
        symbol = max(last.symbol, pause.symbol, key=",.!?".index)
        parts[-1] = Pause(symbol=symbol, span=(last.span[0], pause.span[1]))
    elif last is not None:
        parts.append(pause)


def _said(found: re.Match[str], span: tuple[int, int]) -> Iterator[_Said]:
    if found["short"]:
        spoken = _ABBREVIATIONS[found["end"]].split()
    elif found["number"]:
        spoken = _number(found, span[0])
    elif found["sign"]:
        spoken = [_SIGNS[found["sign"]]]
    else:
        spoken = _parts(found["word"].strip("'-"))
    for word in spoken:
        yield _pronounced(word, span)


def _parts(word: str) -> list[str]:
    """A word with a hyphen is one if the dictionary has it so, else several."""
    if "-" not in word or word.replace(_MARK, "") in russian_stress():
        return [word]
    return [part for part in word.split("-") if part.strip("+'")]


def _number(found: re.Match[str], at: int) -> list[str]:
    if found["ending"]:
        raise TextError(f"it is not known how {found.group()!r} at {at} is read: write it out in words")
    digits = found["number"].replace(" ", "")
    spoken = _amount(digits)
    if found["decimals"]:
        spoken += ["запятая", *(russian(int(digit)) for digit in found["decimals"])]
    return spoken


def _amount(digits: str) -> list[str]:
    """Digit by digit where it begins with 0 or is very long."""
    if (len(digits) > 1 and digits[0] == "0") or len(digits) > len(str(LARGEST)):
        return [russian(int(digit)) for digit in digits]
    return russian(int(digits)).split()


def _pronounced(word: str, span: tuple[int, int]) -> _Said:
    if len(word) > LONGEST_WORD:
        raise TextError(
            f"{word[:20]!r}... at {span[0]} is a word of {len(word):,} letters; words have at most {LONGEST_WORD}: "
            "write spaces between its words, or leave it out"
        )
    bare = word.replace(_MARK, "").replace("'", "")
    stress = russian_stress()[bare]
    source: Source = "lexicon" if stress.is_known or _vowels(bare) < 2 else "guess"
    place = word.find(_MARK)
    if place >= 0 and word[place + 1 :].startswith(tuple(VOWELS)):
        source, stress = "given", Stress(_vowels(word[: place + 2]), leans=stress.leans)
    return _Said(bare, span, spoken_word(bare, stress), source)


def _vowels(letters: str) -> int:
    return sum(letter in VOWELS for letter in letters)


def _spoken(parts: list[_Part], ends_paragraph: bool) -> Sentence | None:
    """The sentence with the phones that its words have beside each other; it ends in a pause. None without a sound."""
    phones = sounds([part.spoken if isinstance(part, _Said) else None for part in parts])
    done: list[Word | Pause] = []
    for part, own in zip(parts, phones, strict=True):
        if isinstance(part, Pause):
            done.append(part)
        elif own:
            done.append(Word(text=part.text, span=part.span, phones=own, source=part.source))
    if not any(isinstance(part, Word) for part in done):
        return None
    last = done[-1]
    if isinstance(last, Word):
        done.append(Pause(symbol=".", span=(last.span[1], last.span[1])))
    elif last.symbol == ",":
        done[-1] = Pause(symbol=".", span=last.span)
    return Sentence(parts=tuple(done), ends_paragraph=ends_paragraph)


def _refuse(text: str, place: int) -> None:
    character = text[place]
    name = unicodedata.name(character, f"U+{ord(character):04X}").lower()
    shown = text[max(place - 15, 0) : place + 16]
    raise TextError(
        f"the character {character!r} ({name}) at {place} of {shown!r} cannot be read as Russian: write the word in "
        "Russian letters, or choose a voice of its language"
    )


__all__ = ["LONGEST_WORD", "read_russian", "russian_sentences"]
