"""What was heard: text, words and symbols with their times."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavejax.data.alignments import AlignedUtterance, Interval
from wavejax.decoding import Spike
from wavejax.text import TextSpec
from wavejax.text.transcripts import Symbol, Transcript, Word


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was heard of a stream so far."""

    final: str
    """Words that are complete: nothing that is said later changes them."""
    partial: str
    """The beginning of a word that may go on."""
    is_last: bool = False
    """The stream has ended: all of it is final."""
    separator: str = " "
    """Between words, as a `Transcript` has it."""

    @property
    def text(self) -> str:
        """All of it."""
        return self.separator.join(part for part in (self.final, self.partial) if part)


def transcript_of(spikes: Sequence[Spike], text: TextSpec, seconds_per_frame: float, duration: float) -> Transcript:
    """The words of a sequence of symbols, split at spaces.

    Args:
        spikes: symbols in order, with the frames in which they are heard.
        text: whose classes their labels are.
        seconds_per_frame: of the frames.
        duration: of the recording; no time lies past it.
    """
    words, current = [], []
    for spike in (*spikes, None):
        if spike is not None and spike.label != text.space:
            current.append(spike)
        elif current:
            words.append(_word(current, text, seconds_per_frame, duration))
            current = []
    return Transcript(words=tuple(words), duration=duration, separator=separator_of(text))


def separator_of(text: TextSpec) -> str:
    """What stands between two words of a text."""
    return " | " if text.phonemic else " "


def aligned(transcript: Transcript, name: str) -> AlignedUtterance:
    """A transcript as `alignments.jsonl` has it: symbols with a space between words, and words; `name` is the
    utterance's id.

    Raises AlignmentError where there are no words.
    """
    phones: list[Interval] = []
    for word in transcript.words:
        if phones:
            phones.append(Interval(" ", phones[-1].end, word.start))
        phones += [Interval(symbol.text, symbol.start, symbol.end) for symbol in word.symbols]
    words = tuple(Interval(word.text, word.start, word.end) for word in transcript.words)
    return AlignedUtterance(id=name, phones=tuple(phones), words=words)


def _word(spikes: Sequence[Spike], text: TextSpec, seconds_per_frame: float, duration: float) -> Word:
    symbols = tuple(
        Symbol(
            text=text.decode([spike.label]),
            start=min(spike.first * seconds_per_frame, duration),
            end=min(spike.last * seconds_per_frame, duration),
        )
        for spike in spikes
    )
    return Word(
        text=text.decode(spike.label for spike in spikes),
        start=symbols[0].start,
        end=symbols[-1].end,
        confidence=math.exp(float(np.mean([spike.log_prob for spike in spikes]))),
        symbols=symbols,
    )


__all__ = ["Heard", "aligned", "separator_of", "transcript_of"]
