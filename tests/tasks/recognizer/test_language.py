"""Sentences for language models: what is left out, and why."""

from pathlib import Path

import pytest

from wavejax.decoding import build_ngrams
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.recognizer.language import (
    make_language_model,
    perplexity,
    read_language_model,
    read_sentences,
    refuse_known,
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


def test_texts_share_no_six_words_in_a_row_with_what_is_held_out(tmp_path: Path) -> None:
    said = "dial it now or hold the line it will be answered soon"
    lines = ["Please hold the line: it will be there.", "It will be answered soon. Hold the line."]
    path, held_out = tmp_path / "manual.txt", {tuple(said.split())}
    path.write_text("\n".join(lines), encoding="utf-8")
    assert [" ".join(words) for words in read_sentences(path, TEXT, held_out).kept] == [
        "it will be answered soon hold the line"
    ]
    assert len(sentences_of(lines, TEXT, held_out).kept) == 2, "transcripts of one corpus may resemble each other"


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


HELD_OUT = {
    tuple(line.split()): "test of corpus"
    for line in (
        "please enter the number of the conference now",
        "the old clock has stopped at ten past two",
        "yes it is",
    )
}
HONEST = [tuple(line.split()) for line in ("please enter the number of your room now", "the conference is over")]
OTHERS = [tuple(line.split()) for line in ("my clock is slow", "he came at ten past nine", "it is", "a b c d")]


def refuse(sentences: list[tuple[str, ...]], path: Path = Path("lm.arpa"), order: int = 3) -> None:
    refuse_known(path, build_ngrams(sentences, order), TEXT, HELD_OUT, HONEST)


@pytest.mark.parametrize("order", [3, 5])
def test_a_model_that_was_told_a_held_out_sentence_is_refused(order: int) -> None:
    refuse([*HONEST, *OTHERS], order=order)
    for sentence in list(HELD_OUT)[:2]:
        with pytest.raises(
            ExperimentError, match=f"lm.arpa knows 1 of the sentences .* '{' '.join(sentence)}' of test"
        ):
            refuse([*HONEST, *OTHERS, sentence], order=order)
    with pytest.raises(ExperimentError, match="wavejax language-model TEXTS --corpus CORPUS leaves out"):
        refuse([*HONEST, *OTHERS, *HELD_OUT], order=order)


def test_what_is_common_elsewhere_is_no_proof() -> None:
    refuse([*HONEST, *OTHERS, ("yes", "it", "is")])  # short
    refuse([*HONEST, *HELD_OUT], order=1)  # single words
    # All of the first sentence's bigrams stand in training transcripts: any honest model has them.
    honest = [*HONEST, tuple(["number", "of", "the", "conference", "now"]), tuple(["enter", "the", "number"])]
    refuse_known(Path("lm.arpa"), build_ngrams(honest, 2), TEXT, HELD_OUT, honest)
    # Of a model that has nearly all n-grams of all sentences, one sentence as a whole says little.
    most = [("the", "old", "clock", "has", "stopped", "at", "ten"), ("past", "two")]
    whole = tuple(["please", "enter", "the", "number", "of", "the", "conference", "now"])
    refuse_known(Path("lm.arpa"), build_ngrams([whole, *most], 2), TEXT, HELD_OUT, [whole[1:], whole[:-1]])


def test_a_text_is_compared_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("Yes, it is!\nThe old clock has stopped. At 10 past 3.\n")
    refuse([("a",)], path)
    path.write_text("And then: the old clock has stopped at 10 past 2, said he.\n")
    with pytest.raises(
        ExperimentError, match=r"lines\.txt knows 1 of the sentences .* 'the old clock has stopped at ten"
    ):
        refuse([("a",)], path)
