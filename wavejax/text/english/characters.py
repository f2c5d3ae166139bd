"""Characters as the rules of English read them: plain ASCII letters, with the place of each in the original text."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from wavejax.text.errors import TextError
from wavejax.text.reading import Span

BREAK = "\ue000"
"""Stands in a plain text for a break that markup asks for."""
FRACTIONS = {
    character: (numerator, denominator)
    for character in "¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
    for numerator, _, denominator in [unicodedata.normalize("NFKC", character).partition("\u2044")]
}
"""A character such as ½ -> its numerator and denominator in digits."""
_REPLACED = {
    **dict.fromkeys("‘’‚‛ʼ`´′＇", "'"),
    **dict.fromkeys("“”„‟«»″＂", '"'),
    **dict.fromkeys("‐‑−﹣－", "-"),
    "…": "...",
    "ß": "ss",
    "æ": "ae",
    "Æ": "Ae",
    "œ": "oe",
    "Œ": "Oe",
    "ø": "o",
    "Ø": "O",
    "đ": "d",
    "Đ": "D",
    "ł": "l",
    "Ł": "L",
    "ð": "th",
    "þ": "th",
    "Þ": "Th",
    "ı": "i",
    "№": "No.",
    "℃": "°C",
    "℉": "°F",
    "μ": "µ",
}
_KEPT = frozenset("–—€£¥¢°±×÷µ²³§©•≈≠≤≥\n") | frozenset(FRACTIONS)
"""Characters beyond ASCII that rules read, or that are pauses."""
_GREEK = dict(
    zip(
        "αβγδεζηθικλνξοπρστυφχψω",
        (
            *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "nu"),
            *("xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
        ),
        strict=True,
    )
)
_ASCII_CONTROLS = {character: " " for character in map(chr, range(32)) if character != "\n"} | {"\x7f": " "}


@dataclass
class Plain:
    """A text in plain characters; character i of it stands for characters starts[i] to ends[i] of the original.

    notes: what was left out, in sentences.
    """

    text: str
    starts: list[int]
    ends: list[int]
    notes: list[str] = field(default_factory=list)

    def span(self, start: int, end: int) -> Span:
        """Where the plain characters start to end (one at least) stand in the original."""
        return self.starts[start], self.ends[end - 1]


def plain(text: str, offset: int = 0, original: str | None = None) -> Plain:
    """A text in plain characters: accents taken off, quotes and hyphens made straight, what is not heard left out.

    Args:
        text: or a part of one.
        offset: where it begins in the original.
        original: the whole text, for messages.

    Raises TextError: a letter that English does not have; the message names it, its place and the remedy.
    """
    if text.isascii() and text.isprintable():
        places = range(offset, offset + len(text))
        return Plain(text, [*places], [place + 1 for place in places])
    result, parts = Plain("", [], []), []
    for place, character in enumerate(text):
        replaced = _replaced(character, place, text)
        if replaced is None:
            _name_the_unknown(text, place, offset, original or text)
        if replaced == "" and result.ends and not text[place - 1].isspace():
            result.ends[-1] = offset + place + 1  # a mark belongs to the character before it
        if replaced == "" and unicodedata.category(character) in {"So", "Sk", "Sm", "Sc"} and not _modifies(character):
            result.notes.append(f"{character!r} ({_name(character)}) at {offset + place} is not spoken")
            replaced = " "
        parts.append(replaced or "")
        result.starts += [offset + place] * len(replaced or "")
        result.ends += [offset + place + 1] * len(replaced or "")
    result.text = "".join(parts)
    return result


def _replaced(character: str, place: int, text: str) -> str | None:
    """What is read instead of a character: "" where it is not heard, None for a letter that English does not have."""
    if character < "\x80":
        return _ASCII_CONTROLS.get(character, character)
    if character in _REPLACED:
        return _REPLACED[character]
    if character in _KEPT:
        return character
    category = unicodedata.category(character)
    if category[0] == "Z":
        return " " if category == "Zs" else "\n"
    if category[0] in "MC":
        return ""
    if category == "Nd":
        return str(unicodedata.digit(character))
    if character.lower() in _GREEK and not any(_is_greek(neighbour) for neighbour in _neighbours(text, place)):
        return f" {_GREEK[character.lower()]} "
    bare = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    if bare and bare.isascii() and bare.isprintable():
        return bare
    return None if category[0] in "LN" else "," if category in {"Pd", "Po", "Ps", "Pe"} else ""


def _neighbours(text: str, place: int) -> Iterator[str]:
    yield text[place - 1 : place]
    yield text[place + 1 : place + 2]


def _is_greek(character: str) -> bool:
    return "\u0370" <= character <= "\u03ff" or "\u1f00" <= character <= "\u1fff"


def _modifies(character: str) -> bool:
    """Whether it only changes the sign before it, as the colours of skin do."""
    return unicodedata.category(character) == "Sk"


def _name(character: str) -> str:
    return unicodedata.name(character, f"U+{ord(character):04X}").lower()


def _name_the_unknown(text: str, place: int, offset: int, original: str) -> None:
    character, at = text[place], offset + place
    shown = original[max(at - 15, 0) : at + 16]
    raise TextError(
        f"the character {character!r} ({_name(character)}) at {at} of {shown!r} cannot be read as English: write the "
        f"word in Latin letters, or say how it sounds, as in [Anna](AE1 N AH0), or choose a voice of its language"
    )


__all__ = ["BREAK", "FRACTIONS", "Plain", "plain"]
