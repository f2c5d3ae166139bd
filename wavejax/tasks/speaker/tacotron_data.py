"""The data of a Tacotron 2: utterances of a prepared corpus with their symbols and how long each takes."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from wavejax.data import Corpus
from wavejax.tasks.speaker import data as spoken
from wavejax.tasks.speaker.data import SpeakerData, open_spoken
from wavejax.text.published import in_symbols_of

_NOT_READ = ("pitch", "f0")
"""Of the batches of other speakers."""


class TacotronData(SpeakerData):
    """A corpus whose utterances are aligned, in batches of a few shapes; pitch is not needed."""

    def along(self, position: int) -> Mapping[str, np.ndarray]:
        """Nothing goes with the frames."""
        return {}

    def _pitch(self, position: int, durations: np.ndarray) -> Mapping[str, np.ndarray]:
        return {}

    def _written(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        return in_symbols_of(self.config.text, symbols)


def open_aligned(config: Any, corpus: Corpus | None, folder: str | None = None) -> TacotronData:
    """The data of an experiment; arguments and errors as `open_spoken`."""
    opened = open_spoken(config, corpus, folder)
    return TacotronData(config, opened.corpus, opened.alignments)


def batch_shapes(config: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the global batch of the longest utterances."""
    return _read(spoken.batch_shapes(config))


def smaller_batches(config: Any) -> tuple[dict[str, jax.ShapeDtypeStruct], ...]:
    """Those of shorter ones."""
    return tuple(_read(shapes) for shapes in spoken.smaller_batches(config))


def _read(shapes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: shape for name, shape in shapes.items() if name not in _NOT_READ}


__all__ = ["TacotronData", "batch_shapes", "open_aligned", "smaller_batches"]
