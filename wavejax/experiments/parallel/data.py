"""Windows of recordings as the data of an experiment: crops, and their pitch where a model is taught it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.data import Corpus
from wavejax.data.crops import training_places
from wavejax.evaluation.pitch import pitch_of_frames
from wavejax.experiments.autoregressive.data import CropData, batch_shapes, open_crops
from wavejax.experiments.parallel.config import ParallelConfig
from wavejax.parallel import Strategy


def is_taught_pitch(config: ParallelConfig) -> bool:
    """Whether the experiment needs the F0 of its examples."""
    return config.losses.pitch > 0 and hasattr(config.model.build(), "pitch_of")


@dataclass(frozen=True)
class PitchedCrops(CropData):
    """Crops with their F0: "pitch" float32 [rows, frames], Hz, 0 where unvoiced."""

    tracks: dict[int, np.ndarray] = field(default_factory=dict, compare=False)
    """Of the recordings that were met, by their number in the corpus."""

    def training(self, start_step: int, rows: slice, strategy: Strategy) -> Iterator[Mapping[str, Any]]:
        """Random crops."""
        config = self.config
        places = training_places(
            self.corpus,
            "train",
            config.crop_shape,
            batch_size=config.training.batch_size,
            seed=config.training.seed,
            start_step=start_step,
            rows=rows,
            num_threads=1,
        )
        for batch, where in zip(super().training(start_step, rows, strategy), places, strict=True):
            tracks = [self._track(int(number))[first:] for number, first in where]
            yield {**batch, "pitch": self._stacked(tracks)}

    def held_out(self, split: str, rows: slice) -> Iterator[Mapping[str, Any]]:
        """Crops that cover a split once."""
        for batch in super().held_out(split, rows):
            yield {**batch, "pitch": self._stacked([self._pitch(row) for row in batch["waveform"]])}

    def _track(self, number: int) -> np.ndarray:
        if number not in self.tracks:
            self.tracks[number] = self._pitch(self.corpus.utterance(number).waveform)
        return self.tracks[number]

    def _pitch(self, waveform: np.ndarray) -> np.ndarray:
        spec = self.config.spec
        return pitch_of_frames(waveform, spec.sample_rate, spec.hop_length, spec.frame_centre).astype(np.float32)

    def _stacked(self, tracks: list[np.ndarray]) -> np.ndarray:
        """The first frames of each track, zeros where it ends before."""
        count = self.config.crop_shape.num_frames(self.config.spec.hop_length)
        return np.stack([np.pad(track[:count], (0, max(count - len(track), 0))) for track in tracks])


def open_windows(config: Any, corpus: Corpus | None) -> CropData:
    """The data of an experiment; errors as `open_crops`."""
    crops = open_crops(config, corpus)
    return PitchedCrops(crops.config, crops.corpus) if is_taught_pitch(config) else crops


def window_shapes(config: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the global batch."""
    shapes = batch_shapes(config)
    if is_taught_pitch(config):
        rows = config.training.batch_size
        shapes["pitch"] = jax.ShapeDtypeStruct((rows, config.num_frames), jnp.float32)
    return shapes
