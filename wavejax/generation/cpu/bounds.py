"""Checks the numbers that the compiled kernels index with before they run: machine code does not check array bounds.

States from outside have been checked before, with better messages (`wavejax.generation.states`); this check covers
every caller of the backend.
"""

from typing import Any

import numpy as np

from wavejax.generation.cpu import kernels


def check_bounds(p: kernels.Packed, sizes: kernels.Sizes, cache: kernels.Cache, job: kernels.Job) -> None:
    """Raises ValueError if a block would read or write outside its arrays; names the array and the expected shape."""
    count, batch = job.noise.shape[:2]
    layers, taps = p.dilations.shape[0], sizes.kernel_size - 1
    _shape("cache['ring']", cache.ring, (taps * int(p.dilations.sum()), batch, sizes.residual))
    _shape("cache['phase']", cache.phase, (layers,))
    _shape("cache['history']", cache.history, (p.table.shape[0] - 1, batch))
    _shape("value", cache.value, (batch,))
    _shape("memory", cache.memory, (batch,))
    _below("cache['phase']", cache.phase, taps * p.dilations)
    classes = p.levels.shape[0]
    if classes:
        _below("value", cache.value, classes)
        _below("cache['history']", cache.history, classes)
        _below("the values to replay", job.given, classes)
    uniforms = 2 if sizes.distribution == kernels.COARSE_FINE else 1
    if job.given.shape[0]:
        _shape("the values to replay", job.given, (count, batch))
    elif job.noise.shape[2] < uniforms:
        raise ValueError(f"noise has {job.noise.shape[2]} uniforms for each draw, which takes {uniforms}")
    if count:
        _check_conditioning(p, sizes, job, count, batch)


def _check_conditioning(p: kernels.Packed, sizes: kernels.Sizes, job: kernels.Job, count: int, batch: int) -> None:
    """Checks that the entries fit this model and cover samples start .. start + count - 1 of the conditioning."""
    layers, last = p.dilations.shape[0], job.start + count - 1
    frames, _, *_ = job.gates.shape
    _one_of("conditioning 'gates'", job.gates, (frames, 1, layers, (1, batch), 2 * sizes.gate))
    rows = sizes.hop if sizes.conditioning == kernels.SAMPLES else 1
    if p.matrices.shape[0] - sizes.tails > 3 * layers + 2:
        channels = int(p.matrices[3 * layers + 2, kernels.INPUTS])
        _one_of("conditioning 'local'", job.local, (frames, rows, batch, channels))
    elif job.local.shape[0]:
        raise ValueError("the conditioning holds 'local', which this model does not read: it is that of another model")
    if job.tail.shape[0]:
        width = (
            int(p.matrices[p.matrices.shape[0] - sizes.tails + 1, kernels.INPUTS]) if sizes.tails > 1 else sizes.outputs
        )
        _one_of("conditioning 'tail'", job.tail, (frames, rows, batch, width))
    entries = [*kernels.place(sizes, job.start)[:2], *kernels.place(sizes, last)[:2]]
    if min(entries) < 0 or max(entries) >= frames:
        raise ValueError(
            f"samples {job.start} to {last} after the conditioning begins need its entries {min(entries)} to "
            f"{max(entries)}, but it has {frames}: encode the conditioning of these samples"
        )
    heat = job.temperature
    _one_of("temperature", heat, (heat.shape[0], (1, batch)))
    if heat.shape[0] != 1 and not (job.start >= 0 and last // sizes.hop < heat.shape[0]):
        raise ValueError(f"temperature has {heat.shape[0]} rows, and sample {last} reads row {last // sizes.hop}")


def _shape(name: str, array: np.ndarray, expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise ValueError(f"{name} must have shape {expected}, got {array.shape}: it is that of another model or batch")


def _one_of(name: str, array: np.ndarray, expected: tuple[Any, ...]) -> None:
    """Like `_shape`, but a size may be one of several."""
    sizes = [each if isinstance(each, tuple) else (each,) for each in expected]
    if array.ndim != len(sizes) or any(size not in known for size, known in zip(array.shape, sizes, strict=True)):
        raise ValueError(f"{name} must have shape {expected}, got {array.shape}: it is that of another model or batch")


def _below(name: str, array: np.ndarray, limit: int | np.ndarray) -> None:
    if not ((array >= 0) & (array < limit)).all():  # NaN fails both comparisons
        raise ValueError(f"{name} must lie in 0 .. {np.max(limit) - 1}, got {array.min()} to {array.max()}")


__all__ = ["check_bounds"]
