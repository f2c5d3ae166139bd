"""What a recogniser learns to write: transcripts, or the phones of a corpus' alignments."""

import dataclasses
import logging

import numpy as np
import pytest

from tests.tiny.recognizers import tiny_recognizer
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus, Utterance
from wavejax.data.alignments import AlignedUtterance, Interval
from wavejax.tasks.recognizer.config import in_language
from wavejax.tasks.recognizer.data import RecognizerData
from wavejax.text import get_text_spec

SPEC = get_spec("speech-16k")


def corpus(*transcripts: str) -> Corpus:
    frames = SPEC.num_frames(16_000)
    utterances = [
        Utterance(
            id=f"u{number}",
            waveform=np.zeros(16_000, np.float32),
            frames=np.zeros((frames, 80), np.float32),
            speaker=0,
            transcript=transcript,
        )
        for number, transcript in enumerate(transcripts)
    ]
    return Corpus.in_memory(SPEC, utterances, ["train"] * len(utterances))


def aligned(name: str, *phones: str) -> AlignedUtterance:
    return AlignedUtterance(
        id=name, phones=tuple(Interval(phone, 0.1 * i, 0.1 * i + 0.1) for i, phone in enumerate(phones))
    )


def test_a_model_of_phones_learns_the_alignments_phones(caplog: pytest.LogCaptureFixture) -> None:
    text = get_text_spec("phones-ru")
    config = in_language(tiny_recognizer(), text)
    both = {each.id: each for each in (aligned("u0", "d", "aa", " ", "n", "ee", "t"), aligned("u1", "d", "QQ"))}
    with caplog.at_level(logging.WARNING):
        found = RecognizerData(config, corpus("да, нет", "д", "да"), both).utterances("train")
    assert [text.decode(each.labels) for each in found.listed] == ["d aa | n ee t"]
    assert "1 with text that cannot be read ('QQ', number 2 of 2, is none of the" in caplog.text
    assert "1 with no transcript: u2" in caplog.text
    written = RecognizerData(config, corpus("n ee t")).utterances("train")
    assert text.decode(written.listed[0].labels) == "n ee t"


def test_a_model_of_letters_learns_transcripts_whatever_is_aligned() -> None:
    config = dataclasses.replace(tiny_recognizer())
    data = RecognizerData(config, corpus("Yes."), {"u0": aligned("u0", "Y", "EH1", "S")})
    assert config.text.decode(data.utterances("train").listed[0].labels) == "yes"
