"""Dates and times of day."""

import re
from collections.abc import Sequence

from wavejax.text.english.numbers import cardinal, ordinal, plural, spelled, year
from wavejax.text.english.places import Found, Place, letters, words

MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"),
    "december",
)
_SHORT_MONTHS = {
    **{name[:3]: name for name in MONTHS if name != "may"},
    "sept": "september",
}
_WEEKDAYS = {
    "mon": "monday",
    "tue": "tuesday",
    "tues": "tuesday",
    "wed": "wednesday",
    "thu": "thursday",
    "thur": "thursday",
    "thurs": "thursday",
    "fri": "friday",
    "sat": "saturday",
    "sun": "sunday",
}
_MONTH = "|".join((*(name.capitalize() for name in MONTHS), *(f"{name.capitalize()}\\b\\.?" for name in _SHORT_MONTHS)))
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?(?![\d:%,.]?\d|[A-Za-z])"
_MONTH_DAY = re.compile(rf"({_MONTH}) {_DAY}(?:(,?) (\d{{4}})(?![\d,.:]\d|\w))?")
_MONTH_YEAR = re.compile(rf"({_MONTH}),? (\d{{4}})(?![\d,.:]\d|\w)")
_DAY_MONTH = re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})(?![A-Za-z])(?:,? (\d{{4}})(?![\d,.:]\d|\w))?")
_SHORT_MONTH = re.compile(rf"({'|'.join(name.capitalize() for name in _SHORT_MONTHS)})\.")
_WEEKDAY = re.compile(rf"({'|'.join(name.capitalize() for name in _WEEKDAYS)})\.(?!\w)")
_WEEKDAYS_ONLY = "|".join(name.capitalize() for name in _WEEKDAYS)
_WEEKDAY_RANGE = re.compile(rf"({_WEEKDAYS_ONLY})\s?[-\u2013]\s?({_WEEKDAYS_ONLY})(?![A-Za-z])")
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?![\d-])")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\d/])")
_HALF = r"(?:\s?([AaPp])\.?\s?[Mm](?![A-Za-z])(\.(?!\w))?)"
_CLOCK = re.compile(rf"(\d{{1,2}}):(\d{{2}})(?::(\d{{2}}))?(?![:\d]){_HALF}?")
_HOUR = re.compile(rf"(\d{{1,2}}){_HALF}")
_UNTIL = re.compile(r"\s?[-\u2013]\s?(?=\d{1,2}:\d{2}|\d{1,2}\s?[AaPp]\.?[Mm](?![A-Za-z]))")
_DECADE = re.compile(r"(\d{3}0)'?s(?![\w'])|'?(\d0)'?s(?![\w'])")
_APOSTROPHE_YEAR = re.compile(r"'(\d{2})(?![\w'])")
_ERA = re.compile(r"(\d{1,4}) (BC|AD|BCE|CE)(?!\w)|(AD|A\.D\.) (\d{1,4})(?!\w)")


def _month(written: str) -> str:
    name = written.lower().rstrip(".")
    return _SHORT_MONTHS.get(name, name)


def _year(digits: str) -> list[str]:
    return year(int(digits)) if 1100 <= int(digits) <= 2199 else cardinal(digits)


def _day_of(month: int, day: int) -> list[str] | None:
    return [MONTHS[month - 1], *ordinal(day)] if 1 <= month <= 12 and 1 <= day <= 31 else None


def date(place: Place) -> Found | None:
    """Jan. 5th; March 3, 2021; January 2021; 5 May 2019; 2024-02-29; 12/31/1999 (month first)."""
    if found := place.match(_MONTH_DAY):
        month, day, _, of_year = found.groups()
        if 1 <= int(day) <= 31:
            return Found(found.end(), words([_month(month), *ordinal(int(day)), *(_year(of_year) if of_year else [])]))
    if found := place.match(_MONTH_YEAR):
        return Found(found.end(), words([_month(found.group(1)), *_year(found.group(2))]))
    if (found := place.match(_DAY_MONTH)) and 1 <= int(found.group(1)) <= 31:
        day, month, of_year = found.groups()
        lead = [] if place.before in {"the", "of"} else ["the"]
        spoken = [*lead, *ordinal(int(day)), "of", _month(month), *(_year(of_year) if of_year else [])]
        return Found(found.end(), words(spoken), month.endswith("."))
    if found := place.match(_ISO):
        of_year, month, day = found.groups()
        if named := _day_of(int(month), int(day)):
            return Found(found.end(), words([*named, *_year(of_year)]))
    if found := place.match(_SLASHED):
        first, second, of_year = (int(part) for part in found.groups())
        if named := _day_of(first, second) or _day_of(second, first):
            full = found.group(3) if len(found.group(3)) == 4 else str(of_year + (2000 if of_year < 50 else 1900))
            return Found(found.end(), words([*named, *_year(full)]))
    return None


def short_name(place: Place) -> Found | None:
    """A month or a weekday that is cut short, with its full stop: Jan., Wed.; Mon-Fri."""
    if found := place.match(_WEEKDAY_RANGE):
        first, last = (_WEEKDAYS[name.lower()] for name in found.groups())
        return Found(found.end(), words([first, "to", last]))
    if found := place.match(_SHORT_MONTH):
        return Found(found.end(), words([_month(found.group(1))]), True)
    found = place.match(_WEEKDAY)
    if found is None:
        return None
    if found.group(1) in {"Sun", "Sat"} and place.before not in {"on", "and", "every", "until", "by", "from", "to"}:
        return None
    return Found(found.end(), words([_WEEKDAYS[found.group(1).lower()]]), True)


def _half(letter: str | None) -> list[str]:
    return [letter.lower(), "m"] if letter else []


def _of_day(found: re.Match[str], spoken: Sequence[str], half: str | None, stop: str | None) -> Found:
    result = Found(found.end(), [*words(spoken), *letters("".join(_half(half)))], stop is not None)
    if until := _UNTIL.match(found.string, found.end()):
        result = Found(until.end(), [*result.words, *words(["to"])])
    return result


def clock(place: Place) -> Found | None:
    """10:30 a.m., 14:45, 8:00 (eight o'clock), 2:05:30, 5pm."""
    if found := place.match(_CLOCK):
        hour, minute, second, half, stop = found.groups()
        if int(hour) > 24 or int(minute) > 59 or int(second or 0) > 59:
            return None
        spoken = cardinal(str(int(hour)))
        if int(minute):
            spoken += [*(["oh"] if int(minute) < 10 else []), *cardinal(str(int(minute)))]
        elif not half and not second:
            spoken += ["o'clock"] if 1 <= int(hour) <= 12 else ["hundred"]
        if second:
            spoken += ["and", *cardinal(str(int(second))), "second" if int(second) == 1 else "seconds"]
        return _of_day(found, spoken, half, stop)
    found = place.match(_HOUR)
    if found is None or not 1 <= int(found.group(1)) <= 12 or found.group(0)[-2:] == " m":
        return None
    return _of_day(found, cardinal(found.group(1)), found.group(2), found.group(3))


def era(place: Place) -> Found | None:
    """The years of an era (44 BC, A.D. 79), decades (the 1990s, the '80s, her 40s) and years cut short ('69)."""
    if found := place.match(_ERA):
        after, name = found.group(1) or found.group(4), (found.group(2) or found.group(3)).replace(".", "")
        number = words(_year(after))
        return Found(found.end(), [*number, *letters(name)] if found.group(2) else [*letters(name), *number])
    if found := place.match(_DECADE):
        long, short = found.groups()
        if long and 1100 <= int(long) <= 2199:
            return Found(found.end(), words(plural(year(int(long)))))
        if short and int(short) >= 20:
            return Found(found.end(), words(plural(cardinal(short))))
    found = place.match(_APOSTROPHE_YEAR)
    if found is None:
        return None
    digits = found.group(1)
    return Found(found.end(), words(["oh", *spelled(digits[1])] if digits[0] == "0" else cardinal(digits)))


__all__ = ["MONTHS", "clock", "date", "era", "short_name"]
