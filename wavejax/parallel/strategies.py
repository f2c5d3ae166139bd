"""Data-parallel strategies: the batch is split over devices along axis 0, the state is replicated.

Both strategies wrap any `step(state, batch) -> (state, metrics)` and give the same numbers up to rounding:

- `spmd`: one program over the global batch; `jax.jit` with shardings over a mesh of one Auto axis. Functions that the
  step runs by `on_each_device` see one device's rows and sum explicitly; elsewhere the compiler inserts collectives.
- `pmap`: one program per device over its rows; the step's own `sum_over_devices` are the collectives.

A step written with `wavejax.parallel.sum_over_devices` and `example_indices` works with both. The state has the same
shapes under both, so a checkpoint of one can be restored under the other. `spmd` can shard fields of the state that no
device needs whole (moments, averages): ZeRO stage 1 (Rajbhandari et al. 2020, arXiv 1910.02054, section 5.1).
"""

import abc
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from wavejax.parallel import placement
from wavejax.parallel.collectives import DATA_AXIS
from wavejax.types import PyTree

StepFn = Callable[[PyTree, PyTree], tuple[PyTree, PyTree]]
"""`step(state, batch) -> (state, metrics)`, pure and traceable."""


class Strategy(abc.ABC):
    """Where the state lives and how a step runs over the devices; made by `get_strategy`.

    Attributes:
      name: the strategy's name, e.g. `"spmd"`.
      devices: the devices of the run, those of other processes included, ordered by process.
      num_devices: the number of devices.
      mesh: their mesh, with the single axis `DATA_AXIS`.
      replicated: the sharding of arrays that every device holds whole: the state, or most of it (`state_sharding`).
      batch_sharding: the sharding of every leaf of the batch (split along axis 0).
      sharded_fields: fields of the state that are split over the devices.
    """

    name: str

    def __init__(self, devices: Sequence[jax.Device] | None = None, sharded_fields: Collection[str] = ()) -> None:
        self.sharded_fields = frozenset(sharded_fields)
        given = jax.devices() if devices is None else devices
        self.devices = tuple(sorted(given, key=lambda device: device.process_index))
        if not self.devices:
            raise ValueError("no device given: pass at least one, or devices=None for all of them")
        self.num_devices = len(self.devices)
        # Not jax.make_mesh, which may interleave the devices of TPU hosts: a process's rows must be contiguous.
        self.mesh = Mesh(np.asarray(self.devices), (DATA_AXIS,), axis_types=(AxisType.Auto,))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.batch_sharding = NamedSharding(self.mesh, PartitionSpec(DATA_AXIS))
        self.num_local_devices = sum(d.process_index == jax.process_index() for d in self.devices)

    def state_sharding(self, state: PyTree) -> PyTree:
        """The sharding of every leaf of a state (arrays or their shapes), as a tree of the same structure.

        Leaves are replicated, except below `sharded_fields` (top-level attributes or keys): there an array is split
        along its largest dimension that the number of devices divides, if there is one.
        """

        def choose(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
            field = jax.tree_util.keystr(path[:1], simple=True)
            split = field in self.sharded_fields and not placement.is_key(leaf)
            axis = placement.split_axis(np.shape(leaf), self.num_devices) if split else None
            if axis is None:
                return self.replicated
            return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, DATA_AXIS))

        return jax.tree.map_with_path(choose, state)

    def place(self, state: PyTree) -> PyTree:
        """Copies a state to the devices with `state_sharding`. The argument stays valid: steps donate only the copy.

        Leaves may be JAX or NumPy arrays, typed PRNG keys or Python numbers. Weak types become strong ones, so that a
        step's output has the same types as its input and nothing compiles twice.
        """
        return jax.tree.map(placement.place, state, self.state_sharding(state))

    def abstract(self, state: PyTree) -> PyTree:
        """Shapes, dtypes and this strategy's sharding of a state: the target that a checkpoint restores to.

        Args:
          state: arrays, or their shapes as `jax.eval_shape` gives them.
        """
        return jax.tree.map(placement.abstract, state, self.state_sharding(state))

    def shard_batch(self, batch: PyTree) -> PyTree:
        """Splits a batch over the devices along axis 0, asynchronously; an already split batch is returned as it is.

        Args:
          batch: a pytree of arrays [rows, ...]; with several processes, the rows of this process.

        Raises:
          ValueError: leaves that are not numeric, have no batch axis or different numbers of rows, or a number of rows
            that this process's devices do not divide.
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
        """The contiguous rows of a global batch that this process must load and pass to `shard_batch`.

        Raises:
          ValueError: the devices do not divide the batch, or none of them belongs to this process.
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
        """Fetches a pytree of arrays (a state, metrics) to the host as NumPy arrays; PRNG keys as their uint32 words.

        If several processes hold parts of an array (`sharded_fields`), all of them must make this call.
        """
        return jax.tree.map(placement.fetch, tree)

    @abc.abstractmethod
    def compile(self, step_fn: StepFn) -> StepFn:
        """A compiled step over all devices, called as `state, metrics = step(state, batch)`.

        The state must come from `place` (or a restored checkpoint with this strategy's sharding) and is donated: use
        only the returned one. The batch may be a host batch (this process's rows) or one from `shard_batch`. Metrics
        are replicated. The first call compiles; later calls with equal shapes do not.
        """

    @abc.abstractmethod
    def compile_evaluation(self, evaluate_fn: Callable[[PyTree, PyTree], PyTree]) -> Callable[[PyTree, PyTree], PyTree]:
        """Like `compile`, but for `evaluate_fn(state, batch) -> tree of replicated values`; nothing is donated."""

    def lower(self, step_fn: StepFn, state: PyTree, batch: PyTree) -> jax.stages.Lowered:
        """The program of `compile`, lowered but not yet compiled; the devices need not exist.

        Args:
          step_fn: as for `compile`.
          state: arrays, or their shapes as `jax.eval_shape` gives them.
          batch: the whole global batch, as arrays or shapes.

        Raises:
          ValueError: the devices do not divide the batch, or the strategy compiles only for existing devices.
        """
        raise ValueError(f"the {self.name} strategy compiles only for devices that are there; use strategy 'spmd'")


class SpmdStrategy(Strategy):
    """One program over the global batch: `jax.jit` with shardings over the mesh."""

    name = "spmd"

    def compile(self, step_fn: StepFn) -> StepFn:
        """See `Strategy.compile`."""
        program = self._program(step_fn, is_step=True)
        return lambda state, batch: program(state)(state, self.shard_batch(batch))

    def compile_evaluation(self, evaluate_fn: Callable[[PyTree, PyTree], PyTree]) -> Callable[[PyTree, PyTree], PyTree]:
        """See `Strategy.compile_evaluation`."""
        program = self._program(evaluate_fn, is_step=False)
        return lambda state, batch: program(state)(state, self.shard_batch(batch))

    def lower(self, step_fn: StepFn, state: PyTree, batch: PyTree) -> jax.stages.Lowered:
        """See `Strategy.lower`."""
        rows = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(batch)}
        if any(not count or count[0] % self.num_devices for count in rows):
            raise ValueError(f"a batch of rows {sorted(rows)} cannot be split over {self.num_devices} devices")
        described = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self.batch_sharding), batch
        )
        return self._program(step_fn, is_step=True)(state).lower(self.abstract(state), described)

    def _program(self, function: Callable[..., Any], *, is_step: bool) -> Callable[[PyTree], Any]:
        """Maps a state to its jitted function: one for all states or, with sharded fields, one per set of shapes."""

        def traced(state: PyTree, batch: PyTree) -> Any:
            with jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh):  # for `on_each_device`
                return function(state, batch)

        def jitted(state_sharding: PyTree) -> Any:
            return jax.jit(
                traced,
                in_shardings=(state_sharding, self.batch_sharding),
                out_shardings=(state_sharding, self.replicated) if is_step else self.replicated,
                donate_argnums=0 if is_step else (),
            )

        if not self.sharded_fields:
            same_for_all = jitted(self.replicated)
            return lambda state: same_for_all
        programs: dict[Any, Any] = {}

        def for_shapes(state: PyTree) -> Any:
            leaves, structure = jax.tree.flatten(state)
            shapes = (structure, tuple(map(np.shape, leaves)))
            if shapes not in programs:
                programs[shapes] = jitted(self.state_sharding(state))
            return programs[shapes]

        return for_shapes


class PmapStrategy(Strategy):
    """One program per device over its rows, with `jax.pmap`; the step's `sum_over_devices` are the collectives.

    The step must sum over devices itself; otherwise every device would train on its own rows only.
    """

    name = "pmap"

    def __init__(self, devices: Sequence[jax.Device] | None = None, sharded_fields: Collection[str] = ()) -> None:
        if sharded_fields:
            raise ValueError(
                f"the pmap strategy holds the whole state on every device and cannot split {sorted(sharded_fields)}; "
                "use strategy 'spmd'"
            )
        super().__init__(devices)

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
        """[rows, ...] -> [devices, rows per device, ...]; moves no data."""
        return jax.tree.map(lambda x: x.reshape(self.num_devices, x.shape[0] // self.num_devices, *x.shape[1:]), batch)


STRATEGIES: dict[str, type[Strategy]] = {"spmd": SpmdStrategy, "pmap": PmapStrategy}
"""The strategies by name."""


def get_strategy(
    name: str, devices: Sequence[jax.Device] | None = None, *, sharded_fields: Collection[str] = ()
) -> Strategy:
    """The data-parallel strategy with this name, over the given devices (None: all of them).

    Args:
      name: `spmd` or `pmap`.
      devices: devices of all processes; compile-only devices can be used for `lower`.
      sharded_fields: fields of the state to split over the devices (`Strategy.state_sharding`); `spmd` only.

    Raises:
      ValueError: unknown name (the message lists them), an empty list of devices, or fields to split under `pmap`.
    """
    if name not in STRATEGIES:
        raise ValueError(f"unknown strategy {name!r}; choose one of {', '.join(sorted(STRATEGIES))}")
    return STRATEGIES[name](devices, sharded_fields)
