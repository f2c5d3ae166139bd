"""What a vocoder experiment is: model, features, data, optimizer and training, in one frozen tree."""

import dataclasses
import math
from typing import Literal

from wavejax.audio.notes import NOTE_SPECS, NoteSpec
from wavejax.audio.specs import FeatureSpec, get_spec
from wavejax.data.crops import CropShape
from wavejax.models.wavenet import WaveNetConfig
from wavejax.models.wavenet_presets import PRESETS, get_preset
from wavejax.training.optimizers import OptimizerConfig

ROW_MULTIPLE = 64
"""Examples hold a multiple of so many samples, so that a GPU's compiler need not copy activations to pad them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where recordings come from and how they are cut."""

    corpus: str = "embedded"
    """A folder made by `wavejax prepare`, or "embedded": the recordings that ship with the package."""
    crop_length: int = 4000
    """Scored samples per example, a multiple of the hop length."""
    num_threads: int = 2
    resident: bool = False
    """Keep the training recordings on the devices and cut crops there: what an accelerator wants."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long, how wide, and how often to look."""

    num_steps: int = 100_000
    max_minutes: float = 0.0
    """Above 0: stop (and save) after so long, whatever num_steps says."""
    batch_size: int = 8
    """Of the whole job, all devices together."""
    accumulation_steps: int = 1
    seed: int = 0
    ema_decay: float = 0.999
    strategy: Literal["spmd", "pmap"] = "spmd"
    shard_optimizer: bool = False
    """Each device holds a part of the optimizer's moments and of the averages only (ZeRO stage 1; spmd only): less
    memory, one more exchange a step, equal to rounding. Checkpoints are the same; a run may go on with or without."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type; parameters, averages and log-probabilities stay float32."""
    remat: bool = False
    """Recompute layers in the backward pass: about a third more time, far less memory."""
    defer_skips: bool = False
    """One product for the skips of all layers, after the last: what a GPU wants, and a CPU does not."""
    overfit_batches: int = 0
    """Above 0: train on these first batches only, over and over (a model that cannot is broken)."""
    log_every: int = 20
    validate_every: int = 1000
    """Validation bits from the averaged parameters; 0: never."""
    audio_every: int = 5000
    """Free-running audio on a held-out mel; 0: never."""
    audio_seconds: float = 2.0
    checkpoint_every: int = 1000
    keep_last: int = 3
    """So many newest checkpoints stay."""
    keep_every: int = 0
    """Checkpoints of steps that are multiples of it stay for good; 0 for none."""
    keep_best: bool = True
    """The checkpoint with the lowest validation loss stays, too, of those of whose step it was measured: let
    validate_every be checkpoint_every, or divide it."""
    tensorboard: bool = True

    def __post_init__(self) -> None:
        for name in ("num_steps", "batch_size", "accumulation_steps", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} must be at least 1, got {getattr(self, name)}")
        if self.keep_every < 0:
            raise ValueError(f"training.keep_every must be 0 (none) or more, got {self.keep_every}")
        if self.shard_optimizer and self.strategy != "spmd":
            raise ValueError(
                f"training.shard_optimizer needs training.strategy 'spmd': {self.strategy!r} holds the whole state on "
                "every device"
            )
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"training.batch_size {self.batch_size} is not a multiple of "
                f"accumulation_steps {self.accumulation_steps}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocoderConfig:
    """A vocoder: features in, waveform out."""

    name: str = "vocoder"
    model: WaveNetConfig
    spec: FeatureSpec | NoteSpec
    """What its frames say: a log-mel spectrogram, or (an instrument) which note sounds since when."""
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=1e-3, schedule="constant", warmup_steps=200, clip_norm=1.0, betas=(0.9, 0.99)
    )
    training: TrainingConfig = TrainingConfig()
    temperature: float = 1.0
    """Of the draws, where none is asked for; to be chosen on the validation split."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be a number of at least 0, got {self.temperature}")
        upsampler, spec = self.model.upsampler, self.spec
        if upsampler is not None:
            if upsampler.hop_length != spec.hop_length:
                raise ValueError(
                    f"the model's hop_length {upsampler.hop_length} is not the spec's {spec.hop_length} ({spec.name}): "
                    "set model.upsampler.hop_length (and scales) or choose another spec"
                )
            if upsampler.frame_centre != spec.frame_centre:
                raise ValueError(
                    f"the model takes frame 0 to be centred on sample {upsampler.frame_centre}, but the spec "
                    f"{spec.name} centres it on {spec.frame_centre}: set "
                    f"model.upsampler.frame_centre={spec.frame_centre}"
                )
            if self.model.local_channels != spec.num_channels:
                raise ValueError(
                    f"the model reads frames of {self.model.local_channels} channels, but the spec {spec.name} has "
                    f"{spec.num_channels} channels: set model.frame_network.input_channels={spec.num_channels}"
                )
        if self.data.resident and self.training.overfit_batches:
            raise ValueError(
                "data.resident draws ever new crops, and training.overfit_batches "
                f"{self.training.overfit_batches} keeps the first ones: use one of them"
            )
        if self.data.crop_length % spec.hop_length:
            fit = max(self.data.crop_length // spec.hop_length, 1) * spec.hop_length
            raise ValueError(
                f"data.crop_length {self.data.crop_length} is not a multiple of the hop length {spec.hop_length}: "
                f"use {fit}"
            )

    @property
    def command(self) -> Literal["play", "vocode", "generate"]:
        """What lets such a model be heard: an instrument plays, a vocoder vocodes, the rest need no features."""
        if isinstance(self.spec, NoteSpec):
            return "play"
        return "generate" if self.model.upsampler is None else "vocode"

    @property
    def history(self) -> int:
        """Samples of a crop before its scored ones.

        The receptive field and one for the pre-emphasis, or a few more, so that what the network sees is a multiple of
        `ROW_MULTIPLE`.
        """
        needed = self.model.receptive_field + 1
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
        return self.history_intervals * self.spec.hop_length + 2 - self.history

    @property
    def crop_shape(self) -> CropShape:
        """What one example holds."""
        frames_before = frames_after = 0
        if self.model.frame_network is not None and self.model.upsampler is not None:
            frames_before = self.history_intervals + self.model.frame_network.lookback + self.model.upsampler.back
            frames_after = self.model.frame_network.lookahead + self.model.upsampler.forward
        return CropShape(
            history=self.history,
            length=self.data.crop_length,
            frames_before=frames_before,
            frames_after=frames_after,
        )


_SPECS = {"r9y9-mol-2018": "r9y9-old", "nv-wavenet": "nv-wavenet", "nv-wavenet-20": "nv-wavenet"}


def preset(name: str) -> VocoderConfig:
    """The experiment around the model preset `name`: its features, the embedded corpus, sensible training.

    Raises:
        KeyError: no such preset; the message lists them.
    """
    model = get_preset(name)
    spec = NOTE_SPECS.get(name) or get_spec(_SPECS.get(name, "r9y9-new" if name.startswith("r9y9") else "speech-16k"))
    if model.upsampler is not None and model.local_channels == spec.num_channels:
        upsampler = dataclasses.replace(model.upsampler, frame_centre=spec.frame_centre)
        model = dataclasses.replace(model, upsampler=upsampler)
    elif model.upsampler is not None:
        raise KeyError(
            f"the preset {name!r} is conditioned on learned features that no spec describes: import it as a library "
            "model"
        )
    crop = 4000 if spec.hop_length == 200 else 40 * spec.hop_length
    config = VocoderConfig(name=name, model=model, spec=spec, data=DataConfig(crop_length=crop))
    if name not in NOTE_SPECS:
        return config
    # Half of a crop as short as its receptive field would be history; a mel to listen to there is none.
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, crop_length=8000),
        training=dataclasses.replace(config.training, audio_every=0),
    )


def preset_names() -> tuple[str, ...]:
    """Presets that can be trained as vocoders."""
    return tuple(name for name in sorted(PRESETS) if PRESETS[name].local_channels in (0, 80) or name in NOTE_SPECS)
