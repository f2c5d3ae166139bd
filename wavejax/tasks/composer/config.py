"""What a composer's experiment states."""

import dataclasses
from typing import Annotated, ClassVar

from wavejax.experiments.config import CorpusConfig, ExperimentConfig, TrainingConfig
from wavejax.models.chorale import ChoraleConfig
from wavejax.ranges import AT_LEAST_NONE, TEMPERATURE, Range, check_ranges
from wavejax.training.optimizers import OptimizerConfig

_FRACTION = Range(0, 1)

OPTIMIZER = OptimizerConfig(
    optimizer="adamw",
    learning_rate=2e-3,
    schedule="cosine",
    warmup_steps=100,
    decay_steps=1000,
    weight_decay=0.01,
    clip_norm=1.0,
    betas=(0.9, 0.99),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreDataConfig(CorpusConfig):
    """Where scores come from, how they are cut, and what the model is told of them in training."""

    corpus: str = "scores"
    """A folder of scores made by `wavejax prepare`."""
    crop_steps: Annotated[int, Range(1, 2**16)] = 256
    """Steps of an example; shorter pieces fill a part of it."""
    history: Annotated[int, AT_LEAST_NONE] = 32
    """Steps at the start of an example from within a piece that are heard and not scored."""
    transpose: bool = True
    """Move each example by up to five semitones down or six up, as its range allows."""
    given_share: Annotated[float, _FRACTION] = 0.5
    """Share of the examples in which some voices are given."""
    told_share: Annotated[float, _FRACTION] = 0.5
    """Share of the examples that are told their key, and likewise of those that are told how many steps are left."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComposerConfig(ExperimentConfig):
    """Scores in, scores out, by a model that draws the codes of all voices one after the other."""

    family: ClassVar[str] = "composer"

    name: str = "composer"
    model: ChoraleConfig
    data: ScoreDataConfig = ScoreDataConfig()
    optimizer: OptimizerConfig = OPTIMIZER
    training: TrainingConfig = TrainingConfig(
        num_steps=1000, batch_size=8, ema_decay=0.995, validate_every=50, exhibit_every=500, checkpoint_every=50
    )
    temperature: Annotated[float, TEMPERATURE] = 1.0
    """Of the draws, where none is asked for; to be chosen on the validation split."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.data.history >= self.data.crop_steps:
            raise ValueError(
                f"data.history {self.data.history} leaves nothing of data.crop_steps {self.data.crop_steps} to be "
                "scored: let it be shorter"
            )
