"""Edit distances, spoken numbers, and a language model whose probabilities sum to 1."""

import re

import pytest

from wavejax.evaluation.words import bigram_arpa, edit_distance, spoken_words


@pytest.mark.parametrize(
    ("reference", "heard", "distance"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("abcd", "acbd", 2)],
)
def test_edit_distance(reference: str, heard: str, distance: int) -> None:
    assert edit_distance(reference, heard) == distance


def test_numbers_are_read_as_they_are_said() -> None:
    assert spoken_words("Press 1, or 42; don’t dial 911 - 'please'.") == (
        ["press", "one", "or", "forty", "two", "don't", "dial", "nine", "one", "one", "please"]
    )
    assert spoken_words("20 ... 13") == ["twenty", "thirteen"]


def test_every_history_shares_out_a_probability_of_one() -> None:
    text = bigram_arpa([["press", "one"], ["press", "two"], ["pbx", "one"]], {"press", "one", "two", "four"}, ["four"])
    ones, twos = text.split("\\2-grams:")
    unigram = {word: (10 ** float(p), 10 ** float(b)) for p, word, b in re.findall(r"^(\S+) (\S+) (\S+)$", ones, re.M)}
    del unigram["<s>"]
    assert set(unigram) == {"press", "one", "two", "four", "</s>"}
    assert sum(p for p, _ in unigram.values()) == pytest.approx(1.0, abs=1e-3)
    bigram = {(h, w): 10 ** float(p) for p, h, w in re.findall(r"^(\S+) (\S+) (\S+)$", twos, re.M)}
    assert ("pbx", "one") not in bigram
    seen = {word for history, word in bigram if history == "press"}
    backed_off = sum(p for word, (p, _) in unigram.items() if word not in seen) * unigram["press"][1]
    assert sum(bigram["press", word] for word in seen) + backed_off == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ValueError, match="same language"):
        bigram_arpa([["привет"]], {"press"})
