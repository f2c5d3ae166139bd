"""What recognisers and rival programs are asked of a speaker's sentences."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.test_devices import fake
from tests.tasks.speaker.test_product import Hum, random_speaker
from wavejax.audio.specs import get_spec
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.speaker.evaluation import SpeakingOptions
from wavejax.tasks.speaker.listening import aligner_of, border_distances, heard_through, listener_of, word_times
from wavejax.tasks.speaker.product import Speaker, Speech
from wavejax.tasks.speaker.rivals import piper
from wavejax.text import TextSpec, get_text_spec
from wavejax.text.transcripts import Transcript

TEXT = "Dr. Smith paid $45.50. Did he?"


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return random_speaker().with_vocoder(Hum())


@dataclasses.dataclass(frozen=True)
class Late:
    """An aligner that finds each sentence's words a little later than the speaker has said them."""

    speaker: Speaker
    text: TextSpec = get_text_spec("phonemes-en")
    sample_rate: int = 16_000

    def transcribe_greedily(self, waveform: np.ndarray) -> Transcript:
        raise AssertionError

    def align(self, waveform: np.ndarray, text: str) -> Transcript:
        for speech in self.speaker.sentences(TEXT):
            if len(speech.waveform) == len(waveform):
                assert text.split(" | ")[0] == " ".join(symbol.text for symbol in speech.words[0].symbols)
                return Transcript(words=tuple(word.later(0.02) for word in speech.words), duration=speech.duration)
        raise ExperimentError("the text is longer than the recording")


def test_borders_of_words_are_compared_with_an_aligners(speaker: Speaker) -> None:
    found = word_times(speaker, Late(speaker), [TEXT])
    assert found == "median 20 ms from those of phonemes-en, 90 % within 20 ms; 12 borders"
    assert word_times(speaker, Late(speaker), ["Another one."]) == "no sentence could be aligned"
    speech = speaker.say("Another one.")
    assert border_distances(Speech(waveform=speech.waveform[:9], sample_rate=16_000, words=()), Late(speaker)) == []


def opening(speaker: Speaker, found: Any) -> Speaker:
    return dataclasses.replace(speaker, open_other=lambda name: found)


def test_what_does_not_listen_or_align_is_refused(speaker: Speaker) -> None:
    assert aligner_of(opening(speaker, Late(speaker)), "run/").sample_rate == 16_000
    letters = Late(speaker, text=get_text_spec("letters-en"))
    with pytest.raises(ExperimentError, match="run/ does not align phonemes: name a recogniser of phonemes"):
        aligner_of(opening(speaker, letters), "run/")
    with pytest.raises(ExperimentError, match="run/ knows the language 'ru', and heart-16k says 'en'"):
        listener_of(opening(speaker, Late(speaker, text=get_text_spec("letters-ru"))), "run/")
    with pytest.raises(ExperimentError, match="run/ knows the language None"):
        listener_of(opening(speaker, object()), "run/")
    with pytest.raises(ExperimentError, match=r"was not loaded by wavejax\.load, so it cannot open run/"):
        listener_of(speaker, "run/")


def test_piper_is_a_program_with_a_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice, programs = tmp_path / "joe.onnx", tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(ExperimentError, match="the rival piper is a program, and there is none of that name"):
        piper(voice)
    script = """
import wave
assert sys.argv[1] == "--model" and sys.argv[3] == "--output_file"
with wave.open(sys.argv[4], "wb") as file:
    file.setparams((1, 2, 8000, 0, "NONE", ""))
    file.writeframes(bytes(2 * len(sys.stdin.read())))
"""
    fake(programs, "piper", script)
    with pytest.raises(ExperimentError, match=r"the rival piper needs its voice, a file \.onnx: --piper-voice FILE"):
        piper(voice)
    voice.write_bytes(b"")
    waveform, rate = piper(voice)("Hello there.")
    assert (len(waveform), rate) == (12, 8000)
    fake(programs, "piper", "sys.exit('no such voice')")
    with pytest.raises(ExperimentError, match="piper said nothing: no such voice"):
        piper(voice)("Hello there.")


def test_a_speaker_is_judged_through_another_vocoder(speaker: Speaker) -> None:
    other, foreign = Hum(), Hum()
    foreign.spec = get_spec("vocos-24k")
    opening = dataclasses.replace(speaker, open_other=lambda name: other if name == "other" else foreign)
    assert heard_through(opening, "other").vocoder is other
    with pytest.raises(ExperimentError, match="choose a vocoder of speech-16k"):
        heard_through(opening, "foreign")
    deaf = dataclasses.replace(speaker, open_other=lambda name: object())
    with pytest.raises(ExperimentError, match="listener-en is no vocoder: name one"):
        heard_through(deaf, "listener-en")
    with pytest.raises(ExperimentError, match="--corpus compares mel spectrograms, which are heard through no vocoder"):
        SpeakingOptions(corpus="corpus", vocoder="other")(opening, print)
