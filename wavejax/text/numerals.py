"""Numbers as words, in English and in Russian (cardinals in the nominative; English ordinals as well)."""

from collections.abc import Callable, Mapping

LARGEST = 10**12 - 1
"""The largest number that is read as a number; longer ones are read digit by digit."""

_EN_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_EN_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_EN_GROUPS = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"))
_EN_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}

_RU_ONES = (
    *("ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять", "десять", "одиннадцать"),
    *("двенадцать", "тринадцать", "четырнадцать", "пятнадцать", "шестнадцать", "семнадцать", "восемнадцать"),
    "девятнадцать",
)
_RU_TENS = (
    *("", "", "двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят", "восемьдесят", "девяносто"),
)
_RU_HUNDREDS = (
    *("", "сто", "двести", "триста", "четыреста", "пятьсот", "шестьсот", "семьсот", "восемьсот", "девятьсот"),
)
_RU_GROUPS = (
    (10**9, ("миллиард", "миллиарда", "миллиардов")),
    (10**6, ("миллион", "миллиона", "миллионов")),
    (1000, ("тысяча", "тысячи", "тысяч")),
)


def english(number: int) -> str:
    """0 to `LARGEST` in words: 1204 -> "one thousand two hundred four"."""
    if number < 20:
        return _EN_ONES[number]
    if number < 100:
        return " ".join([_EN_TENS[number // 10], *([_EN_ONES[number % 10]] if number % 10 else [])])
    size, name = next(((size, name) for size, name in _EN_GROUPS if number >= size), (100, "hundred"))
    rest = [english(number % size)] if number % size else []
    return " ".join([english(number // size), name, *rest])


def english_ordinal(number: int) -> str:
    """0 to `LARGEST` as an ordinal: 21 -> "twenty first"."""
    *before, last = english(number).split()
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return " ".join([*before, _EN_ORDINALS.get(last, regular)])


def russian(number: int) -> str:
    """0 to `LARGEST` in words: 2021 -> "две тысячи двадцать один"."""
    if number < 1000:
        return " ".join(_below_1000(number, feminine=False)) or _RU_ONES[0]
    words = []
    for size, forms in _RU_GROUPS:
        count, number = divmod(number, size)
        if count:
            words += [*_below_1000(count, feminine=size == 1000), forms[_form(count)]]
    return " ".join([*words, *_below_1000(number, feminine=False)])


def _below_1000(number: int, *, feminine: bool) -> list[str]:
    """Words of 1 to 999; of 0 none."""
    hundreds, rest = divmod(number, 100)
    words = [_RU_HUNDREDS[hundreds]] if hundreds else []
    if rest >= 20:
        words.append(_RU_TENS[rest // 10])
        rest %= 10
    if rest:
        words.append({1: "одна", 2: "две"}.get(rest, _RU_ONES[rest]) if feminine else _RU_ONES[rest])
    return words


def _form(count: int) -> int:
    """Which form of the noun follows: 0 after 1, 1 after 2 to 4, 2 after all others (and 11 to 14)."""
    if 10 < count % 100 < 20:
        return 2
    return 0 if count % 10 == 1 else 1 if 1 < count % 10 < 5 else 2


CARDINALS: Mapping[str, Callable[[int], str]] = {"en": english, "ru": russian}
"""By language."""


__all__ = ["CARDINALS", "LARGEST", "english", "english_ordinal", "russian"]
