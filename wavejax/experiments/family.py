"""The family card: all that the middle of the house knows of a family, as a record of functions.

A family is a kind of model with its data, its loss and its product. Its card stands at the end of its task file. There
is one training loop; what varies is the step. The commands ask the card and name no family.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import PRNGKeyArray

from wavejax.evaluation.findings import Finding
from wavejax.experiments.config import ExperimentConfig
from wavejax.experiments.product import Product
from wavejax.parallel import Strategy
from wavejax.training import TrainState
from wavejax.types import Params, PyTree

C = TypeVar("C", bound=ExperimentConfig)
P = TypeVar("P", bound=Product[Any])

Batch = Mapping[str, Any]
"""Arrays by name, rows first."""


@runtime_checkable
class Data(Protocol):
    """A corpus that is opened for one experiment. Batches are pure functions of (seed, step)."""

    @property
    def labels(self) -> Mapping[str, Any]:
        """What a checkpoint must remember of the corpus, JSON-able: {"speakers": [...]}."""

    @property
    def speakers(self) -> Sequence[str]:
        """All speakers of the corpus, whether the model tells them apart or not; empty where there are none."""

    def training(self, start_step: int, rows: slice, strategy: Strategy) -> Iterator[Batch]:
        """These rows of the global batches from a step on, without end."""

    def has(self, split: str) -> bool:
        """Whether a split holds anything."""

    def held_out(self, split: str, rows: slice) -> Iterator[Batch]:
        """These rows of the batches that cover a split once."""


class Learner(NamedTuple):
    """How one experiment learns; knows no corpus and no product.

    `TrainState.model_state` may hold {"statistics": tree}: running statistics that are laid over the parameters for
    inference (`wavejax.nn.normalization`).
    """

    init: Callable[[PRNGKeyArray], TrainState]
    """The state before the first step; traceable, so that `jax.eval_shape` of it is what a checkpoint restores to."""
    step: Callable[[TrainState, PyTree], tuple[TrainState, dict[str, Any]]]
    """One update, as `make_train_step` or `make_two_player_step` gives it."""
    evaluate: Callable[[TrainState, PyTree], dict[str, Any]]
    """Sums over a held-out batch, as `make_eval_step` gives them."""
    adopt: Callable[[TrainState, Params, str], TrainState]
    """A fresh state that starts from given parameters, which the third argument names in errors; decides itself which
    leaves may grow. Raises ExperimentError on parameters that do not fit."""


class Figures(NamedTuple):
    """Figures of a configuration, which need no corpus and no training."""

    parameters: int
    macs_per_unit: int
    """Multiplications of the forward pass for one unit of what the model makes or hears."""
    unit: str
    """What is counted, in the plural: "samples", "frames"; the singular is without the s."""
    units_per_step: int
    """That count for the loss, in one step of training."""
    row_units: int
    """The same of one row of the batch."""
    product: tuple[int, int, int]
    """[rows, inputs] x [inputs, outputs] of the model's typical matrix product in training."""
    size: str
    """In a few words: "16 layers"."""
    units_per_second: float = 0.0
    """Of sound: with as many a second the model runs in real time; 0 where there is no sound."""
    overhead: float = 1.0
    """Units that are computed for each that counts."""
    rows: tuple[tuple[str, str], ...] = ()
    """(label, text) of what else `wavejax info` and the dry run say."""

    @property
    def one(self) -> str:
        """What is counted, in the singular."""
        return self.unit.removesuffix("s")


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """Something that a model made, for people to hear, see or read while it trains."""

    name: str
    waveform: np.ndarray | None = None
    """Float [T], with `sample_rate`."""
    sample_rate: int = 0
    image: np.ndarray | None = None
    """[height, width, 3] or [height, width], uint8 or float in [0, 1]."""
    text: str | None = None
    constant: bool = False
    """The same at every step, like a recording beside the model's: logged once."""


@runtime_checkable
class Evaluation(Protocol):
    """What an evaluator found."""

    def lines(self) -> Sequence[str]:
        """For the terminal."""

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-able."""

    def write(self, folder: Path) -> Path | None:
        """Write a page with its sounds into a folder, and say where it is; None where there is nothing to show."""


@runtime_checkable
class Evaluator(Protocol):
    """A dataclass whose fields are the options of `wavejax evaluate MODEL`."""

    def __call__(self, product: Any, say: Callable[[str], None]) -> Evaluation:
        """Judge a product; `say` is told what is being done."""


@runtime_checkable
class Doctor(Protocol):
    """A dataclass whose fields are the options of `wavejax doctor MODEL`."""

    def __call__(self, product: Any) -> Iterable[Finding]:
        """Find out what is wrong with a product."""


@dataclass(frozen=True, kw_only=True)
class Family(Generic[C, P]):
    """The card of a family. See docs/extending.md for one that is written from nothing."""

    config: type[C]
    product: type[P]
    presets: Mapping[str, C]
    """Complete experiments by name."""
    usage: Callable[[C, str], str]
    """The command that puts a trained model to use, given its configuration and its folder or name."""
    open_data: Callable[[C, Any], Data]
    """(configuration, corpus) -> data. The corpus is one that is open already, or None: the one that is configured."""
    batch_shapes: Callable[[C], Mapping[str, Any]]
    """`jax.ShapeDtypeStruct`s of the global batch; of the largest, where batches come in several shapes."""
    smaller_batches: Callable[[C], Sequence[Mapping[str, Any]]] = lambda config: ()
    """The other shapes of the global batch, such as those of shorter utterances: the step is compiled for each."""
    learner: Callable[[C], Learner]
    param_shapes: Callable[[C], PyTree] | None = None
    """Shapes of the parameters that a product holds, where they can be had sooner than from the learner's state."""
    figures: Callable[[C], Figures]
    exhibits: Callable[[P, Any], Iterator[Exhibit]] = lambda product, data: iter(())
    """What a product makes of the data that `open_data` opened, for people to look at."""
    evaluator: type[Evaluator] | None = None
    doctor: type[Doctor] | None = None
    completed: Callable[[P, Callable[[str], Any]], P] = lambda product, load: product
    """(product, load) -> the product with the other models that it needs in use, such as a speaker's vocoder, which
    `load` gives by name or folder. What is loaded, a training's exhibits do not have."""
    with_speakers: Callable[[C, Sequence[str]], C] | None = None
    """The configuration for a model that tells these speakers apart; None where the family knows none."""
    matters: tuple[str, ...] = ("model",)
    """Fields of the configuration that cannot change when a training goes on. All but `model` also have to be those of
    a model whose parameters a training starts from."""
    matters_to_state: tuple[str, ...] = ()
    """Further fields that cannot change when a training goes on, because they shape its state and not the product."""
    follow_labels: Callable[[Any, Mapping[str, Any]], Any] | None = None
    """(data, labels that a checkpoint remembers) -> the same data under those labels, so that what a model learnt of a
    speaker stays that speaker's; ExperimentError where that cannot be. None: other speakers are refused."""
    adopt_labels: Callable[[Any, P], tuple[Any, Params]] = lambda data, product: (data, product.params)
    """(data, product that a training starts from) -> (data, parameters), so that rows of parameters follow labels."""
    upgraded: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(default=lambda meta: meta)
    """Metadata of an earlier version of the family in today's names."""

    @property
    def name(self) -> str:
        """As checkpoints have it."""
        return self.config.family
