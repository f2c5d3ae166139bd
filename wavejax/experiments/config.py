"""What every experiment states: a model, its data, an optimizer and a training, in one frozen tree."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from wavejax.ranges import AT_LEAST_NONE, COUNT, ROWS, SHARE, TEMPERATURE, Range, check_ranges
from wavejax.training.optimizers import OptimizerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Where examples come from."""

    corpus: str = "embedded"
    """A folder made by `wavejax prepare`, or "embedded": the recordings that ship with the package."""
    num_threads: Annotated[int, Range(0, 1024)] = 2
    """Threads that read and cut examples."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"data.{name}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long, how wide, and how often to look."""

    num_steps: Annotated[int, Range(1, 2**31 - 1)] = 100_000
    max_minutes: Annotated[float, AT_LEAST_NONE] = 0.0
    """Above 0: stop and save after this many minutes, whatever num_steps says."""
    batch_size: Annotated[int, ROWS] = 8
    """Examples of one step, of all devices together."""
    accumulation_steps: Annotated[int, ROWS] = 1
    """Parts in which a batch is worked through, one after the other: less memory, the same update."""
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    ema_decay: Annotated[float, SHARE] = 0.999
    strategy: Literal["spmd", "pmap"] = "spmd"
    shard_optimizer: bool = False
    """Each device holds a part of the optimizer's moments and of the averages only (ZeRO stage 1; spmd only): less
    memory, one more exchange a step, equal to rounding. Checkpoints are the same; a run may go on with or without."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type; parameters, averages and log-probabilities stay float32."""
    overfit_batches: Annotated[int, AT_LEAST_NONE] = 0
    """Above 0: train on these first batches only, over and over (a model that cannot learn them is broken)."""
    log_every: Annotated[int, COUNT] = 20
    validate_every: Annotated[int, AT_LEAST_NONE] = 1000
    """Validation loss of the averaged parameters; 0: never."""
    exhibit_every: Annotated[int, AT_LEAST_NONE] = 5000
    """Sounds, pictures and texts that the model makes, for TensorBoard; 0: never."""
    checkpoint_every: Annotated[int, COUNT] = 1000
    keep_last: Annotated[int, Range(2)] = 3
    """How many of the newest checkpoints stay: a damaged newest one needs a predecessor."""
    keep_every: Annotated[int, AT_LEAST_NONE] = 0
    """Checkpoints of steps that are multiples of it stay for good; 0 for none."""
    keep_best: bool = True
    """The checkpoint with the lowest validation loss stays, too. Only checkpoints at whose step the loss was measured
    are compared: let validate_every be checkpoint_every, or divide it."""
    tensorboard: bool = True

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"training.{name}")
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
class ExperimentConfig:
    """An experiment. Each family subclasses it and narrows the fields' types, by which JSON is read.

    Fields hold numbers, strings, booleans, None, tuples and further frozen dataclasses: what JSON can carry. The shared
    code reads `family`, `name` and `training`; what `model`, `data` and `optimizer` hold is the family's own affair.
    """

    family: ClassVar[str]
    """The family's name, written into checkpoints; for families that ship, their row in `tasks.families.FAMILIES`."""

    name: str
    model: Any
    data: Any = CorpusConfig()
    """A `CorpusConfig`, or a dataclass of the family's own."""
    optimizer: Any = OptimizerConfig()
    """An `OptimizerConfig`, or a dataclass of the family's own from which its learner makes an optax transformation."""
    training: TrainingConfig = TrainingConfig()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundConfig(ExperimentConfig):
    """An experiment whose product makes sound."""

    spec: Any
    """What its frames say; gives the sample rate and the hop length in any case."""
    temperature: Annotated[float, TEMPERATURE] = 1.0
    """Of the draws, where none is asked for; to be chosen on the validation split."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def is_conditioned(self) -> bool:
        """Whether the model reads frames."""
        return self.model.hop_length is not None


def differences(old: Any, new: Any) -> str:
    """The fields in which two configurations of one class differ, in words: "skip_channels: 8 -> 9"."""
    names = [field.name for field in dataclasses.fields(old) if getattr(old, field.name) != getattr(new, field.name)]
    return ", ".join(f"{name}: {getattr(old, name)} -> {getattr(new, name)}" for name in names)
