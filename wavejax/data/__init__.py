"""Corpora, from recordings to deterministic batches (floor 2). Nothing here imports jax."""

from wavejax.data.corpus import Corpus, StruckNote, Utterance, embedded_corpus
from wavejax.data.crops import CropShape, training_batches, training_places, validation_batches
from wavejax.data.manifest import Manifest, ManifestError, UtteranceEntry
from wavejax.data.midi import MidiError
from wavejax.data.prepare import PrepareError, PrepareReport, prepare
from wavejax.data.records import RecordError
from wavejax.data.score_corpus import Piece, ScoreCorpus
from wavejax.data.scores import Note, Score, ScoreError, Track
from wavejax.data.sources import SourceError

__all__ = [
    "Corpus",
    "CropShape",
    "Manifest",
    "ManifestError",
    "MidiError",
    "Note",
    "Piece",
    "PrepareError",
    "PrepareReport",
    "RecordError",
    "Score",
    "ScoreCorpus",
    "ScoreError",
    "SourceError",
    "StruckNote",
    "Track",
    "Utterance",
    "UtteranceEntry",
    "embedded_corpus",
    "prepare",
    "training_batches",
    "training_places",
    "validation_batches",
]
