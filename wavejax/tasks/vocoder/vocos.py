"""The family of vocoders whose model is a Vocos: a network at frame rate and an inverse Fourier transform."""

import dataclasses
from typing import ClassVar

from wavejax.experiments.parallel.card import window_family
from wavejax.experiments.parallel.config import ParallelConfig, ParallelTrainingConfig, WindowConfig
from wavejax.models.vocos import HarmonicVocosConfig
from wavejax.models.vocos_presets import PRESETS
from wavejax.tasks.vocoder.diagnosis import SoundDoctorOptions
from wavejax.tasks.vocoder.evaluation import ListeningOptions
from wavejax.tasks.vocoder.exhibits import exhibits, usage
from wavejax.tasks.vocoder.product import Vocoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocosVocoderConfig(ParallelConfig):
    """Log-mel features in, waveform out, by our Vocos with its harmonic phase."""

    family: ClassVar[str] = "vocos"

    model: HarmonicVocosConfig


_MODELS = {name: model for name, model in PRESETS.items() if isinstance(model, HarmonicVocosConfig)}


def experiment(name: str) -> VocosVocoderConfig:
    """The experiment around a preset: its spec, the embedded corpus, windows of 96 frames."""
    model = _MODELS[name]
    hop = model.spec.hop_length
    return VocosVocoderConfig(
        name=name,
        model=model,
        spec=model.spec,
        data=WindowConfig(crop_length=96 * hop),
        training=ParallelTrainingConfig(batch_size=16),
    )


FAMILY = window_family(
    config=VocosVocoderConfig,
    product=Vocoder,
    presets={name: experiment(name) for name in _MODELS},
    usage=usage,
    exhibits=exhibits,
    evaluator=ListeningOptions,
    doctor=SoundDoctorOptions,
)
