"""What the marks of a text say of it: given words, breaks, tones."""

from dataclasses import dataclass, field

from wavejax.text.english.characters import Plain, plain
from wavejax.text.english.places import Spoken
from wavejax.text.errors import TextError
from wavejax.text.reading import Span

Given = tuple[int, int, tuple[Spoken, ...]]
"""Start and end in the plain text, and the words that are read there."""


@dataclass(frozen=True)
class Tone:
    """How a stretch of the plain text is spoken: times the usual rate, and semitones above the usual pitch."""

    start: int
    end: int
    rate: float
    pitch: float


@dataclass
class Marked:
    """A text in plain characters with what its marks say.

    given: start, end and words of stretches that are read as the text says. breaks: seconds of each break, in order.
    """

    plain: Plain
    given: list[Given] = field(default_factory=list)
    breaks: list[float] = field(default_factory=list)
    tones: list[Tone] = field(default_factory=list)

    def add(self, text: str, offset: int, original: str) -> None:
        """A stretch of the original."""
        added = plain(text, offset, original)
        self.plain.text += added.text
        self.plain.starts += added.starts
        self.plain.ends += added.ends
        self.plain.notes += added.notes

    def sign(self, sign: str, span: Span) -> None:
        """Characters that stand for a mark of the original."""
        self.plain.text += sign
        self.plain.starts += [span[0]] * len(sign)
        self.plain.ends += [span[1]] * len(sign)


def with_phones(result: Marked, start: int, written: str, phones: list[tuple[str, ...]], span: Span) -> list[Given]:
    """What is added to `given`: the words of a stretch of the plain text with their phonemes."""
    end, names = len(result.plain.text), written.lower().split()
    if end == start:
        raise TextError(f"nothing that is spoken has the pronunciation at {span[0]}: write a word before it")
    if len(names) != len(phones):
        names = [written.lower().strip()] * len(phones)
    for place in range(start, end):
        result.plain.starts[place], result.plain.ends[place] = span
    return [(start, end, tuple(Spoken(name, each) for name, each in zip(names, phones, strict=True)))]


__all__ = ["Given", "Marked", "Tone", "with_phones"]
