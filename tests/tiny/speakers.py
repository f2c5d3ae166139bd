"""Speakers small enough to train in a test, and a corpus of tones whose phones are known."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.tiny.recognizers import EPSILON
from wavejax.data import prepare
from wavejax.data.alignments import ALIGNMENTS_NAME, AlignedUtterance, Interval, write_alignments
from wavejax.tasks.families import preset

TONES = {" ": 0.0, ".": 0.0, "AA1": 220.0, "IY0": 330.0, "M": 440.0, "S": 0.0}
"""Phones of the corpus, and the tone of each in Hz; 0 is silence."""
SECONDS = 0.1
"""Of each phone."""


def tiny_speaker(name: str = "heart-16k", **changes: Any) -> Any:
    """The experiment with two thin blocks in each stack, for sentences of up to 2 s in batches of two shapes."""
    config = preset(name)
    sizes = {"channels": 8, "hidden_channels": 8, "num_encoder_blocks": 2, "num_prosody_blocks": 1, "kernel_size": 3}
    sizes |= {"decoder_channels": 8, "decoder_hidden_channels": 8, "num_decoder_blocks": 2}
    sizes |= {"num_melody_blocks": 1, "melody_hidden_channels": 8}
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, **sizes),
        data=dataclasses.replace(config.data, bucket_seconds=(1.0, 2.0), num_threads=0),
        optimizer=dataclasses.replace(
            config.optimizer, learning_rate=1e-2, end_learning_rate=0.0, warmup_steps=1, epsilon=EPSILON
        ),
        **changes,
    )


def tiny_tacotron(**changes: Any) -> Any:
    """The experiment with an attentive model of a few channels, for sentences of up to 2 s in batches of two shapes."""
    config = preset("tacotron-16k-small")
    sizes = {"encoder_channels": 8, "num_encoder_layers": 1, "prenet_channels": 6, "attention_units": 8}
    sizes |= {"decoder_units": 7, "attention_channels": 6, "location_filters": 3, "location_kernel_size": 5}
    sizes |= {"postnet_channels": 6, "num_postnet_layers": 2}
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, **sizes),
        data=dataclasses.replace(config.data, bucket_seconds=(1.0, 2.0), num_threads=0),
        optimizer=dataclasses.replace(
            config.optimizer, learning_rate=1e-2, end_learning_rate=0.0, warmup_steps=1, epsilon=EPSILON
        ),
        **changes,
    )


def tones(folder: Path) -> str:
    """A prepared corpus of 24 sentences of tones, every sixth for validation and test."""
    source, rng = folder / "source", np.random.default_rng(0)
    (source / "wavs").mkdir(parents=True)
    aligned, rows, splits = [], [], []
    for number in range(24):
        phones = [" ", *rng.choice(["AA1", "IY0", "M", "S"], 4 + number % 6), "."]
        hertz = np.asarray([TONES[phone] for phone in phones])
        time = np.arange(round(SECONDS * 16_000)) / 16_000
        waveform = 0.3 * np.sin(2 * np.pi * hertz[:, None] * time).reshape(-1).astype(np.float32)
        name = f"tone_{number:02}"
        soundfile.write(source / "wavs" / f"{name}.wav", waveform, 16_000, subtype="PCM_16")
        intervals = tuple(Interval(str(p), i * SECONDS, (i + 1) * SECONDS) for i, p in enumerate(phones))
        aligned.append(AlignedUtterance(id=name, phones=intervals))
        rows.append(f"{name}|tones {number}\n")
        splits.append(f"{name}|{('validation', 'test')[number // 6 % 2] if number % 6 == 0 else 'train'}\n")
    (source / "metadata.csv").write_text("".join(rows))
    (source / "splits.csv").write_text("".join(splits))
    write_alignments(source / ALIGNMENTS_NAME, aligned)
    prepare(source, folder / "corpus", workers=1, progress=False)
    return str(folder / "corpus")
