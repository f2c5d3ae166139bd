"""`wavejax say`: texts from the command line, files and standard input; sound, times, streams; what is refused."""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tests.cli.test_devices import fake
from tests.tasks.speaker.test_product import Hum, random_speaker
from wavejax.cli.main import main
from wavejax.evaluation.spoken_words import phones_of
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
    assert written["text"] == "Dr. Smith paid $45.50. Did he?"
    assert written["words"][3]["start"] == pytest.approx(speech.words[3].start, abs=1e-3)
    for suffix, begins in ((".srt", "1\n00:00:00,"), (".vtt", "WEBVTT"), (".TextGrid", "File type"), (".txt", "Dr.")):
        assert main(["say", "heart", TEXT, "--times", f"times{suffix}", "--overwrite"]) == 0
        assert Path(f"times{suffix}").read_text().startswith(begins)


def test_subtitles_show_the_text_as_it_is_written(speaker: Speaker) -> None:
    text = '"Well-known," he said: it\'s $45.50, on Jan. 5th?'
    assert main(["say", "heart", text, "--times", "times.srt"]) == 0
    shown = [line for line in Path("times.srt").read_text().split("\n") if line and "-->" not in line]
    assert " ".join(line for line in shown if not line.isdigit()) == text


def test_it_is_played_while_it_is_made(speaker: Speaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(tmp_path, "aplay", "open('heard', 'wb').write(sys.stdin.buffer.read())")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["say", "heart", TEXT, "--play"]) == 0
    samples = np.frombuffer(Path("heard").read_bytes(), "<i2") / 32768.0
    np.testing.assert_allclose(samples, speaker.say(TEXT).waveform, atol=1e-4)


def listen_to(monkeypatch: pytest.MonkeyPatch, heard: Sequence[str]) -> list[str | None]:
    """Lets a listener hear the same phonemes every time; the names by which it was asked for."""
    names: list[str | None] = []

    def listener(name: str | None, speaker: Speaker) -> object:
        names.append(name)
        return lambda waveform, rate: heard

    monkeypatch.setattr("wavejax.cli.checking.listener_of", listener)
    return names


def test_a_check_passes_where_every_word_is_heard(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = listen_to(monkeypatch, phones_of("Did he go?"))
    assert main(["say", "heart", "Did he go?", "--check"]) == 0
    assert main(["say", "heart", "Did he go?", "--overwrite", "--check", "run/"]) == 0
    assert names == [None, "run/"]
    assert "check: 1 sentences, 0 of them said again" in capsys.readouterr().err
    np.testing.assert_allclose(heard("heart.wav"), speaker.say("Did he go?").waveform, atol=1e-4)


def test_a_check_reports_what_is_not_heard(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listen_to(monkeypatch, phones_of("Did he?"))
    assert main(["say", "heart", "Did he dance today?", "--check", "--out", "a.wav"]) == 1
    said = capsys.readouterr().err
    assert "'Did he dance today': no end: dance today; said 3 times: no end: dance today" in said
    assert "1 sentences, 1 of them said again (slower" in said
    assert Path("a.wav").exists()


def test_a_check_without_a_recogniser_says_how_to_get_one(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wavejax.cli.checking.voices", lambda: ())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["say", "heart", TEXT, "--check"]) == 1
    assert "no recogniser of the language 'en' ships with this version: name one of your own" in capsys.readouterr().err


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
        (["--play", "--out", "a.wav"], 2, "--play is instead of a file"),
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
