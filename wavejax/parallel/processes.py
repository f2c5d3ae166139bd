"""Set-up of a run over several processes (hosts)."""

import jax


def initialize_processes(
    coordinator: str | None = None,
    *,
    num_processes: int | None = None,
    process_id: int | None = None,
    heartbeat_timeout_seconds: int = 100,
) -> None:
    """Connects this process with the others of the run; call it once, before anything touches a device.

    On TPU pods and under schedulers that JAX knows (SLURM, Open MPI, Kubernetes) no argument is needed. On CPU it
    chooses the gloo collectives, which several CPU processes need.

    Args:
      coordinator: `"host:port"` of process 0.
      num_processes: processes of the run.
      process_id: which one this is, 0 to num_processes - 1.
      heartbeat_timeout_seconds: after how long a silent process counts as dead; the others then end too, and the
        whole job is to be restarted from its last checkpoint.

    Raises:
      ValueError: only some of the three are given.
    """
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if any(given) and not all(given):
        raise ValueError(
            f"coordinator={coordinator!r}, num_processes={num_processes}, process_id={process_id}: give all three, "
            "or none where JAX finds them by itself (TPU pods, SLURM, Open MPI, Kubernetes)"
        )
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        coordinator, num_processes, process_id, heartbeat_timeout_seconds=heartbeat_timeout_seconds
    )
