"""What a recognised file is to become: a model, its features, and the table that makes its parameters."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from wavejax.audio import FeatureSpec
from wavejax.conversion.rules import Ignored, Rule
from wavejax.conversion.trials import FRAMES, Trial

Shapes = Mapping[str, tuple[int, ...]]
"""Tensors' shapes by name."""

LARGEST_WIDTH, MOST_BLOCKS = 1 << 14, 64
"""Of a network that is converted; published ones stay below a tenth. A file that says more is not built."""


class Plan(NamedTuple):
    """One conversion."""

    family: str
    """The family whose card reads the result."""
    name: str
    """Of the experiment: the preset that these sizes are, or are nearest to."""
    title: str
    """What the file is, for people."""
    model: Any
    """The model's configuration; its `build()` is a `ParallelModel`."""
    spec: FeatureSpec
    """The features that the model was trained on."""
    rules: tuple[Rule, ...]
    ignored: tuple[Ignored, ...]
    settings: Mapping[str, Any] | None = None
    """Further fields of the family's configuration; None: the spec, which a speaker's model holds itself."""


class Source(NamedTuple):
    """A project whose files are converted."""

    project: str
    recognises: Callable[[Shapes], bool]
    """By the tensors' names alone."""
    plan: Callable[[Shapes], Plan]
    """Raises RefusedFile where the sizes are none that are known."""
    original: Callable[..., Any]
    """The source's own arithmetic, see `originals`: (tensors, configuration, mel [F, C]) -> waveform [T], or what
    the trial gives it and compares."""
    trial: Trial = FRAMES
