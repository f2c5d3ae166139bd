"""The data of speakers: utterances of a prepared corpus with their phones, how long each takes, and its pitch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from wavejax.audio.conversion import SpecMismatch
from wavejax.data import Corpus
from wavejax.data.alignments import ALIGNMENTS_NAME, AlignedUtterance, AlignmentError, read_alignments
from wavejax.data.records import dequantize_waveform
from wavejax.data.utterances import Bucket, Utterances
from wavejax.evaluation.pitch import pitch_of_frames
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.utterances import UtteranceData
from wavejax.tasks.speaker.config import VoiceConfig
from wavejax.text import TextError

_ENDLESS = 2**30


@dataclass(frozen=True, eq=False)
class SpeakerData(UtteranceData):
    """A corpus whose utterances are aligned, in batches of a few shapes."""

    config: VoiceConfig
    corpus: Corpus
    alignments: Mapping[str, AlignedUtterance]
    _beside: dict[int, Mapping[str, np.ndarray]] = field(default_factory=dict, init=False, repr=False)
    _tracks: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @property
    def speakers(self) -> Sequence[str]:
        """All speakers of the corpus."""
        return self.corpus.speakers

    @property
    def labels(self) -> Mapping[str, Any]:
        """The speakers, where the model tells them apart."""
        return {"speakers": list(self.corpus.speakers)} if self.config.model.num_speakers else {}

    def listed(self, split: str) -> Utterances:
        """Those of a split that can be learnt from. Raises ValueError where there are none."""
        config = self.config
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
            along=self.along,
        )

    def symbols(self, position: int) -> Int[np.ndarray, " symbols"]:
        """The classes int32 [L] of an utterance's phones.

        Raises TextError where it is not aligned, or as something that is no symbol of the text spec.
        """
        aligned = self.alignments.get(self.corpus.entries[position].id)
        if aligned is None:
            raise TextError(f"no alignment in {ALIGNMENTS_NAME}")
        return self.config.text.encode_symbols(self._written(aligned.symbols))

    def _written(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        """An alignment's symbols as the text spec has them."""
        return symbols

    def beside(self, position: int) -> Mapping[str, np.ndarray]:
        """What goes with the symbols of an utterance: "durations" in frames, "pitch" in Hz, and its "speaker"."""
        if position not in self._beside:
            entry = self.corpus.entries[position]
            try:
                durations = self.alignments[entry.id].durations(entry.num_frames, self.config.spec)
            except AlignmentError as error:
                raise ExperimentError(f"{error}; align the corpus again") from None
            speaker = np.asarray(entry.speaker, np.int32)
            self._beside[position] = {"durations": durations, **self._pitch(position, durations), "speaker": speaker}
        return self._beside[position]

    def along(self, position: int) -> Mapping[str, np.ndarray]:
        """What goes with the frames of an utterance: "f0" in Hz."""
        return {"f0": self.track(position)}

    def _pitch(self, position: int, durations: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"pitch": mean_pitch(self.track(position), durations)}

    def track(self, position: int) -> Float[np.ndarray, " frames"]:
        """F0 float32 [F] of an utterance's frames in Hz, 0 where unvoiced, measured when it is first needed.

        Raises MissingExtra without pyworld.
        """
        if position not in self._tracks:
            spec, count = self.config.spec, self.corpus.entries[position].num_frames
            waveform = dequantize_waveform(self.corpus.load(position)[0])
            found = pitch_of_frames(waveform, spec.sample_rate, spec.hop_length, spec.frame_centre)[:count]
            self._tracks[position] = np.pad(found, (0, count - len(found))).astype(np.float32)
        return self._tracks[position]


def mean_pitch(track: Float[np.ndarray, " frames"], durations: Int[np.ndarray, " symbols"]) -> np.ndarray:
    """The mean F0 float32 [L] of each symbol in Hz, over its voiced frames; 0 where fewer than half of them are."""
    ends = np.cumsum(durations)
    found = np.zeros(len(durations), np.float32)
    for place, (end, count) in enumerate(zip(ends, durations, strict=True)):
        own = track[end - count : end]
        voiced = own[own > 0]
        if len(voiced) and 2 * len(voiced) >= len(own):
            found[place] = np.exp(np.mean(np.log(voiced)))
    return found


def open_spoken(config: Any, corpus: Corpus | None, folder: str | None = None) -> SpeakerData:
    """The data of an experiment; of another `folder` than it names, where one is given.

    Raises:
        ExperimentError: the corpus has no alignments; or other speakers than the model tells apart.
        SpecMismatch: it holds other features than the model makes.
        AlignmentError, ManifestError, RecordError: the folder is no sound corpus.
    """
    named = config.data.corpus if folder is None else folder
    if named == "embedded" or not (Path(named) / ALIGNMENTS_NAME).is_file():
        where = "the recordings that ship have" if named == "embedded" else f"{named} has"
        raise ExperimentError(
            f"{where} no {ALIGNMENTS_NAME}, the times of phones, which a speaker learns from: make a corpus with "
            "scripts/make_synthetic_speech, or align one of your own; prepare it and name it as data.corpus"
        )
    opened = Corpus.open(named) if corpus is None else corpus
    if opened.spec != config.spec:
        raise SpecMismatch(
            "the corpus (source) holds features of another spec than the model (target) makes; prepare it again with "
            f"--spec {config.spec.name}.",
            opened.spec,
            config.spec,
        )
    known = config.model.num_speakers
    if known and known != len(opened.speakers):
        raise ExperimentError(
            f"the corpus has {len(opened.speakers)} speakers, the model tells {known} apart: set "
            f"model.num_speakers={len(opened.speakers)}"
        )
    return SpeakerData(config, opened, read_alignments(Path(named) / ALIGNMENTS_NAME))


def batch_shapes(config: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the global batch of the longest utterances."""
    return _shapes(config, config.buckets[-1])


def smaller_batches(config: Any) -> tuple[dict[str, jax.ShapeDtypeStruct], ...]:
    """Those of shorter ones."""
    return tuple(_shapes(config, bucket) for bucket in config.buckets[:-1])


def _shapes(config: Any, bucket: Bucket) -> dict[str, jax.ShapeDtypeStruct]:
    rows, integer, real = config.training.batch_size, jnp.int32, jnp.float32
    symbols = (rows, bucket.num_labels)
    return {
        "features": jax.ShapeDtypeStruct((rows, bucket.num_frames, config.spec.num_channels), real),
        "num_frames": jax.ShapeDtypeStruct((rows,), integer),
        "labels": jax.ShapeDtypeStruct(symbols, integer),
        "num_labels": jax.ShapeDtypeStruct((rows,), integer),
        "id": jax.ShapeDtypeStruct((rows,), jnp.uint32),
        "durations": jax.ShapeDtypeStruct(symbols, integer),
        "pitch": jax.ShapeDtypeStruct(symbols, real),
        "f0": jax.ShapeDtypeStruct((rows, bucket.num_frames), real),
        "speaker": jax.ShapeDtypeStruct((rows,), integer),
    }
