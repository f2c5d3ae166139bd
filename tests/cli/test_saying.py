"""`wavejax say`: texts from the command line, files and standard input; sound, times, streams; what is refused."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tests.tasks.speaker.test_product import Hum, random_speaker
from wavejax.cli.main import main
from wavejax.tasks.speaker.product import Speaker

TEXT = "Dr. Smith paid $45.50. Did he?"


@pytest.fixture(scope="module")
def humming() -> Speaker:
    return random_speaker().with_vocoder(Hum())


@pytest.fixture
def speaker(humming: Speaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Speaker:
    def load(name: str, kind: type) -> object:
        assert name in ("heart", "allison")
        return humming if kind is Speaker else Louder()

    monkeypatch.setattr("wavejax.cli.saying.load", load)
    monkeypatch.chdir(tmp_path)
    return humming


class Louder(Hum):
    """Another vocoder."""

    def __call__(self, mel: np.ndarray, *, seed: int = 0) -> np.ndarray:
        return 2 * super().__call__(mel, seed=seed)


def heard(path: str) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def test_a_text_becomes_sound_and_times(speaker: Speaker, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "heart", TEXT, "--out", "smith.wav", "--times", "smith.json"]) == 0
    assert "smith.wav: " in capsys.readouterr().out
    speech = speaker.say(TEXT)
    np.testing.assert_allclose(heard("smith.wav"), speech.waveform, atol=1e-4)
    written = json.loads(Path("smith.json").read_text())
    assert written["text"] == "Dr. Smith paid $45.50 Did he"
    assert written["words"][3]["start"] == pytest.approx(speech.words[3].start, abs=1e-3)
    for suffix, begins in ((".srt", "1\n00:00:00,"), (".vtt", "WEBVTT"), (".TextGrid", "File type"), (".txt", "Dr.")):
        assert main(["say", "heart", TEXT, "--times", f"times{suffix}", "--overwrite"]) == 0
        assert Path(f"times{suffix}").read_text().startswith(begins)


def test_manner_and_vocoder_are_passed_on(speaker: Speaker) -> None:
    options = ["--rate", "1.5", "--pitch", "-2", "--seed", "3"]
    assert main(["say", "heart", TEXT, "--out", "one.wav", *options]) == 0
    wanted = speaker.say(TEXT, rate=1.5, pitch=-2.0, seed=3).waveform
    np.testing.assert_allclose(heard("one.wav"), wanted, atol=1e-4)
    assert main(["say", "heart", TEXT, "--out", "two.wav", *options, "--vocoder", "allison"]) == 0
    np.testing.assert_allclose(heard("two.wav"), 2 * wanted, atol=1e-4)


def test_texts_come_from_files_and_standard_input(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("story.txt").write_text(TEXT)
    assert main(["say", "heart", "story.txt"]) == 0
    first = heard("heart.wav")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TEXT.encode())))
    assert main(["say", "heart", "-", "--overwrite"]) == 0
    np.testing.assert_array_equal(heard("heart.wav"), first)


def test_a_stream_is_the_same_sound(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=sink))
    assert main(["say", "heart", TEXT, "--stream"]) == 0
    samples = np.frombuffer(sink.getvalue(), "<i2") / 32768.0
    np.testing.assert_allclose(samples, speaker.say(TEXT).waveform, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--stream", "--out", "a.wav"], 2, "leave --out and --times out"),
        (["--times", "a.doc"], 2, "must end with one of .txt, .json, .srt, .vtt, .TextGrid"),
        (["--rate", "9"], 2, "--rate must be at least 0.25 and at most 4"),
        (["--out", "there.wav"], 1, "there.wav is there already: choose another name, or --overwrite"),
    ],
)
def test_what_makes_no_sense_is_refused(
    speaker: Speaker, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, why: str
) -> None:
    Path("there.wav").write_bytes(b"")
    assert main(["say", "heart", TEXT, *arguments]) == code
    assert why in capsys.readouterr().err


def test_texts_that_cannot_be_read_are_refused(
    speaker: Speaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["say", "heart", "nowhere.txt"]) == 1
    assert "there is no file nowhere.txt" in capsys.readouterr().err
    assert main(["say", "heart", "..."]) == 1
    assert "the text '...' holds no words to say" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xff\xfe\xfd")))
    assert main(["say", "heart", "-"]) == 1
    assert "standard input is not UTF-8 text" in capsys.readouterr().err
