"""Transcripts of letters for models of phonemes."""

import pytest

from wavejax.text import TextError, get_text_spec
from wavejax.text.phonemic import in_phonemes

ENGLISH, RUSSIAN = get_text_spec("phonemes-en"), get_text_spec("phonemes-ru")


def test_letters_are_read_aloud_with_their_pauses() -> None:
    assert in_phonemes("Hello, world. No", ENGLISH) == "| HH AH0 L OW1 , W ER1 L D . | N OW1 ."
    assert in_phonemes("Да.", RUSSIAN).startswith("| d ")


def test_what_is_read_is_what_a_speaker_says() -> None:
    from wavejax.tasks.speaker.lines import lines_of

    text = "Dr. Smith paid $45.50, on Jan. 5th. Did he?"
    symbols = [symbol for line in lines_of(text) for symbol in line.symbols]
    assert list(ENGLISH.labels(in_phonemes(text, ENGLISH))) == list(ENGLISH.encode_symbols(symbols))


def test_phonemes_stay_and_so_do_letters_for_a_model_of_letters() -> None:
    assert in_phonemes("HH AH0 L OW1 | W ER1 L D", ENGLISH) == "HH AH0 L OW1 | W ER1 L D"
    assert in_phonemes("Hello, world.", get_text_spec("letters-en")) == "Hello, world."
    assert in_phonemes("", ENGLISH) == ""


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(TextError):
        in_phonemes("Здравствуйте", ENGLISH)
