"""Scores as the data of an experiment: crops of codes, transposed, with some voices given."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from wavejax.data.manifest import SPLITS
from wavejax.data.score_corpus import ScoreCorpus
from wavejax.data.voices import transposed_codes
from wavejax.evaluation.music import key_of, sounding
from wavejax.experiments.metadata import ExperimentError
from wavejax.models.chorale import FREE, ChoraleConfig, frames_of
from wavejax.models.voices_gan import VoicesConfig
from wavejax.nn.scores import HOLD, REST
from wavejax.parallel import Strategy
from wavejax.tasks.composer.batches import SplitScores, shuffled
from wavejax.tasks.composer.config import ComposerConfig

DOWN, UP = -5, 6
"""Transpositions of training examples: each key once."""


class Piece(NamedTuple):
    """A piece as models read it."""

    name: str
    codes: Int[np.ndarray, "steps voices"]
    upbeat: int = 0
    """Steps before the first bar line."""
    bar: int = 0
    """Steps of a bar; 0 takes the model's own number."""


@dataclass(frozen=True)
class ScoreData(SplitScores):
    """Pieces by split, cut into crops. A batch is a pure function of (seed, step)."""

    config: ComposerConfig
    pieces: Mapping[str, Sequence[Piece]]

    @property
    def _by_split(self) -> Mapping[str, Sequence[Piece]]:
        return self.pieces

    @property
    def _wanted(self) -> str:
        return "scores"

    def training(self, start_step: int, rows: slice, strategy: Strategy) -> Iterator[Mapping[str, Any]]:
        """Random crops in random keys: the given rows of the global batches from a step on.

        Item i of all epochs' one list is the i-th of a shuffle of the pieces, of which long ones have several places.
        A generator keyed by (seed, i) draws the rest.
        """
        del strategy
        size, seed = self.config.training.batch_size, self.config.training.seed
        pieces = self._split("train")
        places = [n for n, piece in enumerate(pieces) for _ in range(self._num_crops(piece))]

        def item(number: int) -> dict[str, np.ndarray]:
            piece = pieces[places[shuffled(seed, number, len(places))]]
            return self._random_crop(piece, np.random.default_rng((seed, 1, number)))

        for step in itertools.count(start_step):
            yield _stacked([item(step * size + row) for row in range(*rows.indices(size))])

    def held_out(self, split: str, rows: slice) -> Iterator[Mapping[str, Any]]:
        """Crops that score every step of a split once, as they stand, no voice given and nothing told.

        All crops of a piece but the first are heard from `history` steps before. Rows that fill up the last batch are
        masked.
        """
        size, length, history = self.config.training.batch_size, self.config.data.crop_steps, self.config.data.history
        crops = []
        for piece in self._split(split):
            starts = [0, *range(length - history, len(piece.codes) - history, length - history)]
            crops += [(piece, start) for start in starts if start == 0 or start + history < len(piece.codes)]
        for begin in range(0, len(crops), size):
            numbers = range(begin, begin + size)[rows]
            yield _stacked([self._crop(*crops[n]) if n < len(crops) else self._filler() for n in numbers])

    def _num_crops(self, piece: Piece) -> int:
        return max(1, round(len(piece.codes) / self.config.data.crop_steps))

    def _random_crop(self, piece: Piece, rng: np.random.Generator) -> dict[str, np.ndarray]:
        model, data = self.config.model, self.config.data
        pitches = piece.codes[piece.codes > 0]
        low, high = (int(pitches.min()), int(pitches.max())) if pitches.size else (model.lowest, model.highest)
        down, up = max(DOWN, model.lowest - low), min(UP, model.highest - high)
        shift = int(rng.integers(down, up + 1)) if data.transpose and up >= down else 0
        latest = max(0, len(piece.codes) - data.crop_steps)
        start = int(rng.integers(latest + 1)) if latest and rng.random() < 0.75 else 0
        given, told_key, told_end = (
            bool(rng.random() < share) for share in (data.given_share, data.told_share, data.told_share)
        )
        mask = _random_mask(rng, data.crop_steps + model.lookahead, model.num_voices) if given else None
        return self._crop(piece, start, shift, mask, told_key=told_key, told_end=told_end)

    def _crop(
        self,
        piece: Piece,
        start: int,
        shift: int = 0,
        given: np.ndarray | None = None,
        *,
        told_key: bool = False,
        told_end: bool = False,
    ) -> dict[str, np.ndarray]:
        """Classes, frames and mask of the crop from step `start` on; `given` [crop + lookahead, voices] says what."""
        model, data = self.config.model, self.config.data
        codes = transposed_codes(piece.codes, shift)
        if start:  # what is held there must be struck for a state that begins with silence
            codes = codes.copy()
            codes[start] = np.where(codes[start] == HOLD, sounding(codes[: start + 1])[-1], codes[start])
        classes = classes_of(model, codes)
        step = start + np.arange(data.crop_steps + model.lookahead)
        inside = np.minimum(step, len(codes) - 1)
        frames = frames_of(
            model,
            len(step),
            given=None if given is None else np.where(given, classes[inside] + 1, FREE),
            first=start - piece.upbeat,
            bar=piece.bar or None,
            total=len(codes) - piece.upbeat if told_end else None,
            key=(key_of(codes) if told_key else None),
        )[np.minimum(np.arange(len(step)), len(codes) - 1 - start)]
        scored = (step < len(codes)) & (step >= (start + data.history if start else 0))
        shown = np.where((step < len(codes))[:, None], classes[inside], 0)
        length = data.crop_steps
        return {"classes": shown[:length].astype(np.int32), "frames": frames, "mask": scored[:length]}

    def _filler(self) -> dict[str, np.ndarray]:
        model, length = self.config.model, self.config.data.crop_steps
        return {
            "classes": np.zeros((length, model.num_voices), np.int32),
            "frames": np.zeros((length + model.lookahead, model.local_channels), np.float32),
            "mask": np.zeros(length, bool),
        }


def open_scores(config: ComposerConfig, corpus: ScoreCorpus | None) -> ScoreData:
    """The data of an experiment: the corpus in the folder that is configured, or one that is open already.

    Raises:
        ExperimentError: a corpus on another grid, of which no piece has the model's voices, or with pitches beyond its
            range. ManifestError: the folder is no sound corpus of scores.
    """
    return ScoreData(config, read_pieces(config.model, config.data.corpus, corpus))


def read_pieces(
    model: ChoraleConfig | VoicesConfig, folder: str, corpus: ScoreCorpus | None
) -> Mapping[str, Sequence[Piece]]:
    """The pieces of each split that a model's voices can hold; of a folder, or of a corpus that is open already.

    Raises errors as `open_scores`.
    """
    opened = ScoreCorpus.open(folder) if corpus is None else corpus
    if opened.steps_per_quarter != model.steps_per_beat:
        raise ExperimentError(
            f"the corpus has {opened.steps_per_quarter} steps a quarter note, and the model {model.steps_per_beat}: "
            f"prepare it with as many, or set model.steps_per_beat={opened.steps_per_quarter}"
        )
    pieces = {split: tuple(_pieces(opened, split, model)) for split in SPLITS if opened.has(split)}
    if not any(pieces.values()):
        why = next((why for _, why in opened.unvoiced(model.num_voices)), "they are empty")
        raise ExperimentError(
            f"no piece of the corpus can be read as {model.num_voices} voices ({why}): give one with as many, or set "
            "model.voices"
        )
    return pieces


def _pieces(corpus: ScoreCorpus, split: str, model: ChoraleConfig | VoicesConfig) -> Iterator[Piece]:
    """The pieces of a split that the model's voices can hold."""
    for piece, codes in corpus.voices(split, model.num_voices):
        pitches = codes[codes > 0]
        if pitches.size and not (model.lowest <= pitches.min() and pitches.max() <= model.highest):
            raise ExperimentError(
                f"{piece.name} has pitches from {pitches.min()} to {pitches.max()}, but the model knows {model.lowest} "
                f"to {model.highest}: set model.lowest and model.highest"
            )
        if len(codes):
            written = codes if model.holds else sounding(codes).astype(np.int16)
            yield Piece(piece.name, written, piece.score.upbeat, piece.score.steps_per_bar)


def batch_shapes(config: ComposerConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the global batch."""
    rows, length, model = config.training.batch_size, config.data.crop_steps, config.model
    return {
        "classes": jax.ShapeDtypeStruct((rows, length, model.num_voices), jnp.int32),
        "frames": jax.ShapeDtypeStruct((rows, length + model.lookahead, model.local_channels), jnp.float32),
        "mask": jax.ShapeDtypeStruct((rows, length), jnp.bool_),
    }


def classes_of(
    model: ChoraleConfig | VoicesConfig, codes: Int[np.ndarray, "*takes steps voices"]
) -> Int[np.ndarray, "*takes steps voices"]:
    """The classes of codes, on the host; what `ScoreCoding.encode` gives."""
    return np.where(codes == REST, 0, np.where(codes == HOLD, 1, codes - (model.lowest - 2))).astype(np.int32)


def _random_mask(rng: np.random.Generator, steps: int, voices: int) -> np.ndarray:
    """Which voices are given when, [steps, voices]: the first alone, or any but all of them; throughout, or up to a
    step, or from one on."""
    chosen = np.arange(voices) == 0
    if rng.random() < 0.5 and voices > 1:
        number = int(rng.integers(1, 2**voices - 1))
        chosen = (number >> np.arange(voices)) & 1 == 1
    edge, kind = int(rng.integers(steps)), rng.random()
    step = np.arange(steps)
    when = step < edge if kind < 0.25 else step >= edge if kind < 0.4 else step >= 0
    return when[:, None] & chosen[None]


def _stacked(crops: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([crop[name] for crop in crops]) for name in crops[0]}
