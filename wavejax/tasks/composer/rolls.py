"""Piano rolls of several instruments as data, and what experiments with the published MuseGAN networks state."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from wavejax.data.manifest import SPLITS
from wavejax.data.score_corpus import ScoreCorpus
from wavejax.data.scores import Note, Score, Track
from wavejax.experiments.config import CorpusConfig, ExperimentConfig
from wavejax.experiments.metadata import ExperimentError
from wavejax.models.musegan import LOWEST, TRACKS, RollsConfig
from wavejax.ranges import TEMPERATURE, check_ranges
from wavejax.tasks.composer.batches import PhraseBatches
from wavejax.tasks.composer.phrases import GameConfig, check_game
from wavejax.training.optimizers import OptimizerConfig

PROGRAMS: Mapping[str, range] = {"piano": range(0, 8), "guitar": range(24, 32), "bass": range(32, 40)}
"""General MIDI's programs of the tracks; drums have a channel of their own, and all else counts as strings, as in the
five-track versions of the Lakh piano rolls."""
PLAYED_BY: Mapping[str, int] = {"bass": 33, "drums": 0, "guitar": 25, "piano": 0, "strings": 48}
"""Programs of the tracks that are composed."""


@dataclass(frozen=True, kw_only=True)
class RollDataConfig(CorpusConfig):
    """Where rolls come from."""

    corpus: str = "scores"
    """A folder of scores made by `wavejax prepare` with as many steps a quarter note as the network has."""


@dataclass(frozen=True, kw_only=True)
class PublishedMuseGANConfig(ExperimentConfig):
    """Phrases of five instruments out of noise, by the published networks."""

    family: ClassVar[str] = "published-musegan"

    name: str = "published-musegan"
    model: RollsConfig
    data: RollDataConfig = RollDataConfig()
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3, betas=(0.5, 0.9))
    """The generator's."""
    critic_optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3, betas=(0.5, 0.9))
    training: GameConfig = GameConfig(num_steps=50_000, batch_size=64, keep_best=False)
    temperature: Annotated[float, TEMPERATURE] = 1.0
    """Multiplies the noise, where no other is asked for."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check_game(self.training)


class _Place(NamedTuple):
    piece: int
    start: int


@dataclass(frozen=True)
class RollData(PhraseBatches):
    """Phrases of the pieces in 4/4, each piece cut at its bar lines. A batch is a pure function of (seed, step)."""

    config: PublishedMuseGANConfig
    corpus: ScoreCorpus

    @cached_property
    def places(self) -> Mapping[str, Sequence[_Place]]:
        """Where phrases begin, in each split: from each bar on in training, elsewhere one after the other."""
        model, found = self.config.model, {split: list[_Place]() for split in SPLITS}
        for number, entry in enumerate(self.corpus.entries):
            score = entry.frame
            if score.metre == (4, 4):
                hop = model.steps_per_bar if entry.split == "train" else model.num_steps
                starts = range(score.upbeat, score.length - model.num_steps + 1, hop)
                found[entry.split] += [_Place(number, start) for start in starts]
        return found

    @property
    def _by_split(self) -> Mapping[str, Sequence[_Place]]:
        return self.places

    @property
    def _wanted(self) -> str:
        return f"phrase of {self.config.model.bars} bars of 4/4"

    def rolls(self, split: str) -> Iterator[Bool[np.ndarray, "bars steps pitches tracks"]]:
        """All phrases of a split."""
        return map(self._example, self._split(split))

    def _example(self, phrase: _Place) -> np.ndarray:
        return roll_of_score(self.corpus.piece(phrase.piece).score, phrase.start, self.config.model)


def track_of(track: Track) -> str:
    """Which of the five tracks an instrument belongs to."""
    if track.drums:
        return "drums"
    return next((name for name, programs in PROGRAMS.items() if track.program in programs), "strings")


def roll_of_score(score: Score, start: int, model: RollsConfig) -> Bool[np.ndarray, "bars steps pitches tracks"]:
    """The phrase that begins at a step. Notes beyond the pitches, and of tracks that the model lacks, are left out."""
    roll = np.zeros((model.num_steps, model.num_pitches, len(model.tracks)), bool)
    for track in score.tracks:
        name = track_of(track)
        if name not in model.tracks:
            continue
        for note in track.notes:
            pitch = note.pitch - LOWEST
            if 0 <= pitch < model.num_pitches and note.end > start and note.start < start + model.num_steps:
                roll[max(note.start - start, 0) : note.end - start, pitch, model.tracks.index(name)] = True
    return roll.reshape(model.shape)


def score_of_roll(roll: Bool[np.ndarray, "steps pitches tracks"], model: RollsConfig, tempo: float) -> Score:
    """A roll's notes: a pitch that sounds at consecutive steps is one note."""
    tracks = []
    for number, name in enumerate(model.tracks):
        padded = np.pad(roll[:, :, number].T, ((0, 0), (1, 1))).astype(np.int8)
        change = np.diff(padded, axis=1)
        pitches, starts = np.nonzero(change == 1)
        ends = np.nonzero(change == -1)[1]
        notes = [Note(int(a), int(b), int(pitch) + LOWEST) for pitch, a, b in zip(pitches, starts, ends, strict=True)]
        tracks.append(Track(name=name, program=PLAYED_BY[name], drums=name == "drums", notes=tuple(notes)))
    return Score(
        tracks=tuple(tracks),
        steps_per_quarter=model.steps_per_beat,
        tempo=tempo,
        metre=(model.beats_per_bar, 4),
        length=len(roll),
    )


def open_rolls(config: PublishedMuseGANConfig, corpus: ScoreCorpus | None) -> RollData:
    """The data of an experiment: the corpus in the folder that is configured, or one that is open already.

    Raises ExperimentError on a corpus on another grid; ManifestError where the folder is no sound corpus of scores.
    """
    opened = ScoreCorpus.open(config.data.corpus) if corpus is None else corpus
    steps = config.model.steps_per_beat
    if opened.steps_per_quarter != steps:
        raise ExperimentError(
            f"the corpus has {opened.steps_per_quarter} steps a quarter note, and the network {steps}: prepare it with "
            f"--steps-per-quarter {steps}"
        )
    return RollData(config, opened)


def roll_shapes(config: PublishedMuseGANConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the global batch."""
    rows = config.training.batch_size
    return {
        "examples": jax.ShapeDtypeStruct((rows, *config.model.shape), jnp.bool_),
        "mask": jax.ShapeDtypeStruct((rows,), jnp.bool_),
    }


__all__ = [
    "TRACKS",
    "PublishedMuseGANConfig",
    "RollData",
    "RollDataConfig",
    "open_rolls",
    "roll_of_score",
    "roll_shapes",
    "score_of_roll",
    "track_of",
]
