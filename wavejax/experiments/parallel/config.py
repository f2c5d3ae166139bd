"""What an experiment states whose model makes sound from a window of frames."""

import dataclasses
from typing import Annotated, Literal

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.data.crops import CropShape
from wavejax.experiments.autoregressive.config import CropConfig
from wavejax.experiments.config import SoundConfig, TrainingConfig
from wavejax.nn.discriminators import DiscriminatorsConfig
from wavejax.ranges import AT_LEAST_NONE, Range, check_ranges
from wavejax.training.optimizers import OptimizerConfig

OPTIMIZER = OptimizerConfig(
    optimizer="adamw",
    learning_rate=5e-4,
    schedule="constant",
    warmup_steps=200,
    clip_norm=10.0,
    betas=(0.8, 0.99),
    weight_decay=0.01,
)
"""What trains either player: AdamW as HiFi-GAN has it (Kong et al. 2020, section 3.1), a little faster."""


_WEIGHT = Range(0, 1e6)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WindowConfig(CropConfig):
    """Where recordings come from, how they are cut, and how they are varied."""

    crop_length: int = 96 * 200
    """Samples per example, a multiple of the hop length."""
    gain_db: Annotated[float, Range(0, 40)] = 6.0
    """Examples become louder or softer by up to this number of decibels, their features with them; 0 leaves them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossWeights:
    """What each part of the generator's loss counts; 0 leaves it out."""

    mel: Annotated[float, _WEIGHT] = 15.0
    """Mean absolute difference of log-mel features."""
    stft: Annotated[float, _WEIGHT] = 2.5
    """Spectral convergence and log magnitudes at three resolutions."""
    autocorrelation: Annotated[float, _WEIGHT] = 0.0
    """How periodic voiced frames are, and at which pitch, see `wavejax.losses.periodicity`."""
    pitch: Annotated[float, _WEIGHT] = 1.0
    """The pitch network's cross-entropies against WORLD's F0, for a model that has such a network (extra `eval`)."""
    adversarial: Annotated[float, _WEIGHT] = 1.0
    """What the discriminators say."""
    feature_matching: Annotated[float, _WEIGHT] = 2.0
    """The difference of what the discriminators see."""
    adversary: Literal["least_squares", "hinge"] = "least_squares"
    """How the discriminators' opinions become losses, see `wavejax.losses.adversarial`."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"losses.{name}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParallelTrainingConfig(TrainingConfig):
    """How long, how wide, how often to look."""

    audio_seconds: Annotated[float, Range(0, 600)] = 4.0
    """Length of the sound among the exhibits."""
    adversarial_start: Annotated[int, AT_LEAST_NONE] = 0
    """The update from which on the discriminators learn and are heard."""
    judged_frames: Annotated[int, AT_LEAST_NONE] = 0
    """The discriminators hear this number of frames in the middle of each example; 0 means all of it."""
    simultaneous: bool = False
    """Both players learn from one forward of the discriminators, which is faster; else the model learns against what
    the discriminators have just become."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParallelConfig(SoundConfig):
    """An experiment whose model is a `ParallelModel`; families narrow `model`.

    `model` is a configuration: `build(dtype)` makes the linen module. Its properties are `hop_length`, `lookback`,
    `lookahead`, `frame_centre`, `local_channels`, `num_speakers`, `macs_per_frame`, `size` and `typical_product(rows)`.
    """

    spec: FeatureSpec
    data: WindowConfig = WindowConfig()
    optimizer: OptimizerConfig = OPTIMIZER
    training: ParallelTrainingConfig = ParallelTrainingConfig()
    losses: LossWeights = LossWeights()
    discriminators: DiscriminatorsConfig | None = None
    """None: there is no second player, the losses are spectral alone."""
    discriminator_optimizer: OptimizerConfig = OPTIMIZER

    def __post_init__(self) -> None:
        super().__post_init__()
        model, spec = self.model, self.spec
        for name, theirs in (
            ("hop_length", spec.hop_length),
            ("frame_centre", spec.frame_centre),
            ("local_channels", spec.num_channels),
        ):
            if getattr(model, name) != theirs:
                raise ValueError(
                    f"the model's {name} is {getattr(model, name)}, that of the spec {spec.name} is {theirs}: give the "
                    "model the sizes of its features"
                )
        if self.data.crop_length % spec.hop_length:
            fit = max(self.data.crop_length // spec.hop_length, 1) * spec.hop_length
            raise ValueError(
                f"data.crop_length {self.data.crop_length} is not a multiple of the hop length {spec.hop_length}: use "
                f"{fit}"
            )
        if self.training.judged_frames > self.num_frames:
            raise ValueError(
                f"training.judged_frames {self.training.judged_frames} is more than the {self.num_frames} frames of an "
                "example: use fewer, or 0 for all of them"
            )
        if self.training.simultaneous and self.training.accumulation_steps > 1:
            raise ValueError(
                "training.simultaneous keeps the discriminators' forward of the whole batch, which accumulation_steps "
                f"{self.training.accumulation_steps} is there to avoid: leave one of them out"
            )
        if self.data.resident:
            raise ValueError(
                "data.resident is for models of samples; the windows of a parallel model come from the host"
            )

    @property
    def num_frames(self) -> int:
        """Frames whose sound one example holds."""
        return int(self.data.crop_length // self.spec.hop_length)

    @property
    def crop_shape(self) -> CropShape:
        """What one example holds."""
        return CropShape(
            history=0,
            length=self.data.crop_length,
            frames_before=self.model.lookback,
            frames_after=self.model.lookahead,
        )
