"""An instrument of strings and its recordings, small enough to train in a test."""

import dataclasses

import jax
import numpy as np

from tests.audio.strings import string
from wavejax.audio.notes import NOTE_SPECS
from wavejax.data.notes import STORED_RATE, NoteRecording
from wavejax.nn.parameters import initial_params
from wavejax.tasks.families import preset
from wavejax.tasks.instrument.config import InstrumentConfig
from wavejax.tasks.instrument.product import Instrument

SPEC = NOTE_SPECS["piano"]


def tiny_piano(**training: object) -> InstrumentConfig:
    config = preset("piano")
    model = dataclasses.replace(
        config.model,
        dilations=(1, 2),
        residual_channels=4,
        gate_channels=4,
        skip_channels=4,
        tail_channels=(4,),
        input_noise=0.0,
        frame_network=dataclasses.replace(config.model.frame_network, channels=4, num_blocks=1),
    )
    options = {"batch_size": 8, "validate_every": 0, "tensorboard": False, **training}
    return dataclasses.replace(
        config,
        model=model,
        data=dataclasses.replace(config.data, crop_length=480, num_threads=0),
        training=dataclasses.replace(config.training, **options),
    )


def untrained() -> Instrument:
    """Random parameters, drawn without compiling anything."""
    rng, config = np.random.default_rng(0), tiny_piano()
    shapes = jax.eval_shape(lambda: initial_params(config.model.build(), jax.random.key(0)))
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.05, leaf.shape).astype(np.float32), shapes)
    return Instrument(config=config, params=params)


def recordings(seconds: float = 1.3) -> list[NoteRecording]:
    """Four keys; the second is held out for the test, the third for validation."""
    splits = {57: "train", 60: "test", 63: "validation", 66: "train"}
    return [
        NoteRecording(
            midi=midi,
            waveform=string(SPEC.frequency(midi), rate=STORED_RATE, seconds=seconds, decay=2.0, lead=0.03, seed=midi),
            sample_rate=STORED_RATE,
            split=split,
        )
        for midi, split in splits.items()
    ]
