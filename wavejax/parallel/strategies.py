"""Data-parallel strategies: the state replicated, the batch split over devices along axis 0.

Both strategies wrap any `step(state, batch) -> (state, metrics)` and give the same numbers to rounding:

- `spmd`: one program over the global batch; `jax.jit` with shardings over a mesh of one Auto axis, and the compiler
  inserts the collectives.
- `pmap`: one program per device over its rows; the step's own `sum_over_devices` are the collectives.

A step written with `wavejax.parallel.sum_over_devices` and `example_indices` serves both unchanged. The state has the
same shapes and the same sharding under both, so a checkpoint moves freely between them.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from wavejax.parallel.collectives import DATA_AXIS
from wavejax.types import PyTree

StepFn = Callable[[PyTree, PyTree], tuple[PyTree, PyTree]]
"""`step(state, batch) -> (state, metrics)`, pure and traceable."""


class Strategy(abc.ABC):
    """Where the state lives and how a step runs over the devices; made by `get_strategy`.

    Attributes:
      name: the strategy's name, e.g. `"spmd"`.
      devices: the devices of the run, those of other processes included, process by process.
      num_devices: how many they are.
      mesh: their mesh, of the one axis `DATA_AXIS`.
      state_sharding: the sharding of every leaf of the state (replicated).
      batch_sharding: the sharding of every leaf of the batch (split along axis 0).
    """

    name: str

    def __init__(self, devices: Sequence[jax.Device] | None = None) -> None:
        given = jax.devices() if devices is None else devices
        self.devices = tuple(sorted(given, key=lambda device: device.process_index))
        if not self.devices:
            raise ValueError("no device given: pass at least one, or devices=None for all of them")
        self.num_devices = len(self.devices)
        # Not jax.make_mesh, which may mix the devices of TPU hosts: a process's rows are to be contiguous.
        self.mesh = Mesh(np.asarray(self.devices), (DATA_AXIS,), axis_types=(AxisType.Auto,))
        self.state_sharding = NamedSharding(self.mesh, PartitionSpec())
        self.batch_sharding = NamedSharding(self.mesh, PartitionSpec(DATA_AXIS))
        self.num_local_devices = sum(d.process_index == jax.process_index() for d in self.devices)

    def place(self, state: PyTree) -> PyTree:
        """A copy of a state, replicated over the devices. The argument stays valid: steps donate only the copy.

        Leaves may be arrays of JAX or NumPy, typed PRNG keys or Python numbers; weak types become strong ones, so that
        a step's output has the avals of its input and nothing compiles twice.
        """
        return jax.tree.map(self._place_leaf, state)

    def _place_leaf(self, leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            implementation = jax.random.key_impl(leaf)
            data = self._place_leaf(jax.random.key_data(leaf))
            wrap = jax.jit(
                lambda words: jax.random.wrap_key_data(words, impl=implementation), out_shardings=self.state_sharding
            )
            return wrap(data)
        # By way of the host: a device-to-device copy may share the source's buffer, which the first step would donate.
        host = np.array(leaf)
        host = host.astype(jax.dtypes.canonicalize_dtype(host.dtype), copy=False)
        if jax.process_count() > 1:
            return jax.make_array_from_callback(host.shape, self.state_sharding, lambda index: host[index])
        return jax.device_put(host, self.state_sharding)

    def abstract(self, state: PyTree) -> PyTree:
        """Shapes, dtypes and this strategy's sharding of a state: the target that a checkpoint restores to.

        Args:
          state: arrays, or their shapes as `jax.eval_shape` gives them.
        """

        def describe(leaf: Any) -> jax.ShapeDtypeStruct:
            leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
            dtype = leaf.dtype
            if not jnp.issubdtype(dtype, jax.dtypes.extended):
                dtype = jax.dtypes.canonicalize_dtype(dtype)
            return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=self.state_sharding)

        return jax.tree.map(describe, state)

    def shard_batch(self, batch: PyTree) -> PyTree:
        """Splits a batch over the devices along axis 0, asynchronously; what is split already passes through.

        Args:
          batch: a pytree of arrays [rows, ...]; with several processes, the rows of this process.

        Raises:
          ValueError: leaves that are no numbers, without a batch axis or of different numbers of rows, or rows that the
            devices do not divide.
        """
        leaves = jax.tree.leaves_with_path(batch)
        if all(isinstance(leaf, jax.Array) and leaf.sharding == self.batch_sharding for _, leaf in leaves):
            return batch
        words = [
            jax.tree_util.keystr(path, simple=True, separator="/")
            for path, leaf in leaves
            if getattr(leaf, "dtype", np.dtype(np.float32)).kind in "OSU"
        ]
        if words:
            raise ValueError(f"a batch holds numbers; {words} hold text or objects: leave them out, or number them")
        rows = {np.shape(leaf)[:1] for _, leaf in leaves}
        if len(rows) != 1 or rows == {()}:
            shapes = {jax.tree_util.keystr(path, simple=True, separator="/"): np.shape(leaf) for path, leaf in leaves}
            raise ValueError(f"every array of a batch has the same number of rows on axis 0; got the shapes {shapes}")
        ((num_rows,),) = rows
        if num_rows == 0 or num_rows % self.num_local_devices:
            raise ValueError(
                f"a batch of {num_rows} rows cannot be split evenly over {self.num_local_devices} devices; choose a "
                f"batch size that is a multiple of {self.num_local_devices}, or use fewer devices"
            )
        if jax.process_count() == 1:
            return jax.device_put(batch, self.batch_sharding)
        return jax.tree.map(
            lambda leaf: jax.make_array_from_process_local_data(self.batch_sharding, np.asarray(leaf)), batch
        )

    def process_rows(self, batch_size: int) -> slice:
        """The contiguous rows of a global batch that this process is to bring: `shard_batch` of them is its part.

        Raises:
          ValueError: the devices do not divide the batch, or none of them is this process's.
        """
        if batch_size % self.num_devices:
            processes = len({device.process_index for device in self.devices})
            raise ValueError(
                f"a batch of {batch_size} rows cannot be split evenly over {self.num_devices} devices of {processes} "
                f"process(es); choose a batch size that is a multiple of {self.num_devices}, or use fewer devices"
            )
        if not self.num_local_devices:
            raise ValueError(f"none of the {self.num_devices} devices belongs to process {jax.process_index()}")
        per_device = batch_size // self.num_devices
        before = sum(device.process_index < jax.process_index() for device in self.devices)
        return slice(before * per_device, (before + self.num_local_devices) * per_device)

    def fetch(self, tree: PyTree) -> PyTree:
        """A pytree of replicated arrays as NumPy arrays on the host; PRNG keys come as their uint32 words."""

        def to_host(leaf: Any) -> np.ndarray:
            if isinstance(leaf, jax.Array):
                if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                    leaf = jax.random.key_data(leaf)
                if not leaf.is_fully_addressable:
                    leaf = leaf.addressable_data(0)
            return np.asarray(leaf)

        return jax.tree.map(to_host, tree)

    @abc.abstractmethod
    def compile(self, step_fn: StepFn) -> StepFn:
        """A compiled step over all devices, called as `state, metrics = step(state, batch)`.

        The state must come from `place` (or a restored checkpoint with this strategy's sharding) and is donated: use
        only the returned one. The batch may be a host batch (this process's rows) or one from `shard_batch`. Metrics
        are replicated. The first call compiles; later ones of equal shapes do not.
        """

    @abc.abstractmethod
    def compile_evaluation(self, evaluate_fn: Callable[[PyTree, PyTree], PyTree]) -> Callable[[PyTree, PyTree], PyTree]:
        """Like `compile` for `evaluate_fn(state, batch) -> tree of replicated values`; nothing is donated."""


class SpmdStrategy(Strategy):
    """One program over the global batch: `jax.jit` with shardings; the compiler inserts the collectives."""

    name = "spmd"

    def compile(self, step_fn: StepFn) -> StepFn:
        """See `Strategy.compile`."""
        shardings = (self.state_sharding, self.batch_sharding)
        compiled = jax.jit(
            step_fn,
            in_shardings=shardings,
            out_shardings=(self.state_sharding, self.state_sharding),
            donate_argnums=0,
        )
        return lambda state, batch: compiled(state, self.shard_batch(batch))

    def compile_evaluation(self, evaluate_fn: Callable[[PyTree, PyTree], PyTree]) -> Callable[[PyTree, PyTree], PyTree]:
        """See `Strategy.compile_evaluation`."""
        shardings = (self.state_sharding, self.batch_sharding)
        compiled = jax.jit(evaluate_fn, in_shardings=shardings, out_shardings=self.state_sharding)
        return lambda state, batch: compiled(state, self.shard_batch(batch))


class PmapStrategy(Strategy):
    """One program per device over its rows, with `jax.pmap`; the step's `sum_over_devices` are the collectives.

    The step must reduce over devices itself: a step that forgets to would train every device on its own rows.
    """

    name = "pmap"

    def compile(self, step_fn: StepFn) -> StepFn:
        """See `Strategy.compile`."""
        return self._mapped(step_fn, out_axes=(None, None), donate=(0,))

    def compile_evaluation(self, evaluate_fn: Callable[[PyTree, PyTree], PyTree]) -> Callable[[PyTree, PyTree], PyTree]:
        """See `Strategy.compile_evaluation`."""
        return self._mapped(evaluate_fn, out_axes=None, donate=())

    def _mapped(self, function: Callable[..., Any], out_axes: Any, donate: tuple[int, ...]) -> Callable[..., Any]:
        if jax.process_count() > 1:
            raise ValueError(
                f"the pmap strategy serves the devices of one process, and this run has {jax.process_count()}; "
                "use strategy 'spmd'"
            )
        mapped = jax.pmap(
            function,
            axis_name=DATA_AXIS,
            in_axes=(None, 0),
            out_axes=out_axes,
            donate_argnums=donate,
            devices=self.devices,
        )
        split = jax.jit(self._split_rows, in_shardings=self.batch_sharding, out_shardings=self.batch_sharding)
        return lambda state, batch: mapped(state, split(self.shard_batch(batch)))

    def _split_rows(self, batch: PyTree) -> PyTree:
        """[rows, ...] -> [devices, rows per device, ...], which moves no data."""
        return jax.tree.map(lambda x: x.reshape(self.num_devices, x.shape[0] // self.num_devices, *x.shape[1:]), batch)


STRATEGIES: dict[str, type[Strategy]] = {"spmd": SpmdStrategy, "pmap": PmapStrategy}
"""The strategies by name."""


def get_strategy(name: str, devices: Sequence[jax.Device] | None = None) -> Strategy:
    """The data-parallel strategy of a name, over the given devices (None: all of them).

    Raises:
      ValueError: unknown name (the message lists them), or an empty list of devices.
    """
    if name not in STRATEGIES:
        raise ValueError(f"unknown strategy {name!r}; choose one of {', '.join(sorted(STRATEGIES))}")
    return STRATEGIES[name](devices)
