"""Sentences as a model says them: symbols, what is wished of each, and the words that they belong to."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from wavejax.text import Pause, Sentence, Word, sentences_of
from wavejax.text import transcripts as timed
from wavejax.text.phonemes import PUNCTUATION, WORD_BOUNDARY
from wavejax.text.spec import Language

MOST_SYMBOLS = 512
"""Of a line; a longer sentence is said in several."""
_MOST_MARKS = 20
"""Characters beside a word that are looked at."""
_MARKS_BEFORE = re.compile(r"(?<![^\s>])[^\w\s<>]+$")
_MARKS_AFTER = re.compile(r"(?:\]\([^)]*\))?[^\w\s<>]*(?:\s+[^\w\s<>]+(?=\s))?")
_SEPARATED = re.compile(r"[\s<]")
_MARKUP = re.compile(r"\[|\](?:\([^)]*\))?|<[^<>]*>")
_MARKS = frozenset((WORD_BOUNDARY, *PUNCTUATION))


@dataclass(frozen=True, kw_only=True)
class SaidWord:
    """A word of a line."""

    text: str
    """As it is written."""
    first: int
    last: int
    """Its symbols are number `first` to before `last` of the line; spaces may be among them ("$45.50")."""
    written: str = ""
    """With the marks around it ("$45.50,"); empty: as `text`."""
    spoken: str = ""
    """As it is spoken, in small letters with single spaces: "forty five dollars"."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is said in one go: a sentence, or a part of a very long one."""

    symbols: tuple[str, ...]
    """A space, for the silence before the first word, then phonemes, spaces and marks; the last one is a mark."""
    words: tuple[SaidWord, ...] = ()
    rates: tuple[float, ...] = ()
    """Times the usual speed, for each symbol; empty: 1."""
    pitches: tuple[float, ...] = ()
    """Semitones above the usual pitch, for each symbol; empty: 0."""
    seconds: tuple[float | None, ...] = ()
    """How long each symbol takes; None, or empty: the voice decides."""
    ends_paragraph: bool = False

    def timed(self, ends: Sequence[int] | np.ndarray, seconds: float) -> tuple[timed.Word, ...]:
        """The words with their times, where symbol i ends with frame ends[i]; a frame lasts `seconds`."""

        def begins(place: int) -> float:
            return max(float(ends[place - 1]), 0.0) * seconds if place else 0.0

        found = []
        for word in self.words:
            symbols = tuple(
                timed.Symbol(text=self.symbols[place], start=begins(place), end=begins(place + 1))
                for place in range(word.first, word.last)
                if not is_mark(self.symbols[place])
            )
            start, end = begins(word.first), begins(word.last)
            found.append(timed.Word(text=word.text, start=start, end=end, symbols=symbols, written=word.written))
        return tuple(found)


def is_mark(symbol: str) -> bool:
    """Whether a symbol is the space or a punctuation mark: no phoneme, and it may take no time at all."""
    return symbol in _MARKS


def lines_of(text: str, language: Language = "en") -> Iterator[Line]:
    """The lines of a text, each read when it is asked for. Raises TextError as `read_english` or `read_russian`."""
    for sentence in sentences_of(text, language):
        parts = list(_short_enough(sentence.parts))
        for number, part in enumerate(parts, 1):
            yield _line(text, part, sentence.ends_paragraph and number == len(parts))


def _short_enough(parts: Sequence[Word | Pause]) -> Iterator[Sequence[Word | Pause]]:
    """Parts of a sentence of at most `MOST_SYMBOLS` symbols, each ending with a pause: after one if there is one."""
    while parts:
        sizes = np.cumsum([len(part.phones) + 1 if isinstance(part, Word) else 1 for part in parts])
        fitting = int(np.searchsorted(sizes, MOST_SYMBOLS - 2, side="right"))
        if fitting < len(parts):
            pauses = [place for place in range(1, fitting) if isinstance(parts[place], Pause)]
            fitting = pauses[-1] + 1 if pauses else max(fitting, 1)
        taken, parts = parts[:fitting], parts[fitting:]
        if any(isinstance(part, Word) for part in taken):
            last = taken[-1]
            yield taken if isinstance(last, Pause) else [*taken, Pause(symbol=",", span=(last.span[1], last.span[1]))]


def _line(text: str, parts: Sequence[Word | Pause], ends_paragraph: bool) -> Line:
    sentence = Sentence(parts=tuple(parts), ends_paragraph=ends_paragraph)
    owners: list[Word | Pause | None] = [
        None,
        *(None if owner is None else sentence.parts[owner] for owner in sentence.owners),
    ]
    return Line(
        symbols=(WORD_BOUNDARY, *sentence.symbols),
        words=tuple(_written_words(text, owners)),
        rates=tuple(owner.rate if isinstance(owner, Word) else 1.0 for owner in owners),
        pitches=tuple(owner.pitch if isinstance(owner, Word) else 0.0 for owner in owners),
        seconds=tuple(owner.seconds if isinstance(owner, Pause) else None for owner in owners),
        ends_paragraph=ends_paragraph,
    )


def _written_words(text: str, owners: Sequence[Word | Pause | None]) -> Iterator[SaidWord]:
    """Spoken words that come from the same characters, or between which nothing stands, are one written word."""
    groups: list[list[tuple[int, Word]]] = []
    paused = True
    for place, owner in enumerate(owners):
        if isinstance(owner, Word):
            before = groups[-1][-1][1].span if groups else (0, 0)
            if paused or (before != owner.span and _SEPARATED.search(text, before[1], owner.span[0])):
                groups.append([])
            groups[-1].append((place, owner))
        paused = isinstance(owner, Pause) or (paused and not isinstance(owner, Word))
    for group in groups:
        span = group[0][1].span[0], group[-1][1].span[1]
        yield SaidWord(
            text=_MARKUP.sub("", text[span[0] : span[1]]).strip(),
            first=group[0][0],
            last=group[-1][0] + 1,
            written=_with_marks(text, span),
            spoken=" ".join(next(each)[1].text for _, each in itertools.groupby(group, key=lambda each: id(each[1]))),
        )


def _with_marks(text: str, span: tuple[int, int]) -> str:
    """The characters of a word, and the marks that are written beside it; a dash after a space is the word's before."""
    before = _MARKS_BEFORE.search(text, max(span[0] - _MOST_MARKS, 0), span[0])
    after = _MARKS_AFTER.match(text, span[1], span[1] + _MOST_MARKS)
    written = (before.group() if before else "") + text[span[0] : span[1]] + (after.group() if after else "")
    return " ".join(_MARKUP.sub("", written).split())


def in_letters(line: Line) -> Line:
    """The same line with the letters of its spoken words in place of their phonemes; wishes are left out."""
    symbols: list[str] = []
    words, before = [], 0
    for word in line.words:
        symbols += line.symbols[before : word.first]
        words.append(replace(word, first=len(symbols), last=len(symbols) + len(word.spoken)))
        symbols += word.spoken
        before = word.last
    symbols += line.symbols[before:]
    return Line(symbols=tuple(symbols), words=tuple(words), ends_paragraph=line.ends_paragraph)


def whole_frames(
    durations: Float[np.ndarray, " symbols"], least: Float[np.ndarray, " symbols"]
) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    """Durations in frames -> whole frames, int32, whose sums are rounded, so that no error adds up.

    Args:
        durations: frames, 0 or more.
        least: whole numbers of frames that each takes at least.
    """
    ends = np.floor(np.cumsum(np.maximum(durations, least)) + 0.5)
    whole: np.ndarray[tuple[int], np.dtype[np.int32]] = np.diff(ends, prepend=0).astype(np.int32)
    return whole


__all__ = ["MOST_SYMBOLS", "Line", "SaidWord", "in_letters", "is_mark", "lines_of", "whole_frames"]
