"""Random weights of public networks, in the names and layouts of their PyTorch code, at any width."""

import numpy as np

from wavejax.audio.filterbanks import hann_window, mel_filterbank
from wavejax.models.hifi_gan import PRESETS

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
