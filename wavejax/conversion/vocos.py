"""Vocos of gemelo-ai (formerly charactr): charactr/vocos-mel-24khz and networks of other widths on its features."""

import re
from collections.abc import Iterator

import numpy as np

from wavejax.audio import get_spec
from wavejax.audio.filterbanks import hann_window, mel_filterbank
from wavejax.conversion.plan import LARGEST_WIDTH, MOST_BLOCKS, Plan, Shapes
from wavejax.conversion.rules import Ignored, Rule, moved
from wavejax.conversion.source import RefusedFile
from wavejax.models.vocos import VocosConfig
from wavejax.models.vocos_presets import get_preset


def recognises(shapes: Shapes) -> bool:
    """Whether these are names of such a network."""
    return {"backbone.embed.weight", "backbone.convnext.0.dwconv.weight", "head.out.weight"} <= set(shapes)


def plan(shapes: Shapes) -> Plan:
    """The network that these tensors belong to, and its table. Raises RefusedFile: its features are not known."""
    embed, head = shapes["backbone.embed.weight"], shapes["head.out.weight"]
    expand = shapes.get("backbone.convnext.0.pwconv1.weight", ())
    if len(embed) != 3 or len(head) != 2 or len(expand) != 2:
        raise RefusedFile("it holds a Vocos whose layers have no possible shapes: it is damaged or another network")
    if "backbone.norm.scale.weight" in shapes:
        raise RefusedFile("it holds a Vocos that reads EnCodec's tokens; only those that read a mel are converted")
    spec = get_spec("vocos-24k")
    if (embed[1], head[0]) != (spec.n_mels, spec.n_fft + 2):
        raise RefusedFile(
            f"it holds a Vocos for {embed[1]} mel bands and {head[0] - 2} samples a frame, whose features are not in "
            f"the file; known are those of charactr/vocos-mel-24khz, {spec.n_mels} and {spec.n_fft}"
        )
    blocks = {int(match[1]) for name in shapes if (match := re.match(r"backbone\.convnext\.(\d{1,4})\.", name))}
    if (
        blocks != set(range(len(blocks)))
        or not 1 <= len(blocks) <= MOST_BLOCKS
        or max(embed[0], *expand) > LARGEST_WIDTH
    ):
        raise RefusedFile(
            f"it holds a Vocos of {len(blocks)} blocks, the last one number {max(blocks)}, and {embed[0]} channels; at "
            f"most {MOST_BLOCKS} blocks, without gaps, and {LARGEST_WIDTH} channels are converted"
        )
    config = VocosConfig(channels=embed[0], hidden_channels=expand[0], num_blocks=len(blocks))
    published = config == get_preset("vocos-24k")
    size = "" if published else f" with {config.num_blocks} blocks of {config.channels} channels"
    return Plan(
        family="published-vocos",
        name="vocos-24k",
        title=f"charactr/vocos-mel-24khz{size}",
        model=config,
        spec=spec,
        rules=tuple(_rules(config)),
        ignored=_ignored(),
    )


def _rules(config: VocosConfig) -> Iterator[Rule]:
    yield moved("backbone/embedding_kernel", "backbone.embed.weight", (2, 1, 0))
    yield moved("backbone/embedding_bias", "backbone.embed.bias")
    for ours, theirs in (("input_norm", "norm"), ("output_norm", "final_layer_norm")):
        yield moved(f"backbone/{ours}_scale", f"backbone.{theirs}.weight")
        yield moved(f"backbone/{ours}_bias", f"backbone.{theirs}.bias")
    for index in range(config.num_blocks):
        ours, theirs = f"backbone/block_{index}", f"backbone.convnext.{index}"
        yield Rule((f"{ours}/depthwise_kernel",), (f"{theirs}.dwconv.weight",), _depthwise)
        yield moved(f"{ours}/depthwise_bias", f"{theirs}.dwconv.bias")
        yield moved(f"{ours}/norm_scale", f"{theirs}.norm.weight")
        yield moved(f"{ours}/norm_bias", f"{theirs}.norm.bias")
        for layer, name in (("expand", "pwconv1"), ("contract", "pwconv2")):
            yield moved(f"{ours}/{layer}_kernel", f"{theirs}.{name}.weight", (1, 0))
            yield moved(f"{ours}/{layer}_bias", f"{theirs}.{name}.bias")
        yield moved(f"{ours}/gamma", f"{theirs}.gamma")
    yield moved("head/kernel", "head.out.weight", (1, 0))
    yield moved("head/bias", "head.out.bias")


def _depthwise(array: np.ndarray) -> list[np.ndarray]:
    """[channels, 1, taps] -> [taps, channels]."""
    if array.ndim != 3 or array.shape[1] != 1:
        raise ValueError(f"a depthwise convolution of shape {array.shape}, expected [channels, 1, taps]")
    return [array[:, 0].T]


def _ignored() -> tuple[Ignored, ...]:
    """The source's own features and windows are constants; they have to be those of our spec."""
    spec = get_spec("vocos-24k")
    window = hann_window(spec.n_fft)
    bands = mel_filterbank(
        spec.sample_rate, spec.n_fft, spec.n_mels, spec.f_min, spec.f_max, spec.mel_scale, spec.mel_norm
    )
    ours = "the model computes it itself"
    training = "a part of the training, not of the voice"
    return (
        Ignored("feature_extractor.mel_spec.mel_scale.fb", "the mel filterbank, compared with the spec's", bands),
        Ignored("feature_extractor.mel_spec.spectrogram.window", "the window, compared with the spec's", window),
        Ignored("head.istft.window", f"the window of the inverse transform; {ours}", window),
        Ignored("multiperioddisc.*", training),
        Ignored("multiresddisc.*", training),
        Ignored("disc_loss.*", training),
        Ignored("gen_loss.*", training),
        Ignored("feat_matching_loss.*", training),
        Ignored("melspec_loss.*", training),
    )
