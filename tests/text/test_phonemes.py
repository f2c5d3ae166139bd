"""The inventory of phonemes, and what a user writes of them."""

import pytest

from wavejax.text import TextError
from wavejax.text.phonemes import (
    CONSONANTS,
    PHONEMES,
    SYMBOLS,
    VOWELS,
    is_vowel,
    phonemes_of,
    punctuation,
    stress_of,
    without_stress,
)


def test_the_inventory() -> None:
    assert (len(CONSONANTS), len(VOWELS), len(PHONEMES), len(SYMBOLS)) == (24, 15, 69, 74)
    assert len({without_stress(phoneme) for phoneme in PHONEMES}) == 39
    assert SYMBOLS[:6] == (" ", ",", ".", "?", "!", "AA0"), "classes of trained models: the order never changes"
    assert SYMBOLS[-1] == "ZH"


def test_stress() -> None:
    assert [without_stress(symbol) for symbol in ("AH0", "K", ",")] == ["AH", "K", ","]
    assert [stress_of(symbol) for symbol in ("AH0", "ER2", "K", ".")] == [0, 2, None, None]
    assert [is_vowel(symbol) for symbol in ("AH0", "AH", "K", " ")] == [True, True, False, False]


def test_punctuation() -> None:
    assert [punctuation(mark) for mark in ",;:—….?!(_"] == [",", ",", ",", ",", ".", ".", "?", "!", ",", None]


def test_what_a_user_writes() -> None:
    assert phonemes_of("hh ah0  l OW1") == ("HH", "AH0", "L", "OW1")
    assert phonemes_of("K AE T") == ("K", "AE1", "T")
    for written, said in (
        ("", "no phonemes in ''"),
        ("K AX0 T", "'AX0', number 2 of the phonemes 'K AX0 T', is no phoneme of English"),
        ("HH AH L OW1", r"'AH', number 2 .* is a vowel without stress: write AH1 \(primary\)"),
        ("K1", "'K1', number 1"),
    ):
        with pytest.raises(TextError, match=said):
            phonemes_of(written)
