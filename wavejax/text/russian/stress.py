"""Which vowel of a Russian word is stressed: a dictionary in the package, and a guess for other words.

The entries are those of the Russian voice for Festival (notice beside the data); `scripts/fetch_lexicon` makes the
file.
"""

import bisect
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from wavejax.text.errors import TextError

STRESS_FILE = Path(__file__).parent / "stress.xz"
VOWELS = "аеёиоуыэюя"
_FIRST_CODE = ord("0")


class Stress(NamedTuple):
    """vowel: the stressed one, counted from 1; 0 for none. is_yo: it is written е and spoken ё. leans: the word leans
    on the next one, as prepositions and conjunctions do. is_known: by the dictionary; else it is a guess."""

    vowel: int
    is_yo: bool = False
    leans: bool = False
    is_known: bool = True


class StressDictionary:
    """Stress by word. entries: a word in small letters -> its stress in the code of the file."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        """Its words, in alphabetical order."""
        return iter(self._entries)

    def __contains__(self, word: object) -> bool:
        return word in self._entries

    def __getitem__(self, word: str) -> Stress:
        """Of a word in small letters.

        What the dictionary does not have is stressed as the word of it with the longest common ending.
        """
        if word in self._entries:
            return _decoded(self._entries[word])
        vowels = sum(letter in VOWELS for letter in word)
        if vowels < 2:
            return Stress(vowels if len(word) > 2 else 0, is_known=False)
        if "ё" in word:
            return Stress(sum(letter in VOWELS for letter in word[: word.index("ё") + 1]), is_known=False)
        return Stress(self._guessed(word, vowels), is_known=False)

    @functools.cached_property
    def _turned(self) -> list[str]:
        """All words from their ends to their beginnings, in order."""
        return sorted(word[::-1] for word in self._entries)

    def _guessed(self, word: str, vowels: int) -> int:
        turned = word[::-1]
        place = bisect.bisect(self._turned, turned)
        near = max(self._turned[max(place - 4, 0) : place + 4], key=lambda other: _common(turned, other), default="")
        stress = _decoded(self._entries[near[::-1]]).vowel if near else 1
        after = sum(letter in VOWELS for letter in near) - stress
        return min(max(vowels - after, 1), vowels)


def _common(one: str, other: str) -> int:
    """Letters at the beginning that are the same."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _decoded(code: str) -> Stress:
    value = ord(code) - _FIRST_CODE
    return Stress(value % 16, bool(value & 16), bool(value & 32))


def encoded(stress: Stress) -> str:
    """One character."""
    return chr(_FIRST_CODE + stress.vowel + 16 * stress.is_yo + 32 * stress.leans)


def packed(entries: Mapping[str, Stress]) -> bytes:
    """The content of the dictionary's file; the same entries give the same bytes (with one version of liblzma)."""
    import lzma

    words = sorted(entries)
    plain = f"{chr(10).join(words)}\0{''.join(encoded(entries[word]) for word in words)}".encode("koi8-r")
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]
    return lzma.compress(plain, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)


def unpacked(content: bytes) -> dict[str, str]:
    """A word -> its stress in the file's code. Raises TextError if it is not such a file."""
    import lzma  # some Pythons are built without it: only who needs the dictionary does

    try:
        words, _, codes = lzma.decompress(content, format=lzma.FORMAT_XZ).decode("koi8-r").partition("\0")
        return dict(zip(words.split("\n"), codes, strict=True))
    except (lzma.LZMAError, ValueError) as error:
        raise TextError(
            f"the stress dictionary in the package is damaged ({error}): install wavejax again, or make it anew with "
            "scripts/fetch_lexicon russian"
        ) from None


@functools.cache
def russian_stress() -> StressDictionary:
    """The dictionary in the package: 181,000 words, read once. Raises TextError if its file is damaged."""
    return StressDictionary(unpacked(STRESS_FILE.read_bytes()))


__all__ = ["STRESS_FILE", "VOWELS", "Stress", "StressDictionary", "packed", "russian_stress", "unpacked"]
