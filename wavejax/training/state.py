"""The state that a training run carries from step to step."""

from typing import TYPE_CHECKING

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from wavejax.types import PyTree

if TYPE_CHECKING:
    import optax

SHARDABLE_FIELDS = ("ema_params", "opt_state")
"""Fields of a `TrainState` that the gradient does not need, so each device may hold only a part of them."""


@flax.struct.dataclass
class TrainState:
    """Everything that a step changes, and the PRNG key of the run: a pytree that checkpoints save completely.

    Attributes:
      step: [] int32, number of updates made so far.
      params: the parameters that are optimised.
      ema_params: their exponential moving average, in float32; evaluation and export use these.
      opt_state: the optimizer's state.
      model_state: what the loss carries besides parameters (running statistics); an empty dict if nothing.
      key: typed PRNG key of the run, never changed; a step draws from `fold_in(key, step)`.
    """

    step: Int[Array, ""]
    params: PyTree
    ema_params: PyTree
    opt_state: PyTree
    model_state: PyTree
    key: PRNGKeyArray


def create_train_state(
    params: PyTree,
    optimizer: "optax.GradientTransformation",
    *,
    key: PRNGKeyArray | int,
    model_state: PyTree | None = None,
) -> TrainState:
    """The state before the first step: the average starts as a copy of the parameters.

    Traceable: `jax.eval_shape` of it gives the shapes of a checkpoint's restore target.

    Args:
      params: initial parameters.
      optimizer: e.g. `OptimizerConfig(...).build()`.
      key: typed PRNG key, or a seed (threefry).
      model_state: initial state of the loss.
    """
    with jax.numpy_dtype_promotion("standard"):  # optax mixes Python numbers and integer counters
        opt_state = optimizer.init(params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema_params=jax.tree.map(_float32_copy, params),
        opt_state=opt_state,
        model_state={} if model_state is None else model_state,
        key=jax.random.key(key, impl="threefry2x32") if isinstance(key, int) else key,
    )


def _float32_copy(leaf: Array) -> Array:
    leaf = jnp.asarray(leaf)
    return jnp.array(leaf, dtype=jnp.float32 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.dtype, copy=True)
