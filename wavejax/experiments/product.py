"""What people hold: a trained model with its configuration, its parameters and its labels."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from wavejax.experiments.config import ExperimentConfig
from wavejax.nn.parameters import count_parameters
from wavejax.types import Params

C_co = TypeVar("C_co", bound=ExperimentConfig, covariant=True)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Product(Generic[C_co]):
    """A trained model. Families subclass it; two of them are equal only if they are the same object."""

    kind: ClassVar[str] = "model"
    """What people call it, in the singular: "vocoder"."""

    config: C_co
    params: Params
    """float32, nested by name; `generation` and the product itself read them, nobody else."""
    labels: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the checkpoint remembers of its corpus."""
    step: int | None = None
    """Of training; None for exported parameters."""
    source: str = ""
    """The folder, URL or name that it was loaded from."""
    folder: Path | None = None
    """Its files on this machine: what lies beside the parameters (a language model, a voicing) is read here."""

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the speakers that it tells apart, in the order of their ids."""
        return tuple(self.labels.get("speakers", ()))

    def __repr__(self) -> str:
        step = "" if self.step is None else f", step {self.step}"
        source = f" from {self.source!r}" if self.source else ""
        return f"<{type(self).__name__} {self.config.name}{step}{source}, {count_parameters(self.params):,} parameters>"
