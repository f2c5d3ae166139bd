"""What may be wrong with a composer, each check answered in words."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wavejax.data.score_corpus import ScoreCorpus
from wavejax.evaluation.findings import Finding, check_parameters
from wavejax.experiments.metadata import ExperimentError
from wavejax.generation import encode_conditioning, init_state, pack, replay
from wavejax.models.chorale import frames_of
from wavejax.ranges import as_option, check_ranges
from wavejax.tasks.composer.data import Piece, classes_of, open_scores
from wavejax.tasks.composer.product import ChoraleComposer
from wavejax.types import Params

AGREEMENT = 1e-3
"""Largest difference in nats between parallel and step form that rounding explains."""
UNTRAINED_SHARE = 0.6
"""Of the nats of guessing: a composer that needs more has learnt next to nothing."""
DRIFT_NATS, COLLAPSE_NATS = 0.25, -0.35
"""Nats per code that free pieces may cost more, or less, than held-out ones."""
STEPS = 64
"""Steps of the pieces that are looked at."""


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Of a composer: are its parameters finite, do the form that was trained and the form that composes agree, do
    held-out pieces cost little, does it listen to the voices that are given, are its own pieces as likely as others.
    """

    corpus: str
    """A folder of scores made by `wavejax prepare`."""
    split: Literal["train", "validation", "test"] = "validation"
    """Part of the corpus; it should not have been trained on."""
    seed: int = 0
    """Of the piece that the composer writes."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: ChoraleComposer) -> Iterator[Finding]:
        """Findings about the composer."""
        finite = check_parameters(product.params)
        yield finite
        if finite.verdict == "bad":
            return
        data = open_scores(product.config, ScoreCorpus.open(self.corpus))
        if not data.has(self.split):
            raise ExperimentError(f"{self.corpus} has no scores in the split {self.split!r}: choose another --split")
        pieces = [piece._replace(codes=piece.codes[:STEPS]) for piece in data.pieces[self.split][:4]]
        yield check_forms(product, pieces[0])
        real = float(np.mean([product.nats(piece).mean() for piece in pieces]))
        yield check_learnt(product, real)
        if product.config.model.num_voices > 1:
            yield check_listening(product, pieces)
        bars = max(1, STEPS // product.config.model.steps_per_bar)
        yield check_free_running(product, real, bars, self.seed)


def check_forms(product: ChoraleComposer, piece: Piece) -> Finding:
    """Whether the step form says of a piece what the parallel form says."""
    model = product.config.model
    classes = classes_of(model, piece.codes)
    frames = frames_of(model, len(classes), first=-piece.upbeat, bar=piece.bar or None)
    stepped = np.asarray(_stepped(model.build(), product.params, classes.reshape(1, -1), frames[None]))
    apart = float(np.abs(stepped.reshape(classes.shape) - product.nats(piece)).max())
    words = f"parallel and step form differ by at most {apart:.2g} nats"
    if not apart < AGREEMENT:
        words += ": what composes is not what was trained. Report it: this is an error of the program"
        return Finding(check="forms", verdict="bad", words=words)
    return Finding(check="forms", verdict="good", words=words)


@functools.partial(jax.jit, static_argnums=0)
def _stepped(model: Any, params: Params, classes: Array, frames: Array) -> Array:
    """Nats [B, T V] of classes by the step form."""
    decoder = pack(model, params)
    entries = encode_conditioning(decoder, frames)
    state = init_state(decoder, entries, batch_size=classes.shape[0])
    outputs = replay(decoder, state, entries, jnp.asarray(classes))[1]
    return -model.distribution.log_prob(outputs, classes)


def check_learnt(product: ChoraleComposer, real: float) -> Finding:
    """Whether held-out pieces cost less than guessing."""
    guess = float(np.log(product.config.model.coding.num_classes))
    words = f"held-out pieces cost {real:.2f} nats per code; guessing costs {guess:.2f}"
    if not real < UNTRAINED_SHARE * guess:
        words += ": the composer has learnt next to nothing. Train longer, or look at the loss curve"
        return Finding(check="likelihood", verdict="bad", words=words)
    return Finding(check="likelihood", verdict="good", words=words)


def check_listening(product: ChoraleComposer, pieces: list[Piece]) -> Finding:
    """Whether the lower voices of a piece cost more under the first voice of another key."""
    model = product.config.model
    right: list[float] = []
    wrong: list[float] = []
    for piece in pieces:
        melody = piece.codes[:, :1]
        shift = 1 if melody.max(initial=0) < model.highest else -1
        moved = np.concatenate([np.where(melody > 0, melody + shift, melody), piece.codes[:, 1:]], axis=1)
        for found, codes in ((right, piece.codes), (wrong, moved)):
            found.append(float(product.nats(piece._replace(codes=codes), given=model.voices[:1])[:, 1:].mean()))
    lost = float(np.mean(wrong) - np.mean(right))
    words = f"under a melody moved by a semitone the other voices cost {lost:+.2f} nats per code"
    if not lost > 0.05:
        words += ": the composer does not listen to a voice that is given. Train longer, with data.given_share above 0"
        return Finding(check="given voices", verdict="bad", words=words)
    return Finding(check="given voices", verdict="good", words=f"{words}: it listens to them")


def check_free_running(product: ChoraleComposer, real: float, bars: int, seed: int) -> Finding:
    """Whether the composer's own piece is about as likely as held-out ones."""
    codes = np.concatenate(list(product.bars(bars, seed=seed)))
    own = float(product.nats(codes).mean())
    words = f"a piece of its own costs {own:.2f} nats per code, held-out ones {real:.2f}"
    if own > real + DRIFT_NATS:
        words += ": it loses its way where nobody leads it. Train longer, or compose with a temperature below 1"
        return Finding(check="free-running", verdict="bad", words=words)
    if own < real + COLLAPSE_NATS:
        words += ": it repeats what is certain. Train longer; temperatures below 1 make it worse"
        return Finding(check="free-running", verdict="bad", words=words)
    return Finding(check="free-running", verdict="good", words=words)
