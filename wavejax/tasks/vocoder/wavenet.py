"""The family of vocoders whose model is a WaveNet."""

import dataclasses
from typing import ClassVar

from wavejax.audio.specs import get_spec
from wavejax.experiments.autoregressive.card import sample_family
from wavejax.experiments.autoregressive.config import CropConfig
from wavejax.experiments.autoregressive.product import with_speakers
from wavejax.models.wavenet import WaveNetConfig
from wavejax.models.wavenet_presets import PRESETS
from wavejax.tasks.upgrades import upgraded
from wavejax.tasks.vocoder.config import VocoderConfig
from wavejax.tasks.vocoder.diagnosis import DoctorOptions
from wavejax.tasks.vocoder.evaluation import EvaluateOptions
from wavejax.tasks.vocoder.exhibits import exhibits, usage
from wavejax.tasks.vocoder.product import SampleVocoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaveNetVocoderConfig(VocoderConfig):
    """Log-mel features in, waveform out, by a WaveNet."""

    family: ClassVar[str] = "vocoder"

    model: WaveNetConfig


_SPECS = {"r9y9-mol-2018": "r9y9-old", "nv-wavenet": "nv-wavenet", "nv-wavenet-20": "nv-wavenet"}


def experiment(name: str) -> WaveNetVocoderConfig:
    """The experiment around a WaveNet preset that reads log-mel features: its spec, the embedded corpus."""
    model = PRESETS[name]
    spec = get_spec(_SPECS.get(name, "r9y9-new" if name.startswith("r9y9") else "speech-16k"))
    if model.upsampler is not None:
        upsampler = dataclasses.replace(model.upsampler, frame_centre=spec.frame_centre)
        model = dataclasses.replace(model, upsampler=upsampler)
    crop = 4000 if spec.hop_length == 200 else 40 * spec.hop_length
    return WaveNetVocoderConfig(name=name, model=model, spec=spec, data=CropConfig(crop_length=crop))


FAMILY = sample_family(
    config=WaveNetVocoderConfig,
    product=SampleVocoder,
    presets={name: experiment(name) for name, model in PRESETS.items() if model.local_channels == 80},
    usage=usage,
    exhibits=exhibits,
    evaluator=EvaluateOptions,
    doctor=DoctorOptions,
    with_speakers=with_speakers,
    upgraded=upgraded,
)
