"""Word boundaries and punctuation among the phones of a recording, from its text as it is read aloud."""

from collections.abc import Sequence
from difflib import SequenceMatcher

from wavejax.data.alignments import AlignedUtterance, Interval
from wavejax.text.phonemes import PUNCTUATION, WORD_BOUNDARY
from wavejax.text.reading import Reading, Word

_FEWEST_SHARED = 0.7
"""Of the phones: a text that shares fewer with the recording is another one."""


def as_read(aligned: AlignedUtterance, reading: Reading) -> AlignedUtterance | None:
    """The alignment with the words of `reading`, and with what it has between words: spaces and punctuation marks.

    The phones stay those of the alignment, with their times; one that the reading lacks belongs to the word of the
    phone before it. None where the two share too few phones.
    """
    said = [phone for phone in aligned.phones if phone.text != WORD_BOUNDARY]
    read, words = _read(reading)
    matcher = SequenceMatcher(a=read, b=[phone.text for phone in said], autojunk=False)
    if 2 * sum(block.size for block in matcher.get_matching_blocks()) < _FEWEST_SHARED * (len(said) + len(read)):
        return None
    owners = _owners(matcher, words, len(said))
    symbols, spoken = [Interval(WORD_BOUNDARY, 0.0, said[0].start)], list[Interval]()
    place = 0
    for sentence in reading.sentences:
        for part in sentence.parts:
            if not isinstance(part, Word):
                _pause(symbols, part.symbol)
                continue
            own = [phone for phone, owner in zip(said[place:], owners[place:], strict=True) if owner is part]
            place += len(own)
            if own:
                if symbols[-1].text not in (WORD_BOUNDARY, *PUNCTUATION):
                    _pause(symbols, WORD_BOUNDARY)
                symbols[-1] = Interval(symbols[-1].text, symbols[-1].start, max(own[0].start, symbols[-1].start))
                symbols += own
                spoken.append(Interval(part.text, own[0].start, own[-1].end))
    return AlignedUtterance(id=aligned.id, phones=tuple(symbols), words=tuple(spoken))


def _read(reading: Reading) -> tuple[list[str], list[Word]]:
    """The phones that are read, and the word of each."""
    found = [(phone, word) for word in reading.words for phone in word.phones]
    return [phone for phone, _ in found], [word for _, word in found]


def _owners(matcher: "SequenceMatcher[str]", words: Sequence[Word], count: int) -> list[Word]:
    """The word of each phone that is said."""
    owners: list[Word | None] = [None] * count
    for kind, first, last, start, end in matcher.get_opcodes():
        for offset in range(end - start if kind != "delete" else 0):
            if first < last:
                owners[start + offset] = words[min(first + offset, last - 1)]
    found, before = list[Word](), words[0]
    for owner in owners:
        before = before if owner is None else owner
        found.append(before)
    return found


def _pause(symbols: list[Interval], mark: str) -> None:
    """What stands after the last phone; of two marks the later one."""
    last = symbols[-1]
    if last.text in (WORD_BOUNDARY, *PUNCTUATION) and len(symbols) > 1:
        symbols[-1] = Interval(mark, last.start, last.end)
    elif len(symbols) > 1:
        symbols.append(Interval(mark, last.end, last.end))


__all__ = ["as_read"]
