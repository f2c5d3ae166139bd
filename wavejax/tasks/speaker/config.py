"""What a speaker's experiment states."""

import dataclasses
from typing import Annotated, Any, ClassVar

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.data.utterances import Bucket, buckets_of
from wavejax.experiments.config import CorpusConfig, ExperimentConfig, TrainingConfig
from wavejax.models.parallel_speaker import PRESETS, ParallelSpeakerConfig
from wavejax.ranges import GV_SCALE, Range, check_ranges
from wavejax.text import TextSpec, get_text_spec
from wavejax.training.optimizers import OptimizerConfig

OPTIMIZER = OptimizerConfig(
    optimizer="adamw",
    learning_rate=1.5e-3,
    schedule="cosine",
    warmup_steps=300,
    decay_steps=20_000,
    end_learning_rate=5e-5,
    clip_norm=1.0,
    betas=(0.9, 0.98),
    weight_decay=1e-3,
)
_LOSS = Range(0, 1e4)
_GV_SCALE = 1.15
"""Of the presets: of 1, 1.1, 1.15, 1.2 and 1.3 the one by which `heart` was judged best."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpokenConfig(CorpusConfig):
    """Where recordings with their phones' times come from (`wavejax.data.alignments`), and the shapes of batches."""

    bucket_seconds: Annotated[tuple[float, ...], Range(0, 600, above=True)] = (3.0, 5.0, 9.0)
    """Batches come in these lengths, increasing; longer utterances are left out. Each compiles a program."""
    symbols_per_second: Annotated[float, Range(0, 200, above=True)] = 18.0
    """Room for symbols in each: an utterance of faster speech goes into a longer batch, or is left out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.bucket_seconds or list(self.bucket_seconds) != sorted(set(self.bucket_seconds)):
            raise ValueError(f"data.bucket_seconds must be increasing lengths, got {self.bucket_seconds}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeakerLossConfig:
    """What the parts of the loss weigh. Durations, pitch and energy are those of symbols, in the model's units."""

    mel: Annotated[float, _LOSS] = 1.0
    """Mean absolute difference of the mel spectrograms."""
    mel_squared: Annotated[float, _LOSS] = 0.1
    """Mean squared difference."""
    duration: Annotated[float, _LOSS] = 0.2
    pitch: Annotated[float, _LOSS] = 0.1
    voicing: Annotated[float, _LOSS] = 0.1
    energy: Annotated[float, _LOSS] = 0.1
    melody: Annotated[float, _LOSS] = 0.2
    """Mean absolute difference of the pitch of voiced frames."""
    frame_voicing: Annotated[float, _LOSS] = 0.1
    quietest: float = -10.0
    """Mel values below it count as it: how silent a silence is cannot be heard."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"losses.{name}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VoiceConfig(ExperimentConfig):
    """What all speakers state: symbols in, mel spectrogram out, which a vocoder makes audible."""

    text: TextSpec = get_text_spec("phonemes-en")
    vocoder: str = "universal"
    """The vocoder by which it is heard, unless another is asked for: the name of one that ships, or a folder."""
    gv_scale: Annotated[float, GV_SCALE] = 1.0
    """Each band's deviation from its mean over a sentence is multiplied by this. What is most likely is smoother than
    what people say; this gives back some of the global variance (Toda & Tokuda 2007). It may change after training."""
    data: SpokenConfig = SpokenConfig()
    losses: Any = None
    """What the parts of the loss weigh: a dataclass of each kind of speaker."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.model.num_classes != self.text.num_classes:
            raise ValueError(
                f"the model's num_classes is {self.model.num_classes}, that of the text spec {self.text.name} is "
                f"{self.text.num_classes}: set model.num_classes={self.text.num_classes}"
            )
        if self.spec.log_base != "e" or self.spec.scale != 1.0 or self.spec.offset != 0.0:
            raise ValueError(
                f"a speaker counts energy in natural logs, but the spec {self.spec.name} has the log base "
                f"{self.spec.log_base!r}, scale {self.spec.scale} and offset {self.spec.offset}: use speech-16k"
            )

    @property
    def spec(self) -> FeatureSpec:
        """The features that it makes."""
        spec: FeatureSpec = self.model.spec
        return spec

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Shapes of the batches, increasing."""
        return buckets_of(self.data.bucket_seconds, self.spec.frame_rate, self.data.symbols_per_second)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeakerConfig(VoiceConfig):
    """All frames at once, from durations, pitch and energy of symbols."""

    family: ClassVar[str] = "speaker"

    model: ParallelSpeakerConfig
    optimizer: OptimizerConfig = OPTIMIZER
    training: TrainingConfig = TrainingConfig(batch_size=16, num_steps=20_000, exhibit_every=1000)
    losses: SpeakerLossConfig = SpeakerLossConfig()


def experiments(name: str) -> dict[str, SpeakerConfig]:
    """The experiments around a preset of the model: in English, and with "-ru" in Russian."""
    found = {}
    for ending, language in {"": "en", "-ru": "ru"}.items():
        text = get_text_spec(f"phonemes-{language}")
        model = dataclasses.replace(PRESETS[name], num_classes=text.num_classes)
        found[name + ending] = SpeakerConfig(name=name + ending, model=model, text=text, gv_scale=_GV_SCALE)
    return found
