"""The symbols of a model: there and back, what is refused, and that they travel as JSON."""

import json

import numpy as np
import pytest

from wavejax.experiments.serialization import from_json, to_json
from wavejax.text import TEXT_SPECS, TextError, TextSpec, get_text_spec


@pytest.mark.parametrize("name", TEXT_SPECS)
def test_there_and_back(name: str) -> None:
    spec = get_text_spec(name)
    letters = [symbol for symbol in spec.symbols if symbol != " "]
    text = " ".join([*letters, "|", letters[0]]) if spec.phonemic else "".join([*letters, " ", letters[0]])
    labels = spec.encode(text)
    assert labels.dtype == np.int32
    assert labels.min() >= 1
    assert labels.max() < spec.num_classes
    assert spec.decode(labels) == text
    assert spec.decode([0, *labels, 0]) == text, "a blank is nothing"
    again = from_json(TextSpec, json.loads(json.dumps(to_json(spec))))
    assert (again, again.encode(text).tolist()) == (spec, labels.tolist())
    hash(spec)


def test_letters() -> None:
    assert get_text_spec("letters-en").num_classes == 29
    assert get_text_spec("letters-ru").num_classes == 35
    russian = get_text_spec("letters-ru")
    assert russian.decode(russian.labels("Съешь ЕЩЁ 2 булки!")) == "съешь ещё два булки"


def test_phonemes() -> None:
    spec = get_text_spec("phonemes-en")
    assert spec.num_classes == 1 + 1 + 4 + 24 + 15 * 3
    labels = spec.labels("  DH AH0 |  K AE1 T . ")
    assert labels.tolist() == spec.encode_symbols(["DH", "AH0", " ", "K", "AE1", "T", "."]).tolist()
    assert labels[2] == spec.space
    assert spec.decode(labels) == "DH AH0 | K AE1 T ."
    with pytest.raises(TextError, match="'AH', number 2 of 3, is none of the 74 symbols of the text spec 'phonemes-"):
        spec.encode("DH AH |")


def test_accents_that_are_no_symbols_are_left_out() -> None:
    english, russian = get_text_spec("letters-en"), get_text_spec("letters-ru")
    assert english.normalize("Café naïve, 'tis") == "cafe naive tis"
    assert russian.normalize("д'Артаньян и й") == "дартаньян и й"


def test_a_character_that_is_no_symbol_is_named_with_the_remedy() -> None:
    spec = get_text_spec("letters-ru")
    with pytest.raises(
        TextError, match=r"'w' \(latin small letter w\) at 0 of 'window' is none of the 34 symbols .*normalise"
    ):
        spec.labels("Window")
    with pytest.raises(TextError, match=r"the character 'A' .*'letters-en': normalise the text first"):
        get_text_spec("letters-en").encode("A")
    with pytest.raises(TextError, match="35 is no class of the text spec 'letters-ru': there are 0 to 34"):
        spec.decode([35])


@pytest.mark.parametrize(
    ("symbols", "said"),
    [((" ", "ab"), "single characters"), ((" ", "a", "a"), "'a'.*twice"), (("a",), "needs the space")],
)
def test_symbols_that_make_no_sense_are_refused(symbols: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TextSpec(name="mine", language="en", symbols=symbols)


def test_phonemes_that_a_text_cannot_separate_are_refused() -> None:
    for symbol in ("A B", "|", ""):
        with pytest.raises(ValueError, match=r"must be a space or have none, and not be '\|'"):
            TextSpec(name="mine", language="en", symbols=(" ", symbol), normalizer="phonemes-1")


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(ValueError, match="no text spec is called 'letters-xx'; known are letters-en, letters-ru, pho"):
        get_text_spec("letters-xx")
