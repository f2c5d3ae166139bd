"""Bits per sample of held-out recordings under a model that predicts the next sample."""

import functools
from collections.abc import Mapping
from typing import Any, Literal

import jax
from jaxtyping import Array

from wavejax.data import Corpus, validation_batches
from wavejax.evaluation.scoring import NextFeatures, Scores, baseline_bits, score_batches, score_table
from wavejax.experiments.autoregressive.config import AutoregressiveConfig
from wavejax.experiments.autoregressive.data import corpus_for
from wavejax.experiments.autoregressive.learner import crop_loss
from wavejax.experiments.autoregressive.product import SampleModel
from wavejax.types import Params


def score(
    product: SampleModel[Any],
    corpus: Corpus,
    split: str = "test",
    *,
    frames: Literal["own", "other"] = "own",
    batch_size: int = 8,
) -> Scores:
    """Teacher-forced bits per sample of every utterance of a split: those of the training loss.

    Args:
        product: the model.
        corpus: at the model's sample rate and, for a conditioned model, with its features.
        split: "train", "validation" or "test".
        frames: "other" gives each utterance the features of the next one: a model that listens to its features must
            then do worse.
        batch_size: crops scored at a time; it changes nothing but speed and memory.

    Raises:
        ValueError: an empty split, a single utterance where another's features are asked for, an unconditional model
            with frames="other"; SpecMismatch, ExperimentError: a corpus that the model cannot read.
    """
    config = product.config
    corpus = corpus_for(product, corpus)
    if frames == "other":
        if not config.is_conditioned:
            raise ValueError(f"{config.name} is not conditioned on features: there are no others to give it")
        corpus = corpus.read_from(NextFeatures(corpus, split))
    ids = [corpus.entries[position].id for position in corpus.indices(split)]
    batches = validation_batches(corpus, split, config.crop_shape, batch_size=batch_size)
    score_rows = functools.partial(_row_scorer(config), product.params)
    return score_batches(score_rows, batches, ids)


def score_report(
    product: SampleModel[Any], corpus: Corpus, split: str = "test", *, batch_size: int = 8
) -> dict[str, Any]:
    """A JSON-able report of a split (`score_table`): bits of the model with its own and with other features, baselines.

    A model of densities has no baselines.
    """
    right = score(product, corpus, split, batch_size=batch_size)
    rivals = {}
    if product.is_conditioned and len(right.ids) > 1:
        rivals["other_frames"] = score(product, corpus, split, frames="other", batch_size=batch_size).bits
    coding = product.config.model.coding
    if coding.is_discrete:
        rivals |= baseline_bits(corpus, split, coding)
    facts = {
        "model": product.config.name,
        "step": product.step,
        "split": split,
        "coding": f"{coding.kind}, {coding.num_classes} classes",
    }
    return score_table(right, rivals, facts)


@functools.lru_cache(maxsize=4)
def _row_scorer(config: AutoregressiveConfig) -> Any:
    """A compiled (params, batch) -> (bits [rows], scored samples [rows])."""
    loss_fn = crop_loss(config)

    def score_row(params: Params, row: Mapping[str, Array]) -> tuple[Array, Array]:
        bits, weight, _, _ = loss_fn(params, {}, jax.tree.map(lambda leaf: leaf[None], row), None)
        return bits, weight

    return jax.jit(jax.vmap(score_row, in_axes=(None, 0)))
