"""Numbers in words: amounts, years, digits one by one, fractions."""

from collections.abc import Sequence

from wavejax.text.numerals import english, english_ordinal

MOST_DIGITS = 15
"""Longer numbers are read digit by digit."""
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ONE_OF = {2: "half", 4: "quarter"}
_SCALES = ((10**12, "trillion"),)


def cardinal(digits: str) -> list[str]:
    """An amount, with its decimals and commas between thousands: "1,204.5" -> one thousand two hundred four point five.

    Digit by digit where it begins with 0 or is very long, as codes are read.
    """
    whole, point, decimals = digits.replace(",", "").partition(".")
    words = spelled(whole) if len(whole) > MOST_DIGITS or (len(whole) > 1 and whole[0] == "0") else _amount(whole)
    return [*words, "point", *spelled(decimals)] if point and decimals else words


def _amount(digits: str) -> list[str]:
    if not digits:
        return []  # .5 is read "point five"
    number = int(digits)
    for size, name in _SCALES:
        if number >= size:
            rest = number % size
            return [*english(number // size).split(), name, *(english(rest).split() if rest else [])]
    return english(number).split()


def ordinal(number: int) -> list[str]:
    """21 -> twenty first."""
    return english_ordinal(number).split()


def spelled(digits: str) -> list[str]:
    """Each digit by itself."""
    return [_DIGITS[int(digit)] for digit in digits]


def year(number: int) -> list[str]:
    """A year from 1100 to 2099 in pairs: 1905 -> nineteen oh five; 2005 -> two thousand five."""
    century, rest = divmod(number, 100)
    if number % 1000 < 10:
        return english(number).split()
    if rest == 0:
        return [*english(century).split(), "hundred"]
    return [*english(century).split(), *(["oh"] if rest < 10 else []), *english(rest).split()]


def plural(words: Sequence[str]) -> list[str]:
    """The last word in the plural: nineteen nineties, eighteen hundreds."""
    *before, last = words
    return [*before, f"{last[:-1]}ies" if last.endswith("y") else f"{last}es" if last == "six" else f"{last}s"]


def fraction(numerator: int, denominator: int) -> list[str]:
    """1/2 -> one half, 2/3 -> two thirds, 3/4 -> three quarters; one hundred over three where that is clearer."""
    if denominator in (0, 1) or denominator > 1000 or numerator > 1000:
        return [*english(numerator).split(), "over", *english(denominator).split()]
    part = [_ONE_OF[denominator]] if denominator in _ONE_OF else ordinal(denominator)
    if numerator == 1:
        return ["one", *part]
    return [*english(numerator).split(), *(["halves"] if denominator == 2 else plural(part))]


def with_fraction(whole: str, numerator: int, denominator: int) -> list[str]:
    """2 1/2 -> two and a half."""
    parts = fraction(numerator, denominator)
    return [*cardinal(whole), "and", *(["a", *parts[1:]] if numerator == 1 and denominator == 2 else parts)]


def roman(letters: str) -> int | None:
    """The number that Roman numerals stand for, up to 399; None where they are none."""
    values = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
    total = 0
    for place, letter in enumerate(letters):
        value = values.get(letter)
        if value is None:
            return None
        following = values.get(letters[place + 1 : place + 2], 0)
        total += -value if following > value else value
    return total if 0 < total < 400 and _written(total) == letters else None


def _written(number: int) -> str:
    parts = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
    out = ""
    for value, letters in parts:
        while number >= value:
            out, number = out + letters, number - value
    return out


__all__ = ["cardinal", "fraction", "ordinal", "plural", "roman", "spelled", "with_fraction", "year"]
