"""What a recognised file is to become: a model, its features, and the table that makes its parameters."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from wavejax.audio import FeatureSpec
from wavejax.conversion.rules import Ignored, Rule

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


class Source(NamedTuple):
    """A project whose files are converted."""

    project: str
    recognises: Callable[[Shapes], bool]
    """By the tensors' names alone."""
    plan: Callable[[Shapes], Plan]
    """Raises RefusedFile where the sizes are none that are known."""
    original: Callable[..., Any]
    """(tensors, configuration, mel [F, C]) -> waveform [T]: the source's own arithmetic, see `originals`."""
