"""Losses over a held-out set."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
from jaxtyping import Array

from wavejax.parallel import sum_over_devices
from wavejax.training.state import TrainState
from wavejax.training.step import checked_loss, example_keys, num_rows
from wavejax.types import LossFn, PyTree

EvalStep = Callable[[TrainState, PyTree], dict[str, Array]]


def make_eval_step(loss_fn: LossFn, *, use_ema: bool = True, seed: int = 0) -> EvalStep:
    """A pure `step(state, batch) -> sums`, for `Strategy.compile_evaluation` and `evaluate`.

    It returns sums, [] float32, over the global batch: `loss`, `weight` and the loss function's metrics. The state is
    not changed. Keys depend on `seed` and the position in the batch, and are the same for every batch.

    Args:
      loss_fn: as for `make_train_step`, without dropout.
      use_ema: evaluate the averaged parameters, in the dtypes of `params`; else the current ones.
      seed: seed of the examples' keys.
    """

    def eval_step(state: TrainState, batch: PyTree) -> dict[str, Array]:
        params = state.params
        if use_ema:
            params = jax.tree.map(lambda average, p: average.astype(p.dtype), state.ema_params, params)
        keys = example_keys(jax.random.key(seed, impl="threefry2x32"), num_rows(batch))
        loss_sum, weight, _, metrics = checked_loss(loss_fn, params, state.model_state, batch, keys)
        return sum_over_devices({"loss": loss_sum, "weight": weight, **metrics})

    return eval_step


def evaluate(eval_step: Callable[[Any, Any], dict[str, Array]], state: Any, batches: Iterable[Any]) -> dict[str, float]:
    """Weighted means over all batches: every sum of `eval_step` divided by the total weight; and that total `weight`.

    Raises:
      ValueError: there is no batch, or the total weight is zero.
    """
    totals: dict[str, float] = {}
    for batch in batches:
        for name, value in jax.device_get(eval_step(state, batch)).items():
            totals[name] = totals.get(name, 0.0) + float(value)
    weight = totals.pop("weight", 0.0)
    if not weight > 0:
        raise ValueError(
            "nothing to evaluate: no batch, or all of it masked; check that the held-out split is not empty and that "
            "its utterances are as long as a crop"
        )
    return {**{name: total / weight for name, total in totals.items()}, "weight": weight}
