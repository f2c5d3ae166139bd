"""Composers of phrases that train in a second, and one with random parameters."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.tiny.vocos import EPSILON
from wavejax.data.score_corpus import Piece, ScoreCorpus
from wavejax.data.scores import Note, Score, Track
from wavejax.models.musegan import RollsConfig
from wavejax.tasks.composer.phrase_composer import PhraseComposer
from wavejax.tasks.composer.phrases import MuseGANConfig
from wavejax.tasks.composer.rolls import PublishedMuseGANConfig
from wavejax.tasks.families import preset


def tiny_musegan(**changes: Any) -> MuseGANConfig:
    """Phrases of one bar of four steps, two turns of the critic."""
    config: MuseGANConfig = preset("musegan-chorales")
    sizes = {"lowest": 44, "highest": 77, "bars": 1, "beats_per_bar": 4, "noise_size": 3, "channels": 4}
    training = dataclasses.replace(config.training, turns=2, split_rows=False)
    optimizer = dataclasses.replace(config.optimizer, epsilon=EPSILON)
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, critic_channels=4, **sizes),
        training=training,
        optimizer=optimizer,
        critic_optimizer=optimizer,
        **{"temperature": 1.0, "common": 0.0, "parallel_penalty": 0.0, "repeats": 0.0, **changes},
    )


@functools.cache
def params_of(config: MuseGANConfig, seed: int = 0) -> Any:
    """A generator's parameters, large enough that every part matters, drawn without compiling anything."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: config.model.build().initial_params(jax.random.key(0)))[0]

    def drawn(path: Any, leaf: Any) -> jax.Array:
        spread = 2.0 if path[-1].key.endswith("kernel") else 0.3
        return jnp.asarray(rng.normal(0, spread, leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(drawn, shapes)


def untrained_phrases(**changes: Any) -> PhraseComposer:
    """Random parameters of a network that is wide enough to tell noise from noise."""
    config = tiny_musegan(**changes)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=16))
    return PhraseComposer(config=config, params=params_of(config))


def tiny_published_musegan() -> PublishedMuseGANConfig:
    """Version 3 with two channels at most, for the bass alone."""
    config: PublishedMuseGANConfig = preset("musegan-v3")
    optimizer = dataclasses.replace(config.optimizer, epsilon=EPSILON)
    return dataclasses.replace(
        config,
        model=RollsConfig(version="v3", tracks=("bass",), thinner=128),
        training=dataclasses.replace(config.training, turns=2),
        optimizer=optimizer,
        critic_optimizer=optimizer,
    )


def bass_lines(steps_per_quarter: int = 12) -> ScoreCorpus:
    """Five or six bars of a bass and a piano; two pieces to train on, one to validate."""
    pieces, rng = [], np.random.default_rng(0)
    for number, split in enumerate(["train", "train", "validation"]):
        quarter, beats = steps_per_quarter, 4 * (5 + number % 2)
        bass = [Note(quarter * n, quarter * n + quarter - 2, int(rng.integers(36, 60))) for n in range(beats)]
        piano = [Note(0, quarter * beats, 72)]
        tracks = (Track(name="bass", program=33, notes=tuple(bass)), Track(name="piano", notes=tuple(piano)))
        pieces.append(Piece(f"piece {number}", split, Score(tracks=tracks, steps_per_quarter=quarter)))
    return ScoreCorpus.in_memory(pieces)


def rolls(folder: Path) -> str:
    """Those pieces in a folder."""
    bass_lines().save(folder)
    return str(folder)
