"""A vocoder and a corpus small enough to train in a test."""

import dataclasses
import sys

import numpy as np

from wavejax.audio import log_mel_numpy
from wavejax.data import Corpus
from wavejax.data.corpus import Utterance
from wavejax.tasks.families import preset, train_and_evaluate
from wavejax.tasks.vocoder.wavenet import WaveNetVocoderConfig


def tiny_config(num_speakers: int = 0, num_steps: int = 3, **training: object) -> WaveNetVocoderConfig:
    config = preset("speech-16k-small")
    network = dataclasses.replace(config.model.frame_network, channels=6, num_blocks=1)
    model = dataclasses.replace(
        config.model,
        dilations=(1, 2, 4),
        residual_channels=8,
        gate_channels=8,
        skip_channels=8,
        tail_channels=(8,),
        frame_network=network,
        num_speakers=num_speakers,
        global_channels=3 if num_speakers else 0,
    )
    options = {
        "validate_every": 0,
        "exhibit_every": 0,
        "audio_seconds": 0.1,
        "checkpoint_every": 2,
        "log_every": 1,
        "batch_size": 8,
        "tensorboard": False,
        **training,
    }
    return dataclasses.replace(
        config,
        model=model,
        data=dataclasses.replace(config.data, crop_length=400),
        optimizer=dataclasses.replace(config.optimizer, learning_rate=1e-2, warmup_steps=0),
        training=dataclasses.replace(config.training, num_steps=num_steps, **options),
    )


def tiny_corpus(num_speakers: int = 1) -> Corpus:
    """A buzzing voice per speaker: three training utterances each, one of validation and one of test in all."""
    spec, rng = tiny_config().spec, np.random.default_rng(0)
    utterances, splits = [], []
    for number in range(3 * num_speakers + 2):
        speaker = number % num_speakers
        time = np.arange(4800 + 200 * number) / spec.sample_rate
        pitch = 120 * (1 + speaker) * (1 + 0.1 * np.sin(9 * time + number))
        waveform = 0.3 * np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / spec.sample_rate)) * np.sin(4 * time) ** 2
        waveform = (waveform + 0.01 * rng.normal(size=len(time))).astype(np.float32)
        waveform = np.round(waveform * 32768).astype(np.float32) / np.float32(32768)
        mel = log_mel_numpy(waveform, spec)
        utterances.append(
            Utterance(id=f"u{number}", waveform=waveform, frames=mel, speaker=speaker, transcript=f"number {number}")
        )
        splits.append("train" if number < 3 * num_speakers else ("validation", "test")[number - 3 * num_speakers])
    names = tuple(f"s{i}" for i in range(num_speakers))
    return Corpus.in_memory(spec, utterances, splits, names)


def run(workdir: str) -> None:
    """A run long enough to be killed in."""
    config = tiny_config(num_steps=30)
    train_and_evaluate(dataclasses.replace(config, name="killed"), workdir, corpus=tiny_corpus())


if __name__ == "__main__":
    run(sys.argv[1])
