"""Reductions with the same meaning under every strategy, so that a step is written once.

Under `spmd` (and without any strategy) a traced step sees the global batch, so a plain sum is already the global sum.
Under `pmap` it sees one device's rows, and the sum must continue over the bound axis `DATA_AXIS`. Whether that axis is
bound is read from the trace itself, so no flag has to be passed around or kept up to date.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Int

from wavejax.types import PyTree

DATA_AXIS = "data"
"""The name of the only mesh axis; the batch is split over it."""

Tree = TypeVar("Tree")


def _axis_is_bound() -> bool:
    try:
        jax.lax.axis_size(DATA_AXIS)
    except NameError:
        return False
    return True


def sum_over_devices(tree: Tree) -> Tree:
    """The sum of every array of a pytree over all devices that hold a part of the batch.

    Pass it sums over the examples that the step sees; it returns sums over the global batch, equal on all devices.
    """
    return jax.lax.psum(tree, DATA_AXIS) if _axis_is_bound() else tree


def mean_over_devices(tree: Tree) -> Tree:
    """The mean over devices of every floating array of a pytree; other arrays (equal on all devices) are unchanged.

    It is for running statistics, which each device computes from its own rows. If the step sees the global batch, the
    argument is returned unchanged.
    """
    if not _axis_is_bound():
        return tree

    def mean(leaf: Array) -> Array:
        return jax.lax.pmean(leaf, DATA_AXIS) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(mean, tree)


Result = TypeVar("Result")


def on_each_device(function: Callable[..., Result], whole: PyTree, rows: PyTree) -> Result:
    """Calls `function(whole, rows)` on every device with that device's part of the rows.

    Inside, `sum_over_devices` and `example_indices` see one device's rows. The compiler adds no collectives: devices
    communicate only where `function` calls `sum_over_devices`. (Otherwise the compiler would sum the gradient of a
    stacked layer inside the loop over layers, once per layer.) Without a strategy, on one device, or if the rows are
    already split, it is a plain call.

    Args:
      function: its results must be equal on all devices, so sum them with `sum_over_devices`.
      whole: a pytree that is replicated on every device.
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
        check_vma=False,  # the check would add a sum over devices to every gradient with respect to `whole`
    )
    return split(whole, rows)


def example_indices(num_examples: int) -> Int[Array, "num_examples"]:
    """Positions in the global batch, [num_examples] int32, of the examples that the traced step sees.

    PRNG keys folded from them do not depend on the number of devices or on the strategy.

    Args:
      num_examples: rows of the batch that the step sees (all of them under `spmd`, one device's under `pmap`).
    """
    indices = jnp.arange(num_examples, dtype=jnp.int32)
    if _axis_is_bound():
        first = jax.lax.axis_index(DATA_AXIS).astype(jnp.int32) * jnp.int32(num_examples)
        return indices + first
    return indices
