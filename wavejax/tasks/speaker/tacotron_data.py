"""The data of a Tacotron 2: utterances of a prepared corpus with their symbols and how long each takes."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from wavejax.data import Corpus
from wavejax.data.alignments import ALIGNMENTS_NAME, AlignmentError
from wavejax.data.utterances import Utterances
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.speaker import data as spoken
from wavejax.tasks.speaker.data import SpeakerData, open_spoken
from wavejax.text import TextError
from wavejax.text.published import in_symbols_of

_ENDLESS = 2**30
_NOT_READ = ("pitch", "f0")
"""Of the batches of other speakers."""


class TacotronData(SpeakerData):
    """A corpus whose utterances are aligned, in batches of a few shapes; pitch is not needed."""

    def listed(self, split: str) -> Utterances:
        """Those of a split that can be learnt from. Raises ValueError where there are none."""
        config: Any = self.config
        return Utterances(
            self.corpus,
            split,
            config.text,
            config.buckets,
            num_frames=config.spec.num_frames,
            features=lambda position: self.corpus.load(position)[1],
            capacity=lambda frames: _ENDLESS,  # a space between words may take no frame
            labels=self.symbols,
            beside=self.beside,
        )

    def symbols(self, position: int) -> np.ndarray:
        """The classes int32 [L] of an utterance's phones. Raises TextError as `SpeakerData.symbols`."""
        aligned = self.alignments.get(self.corpus.entries[position].id)
        if aligned is None:
            raise TextError(f"no alignment in {ALIGNMENTS_NAME}")
        return self.config.text.encode_symbols(in_symbols_of(self.config.text, aligned.symbols))

    def beside(self, position: int) -> Mapping[str, np.ndarray]:
        """What goes with the symbols of an utterance: "durations" in frames, and its "speaker"."""
        if position not in self._beside:
            entry = self.corpus.entries[position]
            try:
                durations = self.alignments[entry.id].durations(entry.num_frames, self.config.spec)
            except AlignmentError as error:
                raise ExperimentError(f"{error}; align the corpus again") from None
            self._beside[position] = {"durations": durations, "speaker": np.asarray(entry.speaker, np.int32)}
        return self._beside[position]


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
