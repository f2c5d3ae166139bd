"""WaveNet presets: the standard configurations of the field, by their projects' own files, and ours."""

import dataclasses
from typing import Any

from wavejax.audio.companding import SampleCoding
from wavejax.distributions import Categorical, CoarseFine, GaussianMixture, LogisticMixture
from wavejax.models.wavenet import WaveNetConfig
from wavejax.nn import FrameNetworkConfig, UpsamplerConfig


def powers(stacks: int, layers: int) -> tuple[int, ...]:
    """Dilations 1, 2, 4, ... repeated: `powers(3, 10)` is the 30-layer original."""
    return tuple(2**layer for _ in range(stacks) for layer in range(layers))


_SPEECH_16K = UpsamplerConfig(kind="linear", hop_length=200, frame_centre=100)


_TEN_BITS: dict[str, Any] = {
    "coding": SampleCoding(kind="mu_law", num_classes=1024, pre_emphasis=0.85),
    "distribution": CoarseFine(coarse=32, fine=32),
}


def _voice(**changes: Any) -> WaveNetConfig:
    base = WaveNetConfig(
        dilations=powers(2, 8),
        residual_channels=48,
        gate_channels=48,
        skip_channels=96,
        tail_channels=(128,),
        input_kind="embedding",
        input_bias=False,
        coding=SampleCoding(kind="mu_law", num_classes=256, pre_emphasis=0.85),
        frame_network=FrameNetworkConfig(
            input_kernel_size=3, channels=192, num_blocks=4, dropout=0.1, input_offset=-6.0, input_scale=0.4
        ),
        upsampler=_SPEECH_16K,
    )
    return dataclasses.replace(base, **changes)


def _r9y9(**changes: Any) -> WaveNetConfig:
    base = WaveNetConfig(
        dilations=powers(4, 6),
        kernel_size=3,
        residual_channels=128,
        gate_channels=128,
        skip_channels=128,
        tail_channels=(128,),
        input_kind="scalar",
        coding=SampleCoding(kind="continuous", num_classes=65536, pre_emphasis=0.85, gain=0.55),
        distribution=LogisticMixture(num_mixtures=10, num_classes=65536, log_scale_min=-16.0),
        frame_network=FrameNetworkConfig(input_kernel_size=5, channels=80, bias=False),
        upsampler=UpsamplerConfig(
            kind="stretch", hop_length=256, frame_centre=0, scales=(4, 4, 4, 4), weight_normalization=True
        ),
        residual_scale="sqrt_half",
        skip_scale="sqrt_layers",
        weight_normalization=True,
    )
    return dataclasses.replace(base, **changes)


_R9Y9_CLASSES = SampleCoding(kind="mu_law", num_classes=256, pre_emphasis=0.85, gain=0.55, convention="r9y9")
_CLASSES = SampleCoding(kind="mu_law", num_classes=256)

_NV_WAVENET = WaveNetConfig(
    dilations=powers(2, 8),
    tail_bias=False,
    input_kind="embedding",
    input_bias=False,
    coding=_CLASSES,
    frame_network=FrameNetworkConfig(),
    upsampler=UpsamplerConfig(kind="transposed", hop_length=200, frame_centre=100, kernel_size=800),
    local_bias=True,
    last_residual=False,
)

PRESETS: dict[str, WaveNetConfig] = {
    # The voice of the demo: small enough to train on two CPU cores, mel-conditioned, 16 kHz.
    "speech-16k-small": _voice(),
    # The same with two-level classes: 10 bits for less arithmetic than a flat 256.
    "speech-16k": _voice(
        skip_channels=128,
        **_TEN_BITS,
    ),
    # Wider: 2.4 times the arithmetic, still faster than real time on one CPU core.
    "speech-16k-large": _voice(
        residual_channels=80,
        gate_channels=80,
        skip_channels=160,
        **_TEN_BITS,
    ),
    # van den Oord et al. 2016, section 3.1: several speakers told apart by id alone, no text, no mel: it babbles.
    "babble-16k": _voice(
        dilations=powers(3, 10),
        residual_channels=64,
        gate_channels=64,
        skip_channels=128,
        **_TEN_BITS,
        frame_network=None,
        upsampler=None,
        num_speakers=5,
        global_channels=16,
    ),
    # What strikes piano strings, from pitch and time since the onset (the strings ring by themselves): nearly white, so
    # narrow and without pre-emphasis. 256 ms of receptive field, no context of frames.
    "piano": _voice(
        dilations=powers(2, 11),
        residual_channels=32,
        gate_channels=32,
        skip_channels=64,
        coding=SampleCoding(kind="mu_law", num_classes=1024),
        distribution=CoarseFine(coarse=32, fine=32),
        frame_network=FrameNetworkConfig(
            input_channels=52, input_kernel_size=1, channels=128, num_blocks=3, kernel_size=1
        ),
        upsampler=UpsamplerConfig(kind="linear", hop_length=160, frame_centre=80),
    ),
    # van den Oord et al. 2016: 30 layers in three stacks; the paper leaves the widths open, these are ours.
    "wavenet-30": WaveNetConfig(
        dilations=powers(3, 10),
        residual_channels=128,
        gate_channels=128,
        skip_channels=256,
        tail_channels=(256,),
        coding=_CLASSES,
        frame_network=FrameNetworkConfig(),
        upsampler=_SPEECH_16K,
    ),
    # r9y9/wavenet_vocoder, 2019 presets, and the 2018 mixture-of-logistics model whose weights are public.
    "r9y9-mol": _r9y9(),
    "r9y9-gaussian": _r9y9(distribution=GaussianMixture(num_mixtures=1, num_classes=65536, log_scale_min=-16.0)),
    "r9y9-mulaw256": _r9y9(
        dilations=powers(3, 10),
        input_kind="one_hot",
        coding=_R9Y9_CLASSES,
        distribution=Categorical(num_classes=256),
    ),
    "r9y9-mol-2018": _r9y9(
        residual_channels=512,
        gate_channels=256,
        skip_channels=256,
        tail_channels=(256,),
        coding=SampleCoding(kind="continuous", num_classes=65536),
        distribution=LogisticMixture(num_mixtures=10, num_classes=65536, log_scale_min=-32.236191301916641),
        frame_network=FrameNetworkConfig(),
        upsampler=UpsamplerConfig(
            kind="transposed_2d", hop_length=256, frame_centre=0, scales=(4, 4, 4, 4), weight_normalization=True
        ),
        local_bias=True,
        skip_scale="recursive_sqrt_half",
        dropout=0.05,
    ),
    # NVIDIA/nv-wavenet: the training model of its PyTorch folder, and its benchmark's 20 layers.
    "nv-wavenet": _NV_WAVENET,
    "nv-wavenet-20": dataclasses.replace(_NV_WAVENET, dilations=powers(2, 10)),
    # ibab/tensorflow-wavenet, wavenet_params.json, with its first layer of 32 taps.
    "ibab": WaveNetConfig(
        dilations=powers(5, 10),
        residual_channels=32,
        gate_channels=32,
        skip_channels=512,
        tail_channels=(512,),
        input_bias=False,
        input_kernel_size=32,
        coding=_CLASSES,
    ),
    # Engel et al. 2017 (arXiv 1704.01279): NSynth's decoder stack; its encoder's 16 channels are the conditioning.
    "nsynth": WaveNetConfig(
        dilations=powers(3, 10),
        kernel_size=3,
        residual_channels=512,
        gate_channels=512,
        skip_channels=256,
        tail_channels=(256,),
        input_kind="scalar",
        input_kernel_size=3,
        coding=_CLASSES,
        frame_network=FrameNetworkConfig(input_channels=16),
        upsampler=UpsamplerConfig(kind="repeat", hop_length=512, frame_centre=256),
        local_bias=True,
        tail_local=True,
        skip_input=True,
    ),
}


def get_preset(name: str) -> WaveNetConfig:
    """The configuration called `name`; an unknown name lists those that exist."""
    if name not in PRESETS:
        raise KeyError(f"no WaveNet preset is called {name!r}; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
