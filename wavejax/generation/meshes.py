"""The pure layer on a mesh whose axes are Explicit, as `jax.make_mesh` makes them.

With Explicit axes every array's type includes its sharding, and JAX needs the sharding of each operation's result.
Models and decoders do not mention devices, so the pure functions run with Auto axes, where XLA's compiler propagates
shardings. Their results then get Explicit shardings again: arrays with a batch axis are sharded like the input batch,
all others are replicated.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from wavejax.types import PyTree


def explicit_mesh(*trees: PyTree) -> AbstractMesh | None:
    """The mesh with Explicit axes on which one of the arrays lies; None if there is none, as in `shard_map`."""
    for leaf in jax.tree.leaves(trees):
        sharding = getattr(jax.typeof(leaf), "sharding", None)
        if sharding is not None and AxisType.Explicit in sharding.mesh.axis_types:
            mesh: AbstractMesh = sharding.mesh
            return mesh
    return None


def batch_spec(*arrays: Any) -> Any:
    """The mesh axes over which the first given array shards its leading axis; None if there are none."""
    for array in arrays:
        if array is not None and array.ndim:
            spec = jax.typeof(array).sharding.spec
            if spec and spec[0] is not None:
                return spec[0]
    return None


def same(tree: PyTree) -> PyTree:
    """The current sharding spec of each leaf."""
    return jax.tree.map(lambda leaf: jax.typeof(leaf).sharding.spec, tree)


def along_batch(make: Callable[[int], PyTree], batch: int, axis: Any) -> PyTree:
    """The spec of each leaf of `make(batch)`: sharded along the axis that grows by one with each further stream.

    Args:
        make: batch size -> shapes; computes nothing.
        batch: number of streams.
        axis: mesh axes from `batch_spec`.
    """

    def spec(one: Any, more: Any) -> PartitionSpec:
        pairs = zip(one.shape, more.shape, strict=True)
        return PartitionSpec(*(axis if size != larger else None for size, larger in pairs))

    if axis is None:
        return jax.tree.map(lambda leaf: PartitionSpec(), make(batch))
    return jax.tree.map(spec, make(batch), make(batch + 1))


def abstract(tree: PyTree, batch: int | None = None) -> PyTree:
    """Shapes and dtypes of a tree; with `batch`, sharded axes get that size."""

    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        spec = (*jax.typeof(leaf).sharding.spec, *(None,) * leaf.ndim)
        sizes = (size if batch is None or each is None else batch for size, each in zip(leaf.shape, spec, strict=False))
        return jax.ShapeDtypeStruct(tuple(sizes), leaf.dtype)

    return jax.tree.map(shape, tree)


def with_auto_axes(function: Callable[..., Any], mesh: AbstractMesh, specs: PyTree, *arguments: PyTree) -> Any:
    """Runs a function with its arguments on Auto axes; the result gets `specs` on the mesh's Explicit axes."""
    out = jax.tree.map(
        lambda spec: NamedSharding(mesh, spec), specs, is_leaf=lambda each: isinstance(each, PartitionSpec)
    )
    run: Callable[..., Any] = jax.sharding.auto_axes(function, out_sharding=out)
    if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments)):
        run = jax.jit(run)  # outside jit, intermediate arrays would have no mesh
    return run(*arguments)


__all__ = ["abstract", "along_batch", "batch_spec", "explicit_mesh", "same", "with_auto_axes"]
