"""When words of a stream are printed, and when they were said."""

import dataclasses

import numpy as np
import pytest

from tests.tasks.recognizer.test_product import recognizer, sound
from wavejax.data.alignments import AlignedUtterance, Interval
from wavejax.evaluation.recognition import Reading
from wavejax.tasks.recognizer.latency import measure_latency, printed_words


def test_words_are_timed_by_the_sound_that_has_come() -> None:
    listener, waveform = recognizer(), sound(21_001)
    printed = printed_words(listener, waveform, 800)
    assert [word.text for word in printed] == listener.transcribe(waveform).text.split()
    assert len(printed) > 2, "or this shows nothing"
    pieces = [waveform[first : first + 800] for first in range(0, len(waveform), 800)]
    heard = list(listener.stream(pieces))[:-1]
    for place, word in enumerate(printed):
        before = [each for number, each in enumerate(heard, 1) if number * 800 / 16_000 < word.shown]
        assert not any(each.text.split()[: place + 1] == [w.text for w in printed[: place + 1]] for each in before)
        if word.final is not None:
            now = heard[round(word.final * 20) - 1 if word.final * 16_000 < len(waveform) else -1]
            assert len(now.final.split()) > place
            assert word.final >= word.shown
    assert printed[-1].final is None, "nothing ends it but the stream"
    assert printed_words(listener, np.zeros(0, np.float32), 800) == []


def reading(said: str, waveform: np.ndarray) -> Reading:
    return Reading(id="u", said=said, read="", waveform=waveform, sample_rate=16_000)


def test_words_that_were_read_right_count_from_their_ends() -> None:
    listener, waveform = recognizer(), sound(21_001)
    padded = np.pad(waveform, (0, 8_000))
    printed = printed_words(listener, padded, 320)
    said = reading(" ".join(word.text for word in printed[:4]), waveform)
    ends = [word.shown - 0.01 for word in printed[:4]]
    labelled = AlignedUtterance(
        id="u",
        phones=(Interval("a", 0.0, 3.0),),
        words=tuple(Interval(word.text.upper(), end, end) for word, end in zip(printed, ends, strict=False)),
    )
    found = measure_latency(listener, [said], {"u": labelled})
    assert found is not None
    assert found.words == len(ends) > 2
    assert found.shown == pytest.approx((10, 10))
    assert found.source == "the corpus' alignments"
    own = measure_latency(listener, [said], {})
    assert own is not None
    assert own.source == "the model's own alignment"
    assert measure_latency(listener, [dataclasses.replace(said, said="zzz " * 60)], {}) is None, "it cannot be aligned"
