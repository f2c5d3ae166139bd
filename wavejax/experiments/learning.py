"""The learner of an experiment with one loss, and whether given parameters fit its model."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from wavejax.experiments.family import Learner
from wavejax.experiments.metadata import ExperimentError
from wavejax.training import TrainState, make_eval_step, make_train_step
from wavejax.types import LossFn, Params


def one_loss_learner(
    config: Any,
    loss: LossFn,
    held_out: LossFn,
    *,
    init: Callable[[PRNGKeyArray], TrainState],
    adopt: Callable[[TrainState, Params, str], TrainState],
) -> Learner:
    """A learner whose updates are those of the experiment's optimizer.

    Args:
        config: has `optimizer` and `training`.
        loss: of training.
        held_out: of held-out batches.
        init, adopt: as in `Learner`.
    """
    training = config.training
    step = make_train_step(
        loss,
        config.optimizer.build(),
        ema_decay=training.ema_decay,
        accumulation_steps=training.accumulation_steps,
        learning_rate=config.optimizer.learning_rate_at,
    )
    return Learner(init=init, step=step, evaluate=make_eval_step(held_out), adopt=adopt)


def check_fits(own: Params, given: Params, where: str) -> None:
    """Raises ExperimentError where given parameters have other names or shapes than a model's own."""
    wanted, found = (
        {
            jax.tree_util.keystr(path, simple=True, separator="/"): jnp.shape(leaf)
            for path, leaf in jax.tree.leaves_with_path(tree)
        }
        for tree in (own, given)
    )
    wrong = [
        f"{name}: expected {wanted.get(name, 'nothing')}, got {found.get(name, 'nothing')}"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]
    if wrong:
        raise ExperimentError(f"{where} does not fit the model: {'; '.join(wrong[:5])}")


__all__ = ["check_fits", "one_loss_learner"]
