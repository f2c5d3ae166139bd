"""Recordings for the tests of the data floor."""

from pathlib import Path

import numpy as np
import soundfile

from wavejax.audio.specs import FeatureSpec
from wavejax.data import Corpus, Utterance

TINY = FeatureSpec(
    name="tiny", sample_rate=16_000, n_fft=40, win_length=40, hop_length=10, padding="same", n_mels=3, f_max=8000.0
)


def write_tone(
    path: Path, seconds: float = 0.5, frequency: float = 220.0, rate: int = 16_000, level: float = 0.3
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, level * np.sin(2 * np.pi * frequency * time), rate)


def write_ljspeech(folder: Path, transcripts: dict[str, str], seconds: float = 0.5) -> Path:
    for number, name in enumerate(transcripts):
        write_tone(folder / "wavs" / f"{name}.wav", seconds, 200.0 + 10 * number)
    rows = [f"{name}|{text}|{text}\n" for name, text in transcripts.items()]
    (folder / "metadata.csv").write_text("".join(rows))
    return folder


FIRST_SAMPLE = 16_000


def counting_utterance(number: int, num_samples: int, speaker: int = 0) -> Utterance:
    """Sample t is (FIRST_SAMPLE + t) / 32768, frame f is (f, number, 0): a crop tells where it was cut."""
    frames = num_samples // TINY.hop_length
    log_mel = np.zeros((frames, 3), np.float32)
    log_mel[:, 0] = np.arange(frames)
    log_mel[:, 1] = number
    waveform = ((FIRST_SAMPLE + np.arange(num_samples)) / 32768).astype(np.float32)
    return Utterance(id=f"u{number}", waveform=waveform, frames=log_mel, speaker=speaker, transcript=f"words {number}")


def counting_corpus(lengths: list[int]) -> Corpus:
    utterances = [counting_utterance(n, length, speaker=n % 2) for n, length in enumerate(lengths)]
    return Corpus.in_memory(TINY, utterances, ["train"] * len(lengths), ("one", "two"))
