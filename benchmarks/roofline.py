"""What the machine could do at best: the matrix peak, and how fast it reads weights, measured in the same run."""

import functools
import os
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.environment import count_cores
from benchmarks.harness import in_fresh_process


class Roofline(NamedTuple):
    """Limits of the machine, or of one of its cores."""

    gflops: float
    """10^9 float32 operations per second of a large matrix product."""
    bandwidth: dict[int, float]
    """Bytes of a matrix -> 10^9 bytes per second of repeated products with a vector."""

    def bound(self, *, weight_bytes: int, flops: float, batch: int) -> tuple[float, str]:
        """Samples per second at best, and what binds: a step reads all weights once and computes `batch` samples."""
        size = min(self.bandwidth, key=lambda known: abs(known - weight_bytes))
        reading = weight_bytes / (self.bandwidth[size] * 1e9)
        computing = batch * flops / (self.gflops * 1e9)
        return batch / max(reading, computing), "arithmetic" if computing > reading else "reading"


def measure_roofline(weight_sizes: list[int]) -> tuple[Roofline, Roofline | None]:
    """(limits of the machine, limits of one core), each the best of many trials, in processes of their own.

    Where one core reads faster than several do together (small products), that is the machine's limit, too. Of an
    accelerator, in this process: (limits of the device, None).
    """
    if jax.default_backend() != "cpu":
        return _device_limits(weight_sizes), None
    one, several = (_limits(weight_sizes, count) for count in (1, count_cores()))
    faster = {size: max(speed, one.bandwidth[size]) for size, speed in several.bandwidth.items()}
    return Roofline(max(one.gflops, several.gflops), faster), one


def _limits(weight_sizes: list[int], threads: int) -> Roofline:
    variables = {name: str(threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    answer = in_fresh_process("benchmarks.roofline:trial", variables, weight_sizes=weight_sizes)
    return Roofline(answer["gflops"], {int(size): speed for size, speed in answer["bandwidth"].items()})


def trial(weight_sizes: list[int]) -> dict[str, Any]:
    """In a fresh process: the threads of numpy's linear algebra are set by the environment at its start."""
    if hasattr(os, "sched_setaffinity") and os.environ.get("OPENBLAS_NUM_THREADS") == "1":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return {"gflops": _gflops(), "bandwidth": {str(size): _bandwidth(size) for size in weight_sizes}}


def _gflops(size: int = 1536) -> float:
    left, right = np.ones((size, size), np.float32), np.ones((size, size), np.float32)
    out = np.empty_like(left)
    return 2e-9 * size**3 / _best(lambda: np.matmul(left, right, out=out), 10)


def _bandwidth(num_bytes: int, width: int = 256) -> float:
    rows = max(num_bytes // (4 * width), 1)
    matrix, vector, out = np.ones((rows, width), np.float32), np.ones(width, np.float32), np.empty(rows, np.float32)
    times = max(1, 20_000_000 // num_bytes)

    def sweep() -> None:
        for _ in range(times):
            np.dot(matrix, vector, out=out)

    return 4e-9 * rows * width * times / _best(sweep, 30)


def _device_limits(weight_sizes: list[int], size: int = 4096, steps: int = 200) -> Roofline:
    """By JAX, in full float32: one large product; and a chain of products of a square matrix with a vector."""

    @jax.jit
    def product(left: jax.Array) -> jax.Array:
        return left @ left

    @jax.jit
    def chain(matrix: jax.Array, vector: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, steps, lambda _, x: matrix @ x, vector)

    with jax.default_matmul_precision("highest"):
        square = jnp.full((size, size), 1 / size, jnp.float32)
        gflops = 2e-9 * size**3 / _best(lambda: product(square).block_until_ready(), 5)
        bandwidth = {}
        for num_bytes in weight_sizes:
            width = int((num_bytes / 4) ** 0.5)
            matrix, vector = jnp.full((width, width), 1 / width, jnp.float32), jnp.ones(width, jnp.float32)
            run = functools.partial(lambda a, x: chain(a, x).block_until_ready(), matrix, vector)
            bandwidth[num_bytes] = 4e-9 * width**2 * steps / _best(run, 5)
    return Roofline(gflops, bandwidth)


def _best(run: Any, trials: int) -> float:
    run()
    seconds = []
    for _ in range(trials):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
