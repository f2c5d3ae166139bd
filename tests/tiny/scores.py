"""Scores for tests, a corpus of them, and a composer that trains in a second."""

import dataclasses
from pathlib import Path

import numpy as np

from tests.tiny.chorale import CONFIGS, codes, make
from wavejax.data.score_corpus import Piece, ScoreCorpus
from wavejax.data.scores import Score
from wavejax.tasks.composer.config import ComposerConfig, ScoreDataConfig
from wavejax.tasks.composer.product import ChoraleComposer
from wavejax.tasks.families import preset


def tiny_composer(name: str = "chorales", **model: object) -> ComposerConfig:
    """A composer's experiment with a small network and short examples."""
    base: ComposerConfig = preset(name)
    data = ScoreDataConfig(crop_steps=24, history=4)
    return dataclasses.replace(base, model=dataclasses.replace(CONFIGS[name], **model), data=data)


def corpus(seed: int = 0, *, steps_per_quarter: int = 4) -> ScoreCorpus:
    """Seven pieces of 10 to 58 steps, one of them with an upbeat: four to train on, two and one that are held out."""
    model, pieces = CONFIGS["chorales"], []
    for number, split in enumerate(["train"] * 4 + ["validation"] * 2 + ["test"]):
        written = codes(model, 10 + 8 * number, seed + number)
        score = Score.from_voices(written, steps_per_quarter=steps_per_quarter, upbeat=2 * (number == 1))
        pieces.append(Piece(f"piece {number}", split, score))
    return ScoreCorpus.in_memory(pieces)


def scores(folder: Path) -> str:
    """That corpus in a folder."""
    corpus().save(folder)
    return str(folder)


def melody(num_steps: int = 32, *, name: str = "tune") -> Score:
    """A score of one track within the tiny models' range: quarter notes."""
    line = np.full((num_steps, 1), -1, np.int16)
    line[::4, 0] = 58 + np.arange(len(line[::4])) % 7
    score = Score.from_voices(line)
    track = dataclasses.replace(score.tracks[0], name=name)
    return dataclasses.replace(score, tracks=(track,))


def untrained(name: str = "chorales") -> ChoraleComposer:
    """Random parameters, drawn without compiling anything."""
    return ChoraleComposer(config=tiny_composer(name), params=make(name)[1])
