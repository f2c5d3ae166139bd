"""WaveRNN presets made small enough for tests, every option kept."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from tests.tiny import models as shrunk
from wavejax.audio.companding import SampleCoding
from wavejax.distributions import Categorical, CoarseFine
from wavejax.models.wavernn import PairConfig, WaveRNN, WaveRNNConfig
from wavejax.models.wavernn_presets import PRESETS
from wavejax.nn import UpsamplerConfig
from wavejax.nn.parameters import initial_params
from wavejax.tasks.families import preset
from wavejax.tasks.vocoder.wavernn import WaveRNNVocoderConfig


def shrink(config: WaveRNNConfig) -> WaveRNNConfig:
    """The same kind of network with narrow layers, few classes, a hop of 4 samples and few channels of conditioning."""
    changes: dict[str, object] = {"receptive_field": min(config.receptive_field, 7)}
    if isinstance(config.distribution, CoarseFine | Categorical):
        flat = isinstance(config.distribution, Categorical)
        changes["distribution"] = Categorical(num_classes=16) if flat else CoarseFine(coarse=4, fine=4)
        changes["coding"] = dataclasses.replace(config.coding, num_classes=16)
    network = config.network
    if isinstance(network, PairConfig):
        frames = dataclasses.replace(network.frame_network, input_channels=3, channels=4, num_blocks=1)
        upsampler = dataclasses.replace(network.upsampler, hop_length=4, frame_centre=2)
        widths = {"hidden_channels": 6, "embedding_channels": 3, "head_channels": 5}
        changes["network"] = dataclasses.replace(network, frame_network=frames, upsampler=upsampler, **widths)
    else:
        widths = {"hidden_channels": 6, "fc_channels": 5, "resnet_channels": 4, "auxiliary_channels": 8}
        changes["network"] = dataclasses.replace(network, local_channels=3, scales=(2, 2), resnet_blocks=1, **widths)
    return dataclasses.replace(config, **changes)


CONFIGS = {name: shrink(config) for name, config in PRESETS.items()}
CONFIGS["wavernn-16k+speakers"] = dataclasses.replace(CONFIGS["wavernn-16k"], num_speakers=3, global_channels=2)
CONFIGS["wavernn-16k+even-start"] = dataclasses.replace(
    CONFIGS["wavernn-16k"], receptive_field=8, coding=SampleCoding(kind="linear", num_classes=16)
)
CONFIGS["wavernn-16k+repeat"] = dataclasses.replace(
    CONFIGS["wavernn-16k-lstm"],
    network=dataclasses.replace(
        CONFIGS["wavernn-16k-lstm"].network,
        upsampler=UpsamplerConfig(kind="repeat", hop_length=6, frame_centre=0),
    ),
)


@functools.cache
def make(name: str, seed: int = 0) -> tuple[WaveRNN, dict]:
    """A shrunk model and parameters large enough that every part matters."""
    model = CONFIGS[name].build(precision="highest")
    return model, draw_params(model, seed)


def draw_params(model: WaveRNN, seed: int = 0) -> dict:
    """Parameters of `model` from numpy: nothing to compile, and none keeps its initial zero or one."""
    rng = np.random.default_rng(seed)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = path[-1].key
        if name in ("scale", "variance"):
            return jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape), leaf.dtype)
        if "stage_" in name:  # shared by all channels
            return jnp.asarray(rng.normal(0.4, 0.2, leaf.shape), leaf.dtype)
        # The output's map is small enough that draws of a mixture stay within [-1, 1].
        scale = 0.2 if name == "fc_3_kernel" else 0.3 if name.endswith("bias") else 0.5
        return jnp.asarray(rng.normal(0, scale, leaf.shape), leaf.dtype)

    shapes = jax.eval_shape(lambda: initial_params(model, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(draw, shapes)


def tiny_wavernn(name: str = "wavernn-16k") -> WaveRNNVocoderConfig:
    """The experiment around a preset, its layers narrow; the features are its own."""
    config = preset(name)
    network = config.model.network
    if isinstance(network, PairConfig):
        frames = dataclasses.replace(network.frame_network, channels=4, num_blocks=1)
        widths = {"hidden_channels": 8, "embedding_channels": 4, "head_channels": 6}
        network = dataclasses.replace(network, frame_network=frames, **widths)
    else:
        widths = {"hidden_channels": 6, "fc_channels": 5, "resnet_channels": 4, "auxiliary_channels": 8}
        network = dataclasses.replace(network, resnet_blocks=1, **widths)
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, network=network),
        data=dataclasses.replace(config.data, crop_length=2 * config.spec.hop_length),
    )


def inputs(model: WaveRNN, batch: int, num_frames: int, seed: int = 2) -> dict[str, np.ndarray]:
    """Conditioning arguments of `generate` for `model`; features of the published networks lie about 0 to 1."""
    out = shrunk.inputs(model, batch, num_frames, seed)
    if not isinstance(model.config.network, PairConfig):
        out["local_conditioning"] = (out["local_conditioning"] + 9) / 8
    return out
