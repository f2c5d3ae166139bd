"""espeak-ng as an engine of synthetic speech: its library, which says when words and phonemes begin.

Its oscillators go on from one sentence to the next. So a sentence's times are always the same to a millisecond, but its
waveform is so only after the same sentences: a corpus that was stopped and goes on differs from an undisturbed one in
phase.
"""

import ctypes
import ctypes.util
import importlib
import itertools
import random
import re
from typing import Any

import numpy as np
import soxr
from speech_spoken import SAMPLE_RATE, EngineEntry, SpeechError, Spoken
from speech_texts import Sentence

from wavejax.data.alignments import Interval

_WORDS_A_MINUTE, _PITCH, _RANGE = (130, 210), (30, 70), (30, 75)
"""Drawn for each sentence; pitch and its range count from 0 to 99, 50 being a voice's own."""
_GAIN = 0.8
"""So that hardly a sentence exceeds full scale at 16 kHz."""
_RETRIEVE, _PHONEME_EVENTS, _UTF8 = 2, 1, 1
_RATE_PARAMETER, _PITCH_PARAMETER, _RANGE_PARAMETER = 1, 3, 4
_WORD, _PHONEME = 1, 7
_PAUSE = re.compile(r"_[:!|]*")
_MARKS = re.compile(r"[',%=|]")
"""Of stress and joints, in the names of its phonemes."""
_LETTERS = re.compile(r"[a-z']+")


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """A voice of espeak-ng 1.51 or later, "en-us+f3": a language with a variant."""

    def __init__(self, voice: str) -> None:
        self._library, self._data = _loaded()
        self._voice = voice
        self._start()

    def __call__(self, sentence: Sentence) -> Spoken | None:
        """None where its words have other letters than the sentence."""
        rate = self._start()
        draw = random.Random(f"{self._voice} {sentence.text}")
        for parameter, (low, high) in (
            (_RATE_PARAMETER, _WORDS_A_MINUTE),
            (_PITCH_PARAMETER, _PITCH),
            (_RANGE_PARAMETER, _RANGE),
        ):
            self._library.espeak_SetParameter(parameter, draw.randint(low, high), 0)
        if hasattr(self._library, "espeak_ng_SetRandSeed"):  # 1.52: earlier ones breathe otherwise each time
            self._library.espeak_ng_SetRandSeed(ctypes.c_long(draw.randrange(1, 2**31)))
        pieces: list[np.ndarray] = []
        events: list[tuple[int, int, float, str]] = []

        def take(samples: Any, count: int, given: Any) -> int:
            if samples and count:
                pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
            place = 0
            while given[place].type:
                event = given[place]
                name = event.name.decode(errors="replace") if event.type == _PHONEME else ""
                events.append((event.type, event.text_position - 1, event.sample / rate, name))
                place += 1
            return 0

        kept = _Callback(take)  # as long as the library may call it
        self._library.espeak_SetSynthCallback(kept)
        text = sentence.text.encode()
        self._library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        if not pieces:
            raise SpeechError(f"espeak-ng said nothing for {sentence.text!r}")
        sound = np.concatenate(pieces).astype(np.float32) * (_GAIN / 32768)
        self._library.espeak_Terminate()
        waveform = soxr.resample(sound, rate, SAMPLE_RATE).astype(np.float32)
        return espeak_times(events, sentence, waveform)

    def _start(self) -> int:
        """Begin anew, as another voice may have spoken; the voice's Hz."""
        rate = self._library.espeak_Initialize(_RETRIEVE, 0, self._data, _PHONEME_EVENTS)
        if rate <= 0 or self._library.espeak_SetVoiceByName(self._voice.encode()):
            raise SpeechError(f"espeak-ng has no voice {self._voice}: install the Debian package espeak-ng-data")
        return int(rate)


def espeak_times(events: list[tuple[int, int, float, str]], sentence: Sentence, waveform: np.ndarray) -> Spoken | None:
    """What was said, by the library's events: (kind, place in the text, seconds, name of a phoneme) in order.

    A word's text and its phonemes reach from its event to the next word's; the time of its event is a little early. Two
    words that it joins ("of the") are one. Phonemes have its own names, without marks of stress.
    """
    seconds = len(waveform) / SAMPLE_RATE
    moments = [0.0, *[min(time, seconds) for kind, _, time, _ in events if kind == _PHONEME], seconds]
    borders = np.maximum.accumulate(np.asarray(moments))
    symbols, begun = [" "], list[tuple[int, int]]()
    for kind, place, _, name in events:
        if kind == _WORD:
            begun.append((place, len(symbols)))  # in the text, and among the symbols
        elif kind == _PHONEME:
            symbols.append(" " if _PAUSE.fullmatch(name) else _MARKS.sub("", name) or "?")
    words: list[Interval] = []
    for (place, first), (after, last) in itertools.pairwise([*begun, (len(sentence.text), len(symbols))]):
        said = [number for number in range(first, last) if symbols[number] != " "]
        text = " ".join(_LETTERS.findall(sentence.text[place:after].lower()))
        if not said or not text:
            return None
        words.append(Interval(text, float(borders[said[0]]), float(borders[said[-1] + 1])))
    if "".join(word.text for word in words).replace(" ", "") != sentence.group.replace(" ", ""):
        return None
    return Spoken(waveform=waveform, symbols=tuple(symbols), borders=borders, words=tuple(words))


def _loaded() -> tuple[Any, bytes | None]:
    """The library, and the folder of its data if it is not where the library looks by itself."""
    try:
        loader = importlib.import_module("espeakng_loader")
        path, data = str(loader.get_library_path()), str(loader.get_data_path()).encode()
    except ImportError:
        path, data = ctypes.util.find_library("espeak-ng") or "", None
    if not path:
        raise SpeechError(
            "the library of espeak-ng is not on this machine: install the Debian package libespeak-ng1 (apt-get "
            "install libespeak-ng1) or the PyPI package espeakng-loader"
        )
    try:
        return ctypes.CDLL(path), data
    except OSError as error:
        raise SpeechError(f"the library of espeak-ng cannot be loaded: {error}") from error


def _espeak(voice: str, speaker: str) -> EngineEntry:
    return EngineEntry(
        open=lambda: Espeak(voice),
        speaker=speaker,
        credit=f"`{voice}` of eSpeak NG (https://github.com/espeak-ng/espeak-ng), a program under GPL-3.0-or-later, of "
        "which nothing is in this corpus. Changes: tempo and pitch vary from sentence to sentence, at 16 kHz.",
    )


ESPEAK_ENGINES: dict[str, EngineEntry] = {
    name: _espeak(voice, name)
    for name, voice in {
        "espeak-us-f": "en-us+f3",
        "espeak-us-m": "en-us+m3",
        "espeak-gb-f": "en+f2",
        "espeak-gb-m": "en-gb-x-rp+m1",
        "espeak-scotland-m": "en-gb-scotland+m5",
    }.items()
}
"""By name, which is also the speaker's."""

__all__ = ["ESPEAK_ENGINES", "Espeak", "espeak_times"]
