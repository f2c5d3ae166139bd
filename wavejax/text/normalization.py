"""A transcript as it is spoken: lower case, no punctuation, no notes in brackets, numbers as words.

What this module does to a text belongs to a trained model: its name stands in the model's `TextSpec.normalizer`. A rule
that changes what a text becomes needs another name.
"""

import re
import unicodedata
from collections.abc import Mapping

from wavejax.text.errors import TextError
from wavejax.text.numerals import CARDINALS, LARGEST, english_ordinal

_NOTES = re.compile(r"\[[^\]]*\]|<[^>]*>|\{[^}]*\}")
"""Remarks of a transcriber: [beep], <noise>, {laughs}. What stands in (parentheses) is spoken."""
_APOSTROPHES = str.maketrans(dict.fromkeys("’ʼ`´‘", "'"))
_STRESS = re.compile(r"(?<=\w)[+\u0301](?=\w)|(?<!\S)\+(?=[^\W\d])|\u0301")
"""Stress marks inside a word, or before its first letter: вол+ос, +окна, во́лос."""
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:[, \u00a0]\d{3})+(?![\d]|[.,]\d)")
_NUMBERS = {
    "en": re.compile(r"(?<!\d)(\d+)(?:\.(\d+))?(st|nd|rd|th)?(?![^\W_])"),
    "ru": re.compile(r"(?<!\d)(\d+)(?:[.,](\d+))?()(?![^\W_])"),
}
"""Whole part, decimals, ending of an ordinal."""
_WITH_ENDING = {"en": re.compile(r"\d+[^\W\d_]\w*"), "ru": re.compile(r"\d+-?[^\W\d_]\w*")}
"""What is left of numbers, or for Russian (1-й) is none to begin with."""
_SIGNS: Mapping[str, Mapping[str, str]] = {
    "en": {"%": "percent", "&": "and", "@": "at", "+": "plus", "=": "equals", "#": "number", "№": "number"},
    "ru": {"%": "процентов", "&": "и", "+": "плюс", "=": "равно", "№": "номер"},
}
_ABBREVIATIONS: Mapping[str, Mapping[str, str]] = {
    "en": {
        r"mr\.": "mister",
        r"mrs\.": "missus",
        r"ms\.": "miss",
        r"dr\.": "doctor",
        r"vs\.": "versus",
        r"etc\.": "et cetera",
        r"e\.\s?g\.": "for example",
        r"i\.\s?e\.": "that is",
    },
    "ru": {
        r"т\.\s?е\.": "то есть",
        r"т\.\s?д\.": "так далее",
        r"т\.\s?п\.": "тому подобное",
        r"т\.\s?к\.": "так как",
    },
}
_POINT = {"en": "point", "ru": "запятая"}


def normalized(transcript: str, language: str) -> str:
    """The words of a transcript as they are spoken, with single spaces; "" where none are left.

    Letters that the language does not have stay, so that whoever encodes the text can name them.

    Args:
        transcript: as written: "Press 1 [beep], or 2."
        language: "en" or "ru".

    Raises:
        TextError: a number with an ending that is not read (1-й): it must be written out.
    """
    text = unicodedata.normalize("NFC", _NOTES.sub(" ", transcript)).lower().translate(_APOSTROPHES)
    text = unicodedata.normalize("NFC", _STRESS.sub("", text))
    for written, spoken in _ABBREVIATIONS[language].items():
        text = re.sub(rf"(?<!\w){written}", f" {spoken} ", text)
    text = _spoken_numbers(text, language)
    for sign, spoken in _SIGNS[language].items():
        text = text.replace(sign, f" {spoken} ")
    kept = "".join(character if _is_letter(character) else " " for character in text)
    words = (word.strip("'") for word in kept.split())
    return " ".join(word for word in words if word)


def _spoken_numbers(text: str, language: str) -> str:
    text = _GROUPED.sub(lambda found: re.sub(r"\D", "", found.group()), text)

    def spoken(found: re.Match[str]) -> str:
        whole, decimals, ending = found.groups()
        if ending and (decimals or int(whole) > LARGEST):
            raise TextError(f"it is not known how {found.group()!r} is read: write it out in words")
        if ending:
            return f" {english_ordinal(int(whole))} "
        words = _cardinal(whole, language)
        return f" {words} {_POINT[language]} {_digits(decimals, language)} " if decimals else f" {words} "

    if language == "ru":
        _refuse_endings(text, language)
    text = _NUMBERS[language].sub(spoken, text)
    _refuse_endings(text, language)
    return text


def _refuse_endings(text: str, language: str) -> None:
    if found := _WITH_ENDING[language].search(text):
        raise TextError(f"it is not known how {found.group()!r} is read: write it out in words")


def _cardinal(digits: str, language: str) -> str:
    """A number in words; digit by digit where it begins with 0 or is very long, as telephone numbers are read."""
    if (len(digits) > 1 and digits[0] == "0") or int(digits) > LARGEST:
        return _digits(digits, language)
    return CARDINALS[language](int(digits))


def _digits(digits: str, language: str) -> str:
    return " ".join(CARDINALS[language](int(digit)) for digit in digits)


def _is_letter(character: str) -> bool:
    """Letters, the marks that follow some of them, and the apostrophe; digits of other scripts, too, to be named."""
    return character == "'" or unicodedata.category(character)[0] in "LMN"


__all__ = ["normalized"]
