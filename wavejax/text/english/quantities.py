"""Amounts: money, percentages, units, ranges, fractions, ordinals and plain numbers."""

import re

from wavejax.text.english.characters import FRACTIONS
from wavejax.text.english.moments import MONTHS
from wavejax.text.english.numbers import cardinal, fraction, ordinal, spelled, with_fraction, year
from wavejax.text.english.places import Found, Place, letters, words
from wavejax.text.english.units import UNITS

_N = r"(?:\d{1,3}(?:,\d{3})++(?!\d)(?:\.\d++)?|\d++(?:\.\d++)?|\.\d++)"
_SIGN = r"[-\u2013\u2212]"
_TO = r"\s?[-\u2013]\s?"
_SCALE = r"(?:[ \-]?(hundred|thousand|million|billion|trillion)(?![A-Za-z])|([KkMBT]|bn)(?![A-Za-z0-9]))?"
_SCALES = {"K": "thousand", "k": "thousand", "M": "million", "B": "billion", "T": "trillion", "bn": "billion"}
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "sen", "sen"),
}
_MONEY = re.compile(rf"(US|CA|AU|HK|A|C)?([$€£¥])\s?({_N})(?:{_TO}([$€£¥]?)({_N}))?{_SCALE}")
_MONEY_AFTER = re.compile(rf"({_N})\s?([€£¥])")
_CENTS = re.compile(rf"({_N})\s?¢")
_PERCENT = re.compile(rf"({_SIGN}?)({_N})(?:(%?){_TO}({_N}))?\s?%")
_UNIT = re.compile(
    rf"({_SIGN}?)({_N})(?:{_TO}({_N}))?\s?-?({'|'.join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True))})"
    r"(?![\w°²³/]|\.\w|'\w)(\.(?=\s[a-z]))?"
)
_UNIT_AFTER = re.compile(
    rf"\s?-?({'|'.join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True) if len(u) > 1 and u != 'in')})"
    r"(?![\w°²³/]|\.\w|'\w)(?:\.(?=\s[a-z]))?"
)
_FEET_INCHES = re.compile(r"(\d{1,3})'\s?(\d{1,2}(?:\.\d)?)\"|(\d{1,3})\s?ft\.?\s(\d{1,2})\s?in(?![A-Za-z])\.?")
_INCHES = re.compile(rf"({_N})\"(?!\w)")
_MIXED = re.compile(r"(\d{1,4})[ \-](\d{1,3})/(\d{1,3})(?![\d/])")
_FRACTION = re.compile(r"(\d{1,4})/(\d{1,4})(?![\d/])")
_SIGN_FRACTION = re.compile(rf"(\d{{1,4}})?\s?([{''.join(FRACTIONS)}])")
_ORDINAL = re.compile(r"(\d{1,3}(?:,\d{3}){1,3}|\d{1,12})(?:st|nd|rd|th)(?![A-Za-z0-9])")
_RANGE = re.compile(rf"({_N}){_TO}({_N})(?![\d/]|[-\u2013]\d)")
_RATIO = re.compile(r"(\d{1,4}):(\d{1,4})(?![:\d])")
_BY = re.compile(r"(\d{1,5})\s?[x×]\s?(\d{1,5})(?:\s?[x×]\s?(\d{1,5}))?(?![\w])")
_DOTTED = re.compile(r"[vV]?(\d{1,4}(?:\.\d{1,4}){2,6})(?!\w|\.\d)")
_VERSION = re.compile(r"[vV](\d{1,4}(?:\.\d{1,4}){0,6})(?!\w|\.\d)")
_WITH_LETTERS = re.compile(r"(\d{1,6})([A-Za-z]{1,3})(?![A-Za-z])")
_SPACED = re.compile(r"\d{1,3}(?: \d{3}){2,4}(?![\d,.]?\d)")
_AGENTS = re.compile(r"(\d{1,3})ers(?![A-Za-z])")
_NUMBER = re.compile(rf"({_SIGN}?)({_N}){_SCALE}")
_SIGNED = re.compile(r"(±|\+/-|~|≈|\+)\s?(?=[\d.$€£¥])")
_RETIREMENT = re.compile(r"(\d0\d)\(([a-z])\)")
_ALWAYS = {"24/7": ["twenty", "four", "seven"], "9/11": ["nine", "eleven"], "50/50": ["fifty", "fifty"]}
_BEFORE_YEARS = frozenset(
    ("in", "since", "by", "from", "until", "till", "before", "after", "during", "year", "circa", "of", "through")
)
_CALLS = frozenset(("call", "dial", "text", "ring", "called", "dialed"))
_CODES = frozenset(("code", "pin", "password", "extension"))


def _is_one(digits: str) -> bool:
    return digits in {"1", "1.0", "1.00"}


def _adjective(place: Place, end: int) -> bool:
    """Whether "a $20 bill" stands here, or "a 10 cm piece": what is counted is then in the singular."""
    return place.before in {"a", "an"} and place.next_word(end).lower() not in {"", "in", "of", "and", "or", "to"}


def _minus(sign: str) -> list[str]:
    return ["minus"] if sign else []


def money(place: Place) -> Found | None:
    """$45.50, US$5, €20, $1.2 million, $5M, $10-12, 68¢, 20€."""
    if found := place.match(_CENTS):
        return Found(found.end(), words([*cardinal(found.group(1)), "cent" if _is_one(found.group(1)) else "cents"]))
    if found := place.match(_MONEY_AFTER):
        one, many, *_ = _CURRENCIES[found.group(2)]
        return Found(found.end(), words([*cardinal(found.group(1)), one if _is_one(found.group(1)) else many]))
    found = place.match(_MONEY)
    if found is None:
        return None
    country, sign, amount, sign_of_end, end_amount, scale, short = found.groups()
    one, many, *_ = _CURRENCIES[sign]
    scale = scale or _SCALES.get(short or "")
    prefix = letters(country.lower()) if country else []
    if end_amount:
        first = [*cardinal(amount), *([many] if sign_of_end else [])]
        return Found(found.end(), words([*first, "to", *cardinal(end_amount), *([scale] if scale else []), many]))
    if scale:
        singular = _adjective(place, found.end())
        return Found(found.end(), [*words([*cardinal(amount), scale]), *prefix, *words([one if singular else many])])
    spoken = _dollars(amount, sign, _adjective(place, found.end()), bool(prefix))
    return Found(found.end(), [*words(spoken[0]), *prefix, *words(spoken[1])])


def _dollars(amount: str, sign: str, singular: bool, named: bool) -> tuple[list[str], list[str]]:
    """The number, and what it counts; the name of a country goes between."""
    one, many, cent, cents = _CURRENCIES[sign]
    whole, _, decimals = amount.replace(",", "").partition(".")
    if decimals and (len(decimals) != 2 or sign == "¥"):
        return cardinal(amount), [many]
    unit = one if _is_one(whole) or singular else many
    if not decimals or decimals == "00":
        return cardinal(whole or "0"), [unit]
    small = [*cardinal(decimals.lstrip("0")), cent if decimals == "01" else cents]
    if whole.strip("0") == "" and not named:
        return small, []
    return cardinal(whole or "0"), [unit, "and", *small]


def percentage(place: Place) -> Found | None:
    """50%, -3.5%, 10-15%."""
    found = place.match(_PERCENT)
    if found is None:
        return None
    sign, amount, own_sign, end = found.groups()
    first = [*_minus(sign), *cardinal(amount), *(["percent"] if own_sign else [])]
    return Found(found.end(), words([*first, *(["to", *cardinal(end)] if end else []), "percent"]))


def measure(place: Place) -> Found | None:
    """5 km, -5°F, 30 m², 16GB, 6 ft 2 in, 5'10"."""
    if found := place.match(_FEET_INCHES):
        feet, inches = found.group(1) or found.group(3), found.group(2) or found.group(4)
        one_foot, one_inch = _is_one(feet), _is_one(inches)
        spoken = [*cardinal(feet), "foot" if one_foot else "feet", *cardinal(inches), "inch" if one_inch else "inches"]
        return Found(found.end(), words(spoken))
    if found := place.match(_INCHES):
        singular = _is_one(found.group(1)) or place.before in {"a", "an"}
        return Found(found.end(), words([*cardinal(found.group(1)), "inch" if singular else "inches"]))
    found = place.match(_UNIT)
    if found is None:
        return None
    sign, amount, end, unit, _ = found.groups()
    if unit == "in" and place.text[found.end() : found.end() + 1] not in {"", ",", ")"}:
        return None  # "1 in 5 people"
    one, many = UNITS[unit]
    singular = (_is_one(amount) and not end) or _adjective(place, found.end())
    spoken = [*_minus(sign), *cardinal(amount), *(["to", *cardinal(end)] if end else [])]
    return Found(found.end(), words([*spoken, *(one if singular else many).split()]))


def part(place: Place) -> Found | None:
    """1/2, 2 1/2, 1½, 24/7."""
    if found := place.match(_MIXED):
        whole, above, below = found.groups()
        if 0 < int(above) < int(below):
            return _counted(place, found.end(), with_fraction(whole, int(above), int(below)), many=True)
    if found := place.match(_SIGN_FRACTION):
        above, below = FRACTIONS[found.group(2)]
        whole = found.group(1)
        parts = (int(above), int(below))
        spoken = with_fraction(whole, *parts) if whole else fraction(*parts)
        return _counted(place, found.end(), spoken, many=bool(whole))
    found = place.match(_FRACTION)
    if found is None:
        return None
    if found.group() in _ALWAYS:
        return Found(found.end(), words(_ALWAYS[found.group()]))
    above, below = int(found.group(1)), int(found.group(2))
    if above <= 12 and 13 <= below <= 31 and below not in {16, 20, 24, 25}:
        return Found(found.end(), words([MONTHS[above - 1], *ordinal(below)] if above else fraction(above, below)))
    return _counted(place, found.end(), fraction(above, below), many=False)


def _counted(place: Place, end: int, number: list[str], *, many: bool) -> Found:
    """A fraction with the unit that follows: one half teaspoon, two and a half cups."""
    found = _UNIT_AFTER.match(place.text, end)
    if found is None:
        return Found(end, words(number))
    return Found(found.end(), words([*number, *UNITS[found.group(1)][many].split()]))


def ordered(place: Place) -> Found | None:
    """21st, 1,000th."""
    found = place.match(_ORDINAL)
    return found and Found(found.end(), words(ordinal(int(found.group(1).replace(",", "")))))


def between(place: Place) -> Found | None:
    """10-20, 5–7, 1939-1945, 3:1, 4x4, 5 × 3."""
    if (found := place.match(_BY)) and "×" in found.group().replace(" ", "")[1:]:
        return _joined(found, "times")
    if found := place.match(_BY):
        return _joined(found, "by")
    if found := place.match(_RATIO):
        return _joined(found, "to")
    found = place.match(_RANGE)
    if found is None:
        return None
    first, last = found.groups()
    return Found(found.end(), words([*_bare(place, first, found.end()), "to", *_bare(place, last, found.end())]))


def _joined(found: re.Match[str], between_them: str) -> Found:
    spoken: list[str] = []
    for number in filter(None, found.groups()):
        spoken += [*([between_them] if spoken else []), *cardinal(number)]
    return Found(found.end(), words(spoken))


def _bare(place: Place, digits: str, end: int) -> list[str]:
    """A plain number: as a year where it may be one."""
    if len(digits) == 4 and digits.isdigit() and 1100 <= int(digits) <= 2199:
        number, following = int(digits), place.next_word(end)
        counts = following.endswith("s") and following.islower() and place.before not in _BEFORE_YEARS
        if number % 100 == 0 or place.before in _BEFORE_YEARS or (1900 <= number <= 2099 and not counts):
            return year(number)
    after_state = len(digits) == 5 and re.fullmatch(r"[A-Z]{2}", place.raw) is not None
    if digits.isdigit() and (
        after_state or place.before == "zip" or (place.before == "code" and place.earlier == "zip")
    ):
        return ["oh" if digit == "zero" else digit for digit in spelled(digits)]
    if digits.isdigit() and place.before in _CALLS | _CODES and 2 < len(digits) < 7:
        return spelled(digits)
    return cardinal(digits)


def number(place: Place) -> Found | None:
    """What is left of numbers: 42, -12, 1984, 007, 2.0.1, 3D, 401(k)."""
    if found := place.match(_RETIREMENT):
        first, last = spelled(found.group(1)[0]), spelled(found.group(1)[2])
        return Found(found.end(), [*words([*first, "oh", *last]), *letters(found.group(2))])
    if found := place.match(_DOTTED):
        return Found(found.end(), words(_pointed(found.group(1))))
    if found := place.match(_SPACED):
        return Found(found.end(), words(cardinal(found.group().replace(" ", ""))))
    if found := place.match(_AGENTS):
        spoken = cardinal(found.group(1))
        spoken[-1] += "rs" if spoken[-1].endswith("e") else "ers"
        return Found(found.end(), words(spoken))
    if found := place.match(_WITH_LETTERS):
        return Found(found.end(), [*words(cardinal(found.group(1))), *letters(found.group(2))])
    if found := place.match(_SIGNED):
        name = {"+": "plus", "~": "about", "≈": "about"}.get(found.group(1), "plus or minus")
        return Found(found.end(), words(name.split()))
    found = place.match(_NUMBER)
    if found is None:
        return None
    sign, digits, scale, short = found.groups()
    if scale or short:
        return Found(found.end(), words([*_minus(sign), *cardinal(digits), scale or _SCALES[short]]))
    return Found(found.end(), words([*_minus(sign), *_bare(place, digits, found.end())]))


def amount(place: Place) -> Found | None:
    """A number that is no year, as it is counted: 1984 -> one thousand nine hundred eighty four."""
    found = place.match(_NUMBER)
    if found is None or found.group(3) or found.group(4):
        return None
    return Found(found.end(), words([*_minus(found.group(1)), *cardinal(found.group(2))]))


def version(place: Place) -> Found | None:
    """v2.0.1."""
    found = place.match(_VERSION)
    if found is None:
        return None
    lead = [] if place.before == "version" else ["version"]
    return Found(found.end(), words([*lead, *_pointed(found.group(1))]))


def _pointed(dotted: str) -> list[str]:
    spoken: list[str] = []
    for piece in dotted.split("."):
        spoken += [*(["point"] if spoken else []), *cardinal(piece)]
    return spoken


__all__ = ["amount", "between", "measure", "money", "number", "ordered", "part", "percentage", "version"]
