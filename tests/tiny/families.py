"""Each family that ships made so small that it trains in a second, and a corpus for it: one row each."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import soundfile

from tests.tiny import commands
from tests.tiny.musegan import rolls, tiny_musegan, tiny_published_musegan
from tests.tiny.notes import recordings, tiny_piano
from tests.tiny.recognizers import tiny_attend_spell, tiny_deep_speech, tiny_recognizer, tiny_speller
from tests.tiny.scores import scores, tiny_composer
from tests.tiny.speakers import tiny_speaker, tiny_tacotron, tones
from tests.tiny.vocos import tiny_hifi_gan, tiny_published_vocos, tiny_vocos
from tests.tiny.wavernn import tiny_wavernn


class Tiny(NamedTuple):
    """A family in a test."""

    config: Callable[[], Any]
    """A complete experiment, of the same kind as the family's presets."""
    corpus: Callable[[Path], str]
    """Makes a corpus in an empty folder, and says what `data.corpus` names it by."""


def embedded(folder: Path) -> str:
    """The recordings that ship."""
    return "embedded"


def notes(folder: Path) -> str:
    """A folder of notes."""
    (folder / "wavs").mkdir(parents=True)
    lines = ["file|note|split"]
    for note in recordings():
        name = f"{note.midi:g}.wav"
        soundfile.write(folder / "wavs" / name, note.waveform, note.sample_rate)
        lines.append(f"{name}|{note.midi:g}|{note.split}")
    (folder / "notes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)


TINY: dict[str, Tiny] = {
    "vocoder": Tiny(commands.config, embedded),
    "wavernn": Tiny(tiny_wavernn, embedded),
    "vocos": Tiny(tiny_vocos, embedded),
    "published-vocos": Tiny(tiny_published_vocos, embedded),
    "hifi-gan": Tiny(tiny_hifi_gan, embedded),
    "babbler": Tiny(commands.unconditional, embedded),
    "instrument": Tiny(tiny_piano, notes),
    "recognizer": Tiny(tiny_recognizer, embedded),
    "deep-speech": Tiny(tiny_deep_speech, embedded),
    "listen-attend-spell": Tiny(tiny_speller, embedded),
    "attend-spell": Tiny(tiny_attend_spell, embedded),
    "composer": Tiny(tiny_composer, scores),
    "musegan": Tiny(tiny_musegan, scores),
    "published-musegan": Tiny(tiny_published_musegan, rolls),
    "speaker": Tiny(tiny_speaker, tones),
    "tacotron": Tiny(tiny_tacotron, tones),
}


def tiny_experiment(name: str, folder: Path, **training: Any) -> Any:
    """The family's tiny experiment on its own corpus, which is made in `folder`."""
    row = TINY[name]
    config = row.config()
    data = dataclasses.replace(config.data, corpus=row.corpus(folder), num_threads=0)
    options = {
        "batch_size": 8,
        "num_steps": 3,
        "validate_every": 0,
        "exhibit_every": 0,
        "checkpoint_every": 2,
        "log_every": 1,
        "tensorboard": False,
        **training,
    }
    return dataclasses.replace(config, data=data, training=dataclasses.replace(config.training, **options))
