"""Reductions that mean the same inside every strategy, so that a step is written once.

Under `spmd` (and without any strategy) a traced step sees the global batch: a plain sum is already the global one.
Under `pmap` it sees one device's rows and the axis `DATA_AXIS` is bound: the sum continues over that axis. Which of the
two holds is read from the trace itself, so nothing has to be passed around and nothing can be left stale.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

DATA_AXIS = "data"
"""The name of the one mesh axis, over which the batch is split."""

Tree = TypeVar("Tree")


def _axis_is_bound() -> bool:
    try:
        jax.lax.axis_size(DATA_AXIS)
    except NameError:
        return False
    return True


def sum_over_devices(tree: Tree) -> Tree:
    """The sum of every array of a pytree over all devices that hold a part of the batch.

    Call it on sums over the examples the step sees; it returns the sums over the global batch, equal on all devices.
    """
    return jax.lax.psum(tree, DATA_AXIS) if _axis_is_bound() else tree


def mean_over_devices(tree: Tree) -> Tree:
    """The mean over devices of every floating array of a pytree; other arrays, equal on all devices, stay as they are.

    For running statistics, which each device has computed from its rows. Where the step sees the global batch it
    returns its argument.
    """
    if not _axis_is_bound():
        return tree

    def mean(leaf: Array) -> Array:
        return jax.lax.pmean(leaf, DATA_AXIS) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(mean, tree)


def example_indices(num_examples: int) -> Int[Array, "num_examples"]:
    """Positions in the global batch, [num_examples] int32, of the examples that the traced step sees.

    Randomness folded from them is the same whatever the number of devices and the strategy.

    Args:
      num_examples: rows of the batch as the step sees it (all of them under `spmd`, one device's under `pmap`).
    """
    indices = jnp.arange(num_examples, dtype=jnp.int32)
    if _axis_is_bound():
        first = jax.lax.axis_index(DATA_AXIS).astype(jnp.int32) * jnp.int32(num_examples)
        return indices + first
    return indices
