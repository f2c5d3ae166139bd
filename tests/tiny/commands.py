"""A corpus and models so small that whole commands run in a test."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import soundfile

from wavejax.audio.companding import SampleCoding
from wavejax.checkpoints import export_params
from wavejax.distributions import Categorical
from wavejax.experiments.autoregressive.config import AutoregressiveConfig
from wavejax.experiments.metadata import metadata
from wavejax.nn.parameters import initial_params
from wavejax.tasks.babbler.product import BabblerConfig
from wavejax.tasks.families import preset
from wavejax.tasks.vocoder.wavenet import WaveNetVocoderConfig

RATE = 16_000

FLAGS = [
    *("--model.dilations", "1", "2", "--model.residual-channels", "4", "--model.gate-channels", "4"),
    *("--model.skip-channels", "4", "--model.tail-channels", "4"),
    *("--model.frame-network.channels", "4", "--model.frame-network.num-blocks", "0"),
    *(
        "--data.crop-length",
        "400",
        "--data.num-threads",
        "0",
        "--training.no-tensorboard",
        "--training.validate-every",
        "0",
    ),
]


def config(**changes: object) -> WaveNetVocoderConfig:
    """What `FLAGS` make of the preset speech-16k-small."""
    base = preset("speech-16k-small")
    sizes: dict[str, object] = {
        "dilations": (1, 2),
        "residual_channels": 4,
        "gate_channels": 4,
        "skip_channels": 4,
        "tail_channels": (4,),
        "frame_network": dataclasses.replace(base.model.frame_network, channels=4, num_blocks=0),
    }
    model = dataclasses.replace(base.model, **{**sizes, **changes})
    return dataclasses.replace(base, model=model, data=dataclasses.replace(base.data, crop_length=400, num_threads=0))


def unconditional() -> BabblerConfig:
    base = config()
    model = dataclasses.replace(
        base.model,
        frame_network=None,
        upsampler=None,
        coding=SampleCoding(num_classes=16),
        distribution=Categorical(num_classes=16),
    )
    return BabblerConfig(name="babble", model=model, spec=base.spec, data=base.data)


def params_of(config: AutoregressiveConfig, seed: int = 0) -> dict:
    """Random parameters, drawn without compiling anything."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: initial_params(config.model.build(), jax.random.key(0)))
    return jax.tree.map(lambda leaf: rng.normal(0, 0.05, leaf.shape).astype(np.float32), shapes)


def export(folder: Path, config: AutoregressiveConfig, speakers: tuple[str, ...] = ()) -> Path:
    return export_params(folder, params_of(config), metadata(config, {"speakers": list(speakers)}))


def write_noise(path: Path, seconds: float = 0.3, rate: int = RATE, level: float = 0.1, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, level, round(seconds * rate))
    soundfile.write(path, np.clip(noise, -1, 1), rate)
    return path


def write_recordings(folder: Path, count: int = 10, rate: int = RATE) -> Path:
    for number in range(count):
        speaker = ("anna", "bert")[number % 2]
        write_noise(folder / speaker / f"{speaker}{number}.wav", 0.4 + 0.01 * number, rate, seed=number)
    return folder


def flip_byte(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0x10
    path.write_bytes(bytes(data))
