"""Data-parallel strategies with one signature, and the set-up of several processes.

This is the only package of wavejax that uses meshes, shardings and `pmap`.
"""

from wavejax.parallel.collectives import (
    DATA_AXIS,
    example_indices,
    mean_over_devices,
    on_each_device,
    sum_over_devices,
)
from wavejax.parallel.processes import Vote, broadcast_bytes, gather_over_processes, host_names, initialize_processes
from wavejax.parallel.strategies import STRATEGIES, PmapStrategy, SpmdStrategy, Strategy, get_strategy

__all__ = [
    "DATA_AXIS",
    "STRATEGIES",
    "PmapStrategy",
    "SpmdStrategy",
    "Strategy",
    "Vote",
    "broadcast_bytes",
    "example_indices",
    "gather_over_processes",
    "get_strategy",
    "host_names",
    "initialize_processes",
    "mean_over_devices",
    "on_each_device",
    "sum_over_devices",
]
