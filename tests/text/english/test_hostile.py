"""Texts that nobody would write: they are read in time that grows with their length, or refused in a sentence."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavejax.text import Pause, Reading, TextError, Word, read_english
from wavejax.text.phonemes import SYMBOLS

_PIECES = (
    *("Dr. ", "St. ", "$45.50", "1/2", "½", "3:15", "p.m.", "Jan. 5th", "2024-02-29", "U.S.", "e.g.", "www.a.com"),
    *("a@b.org", "#x", "[a](K AE1 T)", "[b]( )", "'80s", "WWII", "5'10\"", "-12", "10-20%", "...", "?!", "\n\n", " "),
    *(
        "—",
        "(",
        ")",
        "'",
        '"',
        "€",
        "x",
        "I",
        "IV",
        "Henry VIII",
        "\u0301",
        "\u200b",
        "😀",
        "👩‍👩‍👧",
        "&",
        "<",
        ">",
        "/",
        "٣",
    ),
    *(
        "555-1234",
        "+1 415-555-2671",
        "1.2.3",
        "v2.0",
        "MP3",
        "can't",
        "o'clock",
        "s'",
        "A",
        ".",
        ",",
        ";",
        "°C",
        "5 km",
    ),
)


def _sound(reading: Reading) -> None:
    """Spans lie in the text and are in order, phonemes are symbols, and every sentence ends in a pause."""
    last = 0
    for sentence in reading.sentences:
        assert isinstance(sentence.parts[-1], Pause)
        assert sentence.words
        assert set(sentence.symbols) <= set(SYMBOLS)
        for part in sentence.parts:
            start, end = part.span
            assert 0 <= start <= end <= len(reading.text)
            assert start >= last
            last = start
            if isinstance(part, Word):
                assert end > start
                assert part.phones
                assert part.text


def _read_or_refused(text: str) -> None:
    """Nothing but a TextError comes out of a text, and its message is short."""
    refused = ""
    try:
        _sound(read_english(text))
    except TextError as error:
        refused = str(error)
    assert len(refused) < 2000


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=6)), max_size=12).map("".join))
def test_any_text(text: str) -> None:
    _read_or_refused(text)


_SSML = st.sampled_from(
    (
        *("<p>", "</p>", "<s>", "</s>", "<break/>", "<break time='1s'/>", "<prosody rate='fast'>", "</prosody>", "hi "),
        *(
            "<say-as interpret-as='digits'>",
            "</say-as>",
            "12",
            "<phoneme alphabet='arpabet' ph='K AE T'>",
            "</phoneme>",
        ),
        *("&amp;", "&", "<", ">", "<!--", "-->", "x. ", "</speak>", "<speak>"),
    )
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_SSML, max_size=10).map("".join))
def test_any_ssml(inside: str) -> None:
    _read_or_refused(f"<speak>{inside}</speak>")


_UNITS = (
    *(
        "7",
        "1,",
        "111,",
        "1.",
        "1-",
        "1/",
        "$",
        "-",
        ".",
        ". ",
        '"',
        "[",
        "[(",
        "[a](",
        "(",
        ")",
        "a.",
        "a-",
        "a'",
        "a@",
    ),
    *("A&", "1:", "\n", " \n", "\u0301", "\u200b", "\x00", "\u202e", "&", "<", "<!--", "XVI ", "no, ", "‘", "½"),
)


@pytest.mark.parametrize("start", ["", "http://a.b/", "<speak>", ".", "[a](K", "<speak a="])
@pytest.mark.parametrize("unit", _UNITS, ids=repr)
def test_time_grows_with_the_length(start: str, unit: str) -> None:
    if start and unit not in {".", '"', "<", "<!--", "&", " \n", "[", "a.", "\n"}:
        return

    def seconds(count: int) -> float:
        began = time.process_time()
        _read_or_refused(start + unit * count)
        return time.process_time() - began

    seconds(10)
    # Four times the length takes four times as long; sixteen times if it were quadratic. Below 20 ms is noise.
    assert any(seconds(800) < 10 * max(seconds(200), 0.02) for _ in range(3))


def test_a_word_without_end_is_refused() -> None:
    with pytest.raises(TextError, match=r"'aaaaaaaaaaaaaaaaaaaa'\.\.\. at 4 .* is a word of 1,000,000 letters"):
        read_english("see " + "a" * 1_000_000)
