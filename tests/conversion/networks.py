"""Random weights of public networks, in the names and layouts of their PyTorch code, at any width."""

import itertools

import numpy as np

from wavejax.audio.filterbanks import hann_window, mel_filterbank
from wavejax.models.hifi_gan import PRESETS
from wavejax.models.tacotron2 import Tacotron2Config

FORMS = ("weight_norm", "parametrizations", "folded")


def hifi_gan(name: str, channels: int, form: str = "weight_norm", seed: int = 0) -> dict[str, np.ndarray]:
    """A generator of jik876/hifi-gan with another number of channels."""
    config, random = PRESETS[name], np.random.default_rng(seed)
    state: dict[str, np.ndarray] = {}

    def layer(module: str, *shape: int, outputs: int) -> None:
        v = random.normal(0, 1, shape)
        g = random.uniform(0.3, 1.5, (shape[0], 1, 1))
        state[f"{module}.bias"] = random.normal(0, 0.1, outputs).astype(np.float32)
        if form == "folded":
            lengths = np.array([np.linalg.norm(row) for row in v]).reshape(-1, 1, 1)
            state[f"{module}.weight"] = (g * v / lengths).astype(np.float32)
        else:
            names = ("weight_g", "weight_v")
            if form == "parametrizations":
                names = ("parametrizations.weight.original0", "parametrizations.weight.original1")
            state[f"{module}.{names[0]}"], state[f"{module}.{names[1]}"] = g.astype(np.float32), v.astype(np.float32)

    layer("conv_pre", channels, 80, 7, outputs=channels)
    for stage, taps in enumerate(config.rate_kernels):
        width = channels // 2 ** (stage + 1)
        layer(f"ups.{stage}", 2 * width, width, taps, outputs=width)
        for block, (size, dilations) in enumerate(zip(config.kernels, config.dilations, strict=True)):
            for kind in ("convs1", "convs2") if config.block == "pairs" else ("convs",):
                for index in range(len(dilations)):
                    module = f"resblocks.{stage * len(config.kernels) + block}.{kind}.{index}"
                    layer(module, width, width, size, outputs=width)
    layer("conv_post", 1, width, 7, outputs=1)
    return state


def vocos(channels: int, hidden: int, blocks: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A network like charactr/vocos-mel-24khz, with the constants that its file has beside the weights."""
    random = np.random.default_rng(seed)

    def draw(*shape: int, mean: float = 0.0, scale: float = 0.1) -> np.ndarray:
        return random.normal(mean, scale, shape).astype(np.float32)

    window = hann_window(1024).astype(np.float32)
    state = {
        "feature_extractor.mel_spec.spectrogram.window": window,
        "feature_extractor.mel_spec.mel_scale.fb": mel_filterbank(24000, 1024, 100, 0.0, None, "htk", "none"),
        "backbone.embed.weight": draw(channels, 100, 7),
        "backbone.embed.bias": draw(channels),
    }
    norms = ["backbone.norm", "backbone.final_layer_norm"]
    for index in range(blocks):
        name = f"backbone.convnext.{index}"
        norms.append(f"{name}.norm")
        state |= {
            f"{name}.gamma": draw(channels, mean=0.5),
            f"{name}.dwconv.weight": draw(channels, 1, 7, scale=0.5),
            f"{name}.dwconv.bias": draw(channels),
            f"{name}.pwconv1.weight": draw(hidden, channels, scale=0.4),
            f"{name}.pwconv1.bias": draw(hidden),
            f"{name}.pwconv2.weight": draw(channels, hidden, scale=0.4),
            f"{name}.pwconv2.bias": draw(channels),
        }
    for name in norms:
        state |= {f"{name}.weight": draw(channels, mean=1.0), f"{name}.bias": draw(channels)}
    state |= {"head.out.weight": draw(1026, channels, scale=0.3), "head.out.bias": draw(1026)}
    return state | {"head.istft.window": window}


SMALL_TACOTRON2 = {
    "encoder_channels": 16,
    "num_encoder_layers": 2,
    "prenet_channels": 6,
    "attention_units": 10,
    "decoder_units": 9,
    "attention_channels": 7,
    "location_filters": 4,
    "location_kernel_size": 5,
    "postnet_channels": 8,
    "num_postnet_layers": 3,
}


def tacotron2(config: Tacotron2Config, nested: bool = True, seed: int = 0) -> dict[str, np.ndarray]:
    """A Tacotron 2 under NVIDIA's names, or (not nested) under torchaudio's, loud enough that every part matters."""
    random = np.random.default_rng(seed)
    conv, linear = (".conv", ".linear_layer") if nested else ("", "")
    state: dict[str, np.ndarray] = {}

    def draw(name: str, *shape: int, mean: float = 0.0, scale: float | None = None) -> None:
        deviation = np.prod(shape[1:]) ** -0.5 if scale is None else scale
        state[name] = random.normal(mean, deviation, shape).astype(np.float32)

    def lstm(module: str, inputs: int, units: int, ending: str = "") -> None:
        for name, size in (("ih", inputs), ("hh", units)):
            draw(f"{module}.weight_{name}{ending}", 4 * units, size)
            draw(f"{module}.bias_{name}{ending}", 4 * units, scale=0.2)

    wide, bands = config.encoder_channels, config.spec.num_channels
    frame, within = bands * config.frames_per_step, config.attention_channels
    inner = (config.postnet_channels,) * (config.num_postnet_layers - 1)
    stacks = {"encoder": (wide,) * (config.num_encoder_layers + 1), "postnet": (bands, *inner, bands)}
    draw("embedding.weight", config.num_classes, wide, scale=1.0)
    for part, widths in stacks.items():
        for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            layer, norm = (f"{part}.convolutions.{index}.{number}" for number in range(2))
            draw(f"{layer}{conv}.weight", outputs, inputs, config.kernel_size)
            draw(f"{layer}{conv}.bias", outputs, scale=0.2)
            draw(f"{norm}.weight", outputs, mean=1.0, scale=0.2)
            for name in ("bias", "running_mean"):
                draw(f"{norm}.{name}", outputs, scale=0.2)
            state[f"{norm}.running_var"] = random.uniform(0.5, 1.5, outputs).astype(np.float32)
            state[f"{norm}.num_batches_tracked"] = np.asarray(7, np.int64)
    for ending in ("_l0", "_l0_reverse"):
        lstm("encoder.lstm", wide, wide // 2, ending)
    draw(f"decoder.prenet.layers.0{linear}.weight", config.prenet_channels, frame)
    draw(f"decoder.prenet.layers.1{linear}.weight", config.prenet_channels, config.prenet_channels)
    lstm("decoder.attention_rnn", config.prenet_channels + wide, config.attention_units)
    lstm("decoder.decoder_rnn", config.attention_units + wide, config.decoder_units)
    attention = "decoder.attention_layer"
    draw(f"{attention}.query_layer{linear}.weight", within, config.attention_units)
    draw(f"{attention}.memory_layer{linear}.weight", within, wide)
    draw(f"{attention}.v{linear}.weight", 1, within, scale=1.0)
    location = f"{attention}.location_layer"
    draw(f"{location}.location_conv{conv}.weight", config.location_filters, 2, config.location_kernel_size)
    draw(f"{location}.location_dense{linear}.weight", within, config.location_filters)
    for name, outputs in (("linear_projection", frame), ("gate_layer", 1)):
        draw(f"decoder.{name}{linear}.weight", outputs, config.decoder_units + wide)
        draw(f"decoder.{name}{linear}.bias", outputs, scale=0.2)
    return state
