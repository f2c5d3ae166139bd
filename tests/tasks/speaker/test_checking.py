"""Speech that is listened to: what is cut out of it is reported, and a sentence that fails is said again."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.tasks.speaker.test_product import Hum, random_speaker
from wavejax.evaluation.spoken_words import Failure, hard_failures
from wavejax.tasks.speaker.checking import checked, words_of
from wavejax.tasks.speaker.lines import is_mark
from wavejax.tasks.speaker.product import Manner, Speaker, Speech, said_lines

TEXT = "A conversation begins tomorrow morning."


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return random_speaker().with_vocoder(Hum())


def sounding(speech: Speech) -> Speech:
    """The same speech, where each phone is a constant of its own instead of what the vocoder made of it."""
    waveform = np.zeros_like(speech.waveform)
    names = sorted({phone.text for phone in speech.phones})
    for phone in speech.phones:
        span = slice(round(phone.start * speech.sample_rate), round(phone.end * speech.sample_rate))
        waveform[span] = (1 + names.index(phone.text)) / 64
    return Speech(waveform=waveform, sample_rate=speech.sample_rate, words=speech.words)


def hears(speech: Speech, waveform: np.ndarray) -> Sequence[str]:
    """The phones of a waveform that `sounding` made: a recogniser without mistakes."""
    names = sorted({phone.text for phone in speech.phones})
    levels = np.round(64 * waveform).astype(int)
    borders = np.flatnonzero(np.diff(levels, prepend=-1))
    return [names[levels[place] - 1].rstrip("012") for place in borders if levels[place]]


def test_control_what_is_done_to_the_wave_is_reported(speaker: Speaker) -> None:
    speech = sounding(speaker.say(TEXT))
    said, rate = words_of(speech), speech.sample_rate
    assert not hard_failures(said, hears(speech, speech.waveform))
    first, last = (round(moment * rate) for moment in (speech.words[1].start, speech.words[1].end))
    cut_out = np.concatenate([speech.waveform[:first], speech.waveform[last:]])
    assert hard_failures(said, hears(speech, cut_out)) == (Failure("skipped", "conversation", 1, 1),)
    twice = np.concatenate([speech.waveform[:last], speech.waveform[first:]])
    assert hard_failures(said, hears(speech, twice)) == (Failure("repeated", "conversation", 1, 1),)
    ended = speech.waveform[: round(speech.words[4].start * rate)]
    assert hard_failures(said, hears(speech, ended)) == (Failure("no end", "morning", 4, 1),)


def deaf_at_first(speaker: Speaker, times: int) -> Any:
    """Hears nothing a few times, then every word."""
    asked: list[int] = []

    def listen(waveform: np.ndarray, rate: int) -> Sequence[str]:
        assert rate == speaker.sample_rate
        asked.append(len(waveform))
        phones = [phone for word in words_of(speaker.say(TEXT)) for phone in word.phones]
        return phones if len(asked) > times else ()

    listen.asked = asked  # type: ignore[attr-defined]
    return listen


def test_a_sentence_that_fails_is_said_again_more_slowly(speaker: Speaker) -> None:
    listen = deaf_at_first(speaker, 1)
    [found] = checked(speaker, TEXT, listen, Manner(seed=5))
    assert (found.attempts, found.failures) == (2, ())
    assert found.first_failures[0].kind == "no end"
    assert found.report.endswith("; said 2 times: now every word is heard")
    [(line, _)] = said_lines(TEXT)
    np.testing.assert_array_equal(found.speech.waveform, speaker.said(line, Manner(seed=6, rate=0.9)).waveform)
    assert listen.asked[1] > listen.asked[0]


def test_the_first_attempt_stays_where_none_is_better(speaker: Speaker) -> None:
    [found] = checked(speaker, TEXT, deaf_at_first(speaker, 9), Manner(seed=5))
    assert found.attempts == 3
    assert found.failures == found.first_failures != ()
    np.testing.assert_array_equal(found.speech.waveform, speaker.say(TEXT, seed=5).waveform)


def test_what_is_heard_whole_is_said_once_and_as_ever(speaker: Speaker) -> None:
    [found] = checked(speaker, TEXT, deaf_at_first(speaker, 0))
    assert (found.attempts, found.report) == (1, f"{TEXT.removesuffix('.')!r}: every word is heard")
    np.testing.assert_array_equal(found.speech.waveform, speaker.say(TEXT).waveform)
    assert not any(is_mark(phone) for word in words_of(found.speech) for phone in word.phones)
