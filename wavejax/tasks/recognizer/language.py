"""Language models for recognisers: of texts and of a corpus' transcripts, without the sentences that it holds out."""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wavejax import atomic
from wavejax.data import Corpus, embedded_corpus
from wavejax.data.texts import compressed, read_text, text_lines
from wavejax.decoding import NGrams, build_ngrams, mix_ngrams, read_arpa
from wavejax.experiments.metadata import ExperimentError
from wavejax.text import TextError, TextSpec

HELD_OUT = ("validation", "test")
"""Splits whose sentences no language model may know."""
OWN_NAME = "language.arpa.xz"
"""In the folder of an exported recogniser: the language model by which it spells if nothing else is asked."""
LONG = 4
"""Words of a held-out sentence that is looked for inside of longer ones, too; shorter ones are common elsewhere."""

RUN = 6
"""Words in a row that a text shares with no held-out sentence, since a recording may say several sentences."""

_CHANCE = 100

Words = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """What a language model is made of."""

    kept: tuple[Words, ...]
    held_out: int = 0
    """Sentences that were left out because a corpus holds them out."""
    unreadable: tuple[str, ...] = ()
    """Sentences that were left out because the text spec cannot express them, as written."""

    def __add__(self, other: "Sentences") -> "Sentences":
        return Sentences(
            kept=self.kept + other.kept,
            held_out=self.held_out + other.held_out,
            unreadable=self.unreadable + other.unreadable,
        )


def sentences_of(
    lines: Iterable[str], text: TextSpec, without: Collection[Words] = frozenset(), *, run: int = 0
) -> Sentences:
    """Normalised sentences, without those of `without`, and without those that contain one of `LONG` words or more.

    Args:
        lines: a sentence each, as written; empty ones are no sentences.
        text: whose normaliser reads them, and whose symbols they must have.
        without: held-out sentences, normalised.
        run: 0, or the number of words in a row that no sentence may share with one of `without`.
    """
    kept, unreadable, held_out = list[Words](), list[str](), 0
    runs = runs_of(without, run)
    for line in lines:
        try:
            said = text.normalize(line)
            text.encode(said)
        except TextError:
            unreadable.append(line)
            continue
        words = tuple(said.split())
        if any(True for _ in known_in(words, without)) or not runs.isdisjoint(runs_of([words], run)):
            held_out += 1
        elif words:
            kept.append(words)
    return Sentences(kept=tuple(kept), held_out=held_out, unreadable=tuple(unreadable))


def runs_of(sentences: Iterable[Words], length: int) -> set[Words]:
    """All runs of `length` words in sentences; none where it is 0."""
    if not length:
        return set()
    return {words[first : first + length] for words in sentences for first in range(len(words) - length + 1)}


def known_in(words: Words, sentences: Collection[Words]) -> Iterable[Words]:
    """Those of `sentences` that a sentence is, or that stand in it if they have `LONG` words or more."""
    if words in sentences:
        yield words
    for size in {len(each) for each in sentences if LONG <= len(each) < len(words)}:
        for first in range(len(words) - size + 1):
            if words[first : first + size] in sentences:
                yield words[first : first + size]


def read_sentences(path: Path, text: TextSpec, without: Collection[Words] = frozenset()) -> Sentences:
    """Those of a text file with a sentence on each line, without those that share `RUN` words in a row with one of
    `without`. Raises SourceError where it cannot be read."""
    return sentences_of(text_lines(read_text(path)), text, without, run=RUN)


def read_texts(paths: Sequence[Path], text: TextSpec, without: Collection[Words] = frozenset()) -> Sentences:
    """Those of several text files. Raises SourceError where one cannot be read, ExperimentError where it holds none."""
    every = Sentences(kept=())
    for path in paths:
        found = read_sentences(path, text, without)
        if not found.kept:
            raise ExperimentError(no_sentence(str(path), found, text))
        every += found
    return every


def corpus_sentences(
    corpus: Corpus, text: TextSpec, splits: Sequence[str], without: Collection[Words] = frozenset()
) -> Sentences:
    """The transcripts of a corpus' splits."""
    listed = (each.transcript for split in splits for each in corpus.entries if each.split == split)
    return sentences_of((each for each in listed if each), text, without)


def open_transcripts(folder: str) -> Corpus:
    """A corpus by its folder, or "embedded". Raises ManifestError or RecordError as `Corpus.open`."""
    return embedded_corpus() if folder == "embedded" else Corpus.open(folder)


def make_language_model(
    texts: Sequence[Words],
    own: Sequence[Words],
    *,
    order: int = 3,
    share: float = 0.5,
    fewest: int = 1,
    fewest_words: int = 1,
) -> NGrams:
    """A model of sentences of any texts, and of sentences like those that will be heard, such as a corpus' transcripts.

    Where there are both, it is a mixture in which the latter have `share`; both parts know the words of both. Of the
    texts, long n-grams that occur less than `fewest` times are left out, and so are sentences with a word that occurs
    less than `fewest_words` times and is not among `own`.

    Raises ValueError: no sentence, an order outside 1 to 10, or a share outside 0 to 1.
    """
    if fewest_words > 1:
        counts, known = Counter(itertools.chain.from_iterable(texts)), {*itertools.chain.from_iterable(own)}
        texts = [words for words in texts if all(counts[each] >= fewest_words or each in known for each in words)]
    if not (texts and own):
        return build_ngrams([*texts, *own], order, fewest=fewest)
    words = dict.fromkeys(itertools.chain.from_iterable([*texts, *own]))
    return mix_ngrams(build_ngrams(own, order, words), build_ngrams(texts, order, words, fewest), share)


def read_language_model(path: Path, text: TextSpec) -> NGrams:
    """An ARPA file (NAME.gz and NAME.xz are unpacked), or a trigram model of a text (NAME.txt), a sentence a line.

    Raises:
        SourceError: the file cannot be read.
        NGramError: it is no ARPA file.
        ExperimentError: no line of a text can be expressed by the spec.
    """
    if path.suffix.lower() != ".txt":
        return read_arpa(read_text(path), str(path))
    found = read_sentences(path, text)
    if not found.kept:
        raise ExperimentError(no_sentence(str(path), found, text))
    return build_ngrams(found.kept)


def own_language_model(folder: Path | None) -> Path | None:
    """The language model in a recogniser's folder, if it has a folder and a language model."""
    path = None if folder is None else folder / OWN_NAME
    return path if path is not None and path.is_file() else None


def write_language_model(path: Path, ngrams: NGrams) -> None:
    """Writes an ARPA file; one called NAME.xz or NAME.gz is compressed. Raises OSError where the system refuses."""
    atomic.write_bytes(path, compressed(ngrams.to_arpa(), path))


def no_sentence(where: str, found: Sentences, text: TextSpec) -> str:
    """Why a place holds nothing that a language model could be made of."""
    if found.held_out and not found.unreadable:
        return (
            f"all {found.held_out} sentences of {where} are held out by the corpus: a language model may not know "
            "them, so give other texts"
        )
    line = f"; the first that cannot be written is {found.unreadable[0][:60]!r}" if found.unreadable else ""
    return (
        f"{where} holds no sentence in the symbols of {text.name}{line}: give UTF-8 text with a sentence on each line, "
        "in the language of the recogniser"
    )


def refuse_known(
    path: Path, ngrams: NGrams, text: TextSpec, held_out: Mapping[Words, str], honest: Sequence[Words]
) -> None:
    """Refuses a language model that knows held-out sentences; `path` is the file that it was read from.

    A text (NAME.txt) knows a sentence of `LONG` words or more that is one of its lines, or stands in one. An ARPA file
    is suspected of knowing such a sentence if all its n-grams of the highest order, borders of the sentence included,
    stand in it. N-grams that the training transcripts have, too, prove nothing. Of the others the share that stands in
    the model by chance is taken from the held-out sentences that it does not know as a whole; it is refused where
    chance would explain one sentence in less than one case in `_CHANCE`. A model of single words knows no sentence.

    Args:
        path: names the model in the message; its suffix tells a text from an ARPA file.
        ngrams: the model.
        text: of the recogniser.
        held_out: sentences that will be judged -> where they stand.
        honest: training transcripts without them.

    Raises ExperimentError: names a sentence, where it stands, and what to do.
    """
    long = [words for words in held_out if len(words) >= LONG]
    if path.suffix.lower() == ".txt":
        lines = sentences_of(text_lines(read_text(path)), text).kept
        known = list(dict.fromkeys(each for line in lines for each in known_in(line, set(long))))
    else:
        known = _suspected(ngrams, long, honest)
    if known:
        worst = max(known, key=len)
        raise ExperimentError(
            f"{path} knows {len(known)} of the sentences that are judged, such as {' '.join(worst)!r} of "
            f"{held_out[worst]}: a recogniser that has been told them would seem better than it is. Make a language "
            "model without them: wavejax language-model TEXTS --corpus CORPUS leaves out what the corpus holds out"
        )


def _suspected(ngrams: NGrams, sentences: Sequence[Words], honest: Sequence[Words]) -> list[Words]:
    order = ngrams.order
    if order < 2:
        return []
    explained = {gram for words in honest for gram in _grams(words, order)}
    left = {words: [gram for gram in _grams(words, order) if gram not in explained] for words in sentences}
    there = {words: sum(gram in ngrams.log_probs for gram in grams) for words, grams in left.items()}
    whole = [words for words, grams in left.items() if grams and there[words] == len(grams)]
    others = [words for words, grams in left.items() if there[words] < len(grams)]
    chance = sum(there[words] for words in others) / max(sum(len(left[words]) for words in others), 1)
    return [words for words in whole if chance ** len(left[words]) < 1 / _CHANCE]


def _grams(words: Words, order: int) -> list[Words]:
    """The n-grams of the highest order in a sentence with its borders; all of it where it is shorter."""
    padded = ("<s>", *words, "</s>")
    return [padded[first : first + order] for first in range(max(len(padded) - order + 1, 1))]


def perplexity(ngrams: NGrams, sentences: Sequence[Words]) -> tuple[float, float]:
    """(perplexity of a word, ends of sentences included; share of words that are unknown, which do not count in it)."""
    words = [word for sentence in sentences for word in sentence]
    known = sum(word in ngrams for word in words)
    total = 0.0
    for sentence in sentences:
        history = ["<s>"]
        for word in (*sentence, "</s>"):
            if word in ngrams:
                total += ngrams.log_prob(history, word)
            history.append(word)
    return math.pow(10.0, -total / max(known + len(sentences), 1)), 1 - known / max(len(words), 1)


__all__ = [
    "HELD_OUT",
    "LONG",
    "OWN_NAME",
    "Sentences",
    "Words",
    "corpus_sentences",
    "known_in",
    "make_language_model",
    "no_sentence",
    "open_transcripts",
    "own_language_model",
    "perplexity",
    "read_language_model",
    "read_sentences",
    "read_texts",
    "refuse_known",
    "sentences_of",
    "write_language_model",
]
