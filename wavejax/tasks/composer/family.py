"""The family of composers: the card."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from wavejax.experiments.autoregressive.learner import crop_param_shapes
from wavejax.experiments.family import Exhibit, Family
from wavejax.models.chorale import PRESETS
from wavejax.tasks.composer.config import ComposerConfig, ScoreDataConfig
from wavejax.tasks.composer.data import batch_shapes, open_scores
from wavejax.tasks.composer.diagnosis import DoctorOptions
from wavejax.tasks.composer.evaluation import EvaluateOptions
from wavejax.tasks.composer.learner import figures, learner
from wavejax.tasks.composer.product import ChoraleComposer, Composer
from wavejax.tasks.composer.publishing import roll_of
from wavejax.terminal import quoted

EXHIBITED_BARS = 8


def experiment(name: str) -> ComposerConfig:
    """The experiment around the chorale model `name`."""
    model = PRESETS[name]
    data = ScoreDataConfig(crop_steps=16 * model.steps_per_bar, history=2 * model.steps_per_bar)
    config = ComposerConfig(name=name, model=model, data=data)
    return quarters(config) if model.steps_per_beat == 1 else config


def quarters(config: ComposerConfig) -> ComposerConfig:
    """For the published quarter notes, which are few, and all of them in C major or A minor: 450 updates are best."""
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, transpose=False),
        optimizer=dataclasses.replace(config.optimizer, decay_steps=900),
        training=dataclasses.replace(config.training, num_steps=900, batch_size=16),
    )


def usage(config: Any, where: str) -> str:
    """The command that lets a composer write."""
    return f"wavejax compose {quoted(where)} --out tune"


def exhibits(product: Composer, data: Any) -> Iterator[Exhibit]:
    """The roll of a piece of its own, and that of a held-out piece."""
    codes = np.concatenate(list(product.bars(EXHIBITED_BARS)))
    yield Exhibit(name="composed", image=roll_of(product.score_of(codes)))
    if data.has("validation"):
        piece = data.pieces["validation"][0].codes[: EXHIBITED_BARS * product.config.model.steps_per_bar]
        yield Exhibit(name="held out", image=roll_of(product.score_of(piece)), constant=True)


FAMILY: Family[ComposerConfig, ChoraleComposer] = Family(
    config=ComposerConfig,
    product=ChoraleComposer,
    presets={name: experiment(name) for name in PRESETS},
    usage=usage,
    open_data=open_scores,
    batch_shapes=batch_shapes,
    learner=learner,
    param_shapes=crop_param_shapes,
    figures=figures,
    exhibits=exhibits,
    evaluator=EvaluateOptions,
    doctor=DoctorOptions,
)
