"""Reductions that mean the same inside every strategy, so that a step is written once.

Under `spmd` (and without any strategy) a traced step sees the global batch: a plain sum is already the global one.
Under `pmap` it sees one device's rows and the axis `DATA_AXIS` is bound: the sum continues over that axis. Which of the
two holds is read from the trace itself, so nothing has to be passed around and nothing can be left stale.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Int

from wavejax.types import PyTree

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


Result = TypeVar("Result")


def on_each_device(function: Callable[..., Result], whole: PyTree, rows: PyTree) -> Result:
    """`function(whole, rows)` where every device calls it with its own part of the rows, wherever that is possible.

    Inside, `sum_over_devices` and `example_indices` see one device's rows, and the compiler adds no collective of its
    own: what crosses devices is what `function` sums, when it sums it. (Left to itself the compiler sums the gradient
    of a stacked layer inside the loop over layers, once per layer.) Without a strategy, on one device, and where the
    rows are split already, it is a plain call.

    Args:
      function: what it returns has to be equal on all devices: sum it.
      whole: a pytree that every device sees whole.
      rows: a pytree of arrays [rows, ...], split along axis 0.
    """
    mesh = jax.sharding.get_abstract_mesh()
    splits = dict(zip(mesh.axis_names, mesh.axis_types, strict=True)).get(DATA_AXIS) == AxisType.Auto
    if _axis_is_bound() or not splits or mesh.shape[DATA_AXIS] == 1:
        return function(whole, rows)
    split = jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(DATA_AXIS)),
        out_specs=PartitionSpec(),
        axis_names={DATA_AXIS},
        check_vma=False,  # it would add a sum to every gradient with respect to `whole`, where the gradient is taken
    )
    return split(whole, rows)


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
