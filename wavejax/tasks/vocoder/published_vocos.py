"""The family of vocoders whose model is the published Vocos, which needs no pitch."""

import dataclasses
from typing import ClassVar

from wavejax.audio.specs import get_spec
from wavejax.experiments.parallel.config import LossWeights, ParallelConfig, ParallelTrainingConfig, WindowConfig
from wavejax.models.vocos import VocosConfig
from wavejax.models.vocos_presets import PRESETS
from wavejax.nn.discriminators import DISCRIMINATORS, DiscriminatorsConfig
from wavejax.tasks.vocoder.parallel import window_vocoder
from wavejax.training.optimizers import OptimizerConfig

OPTIMIZER = OptimizerConfig(
    optimizer="adamw", learning_rate=5e-4, schedule="cosine", decay_steps=1_000_000, betas=(0.8, 0.9), weight_decay=0.01
)
"""Of both players (Siuzdak 2023, section 4.1)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedVocosConfig(ParallelConfig):
    """Log-mel features in, waveform out, by the published Vocos.

    The defaults are the published experiment: 16 crops of 16,384 samples, mel loss times 45, hinge losses.
    """

    family: ClassVar[str] = "published-vocos"

    model: VocosConfig
    data: WindowConfig = WindowConfig(crop_length=16384, gain_db=0.0)
    optimizer: OptimizerConfig = OPTIMIZER
    training: ParallelTrainingConfig = ParallelTrainingConfig(batch_size=16)
    losses: LossWeights = LossWeights(mel=45.0, stft=0.0, pitch=0.0, feature_matching=1.0, adversary="hinge")
    discriminators: DiscriminatorsConfig | None = DISCRIMINATORS["vocos"]
    discriminator_optimizer: OptimizerConfig = OPTIMIZER


FAMILY = window_vocoder(
    PublishedVocosConfig,
    (
        PublishedVocosConfig(name=name, model=model, spec=get_spec(name))
        for name, model in PRESETS.items()
        if isinstance(model, VocosConfig)
    ),
)
