"""`language-model`: what is in the file, what is left out of it, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from wavejax.data import embedded_corpus
from wavejax.decoding import build_ngrams, read_arpa
from wavejax.text import get_text_spec

TEXT = get_text_spec("letters-en")


def test_texts_become_an_arpa_file(run: Any, tmp_path: Path) -> None:
    text, out = tmp_path / "lines.txt", tmp_path / "lm.arpa"
    text.write_text("So be it.\nIt is so 2.\nслово\n", encoding="utf-8")
    said = run("language-model", text, "--out", out, "--order", "2")
    assert said.code == 0, said.error
    assert "8 1-grams, 9 2-grams, made of 2 sentences of texts\n" in said.out
    assert "1 sentences are left out, as letters-en cannot write them, such as 'слово'" in said.error
    expected = build_ngrams([["so", "be", "it"], ["it", "is", "so", "two"]], 2)
    assert out.read_text() == expected.to_arpa()
    again = run("language-model", text, "--out", out)
    assert (again.code, "lm.arpa is there already: choose another name, or --overwrite" in again.error) == (1, True)
    assert run("language-model", text, "--out", out, "--overwrite").code == 0


def test_held_out_sentences_of_a_corpus_are_left_out(run: Any, tmp_path: Path) -> None:
    corpus = embedded_corpus()
    held_out = [corpus.entries[position].transcript for position in corpus.indices("test")]
    longest = max(held_out, key=len)
    text, out = tmp_path / "lines.txt", tmp_path / "lm.arpa"
    text.write_text(f"{longest.upper()}\nWell, {longest}\nA zebra crosses the road.\n", encoding="utf-8")
    said = run("language-model", text, "--corpus", "embedded", "--out", out)
    assert said.code == 0, said.error
    assert "made of 1 sentences of texts and " in said.out
    assert "of which the corpus has the share 0.5\n" in said.out
    assert "perplexity " in said.out
    words = TEXT.normalize(longest).split()
    ngrams = read_arpa(out.read_text())
    grams = {tuple(["<s>", *words, "</s>"][first : first + 3]) for first in range(len(words))}
    assert not grams <= set(ngrams.log_probs), "the sentence is not in it"
    assert "zebra" in ngrams
    more = run("language-model", text, "--corpus", "embedded", "--share", "0.9", "--out", tmp_path / "more.arpa")
    assert more.code == 0
    assert read_arpa((tmp_path / "more.arpa").read_text()).log_prob((), "zebra") < ngrams.log_prob((), "zebra")


def test_sentences_of_the_domain_count_with_the_transcripts(run: Any, tmp_path: Path) -> None:
    """They have the share, know no held-out sentence, and their words stay however rare they are."""
    corpus = embedded_corpus()
    longest = max((corpus.entries[position].transcript for position in corpus.indices("test")), key=len)
    text, prompts, out = tmp_path / "lines.txt", tmp_path / "prompts.txt", tmp_path / "lm.arpa"
    text.write_text("A zebra crosses the road.\nThe road is long.\nA road is a road.\n" * 2, encoding="utf-8")
    prompts.write_text(f"{longest}\nPress pound.\nEnter the zebra.\n", encoding="utf-8")
    made = ("language-model", text, "--in-domain", prompts)
    said = run(*made, "--corpus", "embedded", "--share", "0.4", "--fewest-words", "3", "--out", out)
    assert said.code == 0, said.error
    assert " of the domain, of which the latter two has" not in said.out
    assert " and 2 of the domain, of which the latter two have the share 0.4\n" in said.out
    assert "1 sentences are left out, as the corpus holds them out" in said.out
    ngrams = read_arpa(out.read_text())
    assert "pound" in ngrams
    assert "zebra" in ngrams
    assert "crosses" not in ngrams, "it occurs twice"
    alone = run(*made, "--share", "0.5", "--order", "2", "--overwrite", "--out", out)
    assert "of which the domain has the share 0.5\n" in alone.out
    pounds = read_arpa(out.read_text())
    assert run("language-model", text, prompts, "--order", "2", "--overwrite", "--out", out).code == 0
    assert pounds.log_prob(("press",), "pound") != read_arpa(out.read_text()).log_prob(("press",), "pound")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "a language model needs sentences: give text files, --corpus CORPUS, or both"),
        (
            ("--corpus", "embedded", "--share", "0.7"),
            2,
            "--share 0.7 weighs a corpus' transcripts and --in-domain against texts",
        ),
        (("--corpus", "nowhere"), 1, "nowhere"),
        (("--corpus", "embedded", "--order", "11"), 2, "--order must be at least 1 and at most 10"),
        (("nowhere.txt",), 1, "nowhere.txt cannot be read"),
        (("--corpus", "embedded", "--language", "ru"), 1, "embedded holds no sentence in the symbols of letters-ru"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(
    run: Any, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    said = run("language-model", *arguments, "--out", tmp_path / "lm.arpa")
    assert (said.code, said.error.count("\n")) == (code, 1)
    assert sentence in said.error
    assert not (tmp_path / "lm.arpa").exists()
