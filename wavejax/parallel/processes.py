"""Set-up of a run over several processes (hosts), and decisions that all of them make at the same step."""

import socket
from collections import deque
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wavejax.parallel.collectives import DATA_AXIS

_PIECE = 2**25  # bytes per message


def initialize_processes(
    coordinator: str | None = None,
    *,
    num_processes: int | None = None,
    process_id: int | None = None,
    heartbeat_timeout_seconds: int = 100,
) -> None:
    """Connects this process with the others of the run; call it once, before anything uses a device.

    On TPU pods and under schedulers that JAX detects (SLURM, Open MPI, Kubernetes) no argument is needed. On CPU it
    selects the gloo collectives, which several CPU processes need.

    Args:
      coordinator: `"host:port"` of process 0.
      num_processes: number of processes of the run.
      process_id: the number of this process, 0 to num_processes - 1.
      heartbeat_timeout_seconds: a process that is silent for this long counts as dead; the others then end too, and
        the whole job must be restarted from its last checkpoint.

    Raises:
      ValueError: only some of the three are given, or none of them and JAX detects no cluster.
    """
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if any(given) and not all(given):
        raise ValueError(
            f"coordinator={coordinator!r}, num_processes={num_processes}, process_id={process_id}: give all three, "
            "or none where JAX finds them by itself (TPU pods, SLURM, Open MPI, Kubernetes)"
        )
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # Its handler would swallow a SIGTERM before training begins; `fit` has its own handler, and uses `Vote`.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            heartbeat_timeout_seconds=heartbeat_timeout_seconds,
            shutdown_timeout_seconds=heartbeat_timeout_seconds,
        )
    except ValueError as error:
        if coordinator is not None:
            raise
        raise ValueError(
            f"no TPU pod, SLURM, Open MPI or Kubernetes job was found around this process ({error}); give "
            "coordinator='HOST:PORT' (of process 0), num_processes and process_id"
        ) from error


def gather_over_processes(numbers: Sequence[float]) -> np.ndarray:
    """Gathers every process's numbers, [processes, numbers] float32, on every process; all processes must call it.

    It waits for the slowest process, so call it only where all processes wait anyway.
    """
    row = np.asarray(numbers, np.float32)
    if jax.process_count() == 1:
        return row[None]
    return np.asarray(multihost_utils.process_allgather(row))


def host_names() -> tuple[str, ...]:
    """The host name of every process, in process order; all processes must call it."""
    if jax.process_count() == 1:
        return (socket.gethostname(),)
    length = 64
    name = np.frombuffer(socket.gethostname().encode()[:length].ljust(length, b"\0"), np.uint8)
    names = np.asarray(multihost_utils.process_allgather(name))
    return tuple(row.tobytes().rstrip(b"\0").decode(errors="replace") for row in names)


def broadcast_bytes(data: bytes) -> bytes:
    """Returns the data of process 0 on every process; all processes must call it. The others' data is ignored."""
    if jax.process_count() == 1:
        return data
    is_first = jax.process_index() == 0
    words = np.asarray(divmod(len(data), 2**31) if is_first else (0, 0), np.int32)
    high, low = (int(word) for word in multihost_utils.broadcast_one_to_all(words))
    length, pieces = high * 2**31 + low, []
    for start in range(0, length, _PIECE):
        piece = np.zeros(min(_PIECE, length), np.uint8)
        if is_first:
            part = np.frombuffer(data[start : start + _PIECE], np.uint8)
            piece[: len(part)] = part
        pieces.append(np.asarray(multihost_utils.broadcast_one_to_all(piece), np.uint8).tobytes())
    return b"".join(pieces)[:length]


class Vote:
    """The maximum of a number over all processes, known to all of them at the same call, without stalling the devices.

    It is for events that one process alone may notice (a signal, a clock) but all must act on at the same step: a
    process that stopped alone would leave the others waiting for it forever.

    Args:
      delay: number of calls after which a call's result is known, if there are several processes.
    """

    def __init__(self, delay: int) -> None:
        self._delay = delay
        self._pending: deque[jax.Array] = deque()
        self._sharding: NamedSharding | None = None
        if jax.process_count() > 1:
            devices = sorted(jax.devices(), key=lambda device: device.process_index)
            mesh = Mesh(np.asarray(devices), (DATA_AXIS,))
            self._sharding = NamedSharding(mesh, PartitionSpec(DATA_AXIS))
            self._largest = jax.jit(jnp.max, out_shardings=NamedSharding(mesh, PartitionSpec()))

    def cast(self, number: int) -> int:
        """Submits this process's number, 0 or more; every process makes the same calls.

        Returns:
          One process: the number itself. Several: the maximum of `delay` calls ago, and 0 in the first `delay` calls.
        """
        if self._sharding is None:
            return number
        local = np.full(jax.local_device_count(), number, np.int32)
        self._pending.append(self._largest(jax.make_array_from_process_local_data(self._sharding, local)))
        if len(self._pending) <= self._delay:
            return 0
        return int(np.asarray(self._pending.popleft().addressable_data(0)))
