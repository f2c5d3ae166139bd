"""A readable corpus: prepared on disk, or held in memory like the recordings that ship with wavejax."""

import functools
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int16

from wavejax.audio.files import read_audio
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.notes import NoteSpec
from wavejax.audio.orientation import frames_first
from wavejax.audio.specs import FeatureSpec, get_spec
from wavejax.data.manifest import SPLITS, Manifest, ManifestError, UtteranceEntry, active_blocks, runs_of
from wavejax.data.records import RecordError, ShardReader, decode_record, dequantize_waveform, quantize_waveform
from wavejax.data.tables import read_metadata
from wavejax.data.texts import composed

Recorded = tuple[Int16[np.ndarray, "_"], Float[np.ndarray, "_ _"]]
"""Stored samples int16 [T] and conditioning frames float32 [F, C] of one utterance."""

EMBEDDED_FOLDER = Path(__file__).parent / "embedded"
CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class StruckNote:
    """The note of an utterance in a corpus of notes."""

    midi: float
    """Number of the key that was struck."""
    shift: float = 0.0
    """Semitones by which the recording was resampled: its pitch is midi + shift."""


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One complete utterance."""

    id: str
    waveform: Float[np.ndarray, " time"]
    """float32 in [-1, 1)."""
    frames: Float[np.ndarray, "frames channels"]
    """Conditioning frames of exactly this waveform, as `Corpus.spec` describes: log-mel features, or note frames."""
    speaker: int
    transcript: str
    note: StruckNote | None = None
    """The note, in a corpus of notes (always in memory); None for prepared recordings on disk."""


@runtime_checkable
class Source(Protocol):
    """The place from which a corpus reads its utterances."""

    def load(self, position: int) -> Recorded:
        """Samples and frames of utterance `position`."""


class Corpus:
    """Numbered utterances and their manifest. Safe to read from several threads.

    `Corpus.open(folder)` opens the output of `wavejax prepare`; `embedded_corpus()` needs no preparation;
    `Corpus.in_memory(...)` builds a corpus from arrays.
    """

    def __init__(self, manifest: Manifest, source: Source, notes: Sequence[StruckNote | None] = ()) -> None:
        self.manifest = manifest
        self._source = source
        self._notes = notes or (None,) * len(manifest.utterances)

    @classmethod
    def open(cls, path: str | Path) -> "Corpus":
        """Opens a prepared folder. Raises ManifestError or RecordError, which say what is missing and what to do."""
        folder = Path(path)
        manifest = Manifest.load(folder)
        return cls(manifest, _RecordSource(folder, manifest))

    @classmethod
    def in_memory(
        cls,
        spec: FeatureSpec | NoteSpec,
        utterances: Iterable[Utterance],
        splits: Sequence[str],
        speakers: Sequence[str] = ("",),
    ) -> "Corpus":
        """A corpus of the given utterances; utterance i belongs to `splits[i]`. Waveforms are stored as int16."""
        entries: list[UtteranceEntry] = []
        recorded: list[Recorded] = []
        notes: list[StruckNote | None] = []
        for utterance, split in zip(utterances, splits, strict=True):
            samples = quantize_waveform(utterance.waveform)
            recorded.append((_read_only(samples), _read_only(utterance.frames)))
            notes.append(utterance.note)
            entries.append(
                UtteranceEntry(
                    id=utterance.id,
                    transcript=utterance.transcript,
                    speaker=utterance.speaker,
                    split=split,
                    num_samples=len(samples),
                    num_frames=len(utterance.frames),
                    active_runs=runs_of(active_blocks(utterance.waveform, spec.hop_length)),
                    source="",
                    source_sha256="",
                    shard=0,
                    index=len(entries),
                )
            )
        manifest = Manifest(spec=spec, speakers=tuple(speakers), shards=(), utterances=tuple(entries))
        return cls(manifest, _MemorySource(recorded), notes)

    @property
    def spec(self) -> FeatureSpec | NoteSpec:
        """The spec of the frames: log-mel features, or (in memory only) notes."""
        return self.manifest.spec

    @property
    def sample_rate(self) -> int:
        """Hz, of the spec."""
        return self.manifest.sample_rate

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names; `Utterance.speaker` is an index into them."""
        return self.manifest.speakers

    @property
    def entries(self) -> tuple[UtteranceEntry, ...]:
        """The manifest's entry of each utterance, in order."""
        return self.manifest.utterances

    def __len__(self) -> int:
        return len(self.entries)

    def has(self, split: str) -> bool:
        """Whether "train", "validation" or "test" has an utterance. Raises ValueError on the name of another split."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; splits are {', '.join(SPLITS)}")
        return any(entry.split == split for entry in self.entries)

    def speaker_index(self, name: str) -> int:
        """The number of a speaker. Raises ValueError, which lists the speakers."""
        return self.manifest.speaker_index(name)

    def with_speakers(self, names: Sequence[str]) -> "Corpus":
        """The same utterances with speakers numbered as in `names`, for example a model's speakers.

        Names are compared after Unicode normalisation. Raises ValueError, which prints both lists, if a speaker of an
        utterance is not in `names`.
        """
        if tuple(names) == self.speakers:
            return self
        unknown = unknown_speakers(self, names)
        if unknown:
            raise ValueError(
                f"the corpus has the speakers {', '.join(self.speakers)}, and {', '.join(unknown)} "
                f"{'is' if len(unknown) == 1 else 'are'} not among {', '.join(names)}"
            )
        places = {composed(name): place for place, name in enumerate(names)}
        number_of = [places.get(composed(name), 0) for name in self.speakers]  # 0: speakers without utterances
        entries = tuple(replace(entry, speaker=number_of[entry.speaker]) for entry in self.entries)
        manifest = replace(self.manifest, speakers=tuple(names), utterances=entries)
        return Corpus(manifest, self._source, self._notes)

    def seconds(self, split: str | None = None) -> float:
        """Total duration of one split or of all."""
        return self.manifest.seconds(split)

    def read_from(self, source: Source) -> "Corpus":
        """The same utterances, with samples and frames from another source."""
        return Corpus(self.manifest, source, self._notes)

    def indices(self, split: str = "train") -> tuple[int, ...]:
        """Numbers of the utterances in "train", "validation" or "test". Raises ValueError if the split is empty."""
        return self.manifest.indices(split)

    def load(self, position: int) -> Recorded:
        """Stored samples int16 [T] and frames [F, C] of one utterance: read-only arrays, not copied."""
        return self._source.load(position)

    def utterance(self, position: int) -> Utterance:
        """One complete utterance. Raises RecordError if its record is damaged."""
        entry = self.entries[position]
        samples, frames = self.load(position)
        return Utterance(
            id=entry.id,
            waveform=dequantize_waveform(samples),
            frames=frames_first(frames),
            speaker=entry.speaker,
            transcript=entry.transcript,
            note=self._notes[position],
        )

    def utterances(self, split: str = "train") -> Iterator[Utterance]:
        """The complete utterances of one split, in order."""
        return (self.utterance(position) for position in self.indices(split))

    def names_of(self, hashes: Iterable[int] | np.ndarray) -> list[str]:
        """The ids whose CRC-32 is among `hashes` (the `id` of a batch), for error reports."""
        wanted = {int(value) for value in hashes}
        return [entry.id for entry in self.entries if id_hash(entry.id) in wanted]


def unknown_speakers(corpus: Corpus, names: Sequence[str]) -> tuple[str, ...]:
    """Speakers of a corpus that are not among `names` (compared after Unicode normalisation), in the corpus' order."""
    known = {composed(name) for name in names}
    speaking = {entry.speaker for entry in corpus.entries}
    return tuple(
        name for number, name in enumerate(corpus.speakers) if number in speaking and composed(name) not in known
    )


def id_hash(utterance_id: str) -> int:
    """CRC-32 of an utterance id, which batches carry in place of the id."""
    return zlib.crc32(utterance_id.encode())


class _MemorySource:
    def __init__(self, recorded: Sequence[Recorded]) -> None:
        self._recorded = recorded

    def load(self, position: int) -> Recorded:
        return self._recorded[position]


class _RecordSource:
    """Records of a prepared folder. The most recently used ones stay decoded in memory, up to `CACHE_BYTES`."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        if not manifest.shards:
            raise ManifestError(f"the manifest of {folder} lists no shards; prepare the corpus again")
        paths = [folder / name for name, _ in manifest.shards]
        self._reader = ShardReader(paths, [count for _, count in manifest.shards])
        self._manifest = manifest
        self._cache: OrderedDict[int, Recorded] = OrderedDict()
        self._cached_bytes = 0
        self._lock = threading.Lock()

    def load(self, position: int) -> Recorded:
        with self._lock:
            if position in self._cache:
                self._cache.move_to_end(position)
                return self._cache[position]
        recorded = self._read(position)
        with self._lock:
            if position not in self._cache:
                self._cache[position] = recorded
                self._cached_bytes += _size(recorded)
            while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
                self._cached_bytes -= _size(self._cache.popitem(last=False)[1])
        return recorded

    def _read(self, position: int) -> Recorded:
        entry = self._manifest.utterances[position]
        samples, log_mel = decode_record(self._reader.read(entry.shard, entry.index), entry.id)
        expected = (entry.num_samples, entry.num_frames, self._manifest.spec.num_channels)
        if (len(samples), *log_mel.shape) != expected:
            raise RecordError(
                f"record of {entry.id} holds (samples, frames, bands) {(len(samples), *log_mel.shape)}, the manifest "
                f"says {expected}: shards and manifest are of different preparations; run `wavejax prepare` again"
            )
        return samples, log_mel


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _size(recorded: Recorded) -> int:
    return recorded[0].nbytes + recorded[1].nbytes


@functools.lru_cache(maxsize=2)
def embedded_corpus(spec: FeatureSpec | None = None) -> Corpus:
    """The recordings that ship with wavejax: 65 prompts, 3.7 minutes, one speaker, fixed splits.

    The first call decodes and analyses them in memory (a second or two), so neither preparation nor optional packages
    are needed. `spec` is `speech-16k` unless given. Recordings: Allison Smith, CC-BY-SA-3.0, see
    wavejax/data/embedded/CREDITS.md.
    """
    chosen = spec or get_spec("speech-16k")
    rows = read_metadata(EMBEDDED_FOLDER / "metadata.csv")
    utterances = []
    for row in rows:
        raw, _ = read_audio(EMBEDDED_FOLDER / f"{row.id}.flac", chosen.sample_rate)
        waveform = dequantize_waveform(quantize_waveform(raw))
        mel = log_mel_numpy(waveform, chosen)
        utterances.append(Utterance(id=row.id, waveform=waveform, frames=mel, speaker=0, transcript=row.transcript))
    return Corpus.in_memory(chosen, utterances, [row.split or "train" for row in rows], ("allison-en",))
