"""What an experiment states whose model predicts the next sample."""

import dataclasses
import math
from typing import Annotated

from wavejax.data.crops import CropShape
from wavejax.experiments.config import CorpusConfig, SoundConfig, TrainingConfig
from wavejax.ranges import Range
from wavejax.training.optimizers import OptimizerConfig

ROW_MULTIPLE = 64
"""Examples hold a multiple of this many samples, so that a GPU's compiler need not copy activations to pad them."""

OPTIMIZER = OptimizerConfig(learning_rate=1e-3, schedule="constant", warmup_steps=200, clip_norm=1.0, betas=(0.9, 0.99))
"""What trains a model of samples where its family says nothing else."""

MODES = ("remat", "defer_skips")
"""Switches of a training that are arguments of the model's parallel form, where the model's config names them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropConfig(CorpusConfig):
    """Where recordings come from and how they are cut."""

    crop_length: Annotated[int, Range(1, 2**24)] = 4000
    """Scored samples per example, a multiple of the hop length."""
    resident: bool = False
    """Keep the training recordings on the devices and cut crops there: what an accelerator wants."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleTrainingConfig(TrainingConfig):
    """How long, how wide, how often to look, and how the model's parallel form is run."""

    remat: bool = False
    """Recompute layers in the backward pass: about a third more time, far less memory."""
    defer_skips: bool = False
    """One product for the skips of all layers, after the last: what a GPU wants, and a CPU does not."""
    audio_seconds: Annotated[float, Range(0, 600)] = 2.0
    """Length of free-running audio among the exhibits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoregressiveConfig(SoundConfig):
    """An experiment whose model predicts the next sample; families narrow `model` and `spec`.

    `model` is the configuration of an `AutoregressiveModel`: `build(dtype)` makes the linen module, whose parallel form
    is `model(values, frames, speaker, first=, scored=, keys=)` as `generation.teacher_forced` describes it. Its
    properties are `receptive_field`, `lookback`, `lookahead`, `hop_length` and `frame_centre` (None without
    conditioning), `local_channels`, `num_speakers`, `global_channels`, `coding`, `distribution`, `macs_per_sample`,
    `modes`, `size`, and `typical_product(batch_size, length)`.
    """

    data: CropConfig = CropConfig()
    optimizer: OptimizerConfig = OPTIMIZER
    training: SampleTrainingConfig = SampleTrainingConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_conditioned:
            self._check_frames()
        missing = [name for name in MODES if getattr(self.training, name) and name not in self.model.modes]
        if missing:
            raise ValueError(f"training.{missing[0]} is no mode of {type(self.model).__name__}: leave it off")
        if self.data.resident and self.training.overfit_batches:
            raise ValueError(
                "data.resident draws ever new crops, and training.overfit_batches "
                f"{self.training.overfit_batches} keeps the first ones: use one of them"
            )
        if self.data.crop_length % self.spec.hop_length:
            fit = max(self.data.crop_length // self.spec.hop_length, 1) * self.spec.hop_length
            raise ValueError(
                f"data.crop_length {self.data.crop_length} is not a multiple of the hop length "
                f"{self.spec.hop_length}: use {fit}"
            )

    def _check_frames(self) -> None:
        model, spec = self.model, self.spec
        if model.hop_length != spec.hop_length:
            raise ValueError(
                f"the model's hop_length {model.hop_length} is not the spec's {spec.hop_length} ({spec.name}): set "
                "that of the model's upsampling (and its scales) or choose another spec"
            )
        if model.frame_centre != spec.frame_centre:
            raise ValueError(
                f"the model takes frame 0 to be centred on sample {model.frame_centre}, but the spec {spec.name} "
                f"centres it on {spec.frame_centre}: set the frame_centre of the model's upsampling to that"
            )
        if model.local_channels != spec.num_channels:
            raise ValueError(
                f"the model reads frames of {model.local_channels} channels, but the spec {spec.name} has "
                f"{spec.num_channels} channels: set the model's input channels to {spec.num_channels}"
            )

    @property
    def modes(self) -> dict[str, bool]:
        """What the training asks of the model's parallel form besides its inputs."""
        return {name: True for name in MODES if getattr(self.training, name)}

    @property
    def history(self) -> int:
        """Samples of a crop before its scored ones.

        The receptive field and one for the pre-emphasis, or a few more, so that what the network sees is a multiple of
        `ROW_MULTIPLE`.
        """
        needed = int(self.model.receptive_field) + 1
        return needed + -(needed - 2 + self.data.crop_length) % ROW_MULTIPLE

    @property
    def history_intervals(self) -> int:
        """Frame intervals that the history reaches into before a crop."""
        return math.ceil((self.history - 1) / self.spec.hop_length)

    @property
    def first_predicted(self) -> int:
        """Where a crop's first predicted sample lies, in samples after its frames' first interval began.

        The crop's very first sample only serves the pre-emphasis of the second, which predicts the third.
        """
        return self.history_intervals * int(self.spec.hop_length) + 2 - self.history

    @property
    def crop_shape(self) -> CropShape:
        """What one example holds."""
        frames_before = frames_after = 0
        if self.is_conditioned:
            frames_before = self.history_intervals + self.model.lookback
            frames_after = self.model.lookahead
        return CropShape(
            history=self.history,
            length=self.data.crop_length,
            frames_before=frames_before,
            frames_after=frames_after,
        )
