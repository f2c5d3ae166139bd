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
    them are normalised as a recogniser's texts are. Sentences of the kind that will be heard count more than others:
    give those in text files as --in-domain. With --corpus, sentences that the corpus holds out (validation,
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
    in_domain: tuple[Path, ...] = ()
    """UTF-8 files with sentences of the kind that will be heard, such as the prompts of telephones, one on each line.
    They are counted together with the corpus' transcripts."""
    order: Annotated[int, Range(1, 10)] = 3
    """Words of an n-gram, at most: 3 predicts a word from the two before it."""
    share: Annotated[float | None, SHARE] = None
    """With texts beside --corpus or --in-domain: the share of the latter two in each probability (default 0.5); the
    texts have the rest."""
    fewest: Annotated[int, Range(1, 1000)] = 1
    """Leave n-grams of three words or more out that occur less often in the texts, which makes a large model small."""
    fewest_words: Annotated[int, Range(1, 1000)] = 1
    """Leave sentences of the texts out that have a word that occurs less often in them, and does not occur in the
    corpus or in --in-domain: such a word may be a slip, and a model with fewer words is smaller."""
    language: Literal["en", "ru"] = "en"
    """Whose letters and rules for numbers and abbreviations apply."""
    overwrite: bool = False
    """Replace the file if it is there."""


def run_language_model(arguments: Sequence[str]) -> int:
    """`wavejax language-model`."""
    example = (
        "wavejax language-model sentences.txt --out lm.arpa\n"
        "wavejax language-model books/*.txt --corpus corpus/ --in-domain prompts.txt --share 0.7 --out lm.arpa"
    )
    given = parse(LanguageModel, "language-model", arguments, example=example)
    has_own = given.corpus is not None or bool(given.in_domain)
    if not given.texts and not has_own:
        raise UsageError("a language model needs sentences: give text files, --corpus CORPUS, or both")
    if given.share is not None and not (given.texts and has_own):
        raise UsageError(
            f"--share {given.share} weighs a corpus' transcripts and --in-domain against texts, and only one side is "
            "given: give both, or leave --share out"
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
    in_domain = language.read_texts(given.in_domain, text, held_out)
    others = language.read_texts(given.texts, text, held_out)
    own_share = 0.5 if given.share is None else given.share
    ngrams = language.make_language_model(
        others.kept,
        own.kept + in_domain.kept,
        order=given.order,
        share=own_share,
        fewest=given.fewest,
        fewest_words=given.fewest_words,
    )
    with refusals():
        language.write_language_model(given.out, ngrams)
    parts = [f"{len(others.kept)} sentences of texts"] if given.texts else []
    mine = [f"{len(own.kept)} of the corpus"] if given.corpus is not None else []
    mine += [f"{len(in_domain.kept)} of the domain"] if given.in_domain else []
    owner = "the latter two have" if len(mine) == 2 else "the domain has" if given.in_domain else "the corpus has"
    weighed = f", of which {owner} the share {own_share:g}" if parts and mine else ""
    sizes = [sum(len(gram) == n for gram in ngrams.log_probs) for n in range(1, ngrams.order + 1)]
    grams = ", ".join(f"{size} {n}-grams" for n, size in enumerate(sizes, 1))
    print(f"{given.out}: {grams}, made of {' and '.join([*parts, *mine])}{weighed}")
    both = own + in_domain + others
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
