"""Abbreviations, initialisms, Roman numerals and words with digits."""

import re
from collections.abc import Mapping

from wavejax.text.english.numbers import cardinal, ordinal, roman, spelled
from wavejax.text.english.places import Found, Place, Spoken, letters, words
from wavejax.text.lexicon import english_lexicon
from wavejax.text.phonemes import without_stress

_TITLES: Mapping[str, str] = {
    "Mr": "mister",
    "Mrs": "missus",
    "Ms": "ms",
    "Messrs": "messieurs",
    "Prof": "professor",
    "Gen": "general",
    "Col": "colonel",
    "Sen": "senator",
    "Rep": "representative",
    "Gov": "governor",
    "Pres": "president",
    "Rev": "reverend",
    "Hon": "honorable",
    "Capt": "captain",
    "Cmdr": "commander",
    "Lt": "lieutenant",
    "Sgt": "sergeant",
    "Cpl": "corporal",
    "Pvt": "private",
    "Maj": "major",
    "Adm": "admiral",
    "Fr": "father",
    "Mt": "mount",
    "Ft": "fort",
}
"""Before a name."""
_ABBREVIATIONS: Mapping[str, str] = {
    "etc": "et cetera",
    "vs": "versus",
    "viz": "namely",
    "cf": "compare",
    "al": "al",
    "approx": "approximately",
    "dept": "department",
    "max": "maximum",
    "min": "minimum",
    "inc": "incorporated",
    "ltd": "limited",
    "corp": "corporation",
    "co": "company",
    "bros": "brothers",
    "jr": "junior",
    "sr": "senior",
    "ave": "avenue",
    "blvd": "boulevard",
    "rd": "road",
    "ln": "lane",
    "hwy": "highway",
    "govt": "government",
    "univ": "university",
    "assn": "association",
    "esq": "esquire",
    "est": "established",
    "misc": "miscellaneous",
    "tel": "telephone",
    "ext": "extension",
    "incl": "including",
    "hrs": "hours",
    "avg": "average",
    "tsp": "teaspoon",
    "tbsp": "tablespoon",
}
_CAPITALS_ONLY = frozenset(("co", "jr", "sr", "ave", "rd", "ln", "al", "est", "inc"))
"""In small letters these are words, or the ends of sentences."""
_BEFORE_NUMBERS: Mapping[str, str] = {
    "no": "number",
    "nos": "numbers",
    "p": "page",
    "pp": "pages",
    "vol": "volume",
    "fig": "figure",
    "figs": "figures",
    "ch": "chapter",
    "sec": "section",
    "eq": "equation",
    "art": "article",
    "apt": "apartment",
    "ste": "suite",
    "ca": "circa",
    "c": "circa",
    "op": "opus",
}
_WITHOUT_STOP: Mapping[str, str] = {
    "Mr": "mister",
    "Mrs": "missus",
    "Ms": "ms",
    "Dr": "doctor",
    "Jr": "junior",
    "vs": "versus",
    "Ltd": "limited",
    "OK": "okay",
    "Hwy": "highway",
    "WWI": "world war one",
    "WWII": "world war two",
}
_LATIN: Mapping[str, str] = {"e.g.": "for example", "i.e.": "that is", "a.k.a.": "also known as"}
_SHORTHAND: Mapping[str, str] = {
    "w/o": "without",
    "w/": "with",
    "b/c": "because",
    "c/o": "care of",
    "n/a": "not applicable",
}
_AS_WORDS = frozenset(
    (
        *("NASA", "NATO", "UNICEF", "UNESCO", "OPEC", "AIDS", "COVID", "PIN", "SIM", "RAM", "JPEG", "GIF", "SWAT"),
        *("NAFTA", "ASCII", "BIOS", "IKEA", "LEGO", "NASDAQ", "FIFA", "UEFA", "TED", "CERN", "OSHA", "FEMA", "AWOL"),
        *("ZIP", "MIDI", "LAN", "NOAA", "DARPA", "SCUBA", "LASER", "RADAR", "GNU", "JAX", "SARS", "WASP", "MOMA"),
    )
)
"""Acronyms."""
_EMPHATIC = frozenset(
    (
        *("A", "I", "NO", "DO", "GO", "BE", "SO", "IS", "MY", "HE", "WE", "IF", "ON", "UP", "TO", "IN", "OR", "OF"),
        *("NOT", "ALL", "YOU", "AND", "THE", "BUT", "NOW", "NEW", "BIG", "BAD", "ONE", "TWO", "YES", "OUR", "OUT"),
        *("OFF", "ANY", "CAN", "MAY", "WAS", "ARE", "HAS", "HAD", "HER", "HIS", "HIM", "SHE", "WHO", "WHY", "HOW"),
        *("GET", "GOT", "LET", "SAY", "SEE", "RUN", "TOO", "WAY", "FOR", "WAR", "END", "OLD", "SIX", "TEN"),
    )
)
"""Short words that are written in capitals for emphasis; other short ones in capitals are read letter by letter."""
_NUMBERED = frozenset(
    (
        *("chapter", "part", "act", "scene", "volume", "book", "section", "war", "bowl", "phase", "type", "level"),
        *("title", "appendix", "article", "episode", "class", "grade", "stage", "mark", "round", "rocky", "division"),
    )
)
"""Words after which Roman numerals are read "four"; after a name they are "the fourth"."""
_ROYAL = frozenset(("king", "queen", "pope", "emperor", "empress", "tsar", "kaiser", "prince", "princess", "sultan"))
_STARTERS = frozenset(
    (
        *("the", "a", "an", "he", "she", "it", "they", "we", "i", "you", "this", "that", "these", "those", "there"),
        *("but", "and", "so", "in", "on", "at", "if", "when", "then", "what", "who", "why", "how", "where", "his"),
        *("her", "its", "my", "our", "their", "your", "no", "yes", "not", "as", "after", "before", "for", "with"),
        *("to", "was", "is", "are", "do", "did", "please", "now", "however", "nobody", "everyone", "some", "many"),
        *("most", "all", "both", "each", "one", "also", "because", "while", "although", "since", "let", "can", "may"),
    )
)
"""Words that begin sentences: an abbreviation before them ends one."""
_VOWEL = re.compile(r"[AEIOUY]")

_STOPPED = re.compile(r"([A-Za-z]{1,8})\.")
_WITH_STOPS = re.compile(r"(?:[A-Za-z]\.){2,10}(?![A-Za-z])('s(?!\w))?|Ph\. ?D\.?(?![A-Za-z])('s(?!\w))?")
_HALF_DAY = re.compile(r"([AaPp])\.[Mm]\.(?!\w)")
_INITIAL = re.compile(r"([A-Z])\.(?=\s?[A-Z]|\s[a-z])")
_CAPITALS = re.compile(r"([A-Z]{2,100})('?s)?(?![A-Za-z0-9'])")
_DEGREE = re.compile(r"PhD('?s)?(?![A-Za-z0-9])")
_AMPERSAND = re.compile(r"([A-Z]{1,3})&([A-Z]{1,3})('s)?(?![A-Za-z0-9])")
_ROMAN = re.compile(r"([IVXLC]{1,12}|[ivxlc]{2,12})(?![A-Za-z0-9'&.]\w|[A-Za-z0-9])")
_MIXED = re.compile(r"[A-Za-z]{0,30}(?:\d{1,6}[A-Za-z]{0,10}){1,6}(?![A-Za-z0-9])")
_PIECES = re.compile(r"[A-Za-z]+|\d+")
_SLASHED = re.compile(r"(?:w/o|w/|b/c|c/o|n/a)(?![A-Za-z])|w/(?=[A-Za-z])", re.IGNORECASE)
_WHOLE = re.compile(r"[A-Za-z]+")


def begins_sentence(word: str) -> bool:
    """Whether a capitalised word after an abbreviation begins a sentence."""
    return word[:1].isupper() and word.lower() in _STARTERS


def abbreviation(place: Place) -> Found | None:
    """Dr., St., Prof., Inc., etc., No. 5, e.g., w/."""
    for written, spoken in _LATIN.items():
        if place.text.startswith(written, place.at) or place.text.startswith(written.capitalize(), place.at):
            return Found(place.at + len(written), words(spoken.split()))
    if found := place.match(_SLASHED):
        return Found(found.end(), words(_SHORTHAND[found.group().lower()].split()))
    if found := place.match(_STOPPED):
        return _stopped(place, found.group(1), found.end())
    found = place.match(_WHOLE)
    if found is None or found.group() not in _WITHOUT_STOP:
        return None
    if found.group() == "Dr" and not place.next_word(found.end())[:1].isupper():
        return None
    return Found(found.end(), words(_WITHOUT_STOP[found.group()].split()))


def _stopped(place: Place, written: str, end: int) -> Found | None:
    """An abbreviation with its full stop."""
    following = re.compile(r"\s?(\w?)").match(place.text, end)
    next_letter = following.group(1) if following else ""
    if written in {"Dr", "St"}:
        is_way = _is_name_of_way(place, next_letter)
        name = {"Dr": ("doctor", "drive"), "St": ("saint", "street")}[written][is_way]
        return Found(end, words([name]), is_way)
    if written in _TITLES and (next_letter.isupper() or (written in _WITHOUT_STOP and next_letter)):
        return Found(end, words([_TITLES[written]]))
    if len(written) > 1 and written.isupper():
        return None  # EST, MIN
    small = written.lower()
    if small in _BEFORE_NUMBERS and next_letter.isdigit():
        return Found(end, words([_BEFORE_NUMBERS[small]]))
    if small == "al" and place.before == "et":
        return Found(end, words(["al"]), True)
    if small not in _ABBREVIATIONS or (small in _CAPITALS_ONLY and not written[0].isupper()):
        return None
    if small in {"min", "max"} and not next_letter.islower():
        return None
    return Found(end, words(_ABBREVIATIONS[small].split()), True)


def _is_name_of_way(place: Place, next_letter: str) -> bool:
    """Whether Dr. and St. mean a drive and a street: after a name or a number, as in Elm Dr. and 5th St."""
    if place.before in _TITLES.values() or place.raw.lower() in _STARTERS:
        return False
    if place.earlier == "" and next_letter.isupper():
        return False  # Yesterday Dr. King came
    return place.raw[:1].isupper() or place.raw[:1].isdigit()


def initialism(place: Place) -> Found | None:
    """FBI, U.S., Ph.D., AT&T, CEO's, PCs, J. of a name; NASA and STOP are words."""
    if found := place.match(_HALF_DAY):
        return Found(found.end(), letters(f"{found.group(1).lower()}m"), True)
    if found := place.match(_WITH_STOPS):
        possessive = found.group(1) or found.group(2) or ""
        name = "".join(filter(str.isalpha, found.group().removesuffix(possessive)))
        return Found(found.end(), letters(name, possessive), found.group().endswith("."))
    if (found := place.match(_INITIAL)) and _is_initial(found, place):
        return Found(found.end(), letters(found.group(1)))
    if found := place.match(_DEGREE):
        return Found(found.end(), letters("phd", found.group(1) or ""))
    if found := place.match(_AMPERSAND):
        first, second, ending = found.groups()
        return Found(found.end(), [*letters(first), *words(["and"]), *letters(second, ending or "")])
    found = place.match(_CAPITALS)
    if found is None:
        return None
    name, ending = found.groups()
    if _is_word(name, place):
        return Found(found.end(), [Spoken(name.lower() + (ending or ""))])
    return Found(found.end(), letters(name, ending or ""))


def _is_initial(found: re.Match[str], place: Place) -> bool:
    """Whether a capital with a full stop belongs to a name, and does not end a sentence ("Plan B. It ...")."""
    if begins_sentence(place.next_word(found.end())):
        return False
    return found.group(1) != "I" or place.raw[:1].isupper() or not place.before


def _is_word(name: str, place: Place) -> bool:
    """Whether capitals are read as a word: an acronym, or a word written in capitals for emphasis."""
    if name in _AS_WORDS:
        return True
    known = name.lower() in english_lexicon() and not _is_spelled(name.lower())
    if _shouted(place):
        return known or len(name) > 5
    if len(name) <= 3:
        return name in _EMPHATIC
    return known or (len(name) > 5 and _VOWEL.search(name) is not None)


def _is_spelled(name: str) -> bool:
    """Whether the lexicon, too, names the letters."""
    lexicon = english_lexicon()
    named = [phone for letter in name for phone in (("EY1",) if letter == "a" else lexicon.phones(letter) or ())]
    return [*map(without_stress, named)] == [*map(without_stress, lexicon.phones(name) or ())]


def _shouted(place: Place) -> bool:
    """Whether all words of the neighbourhood, up to the ends of the sentence, are in capitals."""
    before = re.split(r"[.!?\n]", place.text[max(place.at - 60, 0) : place.at])[-1]
    after = re.split(r"[.!?\n]", place.text[place.at : place.at + 60])[0]
    around = re.findall(r"[A-Za-z]+", before + after)
    return len(around) > 2 and all(word.isupper() for word in around)


def roman_numeral(place: Place) -> Found | None:
    """Henry VIII (the eighth), World War II (two), Chapter IV (four)."""
    found = place.match(_ROMAN)
    number = roman(found.group(1).upper()) if found else None
    if found is None or number is None or not place.before:
        return None
    written = found.group(1)
    if place.before in _NUMBERED and (len(written) > 1 or place.raw[:1].isupper()):
        return Found(found.end(), words(cardinal(str(number))))
    named = place.raw[:1].isupper() and place.raw[1:2].islower() and set(written) <= set("IVX")
    if named and (len(written) > 1 or place.earlier in _ROYAL):
        return Found(found.end(), words(["the", *ordinal(number)]))
    return None


def mixed(place: Place) -> Found | None:
    """MP3, H2O, B2B, A4, iPhone12."""
    found = place.match(_MIXED)
    if found is None:
        return None
    spoken: list[Spoken] = []
    for piece in _PIECES.findall(found.group()):
        if piece.isdigit():
            spoken += words(cardinal(piece) if len(piece) < 4 else spelled(piece))
        elif len(piece) < 4 and (piece.isupper() or piece.lower() not in english_lexicon()):
            spoken += letters(piece)
        else:
            spoken.append(Spoken(piece.lower()))
    return Found(found.end(), spoken)


__all__ = ["abbreviation", "begins_sentence", "initialism", "mixed", "roman_numeral"]
