"""Transcripts as they are spoken, and numbers as words."""

import pytest

from wavejax.text import TextError, normalized
from wavejax.text.numerals import english, english_ordinal, russian


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Hello, World!", "hello world"),
        ("Press 1 [beep], or 21.", "press one or twenty one"),
        ("It's <noise> the 'best' (so far) {laughs}", "it's the best so far"),
        ("Don’t re-enter 1,204 now", "don't re enter one thousand two hundred four now"),
        ("The 2nd of 3.14", "the second of three point one four"),
        ("call 0123 & wait 50%", "call zero one two three and wait fifty percent"),
        ("at 10:30, 1,2,3", "at ten thirty one two three"),
        ("Dr. Smith vs. Mrs. Jones etc.", "doctor smith versus missus jones et cetera"),
        ("a 4-year plan", "a four year plan"),
        ("[silence]", ""),
        ("", ""),
    ],
)
def test_english(written: str, spoken: str) -> None:
    assert normalized(written, "en") == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Она завела, прядь вол+ос за ухо.", "она завела прядь волос за ухо"),
        ("+Окна домов, - ни одна", "окна домов ни одна"),
        ("во\u0301лос ёлка йод", "волос ёлка йод"),
        ("Какой-то 2021 год", "какой то две тысячи двадцать один год"),
        ("3,5 и 11%", "три запятая пять и одиннадцать процентов"),
        ("т. е. 1 000 000 раз, он - я", "то есть один миллион раз он я"),
    ],
)
def test_russian(written: str, spoken: str) -> None:
    assert normalized(written, "ru") == spoken


@pytest.mark.parametrize(("written", "language", "named"), [("10x faster", "en", "10x"), ("1-й день", "ru", "1-й")])
def test_a_number_that_nobody_knows_how_to_read_is_named(written: str, language: str, named: str) -> None:
    with pytest.raises(TextError, match=f"not known how '{named}' is read: write it out in words"):
        normalized(written, language)


def test_numbers() -> None:
    assert english(0) == "zero"
    assert english(115) == "one hundred fifteen"
    assert english(2_000_040) == "two million forty"
    assert [english_ordinal(n) for n in (1, 12, 20, 31)] == ["first", "twelfth", "twentieth", "thirty first"]
    assert russian(0) == "ноль"
    assert russian(1_002) == "одна тысяча два"
    assert russian(22_512) == "двадцать две тысячи пятьсот двенадцать"
    assert russian(5_000_011) == "пять миллионов одиннадцать"
    assert russian(2 * 10**9 + 114_000) == "два миллиарда сто четырнадцать тысяч"
