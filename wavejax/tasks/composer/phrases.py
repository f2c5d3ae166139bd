"""Phrases of a few bars as the data of an experiment, and what an experiment of two players states."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int16

from wavejax.data.score_corpus import ScoreCorpus
from wavejax.data.scores import HOLD
from wavejax.data.voices import transposed_codes
from wavejax.evaluation.music import key_of, sounding
from wavejax.experiments.config import CorpusConfig, ExperimentConfig, TrainingConfig
from wavejax.models.voices_gan import VoicesConfig
from wavejax.ranges import COUNT, SHARE, TEMPERATURE, Range, check_ranges
from wavejax.tasks.composer.batches import PhraseBatches
from wavejax.tasks.composer.data import Piece, classes_of, read_pieces
from wavejax.training.optimizers import OptimizerConfig

OPTIMIZER = OptimizerConfig(learning_rate=1e-3, betas=(0.5, 0.9))


@dataclass(frozen=True, kw_only=True)
class PhraseDataConfig(CorpusConfig):
    """Where phrases come from, and in which keys."""

    corpus: str = "scores"
    """A folder of scores made by `wavejax prepare`."""
    one_key: bool = True
    """Move each piece to C major or A minor; what is composed is moved to the key that is asked for. Otherwise each
    example is moved by up to five semitones down or six up, as its range allows."""


@dataclass(frozen=True, kw_only=True)
class GameConfig(TrainingConfig):
    """How long, how wide, how often to look, and how often the critic learns."""

    turns: Annotated[int, COUNT] = 5
    """Updates of the critic for each of the generator's."""
    split_rows: bool = False
    """Each turn of the critic takes its own part of the batch, and the generator all of it. Otherwise each turn takes
    the whole batch."""
    penalty: float = 10.0
    """Weight of the penalty on the critic's slope."""


@dataclass(frozen=True, kw_only=True)
class MuseGANConfig(ExperimentConfig):
    """Phrases of several voices out of noise, by a generator that learns against a critic."""

    family: ClassVar[str] = "musegan"

    name: str = "musegan"
    model: VoicesConfig
    data: PhraseDataConfig = PhraseDataConfig()
    optimizer: OptimizerConfig = OPTIMIZER
    """The generator's."""
    critic_optimizer: OptimizerConfig = OPTIMIZER
    training: GameConfig = GameConfig(
        num_steps=20_000,
        batch_size=80,
        split_rows=True,
        ema_decay=0.99,
        validate_every=500,
        exhibit_every=500,
        checkpoint_every=250,
        keep_best=False,
    )
    temperature: Annotated[float, TEMPERATURE] = 1.0
    """Of the draws, where none is asked for; to be chosen on the validation split."""
    common: Annotated[float, SHARE] = 0.0
    """Share of a phrase's noise that it has in common with the other phrases of its piece, so that they are alike; to
    be chosen on the validation split, too."""
    parallel_penalty: Annotated[float, Range(0, 100)] = 0.0
    """Nats by which parallel fifths and octaves are worth less in a draw than the network learnt. The validation split
    chooses it, too."""
    repeats: Annotated[float, SHARE] = 0.0
    """Chance that the second of each four phrases repeats the first, as in the bar form of chorales (A A B): the share
    of the training pieces that repeat bars in a row."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check_game(self.training)
        if self.parallel_penalty and not self.model.in_turn:
            raise ValueError(
                f"parallel_penalty {self.parallel_penalty} needs a model that draws its codes in turn: set "
                "model.in_turn, or leave the penalty at 0"
            )


def check_game(training: GameConfig) -> None:
    """Raises ValueError where the turns of the critic do not divide the batch that they share."""
    if training.split_rows and training.batch_size % training.turns:
        raise ValueError(
            f"training.batch_size {training.batch_size} is not a multiple of the critic's {training.turns} turns, "
            "which split_rows divides it among"
        )


class _Phrase(NamedTuple):
    codes: Int16[np.ndarray, "steps voices"]
    """In the key that the model learns in."""
    shifts: tuple[int, ...]
    """Transpositions of it that the model's range holds."""


@dataclass(frozen=True)
class PhraseData(PhraseBatches):
    """Pieces by split, cut into phrases. A batch is a pure function of (seed, step)."""

    config: MuseGANConfig
    pieces: Mapping[str, Sequence[Piece]]
    """As they are written."""

    @cached_property
    def phrases(self) -> Mapping[str, Sequence[_Phrase]]:
        """Phrases of each split: one from each bar of its pieces on in training, elsewhere one after the other."""
        size = self.config.model.steps_per_bar
        hops = {split: size if split == "train" else self.config.model.num_steps for split in self.pieces}
        return {
            split: tuple(itertools.chain.from_iterable(self._phrases(piece, hops[split]) for piece in pieces))
            for split, pieces in self.pieces.items()
        }

    @property
    def _by_split(self) -> Mapping[str, Sequence[_Phrase]]:
        return self.phrases

    @property
    def _wanted(self) -> str:
        return f"phrase of {self.config.model.bars} bars"

    def _phrases(self, piece: Piece, hop: int) -> Iterator[_Phrase]:
        model, shift = self.config.model, 0
        bar = piece.bar or model.steps_per_bar
        if bar != model.steps_per_bar:
            return
        if self.config.data.one_key:
            shift = shift_to_one_key(key_of(piece.codes))
            shift = next((each for each in (shift, shift - 12, shift + 12) if _fits(piece.codes, each, model)), 0)
        codes = transposed_codes(piece.codes[piece.upbeat :], shift)
        pitch = sounding(codes).astype(np.int16)
        moves = (0,) if self.config.data.one_key else tuple(range(-5, 7))
        for start in range(0, len(codes) - model.num_steps + 1, hop):
            phrase = codes[start : start + model.num_steps].copy()
            phrase[0] = np.where(phrase[0] == HOLD, pitch[start], phrase[0])  # what is held there has to be struck
            yield _Phrase(phrase, tuple(each for each in moves if _fits(phrase, each, model)) or (0,))

    def _example(self, phrase: _Phrase) -> np.ndarray:
        return classes_of(self.config.model, phrase.codes)

    def _varied(self, phrase: _Phrase, number: int) -> np.ndarray:
        """Its transposition is drawn by a generator keyed by (seed, number of the item)."""
        shift = int(np.random.default_rng((self.config.training.seed, 1, number)).choice(phrase.shifts))
        return classes_of(self.config.model, transposed_codes(phrase.codes, shift))


def shift_to_one_key(key: int) -> int:
    """Semitones, -5 to 6, by which a key (see `key_of`) is moved to C major or A minor."""
    tonic = 0 if key < 12 else 9
    return (tonic - key % 12 + 5) % 12 - 5


def _fits(codes: np.ndarray, shift: int, model: VoicesConfig) -> bool:
    pitches = codes[codes > 0]
    return not pitches.size or bool(model.lowest <= pitches.min() + shift and pitches.max() + shift <= model.highest)


def open_phrases(config: MuseGANConfig, corpus: ScoreCorpus | None) -> PhraseData:
    """The data of an experiment; errors as `open_scores`."""
    return PhraseData(config, read_pieces(config.model, config.data.corpus, corpus))


def phrase_shapes(config: MuseGANConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the global batch."""
    rows, model = config.training.batch_size, config.model
    return {
        "examples": jax.ShapeDtypeStruct((rows, model.num_steps, model.num_voices), jnp.int32),
        "mask": jax.ShapeDtypeStruct((rows,), jnp.bool_),
    }
