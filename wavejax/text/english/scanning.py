"""A text in plain characters, item by item: spoken words, pauses, and where sentences end."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wavejax.text.english import addresses, moments, names, quantities
from wavejax.text.english.characters import BREAK
from wavejax.text.english.places import Found, Place, Rule, Spoken, words
from wavejax.text.errors import TextError

LONGEST_WORD = 200
"""Letters; no word of a language is as long, and a voice would read it for a minute."""

_BY_DIGIT: Sequence[Rule] = (
    *(addresses.telephone, addresses.internet, moments.date, moments.clock, moments.era, quantities.money),
    *(quantities.percentage, quantities.part, quantities.measure, quantities.ordered, quantities.between),
    *(quantities.number, names.mixed),
)
"""Tried in this order where an item begins with a digit or with a sign of a number."""
_BY_LETTER: Sequence[Rule] = (
    *(addresses.internet, moments.date, moments.short_name, moments.era, quantities.version, quantities.money),
    *(names.abbreviation, names.roman_numeral, names.initialism, names.mixed),
)
"""The same where it begins with a letter."""
_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*+'?")
_POSSESSIVE = re.compile(r"'s(?![A-Za-z])")
_SHORTENED = re.compile(r"'(?:em|tis|twas|til|cause|bout|round|n)(?![A-Za-z])", re.IGNORECASE)
_NUMBER_AHEAD = re.compile(r"[-\u2013+±~≈$€£¥.'(#]{0,2}\s?\d|[$€£¥]|\+/-\s?\d|[¼-¾⅓-⅞]")
_SPACE = re.compile(r"\s*")
_PARAGRAPH = re.compile(r"[ \t]*\n[ \t]*\n")
_STOPS = re.compile(r"[.?!]{1,100}")
_CLOSING = re.compile(r"[\"')\]}*_]*")
_SIGNS = {
    "&": "and",
    "+": "plus",
    "=": "equals",
    "@": "at",
    "×": "times",
    "÷": "divided by",
    "<": "less than",
    ">": "greater than",
    "±": "plus or minus",
    "≈": "about equals",
    "≠": "is not equal to",
    "≤": "at most",
    "≥": "at least",
    "%": "percent",
    "°": "degrees",
    "§": "section",
    "©": "copyright",
    "€": "euros",
    "£": "pounds",
    "¥": "yen",
    "¢": "cents",
    "$": "dollars",
    "#": "number",
    "²": "squared",
    "³": "cubed",
    "µ": "micro",
}
_PAUSES = {",": ",", ";": ",", ":": ",", "–": ",", "—": ",", "•": ",", "|": ",", "(": ",", ")": ",", "[": ",", "]": ","}
_SPACED_PAUSES = {"-": ",", "/": ","}
"""Pauses with space around them; inside a word they are not heard."""


@dataclass(frozen=True)
class Item:
    """What stands between start and end of the plain text: words, or a mark (`,` `.` `?` `!`, or a break).

    ends_sentence: a sentence ends here.
    """

    start: int
    end: int
    words: tuple[Spoken, ...] = ()
    mark: str = ""
    ends_sentence: bool = False


def items(text: str, given: Sequence[tuple[int, int, tuple[Spoken, ...]]] = ()) -> Iterator[Item]:
    """The items of a plain text in order, without overlaps.

    Args:
        text: plain characters (`characters.plain`).
        given: start, end and words of what is read as somebody says, in order.

    Raises TextError: a word that is too long to be one.
    """
    place, waiting = Place(text, 0), list(reversed(given))
    at, size = 0, len(text)
    while at < size:
        if waiting and at >= waiting[-1][0]:
            start, end, spoken = waiting.pop()
            item: Item | None = Item(start, end, spoken)
        else:
            item = _next(place, at)
        if item is None:
            at += 1
            continue
        if waiting and item.end > waiting[-1][0]:
            item = _cut(place, at, waiting[-1][0])
        yield item
        at = max(item.end, at + 1)
        _remember(place, item)


def ends_paragraph(text: str, end: int) -> bool:
    """Whether a blank line or nothing follows what ends here, quotes and brackets apart."""
    closing = _CLOSING.match(text, end)
    space = _SPACE.match(text, closing.end() if closing else end)
    after = space.end() if space else closing.end() if closing else end
    return after >= len(text) or text.count("\n", end, after) > 1 or text.count("\n", end - 2, end) > 1


def _cut(place: Place, at: int, end: int) -> Item:
    """The item at a place of a text that ends where something given begins."""
    shorter = Place(place.text[:end], at, place.before, place.raw, place.earlier)
    return _next(shorter, at) or Item(at, at + 1)


def _remember(place: Place, item: Item) -> None:
    if item.ends_sentence:
        place.before = place.raw = place.earlier = ""
    elif item.words:
        for word in item.words:
            place.earlier, place.before = place.before, word.text
        place.raw = place.text[item.start : item.end]
    elif item.mark:
        place.earlier = place.before = place.raw = ","


def _next(place: Place, at: int) -> Item | None:
    """The item that begins at a place; None where nothing does."""
    text, place.at = place.text, at
    character, before = text[at], text[at - 1 : at]
    if character.isspace():
        space = _SPACE.match(text, at)
        end = max(space.end() if space else 0, at + 1)
        ends = place.before != "" and _PARAGRAPH.match(text, at) is not None
        return Item(at, end, mark="." if ends else "", ends_sentence=ends)
    if character == BREAK:
        return Item(at, at + 1, mark=BREAK)
    inside = before.isalnum() and before.isascii()
    starts_number = character.isdigit() or (not inside and _NUMBER_AHEAD.match(text, at) is not None)
    if starts_number and (found_words := _by_rules(place, _BY_DIGIT)):
        return found_words
    if character.isalpha() and character.isascii():
        return (None if inside and before.isalpha() else _by_rules(place, _BY_LETTER)) or _word(text, at)
    if character == "'" and (shortened := _SHORTENED.match(text, at)) and not inside:
        return Item(at, shortened.end(), (Spoken(shortened.group().lower()),))
    if character in "@#" and not inside and (found := addresses.handle(place)):
        return _item(place, found)
    return _sign(place, at)


def _by_rules(place: Place, rules: Sequence[Rule]) -> Item | None:
    for rule in rules:
        if (found := rule(place)) is not None:
            if rules is _BY_DIGIT and found.words and _POSSESSIVE.match(place.text, found.end):
                found.words[-1] = Spoken(f"{found.words[-1].text}'s")
                found.end += 2
            return _item(place, found)
    return None


def _item(place: Place, found: Found) -> Item:
    ends = found.may_end_sentence and _ends_after_stop(place.text, found.end)
    return Item(place.at, found.end, tuple(found.words), "." if ends else "", ends)


def _ends_after_stop(text: str, end: int) -> bool:
    """Whether the full stop of an abbreviation ends the sentence: at the end, or before a word that begins one."""
    if text[end - 1] != ".":
        return False
    closing = _CLOSING.match(text, end)
    after = closing.end() if closing else end
    rest = text[after : after + 40].lstrip()
    if not text[after : after + 400].strip() or _PARAGRAPH.match(text, after):
        return True
    word = re.match(r"[\"'(]*([A-Za-z]+)", rest)
    return word is not None and text[after : after + 1].isspace() and names.begins_sentence(word.group(1))


def _word(text: str, at: int) -> Item:
    found = _WORD.match(text, at)
    if found is None:
        return Item(at, at + 1)
    written = found.group()
    if len(written) > LONGEST_WORD:
        raise TextError(
            f"{written[:20]!r}... at {at} of the plain text is a word of {len(written):,} letters; words have at most "
            f"{LONGEST_WORD}: write spaces between its words, or leave it out"
        )
    if written.endswith("'") and written[-2:-1].lower() != "s":
        written = written[:-1]
    is_letter = len(written) == 1 and written not in "aIi" and not (written == "A" and _is_article(text, at))
    return Item(at, at + len(written), (Spoken(written.lower(), None, is_letter),))


def _is_article(text: str, at: int) -> bool:
    return text[at + 1 : at + 2].isspace() and text[at + 2 : at + 3].isalnum()


def _sign(place: Place, at: int) -> Item | None:
    """A punctuation mark or a sign that is read, one character long or a run of stops."""
    text = place.text
    character, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if stops := _STOPS.match(text, at):
        return _stop(place, stops)
    spaced = not before.strip() and not after.strip()
    if character == "-" and after == "-":
        return Item(at, at + 2, mark=",")
    if character in _PAUSES:
        return Item(at, at + 1, mark=_PAUSES[character])
    if character in _SPACED_PAUSES:
        return Item(at, at + 1, mark=",") if spaced else None
    if character not in _SIGNS or (character in "<>=+$#" and after == character):
        return None
    return Item(at, at + 1, tuple(words(_SIGNS[character].split())))


def _stop(place: Place, stops: re.Match[str]) -> Item | None:
    """A full stop, a question mark or an exclamation mark: the end of a sentence where space or the end follows."""
    written = stops.group()
    closing = _CLOSING.match(place.text, stops.end())
    end = closing.end() if closing else stops.end()
    following = place.text[end : end + 1]
    if written == "." and following and not following.isspace() and following not in "\"'([\u2014\u2013\ue000":
        return None  # inside a word
    mark = "?" if "?" in written else "!" if "!" in written else "."
    if len(written) > 1 and set(written) == {"."} and not _capital_follows(place.text, end):
        return Item(stops.start(), stops.end(), mark=",")  # an ellipsis inside a sentence
    if mark != "." and end < len(place.text) and end > stops.end() and not _capital_follows(place.text, end):
        return Item(stops.start(), stops.end(), mark=mark)  # "Who?" she asked
    return Item(stops.start(), stops.end(), mark=mark, ends_sentence=True)


def _capital_follows(text: str, end: int) -> bool:
    """Whether a sentence may begin after `end`: a capital, a digit, a quotation mark, or nothing at all."""
    rest = text[end : end + 40].lstrip(" \n\"'([\ue000")
    return not rest or rest[0].isupper() or rest[0].isdigit() or "\n\n" in text[end : end + 3]


__all__ = ["LONGEST_WORD", "Item", "ends_paragraph", "items"]
