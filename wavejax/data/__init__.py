"""Corpora, from recordings to deterministic batches (floor 2). Nothing here imports jax."""

from wavejax.data.corpus import Corpus, StruckNote, Utterance, embedded_corpus
from wavejax.data.crops import CropShape, training_batches, training_places, validation_batches
from wavejax.data.manifest import Manifest, ManifestError, UtteranceEntry
from wavejax.data.prepare import PrepareError, PrepareReport, prepare
from wavejax.data.records import RecordError
from wavejax.data.sources import SourceError

__all__ = [
    "Corpus",
    "CropShape",
    "Manifest",
    "ManifestError",
    "PrepareError",
    "PrepareReport",
    "RecordError",
    "SourceError",
    "StruckNote",
    "Utterance",
    "UtteranceEntry",
    "embedded_corpus",
    "prepare",
    "training_batches",
    "training_places",
    "validation_batches",
]
