"""A speaker of wavejax as an engine: a voice that ships, or one of one's own, makes a corpus for a recogniser."""

import random
from pathlib import Path

import numpy as np
from speech_spoken import SAMPLE_RATE, EngineEntry, SpeechError, Spoken
from speech_texts import Sentence

from wavejax.tasks.families import load
from wavejax.tasks.speaker.lines import lines_of
from wavejax.tasks.speaker.product import Manner, Speaker

_RATE, _PITCH = (0.85, 1.2), (-2.0, 2.0)
"""Of speech, and in semitones: drawn for each sentence."""


class OwnVoice:
    """A speaker of wavejax by its name or folder, through its own vocoder or through another."""

    def __init__(self, voice: str, vocoder: str | None = None) -> None:
        self._name, self._speaker = voice, load(voice, kind=Speaker)
        if self._speaker.sample_rate != SAMPLE_RATE:
            raise SpeechError(f"{voice} speaks at {self._speaker.sample_rate} Hz: expected {SAMPLE_RATE}")
        self.language = self._speaker.language
        if vocoder is not None:
            self._speaker = self._speaker.with_vocoder(load(vocoder))

    def __call__(self, sentence: Sentence) -> Spoken | None:
        [line, *more] = lines_of(sentence.text, self.language)
        symbols = [" "]
        for (_, phones), mark in zip(sentence.words, sentence.marks, strict=True):
            symbols += [*phones, mark]
        if more or line.symbols != tuple(symbols):
            return None
        draw = random.Random(f"{self._name} {sentence.text}")
        manner = Manner(rate=draw.uniform(*_RATE), pitch=draw.uniform(*_PITCH), seed=draw.randrange(2**31))
        waveform = self._speaker.said(line, manner).waveform
        ends = np.cumsum([0, *self._speaker.durations(line, manner)]) / self._speaker.config.spec.frame_rate
        skipped = ends[-1] - len(waveform) / SAMPLE_RATE  # of the silence before the first word
        return Spoken(waveform=waveform, symbols=line.symbols, borders=np.maximum(ends - skipped, 0))


def own_voice(voice: str, vocoder: str | None = None) -> EngineEntry:
    """A speaker of wavejax as an engine; the voice's own credits go with what it says."""
    engine = OwnVoice(voice, vocoder)
    own = Path(voice) / "CREDITS.md"
    credits = own if own.is_file() else f"wavejax/voices/{voice}/CREDITS.md"
    return EngineEntry(
        open=lambda: engine,
        language=engine.language,
        speaker=Path(voice).name,
        credit=f"`{Path(voice).name}`, a speaker of wavejax; {credits} says whose voice it learnt, and its licence. "
        "Changes: tempo and pitch vary from sentence to sentence.",
    )


__all__ = ["OwnVoice", "own_voice"]
