"""Marks in a text: `[word](phonemes)`, and a small part of SSML."""

import re

from wavejax.limits import shown
from wavejax.text.english.characters import Plain, plain
from wavejax.text.english.marks import Marked, with_phones
from wavejax.text.english.ssml import read_ssml
from wavejax.text.errors import TextError
from wavejax.text.phonemes import phonemes_of

_GIVEN = re.compile(r"\[([^\[\]\n]{1,200})\]\(([A-Za-z0-9 |]{1,400})\)")
_DOCUMENT = re.compile(r"\s*(?:<\?xml[^<>]{0,200}\?>\s*)?<speak(?![a-z])")


def marked(text: str) -> Marked:
    """The plain text of a text with or without marks. SSML begins with <speak, or with <?xml and <speak.

    Raises TextError: unknown letters, or a mark that is not understood; the message says where it stands.
    """
    if _DOCUMENT.match(text):
        return read_ssml(text)
    result, at = Marked(Plain("", [], [])), 0
    for found in _GIVEN.finditer(text):
        phones = _bracketed(found)
        result.add(text[at : found.start(1)].removesuffix("["), at, text)
        start = len(result.plain.text)
        result.add(found.group(1), found.start(1), text)
        result.given += with_phones(result, start, found.group(1), phones, found.span())
        at = found.end()
    if not at:
        return Marked(plain(text))
    result.add(text[at:], at, text)
    return result


def _bracketed(found: re.Match[str]) -> list[tuple[str, ...]]:
    try:
        return [phonemes_of(each) for each in found.group(2).split("|")]
    except TextError as error:
        raise TextError(
            f"the pronunciation in {shown(found.group())} at {found.start()} cannot be read: {error}. If it is none, "
            "put a space between the brackets"
        ) from None


__all__ = ["marked"]
