"""Presets made small enough for tests, every option kept."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.audio.companding import SampleCoding
from wavejax.distributions import Categorical, CoarseFine
from wavejax.generation import teacher_forced
from wavejax.models.wavenet import WaveNet, WaveNetConfig
from wavejax.models.wavenet_presets import PRESETS
from wavejax.nn.parameters import initial_params

CHEAP = {"xla_backend_optimization_level": 0}


def cheap_jit(function: Callable, **options: Any) -> Callable:
    """For programs that only check numbers: less time in the compiler. What users run is compiled as users do."""
    return jax.jit(function, compiler_options=CHEAP, **options)


SCALES = {160: (2, 2), 200: (2, 2), 256: (2, 2), 512: (4, 2)}


def shrink(config: WaveNetConfig) -> WaveNetConfig:
    """The same kind of network with few narrow layers, a short hop and few channels of conditioning."""
    changes: dict[str, object] = {
        "dilations": (1, 2, 3),
        "residual_channels": 6,
        "gate_channels": 5,
        "skip_channels": 7,
        "tail_channels": tuple(8 for _ in config.tail_channels),
        "input_kernel_size": min(config.input_kernel_size, 3),
    }
    if isinstance(config.distribution, CoarseFine):
        changes["distribution"] = CoarseFine(coarse=4, fine=4)
        changes["coding"] = dataclasses.replace(config.coding, num_classes=16)
    elif isinstance(config.distribution, Categorical):
        changes["distribution"] = Categorical(num_classes=16)
        changes["coding"] = dataclasses.replace(config.coding, num_classes=16)
    if config.frame_network is not None and config.upsampler is not None:
        network, up = config.frame_network, config.upsampler
        scales = SCALES[up.hop_length]
        hop = int(np.prod(scales))
        changes["frame_network"] = dataclasses.replace(
            network,
            input_channels=3,
            channels=3 if network.channels == 80 else 4,
            num_blocks=min(network.num_blocks, 1),
        )
        changes["upsampler"] = dataclasses.replace(
            up,
            hop_length=hop,
            frame_centre=up.frame_centre * hop // up.hop_length,
            scales=scales if up.scales else (),
            kernel_size=up.kernel_size * hop // up.hop_length,
        )
    return dataclasses.replace(config, **changes)


def with_speakers(config: WaveNetConfig) -> WaveNetConfig:
    return dataclasses.replace(config, num_speakers=3, global_channels=2, global_bias=True)


CONFIGS = {name: shrink(config) for name, config in PRESETS.items()}
CONFIGS["r9y9-mol+speakers"] = with_speakers(CONFIGS["r9y9-mol"])
CONFIGS["speech-16k+speakers"] = with_speakers(CONFIGS["speech-16k"])
CONFIGS["ibab+speakers"] = with_speakers(CONFIGS["ibab"])
CONFIGS["linear-centre"] = dataclasses.replace(
    CONFIGS["speech-16k-small"], upsampler=dataclasses.replace(CONFIGS["speech-16k-small"].upsampler, frame_centre=0)
)
CONFIGS["unconditional-mu-law-scalar"] = WaveNetConfig(
    dilations=(1, 2, 5),
    kernel_size=3,
    residual_channels=5,
    gate_channels=4,
    skip_channels=6,
    tail_channels=(7, 6),
    input_kind="scalar",
    coding=SampleCoding(num_classes=12),
    distribution=Categorical(num_classes=12),
)


@functools.cache
def make(name: str, seed: int = 0) -> tuple[WaveNet, dict]:
    """A shrunk model and parameters large enough that every part matters."""
    model = WaveNet(CONFIGS[name], precision="highest")
    return model, draw_params(model, seed)


def draw_params(model: WaveNet, seed: int = 0) -> dict:
    """Parameters of `model` from numpy: nothing to compile, and no bias or length keeps its initial zero or one."""
    rng = np.random.default_rng(seed)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = "/".join(key.key for key in path)
        mean, scale = 0.0, 0.5
        if name.endswith("_g"):
            mean, scale = 1.0, 0.3
        elif "stage_" in name:  # shared by all channels: a negative one would leave a ReLU nothing to pass on
            mean, scale = 0.4, 0.2
        elif name == "input_kernel":
            scale = 1.0
        elif name.endswith("bias") or name.startswith(f"tail_{len(model.config.tail_channels)}"):
            scale = 0.3
        return jnp.asarray(rng.normal(mean, scale, leaf.shape), leaf.dtype)

    shapes = jax.eval_shape(lambda: initial_params(model, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(draw, shapes)


def inputs(model: WaveNet, batch: int, num_frames: int, seed: int = 2) -> dict[str, np.ndarray]:
    """Conditioning arguments of `generate` for `model`."""
    rng = np.random.default_rng(seed)
    out: dict[str, np.ndarray] = {}
    if model.hop_length is not None:
        shape = (batch, num_frames, model.local_channels)
        # Between 0 and 1 where a ReLU reads them (as the features of that model are), else about log-mel values.
        positive = model.config.upsampler.kind == "transposed_2d"
        frames = rng.uniform(0, 1, shape) if positive else rng.normal(-5, 2, shape)
        out["local_conditioning"] = frames.astype(np.float32)
    if model.num_speakers:
        out["global_conditioning"] = rng.integers(0, model.num_speakers, batch).astype(np.int32)
    return out


def parallel_outputs(model: WaveNet, params: dict, values: np.ndarray | jax.Array, conditioning: dict) -> jax.Array:
    """Outputs for all values of a whole recording, through the parallel form with the true start's silence."""
    frames = conditioning["local_conditioning"] if model.hop_length is not None else None
    return teacher_forced(model, params, jnp.asarray(values), frames, conditioning.get("global_conditioning"))
