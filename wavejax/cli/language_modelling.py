"""`wavejax language-model`: texts and transcripts into an ARPA file."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from wavejax.cli.inputs import InputError
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_file, refusals
from wavejax.ranges import SHARE, Range
from wavejax.text import get_text_spec


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """Make a language model of words (an ARPA file) for `wavejax transcribe --lm` and `wavejax evaluate --lm`.

    It is made of text files with a sentence on each line, of the training transcripts of a corpus, or of both. All of
    them are normalised as a recogniser's texts are. With --corpus, sentences that the corpus holds out (validation,
    test) are left out wherever they occur, so that a recogniser can be judged with the model; sentences that contain a
    held-out one of four words or more are left out, too. Smoothing is modified Kneser-Ney.

    A file called language.arpa.xz in the folder of an exported recogniser is used by it if nothing else is asked.
    """

    texts: Positional[tuple[Path, ...]] = ()
    """UTF-8 files with a sentence on each line."""
    out: Path
    """The file to write, usually NAME.arpa; NAME.arpa.gz and NAME.arpa.xz are packed."""
    corpus: str | None = None
    """A folder made by `wavejax prepare`, or "embedded", whose training transcripts are sentences, too."""
    order: Annotated[int, Range(1, 10)] = 3
    """Words of an n-gram, at most: 3 predicts a word from the two before it."""
    share: Annotated[float | None, SHARE] = None
    """With texts and --corpus: the share of the corpus' transcripts in each probability (default 0.5); the texts have
    the rest."""
    fewest: Annotated[int, Range(1, 1000)] = 1
    """Leave n-grams of three words or more out that occur less often, which makes a large model small."""
    language: Literal["en", "ru"] = "en"
    """Whose letters and rules for numbers and abbreviations apply."""
    overwrite: bool = False
    """Replace the file if it is there."""


def run_language_model(arguments: Sequence[str]) -> int:
    """`wavejax language-model`."""
    example = (
        "wavejax language-model sentences.txt --out lm.arpa\n"
        "wavejax language-model books/*.txt --corpus corpus/ --share 0.7 --out lm.arpa"
    )
    given = parse(LanguageModel, "language-model", arguments, example=example)
    if not given.texts and given.corpus is None:
        raise UsageError("a language model needs sentences: give text files, --corpus CORPUS, or both")
    if given.share is not None and not (given.texts and given.corpus is not None):
        raise UsageError(
            f"--share {given.share} weighs a corpus' transcripts against texts, and only one of them is given: give "
            "both, or leave --share out"
        )
    if given.out.exists() and not given.overwrite:
        raise InputError(f"{given.out} is there already: choose another name, or --overwrite")
    check_file(given.out)
    _make(given)
    return 0


def _make(given: LanguageModel) -> None:
    from wavejax.tasks.recognizer import language  # imports JAX

    text = get_text_spec(f"letters-{given.language}")
    held_out, own = frozenset[tuple[str, ...]](), language.Sentences(kept=())
    if given.corpus is not None:
        corpus = language.open_transcripts(given.corpus)
        held_out = frozenset(language.corpus_sentences(corpus, text, language.HELD_OUT).kept)
        own = language.corpus_sentences(corpus, text, ("train",), held_out)
        if not own.kept:
            raise InputError(language.no_sentence(f"the training part of {given.corpus}", own, text))
    others = language.Sentences(kept=())
    for path in given.texts:
        found = language.read_sentences(path, text, held_out)
        if not found.kept:
            raise InputError(language.no_sentence(str(path), found, text))
        others += found
    share = 0.5 if given.share is None else given.share
    ngrams = language.make_language_model(others.kept, own.kept, order=given.order, share=share, fewest=given.fewest)
    with refusals():
        language.write_language_model(given.out, ngrams)
    parts = [f"{len(others.kept)} sentences of texts"] if given.texts else []
    parts += [f"{len(own.kept)} of the corpus"] if given.corpus is not None else []
    weighed = f", of which the corpus has the share {share:g}" if len(parts) == 2 else ""
    sizes = [sum(len(gram) == n for gram in ngrams.log_probs) for n in range(1, ngrams.order + 1)]
    grams = ", ".join(f"{size} {n}-grams" for n, size in enumerate(sizes, 1))
    print(f"{given.out}: {grams}, made of {' and '.join(parts)}{weighed}")
    both = own + others
    if given.corpus is not None:
        print(f"{both.held_out} sentences are left out, as the corpus holds them out")
    if both.unreadable:
        print(
            f"{len(both.unreadable)} sentences are left out, as {text.name} cannot write them, such as "
            f"{both.unreadable[0][:60]!r}",
            file=sys.stderr,
        )
    if held_out:
        each, unknown = language.perplexity(ngrams, sorted(held_out))
        print(
            f"perplexity {each:.1f} on the {len(held_out)} sentences that are held out; {100 * unknown:.1f} % of their "
            "words are new to it"
        )


COMMANDS: dict[str, Command] = {"language-model": run_language_model}
