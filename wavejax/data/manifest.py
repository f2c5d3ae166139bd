"""The manifest of a prepared corpus: one JSON file with everything except the sound.

    {"format": 1, "feature_spec": {...}, "speakers": [name, ...], "shards": [[file, records], ...],
     "utterances": [{...}, ...]}

It is written last and atomically, so a folder with a manifest is a complete corpus.
"""

import contextlib
import gc
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Num

from wavejax.atomic import write_json
from wavejax.audio.levels import frame_levels_db
from wavejax.audio.notes import NoteSpec
from wavejax.audio.specs import FeatureSpec
from wavejax.data.manifest_types import check_types
from wavejax.documents import NotRegular, read_json
from wavejax.limits import MOST_MANIFEST_BYTES, check_sizes
from wavejax.terminal import quoted

FORMAT = 1
MANIFEST_NAME = "manifest.json"
SPLITS = ("train", "validation", "test")
SILENCE_BELOW_LOUD_DB = 45.0
SILENCE_FLOOR_DBFS = -75.0


class ManifestError(ValueError):
    """A folder holds no prepared corpus or a damaged one; the message names the folder and says what to do."""


@dataclass(frozen=True, kw_only=True)
class UtteranceEntry:
    """The manifest's entry of one utterance."""

    id: str
    """Unique within the corpus."""
    transcript: str
    """Empty if the recording has none."""
    speaker: int
    """Index into `Manifest.speakers`."""
    split: str
    """One of `SPLITS`."""
    num_samples: int
    num_frames: int
    active_runs: tuple[tuple[int, int], ...]
    """Half-open runs of blocks of `hop_length` samples that are not silent (see `active_blocks`)."""
    source: str
    """Path of the recording, relative to the source folder."""
    source_sha256: str
    """Hash of the recording's bytes."""
    shard: int
    index: int
    """Record `index` of shard `shard`."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A prepared corpus: the features it was prepared with, its speakers, shards and utterances."""

    spec: FeatureSpec | NoteSpec
    """The spec of the frames: log-mel features, or (in memory only) notes."""
    speakers: tuple[str, ...]
    shards: tuple[tuple[str, int], ...]
    """File name and number of records of each shard; empty for a corpus in memory."""
    utterances: tuple[UtteranceEntry, ...]

    def __post_init__(self) -> None:
        """Raises ValueError if an utterance has a speaker or a split that does not exist."""
        if len(set(self.speakers)) != len(self.speakers):
            raise ValueError(f"two speakers have one name among {', '.join(self.speakers)}; each needs its own")
        for utterance in self.utterances:
            if not 0 <= utterance.speaker < len(self.speakers):
                raise ValueError(
                    f"the utterance {utterance.id!r} is of speaker {utterance.speaker}, and there are "
                    f"{len(self.speakers)}, counted from 0 ({', '.join(self.speakers)})"
                )
            if utterance.split not in SPLITS:
                raise ValueError(
                    f"the utterance {utterance.id!r} is in the split {utterance.split!r}; splits are "
                    f"{', '.join(SPLITS)}"
                )

    @property
    def sample_rate(self) -> int:
        """Hz, of the spec."""
        return self.spec.sample_rate

    def indices(self, split: str) -> tuple[int, ...]:
        """Positions in `utterances` of one split. Raises ValueError for a split that does not exist or is empty."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; splits are {', '.join(SPLITS)}")
        found = tuple(i for i, utterance in enumerate(self.utterances) if utterance.split == split)
        if not found:
            counts = Counter(utterance.split for utterance in self.utterances)
            sizes = ", ".join(f"{name} {counts[name]}" for name in SPLITS)
            raise ValueError(
                f"the split {split!r} of this corpus is empty ({sizes} utterances); use another split, or prepare the "
                f"corpus again with a larger {split if split != 'train' else 'training'} part"
            )
        return found

    def speaker_index(self, name: str) -> int:
        """The number of a speaker. Raises ValueError, which lists the speakers."""
        if name not in self.speakers:
            raise ValueError(f"unknown speaker {name!r}; this corpus has {', '.join(self.speakers)}")
        return self.speakers.index(name)

    def seconds(self, split: str | None = None) -> float:
        """Total duration of one split or of all."""
        chosen = (u for u in self.utterances if split is None or u.split == split)
        return sum(u.num_samples for u in chosen) / self.sample_rate

    def save(self, folder: Path) -> None:
        """Writes `folder`/manifest.json atomically."""
        content = {
            "format": FORMAT,
            "feature_spec": self.spec.to_dict(),
            "speakers": self.speakers,
            "shards": self.shards,
            "utterances": [asdict(utterance) for utterance in self.utterances],
        }
        write_json(folder / MANIFEST_NAME, content)

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Reads `folder`/manifest.json. Raises ManifestError if it is missing, damaged or has another format."""
        path = Path(folder) / MANIFEST_NAME
        with _without_collections():
            content = _read(path)
            try:
                check_types(content)
                check_sizes(content["feature_spec"], "feature_spec")
                manifest = cls(
                    spec=FeatureSpec.from_dict(content["feature_spec"]),
                    speakers=tuple(content["speakers"]),
                    shards=tuple((name, count) for name, count in content["shards"]),
                    utterances=tuple(entry_from_dict(entry) for entry in content["utterances"]),
                )
                _check_places(manifest)
            except (KeyError, TypeError, ValueError) as error:
                raise ManifestError(
                    f"{path} is damaged ({error!r}); run `wavejax prepare` again to rewrite it"
                ) from error
        return manifest


def _read(path: Path) -> dict[str, Any]:
    """The JSON of a manifest in this format."""
    try:
        content = read_json(path, MOST_MANIFEST_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ManifestError(
            f"{path.parent} is not a prepared corpus (it has no {MANIFEST_NAME}); make one with "
            f"`wavejax prepare SOURCE {quoted(path.parent)}`, or finish an interrupted one with the same command as "
            "before"
        ) from error
    except (ValueError, NotRegular) as error:
        raise ManifestError(f"{path} is damaged ({error}); run `wavejax prepare` again to rewrite it") from error
    if isinstance(content, dict) and content.get("kind") == "scores":
        raise ManifestError(
            f"{path.parent} is a corpus of scores, not of recordings: it holds notes for composers, and no sound"
        )
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        got = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ManifestError(f"{path} has format {got!r}, this wavejax reads format {FORMAT}; prepare the corpus again")
    return content


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Turns off garbage collection, which would take most of the reading time: a manifest is a million objects."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def entry_from_dict(entry: Mapping[str, Any]) -> UtteranceEntry:
    """The entry from its JSON mapping (written by `dataclasses.asdict`). Raises KeyError if a field is missing."""
    values = {name: entry[name] for name in _FIELDS}
    values["active_runs"] = tuple([(start, stop) for start, stop in values["active_runs"]])
    return UtteranceEntry(**values)


_FIELDS = tuple(field.name for field in fields(UtteranceEntry))


def _check_places(manifest: Manifest) -> None:
    """Raises ValueError if an utterance refers to a record or to blocks that do not exist."""
    records = [count for _, count in manifest.shards]
    for utterance in manifest.utterances:
        if records and (utterance.shard >= len(records) or utterance.index >= records[utterance.shard]):
            raise ValueError(
                f"the utterance {utterance.id!r} is record {utterance.index} of shard {utterance.shard}, which is not "
                f"there: the {len(records)} shards hold {records[:10]} records"
            )
        blocks = -(-utterance.num_samples // manifest.spec.hop_length)
        if utterance.active_runs and utterance.active_runs[-1][1] > blocks:
            raise ValueError(f"active_runs of the utterance {utterance.id!r} reach beyond its {blocks} blocks")


# --- which parts of an utterance are silent ---------------------------------------------------------------------------


def active_blocks(waveform: Num[np.ndarray, " time"], hop_length: int) -> Bool[np.ndarray, " blocks"]:
    """True for each block of `hop_length` samples (the last may be shorter) that is not silent.

    A block is silent if its RMS lies 45 dB below the utterance's loud level (the 95th percentile of its blocks), or
    below -75 dB re full scale.
    """
    levels = frame_levels_db(waveform, frame_length=hop_length, hop_length=hop_length)
    return levels > max(float(np.percentile(levels, 95)) - SILENCE_BELOW_LOUD_DB, SILENCE_FLOOR_DBFS)


def runs_of(active: Bool[np.ndarray, " blocks"]) -> tuple[tuple[int, int], ...]:
    """The runs of True, as half-open intervals."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return tuple((int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True))


# --- which part of a corpus an utterance belongs to -------------------------------------------------------------------


def normalize_transcript(transcript: str) -> str:
    """Letters and digits in lower case with single spaces: two prompts are the same words if these are equal."""
    folded = unicodedata.normalize("NFKC", transcript).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in folded if c not in "'’").split())


def split_group(transcript: str, utterance_id: str) -> str:
    """The key that determines the split: equal words share one; a recording without words has its own."""
    return normalize_transcript(transcript) or f"id {utterance_id}"


def assign_splits(
    groups: Sequence[str], *, validation: float, test: float, fixed: Mapping[str, str] | None = None
) -> list[str]:
    """A split per utterance, from a hash of its group alone, so that adding recordings moves none of the others.

    `validation` and `test` are the fractions of all groups that are held out; `fixed` sets some groups by hand. If a
    held-out split with a fraction above 0 is empty and there are at least three groups, it gets the training group with
    the smallest hash. If all free groups are held out and training is empty, it gets the group with the largest hash.
    """
    fixed = fixed or {}
    fractions = {group: _fraction(group) for group in set(groups)}
    chosen = {}
    for group, fraction in fractions.items():
        drawn = "test" if fraction < test else "validation" if fraction < test + validation else "train"
        chosen[group] = fixed.get(group, drawn)
    drawn_groups = sorted((fraction, group) for group, fraction in fractions.items() if group not in fixed)
    if drawn_groups and "train" not in chosen.values():
        chosen[drawn_groups[-1][1]] = "train"
    for split, part in (("validation", validation), ("test", test)):
        free = sorted((fractions[g], g) for g, s in chosen.items() if s == "train" and g not in fixed)
        if part > 0 and split not in chosen.values() and len(chosen) >= 3 and len(free) > 1:
            chosen[free[0][1]] = split
    return [chosen[group] for group in groups]


def _fraction(group: str) -> float:
    """A number in [0, 1), uniformly distributed, that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
