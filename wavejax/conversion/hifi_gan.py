"""Generators of jik876/hifi-gan (V1, V2, V3 and other widths), normalised or folded.

The weights say how many channels and taps there are, but not the rates and dilations, which stand in a config.json: a
generator is taken for the published one of the same taps, whose rates and dilations these are.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping

from wavejax.audio import get_spec
from wavejax.conversion.plan import LARGEST_WIDTH, Plan, Shapes
from wavejax.conversion.rules import Rule, moved, weight
from wavejax.conversion.source import RefusedFile
from wavejax.models.hifi_gan import PRESETS, HiFiGANConfig

_SWAP = (2, 1, 0)
"""A convolution's [out, in, taps] -> [taps, in, out], and a transposed one's [in, out, taps] -> [taps, out, in]."""


def recognises(shapes: Shapes) -> bool:
    """Whether these are names of such a generator."""
    parts = ("conv_pre.", "ups.0.", "resblocks.0.", "conv_post.")
    return all(any(name.startswith(part) for name in shapes) for part in parts)


def plan(shapes: Shapes) -> Plan:
    """The generator that these tensors belong to, and its table. Raises RefusedFile: it is not a published one."""
    spec = get_spec("hifi-gan")
    channels, inputs, _ = _weight(shapes, "conv_pre")
    preset, published = _published(shapes, channels)
    if inputs != spec.n_mels or not 1 <= channels <= LARGEST_WIDTH:
        raise RefusedFile(
            f"it holds a HiFi-GAN generator of {channels} channels for {inputs} mel bands; known are those for the "
            f"{spec.n_mels} bands of jik876/hifi-gan, of at most {LARGEST_WIDTH} channels"
        )
    config = dataclasses.replace(published, initial_channels=channels).folded
    is_published = config == published.folded
    name = preset if is_published else f"{preset} with {channels} channels"
    return Plan(
        family="hifi-gan",
        name=preset,
        title=f"generator {name} of jik876/hifi-gan",
        model=config,
        spec=spec,
        rules=tuple(_rules(config, shapes)),
        ignored=(),
    )


def _published(shapes: Shapes, channels: int) -> tuple[str, HiFiGANConfig]:
    """The preset of the same kind of blocks with the same taps; of several, the one that is as wide."""
    rate_kernels = tuple(_weight(shapes, f"ups.{index}")[2] for index in _indices(shapes, r"ups\.(\d+)\."))
    pairs = any(name.startswith("resblocks.0.convs1.") for name in shapes)
    first = "convs1.0" if pairs else "convs.0"
    blocks = _indices(shapes, r"resblocks\.(\d+)\.")
    kernels = tuple(_weight(shapes, f"resblocks.{index}.{first}")[2] for index in blocks)
    kernels = kernels[: max(1, len(kernels) // max(1, len(rate_kernels)))]
    found = ("pairs" if pairs else "single", rate_kernels, kernels)
    alike = [item for item in PRESETS.items() if (item[1].block, item[1].rate_kernels, item[1].kernels) == found]
    if alike:
        return next((item for item in alike if item[1].initial_channels == channels), alike[0])
    known = "; ".join(f"{name}: {c.block}, {c.rate_kernels}, {c.kernels}" for name, c in PRESETS.items())
    raise RefusedFile(
        "it holds a HiFi-GAN generator whose rates and dilations are not in the file: blocks, taps of the stages and "
        f"taps of the blocks are {found[0]}, {found[1]}, {found[2]}; known are {known}"
    )


def _indices(shapes: Shapes, pattern: str) -> list[int]:
    found = {int(match[1]) for name in shapes if (match := re.match(pattern, name)) and len(match[1]) < 5}
    return sorted(found)


def _weight(shapes: Shapes, module: str) -> tuple[int, int, int]:
    for name in ("weight", "weight_v", "parametrizations.weight.original1"):
        shape = shapes.get(f"{module}.{name}", ())
        if len(shape) == 3:
            return shape[0], shape[1], shape[2]
    raise RefusedFile(f"it holds a HiFi-GAN generator without the weight of {module}: it is not complete")


def _rules(config: HiFiGANConfig, names: Mapping[str, object]) -> Iterator[Rule]:
    for ours, theirs in layers(config).items():
        yield weight(f"{ours}_kernel", theirs, names, _SWAP)
        yield moved(f"{ours}_bias", f"{theirs}.bias")


def layers(config: HiFiGANConfig) -> dict[str, str]:
    """Our name of each layer -> theirs."""
    found = {"input": "conv_pre", "output": "conv_post"}
    blocks = len(config.kernels)
    for stage in range(len(config.rates)):
        found[f"stage_{stage}_up"] = f"ups.{stage}"
        for block, dilations in enumerate(config.dilations):
            ours, theirs = f"stage_{stage}_block_{block}", f"resblocks.{stage * blocks + block}"
            for layer in range(len(dilations)):
                if config.block == "single":
                    found[f"{ours}_dilated_{layer}"] = f"{theirs}.convs.{layer}"
                else:
                    found[f"{ours}_dilated_{layer}"] = f"{theirs}.convs1.{layer}"
                    found[f"{ours}_plain_{layer}"] = f"{theirs}.convs2.{layer}"
    return found
