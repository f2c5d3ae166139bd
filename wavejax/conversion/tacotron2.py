"""Tacotron 2 under NVIDIA/tacotron2's names (also of NVIDIA's DeepLearningExamples), and under torchaudio's.

Both are the same network; NVIDIA's layers stand one module deeper (`.conv`, `.linear_layer`). Which symbols the classes
are does not stand in the file: it is told by their number, 148, 38 or 96. Neither do the features, which are taken for
NVIDIA's; of torchaudio's bundles those named GRIFFINLIM make them, and those named WAVERNN others.
"""

import re
from collections.abc import Iterator
from typing import Any

from wavejax.audio import get_spec
from wavejax.conversion.plan import LARGEST_WIDTH, MOST_BLOCKS, Plan, Shapes
from wavejax.conversion.rules import Ignored, Rule, moved
from wavejax.conversion.source import RefusedFile
from wavejax.models.tacotron2 import PRESETS, Tacotron2Config
from wavejax.text.published import NVIDIA, PUBLISHED, TORCHAUDIO_PHONEMES

_SWAP, _TURN = (2, 1, 0), (1, 0)
"""A convolution's [out, in, taps] -> [taps, in, out]; a linear map's [out, in] -> [in, out]."""
_MARKS = (
    "embedding.weight",
    "encoder.lstm.weight_ih_l0_reverse",
    "decoder.attention_rnn.weight_ih",
    "decoder.decoder_rnn.weight_ih",
    "postnet.convolutions.0.1.running_mean",
)


def recognises(shapes: Shapes) -> bool:
    """Whether these are names of such a network."""
    return all(name in shapes for name in _MARKS)


def plan(shapes: Shapes) -> Plan:
    """The network that these tensors belong to, and its table. Raises RefusedFile: its symbols are not known."""
    nested = "decoder.gate_layer.linear_layer.weight" in shapes
    config = _config(shapes, nested)
    project = (
        "NVIDIA/tacotron2" if nested else "torchaudio's Tacotron2 (taken for a GRIFFINLIM bundle, by its features)"
    )
    text = PUBLISHED[config.num_classes]
    published = config == PRESETS["tacotron2"]
    sizes = "" if published else f" with {config.num_classes} symbols, {config.size}"
    return Plan(
        family="tacotron",
        name="tacotron2",
        title=f"the network of {project}{sizes}",
        model=config,
        spec=config.spec,
        rules=tuple(_rules(config, nested)),
        ignored=(Ignored("*.num_batches_tracked", "a count of training steps"),),
        settings={
            "text": text,
            "reads": "phonemes" if text == TORCHAUDIO_PHONEMES else "letters",
            "leading_space": False,
        },
    )


def _config(shapes: Shapes, nested: bool) -> Tacotron2Config:
    """The sizes, which the tensors tell."""
    spec = get_spec("tacotron2")
    conv, linear = (".conv", ".linear_layer") if nested else ("", "")

    def of(module: str, axes: int) -> tuple[int, ...]:
        shape = shapes.get(f"{module}.weight", ())
        if len(shape) != axes:
            raise RefusedFile(f"it holds a Tacotron 2 whose {module}.weight has the shape {shape}: it is not complete")
        return shape

    classes, wide = of("embedding", 2)
    if classes not in PUBLISHED:
        raise RefusedFile(
            f"it holds a Tacotron 2 for {classes} symbols, and which they are is not in the file; known are "
            f"{NVIDIA.num_classes} (NVIDIA), and 38 and 96 (torchaudio's characters and phonemes)"
        )
    projection = of(f"decoder.linear_projection{linear}", 2)
    if projection[0] % spec.n_mels or not projection[0]:
        raise RefusedFile(
            f"it holds a Tacotron 2 that makes {projection[0]} values a step, expected a multiple of {spec.n_mels}, "
            "the mel bands of NVIDIA's features"
        )
    location = of(f"decoder.attention_layer.location_layer.location_conv{conv}", 3)
    layers = [_count(shapes, part) for part in ("encoder", "postnet")]
    widths: dict[str, Any] = {
        "encoder_channels": wide,
        "prenet_channels": of(f"decoder.prenet.layers.0{linear}", 2)[0],
        "attention_units": shapes["decoder.attention_rnn.weight_ih"][0] // 4,
        "decoder_units": shapes["decoder.decoder_rnn.weight_ih"][0] // 4,
        "attention_channels": of(f"decoder.attention_layer.query_layer{linear}", 2)[0],
        "location_filters": location[0],
        "postnet_channels": of(f"postnet.convolutions.0.0{conv}", 3)[0],
    }
    if max(*widths.values(), projection[0]) > LARGEST_WIDTH or max(layers) > MOST_BLOCKS:
        raise RefusedFile(
            f"it holds a Tacotron 2 of up to {max(widths.values())} units and {max(layers)} convolutions; at most "
            f"{LARGEST_WIDTH} and {MOST_BLOCKS} are converted"
        )
    return Tacotron2Config(
        num_classes=classes,
        num_encoder_layers=layers[0],
        kernel_size=of(f"encoder.convolutions.0.0{conv}", 3)[2],
        location_kernel_size=location[2],
        num_postnet_layers=layers[1],
        frames_per_step=projection[0] // spec.n_mels,
        **widths,
    )


def _count(shapes: Shapes, part: str) -> int:
    """Convolutions of the encoder or of the postnet."""
    pattern = re.compile(rf"{part}\.convolutions\.(\d{{1,4}})\.")
    return 1 + max(int(match[1]) for name in shapes if (match := pattern.match(name)))


def _rules(config: Tacotron2Config, nested: bool) -> Iterator[Rule]:
    conv, linear = (".conv", ".linear_layer") if nested else ("", "")
    yield moved("encoder/embedding", "embedding.weight")
    for ours, theirs, count in (
        ("encoder/convolutions", "encoder", config.num_encoder_layers),
        ("postnet", "postnet", config.num_postnet_layers),
    ):
        for index in range(count):
            layer, norm = (f"{theirs}.convolutions.{index}.{number}" for number in range(2))
            yield moved(f"{ours}/kernel_{index}", f"{layer}{conv}.weight", _SWAP)
            yield moved(f"{ours}/bias_{index}", f"{layer}{conv}.bias")
            for own, name in (
                ("scale", "weight"),
                ("bias", "bias"),
                ("mean", "running_mean"),
                ("variance", "running_var"),
            ):
                yield moved(f"{ours}/norm_{index}/{own}", f"{norm}.{name}")
    for ours, ending in (("forward", "_l0"), ("backward", "_l0_reverse")):
        yield from _lstm(f"encoder/{ours}", "encoder.lstm", ending)
    yield from _lstm("decoder/attention_lstm", "decoder.attention_rnn", "")
    yield from _lstm("decoder/decoder_lstm", "decoder.decoder_rnn", "")
    attention = "decoder.attention_layer"
    location = f"{attention}.location_layer"
    for ours, theirs in (
        ("prenet_kernel_0", f"decoder.prenet.layers.0{linear}"),
        ("prenet_kernel_1", f"decoder.prenet.layers.1{linear}"),
        ("query_kernel", f"{attention}.query_layer{linear}"),
        ("key_kernel", f"{attention}.memory_layer{linear}"),
        ("score_kernel", f"{attention}.v{linear}"),
        ("place_kernel", f"{location}.location_dense{linear}"),
        ("mel_kernel", f"decoder.linear_projection{linear}"),
        ("gate_kernel", f"decoder.gate_layer{linear}"),
    ):
        yield moved(f"decoder/{ours}", f"{theirs}.weight", _TURN)
    yield moved("decoder/location_kernel", f"{location}.location_conv{conv}.weight", _SWAP)
    yield moved("decoder/mel_bias", f"decoder.linear_projection{linear}.bias")
    yield moved("decoder/gate_bias", f"decoder.gate_layer{linear}.bias")


def _lstm(ours: str, theirs: str, ending: str) -> Iterator[Rule]:
    """PyTorch's gates have our order."""
    for own, name in (("input", "ih"), ("recurrent", "hh")):
        yield moved(f"{ours}/{own}_kernel", f"{theirs}.weight_{name}{ending}", _TURN)
        yield moved(f"{ours}/{own}_bias", f"{theirs}.bias_{name}{ending}")
