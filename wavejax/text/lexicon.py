"""How words are pronounced: a lexicon of English in the package, read when it is first used.

The entries are those of the CMU Pronouncing Dictionary (notice beside the data); `scripts/fetch_lexicon` makes the
file.
"""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

from wavejax.text.english.homographs import HOMOGRAPHS
from wavejax.text.errors import TextError
from wavejax.text.phonemes import PHONEMES

LEXICON_FILE = Path(__file__).parent / "english" / "lexicon.xz"
_FIRST_CODE = ord("0")
"""Phoneme number i of `PHONEMES` is the character 48 + i in the file."""
_PHONEME_OF = {chr(_FIRST_CODE + number): phoneme for number, phoneme in enumerate(PHONEMES)}
_CODE_OF = {phoneme: code for code, phoneme in _PHONEME_OF.items()}

Phones = tuple[str, ...]


class Lexicon:
    """Words and their pronunciations, as phonemes with stress (`wavejax.text.phonemes`).

    Args:
        entries: a word in small letters -> its pronunciations in the code of the file, separated by spaces; the first
            one counts.
        readings: a word -> a part of speech -> its pronunciation, for words that are read in more than one way; the
            first is the usual one.
    """

    def __init__(self, entries: Mapping[str, str], readings: Mapping[str, Mapping[str, Phones]] | None = None) -> None:
        self._entries, self._readings = entries, readings or {}

    def phones(self, word: str, part_of_speech: str | None = None) -> Phones | None:
        """The pronunciation of a word, the first where it has several; None where the lexicon does not have it.

        Args:
            word: in any letter case, with a straight apostrophe: "don't".
            part_of_speech: "noun", "verb", "adjective" or "past", where the word is read in more than one way
                (`wavejax.text.english.homographs`); without effect on other words.
        """
        word = word.lower()
        if readings := self._readings.get(word):
            return readings.get(part_of_speech or "") or next(iter(readings.values()))
        coded = self._entries.get(word)
        return None if coded is None else _decoded(coded.partition(" ")[0])

    def variants(self, word: str) -> tuple[Phones, ...]:
        """All pronunciations of a word, in the order of the dictionary; () where the lexicon does not have it."""
        return tuple(_decoded(coded) for coded in self._entries.get(word.lower(), "").split())

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word.lower() in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)


@functools.cache
def english_lexicon() -> Lexicon:
    """The lexicon of American English: 125,000 words with 134,000 pronunciations, read once (about 0.1 s).

    Raises TextError if the file in the package is damaged.
    """
    return Lexicon(unpacked(LEXICON_FILE.read_bytes()), HOMOGRAPHS)


def packed(pronunciations: Mapping[str, tuple[Phones, ...]]) -> bytes:
    """The content of the lexicon's file: words, then their pronunciations, in the order of the alphabet.

    The same entries give the same bytes (with the same version of liblzma).
    """
    import lzma

    words = sorted(pronunciations)
    codes = (" ".join("".join(map(_CODE_OF.__getitem__, each)) for each in pronunciations[word]) for word in words)
    plain = "\0".join(("\n".join(words), "\n".join(codes))).encode("ascii")
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]
    return lzma.compress(plain, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)


def unpacked(content: bytes) -> dict[str, str]:
    """The entries of a file that `packed` made: a word -> its pronunciations in the file's code.

    Raises TextError if it is not such a file.
    """
    import lzma  # some Pythons are built without it: only who needs the lexicon does

    try:
        words, _, codes = lzma.decompress(content, format=lzma.FORMAT_XZ).decode("ascii").partition("\0")
        return dict(zip(words.split("\n"), codes.split("\n"), strict=True))
    except (lzma.LZMAError, ValueError) as error:
        raise TextError(
            f"the lexicon in the package is damaged ({error}): install wavejax again, or make it anew with "
            "scripts/fetch_lexicon"
        ) from None


def _decoded(coded: str) -> Phones:
    return tuple(map(_PHONEME_OF.__getitem__, coded))


__all__ = ["LEXICON_FILE", "Lexicon", "english_lexicon", "packed", "unpacked"]
