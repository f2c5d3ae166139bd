"""Crops of recordings as the data of an experiment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from wavejax.audio.conversion import SpecMismatch
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.data import Corpus, embedded_corpus, training_batches, validation_batches
from wavejax.experiments.autoregressive.resident import resident_batches
from wavejax.experiments.config import SoundConfig
from wavejax.experiments.metadata import ExperimentError
from wavejax.parallel import Strategy


@dataclass(frozen=True)
class CropData:
    """A corpus of recordings, cut into crops of `config.crop_shape`."""

    config: Any
    """A `SoundConfig` with a `crop_shape`."""
    corpus: Corpus

    @property
    def speakers(self) -> Sequence[str]:
        """Of the corpus."""
        return self.corpus.speakers

    @property
    def labels(self) -> Mapping[str, Any]:
        """The speakers' names, where the model tells them apart."""
        return {"speakers": list(self.corpus.speakers) if self.config.model.num_speakers else []}

    def has(self, split: str) -> bool:
        """Whether a split holds an utterance."""
        return self.corpus.has(split)

    def training(self, start_step: int, rows: slice, strategy: Strategy) -> Iterator[Mapping[str, Any]]:
        """Random crops; on the devices where `data.resident` says so."""
        config = self.config
        options: dict[str, Any] = {
            "batch_size": config.training.batch_size,
            "seed": config.training.seed,
            "num_threads": config.data.num_threads,
            "rows": rows,
            "start_step": start_step,
        }
        if config.data.resident:
            return resident_batches(self.corpus, "train", config.crop_shape, strategy, **options)
        return training_batches(self.corpus, "train", config.crop_shape, **options)

    def held_out(self, split: str, rows: slice) -> Iterator[Mapping[str, Any]]:
        """Crops that cover a split once."""
        batch_size = self.config.training.batch_size
        return validation_batches(self.corpus, split, self.config.crop_shape, batch_size=batch_size, rows=rows)


def open_crops(config: Any, corpus: Corpus | None) -> CropData:
    """The data of an experiment whose frames are those of a `FeatureSpec`.

    Raises:
        SpecMismatch, ExperimentError: see `check_corpus`; ManifestError, RecordError: the folder is no sound corpus.
    """
    if corpus is None:
        corpus = named_corpus(config.data.corpus, config.spec)
    check_corpus(config, corpus)
    return CropData(config, corpus)


def named_corpus(name: str, spec: FeatureSpec) -> Corpus:
    """The prepared corpus in a folder, or for "embedded" the recordings that ship, with features of that spec."""
    return embedded_corpus(spec) if name == "embedded" else Corpus.open(name)


def check_corpus(config: SoundConfig, corpus: Corpus) -> None:
    """Refuse a corpus of other features, of another rate, or with speakers that the model has no place for."""
    if config.is_conditioned and corpus.spec != config.spec:
        raise SpecMismatch(
            "the corpus (source) holds features of another spec than the model (target) reads; prepare it again with "
            f"--spec {config.spec.name}.",
            corpus.spec,
            config.spec,
        )
    if corpus.sample_rate != config.spec.sample_rate:
        raise ExperimentError(
            f"the corpus is at {corpus.sample_rate} Hz but the model at {config.spec.sample_rate} Hz: prepare "
            f"it again with --spec {config.spec.name}"
        )
    known, found = config.model.num_speakers, len(corpus.speakers)
    if known and found > known:
        raise ExperimentError(
            f"the corpus has {found} speakers but the model only {known}: set model.num_speakers={found}"
        )


def batch_shapes(config: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the global batch, as `training_batches` gives it."""
    shape, rows = config.crop_shape, config.training.batch_size
    frames = shape.frames_before + shape.num_frames(config.spec.hop_length) + shape.frames_after
    return {
        "waveform": jax.ShapeDtypeStruct((rows, shape.history + shape.length), jnp.float32),
        "mask": jax.ShapeDtypeStruct((rows, shape.length), jnp.bool_),
        "local_conditioning": jax.ShapeDtypeStruct((rows, frames, config.spec.num_channels), jnp.float32),
        "speaker": jax.ShapeDtypeStruct((rows,), jnp.int32),
        "id": jax.ShapeDtypeStruct((rows,), jnp.uint32),
    }
