"""Crops of recordings as the data of an experiment."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.audio.conversion import SpecMismatch
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.data import Corpus, embedded_corpus, training_batches, validation_batches
from wavejax.data.corpus import unknown_speakers
from wavejax.data.texts import composed
from wavejax.experiments.autoregressive.product import SPEAKER_TABLE
from wavejax.experiments.autoregressive.resident import resident_batches
from wavejax.experiments.config import SoundConfig
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.sound import SoundModel
from wavejax.parallel import Strategy
from wavejax.types import Params


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


def corpus_for(product: SoundModel[Any], corpus: Corpus) -> Corpus:
    """A corpus as a trained model reads it: its speakers have the model's ids, whatever their order in the corpus.

    Raises:
        ExperimentError: a speaker whom the model does not know; see also `check_corpus`.
    """
    check_corpus(product.config, corpus)
    if not product.config.model.num_speakers or not product.speakers:
        return corpus
    if unknown := unknown_speakers(corpus, product.speakers):
        raise ExperimentError(
            f"the corpus has the speaker{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}, whom "
            f"{product.config.name} does not know: it knows {', '.join(product.speakers)}, the corpus has "
            f"{', '.join(corpus.speakers)}. Give the corpus that it was trained on"
        )
    return corpus.with_speakers(product.speakers)


def follow_labels(data: CropData, labels: Mapping[str, Any]) -> CropData:
    """The data with the ids that the labels of a checkpoint give its speakers; new speakers take ids that are free.

    Raises:
        ExperimentError: more speakers, old and new, than the model has ids for.
    """
    names, places = tuple(labels.get("speakers", ())), data.config.model.num_speakers
    if not names or not places:
        return data
    every = (*names, *unknown_speakers(data.corpus, names))
    if len(every) > places:
        raise ExperimentError(
            f"the model knows the speakers {', '.join(names)}, the corpus has {', '.join(data.corpus.speakers)}: "
            f"together they are {len(every)}, and the model has {places} ids. Use the corpus it was trained on, or "
            f"start another training with init_from and model.num_speakers={len(every)}"
        )
    return dataclasses.replace(data, corpus=data.corpus.with_speakers(every))


def adopt_speakers(data: CropData, product: Any) -> tuple[CropData, Params]:
    """(data, parameters) for a training that starts from a product: rows of its table of speakers follow their names.

    All its speakers keep their ids where there is room; else those that the corpus has come first, with their rows.
    """
    names, places = tuple(product.speakers), data.config.model.num_speakers
    table = product.params.get(SPEAKER_TABLE)
    if not names or not places or table is None:
        return data, product.params
    new = unknown_speakers(data.corpus, names)
    if len(names) + len(new) <= places:
        return dataclasses.replace(data, corpus=data.corpus.with_speakers((*names, *new))), product.params
    heard = {composed(data.corpus.speakers[entry.speaker]) for entry in data.corpus.entries}
    kept = [number for number, name in enumerate(names) if composed(name) in heard]
    params: Params = {**product.params, SPEAKER_TABLE: np.asarray(table)[kept]}
    speakers = (*(names[number] for number in kept), *new)
    return dataclasses.replace(data, corpus=data.corpus.with_speakers(speakers)), params


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
