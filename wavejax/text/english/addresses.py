"""What is read sign by sign: telephone numbers, addresses on the network, names of files, handles."""

import re
from collections.abc import Iterator

from wavejax.text.english.numbers import cardinal, spelled
from wavejax.text.english.places import Found, Place, Spoken, letters, words
from wavejax.text.lexicon import english_lexicon

_PHONES = (
    re.compile(r"\((\d{3})\) ?(\d{3})[-. ](\d{4})(?![\d-])"),
    re.compile(r"\+?(\d{1,3})[-. ]\(?(\d{3})\)?[-. ](\d{3})[-. ](\d{4})(?![\d-])"),
    re.compile(r"(\d{3})[-.](\d{3})[-.](\d{4})(?![\d-])"),
    re.compile(r"(\d{3})-(\d{4})(?![\d-])"),
    re.compile(r"\+(\d{1,3})((?:[ -]?\d{2,4}){2,5})(?![\d-])"),
)
_CARD = re.compile(r"(\d{4}) (\d{4}) (\d{4}) (\d{1,4})(?!\d)|(\d{3})-(\d{2})-(\d{4})(?![\d-])")
_INTERNET = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::(\d{1,5}))?(?![\w.]\d)(?!\w)")
_ENDINGS = (
    *("com", "org", "net", "edu", "gov", "io", "info", "biz", "uk", "de", "ai", "dev", "app", "co", "me", "tv", "us"),
    *("eu", "fr", "ru", "jp", "cn", "ca", "au", "ch", "it", "es", "nl", "se", "no", "in", "br", "int", "mil"),
)
_FILE_ENDINGS = (
    *("txt", "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "csv", "tsv", "json", "xml", "html", "htm", "css"),
    *("js", "ts", "py", "c", "cpp", "h", "rs", "go", "java", "md", "yaml", "toml", "zip", "gz", "tar", "exe", "png"),
    *("jpg", "jpeg", "gif", "svg", "mp3", "mp4", "wav", "flac", "ogg", "npz", "sh", "log", "ini"),
)
_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}"
_PATH = r"(?::\d{1,5})?(?:[/?#][A-Za-z0-9._~/?#@!$&*+=%:,;-]*[A-Za-z0-9_~/#=%+-])?"
_URL = re.compile(rf"(?:https?://|ftp://)({_HOST}[A-Za-z0-9-]{{2,63}}{_PATH}|localhost{_PATH})")
_DOMAIN = re.compile(rf"(?:{_HOST})(?:{'|'.join(_ENDINGS)})(?![A-Za-z0-9-]|\.[A-Za-z0-9]){_PATH}")
_EMAIL = re.compile(r"[A-Za-z0-9_.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])")
_FILE = re.compile(
    rf"[A-Za-z0-9_][A-Za-z0-9_-]{{0,63}}(?:\.[A-Za-z0-9_-]{{1,63}})?\.(?:{'|'.join(_FILE_ENDINGS)})(?!\w)"
)
_HANDLE = re.compile(r"([@#])([A-Za-z][A-Za-z0-9_]{0,63})")
_PIECE = re.compile(r"[A-Za-z]{1,100}|\d{1,15}|.", re.DOTALL)
_SIGNS = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    "@": "at",
    ":": "colon",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "%": "percent",
    "+": "plus",
    "~": "tilde",
    ",": "comma",
    ";": "semicolon",
    "!": "exclamation mark",
    "*": "star",
    "$": "dollar",
}
_SPELLED = frozenset((*_ENDINGS, *_FILE_ENDINGS)) - {
    *("com", "org", "net", "info", "gov", "app", "me", "us", "dev", "doc", "zip", "java", "log", "go", "jpeg", "in"),
    *("no", "it", "biz", "tar", "wav"),
}
"""Endings whose letters are named."""


def telephone(place: Place) -> Found | None:
    """555-1234, (212) 555-0199, 1-800-555-0100, +1 415-555-2671; a bank card's number in groups of four."""
    for pattern in _PHONES:
        if found := place.match(pattern):
            plus = ["plus"] if found.group().startswith("+") else []
            groups = [re.sub(r"\D", "", group) for group in found.groups()]
            spoken = [word for group in groups for word in _group(group)]
            return Found(found.end(), words([*plus, *spoken]))
    found = place.match(_CARD)
    return found and Found(found.end(), words(spelled("".join(filter(None, found.groups())))))


def _group(digits: str) -> list[str]:
    return cardinal(digits) if re.fullmatch(r"[1-9]00", digits) else spelled(digits)


def internet(place: Place) -> Found | None:
    """www.example.com, https://example.org/help, john@example.com, notes.txt, 192.168.0.1."""
    if found := place.match(_INTERNET):
        groups = [group for group in found.groups()[:4] if group]
        spoken: list[str] = []
        for group in groups:
            spoken += [*(["dot"] if spoken else []), *spelled(group)]
        port = found.group(5)
        return Found(found.end(), words([*spoken, *(["port", *spelled(port)] if port else [])]))
    if found := place.match(_EMAIL):
        return Found(found.end(), [*_sign_by_sign(found.group())])
    if found := place.match(_URL):
        return Found(found.end(), [*_sign_by_sign(found.group(1))])
    found = place.match(_DOMAIN) or place.match(_FILE)
    return found and Found(found.end(), [*_sign_by_sign(found.group())])


def handle(place: Place) -> Found | None:
    """@name, #topic."""
    found = place.match(_HANDLE)
    if found is None:
        return None
    sign, name = found.groups()
    return Found(found.end(), [*words(["at" if sign == "@" else "hashtag"]), *_sign_by_sign(name)])


def _sign_by_sign(address: str) -> Iterator[Spoken]:
    for piece in _PIECE.findall(address):
        if piece.isdigit():
            yield from words(cardinal(piece) if len(piece) < 4 else spelled(piece))
        elif not piece.isalpha():
            yield from words(_SIGNS.get(piece, "").split())
        elif _is_spelled(piece.lower()):
            yield from letters(piece)
        else:
            yield Spoken(piece.lower())


def _is_spelled(piece: str) -> bool:
    """Whether the letters of a part of an address are named."""
    if piece == "www" or piece in _SPELLED or len(piece) == 1:
        return True
    return len(piece) <= 3 and piece not in english_lexicon()


__all__ = ["handle", "internet", "telephone"]
