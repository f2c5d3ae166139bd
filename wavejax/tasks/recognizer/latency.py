"""How soon a causal recogniser prints the words of a stream."""

from collections.abc import Mapping, Sequence

import numpy as np

from wavejax.data.alignments import AlignedUtterance
from wavejax.evaluation.edits import pairs
from wavejax.evaluation.latency import Latency, PrintedWord, latency
from wavejax.evaluation.recognition import Reading
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.text import TextError

_PIECE = 0.02
"""Seconds of sound that come at a time."""
_AFTER = 0.5
"""Seconds of silence after a recording, as a microphone would go on."""


def printed_words(recognizer: Recognizer, waveform: np.ndarray, piece: int) -> list[PrintedWord]:
    """Streams the recording in pieces of this number of samples: the words, and when each is printed."""
    rate, moments = recognizer.sample_rate, list[tuple[float, str, int]]()
    pieces = [waveform[first : first + piece] for first in range(0, len(waveform), piece)]
    text = ""
    for number, heard in enumerate(recognizer.stream(pieces), 1):
        text = heard.text
        if not heard.is_last:
            moments.append((min(number * piece, len(waveform)) / rate, text, len(heard.final.split())))
    found, length = [], 0
    for place, word in enumerate(text.split()):
        length += len(word) + (place > 0)
        shown = (time for time, so_far, _ in moments if len(so_far) >= length)
        final = (time for time, _, complete in moments if complete > place)
        found.append(PrintedWord(word, next(shown, len(waveform) / rate), next(final, None)))
    return found


def measure_latency(
    recognizer: Recognizer, readings: Sequence[Reading], alignments: Mapping[str, AlignedUtterance]
) -> Latency | None:
    """Of the words of recordings that the stream reads as they are said; None where there is none.

    A word ends where the corpus' alignments say so; without them where the model's own alignment of the known text has
    its last letter, which a model that hears late has late, too.

    Args:
        recognizer: a causal one that writes letters.
        readings: recordings with their texts.
        alignments: of the corpus, by the recordings' ids; those without words are not used.
    """
    own = not any(each.words for each in alignments.values())
    source = "the model's own alignment" if own else "the corpus' alignments"
    found = list[tuple[PrintedWord, float]]()
    for each in readings:
        ends = _own_ends(recognizer, each) if own else _labelled_ends(recognizer, alignments.get(each.id))
        waveform = np.pad(each.waveform, (0, round(_AFTER * each.sample_rate)))
        printed = iter(printed_words(recognizer, waveform, round(_PIECE * each.sample_rate)))
        words = list(printed)
        said, read = iter(ends), iter(words)
        for one, other in pairs([word for word, _ in ends], [word.text for word in words]):
            end = None if one is None else next(said)
            word = None if other is None else next(read)
            if end is not None and word is not None and one == other:
                found.append((word, end[1]))
    return latency(found, source)


def _own_ends(recognizer: Recognizer, reading: Reading) -> list[tuple[str, float]]:
    try:
        return [(word.text, word.end) for word in recognizer.align(reading.waveform, reading.said).words]
    except ExperimentError:  # more letters than frames
        return []


def _labelled_ends(recognizer: Recognizer, labelled: AlignedUtterance | None) -> list[tuple[str, float]]:
    try:
        return [(recognizer.text.normalize(word.text), word.end) for word in labelled.words] if labelled else []
    except TextError:
        return []


__all__ = ["measure_latency", "printed_words"]
