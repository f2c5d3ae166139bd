"""What the experiment of a Tacotron 2 states."""

import dataclasses
from typing import Annotated, ClassVar, Literal

from wavejax.experiments.config import TrainingConfig
from wavejax.models.tacotron2 import PRESETS, Tacotron2Config
from wavejax.ranges import SHARE, Range, check_ranges
from wavejax.tasks.speaker.config import SpokenConfig, VoiceConfig
from wavejax.text.published import NVIDIA
from wavejax.training.optimizers import OptimizerConfig

_LOSS = Range(0, 1e4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TacotronLossConfig:
    """What the parts of the loss weigh; the defaults are the published ones.

    Two guides, `aligned` and `guided`, show attention its place. They lose their weight once it holds by itself, and
    get it back if it is lost: a guide that ends at a step of its own ends too early or too late.
    """

    mel: Annotated[float, _LOSS] = 0.0
    """Mean absolute difference of the mel spectrograms, of the draft and of the finished one, in the model's units."""
    mel_squared: Annotated[float, _LOSS] = 1.0
    """Mean squared difference of both."""
    gate: Annotated[float, _LOSS] = 1.0
    last_gate: Annotated[float, Range(0, 1e4, above=True)] = 1.0
    """How many times the last step counts in it, of which an utterance has one."""
    aligned: Annotated[float, _LOSS] = 0.0
    """Cross-entropy of attention with the symbols that the corpus says are heard."""
    guided: Annotated[float, _LOSS] = 0.0
    """Attention away from the diagonal."""
    guided_width: Annotated[float, Range(0, 10, above=True)] = 0.2
    """Of the diagonal, as a share of the utterance."""
    held: Annotated[float, Range(0.1, 1.5)] = 0.85
    """Part of attention near its symbols at which both guides weigh nothing; at 0.1 less they weigh all. Above 1.1 they
    stay."""
    teacher_dropout: Annotated[float, SHARE] = 0.0
    """Share of the recording's frames that a step gets as zeros, so that it listens to the symbols as well."""
    quietest: float = -12.0
    """Mel values below it count as it: how silent a silence is cannot be heard."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"losses.{name}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TacotronConfig(VoiceConfig):
    """One step after the other, each of which decides by attention which symbols it says."""

    family: ClassVar[str] = "tacotron"

    model: Tacotron2Config
    reads: Literal["phonemes", "letters"] = "phonemes"
    """Whether a text is given to the model as phonemes, or as the letters of the words that are spoken."""
    leading_space: bool = True
    """Whether a sentence begins with a space, for the silence before its first word, as in aligned corpora."""
    seconds_per_symbol: Annotated[float, Range(0.01, 10)] = 0.3
    """A sentence that has not ended after a second and as many for each of its symbols is cut there."""
    gate_threshold: Annotated[float, Range(0, 1)] = 0.5
    """A sentence ends where the probability of being its last step exceeds it."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3, epsilon=1e-6, clip_norm=1.0)
    training: TrainingConfig = TrainingConfig(batch_size=64, num_steps=100_000, exhibit_every=1000)
    losses: TacotronLossConfig = TacotronLossConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self)

    def most_steps(self, num_symbols: int) -> int:
        """Steps after which a sentence of so many symbols is cut."""
        seconds = 1.0 + self.seconds_per_symbol * num_symbols
        return max(int(self.model.num_steps(round(seconds * self.spec.frame_rate))), 1)


EXPERIMENTS: dict[str, TacotronConfig] = {
    "tacotron2": TacotronConfig(name="tacotron2", model=PRESETS["tacotron2"], text=NVIDIA),
    "tacotron-16k-small": TacotronConfig(
        name="tacotron-16k-small",
        model=PRESETS["tacotron-16k-small"],
        data=SpokenConfig(bucket_seconds=(2.25, 3.5, 6.0), symbols_per_second=16.0),
        optimizer=OptimizerConfig(
            learning_rate=2e-3,
            schedule="cosine",
            warmup_steps=50,
            decay_steps=20_000,
            end_learning_rate=5e-5,
            betas=(0.9, 0.98),
            clip_norm=1.0,
        ),
        training=TrainingConfig(batch_size=32, num_steps=20_000, exhibit_every=1000),
        losses=TacotronLossConfig(
            mel=1.0, mel_squared=0.1, last_gate=8.0, aligned=0.5, guided=1.0, teacher_dropout=0.15, quietest=-10.0
        ),
    ),
}
"""By name: the published one, and one that a CPU can train."""
