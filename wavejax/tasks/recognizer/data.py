"""Recordings with transcripts as the data of an experiment."""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
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
from wavejax.experiments.utterances import UtteranceData
from wavejax.tasks.recognizer.config import RecognizerConfig
from wavejax.tasks.recognizer.features import features_of
from wavejax.tasks.recognizer.letter_times import letter_times
from wavejax.text import TextError
from wavejax.text.phonemic import in_phonemes

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RecognizerData(UtteranceData):
    """A corpus whose utterances have transcripts, in batches of a few shapes."""

    config: RecognizerConfig
    corpus: Corpus
    alignments: Mapping[str, AlignedUtterance] = dataclasses.field(default_factory=dict)
    """By the utterance's id; a model of phonemes learns their phones, one of letters at most their words' times."""

    @property
    def speakers(self) -> Sequence[str]:
        """None that a model could tell apart."""
        return ()

    @property
    def labels(self) -> Mapping[str, Any]:
        """Nothing: the symbols stand in the configuration."""
        return {}

    @property
    def short_steps(self) -> int:
        """Steps at the beginning that take short utterances only."""
        return int(self.config.data.short_steps)

    def listed(self, split: str) -> Utterances:
        """Those of a split that can be learnt from. Raises ValueError where there are none."""
        config = self.config
        model = config.model.build()
        found = Utterances(
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
        if _wants_times(config):
            timeless = [each.position for each in found.listed if not self.times(each.position)["ends"].any()]
            if timeless:
                _LOG.warning(
                    "%d of %d utterances of %s count nothing in losses.alignment, as no aligned words have their "
                    "letters: %s ...",
                    len(timeless),
                    len(found),
                    split,
                    self.corpus.entries[timeless[0]].id,
                )
        return found

    def transcript(self, entry: UtteranceEntry) -> str:
        """What is said in an utterance, as the text spec reads it: for one of phonemes the alignment's phones.

        Where a corpus has no alignments at all, its transcripts name phonemes themselves, or are read aloud. Nothing
        where there is no alignment of the utterance, or it cannot be read.
        """
        if not (self.config.text.phonemic and self.alignments):
            with contextlib.suppress(TextError):
                return in_phonemes(entry.transcript, self.config.text)
            return ""
        aligned = self.alignments.get(entry.id)
        return "" if aligned is None else " ".join("|" if symbol == " " else symbol for symbol in aligned.symbols)

    @functools.cache  # noqa: B019
    def times(self, position: int) -> Mapping[str, np.ndarray]:
        """When the symbols of an utterance begin ("starts") and end ("ends"), float32 [L], in frames of the result.

        Phones have their own times, letters those that `letter_times` gives them, both `losses.delay` later. All are 0,
        where there are none.
        """
        config, entry = self.config, self.corpus.entries[position]
        seconds = config.model.subsampling * config.spec.hop_length / config.spec.sample_rate
        known = self.alignments.get(entry.id)
        if config.text.phonemic:
            phones = () if known is None else known.phones
            times = np.asarray([(each.start, each.end) for each in phones], np.float64).reshape(-1, 2).T / seconds
        else:
            text = config.text.normalize(entry.transcript)
            found = None if known is None else letter_times(text, config.text, known, seconds)
            times = np.zeros((2, len(text))) if found is None else found
        times = np.where(times[1] > 0, times + getattr(config.losses, "delay", 0.0) / seconds, times)
        return {"starts": times[0].astype(np.float32), "ends": times[1].astype(np.float32)}

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
            f"losses.alignment learns from the times of words and phones, but {config.data.corpus} has no "
            f"{ALIGNMENTS_NAME}: align the corpus, or set losses.alignment=0"
        )
    return RecognizerData(config, corpus, alignments)


def _wants_times(config: Any) -> bool:
    return bool(getattr(config.losses, "alignment", 0.0))


def _alignments(config: RecognizerConfig) -> dict[str, AlignedUtterance]:
    """Those beside the corpus, if the model reads phonemes or learns times, and they are there."""
    path = Path(config.data.corpus) / ALIGNMENTS_NAME
    wanted = config.text.phonemic or _wants_times(config)
    return read_alignments(path) if wanted and path.is_file() else {}


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
