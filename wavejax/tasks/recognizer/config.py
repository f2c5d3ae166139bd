"""What a recogniser's experiment states, whatever the model."""

import dataclasses
from typing import Annotated, Any

from wavejax.audio.cepstra import CepstralSpec
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.data.utterances import Bucket, buckets_of
from wavejax.experiments.config import CorpusConfig, ExperimentConfig, TrainingConfig
from wavejax.nn.spec_augment import SpecAugmentConfig
from wavejax.ranges import AT_LEAST_NONE, SHARE, Range, check_ranges
from wavejax.text import TextSpec, get_text_spec
from wavejax.training.optimizers import OptimizerConfig

OPTIMIZER = OptimizerConfig(
    optimizer="adamw",
    learning_rate=2e-3,
    schedule="noam",
    warmup_steps=500,
    clip_norm=5.0,
    betas=(0.9, 0.98),
    weight_decay=1e-3,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UtteranceConfig(CorpusConfig):
    """Where recordings with transcripts come from, and the shapes of their batches."""

    bucket_seconds: Annotated[tuple[float, ...], Range(0, 600, above=True)] = (4.0, 7.0, 10.0, 14.0, 20.0)
    """Batches come in these lengths, increasing; longer utterances are left out. Each compiles a program."""
    labels_per_second: Annotated[float, Range(0, 200, above=True)] = 20.0
    """Room for labels in each: an utterance of faster speech goes into a longer batch, or is left out."""
    short_steps: Annotated[int, AT_LEAST_NONE] = 0
    """The first so many steps take the shorter half of the utterances only, which are easier to begin with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.bucket_seconds or list(self.bucket_seconds) != sorted(set(self.bucket_seconds)):
            raise ValueError(f"data.bucket_seconds must be increasing lengths, got {self.bucket_seconds}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceLossConfig:
    """What is added to the CTC loss."""

    prior_strength: Annotated[float, Range(0, 2)] = 0.0
    """How far the frequency of the classes is taken out of it: 0.2 to 0.5 gives labels their true extent."""
    prior_momentum: Annotated[float, SHARE] = 0.05
    """Share of a batch in the running frequency."""
    consistency: Annotated[float, Range(0, 10)] = 0.0
    """Above 0: each utterance is masked in two ways, and both readings are drawn together (CR-CTC: 0.2). Twice the
    work for a step."""
    alignment: Annotated[float, Range(0, 10)] = 0.0
    """Above 0: what the cross-entropy of each frame counts whose phoneme or letter the corpus' alignments know. It
    need not be found by CTC alone, and its times are kept. Utterances without alignment count in CTC only."""
    delay: Annotated[float, Range(0, 2)] = 0.0
    """Seconds by which `alignment` wants symbols later than they are said: what a causal model hears of the future."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"losses.{name}")
        if self.delay and not self.alignment:
            raise ValueError("losses.delay moves the times that losses.alignment learns, which is 0: set it, too")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecognizerConfig(ExperimentConfig):
    """Features in, text out; each family narrows `model`, `spec` and `losses`.

    `model` is a configuration: `build(dtype)` makes the linen module, which maps (features, num_frames, keys) to
    log-probabilities. Its properties are `local_channels`, `num_classes`, `causal`, `subsampling`, `size`,
    `macs_per_frame` and `typical_product(frames)`.
    """

    spec: FeatureSpec | CepstralSpec
    text: TextSpec = get_text_spec("letters-en")
    data: UtteranceConfig = UtteranceConfig()
    optimizer: OptimizerConfig = OPTIMIZER
    training: TrainingConfig = TrainingConfig(batch_size=16, num_steps=20_000, exhibit_every=1000)
    losses: Any = SequenceLossConfig()
    augment: SpecAugmentConfig = SpecAugmentConfig()

    def __post_init__(self) -> None:
        for name in ("noise", "rooms", "telephone"):
            if getattr(self.augment, name) and not _has_log_magnitudes(self.spec):
                raise ValueError(
                    f"augment.{name} adds sounds as natural logs of magnitudes, but the features {self.spec.name} are "
                    f"others: set augment.{name}=0"
                )
        if getattr(self.losses, "alignment", 0.0) and self.augment.tempo:
            raise ValueError("augment.tempo moves the symbols whose times losses.alignment learns: set one to 0")
        for name, theirs in (("local_channels", self.spec.num_channels), ("num_classes", self.text.num_classes)):
            if getattr(self.model, name) != theirs:
                of = f"the spec {self.spec.name}" if name == "local_channels" else f"the text spec {self.text.name}"
                raise ValueError(
                    f"the model's {name} is {getattr(self.model, name)}, that of {of} is {theirs}: set "
                    f"model.{name}={theirs}"
                )

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Shapes of the batches, increasing."""
        return buckets_of(self.data.bucket_seconds, self.spec.frame_rate, self.data.labels_per_second)


def _has_log_magnitudes(spec: FeatureSpec | CepstralSpec) -> bool:
    return isinstance(spec, FeatureSpec) and (spec.power, spec.log_base, spec.scale, spec.offset, spec.clip) == (
        1,
        "e",
        1.0,
        0.0,
        None,
    )


def in_language(config: Any, text: TextSpec) -> Any:
    """The experiment for texts of another spec."""
    model = dataclasses.replace(config.model, num_classes=text.num_classes)
    return dataclasses.replace(config, text=text, model=model)
