"""What a recogniser learns to write: transcripts, or the phones of a corpus' alignments."""

import dataclasses
import logging

import numpy as np
import pytest

from tests.tiny.recognizers import tiny_recognizer
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus, Utterance
from wavejax.data.alignments import AlignedUtterance, Interval
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.recognizer.config import in_language
from wavejax.tasks.recognizer.data import RecognizerData, open_utterances, smaller_batches
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
    text = get_text_spec("phonemes-ru")
    config = in_language(tiny_recognizer(), text)
    both = {each.id: each for each in (aligned("u0", "d", "aa", " ", "n", "ee", "t"), aligned("u1", "d", "QQ"))}
    with caplog.at_level(logging.WARNING):
        found = RecognizerData(config, corpus("да, нет", "д", "да"), both).utterances("train")
    assert [text.decode(each.labels) for each in found.listed] == ["d aa | n ee t"]
    assert "1 with text that cannot be read ('QQ', number 2 of 2, is none of the" in caplog.text
    assert "1 with no transcript: u2" in caplog.text
    written = RecognizerData(config, corpus("n ee t")).utterances("train")
    assert text.decode(written.listed[0].labels) == "n ee t"


def test_times_of_phones_go_with_them_where_the_loss_wants_them() -> None:
    text = get_text_spec("phonemes-ru")
    config = in_language(tiny_recognizer(), text)
    config = dataclasses.replace(config, losses=dataclasses.replace(config.losses, alignment=0.5))
    data = RecognizerData(config, corpus("да"), {"u0": aligned("u0", "d", "aa")})
    (batch,) = data.utterances("train").once(2)
    shapes = {name: (2, *shape.shape[1:]) for name, shape in smaller_batches(config)[0].items()}
    assert {name: value.shape for name, value in batch.items()} == shapes
    assert shapes["starts"] == shapes["ends"] == (2, 40)
    np.testing.assert_allclose(batch["starts"][0, :2], [0, 2], atol=1e-5)  # a frame is 50 ms
    np.testing.assert_allclose(batch["ends"][0, :2], [2, 4], atol=1e-5)
    assert not batch["ends"][1].any()
    with pytest.raises(ValueError, match=r"augment\.tempo moves the symbols whose times losses\.alignment learns"):
        dataclasses.replace(config, augment=dataclasses.replace(config.augment, tempo=0.1))
    with pytest.raises(
        ExperimentError, match=r"has no alignments\.jsonl: align the corpus, or set losses\.alignment=0"
    ):
        open_utterances(config, corpus("да"))


def test_a_model_of_letters_learns_transcripts_whatever_is_aligned() -> None:
    config = dataclasses.replace(tiny_recognizer())
    data = RecognizerData(config, corpus("Yes."), {"u0": aligned("u0", "Y", "EH1", "S")})
    assert config.text.decode(data.utterances("train").listed[0].labels) == "yes"


def test_times_of_letters_where_words_are_aligned_and_none_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    config = tiny_recognizer()
    config = dataclasses.replace(config, losses=dataclasses.replace(config.losses, alignment=0.5))
    known = dataclasses.replace(aligned("u0", "Y", "EH1", "S"), words=(Interval("yes", 0.0, 0.3),))
    other = dataclasses.replace(aligned("u1", "N", "OW1"), words=(Interval("know", 0.0, 0.2),))
    data = RecognizerData(config, corpus("Yes.", "no", "maybe"), {"u0": known, "u1": other})
    with caplog.at_level(logging.WARNING):
        (batch,) = data.utterances("train").once(3)
    assert "2 of 3 utterances of train count nothing in losses.alignment" in caplog.text
    row = int(np.argmax(batch["ends"].max(axis=1)))
    assert config.text.decode(batch["labels"][row, : batch["num_labels"][row]]) == "yes"
    np.testing.assert_allclose(batch["starts"][row, :3], [0, 2, 4], atol=1e-5)
    np.testing.assert_allclose(batch["ends"][row, :3], [2, 4, 6], atol=1e-5)
    assert (batch["num_labels"] > 0).sum() == 3, "all of them count in CTC"
    assert (batch["ends"].max(axis=1) > 0).sum() == 1
    late = dataclasses.replace(config, losses=dataclasses.replace(config.losses, delay=0.25))
    (later,) = (
        RecognizerData(late, corpus("Yes.", "no", "maybe"), {"u0": known, "u1": other}).utterances("train").once(3)
    )
    for name in ("starts", "ends"):
        np.testing.assert_allclose(later[name][row, :3], batch[name][row, :3] + 5, atol=1e-5)
        np.testing.assert_array_equal(np.delete(later[name], row, axis=0), 0)
    with pytest.raises(ValueError, match=r"losses\.delay moves the times that losses\.alignment learns, which is 0"):
        dataclasses.replace(config.losses, alignment=0.0, delay=0.25)
