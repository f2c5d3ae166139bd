"""The family of vocoders whose model is a Vocos: a network at frame rate and an inverse Fourier transform."""

import dataclasses
from typing import ClassVar

from wavejax.experiments.parallel.config import LossWeights, ParallelConfig, ParallelTrainingConfig, WindowConfig
from wavejax.models.vocos import HarmonicVocosConfig
from wavejax.models.vocos_presets import PRESETS
from wavejax.nn.discriminators import DISCRIMINATORS
from wavejax.tasks.vocoder.parallel import window_vocoder


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
        losses=LossWeights(autocorrelation=20.0),
        training=ParallelTrainingConfig(batch_size=16),
    )


def adversarial_experiment(name: str) -> VocosVocoderConfig:
    """What follows the spectral losses: start it with `init_from` a training of the preset `name`.

    The model makes 96 frames of each example, the discriminators hear 40 of them. The model's learning rate rises over
    twice as many updates as theirs, so that they have learnt something before it follows them.
    """
    config = experiment(name)
    return dataclasses.replace(
        config,
        name=f"{name}-adversarial",
        optimizer=dataclasses.replace(config.optimizer, learning_rate=3e-4, warmup_steps=400),
        training=dataclasses.replace(config.training, judged_frames=40, simultaneous=True),
        discriminators=DISCRIMINATORS["small"],
    )


FAMILY = window_vocoder(
    VocosVocoderConfig, (make(name) for name in _MODELS for make in (experiment, adversarial_experiment))
)
