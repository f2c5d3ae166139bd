"""Engines that say a sentence and tell when each of its phonemes is said: hibari, flite and espeak-ng."""

import hashlib
import itertools
import json
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from speech_espeak import ESPEAK_ENGINES
from speech_spoken import SAMPLE_RATE, EngineEntry, SpeechError, Spoken
from speech_texts import Sentence

from wavejax.text.phonemes import PUNCTUATION, is_vowel, stress_of, without_stress

# --- hibari -----------------------------------------------------------------------------------------------------------

_HIBARI_FRAME = 0.0125
"""Seconds of a frame of its spectra; a unit of its durations is two."""
_HIBARI_LAG = 5
"""Frames by which its durations come after what is heard: with 5 the mel frames of a phone vary least (150 sentences:
variance within phones 2.75 at 0, 1.97 at 4, 1.91 at 5, 1.98 at 6, 2.23 at 8)."""
_HIBARI_GAIN = 1.3
_SILENCE = 10 ** (-45 / 20)
"""Of the loudest frame's amplitude: quieter frames before a punctuation mark are its pause."""
_IPA = {
    **{"AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "W", "AY": "I", "EH": "ɛ", "ER": "ɜɹ", "EY": "A", "IH": "ɪ"},
    **{"IY": "i", "OW": "O", "OY": "Y", "UH": "ʊ", "UW": "u", "B": "b", "CH": "ʧ", "D": "d", "DH": "ð", "F": "f"},
    **{"G": "ɡ", "HH": "h", "JH": "ʤ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "P": "p", "R": "ɹ"},
    **{"S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ"},
}
"""An ARPAbet phoneme -> hibari's symbols; of unstressed vowels see `hibari_word`."""
_UNSTRESSED = {"AH": "ə", "ER": "əɹ"}
_STRESS = {1: "ˈ", 2: "ˌ"}
_WEAK = frozenset(
    re.findall(
        r"\w+",
        "a am an and are as at be been but by can could did do does for from had has have he her him his i if in into "
        "is it its me my of on or our she should so than that the their them then there they this to us was we were "
        "what when which who will with would you your",
    )
)
"""Words that hibari's own lexicon reads without stress inside a sentence."""


def hibari_word(word: str, phones: Sequence[str], alone: bool) -> list[str]:
    """For each phoneme of a word the symbols that hibari reads: its lexicon's writing, with flaps and weak vowels.

    Args:
        word: in small letters.
        phones: ARPAbet with stress.
        alone: whether it is the only word of its sentence, and so stressed in any case.
    """
    found = []
    for place, phone in enumerate(phones):
        before = phones[place - 1] if place else ""
        after = phones[place + 1] if place + 1 < len(phones) else ""
        bare, stress = without_stress(phone), stress_of(phone)
        if bare == "T" and (is_vowel(before) or before == "R") and after and stress_of(after) == 0:
            syllabic = without_stress(after) == "AH" and phones[place + 2 : place + 3] == ("N",)
            found.append("t" if syllabic else "T")
        elif stress == 0 and bare in ("AH", "IH") and after in ("D", "Z") and place + 2 == len(phones):
            found.append("ᵻ" if before in ("T", "D", "S", "Z", "SH", "ZH", "CH", "JH") else _UNSTRESSED.get(bare, "ɪ"))
        elif stress == 0 and bare == "AH" and after == "L" and place and not is_vowel("".join(phones[place + 2 :][:1])):
            found.append("ᵊ")
        elif stress == 0 and bare == "AH" and len(phones) == 1:
            found.append("ɐ")
        else:
            symbols = _UNSTRESSED.get(bare, _IPA[bare]) if stress == 0 else _IPA[bare]
            mark = "" if stress is None or (word in _WEAK and not alone) else _STRESS.get(stress, "")
            found.append(mark + symbols)
    return found


class Hibari:
    """The voice `heart` of hibari: its network's durations are made an output of its graph."""

    def __init__(self) -> None:
        try:
            import hibari
            import onnx
            import onnxruntime
        except ImportError as error:
            raise SpeechError(f"{error}: install the extra `corpora` (pip install 'wavejax-audio[corpora]')") from error
        from hibari.tts import dsp
        from hibari.voices import voice_path

        graph = onnx.load(voice_path("heart"))
        [sums] = [node for node in graph.graph.node if node.op_type == "CumSum"]  # of the durations
        graph.graph.output.append(onnx.helper.make_tensor_value_info(sums.input[0], onnx.TensorProto.INT64, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        assets = Path(hibari.__file__).parent / "assets"
        self._ids = json.loads((assets / "vocab.json").read_text(encoding="utf-8"))
        self._synthesise = dsp.synth

    def __call__(self, sentence: Sentence) -> Spoken:
        symbols, ids = [" "], [[0]]  # its token 0 stands for the silence at both ends
        for (word, phones), mark in zip(sentence.words, sentence.marks, strict=True):
            written = hibari_word(word, phones, alone=len(sentence.words) == 1)
            symbols += [*phones, mark]
            ids += [[self._ids[symbol] for symbol in each] for each in written]
            ids.append([self._ids[symbol] for symbol in (mark if mark == " " else f"{mark} ")])
        ids[-1] = [ids[-1][0], 0]
        given = {"ids": np.asarray([list(itertools.chain(*ids))], np.int64), "speed": np.ones(1, np.float32)}
        *network, units = self._session.run(None, given)
        parts = [output[0] for output in network]
        seed = int.from_bytes(hashlib.sha256(sentence.text.encode()).digest()[:8])
        sound = self._synthesise(*parts, np.random.default_rng(seed))
        waveform = _HIBARI_GAIN * soxr.resample(sound, 24_000, SAMPLE_RATE).astype(np.float32)
        frames = parts[-1].shape[-1]
        ends = 2 * np.cumsum(units.reshape(-1))
        if ends[-1] != frames or len(waveform) != frames * round(_HIBARI_FRAME * SAMPLE_RATE):
            raise SpeechError(
                f"hibari gave durations of {ends[-1]} frames, F0 of {frames} and {len(waveform)} samples: it is not "
                "the version 0.2.1 that this script knows"
            )
        last = np.cumsum([len(each) for each in ids]) - 1
        borders = np.maximum(np.concatenate([[0], ends[last] - _HIBARI_LAG]), 0)
        borders[-1] = frames
        _begin_pauses(borders, symbols, waveform)
        return Spoken(waveform=waveform, symbols=tuple(symbols), borders=borders * _HIBARI_FRAME)


def _begin_pauses(borders: np.ndarray, symbols: Sequence[str], waveform: np.ndarray) -> None:
    """Let a pause begin where the sound ends: hibari counts most of it to the phoneme before a punctuation mark."""
    level = np.sqrt(np.mean(np.square(waveform.reshape(-1, round(_HIBARI_FRAME * SAMPLE_RATE))), axis=1))
    silent = level < _SILENCE * level.max()
    for place, symbol in enumerate(symbols):
        if symbol in PUNCTUATION:
            while borders[place] - borders[place - 1] > 1 and silent[borders[place] - 1]:
                borders[place] -= 1


# --- flite ------------------------------------------------------------------------------------------------------------

_FLITE_NAMES = {"AX": "AH", "AXR": "ER"}
"""Its phonemes that ours write otherwise; the rest are ours without stress."""
_FLITE_TEMPO = (0.85, 1.2)
_FLITE_PITCH = (0.88, 1.14)
"""Factors of durations and of F0, drawn for each sentence."""


class Flite:
    """A voice of the program flite, which reads the text by its own lexicon."""

    def __init__(self, voice: str) -> None:
        if shutil.which("flite") is None:
            raise SpeechError("flite is not on this machine: install the Debian package flite (apt-get install flite)")
        self._voice = voice

    def __call__(self, sentence: Sentence) -> Spoken | None:
        draw = random.Random(f"{self._voice} {sentence.text}")
        settings = {"duration_stretch": draw.uniform(*_FLITE_TEMPO), "f0_shift": draw.uniform(*_FLITE_PITCH)}
        options = [part for name, value in settings.items() for part in ("--setf", f"{name}={value:.3f}")]
        with tempfile.NamedTemporaryFile(suffix=".wav") as target:
            command = ["flite", "-voice", self._voice, *options, "-psdur", "-t", sentence.text, target.name]
            told = subprocess.run(command, capture_output=True, text=True)
            if told.returncode != 0:
                raise SpeechError(f"flite failed: {told.stderr.strip()}")
            waveform, rate = soundfile.read(target.name, dtype="float32")
        if rate != SAMPLE_RATE:
            raise SpeechError(f"flite's voice {self._voice} is at {rate} Hz: expected {SAMPLE_RATE}")
        found = flite_borders(told.stdout, sentence)
        if found is None:
            return None
        symbols, borders = found
        borders[-1] = len(waveform) / SAMPLE_RATE
        return Spoken(waveform=waveform, symbols=symbols, borders=np.minimum(borders, borders[-1]))


def flite_borders(told: str, sentence: Sentence) -> tuple[tuple[str, ...], np.ndarray] | None:
    """(a space, then each word's phonemes and what stands after it; where each begins, and the end) from what
    `flite -psdur` prints: "pau:0.164 hh:0.255 ...", each phoneme with its end in seconds.

    A vowel may be another than the sentence's (a full one in "and"): what is said counts, with the sentence's stress.
    None where a consonant is another one, the number of phonemes differs, or a word has a pause in it.
    """
    segments = [(name.upper(), float(end)) for name, _, end in (each.partition(":") for each in told.split())]
    symbols, borders, place, time = [" "], [0.0], 0, 0.0

    def pass_pauses() -> None:
        nonlocal place, time
        while place < len(segments) and segments[place][0] == "PAU":
            time, place = segments[place][1], place + 1

    pass_pauses()
    for (_, phones), mark in zip(sentence.words, sentence.marks, strict=True):
        for phone in phones:
            name = segments[place][0] if place < len(segments) else ""
            said, bare = _FLITE_NAMES.get(name, name), without_stress(phone)
            if said != bare and not (is_vowel(said) and is_vowel(bare)):
                return None
            symbols.append(f"{said}{stress_of(phone)}" if is_vowel(said) else said)
            borders.append(time)
            time, place = segments[place][1], place + 1
        symbols.append(mark)
        borders.append(time)
        pass_pauses()
    return (tuple(symbols), np.asarray([*borders, time])) if place == len(segments) else None


def _flite(voice: str, speaker: str) -> EngineEntry:
    return EngineEntry(
        open=lambda: Flite(voice),
        speaker=f"flite-{voice}",
        credit=f"{speaker} of flite (http://cmuflite.org), Copyright 1999-2016 Language Technologies Institute, "
        "Carnegie Mellon University (a licence of the BSD kind). Changes: tempo and pitch vary from sentence to "
        "sentence.",
    )


ENGINES: dict[str, EngineEntry] = {
    "hibari": EngineEntry(
        open=Hibari,
        speaker="heart",
        credit="`heart` of hibari 0.2.1 (https://github.com/MMWilliams/hibari), Copyright 2026 Maureese Williams, "
        "Apache-2.0; it is distilled from Kokoro-82M by hexgrad (Apache-2.0), voice af_heart; its phoneme alphabet is "
        "that of misaki (Apache-2.0). Changes: resampled to 16 kHz, amplitude times 1.3.",
    ),
    "flite-slt": _flite("slt", "`slt`, a woman from the United States,"),
    "flite-rms": _flite("rms", "`rms`, a man from the United States,"),
    "flite-awb": _flite("awb", "`awb`, a man from Scotland,"),
    "flite-kal16": _flite("kal16", "`kal16`, a man from the United States, of diphones,"),
    **ESPEAK_ENGINES,
}
"""By name."""

__all__ = ["ENGINES", "Flite", "Hibari", "flite_borders", "hibari_word"]
