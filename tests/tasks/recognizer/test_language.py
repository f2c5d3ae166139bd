"""Sentences for language models: what is left out, and why."""

from pathlib import Path

import pytest

from wavejax.decoding import build_ngrams
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.recognizer.language import (
    make_language_model,
    perplexity,
    read_language_model,
    sentences_of,
)
from wavejax.text import get_text_spec

TEXT = get_text_spec("letters-en")


def test_held_out_sentences_are_left_out_and_long_ones_inside_of_others_too() -> None:
    held_out = {("so", "be", "it"), ("it", "is", "ten", "past", "two")}
    lines = [
        "So be it!",
        "",
        "So be it, said he.",
        "He says: it is 10 past 2, my dear.",
        "It is ten past three.",
        "слово",
        "It is 10 past 2",
    ]
    found = sentences_of(lines, TEXT, held_out)
    assert found.kept == (("so", "be", "it", "said", "he"), ("it", "is", "ten", "past", "three"))
    assert found.held_out == 3
    assert found.unreadable == ("слово",)
    both = found + found
    assert (len(both.kept), both.held_out, len(both.unreadable)) == (4, 6, 2)


def test_a_mixture_knows_the_words_of_both() -> None:
    texts, transcripts = [("a", "dog", "ran")], [("the", "cat", "sat")]
    mixed = make_language_model(texts, transcripts, share=0.9)
    assert all(word in mixed for word in ("dog", "cat", "ran"))
    assert mixed.log_prob(("<s>",), "the") > mixed.log_prob(("<s>",), "a")
    alone = make_language_model([], transcripts)
    assert "dog" not in alone
    assert alone == build_ngrams(transcripts)


def test_perplexity_is_that_of_known_words() -> None:
    ngrams = build_ngrams([("a", "b"), ("a", "c")], 1)
    each, unknown = perplexity(ngrams, [("a", "new")])
    total = ngrams.log_prob((), "a") + ngrams.log_prob((), "</s>")
    assert each == pytest.approx(10 ** (-total / 2))
    assert unknown == 0.5
    assert perplexity(ngrams, [("new",)])[1] == 1


def test_a_file_without_a_sentence_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("слово\n", encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"words\.txt holds no sentence in the symbols of letters-en; the first"):
        read_language_model(path, TEXT)
    path.write_text("So be it.\nslovo слово\n", encoding="utf-8")
    assert read_language_model(path, TEXT) == build_ngrams([("so", "be", "it")])
