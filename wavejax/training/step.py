"""One update: sums over micro-batches and devices, one division, one optimizer step, moving average, finite guard."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from wavejax.parallel import example_indices, mean_over_devices, on_each_device, sum_over_devices
from wavejax.training.state import TrainState
from wavejax.types import LossFn, PyTree

if TYPE_CHECKING:
    import optax

RESERVED_METRICS = ("loss", "weight", "gradient_norm", "learning_rate", "finite")
"""Metrics that the step itself reports; a loss function's metrics must have other names."""

TrainStep = Callable[[TrainState, PyTree], tuple[TrainState, dict[str, Array]]]


def make_train_step(
    loss_fn: LossFn,
    optimizer: "optax.GradientTransformation",
    *,
    ema_decay: float = 0.9999,
    accumulation_steps: int = 1,
    learning_rate: Callable[[Array], Array] | None = None,
) -> TrainStep:
    """A pure `step(state, batch) -> (state, metrics)`, the same for every strategy; compile it with one.

    The gradient is that of (sum of losses) / (sum of weights) over the global batch. All sums are completed over
    micro-batches and devices before this single division, so with masks and uneven weights the update does not depend
    on how the batch is split. Weights must not depend on the parameters. Each example has its own key, folded from the
    step's key and its position in the global batch. `model_state` passes through the micro-batches one after the other
    and is averaged over devices.

    Metrics, [] float32 each: `loss` (mean per unit of weight), `weight` (their sum), `gradient_norm` (global, before
    clipping), `finite` (1; or 0 if the loss or gradient is not finite, and then the returned state equals the given
    one), `learning_rate` if given, and each of the loss function's sums divided by the weight.

    Args:
      loss_fn: `(params, model_state, batch, keys) -> (loss_sum, weight, model_state, metrics)`, with arrays
        [rows, ...] in `batch`, keys [rows], scalars for both sums and for each metric (a sum, too).
      optimizer: e.g. `OptimizerConfig(...).build()`, which includes clipping.
      ema_decay: final decay of the average of parameters; at update t (from 0) it is min(ema_decay, (1+t)/(10+t)).
      accumulation_steps: micro-batches per update; the rows must be a multiple of it.
      learning_rate: schedule to report, e.g. `config.learning_rate_at`.

    Raises:
      ValueError: arguments out of range; when traced: rows not divisible, or a loss of the wrong form.
    """
    check_settings(ema_decay, accumulation_steps)

    def gradients_of(whole: tuple[PyTree, PyTree, PRNGKeyArray], rows: PyTree) -> tuple[Any, ...]:
        params, model_state, step_key = whole
        keys = example_keys(step_key, num_rows(rows))
        sums, model_state = sum_over_batch(loss_fn, params, model_state, rows, keys, accumulation_steps)
        return *divide_sums(sums, params), sums[1], model_state

    def train_step(state: TrainState, batch: PyTree) -> tuple[TrainState, dict[str, Array]]:
        step_key = jax.random.fold_in(state.key, state.step)
        whole = (state.params, state.model_state, step_key)
        loss, metrics, gradients, norm, weight, model_state = on_each_device(gradients_of, whole, batch)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        params, opt_state = apply_gradients(optimizer, gradients, state.opt_state, state.params)
        updated = dataclasses.replace(
            state,
            step=state.step + jnp.int32(1),
            params=params,
            ema_params=update_average(state.ema_params, params, state.step, ema_decay),
            opt_state=opt_state,
            model_state=model_state,
        )
        kept = where_tree(finite, updated, state)
        report = {"loss": loss, "weight": weight, "gradient_norm": norm, "finite": finite.astype(jnp.float32)}
        if learning_rate is not None:
            report["learning_rate"] = jnp.asarray(learning_rate(state.step), jnp.float32)
        return kept, {**report, **metrics}

    return train_step


def check_settings(ema_decay: float, accumulation_steps: int) -> None:
    """Refuses invalid settings of a step.

    Raises:
      ValueError: arguments out of range.
    """
    if not 0 <= ema_decay < 1:
        raise ValueError(f"ema_decay={ema_decay} must be in [0, 1); 0 makes the average equal to the parameters")
    if accumulation_steps < 1:
        raise ValueError(f"accumulation_steps={accumulation_steps} must be 1 or more")


def example_keys(key: PRNGKeyArray, num_examples: int) -> Key[Array, "num_examples"]:
    """One key per example that the traced step sees, [num_examples], folded from its position in the global batch."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, example_indices(num_examples))


def num_rows(batch: PyTree) -> int:
    """Rows of a batch: the length of axis 0 of its arrays.

    Raises:
      ValueError: the batch holds no array.
    """
    leaves = jax.tree.leaves(batch)
    if not leaves:
        raise ValueError("the batch holds no array")
    return int(leaves[0].shape[0])


def checked_loss(loss_fn: LossFn, *arguments: Any) -> tuple[Array, Array, PyTree, dict[str, Array]]:
    """Calls a loss function and returns its sums in float32.

    Raises:
      ValueError: a sum is not a scalar, or a metric has one of the step's reserved names.
    """
    loss_sum, weight, model_state, metrics = loss_fn(*arguments)
    sums: Mapping[str, Array] = {"loss_sum": loss_sum, "weight": weight, **metrics}
    wrong = {name: jnp.shape(value) for name, value in sums.items() if jnp.shape(value) != ()}
    if wrong:
        raise ValueError(f"the loss function returned arrays where sums (scalars) are expected: {wrong}; sum them")
    taken = sorted(set(metrics) & set(RESERVED_METRICS))
    if taken:
        raise ValueError(f"the loss function's metrics {taken} have names of the step's own; rename them")
    as_float = {name: jnp.asarray(value).astype(jnp.float32) for name, value in sums.items()}
    return as_float.pop("loss_sum"), as_float.pop("weight"), model_state, as_float


Sums = tuple[Float[Array, ""], Float[Array, ""], dict[str, Array], PyTree]
"""Loss, weight, metrics and gradients in float32, each a sum over the examples."""


def sum_over_batch(
    loss_fn: LossFn,
    params: PyTree,
    model_state: PyTree,
    batch: PyTree,
    keys: Key[Array, "rows"],
    accumulation_steps: int,
) -> tuple[Sums, PyTree]:
    """The sums of a loss and of its gradient over micro-batches and devices, and the next model state.

    Call it inside `on_each_device`, where a step sees the rows of one device, with their `example_keys`.

    Raises:
      ValueError: when traced: rows not divisible, or a loss of the wrong form.
    """

    def loss_of_params(
        params: PyTree, model_state: PyTree, rows: PyTree, keys: Key[Array, "rows"]
    ) -> tuple[Array, Any]:
        loss_sum, weight, model_state, metrics = checked_loss(loss_fn, params, model_state, rows, keys)
        return loss_sum, (weight, model_state, metrics)

    def sums_of(model_state: PyTree, rows: PyTree, keys: Key[Array, "rows"]) -> tuple[Sums, PyTree]:
        (loss_sum, (weight, model_state, metrics)), gradients = jax.value_and_grad(loss_of_params, has_aux=True)(
            params, model_state, rows, keys
        )
        gradients = jax.tree.map(lambda g: g.astype(jnp.float32), gradients)
        return (loss_sum, weight, metrics, gradients), model_state

    rows = num_rows(batch)
    if accumulation_steps == 1:
        sums, model_state = sums_of(model_state, batch, keys)
    else:
        if rows % accumulation_steps:
            raise ValueError(
                f"{rows} rows cannot be split into accumulation_steps={accumulation_steps} equal micro-batches; "
                f"choose a batch size that is a multiple of {accumulation_steps} on each device"
            )
        micro_batches = jax.tree.map(lambda x: interleave(x, accumulation_steps), (batch, keys))
        shapes, _ = jax.eval_shape(sums_of, model_state, *jax.tree.map(lambda x: x[0], micro_batches))
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        def body(carry: tuple[Sums, PyTree], rows_and_keys: tuple[PyTree, Array]) -> tuple[Any, None]:
            total, model_state = carry
            sums, model_state = sums_of(model_state, *rows_and_keys)
            return (jax.tree.map(jnp.add, total, sums), model_state), None

        (sums, model_state), _ = jax.lax.scan(body, (zeros, model_state), micro_batches)
    return sum_over_devices(sums), mean_over_devices(model_state)


def interleave(x: Array, parts: int) -> Array:
    """[rows, ...] -> [parts, rows/parts, ...] with row i in part i % parts; rows stay on their device."""
    return jnp.swapaxes(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1)


def divide_sums(sums: Sums, params: PyTree) -> tuple[Array, dict[str, Array], PyTree, Array]:
    """Mean loss and metrics per unit of weight, the gradient in the parameters' dtypes, and its global norm."""
    loss_sum, weight, metric_sums, gradient_sums = sums
    divisor = jnp.where(weight > 0, weight, jnp.float32(1))  # a fully masked batch has no loss and no gradient
    gradients = jax.tree.map(lambda g: g / divisor, gradient_sums)
    norm = jnp.sqrt(sum((jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradients)), start=jnp.float32(0)))
    metrics = {name: value / divisor for name, value in metric_sums.items()}
    return loss_sum / divisor, metrics, jax.tree.map(lambda g, p: g.astype(p.dtype), gradients, params), norm


def apply_gradients(
    optimizer: "optax.GradientTransformation", gradients: PyTree, opt_state: PyTree, params: PyTree
) -> tuple[PyTree, PyTree]:
    """Parameters and optimizer state after one update."""
    import optax  # here, because configurations import this package, and generation does not need optax

    with jax.numpy_dtype_promotion("standard"):  # optax mixes Python numbers and integer counters
        updates, opt_state = optimizer.update(gradients, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def update_average(ema_params: PyTree, params: PyTree, step: Int[Array, ""], ema_decay: float) -> PyTree:
    """The moving average after the update that follows `step` completed ones; see `make_train_step`."""
    t = step.astype(jnp.float32)
    decay = jnp.minimum(jnp.float32(ema_decay), (1 + t) / (10 + t))

    def average(ema: Array, new: Array) -> Array:
        if not jnp.issubdtype(new.dtype, jnp.floating):
            return new
        return ema + (1 - decay) * (new.astype(jnp.float32) - ema)

    return jax.tree.map(average, ema_params, params)


def where_tree(condition: Array, new: PyTree, old: PyTree) -> PyTree:
    """One of two trees of equal structure, chosen on the device."""
    return jax.tree.map(lambda one, other: jnp.where(condition, one, other), new, old)
