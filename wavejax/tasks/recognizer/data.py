"""Recordings with transcripts as the data of an experiment."""

import dataclasses
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.audio.conversion import SpecMismatch
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.data import Corpus, embedded_corpus
from wavejax.data.alignments import ALIGNMENTS_NAME, AlignedUtterance, read_alignments
from wavejax.data.manifest import UtteranceEntry
from wavejax.data.records import dequantize_waveform
from wavejax.data.utterances import Bucket, Utterances
from wavejax.experiments.metadata import ExperimentError
from wavejax.parallel import Strategy
from wavejax.tasks.recognizer.config import RecognizerConfig
from wavejax.tasks.recognizer.features import features_of

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RecognizerData:
    """A corpus whose utterances have transcripts, in batches of a few shapes."""

    config: RecognizerConfig
    corpus: Corpus
    alignments: Mapping[str, AlignedUtterance] = dataclasses.field(default_factory=dict)
    """By the utterance's id; a model of phonemes learns from their phones."""

    @property
    def speakers(self) -> Sequence[str]:
        """None that a model could tell apart."""
        return ()

    @property
    def labels(self) -> Mapping[str, Any]:
        """Nothing: the symbols stand in the configuration."""
        return {}

    def has(self, split: str) -> bool:
        """Whether a split holds an utterance that can be read; where it holds only others, the log says why."""
        if not self.corpus.has(split):
            return False
        try:
            return bool(self.utterances(split))
        except ValueError as error:
            _LOG.warning("%s", error)
            return False

    def training(self, start_step: int, rows: slice, strategy: Strategy) -> Iterator[Mapping[str, Any]]:
        """Utterances of about equal length, without end."""
        config = self.config
        return self.utterances("train").batches(
            batch_size=config.training.batch_size,
            seed=config.training.seed,
            start_step=start_step,
            rows=rows,
            short_steps=config.data.short_steps,
            num_threads=config.data.num_threads,
        )

    def held_out(self, split: str, rows: slice) -> Iterator[Mapping[str, Any]]:
        """Every utterance of a split once."""
        return self.utterances(split).once(self.config.training.batch_size, rows)

    @functools.cache  # noqa: B019  (what is left out is named once)
    def utterances(self, split: str) -> Utterances:
        """Those of a split that can be learnt from. Raises ValueError where there are none."""
        config = self.config
        model = config.model.build()
        return Utterances(
            self.corpus,
            split,
            config.text,
            config.buckets,
            num_frames=config.spec.num_frames,
            features=self.features,
            capacity=model.most_labels,
            labels=lambda position: config.text.labels(self.transcript(self.corpus.entries[position])),
            beside=self.times if _wants_times(config) else None,
        )

    def transcript(self, entry: UtteranceEntry) -> str:
        """What is said in an utterance, as the text spec reads it: for one of phonemes the alignment's phones.

        Where a corpus has no alignments at all, its transcripts name phonemes themselves.
        """
        if not (self.config.text.phonemic and self.alignments):
            return entry.transcript
        aligned = self.alignments.get(entry.id)
        return "" if aligned is None else " ".join("|" if symbol == " " else symbol for symbol in aligned.symbols)

    def times(self, position: int) -> Mapping[str, np.ndarray]:
        """When the phones of an utterance begin ("starts") and end ("ends"), float32 [L], in frames of the result."""
        config = self.config
        seconds = config.model.subsampling * config.spec.hop_length / config.spec.sample_rate
        phones = self.alignments[self.corpus.entries[position].id].phones
        times = np.asarray([(each.start, each.end) for each in phones]) / seconds
        return {"starts": times[:, 0].astype(np.float32), "ends": times[:, 1].astype(np.float32)}

    def features(self, position: int) -> np.ndarray:
        """Frames [F, C] of an utterance, as the model reads them: the corpus' own, or computed once."""
        if isinstance(self.config.spec, FeatureSpec):
            return self.corpus.load(position)[1]
        return self._computed(position)

    @functools.cache  # noqa: B019
    def _computed(self, position: int) -> np.ndarray:
        return features_of(dequantize_waveform(self.corpus.load(position)[0]), self.config.spec)


def open_utterances(config: Any, corpus: Corpus | None) -> RecognizerData:
    """The data of an experiment.

    Raises:
        SpecMismatch: the corpus holds other features than the model reads.
        ExperimentError: the corpus is of another sample rate.
        ManifestError, RecordError: the folder is no sound corpus.
    """
    if corpus is None:
        corpus = transcribed_corpus(config.data.corpus, config.spec)
    if corpus.sample_rate != config.spec.sample_rate:
        raise ExperimentError(
            f"the corpus is at {corpus.sample_rate} Hz but the model at {config.spec.sample_rate} Hz: prepare it again "
            "with a spec of that rate (--spec speech-16k is at 16000 Hz)"
        )
    if isinstance(config.spec, FeatureSpec) and corpus.spec != config.spec:
        raise SpecMismatch(
            "the corpus (source) holds features of another spec than the model (target) reads; prepare it again with "
            f"--spec {config.spec.name}.",
            corpus.spec,
            config.spec,
        )
    alignments = _alignments(config)
    if _wants_times(config) and not alignments:
        raise ExperimentError(
            f"losses.alignment learns from the times of phones, but {config.data.corpus} has no {ALIGNMENTS_NAME}: "
            "align the corpus, or set losses.alignment=0"
        )
    return RecognizerData(config, corpus, alignments)


def _wants_times(config: Any) -> bool:
    return bool(getattr(config.losses, "alignment", 0.0))


def _alignments(config: RecognizerConfig) -> dict[str, AlignedUtterance]:
    """Those beside the corpus, if the model reads phonemes and they are there."""
    path = Path(config.data.corpus) / ALIGNMENTS_NAME
    return read_alignments(path) if config.text.phonemic and path.is_file() else {}


def transcribed_corpus(name: str, spec: Any) -> Corpus:
    """The prepared corpus in a folder, or for "embedded" the recordings that ship."""
    if name != "embedded":
        return Corpus.open(name)
    return embedded_corpus(spec) if isinstance(spec, FeatureSpec) else embedded_corpus()


def batch_shapes(config: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the global batch of the longest utterances."""
    return _shapes(config, config.buckets[-1])


def smaller_batches(config: Any) -> tuple[dict[str, jax.ShapeDtypeStruct], ...]:
    """Those of shorter ones."""
    return tuple(_shapes(config, bucket) for bucket in config.buckets[:-1])


def _shapes(config: Any, bucket: Bucket) -> dict[str, jax.ShapeDtypeStruct]:
    rows = config.training.batch_size
    times = jax.ShapeDtypeStruct((rows, bucket.num_labels), jnp.float32)
    return {
        **({"starts": times, "ends": times} if _wants_times(config) else {}),
        "features": jax.ShapeDtypeStruct((rows, bucket.num_frames, config.spec.num_channels), jnp.float32),
        "num_frames": jax.ShapeDtypeStruct((rows,), jnp.int32),
        "labels": jax.ShapeDtypeStruct((rows, bucket.num_labels), jnp.int32),
        "num_labels": jax.ShapeDtypeStruct((rows,), jnp.int32),
        "id": jax.ShapeDtypeStruct((rows,), jnp.uint32),
    }
