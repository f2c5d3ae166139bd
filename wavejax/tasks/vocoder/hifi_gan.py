"""The family of vocoders whose model is a HiFi-GAN: transposed convolutions from frames to samples."""

import dataclasses
from typing import ClassVar

from wavejax.audio.specs import get_spec
from wavejax.experiments.parallel.config import LossWeights, ParallelConfig, ParallelTrainingConfig, WindowConfig
from wavejax.models.hifi_gan import PRESETS, HiFiGANConfig
from wavejax.nn.discriminators import DISCRIMINATORS, DiscriminatorsConfig
from wavejax.tasks.vocoder.parallel import window_vocoder
from wavejax.training.optimizers import OptimizerConfig

OPTIMIZER = OptimizerConfig(optimizer="adamw", learning_rate=2e-4, betas=(0.8, 0.99), weight_decay=0.01)
"""Of both players (Kong et al. 2020, section 3.1); the source also lets it fall by a thousandth each epoch."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HiFiGANVocoderConfig(ParallelConfig):
    """Log-mel features in, waveform out, by a HiFi-GAN.

    The defaults are the published experiment: 16 crops of 8,192 samples, mel loss times 45, against all discriminators.
    """

    family: ClassVar[str] = "hifi-gan"

    model: HiFiGANConfig
    data: WindowConfig = WindowConfig(crop_length=8192, gain_db=0.0)
    optimizer: OptimizerConfig = OPTIMIZER
    training: ParallelTrainingConfig = ParallelTrainingConfig(batch_size=16)
    losses: LossWeights = LossWeights(mel=45.0, stft=0.0, pitch=0.0)
    discriminators: DiscriminatorsConfig | None = DISCRIMINATORS["hifi-gan"]
    discriminator_optimizer: OptimizerConfig = OPTIMIZER


FAMILY = window_vocoder(
    HiFiGANVocoderConfig,
    (HiFiGANVocoderConfig(name=name, model=model, spec=get_spec("hifi-gan")) for name, model in PRESETS.items()),
)
